//! Which plugins kernel-install(8) would run here.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::fs::look::read_dir;
use crate::fs::root::Root;

/// Where plugins are; a file in the first hides one of the same name in the second.
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
        for place in PLACES {
            for entry in read_dir(&root.path(place)) {
                if let Ok(name) = entry.file_name().into_string()
                    && name.ends_with(".install")
                {
                    found.entry(name).or_insert_with(|| entry.path());
                }
            }
        }
        found.retain(|_, path| is_run(path));
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

/// A link to `/dev/null` or an empty file masks a plugin; one that is not executable is not run.
fn is_run(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() > 0 && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(root: &Root, path: &str, mode: u32) {
        let path = root.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
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
        std::os::unix::fs::symlink("/dev/null", root.path("/etc/kernel/install.d/50-depmod.install"))
            .unwrap();
        plugin(&root, "/etc/kernel/install.d/50-dracut.install", 0o755);
        let all = Plugins::of(&root, Some(" "));
        assert!(!all.has("50-depmod.install") && all.make_initramfs());

        plugin(&root, "/etc/kernel/install.d/50-dracut.install", 0o644);
        assert!(!Plugins::of(&root, None).make_initramfs());
        plugin(&root, "/etc/kernel/install.d/30-mkosi.install", 0o755);
        assert!(!Plugins::of(&root, None).make_initramfs(), "it ran before the modules came");
        plugin(&root, "/etc/kernel/install.d/52-ugrd.install", 0o755);
        assert!(Plugins::of(&root, None).make_initramfs());

        let all = Plugins::of(&root, Some("/x/50-depmod.install /y/40-dkms.install"));
        assert!(all.has("50-depmod.install") && !all.make_initramfs());
    }
}
