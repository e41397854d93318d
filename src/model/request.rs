//! What is asked of the program, whoever asks: a person at a shell, a package manager's hook.

use std::fmt;

use crate::model::ids::{Arch, BadName, KernelRelease, ModuleId, ModuleName, Version};

/// A state that some cells should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Bring everything for these kernels in line (all kernels on disk when `None`): what
    /// `dkms-hook` does.
    Reconcile {
        /// The kernels, or all.
        kernels: Option<Vec<KernelRelease>>,
        /// Try again what failed before with the same inputs (a person asks).
        retry: bool,
    },
    /// `dkms autoinstall`: every module with AUTOINSTALL for one kernel. Asked by a person, so
    /// earlier failures are tried again.
    Autoinstall {
        /// The kernel.
        kernel: KernelRelease,
        /// The architecture.
        arch: Arch,
    },
    /// `dkms add|build|install|uninstall|unbuild` of one module version for one kernel.
    Bring {
        /// The module version.
        module: ModuleId,
        /// The kernel.
        kernel: KernelRelease,
        /// The architecture.
        arch: Arch,
        /// The state it should have.
        to: Goal,
        /// `--force`.
        force: bool,
    },
    /// `dkms remove`: the given cells are unbuilt; the module version leaves the tree when no
    /// build of it is left.
    Remove {
        /// The module version.
        module: ModuleId,
        /// The kernels; none means only those cells that exist nowhere.
        cells: Vec<(KernelRelease, Arch)>,
    },
    /// Sign anew, without building, what does not bear the present key's signature.
    Resign {
        /// For these kernels, or all.
        kernels: Option<Vec<KernelRelease>>,
        /// These modules; none means every one.
        modules: Vec<Wanted>,
        /// Only what was built here without a signature, as in an image: no key is made there.
        unsigned: bool,
    },
    /// A kernel was or is being removed: purge what is ours for it (`dkms kernel_prerm`).
    KernelRemoved {
        /// The kernel.
        kernel: KernelRelease,
    },
}

/// A module in one or in every version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: ModuleName,
    /// One version, or all.
    pub version: Option<Version>,
}

impl Wanted {
    /// Reads `NAME` or `NAME/VERSION`.
    ///
    /// # Errors
    /// When one of the two is no name.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        Ok(match text.trim_end_matches('/').split_once('/') {
            Some((name, version)) => {
                Self { name: ModuleName::new(name)?, version: Some(Version::new(version)?) }
            }
            None => Self { name: ModuleName::new(text.trim_end_matches('/'))?, version: None },
        })
    }

    /// True when `id` is one of those meant.
    pub fn includes(&self, id: &ModuleId) -> bool {
        self.name == id.name && self.version.as_ref().is_none_or(|version| *version == id.version)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}/{version}", self.name),
            None => self.name.fmt(f),
        }
    }
}

/// The state that a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Registered.
    Added,
    /// Built, not necessarily installed.
    Built,
    /// Installed.
    Installed,
    /// Built but not installed.
    Uninstalled,
    /// Registered, not built.
    Unbuilt,
}
