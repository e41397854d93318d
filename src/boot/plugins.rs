//! Which plugins kernel-install(8) would run here.
//!
//! A name counts in the first directory where it is a plugin or a mask. What is neither (a file that is not
//! executable, a directory) leaves the name to the next one: `chmod -x` on a copy in `/etc` brings the
//! original back. Seen with systemd 257.13 and 262.1; in the directories of run-parts(8), such as
//! `/etc/kernel/postinst.d`, it is the other way round.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::fs::look::read_dir;
use crate::fs::root::Root;

/// Where plugins are, the more important place first. No other is looked at, `/run` neither.
const PLACES: [&str; 2] = ["/etc/kernel/install.d", "/usr/lib/kernel/install.d"];

/// Plugins that make an initramfs themselves, without the number before their names: distributions choose
/// their own. (55-initrd.install of Debian only copies one.)
const GENERATORS: [&str; 8] =
    ["dracut", "mkinitcpio", "mkosi", "mkosi-initrd", "ugrd", "booster", "ukify-booster", "sdbootutil"];

/// Our own plugin. What runs before it makes an initramfs of the modules that were there.
const OURS: &str = "40-dkms.install";

/// The plugins that are in effect, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plugins(BTreeMap<String, PathBuf>);

impl Plugins {
    /// Those of a root. `replaced` is the value of KERNEL_INSTALL_PLUGINS, a list of paths that takes
    /// the place of both directories.
    pub fn of(root: &Root, replaced: Option<&str>) -> Self {
        let mut found = BTreeMap::new();
        if let Some(list) = replaced.filter(|list| !list.trim().is_empty()) {
            for path in list.split_whitespace().map(Path::new) {
                if let Some(name) = path.file_name().and_then(|n| n.to_str()) {
                    found.insert(name.to_owned(), root.path(path));
                }
            }
            return Self(found);
        }
        let mut masked = BTreeSet::new();
        for place in PLACES {
            for entry in read_dir(&root.path(place)) {
                let Ok(name) = entry.file_name().into_string() else { continue };
                if !name.ends_with(".install") || found.contains_key(&name) || masked.contains(&name) {
                    continue;
                }
                match Entry::of(&entry.path()) {
                    Entry::Plugin => drop(found.insert(name, entry.path())),
                    Entry::Mask => drop(masked.insert(name)),
                    Entry::Nothing => {}
                }
            }
        }
        Self(found)
    }

    /// Whether the plugin of this name is run.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether one of them makes an initramfs, after our own.
    pub fn make_initramfs(&self) -> bool {
        self.0.keys().filter(|name| name.as_str() > OURS).any(|name| {
            let name = name.trim_start_matches(|c: char| c.is_ascii_digit());
            let name = name.strip_prefix('-').and_then(|name| name.strip_suffix(".install"));
            name.is_some_and(|name| GENERATORS.contains(&name))
        })
    }
}

/// What a file in one of the directories is.
enum Entry {
    /// It is run.
    Plugin,
    /// Neither it nor what the directories behind have under this name is run.
    Mask,
    /// As if it were not there.
    Nothing,
}

impl Entry {
    fn of(path: &Path) -> Self {
        // In a root without devices the link leads nowhere.
        if std::fs::read_link(path).is_ok_and(|target| target == Path::new("/dev/null")) {
            return Self::Mask;
        }
        let Ok(meta) = std::fs::metadata(path) else { return Self::Nothing };
        let kind = meta.file_type();
        if kind.is_char_device() || kind.is_block_device() || (kind.is_file() && meta.len() == 0) {
            return Self::Mask;
        }
        match kind.is_file() && meta.permissions().mode() & 0o111 != 0 {
            true => Self::Plugin,
            false => Self::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn plugin(root: &Root, path: &str, mode: u32) {
        let path = root.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    // What systemd 257.13 and 262.1 run, tried with each of these in /etc and a plugin in /usr/lib.
    #[test]
    fn what_masks_a_plugin_and_what_does_not() {
        type Put = fn(&Root, &str);
        let cases: [(&str, Put, bool); 9] = [
            ("a link to /dev/null", |root, path| symlink("/dev/null", root.path(path)).unwrap(), false),
            (
                "a relative link to it",
                |root, path| symlink("../../../dev/null", root.path(path)).unwrap(),
                false,
            ),
            ("an empty file", |root, path| std::fs::write(root.path(path), "").unwrap(), false),
            (
                "an empty executable file",
                |root, path| {
                    plugin(root, path, 0o755);
                    std::fs::File::create(root.path(path)).unwrap();
                },
                false,
            ),
            ("a file that is not executable", |root, path| plugin(root, path, 0o644), true),
            ("a directory", |root, path| std::fs::create_dir(root.path(path)).unwrap(), true),
            ("a link that leads nowhere", |root, path| symlink("/none", root.path(path)).unwrap(), true),
            ("an executable file", |root, path| plugin(root, path, 0o755), true),
            ("nothing", |_, _| {}, true),
        ];
        for (what, put, run) in cases {
            let dir = tempfile::tempdir().unwrap();
            let root = Root::at(dir.path());
            plugin(&root, "/usr/lib/kernel/install.d/50-dracut.install", 0o755);
            std::fs::create_dir_all(root.path("/etc/kernel/install.d")).unwrap();
            std::fs::create_dir(root.path("/dev")).unwrap();
            symlink("/dev/null", root.path("/dev/null")).unwrap();
            put(&root, "/etc/kernel/install.d/50-dracut.install");
            let plugins = Plugins::of(&root, None);
            assert_eq!((plugins.make_initramfs(), plugins.has("50-dracut.install")), (run, run), "{what}");
        }
    }

    #[test]
    fn masked_and_replaced_plugins() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        assert!(!Plugins::of(&root, None).has("50-depmod.install"));
        plugin(&root, "/usr/lib/kernel/install.d/50-depmod.install", 0o755);
        plugin(&root, "/usr/lib/kernel/install.d/50-dracut.install", 0o755);
        plugin(&root, "/usr/lib/kernel/install.d/90-other.install", 0o644);
        let all = Plugins::of(&root, None);
        assert!(all.has("50-depmod.install") && all.make_initramfs() && !all.has("90-other.install"));

        std::fs::create_dir_all(root.path("/etc/kernel/install.d")).unwrap();
        symlink("/dev/null", root.path("/etc/kernel/install.d/50-depmod.install")).unwrap();
        plugin(&root, "/etc/kernel/install.d/50-dracut.install", 0o755);
        let all = Plugins::of(&root, Some(" "));
        assert!(!all.has("50-depmod.install") && all.make_initramfs());

        std::fs::remove_file(root.path("/usr/lib/kernel/install.d/50-dracut.install")).unwrap();
        std::fs::remove_file(root.path("/etc/kernel/install.d/50-dracut.install")).unwrap();
        plugin(&root, "/etc/kernel/install.d/30-mkosi.install", 0o755);
        assert!(!Plugins::of(&root, None).make_initramfs(), "it ran before the modules came");
        plugin(&root, "/etc/kernel/install.d/52-ugrd.install", 0o755);
        assert!(Plugins::of(&root, None).make_initramfs());

        let all = Plugins::of(&root, Some("/x/50-depmod.install /y/40-dkms.install"));
        assert!(all.has("50-depmod.install") && !all.make_initramfs());
    }
}
