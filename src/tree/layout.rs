//! Where things are: DKMS's own on-disk layout, plus the files that only we read.
//!
//! The layout is the one DKMS documents in dkms(8) and uses on disk, so that a machine moves from
//! one program to the other and back without rebuilding anything. What we keep in addition has
//! names starting with a dot, which DKMS's directory globs never match.

use std::path::{Path, PathBuf};

use crate::fs::root::Root;
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId, ModuleName};
use crate::model::inside;

/// Name of the file that tells a build out of an archive, see [`Layout::loaded_mark`].
pub const LOADED: &str = ".dkms-hook-loaded";

/// Name of the file that has a build's directives, see [`Layout::directives`].
pub const DIRECTIVES: &str = ".dkms-hook-conf.json";

/// Name of the file that has what a build uses of its kernel, see [`Layout::uses`].
pub const USES: &str = ".dkms-hook-uses.json.zst";

/// Name of the log in a build directory.
pub const MAKE_LOG: &str = "make.log";

/// Name of the directory beside a module's versions that holds the modules that were there before ours.
pub const ORIGINALS: &str = "original_module";

/// The three trees, as seen from inside the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The root that all paths below are inside of.
    pub root: Root,
    /// `/var/lib/dkms` (`--dkmstree`, `dkms_tree` in framework.conf).
    pub dkms_tree: PathBuf,
    /// `/usr/src` (`--sourcetree`, `source_tree`).
    pub source_tree: PathBuf,
    /// `/lib/modules` (`--installtree`, `install_tree`).
    pub install_tree: PathBuf,
}

impl Layout {
    /// The default trees in `root`.
    pub fn new(root: Root) -> Self {
        Self {
            root,
            dkms_tree: "/var/lib/dkms".into(),
            source_tree: "/usr/src".into(),
            install_tree: "/lib/modules".into(),
        }
    }

    /// The module tree itself (`T`).
    pub fn tree(&self) -> PathBuf {
        self.root.path(&self.dkms_tree)
    }

    /// `T/m`.
    pub fn module(&self, name: &ModuleName) -> PathBuf {
        self.tree().join(name)
    }

    /// `T/m/v`.
    pub fn version(&self, id: &ModuleId) -> PathBuf {
        self.module(&id.name).join(&id.version)
    }

    /// `T/m/v/source`: the link to (or, for binary-only entries, the directory of) the source.
    pub fn source_link(&self, id: &ModuleId) -> PathBuf {
        self.version(id).join("source")
    }

    /// `T/m/v/build`: where a build happens; shared by all kernels of that module version.
    pub fn build_dir(&self, id: &ModuleId) -> PathBuf {
        self.version(id).join("build")
    }

    /// `T/m/v/build/make.log`.
    pub fn make_log(&self, id: &ModuleId) -> PathBuf {
        self.build_dir(id).join(MAKE_LOG)
    }

    /// `S/m-v`, as this process opens it.
    pub fn source(&self, id: &ModuleId) -> PathBuf {
        self.root.path(self.source_inside(id))
    }

    /// `S/m-v`, as seen from inside the root: what the `source` link points at.
    pub fn source_inside(&self, id: &ModuleId) -> PathBuf {
        self.source_tree.join(format!("{}-{}", id.name, id.version))
    }

    /// `T/m/v/k/a`: the result of a build.
    pub fn cell(&self, cell: &Cell) -> PathBuf {
        self.version(&cell.module).join(&cell.kernel).join(&cell.arch)
    }

    /// `T/m/v/k/a/module`: its existence is what "built" means.
    pub fn built_modules(&self, cell: &Cell) -> PathBuf {
        self.cell(cell).join("module")
    }

    /// `T/m/v/k/a/.dkms-hook.json`: what the build was made from and which files were installed.
    pub fn record(&self, cell: &Cell) -> PathBuf {
        self.cell(cell).join(".dkms-hook.json")
    }

    /// `T/m/v/k/a/.dkms-hook-conf.json`: the directives that the build was made with. Read only to say which
    /// of them changed.
    pub fn directives(&self, cell: &Cell) -> PathBuf {
        self.cell(cell).join(DIRECTIVES)
    }

    /// `T/m/v/k/a/.dkms-hook-uses.json.zst`: what the build uses of its kernel, where that is needed to say whether it
    /// fits other headers.
    pub fn uses(&self, cell: &Cell) -> PathBuf {
        self.cell(cell).join(USES)
    }

    /// `T/m/v/k/a/.dkms-hook-loaded`: exists where the build came out of an archive, perhaps before its
    /// kernel did. Once there is a record, it means nothing any more.
    pub fn loaded_mark(&self, cell: &Cell) -> PathBuf {
        self.cell(cell).join(LOADED)
    }

    /// `T/m/kernel-k-a`: the link to the installed version.
    pub fn active_link(&self, name: &ModuleName, kernel: &KernelRelease, arch: &Arch) -> PathBuf {
        self.module(name).join(format!("kernel-{kernel}-{arch}"))
    }

    /// `T/m/original_module/k/a`: modules that were there before ours.
    pub fn originals(&self, name: &ModuleName, kernel: &KernelRelease, arch: &Arch) -> PathBuf {
        self.module(name).join(ORIGINALS).join(kernel).join(arch)
    }

