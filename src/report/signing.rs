//! What people are told of keys and Secure Boot.

use crate::kernel::{Boot, Missing, Pair, Verdict};
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
    /// Kernels whose modules are not signed.
    pub unsigned: Vec<Bare>,
}

/// A kernel whose modules are not signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bare {
    /// The kernel.
    pub kernel: KernelRelease,
    /// Why, in words that follow "not signed:".
    pub why: String,
    /// What it makes of them.
    pub verdict: Verdict,
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
    /// For these kernels, and what each makes of a module that is signed with it.
    pub kernels: Vec<(KernelRelease, Verdict)>,
    /// What to do for it to be trusted.
    pub next: Option<String>,
}

impl Key {
    /// Puts together what is known of a pair.
    pub fn new(
        pair: &Pair,
        certificate: Option<&Certificate>,
        enrolment: Option<Enrolment>,
        boot: &Boot,
        kernels: Vec<(KernelRelease, Verdict)>,
    ) -> Self {
        let kernels_own = pair.is_the_kernels();
        let hidden = boot.secure == SecureBoot::On && !boot.shim && enrolment == Some(Enrolment::Missing);
        let next = match enrolment {
            _ if kernels_own => None,
            None => None,
            Some(enrolment) => {
                let pem = certificate.is_some_and(|certificate| certificate.pem);
                next(pair, pem, enrolment, boot, &kernels)
            }
        };
        Self {
            certificate: pair.shown.1.clone(),
            exists: certificate.is_some(),
            // The owner's keys are seen only where shim ran.
            enrolment: enrolment.filter(|_| !hidden),
            kernels_own,
            kernels,
            next,
        }
    }

    fn state(&self, secure_boot: SecureBoot) -> String {
        let text = match (self.kernels_own, self.exists, self.enrolment) {
            (true, _, _) => "the kernel's own",
            (_, false, _) => "not there yet; created when the first module is signed",
            (_, _, None) => "its enrolment is unknown",
            (_, _, Some(Enrolment::Enrolled)) if secure_boot != SecureBoot::On => {
                "enrolled, which counts while Secure Boot is on"
            }
            (_, _, Some(Enrolment::Enrolled)) => "enrolled",
            (_, _, Some(Enrolment::InFirmware)) => "in the firmware's database",
            (_, _, Some(Enrolment::Pending)) => "enrolment is requested and waits for a restart",
            (_, _, Some(Enrolment::Missing)) => "not enrolled",
            (_, _, Some(Enrolment::Blocked)) => "blocked by the firmware (dbx) or by shim (MokListX)",
        };
        text.to_owned()
    }

    /// The next step, where a kernel will not or may not load what it signs.
    fn step(&self) -> Option<&String> {
        self.next.as_ref().filter(|_| self.kernels.iter().any(|(_, verdict)| !verdict.loads()))
    }
}

/// A path as a word for the shell that the command is pasted into.
fn word(path: &str) -> String {
    // No path has a NUL, which is all that cannot be quoted.
    shlex::try_quote(path).map_or_else(|_| path.to_owned(), Into::into)
}

/// What is left to do for a certificate.
fn next(
    pair: &Pair,
    pem: bool,
    enrolment: Enrolment,
    boot: &Boot,
    kernels: &[(KernelRelease, Verdict)],
) -> Option<String> {
    let path = word(&pair.shown.1);
    // mokutil passes over a request for such a key, and says so to nobody who asks later.
    if enrolment == Enrolment::Blocked {
        let made = match pair.is_on_a_token() {
            true => "set mok_signing_key and mok_certificate in /etc/dkms/framework.conf to it".to_owned(),
            false => format!("move {} and {path} away, run `dkms generate_mok`", word(&pair.shown.0)),
        };
        return Some(format!(
            "make a new key: {made}, enroll its certificate as `dkms-hook status` then says, and run `dkms-hook \
             resign`"
        ));
    }
    match (boot.secure, boot.shim) {
        (SecureBoot::Off | SecureBoot::OffInShim, _) => {
            let refused = kernels.iter().any(|(_, verdict)| matches!(verdict, Verdict::Refused(_)));
            return refused.then(|| {
                "turn Secure Boot on, without which no enrolled key counts, or start without module.sig_enforce and \
                 lockdown"
                    .to_owned()
            });
        }
        (SecureBoot::NoEfi | SecureBoot::Unknown, _) => return None,
        (SecureBoot::On, false) if enrolment != Enrolment::InFirmware => {
            return Some(format!(
                "start by way of shim, which enrolls keys (this start did not go through it, so nothing asks for \
                 one), or add {path} to the firmware's db"
            ));
        }
        (SecureBoot::On, _) => {}
    }
    match enrolment {
        Enrolment::Enrolled | Enrolment::InFirmware | Enrolment::Blocked => {
            let may_be_patch = |verdict: &Verdict| matches!(verdict, Verdict::CannotTell(missing) if missing.contains(&Missing::PlatformPatch));
            (boot.shim && kernels.iter().any(|(_, verdict)| may_be_patch(verdict))).then(|| {
                format!(
                    "load one of the modules to see; if it is refused, `{}`, and choose \"Enroll MOK\" at the next \
                     start",
                    import(pair, pem)
                )
            })
        }
        Enrolment::Pending => {
            Some("restart, and choose \"Enroll MOK\" on the blue screen before the system starts".to_owned())
        }
        Enrolment::Missing => Some(format!(
            "`{}`, then restart, choose \"Enroll MOK\" on the blue screen and enter the password again",
            import(pair, pem)
        )),
    }
}

