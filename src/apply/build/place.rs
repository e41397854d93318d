//! Where a build happens, and under which name its commands see that directory.

use std::path::PathBuf;

use crate::model::ids::{Cell, ModuleId};
use crate::tree::layout::Layout;

/// A build directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where it is.
    pub dir: PathBuf,
    /// Where the commands of the build see it: always `T/m/v/build`. A dkms.conf may name that path, and modules
    /// have it in them.
    pub seen: PathBuf,
}

impl Place {
    /// `T/m/v/build` itself, as with DKMS: for one build of the module version at a time.
    pub fn usual(layout: &Layout, module: &ModuleId) -> Self {
        let dir = layout.build_dir(module);
        Self { seen: dir.clone(), dir }
    }

    /// One that only this cell has. Its name is one that DKMS does not see, and that the next run clears away when
    /// this one is killed.
    pub fn own(layout: &Layout, cell: &Cell) -> Self {
        let name = format!(".tmp-build_{}_{}", cell.kernel, cell.arch);
        Self { dir: layout.version(&cell.module).join(name), seen: layout.build_dir(&cell.module) }
    }

    /// Whether commands see it in another place than where it is.
    pub fn is_own(&self) -> bool {
        self.dir != self.seen
    }
}
