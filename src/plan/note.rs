//! Why nothing is done where something might be expected.

use std::path::PathBuf;

use crate::model::blind::Blind;
use crate::model::error::Error;
use crate::model::guard::Danger;
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId, Version};
use crate::model::record::FailureNote;
use crate::model::system::TreePlace;

/// A finding that leads to no action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The module version does not support this kernel.
    Excluded {
        /// Where.
        cell: Cell,
        /// Follows "because".
        why: String,
    },
    /// The same inputs failed before.
    FailedBefore {
        /// Where.
        cell: Cell,
        /// How.
        failure: Box<FailureNote>,
    },
    /// The module version does not compile for the kernel, and an older one is used instead.
    OlderInstead {
        /// Where.
        cell: Cell,
        /// The older version: installed, or to be installed by this plan.
        older: Version,
        /// The log of the failed build, inside the root.
        log: Option<PathBuf>,
    },
    /// The kernel has a newer module of that name, or the very same.
    Refused {
        /// Where.
        cell: Cell,
        /// What is kept.
        why: String,
    },
    /// The source or its dkms.conf cannot be read.
    Unreadable {
        /// Where.
        cell: Cell,
        /// The code and text of the error.
        error: Error,
    },
    /// Nothing is built here for this architecture.
    OtherArchitecture {
        /// Where.
        cell: Cell,
        /// For which something is built.
        own: Option<Arch>,
    },
    /// The `source` link leads nowhere.
    Broken {
        /// The module version.
        module: ModuleId,
        /// Where the link points.
        target: std::path::PathBuf,
    },
    /// The module version is not in the tree.
    NotAdded {
        /// The module version.
        module: ModuleId,
    },
    /// Modules wait for the headers of a kernel.
    Waiting {
        /// The kernel.
        kernel: KernelRelease,
        /// What to install.
        package: String,
    },
    /// There is no such kernel.
    UnknownKernel {
        /// The kernel.
        kernel: KernelRelease,
    },
    /// Its image package was removed; nothing is built for it.
    Removed {
        /// The kernel.
        kernel: KernelRelease,
    },
    /// Builds that `rebuild=abi` might have kept are made anew: the kernel has no symbol versions, and nothing
    /// else says whether they fit.
    Unversioned {
        /// The kernel.
        kernel: KernelRelease,
    },
    /// Its boot entry was removed; nothing is installed for it.
    NoBootEntry {
        /// The kernel.
        kernel: KernelRelease,
    },
    /// Modules that it depends on cannot be had.
    MissingDepends {
        /// Where.
        cell: Cell,
        /// Their names.
        names: Vec<String>,
        /// At least one of them is registered here, so this is a failure; otherwise it is put off
        /// until its package arrives.
        known: bool,
    },
    /// Nothing that this name stands for is built.
    NothingBuilt {
        /// As it was given.
        name: String,
    },
    /// It is to be signed and cannot be.
    CannotSign {
        /// Where.
        cell: Cell,
        /// Why not.
        why: String,
    },
    /// depmod cannot be led to the tree that modules are installed to, so there is no index of them.
    NoIndex {
        /// The kernel.
        kernel: KernelRelease,
        /// The tree.
        tree: std::path::PathBuf,
    },
    /// modprobe takes another file instead of one that is installed, and that one stays.
    Displaced {
        /// What is installed.
        cell: Cell,
        /// What modprobe takes.
        by: PathBuf,
        /// Why it stays.
        why: String,
    },
    /// A module of another package has its name, and is used instead: it is not installed again.
    Held {
        /// Where.
        cell: Cell,
        /// The build that has the name.
        by: Cell,
    },
    /// The index does not name a module that is installed, although depmod has seen it.
    NotIndexed {
        /// What is installed.
        cell: Cell,
        /// The module's file.
        file: PathBuf,
    },
    /// `/etc/dkms/no-autoinstall` is there.
    AutoinstallDisabled,
    /// Nothing to do: it is built.
    AlreadyBuilt {
        /// Where.
        cell: Cell,
    },
    /// Nothing to do: it is installed.
    AlreadyInstalled {
        /// Where.
        cell: Cell,
    },
    /// Nothing to do: it is not installed.
    NotInstalled {
        /// Where.
        cell: Cell,
    },
    /// Nothing to do: it is not built.
    NotBuilt {
        /// Where.
        cell: Cell,
    },
    /// It is registered already.
    AlreadyAdded {
        /// The module version.
        module: ModuleId,
    },
    /// Something could not be looked at: nothing that depends on it is deleted, forgotten or made anew.
    Blind {
        /// What it belongs to.
        about: Subject,
        /// Where, and why.
        blind: Blind,
    },
    /// The newest kernel lacks essential modules, and what can be done about it is done.
    Guarded {
        /// Which, and what is started instead.
        danger: Danger,
    },
    /// There is no kernel at all where kernels are looked for, so none counts as gone.
    NoKernel {
        /// Where they are looked for.
        dir: PathBuf,
        /// Kernels of which something is kept.
        kernels: Vec<KernelRelease>,
    },
    /// Kernels are looked for in another tree than at the last run, so none counts as gone.
    OtherTree {
        /// The tree of the last run.
        was: TreePlace,
        /// The tree of this run.
        is: TreePlace,
        /// Kernels of which something is kept.
        kernels: Vec<KernelRelease>,
    },
}

