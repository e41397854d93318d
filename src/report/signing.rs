//! What people are told of keys and Secure Boot.

use crate::kernel::Pair;
use crate::model::ids::KernelRelease;
use crate::trust::firmware::{Enrolment, SecureBoot};
use crate::trust::pki::Certificate;

/// How a machine stands with signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    /// Whether signatures are insisted on.
    pub secure_boot: SecureBoot,
    /// The keys that sign.
    pub keys: Vec<Key>,
    /// Kernels whose modules are not signed, each with the reason.
    pub unsigned: Vec<(KernelRelease, String)>,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its certificate, inside the root.
    pub certificate: String,
    /// The pair is there; otherwise it is made when first needed.
    pub exists: bool,
    /// Where the firmware or shim have it; nothing when that cannot be said.
    pub enrolment: Option<Enrolment>,
    /// It is the key that the kernel was built with, which needs no enrolment.
    pub kernels_own: bool,
    /// For these kernels.
    pub kernels: Vec<KernelRelease>,
    /// What to do for it to be trusted.
    pub next: Option<String>,
}

impl Key {
    /// Puts together what is known of a pair.
    pub fn new(
        pair: &Pair,
        certificate: Option<&Certificate>,
        enrolment: Option<Enrolment>,
        kernels: Vec<KernelRelease>,
    ) -> Self {
        let kernels_own = pair.is_the_kernels();
        Self {
            certificate: pair.shown.1.clone(),
            exists: certificate.is_some(),
            enrolment,
            kernels_own,
            kernels,
            next: enrolment.filter(|_| !kernels_own).and_then(|enrolment| {
                next(pair, certificate.is_some_and(|certificate| certificate.pem), enrolment)
            }),
        }
    }

    fn state(&self) -> &'static str {
        match (self.kernels_own, self.exists, self.enrolment) {
            (true, _, _) => "the kernel's own",
            (_, false, _) => "not there yet; created when the first module is signed",
            (_, _, None) => "its enrolment is unknown",
            (_, _, Some(Enrolment::Enrolled)) => "enrolled",
            (_, _, Some(Enrolment::InFirmware)) => "in the firmware's database",
            (_, _, Some(Enrolment::Pending)) => "enrolment is requested and waits for a restart",
            (_, _, Some(Enrolment::Missing)) => "not enrolled",
            (_, _, Some(Enrolment::Blocked)) => "blocked by the firmware (dbx) or by shim (MokListX)",
        }
    }
}

/// A path as a word for the shell that the command is pasted into.
fn word(path: &str) -> String {
    // No path has a NUL, which is all that cannot be quoted.
    shlex::try_quote(path).map_or_else(|_| path.to_owned(), Into::into)
}

/// What is left to do for a certificate.
fn next(pair: &Pair, pem: bool, enrolment: Enrolment) -> Option<String> {
    let path = word(&pair.shown.1);
    match enrolment {
        Enrolment::Enrolled | Enrolment::InFirmware => None,
        Enrolment::Pending => {
            Some("restart, and choose \"Enroll MOK\" on the blue screen before the system starts".to_owned())
        }
        // mokutil passes over a request for such a key, and says so to nobody who asks later.
        Enrolment::Blocked => {
            let made = match pair.is_on_a_token() {
                true => {
                    "set mok_signing_key and mok_certificate in /etc/dkms/framework.conf to it".to_owned()
                }
                false => format!("move {} and {path} away, run `dkms generate_mok`", word(&pair.shown.0)),
            };
            Some(format!(
                "make a new key: {made}, enroll its certificate as `dkms-hook status` then says, and run \
                 `dkms-hook resign`"
            ))
        }
        Enrolment::Missing => {
            let command = if pair.is_shims() {
                "update-secureboot-policy --enroll-key".to_owned()
            } else if pem {
                let der = word(&format!("{}.der", pair.shown.1));
                format!("openssl x509 -in {path} -outform DER -out {der} && mokutil --import {der}")
            } else {
                format!("mokutil --import {path}")
            };
            Some(format!(
                "`{command}`, then restart, choose \"Enroll MOK\" on the blue screen and enter the password \
                 again"
            ))
        }
    }
}

impl Signing {
    /// Nothing signs yet.
    pub fn new(secure_boot: SecureBoot) -> Self {
        Self { secure_boot, keys: Vec::new(), unsigned: Vec::new() }
    }

    /// The lines of `dkms-hook status`; none where nothing is known.
    pub fn text(&self) -> String {
        let state = match self.secure_boot {
            SecureBoot::On => "on",
            SecureBoot::Off => "off",
            SecureBoot::OffInShim => "on in the firmware, but shim does not validate",
            SecureBoot::NoEfi => "not in use: this machine was not booted by EFI",
            SecureBoot::Unknown => return String::new(),
        };
        let mut text = format!("Secure Boot: {state}\n");
        for key in &self.keys {
            text.push_str(&format!("  signed with {}: {}\n", key.certificate, key.state()));
            if let (SecureBoot::On, Some(next)) = (self.secure_boot, &key.next) {
                text.push_str(&format!("  next: {next}\n"));
            }
        }
        if self.secure_boot == SecureBoot::On {
            for (kernel, why) in &self.unsigned {
                text.push_str(&format!("  modules for {kernel} are not signed, and will not load: {why}\n"));
            }
        }
        text
    }

    /// What somebody should know who has just built modules.
    pub fn warnings(&self) -> Vec<String> {
        if self.secure_boot != SecureBoot::On {
            return Vec::new();
        }
        let told = self.keys.iter().filter(|key| key.exists).filter_map(|key| {
            let next = key.next.as_ref()?;
            let state = key.state();
            let will = if key.enrolment == Some(Enrolment::Blocked) { "may" } else { "will" };
            Some(format!(
                "Secure Boot is on, and the kernel {will} refuse these modules: {} is {state}. Next: {next}",
                key.certificate
            ))
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(enrolment: Enrolment, next: Option<&str>) -> Key {
        Key {
            certificate: "/k.pub".to_owned(),
            exists: true,
            enrolment: Some(enrolment),
            kernels_own: false,
            kernels: Vec::new(),
            next: next.map(str::to_owned),
        }
    }

    #[test]
    fn a_command_can_be_pasted_whatever_the_path() {
        assert_eq!(word("/var/lib/dkms/mok.pub"), "/var/lib/dkms/mok.pub");
        assert_eq!(word("/my keys/it's $1.der"), r#""/my keys/it's "'$1.der'"#);
    }

    #[test]
    fn the_next_step_is_told_only_where_it_matters() {
        let mut signing = Signing::new(SecureBoot::On);
        signing.keys = vec![key(Enrolment::Missing, Some("do this")), key(Enrolment::Enrolled, None)];
        let kernel = KernelRelease::new("6.1").unwrap();
        signing.unsigned = vec![(kernel, "of reasons".to_owned())];
        assert_eq!(
            signing.text(),
            "Secure Boot: on\n  signed with /k.pub: not enrolled\n  next: do this\n  signed with /k.pub: \
             enrolled\n  \
             modules for 6.1 are not signed, and will not load: of reasons\n"
        );
        assert_eq!(signing.warnings().len(), 1);
        signing.secure_boot = SecureBoot::Off;
        assert!(!signing.text().contains("do this") && !signing.text().contains("reasons"));
        assert!(signing.warnings().is_empty());
        signing.secure_boot = SecureBoot::Unknown;
        assert_eq!(signing.text(), "");
    }
}
