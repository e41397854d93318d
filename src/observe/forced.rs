//! Packages whose modules are installed whatever the kernel has: lists that a vendor puts on disk.

use std::collections::BTreeSet;

use crate::fs::regular;
use crate::model::ids::ModuleName;
use crate::tree::layout::Layout;

/// Inside the root; every file in it is a list of words.
const LISTS: &str = "/usr/share/dkms/modules_to_force_install";

/// After a module's name: only its version does not matter.
const VERSION_ONLY: &str = "_version-override";

/// What the lists say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forced(BTreeSet<String>);

impl Forced {
    /// Reads the lists.
    pub fn of(layout: &Layout) -> Self {
        let files = crate::fs::look::read_dir(&layout.root.path(LISTS));
        let texts = files.filter_map(|file| regular::read_to_string(&file.path()).ok());
        Self(texts.flat_map(|t| t.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect())
    }

    /// Installed as with `--force`.
    pub fn force(&self, name: &ModuleName) -> bool {
        self.0.contains(name.as_str())
    }

    /// Installed as with `--force-version-override`.
    pub fn any_version(&self, name: &ModuleName) -> bool {
        self.force(name) || self.0.contains(&format!("{name}{VERSION_ONLY}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;

    #[test]
    fn lists_are_words() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        assert_eq!(Forced::of(&layout), Forced::default());
        std::fs::create_dir_all(layout.root.path(LISTS)).unwrap();
        std::fs::write(layout.root.path(LISTS).join("vendor"), "e1000e  igb_version-override\n").unwrap();
        let forced = Forced::of(&layout);
        let is = |name: &str| {
            let name = ModuleName::new(name).unwrap();
            (forced.force(&name), forced.any_version(&name))
        };
        assert_eq!([is("e1000e"), is("igb"), is("e1000")], [(true, true), (false, true), (false, false)]);
    }
}
