//! What the running kernel says of itself: it wins over variables, configuration and parameters.

use std::collections::BTreeSet;

use super::verdict::Live;
use crate::fs::regular;
use crate::fs::root::Root;

/// How far it is locked down (kernel_lockdown(7)): `none [integrity] confidentiality`.
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// Where the security modules of the kernel have their files.
const SECURITY: &str = "/sys/kernel/security";

/// `module.sig_enforce`.
const SIG_ENFORCE: &str = "/sys/module/module/parameters/sig_enforce";

/// The keys that this process may see (proc_keys(5)).
const KEYS: &str = "/proc/keys";

impl Live {
    /// Reads it.
    pub fn of(root: &Root) -> Self {
        let says = |file: &str| regular::read_to_string(&root.path(file)).ok();
        let sig_enforce = says(SIG_ENFORCE).and_then(|text| match text.trim() {
            "Y" => Some(true),
            "N" => Some(false),
            _ => None,
        });
        let lockdown = match says(LOCKDOWN) {
            Some(text) => Some(text.contains("[integrity]") || text.contains("[confidentiality]")),
            // Where others have their files, a kernel without this one cannot be locked down.
            None if has_entries(root) => Some(false),
            None => None,
        };
        Self { sig_enforce, lockdown, keys: says(KEYS).and_then(|text| keys(&text)) }
    }
}

fn has_entries(root: &Root) -> bool {
    root.path(SECURITY).read_dir().is_ok_and(|mut entries| entries.next().is_some())
}

/// The subject key identifiers of the certificates in a table of keys; nothing when it has none, which is what somebody sees
/// who may not look. A line ends with `SUBJECT: IDENTIFIER: X509.rsa LAST [FLAGS]`.
fn keys(table: &str) -> Option<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for line in table.lines().filter(|line| line.split_whitespace().any(|word| word == "asymmetri")) {
        let Some((described, _)) = line.rsplit_once(": X509.") else { continue };
        if let Some((_, identifier)) = described.rsplit_once(' ') {
            found.insert(identifier.to_ascii_lowercase());
        }
    }
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_kernel_by_their_identifiers() {
        let table = "0e3a1b2c I------     1 perm 1f0b0000     0     0 keyring   .builtin_trusted_keys: 2\n\
            2b44e7a1 I------     1 perm 1f030000     0     0 asymmetri Debian: a: b: \
            A9E11E874a957460961e83742dc8178792244a4d: X509.rsa 92244a4d []\n\
            2b44e7a2 I--Q---     1 perm 1f030000     0     0 user      somebody: 5\n";
        let found = keys(table).unwrap();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a9e11e874a957460961e83742dc8178792244a4d"]);
        assert_eq!(keys("2b44e7a2 I--Q---     1 perm 1f030000     0     0 user      somebody: 5\n"), None);
    }

    #[test]
    fn what_cannot_be_read_is_not_known() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        let write = |path: &str, text: &str| {
            let path = root.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert_eq!(Live::of(&root), Live::default());
        write("/sys/kernel/security/lsm", "yama");
        write(SIG_ENFORCE, "N\n");
        assert_eq!((Live::of(&root).sig_enforce, Live::of(&root).lockdown), (Some(false), Some(false)));
        write(LOCKDOWN, "none [integrity] confidentiality\n");
        assert_eq!(Live::of(&root).lockdown, Some(true));
    }
}
