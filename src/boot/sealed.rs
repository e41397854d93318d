//! Disks whose key a TPM gives out only for the start that it knows: a new initramfs or unified image is another start.

use crate::fs::regular;
use crate::tree::layout::Layout;

/// What is unlocked, and how (crypttab(5)).
const CRYPTTAB: &str = "/etc/crypttab";

/// Where systemd-pcrlock(8) keeps the policy that it made.
const PCRLOCK: &str = "/var/lib/systemd/pcrlock.json";

/// The registers that an initramfs or a unified image changes: what is started (4), what GRUB read (8, 9), unified images and
/// what goes with them (11, 12, 13). systemd-cryptenroll(1) binds to 7 where nobody says otherwise, which none does.
const CHANGED: [&str; 6] = ["4", "8", "9", "11", "12", "13"];

/// How the key of a disk may be bound to what starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sealed {
    /// By a policy of systemd-pcrlock.
    Pcrlock,
    /// By what crypttab says of this volume.
    Volume(String),
}

impl Sealed {
    /// What to say of it after an initramfs was made.
    pub fn text(&self) -> String {
        match self {
            Self::Pcrlock => "A disk is bound to what starts (systemd-pcrlock), and the new initramfs is another start: run \
                              `/usr/lib/systemd/systemd-pcrlock make-policy` before you restart, or have its recovery key \
                              at hand."
                .to_owned(),
            Self::Volume(name) => format!(
                "The TPM unlocks {name} (crypttab): if its key is bound to what starts (PCR 4, 8, 9, 11 or 12), the new \
                 initramfs is another start: have its passphrase or recovery key at hand when you restart."
            ),
        }
    }
}

/// Whether the key of a disk may be bound to what starts.
pub fn sealed(layout: &Layout) -> Option<Sealed> {
    if layout.root.path(PCRLOCK).exists() {
        return Some(Sealed::Pcrlock);
    }
    let table = regular::read_to_string(&layout.root.path(CRYPTTAB)).ok()?;
    table.lines().find_map(bound).map(Sealed::Volume)
}

/// The name of a volume that a line of crypttab has the TPM unlock, unless it names registers that no initramfs changes.
fn bound(line: &str) -> Option<String> {
    let mut fields = line.split('#').next()?.split_whitespace();
    let name = fields.next()?;
    let options = || fields.clone().nth(2).unwrap_or_default().split(',');
    if !options().any(|option| option.starts_with("tpm2-device=")) {
        return None;
    }
    let named = options().find_map(|option| option.strip_prefix("tpm2-pcrs="));
    let changes = named.is_none_or(|registers| {
        registers.split('+').any(|register| CHANGED.contains(&register.split(':').next().unwrap_or_default()))
    });
    changes.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;

    #[test]
    fn a_disk_is_bound_where_the_tpm_unlocks_it() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let of = |table: &str| {
            std::fs::create_dir_all(dir.path().join("etc")).unwrap();
            std::fs::write(dir.path().join("etc/crypttab"), table).unwrap();
            sealed(&layout)
        };
        assert_eq!(sealed(&layout), None);
        assert_eq!(of("# root UUID=1 none tpm2-device=auto\nroot UUID=1 none luks,discard\n"), None);
        let root = Some(Sealed::Volume("root".to_owned()));
        assert_eq!(of("home UUID=2 none luks\nroot UUID=1 none luks,tpm2-device=auto\n"), root);
        assert_eq!(of("root UUID=1 none tpm2-device=auto,tpm2-pcrs=7\n"), None);
        assert_eq!(of("root UUID=1 none tpm2-device=auto,tpm2-pcrs=7+9:sha256\n"), root);
        let policy = dir.path().join("var/lib/systemd/pcrlock.json");
        std::fs::create_dir_all(policy.parent().unwrap()).unwrap();
        std::fs::write(policy, "{}").unwrap();
        assert!(sealed(&layout).unwrap().text().contains("make-policy"));
    }
}
