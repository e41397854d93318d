//! Which boot loader decides what is started.

use crate::boot::variable::variable;
use crate::boot::{grub, systemd_boot};
use crate::fs::root::Root;

/// A boot loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loader {
    /// GRUB with a menu that update-grub makes, as on Debian.
    Grub,
    /// GRUB with an entry in a file for each kernel (Boot Loader Specification), as on Fedora.
    GrubWithEntries,
    /// systemd-boot.
    SystemdBoot,
}

impl Loader {
    /// That of a root; `None` where nobody can tell. The one that started this machine says so itself; otherwise what is
    /// installed counts.
    pub fn of(root: &Root) -> Option<Self> {
        if variable(root, "LoaderInfo").is_some_and(|info| info.starts_with("systemd-boot")) {
            return Some(Self::SystemdBoot);
        }
        match () {
            () if root.path(grub::MENU).is_file() => Some(Self::Grub),
            () if grub::has_entries(root) => Some(Self::GrubWithEntries),
            () if systemd_boot::is_installed(root) => Some(Self::SystemdBoot),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::variable::VENDOR;

    fn write(root: &Root, inside: &str, bytes: &[u8]) {
        let path = root.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn set(root: &Root, name: &str, text: &str) {
        let mut bytes = vec![6, 0, 0, 0];
        bytes.extend(text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
        write(root, &format!("/sys/firmware/efi/efivars/{name}-{VENDOR}"), &bytes);
    }

    #[test]
    fn the_loader_that_started_the_machine_counts_before_what_is_installed() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        assert_eq!(Loader::of(&root), None);
        write(&root, "/efi/EFI/systemd/systemd-bootx64.efi", b"");
        assert_eq!(Loader::of(&root), Some(Loader::SystemdBoot));
        write(&root, "/boot/loader/entries/a-1.conf", b"");
        write(&root, "/boot/grub2/grubenv", b"");
        assert_eq!(Loader::of(&root), Some(Loader::GrubWithEntries));
        write(&root, "/boot/grub/grub.cfg", b"");
        assert_eq!(Loader::of(&root), Some(Loader::Grub));
        set(&root, "LoaderInfo", "systemd-boot 257.13");
        assert_eq!(Loader::of(&root), Some(Loader::SystemdBoot));
        set(&root, "LoaderInfo", "GRUB 2.12");
        assert_eq!(Loader::of(&root), Some(Loader::Grub));
    }
}
