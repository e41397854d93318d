//! What the firmware says: whether Secure Boot is on, and which certificates it and shim trust.
//!
//! Read from efivarfs and from what the kernel keeps of shim's variables; changes nothing. In a
//! root that is entered with chroot(2) the firmware is that of another system: nothing is said.

mod signature_list;

use std::path::{Path, PathBuf};

use crate::fs::regular;
use crate::fs::root::Root;
use crate::trust::pki::Certificate;

/// Vendor of `SecureBoot` and `SetupMode`: EFI_GLOBAL_VARIABLE (UEFI specification 2.10, section 3.3).
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// Vendor of `db` and `dbx`: EFI_IMAGE_SECURITY_DATABASE_GUID (section 32.4.1).
const DATABASE: &str = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";

/// Vendor of shim's own variables (shim, README and MokVars.txt).
const SHIM: &str = "605dab50-e046-4300-abb6-3dd810dd8b23";

/// Where the variables are, inside a root.
const VARIABLES: &str = "/sys/firmware/efi/efivars";

/// Where the kernel keeps what shim hands over, complete where a variable may be cut
/// (drivers/firmware/efi/mokvar-table.c, since Linux 5.10).
const HANDED_OVER: &str = "/sys/firmware/efi/mok-variables";

/// Attributes before the content in efivarfs, in bytes (efivarfs.rst of the kernel).
const ATTRIBUTES: usize = 4;

/// The largest variable that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// Whether the firmware, and with it the kernel, insists on signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecureBoot {
    /// On.
    On,
    /// The machine could, and does not.
    Off,
    /// On in the firmware, but shim was told not to validate (`mokutil --disable-validation`), and
    /// the kernel follows shim.
    OffInShim,
    /// The machine was not started by EFI: nothing asks for signatures.
    NoEfi,
    /// This root says nothing of the machine that it is for.
    Unknown,
}

/// Whether the kernel will know a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enrolment {
    /// Among the machine owner's keys.
    Enrolled,
    /// In the firmware's own database.
    InFirmware,
    /// Asked for; shim will offer it at the next start.
    Pending,
    /// On a list of what is not to be trusted, wherever else it is: shim enrols no such key, and whether a
    /// kernel takes its signatures depends on that kernel's configuration.
    Blocked,
    /// Nowhere.
    Missing,
}

/// In which lists a certificate is. Whether a kernel looks at a list depends on the kernel and on how it was
/// started: `kernel::signing` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lists {
    /// Among the machine owner's keys, as shim handed them over in this boot.
    pub mok: bool,
    /// In `db`.
    pub db: bool,
    /// In MokListX or dbx.
    pub blocked: bool,
}

/// The firmware of the machine that a root is for.
#[derive(Debug, Clone)]
pub struct Firmware {
    variables: PathBuf,
    handed_over: PathBuf,
    state: SecureBoot,
}

impl Firmware {
    /// Looks at a root.
    pub fn of(root: &Root) -> Self {
        let (variables, handed_over) = (root.path(VARIABLES), root.path(HANDED_OVER));
        let mut firmware = Self { variables, handed_over, state: SecureBoot::Unknown };
        firmware.state = match root.is_foreign() && root.is_slash() {
            true => SecureBoot::Unknown,
            false if root.path("/sys/firmware/efi").is_dir() => firmware.secure_boot(),
            false if root.path("/sys/firmware").is_dir() => SecureBoot::NoEfi,
            false => SecureBoot::Unknown,
        };
        firmware
    }

    /// Whether Secure Boot is on.
    pub fn state(&self) -> SecureBoot {
        self.state
    }

    fn secure_boot(&self) -> SecureBoot {
        // Debian has efivarfs as a module: while it is not mounted, nothing can be said.
        if self.variables.read_dir().is_ok_and(|mut entries| entries.next().is_none()) {
            return SecureBoot::Unknown;
        }
        let flag = |name: &str, vendor: &str| self.variable(name, vendor).map(|v| v.first() == Some(&1));
        match flag("SecureBoot", GLOBAL) {
            // The kernel, too, takes a variable that is missing for "off" (efi_get_secureboot()).
            None | Some(false) => SecureBoot::Off,
            Some(true) if flag("SetupMode", GLOBAL) == Some(true) => SecureBoot::Off,
            Some(true) if flag("MokSBStateRT", SHIM) == Some(true) => SecureBoot::OffInShim,
            Some(true) => SecureBoot::On,
        }
    }

    /// True when shim ran in this boot: it leaves its list of keys, even an empty one, to the system.
    pub fn has_shim(&self) -> bool {
        !self.mirrored("MokListRT").is_empty()
    }