/// The command that asks for the enrolment.
fn import(pair: &Pair, pem: bool) -> String {
    let path = word(&pair.shown.1);
    if pair.is_shims() {
        "update-secureboot-policy --enroll-key".to_owned()
    } else if pem {
        let der = word(&format!("{}.der", pair.shown.1));
        format!("openssl x509 -in {path} -outform DER -out {der} && mokutil --import {der}")
    } else {
        format!("mokutil --import {path}")
    }
}

/// `no x, and no y`.
pub(super) fn listed(missing: &[Missing]) -> String {
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", and ")
}

/// The state of the machine in a line.
pub(super) fn state_line(secure_boot: SecureBoot) -> Option<&'static str> {
    Some(match secure_boot {
        SecureBoot::On => "on",
        SecureBoot::Off => "off",
        SecureBoot::OffInShim => "on in the firmware, but shim does not validate",
        SecureBoot::NoEfi => "not in use: this machine was not booted by EFI",
        SecureBoot::Unknown => return None,
    })
}

impl Signing {
    /// Nothing signs yet.
    pub fn new(secure_boot: SecureBoot) -> Self {
        Self { secure_boot, keys: Vec::new(), unsigned: Vec::new() }
    }

    /// The lines of `dkms-hook status`; none where nothing is known and nothing is wrong.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Some(state) = state_line(self.secure_boot) {
            text.push_str(&format!("Secure Boot: {state}\n"));
            for key in &self.keys {
                text.push_str(&key.text(self.secure_boot));
            }
        }
        for bare in &self.unsigned {
            text.push_str(&bare.text());
        }
        text
    }

    /// What somebody should know who has just built modules.
    pub fn warnings(&self) -> Vec<String> {
        self.keys.iter().filter(|key| key.exists).flat_map(Key::warnings).collect()
    }
}

impl Key {
    /// The lines on it, with what to do, and what else is to be known.
    pub(super) fn text(&self, secure_boot: SecureBoot) -> String {
        let mut text = format!("  signed with {}: {}\n", self.certificate, self.state(secure_boot));
        if let Some(next) = self.step() {
            text.push_str(&format!("  next: {next}\n"));
        }
        text
    }

    fn warnings(&self) -> Vec<String> {
        let Some(next) = self.step() else { return Vec::new() };
        let with = &self.certificate;
        let told = self.kernels.iter().filter_map(|(kernel, verdict)| match verdict {
            Verdict::Loads => None,
            Verdict::Refused(why) => Some(format!(
                "kernel {kernel} will refuse these modules (signed with {with}): {why}. Next: {next}"
            )),
            Verdict::CannotTell(missing) => Some(format!(
                "kernel {kernel} may refuse these modules (signed with {with}); what is missing to tell: {}. Next: \
                 {next}",
                listed(missing)
            )),
        });
        told.collect()
    }
}