    /// `L/k`, as this process opens it.
    pub fn kernel(&self, kernel: &KernelRelease) -> PathBuf {
        self.root.path(self.install_tree.join(kernel))
    }

    /// Whether a path, as seen from inside the root, is of something below `L/k`: what records and confs name is
    /// written to and deleted nowhere else.
    pub fn is_of_kernel(&self, kernel: &KernelRelease, path: &Path) -> bool {
        inside::below(path, &self.install_tree.join(kernel)).is_some()
    }

    /// `L/k/build` as a path that `make -C` can use: with its links followed when the root has a
    /// prefix (they may be absolute), as written otherwise.
    pub fn headers(&self, kernel: &KernelRelease) -> PathBuf {
        let inside = self.install_tree.join(kernel).join("build");
        if self.root.is_slash() {
            return self.root.path(&inside);
        }
        self.root.resolve(&inside).unwrap_or_else(|_| self.root.path(&inside))
    }

    /// `T/.dkms-hook`: everything we keep that belongs to no build.
    pub fn state(&self) -> PathBuf {
        self.tree().join(".dkms-hook")
    }

    /// What we know of a kernel beyond its files: waiting, removed, depmod or initramfs due.
    pub fn kernel_note(&self, kernel: &KernelRelease) -> PathBuf {
        self.state().join("kernels").join(format!("{kernel}.json"))
    }

    /// With which dkms.conf files bash did not come to an end.
    pub fn endless(&self) -> PathBuf {
        self.state().join("endless.json")
    }

    /// What is in directories that were listed before.
    pub fn directories(&self) -> PathBuf {
        self.state().join("directories")
    }

    /// Which builds the index of a kernel's modules was found to name.
    pub fn index_looks(&self, kernel: &KernelRelease) -> PathBuf {
        self.state().join("indexes").join(format!("{kernel}.json"))
    }

    /// What the modules of a kernel said when its index was last made: there to save time.
    pub fn known_modules(&self, kernel: &KernelRelease) -> PathBuf {
        self.state().join("modules").join(format!("{kernel}.zst"))
    }

    /// Which depmod(8) is installed: there to save a process.
    pub fn depmod_file(&self) -> PathBuf {
        self.state().join("depmod.json")
    }

    /// Which directory held the kernels at the last run that looked at all of them.
    pub fn install_tree_file(&self) -> PathBuf {
        self.state().join("install-tree.json")
    }

    /// What the boot guard found and did.
    pub fn boot_guard(&self) -> PathBuf {
        self.state().join("boot-guard.json")
    }

    /// Why there is no build in a cell: excluded, or failed; keyed by the inputs it was judged on.
    pub fn verdict(&self, cell: &Cell) -> PathBuf {
        self.verdict_dir(&cell.module).join(format!("{}-{}.json", cell.kernel, cell.arch))
    }

    /// The kept log of a failed build.
    pub fn failed_log(&self, cell: &Cell) -> PathBuf {
        self.verdict_dir(&cell.module).join(format!("{}-{}.log", cell.kernel, cell.arch))
    }

    /// Exists while a failed build has not been shown in a summary: the cheap test that keeps apt
    /// from starting us for nothing.
    pub fn unreported(&self) -> PathBuf {
        self.state().join("unreported")
    }

    /// Modules that an rpm transaction is adding.
    pub fn upgrades(&self) -> PathBuf {
        self.state().join("rpm-upgrades.json")
    }

    /// Directory of the verdicts of one module version.
    pub fn verdict_dir(&self, id: &ModuleId) -> PathBuf {
        self.state().join("verdicts").join(&id.name).join(&id.version)
    }

    /// Builds that can be had again.
    pub fn build_cache(&self) -> PathBuf {
        self.state().join("cache")
    }

    /// The transaction that was held last.
    pub fn held(&self) -> PathBuf {
        self.state().join("held.json")
    }

    /// Exists when somebody said that the next transaction which would be held may go on.
    pub fn go_on(&self) -> PathBuf {
        self.state().join("go-on")
    }

    /// The private place of an attempt to build for a kernel that is still to come: the first that an overlay can write
    /// to. Beside the tree, as it may not be in what it is laid over; and in memory, where all files of the system are in
    /// an overlay themselves (containers, live systems).
    pub fn preflight(&self) -> Vec<PathBuf> {
        const NAME: &str = ".dkms-hook-preflight";
        let memory = ["/run", "/dev/shm"].map(|dir| self.root.path(dir).join(NAME));
        std::iter::once(self.tree().with_file_name(NAME)).chain(memory).collect()
    }

    /// What the own commands of a module version wrote into its source.
    pub fn own_writes(&self, id: &ModuleId) -> PathBuf {
        self.state().join("own-writes").join(&id.name).join(format!("{}.json", id.version))
    }

    /// `/etc/dkms`, as this process opens it.
    pub fn etc(&self) -> PathBuf {
        self.root.path("/etc/dkms")
    }

    /// The path of something in the tree as messages and logs name it: from inside the root.
    pub fn shown(&self, path: &Path) -> PathBuf {
        self.root.inside(path)
    }
}