    /// True when the owner's keys are to count for more than starting the kernel. The kernel asks whether the
    /// variable is there, not for its value (uefi_check_trust_mok_keys(), security/integrity/platform_certs).
    pub fn trusts_moks(&self) -> bool {
        !self.mirrored("MokListTrustedRT").is_empty()
    }

    /// True when the kernel is to pass over `db` (`mokutil --ignore-db`; uefi_check_ignore_db()).
    pub fn ignores_db(&self) -> bool {
        self.variable("MokIgnoreDB", SHIM).is_some()
    }

    /// In which lists a certificate is.
    pub fn lists(&self, certificate: &Certificate) -> Lists {
        let any = |lists: Vec<Vec<u8>>, holds: fn(&[u8], &Certificate) -> bool| {
            lists.iter().any(|bytes| holds(bytes, certificate))
        };
        Lists {
            mok: any(self.mirrored("MokListRT"), signature_list::holds_itself),
            db: any(self.database(), signature_list::holds_itself),
            blocked: any(self.mirrored("MokListXRT"), signature_list::holds)
                || any(self.blocked_by_firmware(), signature_list::holds),
        }
    }

    /// The certificates of the owner's list and of `db`.
    pub fn certificates(&self) -> Vec<Certificate> {
        let lists = self.mirrored("MokListRT").into_iter().chain(self.database());
        let mut all: Vec<Certificate> = Vec::new();
        for list in lists {
            for certificate in signature_list::certificates(&list) {
                if !all.iter().any(|known| known.der == certificate.der) {
                    all.push(certificate);
                }
            }
        }
        all
    }

    /// Where a certificate is.
    pub fn enrolment(&self, certificate: &Certificate) -> Enrolment {
        let holds = |bytes: &[u8]| signature_list::holds(bytes, certificate);
        let any_holds = |lists: Vec<Vec<u8>>| lists.iter().any(|bytes| holds(bytes));
        if any_holds(self.mirrored("MokListXRT")) || any_holds(self.blocked_by_firmware()) {
            Enrolment::Blocked
        } else if any_holds(self.mirrored("MokListRT")) {
            Enrolment::Enrolled
        } else if self.variable("db", DATABASE).is_some_and(|bytes| holds(&bytes)) {
            Enrolment::InFirmware
        } else if self.variable("MokNew", SHIM).is_some_and(|bytes| holds(&bytes)) {
            Enrolment::Pending
        } else {
            Enrolment::Missing
        }
    }

    /// One of shim's lists, `MokListRT` (the owner's keys) or `MokListXRT` (keys that are blocked), with
    /// the parts that a small variable store makes shim split it into (`MokListRT1` and so on).
    fn mirrored(&self, name: &str) -> Vec<Vec<u8>> {
        let whole = [read(&self.handed_over.join(name)), self.variable(name, SHIM)];
        let parts = (1..100).map_while(|part| self.variable(&format!("{name}{part}"), SHIM));
        whole.into_iter().flatten().chain(parts).collect()
    }

    /// `db`.
    fn database(&self) -> Vec<Vec<u8>> {
        self.variable("db", DATABASE).into_iter().collect()
    }

    /// `dbx`.
    fn blocked_by_firmware(&self) -> Vec<Vec<u8>> {
        let both = [self.variable("dbx", DATABASE), read(&self.handed_over.join("dbx"))];
        both.into_iter().flatten().collect()
    }

    /// The content of a variable.
    fn variable(&self, name: &str, vendor: &str) -> Option<Vec<u8>> {
        let bytes = read(&self.variables.join(format!("{name}-{vendor}")))?;
        bytes.get(ATTRIBUTES..).map(<[u8]>::to_vec)
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    regular::read_up_to(path, LARGEST).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Root, path: &str, bytes: &[u8]) {
        let path = root.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn set(root: &Root, name: &str, vendor: &str, content: &[u8]) {
        write(root, &format!("{VARIABLES}/{name}-{vendor}"), &[&[6, 0, 0, 0], content].concat());
    }

    fn certificate() -> Certificate {
        Certificate { der: b"der".to_vec(), issuer: vec![], serial: vec![], key_id: None, pem: false }
    }

    #[test]
    fn secure_boot_is_what_firmware_and_shim_agree_on() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        let state = || Firmware::of(&root).state();
        assert_eq!(state(), SecureBoot::Unknown);
        std::fs::create_dir_all(root.path("/sys/firmware/devicetree")).unwrap();
        assert_eq!(state(), SecureBoot::NoEfi);
        std::fs::create_dir_all(root.path(VARIABLES)).unwrap();
        assert_eq!(state(), SecureBoot::Unknown, "efivarfs is not mounted");
        set(&root, "BootOrder", GLOBAL, &[0]);
        assert_eq!(state(), SecureBoot::Off);
        set(&root, "SecureBoot", GLOBAL, &[1]);
        assert_eq!(state(), SecureBoot::On);
        set(&root, "MokSBStateRT", SHIM, &[1]);
        assert_eq!(state(), SecureBoot::OffInShim);
        set(&root, "SetupMode", GLOBAL, &[1]);
        assert_eq!(state(), SecureBoot::Off);
        // Cut off: as good as missing.
        write(&root, &format!("{VARIABLES}/SecureBoot-{GLOBAL}"), &[6, 0]);
        assert_eq!(state(), SecureBoot::Off);
        assert_eq!(Firmware::of(&Root::entered()).state(), SecureBoot::Unknown);
    }