/// What something belongs to that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The directory that holds the kernels.
    Kernels {
        /// Kernels of which something is kept.
        kernels: Vec<KernelRelease>,
    },
    /// A kernel's files.
    Kernel {
        /// The kernel.
        kernel: KernelRelease,
    },
    /// What is remembered of a kernel.
    KernelNote {
        /// The kernel.
        kernel: KernelRelease,
    },
    /// The files that boot loaders load.
    Initramfs {
        /// The kernel.
        kernel: KernelRelease,
    },
    /// The tree of the modules, or a part of it.
    Modules,
    /// A module version, or its source.
    Module {
        /// The module version.
        module: ModuleId,
    },
    /// A build.
    Build {
        /// Where.
        cell: Cell,
    },
    /// Why there is no build.
    Verdict {
        /// Where.
        cell: Cell,
    },
}

impl Note {
    /// The cell that it is about, if it is about one.
    pub fn cell(&self) -> Option<&Cell> {
        match self {
            Self::Excluded { cell, .. }
            | Self::FailedBefore { cell, .. }
            | Self::OlderInstead { cell, .. }
            | Self::Refused { cell, .. }
            | Self::Unreadable { cell, .. }
            | Self::OtherArchitecture { cell, .. }
            | Self::MissingDepends { cell, .. }
            | Self::CannotSign { cell, .. }
            | Self::Displaced { cell, .. }
            | Self::NotIndexed { cell, .. }
            | Self::Held { cell, .. }
            | Self::AlreadyBuilt { cell }
            | Self::AlreadyInstalled { cell }
            | Self::NotInstalled { cell }
            | Self::NotBuilt { cell }
            | Self::Blind { about: Subject::Build { cell } | Subject::Verdict { cell }, .. } => Some(cell),
            _ => None,
        }
    }

    /// True when something could not be looked at, or nothing can be told from what was seen.
    pub fn is_blind(&self) -> bool {
        matches!(self, Self::Blind { .. } | Self::NoKernel { .. } | Self::OtherTree { .. })
    }

    /// True when this is a failure of a run over everything (autoinstall, a hook): something that
    /// should be there is not, and waiting will not bring it.
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::FailedBefore { .. }
                | Self::Refused { .. }
                | Self::Unreadable { .. }
                | Self::OtherArchitecture { .. }
                | Self::Broken { .. }
                | Self::UnknownKernel { .. }
                | Self::MissingDepends { known: true, .. }
                | Self::NothingBuilt { .. }
                | Self::CannotSign { .. }
                | Self::Displaced { .. }
                | Self::NotIndexed { .. }
                | Self::Blind { .. }
                | Self::NoKernel { .. }
                | Self::OtherTree { .. }
        )
    }
}