impl Bare {
    fn text(&self) -> String {
        let Self { kernel, why, verdict } = self;
        match verdict {
            Verdict::Loads => String::new(),
            Verdict::Refused(_) => {
                format!("  modules for {kernel} are not signed, and will not load: {why}\n")
            }
            Verdict::CannotTell(_) => format!(
                "  modules for {kernel} are not signed: {why}. A machine with Secure Boot refuses them until they \
                 are, which dkms.service sees to at its first start\n"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Enforcer, NotKnown, Refusal};

    const BOOT: Boot = Boot { secure: SecureBoot::On, shim: true, moks_trusted: true, db_ignored: false };

    fn refused() -> Verdict {
        Verdict::Refused(Refusal::UnknownKey(Enforcer::SecureBoot, NotKnown::NotListed))
    }

    fn kernel() -> KernelRelease {
        KernelRelease::new("6.1").unwrap()
    }

    fn key(enrolment: Enrolment, next: Option<&str>, verdict: Verdict) -> Key {
        Key {
            certificate: "/k.pub".to_owned(),
            exists: true,
            enrolment: Some(enrolment),
            kernels_own: false,
            kernels: vec![(kernel(), verdict)],
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
        signing.keys = vec![
            key(Enrolment::Missing, Some("do this"), refused()),
            key(Enrolment::Enrolled, None, Verdict::Loads),
        ];
        let why = "of reasons".to_owned();
        let bare = |verdict| Bare { kernel: kernel(), why: why.clone(), verdict };
        signing.unsigned = vec![bare(Verdict::Refused(Refusal::Unsigned(Enforcer::SecureBoot)))];
        assert_eq!(
            signing.text(),
            "Secure Boot: on\n  signed with /k.pub: not enrolled\n  next: do this\n  signed with /k.pub: \
             enrolled\n  \
             modules for 6.1 are not signed, and will not load: of reasons\n"
        );
        let [warning] = &signing.warnings()[..] else { panic!("{:?}", signing.warnings()) };
        assert!(
            warning.starts_with("kernel 6.1 will refuse these modules (signed with /k.pub): its"),
            "{warning}"
        );
        assert!(
            warning.contains("because Secure Boot is on") && warning.ends_with("Next: do this"),
            "{warning}"
        );
        signing.secure_boot = SecureBoot::Off;
        signing.keys[0].kernels = vec![(kernel(), Verdict::Loads)];
        signing.unsigned = vec![bare(Verdict::Loads)];
        assert!(!signing.text().contains("do this") && !signing.text().contains("reasons"));
        assert!(signing.warnings().is_empty());
        // What an image says that is made in a chroot: of no machine, but that it is not all well.
        signing.secure_boot = SecureBoot::Unknown;
        assert_eq!(signing.text(), "");
        signing.unsigned = vec![bare(Verdict::CannotTell(vec![Missing::Firmware]))];
        assert!(signing.text().contains("A machine with Secure Boot refuses them"), "{}", signing.text());
    }

    fn pair() -> Pair {
        let layout = crate::tree::layout::Layout::new(crate::fs::root::Root::at("/nowhere"));
        crate::kernel::pair(&layout, &crate::model::settings::Settings::default(), None, "debian").unwrap()
    }

    #[test]
    fn nobody_is_sent_to_a_screen_that_does_not_come() {
        let step = |enrolment, boot: Boot, verdict| {
            Key::new(&pair(), None, Some(enrolment), &boot, vec![(kernel(), verdict)]).next
        };
        let blue = |text: Option<String>| text.is_some_and(|text| text.contains("blue screen"));
        assert!(blue(step(Enrolment::Missing, BOOT, refused())));
        assert!(blue(step(Enrolment::Pending, BOOT, refused())));
        let no_shim = Boot { shim: false, ..BOOT };
        let told = step(Enrolment::Missing, no_shim, refused()).unwrap();
        assert!(told.starts_with("start by way of shim") && told.contains("db"), "{told}");
        assert_eq!(Key::new(&pair(), None, Some(Enrolment::Missing), &no_shim, vec![]).enrolment, None);
        for secure in [SecureBoot::Off, SecureBoot::OffInShim] {
            let boot = Boot { secure, ..BOOT };
            assert_eq!(step(Enrolment::Missing, boot, Verdict::Loads), None);
            assert!(step(Enrolment::Enrolled, boot, refused()).unwrap().starts_with("turn Secure Boot on"));
        }
        assert_eq!(step(Enrolment::Missing, Boot { secure: SecureBoot::NoEfi, ..no_shim }, refused()), None);
        let depends = Verdict::CannotTell(vec![Missing::PlatformPatch]);
        assert!(step(Enrolment::InFirmware, BOOT, depends).unwrap().contains("mokutil --import"));
        assert_eq!(step(Enrolment::InFirmware, BOOT, Verdict::Loads), None);
    }
}
