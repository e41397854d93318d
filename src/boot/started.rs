//! Which kernel a boot loader starts when nobody chooses one, as far as its files say so.

use super::grub;
use super::loader::Loader;
use crate::fs::root::Root;
use crate::model::ids::KernelRelease;

/// The one of these kernels that is started; `None` where that is not known: an entry is chosen by its name, by what was
/// saved, or by the firmware.
pub fn started<'k>(root: &Root, kernels: &[&'k KernelRelease]) -> Option<&'k KernelRelease> {
    match Loader::of(root)? {
        Loader::Grub if grub::takes_the_first(root) => {
            kernels.iter().find(|kernel| grub::starts(root, kernel)).copied()
        }
        Loader::GrubWithEntries => grub::saved(root, kernels),
        Loader::Grub | Loader::SystemdBoot => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MENU: &str = "if [ \"${next_entry}\" ] ; then\n   set default=\"${next_entry}\"\nelse\n   set default=\"0\"\n\
                        fi\nmenuentry 'x' {\n\tlinux\t/boot/vmlinuz-6.1 root=/dev/sda1\n}\n";

    fn told(files: &[(&str, &str)]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        for (name, text) in files {
            let path = root.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let known = ["6.1", "6.12", "12"].map(|release| KernelRelease::new(release).unwrap());
        started(&root, &known.each_ref()).map(ToString::to_string)
    }

    #[test]
    fn what_is_started_is_told_where_the_files_say_so() {
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[("/boot/grub/grub.cfg", MENU)]).as_deref(), Some("6.1"));
        let saved = MENU.replace("default=\"0\"", "default=\"${saved_entry}\"");
        assert_eq!(told(&[("/boot/grub/grub.cfg", &saved)]), None);
        let entries = [
            ("/boot/loader/entries/0123-6.12.conf", ""),
            ("/boot/grub2/grubenv", "# GRUB Environment Block\nsaved_entry=0123-6.12\n"),
        ];
        assert_eq!(told(&entries).as_deref(), Some("6.12"));
        assert_eq!(told(&entries[..1]), None);
        assert_eq!(told(&[entries[0], ("/boot/grub2/grubenv", "saved_entry=other\n")]), None);
    }
}
