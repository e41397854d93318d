//! Why nothing is done where something might be expected.

use serde::Serialize;

use crate::model::error::{Error, exit};
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId};
use crate::model::record::FailureNote;

/// A finding that leads to no action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "note", rename_all = "kebab-case")]
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
        #[serde(skip)]
        error: Error,
    },
    /// Nothing is built here for this architecture.
    OtherArchitecture {
        /// Where.
        cell: Cell,
        /// For which something is built.
        #[serde(skip_serializing_if = "Option::is_none")]
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
}

/// The error for an architecture that nothing is built for here.
pub fn other_architecture(asked: &Arch, own: Option<&Arch>) -> Error {
    let error = Error::new(exit::HEADERS, format!("nothing is built for {asked} here"));
    error.hint(match own {
        Some(own) => format!("leave -a away, or use -a {own}, the architecture of this machine"),
        None => "leave -a away".to_owned(),
    })
}

impl Note {
    /// The cell that it is about, if it is about one.
    pub fn cell(&self) -> Option<&Cell> {
        match self {
            Self::Excluded { cell, .. }
            | Self::FailedBefore { cell, .. }
            | Self::Refused { cell, .. }
            | Self::Unreadable { cell, .. }
            | Self::OtherArchitecture { cell, .. }
            | Self::MissingDepends { cell, .. }
            | Self::CannotSign { cell, .. }
            | Self::AlreadyBuilt { cell }
            | Self::AlreadyInstalled { cell }
            | Self::NotInstalled { cell }
            | Self::NotBuilt { cell } => Some(cell),
            _ => None,
        }
    }

    /// The error that this is to somebody who asked for the cell by name, with DKMS's exit status.
    pub fn error(&self) -> Option<Error> {
        Some(match self {
            Self::Excluded { cell, why } => Error::new(
                exit::EXCLUDED,
                format!("{} is not built for {} because {why}", cell.module, cell.kernel),
            ),
            Self::FailedBefore { cell, failure } => {
                let error = Error::new(
                    failure.code,
                    format!(
                        "{} for {} failed before with the same inputs: {}",
                        cell.module, cell.kernel, failure.what
                    ),
                );
                error.hint(format!("try again with `dkms install {} -k {}`", cell.module, cell.kernel))
            }
            Self::Refused { cell, why } => Error::new(
                exit::INSTALL,
                format!("{} was not installed for {}: {why}", cell.module, cell.kernel),
            )
            .hint(format!(
                "to install it all the same: `dkms install {} -k {} --force`",
                cell.module, cell.kernel
            )),
            Self::Unreadable { cell, error } => {
                let mut error = error.clone();
                error.message = format!("{} for {}: {}", cell.module, cell.kernel, error.message);
                error
            }
            Self::OtherArchitecture { cell, own } => other_architecture(&cell.arch, own.as_ref()),
            Self::Broken { module, target } => Error::new(
                exit::CONF_MISSING,
                format!("{module}: its source {} is missing", target.display()),
            )
            .hint(format!(
                "put the source back, or install its package again; after that `dkms remove {module} --all` can take \
                 the module out. Or delete the entry: /var/lib/dkms/{module}"
            )),
            Self::NotAdded { module } => {
                Error::new(exit::WRONG_STATE, format!("{module} is not in the DKMS tree"))
                    .hint(format!("add it first with `dkms add {module}`"))
            }
            Self::Waiting { kernel, package } => {
                Error::new(exit::HEADERS, format!("the headers of kernel {kernel} are not installed"))
                    .hint(format!("install {package}"))
            }
            Self::UnknownKernel { kernel } => Error::new(
                exit::HEADERS,
                format!("there is no kernel {kernel}: /lib/modules/{kernel} does not exist"),
            )
            .hint("`ls /lib/modules` names the kernels that are installed"),
            Self::MissingDepends { cell, names, known } if *known => Error::new(
                exit::DEPENDS,
                format!("{} for {} needs {} first", cell.module, cell.kernel, names.join(", ")),
            )
            .hint("install those modules for this kernel, then try again"),
            Self::MissingDepends { cell, names, .. } => Error::new(
                exit::DEPENDS,
                format!(
                    "{} for {} needs {}, not registered here",
                    cell.module,
                    cell.kernel,
                    names.join(", ")
                ),
            )
            .hint("install the packages of those modules; the build follows by itself"),
            Self::NothingBuilt { name } => {
                Error::new(exit::WRONG_STATE, format!("there is no build of {name} for these kernels"))
                    .hint("`dkms status` lists what is built")
            }
            Self::CannotSign { cell, why } => Error::new(
                exit::AUTOINSTALL,
                format!("{} for {} cannot be signed: {why}", cell.module, cell.kernel),
            ),
            Self::AlreadyAdded { module } => {
                Error::new(exit::WRONG_STATE, format!("{module} is already in the DKMS tree"))
            }
            Self::Removed { .. }
            | Self::NoBootEntry { .. }
            | Self::AutoinstallDisabled
            | Self::AlreadyBuilt { .. }
            | Self::AlreadyInstalled { .. }
            | Self::NotInstalled { .. }
            | Self::NotBuilt { .. } => return None,
        })
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
        )
    }

    /// What a person reads.
    pub fn text(&self) -> String {
        match self {
            Self::Removed { kernel } => {
                format!("{kernel}: its image package was removed; nothing is built for it")
            }
            Self::NoBootEntry { kernel } => format!(
                "{kernel}: its boot entry was removed (`kernel-install remove`); nothing is installed for it. \
                 To use it again: `kernel-install add {kernel} /lib/modules/{kernel}/vmlinuz`"
            ),
            Self::AutoinstallDisabled => {
                "Automatic installation of modules is switched off by /etc/dkms/no-autoinstall.".to_owned()
            }
            Self::AlreadyBuilt { cell } => {
                format!(
                    "{} is already built for kernel {} ({}), nothing to do.",
                    cell.module, cell.kernel, cell.arch
                )
            }
            Self::AlreadyInstalled { cell } => format!(
                "{} is already installed on kernel {} ({}), nothing to do.",
                cell.module, cell.kernel, cell.arch
            ),
            Self::NotInstalled { cell } => {
                format!(
                    "{} is not installed for kernel {} ({}). Skipping...",
                    cell.module, cell.kernel, cell.arch
                )
            }
            Self::NotBuilt { cell } => {
                format!(
                    "{} is not built for kernel {} ({}). Skipping...",
                    cell.module, cell.kernel, cell.arch
                )
            }
            Self::Waiting { kernel, package } => format!(
                "{kernel}: modules wait for its headers. Install {package}; they are built as soon as it arrives."
            ),
            other => other.error().map(|e| e.to_string()).unwrap_or_default(),
        }
    }
}
