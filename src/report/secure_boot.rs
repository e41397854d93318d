//! `dkms-hook secure-boot`: what each kernel makes of each module file, as a table.

use std::path::PathBuf;

use crate::kernel::{Answer, Boot, Enforcer, Verdict};
use crate::model::ids::KernelRelease;
use crate::report::signing::{Key, listed, state_line};
use crate::trust::firmware::{Enrolment, SecureBoot};

/// The exit status where a module is refused.
const REFUSED: u8 = 1;

/// The exit status where none is refused, and of some it cannot be told.
const CANNOT_TELL: u8 = 4;

/// The whole table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// How the machine was started.
    pub boot: Boot,
    /// The keys that sign here.
    pub keys: Vec<Key>,
    /// Kernel by kernel.
    pub kernels: Vec<OfKernel>,
}

/// One kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfKernel {
    /// The kernel.
    pub release: KernelRelease,
    /// It is the running one: what it says of itself was asked.
    pub running: bool,
    /// Whether it insists on signatures.
    pub enforced: Answer<Enforcer, ()>,
    /// Module file by module file.
    pub modules: Vec<OfModule>,
}

/// One module file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfModule {
    /// The registered module that it is of; nothing for a file that was named.
    pub module: Option<String>,
    /// The file, inside the root.
    pub file: PathBuf,
    /// What the kernel makes of it.
    pub verdict: Verdict,
}

impl Table {
    /// 0 when every module loads, 1 when one is refused, 4 when none is and of one it cannot be told.
    pub fn status(&self) -> u8 {
        let verdicts =
            || self.kernels.iter().flat_map(|kernel| &kernel.modules).map(|module| &module.verdict);
        if verdicts().any(|verdict| matches!(verdict, Verdict::Refused(_))) {
            REFUSED
        } else if verdicts().any(|verdict| matches!(verdict, Verdict::CannotTell(_))) {
            CANNOT_TELL
        } else {
            0
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = match state_line(self.boot.secure) {
            Some("on") if self.boot.shim => "Secure Boot: on, started by way of shim\n".to_owned(),
            Some("on") => "Secure Boot: on, started without shim\n".to_owned(),
            Some(state) => format!("Secure Boot: {state}\n"),
            None => "Secure Boot: not known here\n".to_owned(),
        };
        for key in &self.keys {
            text.push_str(&key.text(self.boot.secure));
        }
        for kernel in &self.kernels {
            text.push_str(&kernel.text());
        }
        if self.kernels.iter().all(|kernel| kernel.modules.is_empty()) {
            text.push_str("no module is installed\n");
        }
        text
    }
}

impl OfKernel {
    fn text(&self) -> String {
        let running = if self.running { " (running)" } else { "" };
        let enforced = match &self.enforced {
            Answer::Yes(enforcer) => format!("loads signed modules only, because {enforcer}"),
            Answer::No(()) => "loads modules without a signature, too".to_owned(),
            Answer::Unknown(missing) => {
                format!("whether it loads signed modules only cannot be told, for want of {missing}")
            }
        };
        let mut text = format!("{}{running}: {enforced}\n", self.release);
        for OfModule { module, file, verdict } in &self.modules {
            let name = match module {
                Some(module) => {
                    format!("{} ({module})", file.file_name().unwrap_or_default().to_string_lossy())
                }
                None => file.display().to_string(),
            };
            let told = match verdict {
                Verdict::Loads => "loads".to_owned(),
                Verdict::Refused(why) => format!("refused: {why}"),
                Verdict::CannotTell(missing) => format!("cannot tell, for want of {}", listed(missing)),
            };
            text.push_str(&format!("  {name}: {told}\n"));
        }
        text
    }
}

/// Why there is no use in enrolling a certificate now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pointless {
    /// The machine was not started by EFI.
    NoEfi,
    /// Nothing is known of the firmware from here.
    Unknown,
    /// This start did not go through shim.
    NoShim,
    /// Secure Boot is off.
    Off,
    /// It is enrolled.
    Enrolled,
    /// It is asked for already.
    Pending,
    /// It is blocked: shim passes over such a request.
    Blocked,
    /// The kernels know it: they were built with it, or it is in the firmware's db and they take that.
    Known,
}

impl Pointless {
    /// For a certificate with this enrolment, which is `enough` without another: the kernels know it.
    pub fn of(boot: &Boot, enrolment: Option<Enrolment>, enough: bool) -> Option<Self> {
        match (boot.secure, enrolment) {
            _ if enough => Some(Self::Known),
            (SecureBoot::NoEfi, _) => Some(Self::NoEfi),
            (SecureBoot::Unknown, _) => Some(Self::Unknown),
            (_, Some(Enrolment::Blocked)) => Some(Self::Blocked),
            (SecureBoot::Off | SecureBoot::OffInShim, _) => Some(Self::Off),
            (SecureBoot::On, _) if !boot.shim => Some(Self::NoShim),
            (SecureBoot::On, Some(Enrolment::Enrolled)) => Some(Self::Enrolled),
            (SecureBoot::On, Some(Enrolment::Pending)) => Some(Self::Pending),
            (SecureBoot::On, Some(Enrolment::InFirmware | Enrolment::Missing) | None) => None,
        }
    }