    #[test]
    fn lists_say_what_they_hold_and_shim_that_it_ran() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        let lists = || Firmware::of(&root).lists(&certificate());
        let shim = || {
            let firmware = Firmware::of(&root);
            (firmware.has_shim(), firmware.trusts_moks(), firmware.ignores_db())
        };
        set(&root, "SecureBoot", GLOBAL, &[1]);
        assert_eq!((lists(), shim()), (Lists::default(), (false, false, false)));
        set(&root, "db", DATABASE, &signature_list::list_of(b"der"));
        assert_eq!(lists(), Lists { db: true, ..Lists::default() });
        set(&root, "MokListRT", SHIM, &[]);
        set(&root, "MokListTrustedRT", SHIM, &[0]);
        set(&root, "MokIgnoreDB", SHIM, &[0]);
        assert_eq!((lists().mok, shim()), (false, (true, true, true)));
        write(&root, &format!("{HANDED_OVER}/MokListRT"), &signature_list::list_of(b"der"));
        set(&root, "dbx", DATABASE, &signature_list::list_of(b"der"));
        assert_eq!(lists(), Lists { mok: true, db: true, blocked: true });
    }

    // What mokutil 0.7.2 calls "blocked in MokListX", and the same list of the firmware (UEFI 2.10, 32.6).
    #[test]
    fn a_blocked_certificate_is_nothing_else() {
        let list = &signature_list::list_of(b"der");
        let places = [
            format!("{VARIABLES}/MokListXRT-{SHIM}"),
            format!("{VARIABLES}/MokListXRT1-{SHIM}"),
            format!("{VARIABLES}/dbx-{DATABASE}"),
            format!("{HANDED_OVER}/MokListXRT"),
            format!("{HANDED_OVER}/dbx"),
        ];
        for place in places {
            let dir = tempfile::tempdir().unwrap();
            let root = Root::at(dir.path());
            set(&root, "SecureBoot", GLOBAL, &[1]);
            set(&root, "MokListXRT", SHIM, &signature_list::list_of(b"another"));
            let content =
                if place.starts_with(VARIABLES) { [&[6, 0, 0, 0], &**list].concat() } else { list.clone() };
            write(&root, &place, &content);
            assert_eq!(Firmware::of(&root).enrolment(&certificate()), Enrolment::Blocked, "{place}");
            for name in ["MokListRT", "MokNew"] {
                set(&root, name, SHIM, list);
                assert_eq!(
                    Firmware::of(&root).enrolment(&certificate()),
                    Enrolment::Blocked,
                    "{place} {name}"
                );
            }
        }
    }

    #[test]
    fn a_certificate_is_looked_for_everywhere() {
        let list = &signature_list::list_of(b"der");
        let other = signature_list::list_of(b"another");
        let handed_over = format!("{HANDED_OVER}/MokListRT");
        type Put<'a> = Box<dyn Fn(&Root) + 'a>;
        let shim = |name: &'static str| -> Put<'_> { Box::new(move |root| set(root, name, SHIM, list)) };
        let places: [(Put<'_>, Enrolment); 5] = [
            (shim("MokListRT"), Enrolment::Enrolled),
            (Box::new(|root| write(root, &handed_over, list)), Enrolment::Enrolled),
            (shim("MokListRT1"), Enrolment::Enrolled),
            (Box::new(|root| set(root, "db", DATABASE, list)), Enrolment::InFirmware),
            (shim("MokNew"), Enrolment::Pending),
        ];
        for (put, expected) in places {
            let dir = tempfile::tempdir().unwrap();
            let root = Root::at(dir.path());
            set(&root, "SecureBoot", GLOBAL, &[1]);
            set(&root, "MokListRT", SHIM, &other);
            assert_eq!(Firmware::of(&root).enrolment(&certificate()), Enrolment::Missing);
            put(&root);
            assert_eq!(Firmware::of(&root).enrolment(&certificate()), expected);
        }
    }
}