    /// What to say, with the one next step.
    pub fn text(self) -> &'static str {
        match self {
            Self::NoEfi => {
                "there is nothing to enrol: this machine was not booted by EFI, and asks for no signatures"
            }
            Self::Unknown => {
                "from here nothing is known of the firmware; run it on the machine itself (with efivarfs mounted)"
            }
            Self::NoShim => {
                "enrolling would change nothing: this start did not go through shim, which asks for keys at the next \
                 one; start by way of shim, or add the certificate to the firmware's db"
            }
            Self::Off => {
                "enrolling would change nothing now: while Secure Boot is off (or shim does not validate) the kernel \
                 reads no enrolled keys; turn it on, then enrol"
            }
            Self::Enrolled => "there is nothing to do: the certificate is enrolled",
            Self::Pending => {
                "it is asked for already: restart, and choose \"Enroll MOK\" on the blue screen before the system starts"
            }
            Self::Blocked => {
                "shim enrols no blocked certificate (dbx, MokListX): make a new key, as `dkms-hook status` says"
            }
            Self::Known => "there is nothing to do: the kernels here know the certificate",
        }
    }

    /// True when all is as it should be.
    pub fn is_well(self) -> bool {
        matches!(self, Self::NoEfi | Self::Enrolled | Self::Pending | Self::Known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_there_is_no_use_in_enrolling() {
        let boot = |secure, shim| Boot { secure, shim, moks_trusted: shim, db_ignored: false };
        let missing = Some(Enrolment::Missing);
        let rows = [
            (boot(SecureBoot::NoEfi, false), missing, false, Some(Pointless::NoEfi)),
            (boot(SecureBoot::Unknown, false), missing, false, Some(Pointless::Unknown)),
            (boot(SecureBoot::On, false), missing, false, Some(Pointless::NoShim)),
            (boot(SecureBoot::Off, true), missing, false, Some(Pointless::Off)),
            (boot(SecureBoot::OffInShim, true), Some(Enrolment::Enrolled), false, Some(Pointless::Off)),
            (boot(SecureBoot::On, true), Some(Enrolment::Enrolled), false, Some(Pointless::Enrolled)),
            (boot(SecureBoot::On, true), Some(Enrolment::Pending), false, Some(Pointless::Pending)),
            (boot(SecureBoot::On, true), Some(Enrolment::Blocked), false, Some(Pointless::Blocked)),
            (boot(SecureBoot::On, true), Some(Enrolment::InFirmware), true, Some(Pointless::Known)),
            (boot(SecureBoot::On, true), Some(Enrolment::InFirmware), false, None),
            (boot(SecureBoot::On, true), missing, false, None),
            (boot(SecureBoot::On, true), None, false, None),
        ];
        for (boot, enrolment, enough, expected) in rows {
            assert_eq!(Pointless::of(&boot, enrolment, enough), expected, "{boot:?} {enrolment:?}");
        }
        assert!(Pointless::Pending.text().contains("restart") && !Pointless::NoShim.is_well());
    }

    #[test]
    fn the_status_is_that_of_the_worst() {
        let of = |verdicts: &[Verdict]| {
            let modules = verdicts.iter().map(|verdict| OfModule {
                module: None,
                file: "/x.ko".into(),
                verdict: verdict.clone(),
            });
            let kernel = OfKernel {
                release: KernelRelease::new("6.1").unwrap(),
                running: true,
                enforced: Answer::Yes(Enforcer::SecureBoot),
                modules: modules.collect(),
            };
            let boot = Boot { secure: SecureBoot::On, shim: true, moks_trusted: true, db_ignored: false };
            Table { boot, keys: Vec::new(), kernels: vec![kernel] }
        };
        let refused = Verdict::Refused(crate::kernel::Refusal::Unsigned(Enforcer::SecureBoot));
        let unclear = Verdict::CannotTell(vec![crate::kernel::Missing::Firmware]);
        assert_eq!(of(&[Verdict::Loads]).status(), 0);
        assert_eq!(of(&[Verdict::Loads, unclear.clone()]).status(), 4);
        let all = of(&[unclear, refused, Verdict::Loads]);
        assert_eq!(all.status(), 1);
        assert_eq!(
            all.text(),
            "Secure Boot: on, started by way of shim\n6.1 (running): loads signed modules only, because Secure Boot \
             is on\n  /x.ko: cannot tell, for want of the firmware of the machine that starts it\n  /x.ko: refused: \
             it is not signed, and the kernel loads only signed modules, because Secure Boot is on\n  /x.ko: loads\n"
        );
        assert!(of(&[]).text().ends_with("no module is installed\n"));
    }
}
