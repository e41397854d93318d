//! The words of notes, for a person and as the error of whoever asked.

use std::fmt::Write;

use super::note::{Note, Subject};
use crate::model::blind::{Blind, Cause};
use crate::model::error::{Error, Kind};
use crate::model::ids::{Arch, KernelRelease};
use crate::model::system::TreePlace;

/// What to do when kernels are gone for good although nothing proves it.
const PURGE_MISSING: &str =
    "If these kernels are gone for good, `dkms-hook --purge-missing` deletes what was built for them";

fn names(kernels: &[KernelRelease]) -> String {
    let names: Vec<&str> = kernels.iter().map(KernelRelease::as_str).collect();
    names.join(", ")
}

fn other_tree(was: &TreePlace, is: &TreePlace) -> String {
    let mut text = format!("the kernels were in {} at the last run", was.path.display());
    // Writing to a String cannot fail.
    let _ = if was.path != is.path {
        write!(text, ", but install_tree is now {}", is.path.display())
    } else if (&was.kind, &was.mounted) != (&is.kind, &is.mounted) {
        let (old, new) = (was.mounted.display(), is.mounted.display());
        write!(
            text,
            " on {} mounted at {old}, and now that directory is on {} mounted at {new}",
            was.kind, is.kind
        )
    } else {
        write!(text, " on another {} file system than now", was.kind)
    };
    text
}

fn blind_error(about: &Subject, blind: &Blind) -> Error {
    let (path, cause) = (blind.path.display(), &blind.cause);
    let kept = match about {
        Subject::Kernels { kernels } => format!("the modules of {} are kept", names(kernels)),
        Subject::Kernel { kernel } => format!("nothing is changed for kernel {kernel}"),
        Subject::KernelNote { kernel } => {
            format!("depmod and the initramfs count as due for kernel {kernel}")
        }
        Subject::Initramfs { kernel } => format!("the initramfs of kernel {kernel} counts as due"),
        Subject::Modules => "the modules in it are left alone".to_owned(),
        Subject::Module { module } => format!("{module} is left alone"),
        Subject::Build { cell } => format!("{} for {} is left alone", cell.module, cell.kernel),
        Subject::Verdict { cell } => {
            format!("the build of {} for {} is not retried", cell.module, cell.kernel)
        }
    };
    let hint = match (about, &blind.cause) {
        (_, Cause::Format(_)) => {
            format!("install the version of dkms-hook that wrote it; or move {path} away to go on without it")
        }
        (Subject::KernelNote { .. }, Cause::Damaged(_)) => {
            "the next run that changes it keeps the damaged file beside it, with `.damaged` added to its name"
                .to_owned()
        }
        (Subject::Build { cell }, Cause::Damaged(_)) => format!(
            "to rebuild it: `dkms build {0} -k {1} --force`, then `dkms install {0} -k {1}`; the damaged file \
             is kept beside it",
            cell.module, cell.kernel
        ),
        (Subject::Verdict { cell }, Cause::Damaged(_)) => {
            format!("to retry it: `dkms install {} -k {}`", cell.module, cell.kernel)
        }
        (Subject::Kernels { .. }, Cause::Damaged(_)) => {
            "if these kernels are gone for good, delete that file and run `dkms-hook` again".to_owned()
        }
        (Subject::Kernels { .. } | Subject::Kernel { .. }, _) => {
            "mount or repair the file system that holds it, or correct install_tree in \
             /etc/dkms/framework.conf; then run `dkms-hook` again"
                .to_owned()
        }
        (_, Cause::NotAFile) => {
            format!("move {path} away to continue without it; then run `dkms-hook` again")
        }
        _ => "mount or repair the file system that holds it; then run `dkms-hook` again".to_owned(),
    };
    Error::new(Kind::Unseen, format!("cannot look at {path}: {cause}; {kept}")).hint(hint)
}

/// The error for an architecture that nothing is built for here.
pub fn other_architecture(asked: &Arch, own: Option<&Arch>) -> Error {
    let error = Error::new(Kind::OtherArchitecture, format!("nothing is built for {asked} here"));
    error.hint(match own {
        Some(own) => format!("omit -a, or use -a {own}, the architecture of this machine"),
        None => "omit -a".to_owned(),
    })
}

impl Note {
    /// The error that this is to somebody who asked for the cell by name, with DKMS's exit status.
    pub fn error(&self) -> Option<Error> {
        Some(match self {
            Self::Excluded { cell, why } => Error::new(
                Kind::Excluded,
                format!("{} is not built for {} because {why}", cell.module, cell.kernel),
            ),
            Self::FailedBefore { cell, failure } => {
                let error = Error::new(
                    failure.kind,
                    format!(
                        "{} for {} failed before, and no input changed since: {}",
                        cell.module, cell.kernel, failure.what
                    ),
                );
                let retry = match failure.kind {
                    Kind::NotSigned => "dkms-hook resign",
                    _ => "dkms install",
                };
                error.hint(format!("retry with `{retry} {} -k {}`", cell.module, cell.kernel))
            }
            Self::Refused { cell, why } => Error::new(
                Kind::InstallRefused,
                format!("{} was not installed for {}: {why}", cell.module, cell.kernel),
            )
            .hint(format!("to install it anyway: `dkms install {} -k {} --force`", cell.module, cell.kernel)),
            Self::Unreadable { cell, error } => {
                error.clone().context(format_args!("{} for {}", cell.module, cell.kernel))
            }
            Self::OtherArchitecture { cell, own } => other_architecture(&cell.arch, own.as_ref()),
            Self::Broken { module, target } => Error::new(
                Kind::ModuleBroken,
                format!("{module}: its source {} is missing", target.display()),
            )
            .hint(format!(
                "restore the source, or reinstall its package; after that `dkms remove {module} --all` can \
                 remove the module. Or delete the entry: /var/lib/dkms/{module}"
            )),
            Self::NotAdded { module } => {
                Error::new(Kind::NotRegistered, format!("{module} is not in the DKMS tree"))
                    .hint(format!("add it first with `dkms add {module}`"))
            }
            Self::Waiting { kernel, package } => {
                Error::new(Kind::HeadersMissing, format!("the headers of kernel {kernel} are not installed"))
                    .hint(format!("install {package}"))
            }
            Self::UnknownKernel { kernel } => Error::new(
                Kind::UnknownKernel,
                format!("there is no kernel {kernel}: /lib/modules/{kernel} does not exist"),
            )
            .hint("`ls /lib/modules` lists the installed kernels"),
            Self::MissingDepends { cell, names, known } if *known => Error::new(
                Kind::DependsMissing,
                format!("{} for {} needs {} first", cell.module, cell.kernel, names.join(", ")),
            )
            .hint("install those modules for this kernel, then retry"),
            Self::MissingDepends { cell, names, .. } => Error::new(
                Kind::DependsMissing,
                format!(
                    "{} for {} needs {}, which is not registered",
                    cell.module,
                    cell.kernel,
                    names.join(", ")
                ),
            )
            .hint("install the packages of those modules; the build then starts automatically"),
            Self::NothingBuilt { name } => {
                Error::new(Kind::NothingBuilt, format!("there is no build of {name} for these kernels"))
                    .hint("`dkms status` lists the builds")
            }
            Self::CannotSign { cell, why } => Error::new(
                Kind::NotSigned,
                format!("{} for {} cannot be signed: {why}", cell.module, cell.kernel),
            ),
            Self::Displaced { cell, by, why } => Error::new(
                Kind::InstallRefused,
                format!(
                    "{} is installed for {}, but modprobe takes {}; that stays, as {why}",
                    cell.module,
                    cell.kernel,
                    by.display()
                ),
            )
            .hint(format!(
                "to use {0}: move that file away, then `dkms install {0} -k {1} --force`",
                cell.module, cell.kernel
            )),
            Self::NotIndexed { cell, file } => Error::new(
                Kind::DepmodFailed,
                format!(
                    "{} is installed for {}, but modules.dep does not list {}, though depmod has run",
                    cell.module,
                    cell.kernel,
                    file.display()
                ),
            )
            .hint(format!(
                "`depmod -n {} | grep {}` shows what depmod makes of it; a file in depmod.d(5) may exclude it, \
                 or this depmod cannot read its compression",
                cell.kernel, cell.module.name
            )),
            Self::AlreadyAdded { module } => {
                Error::new(Kind::AlreadyAdded, format!("{module} is already in the DKMS tree"))
            }
            Self::Blind { about, blind } => blind_error(about, blind),
            Self::NoKernel { dir, kernels } => Error::new(
                Kind::Unseen,
                format!(
                    "there is no kernel in {}; the modules of {} are kept",
                    dir.display(),
                    names(kernels)
                ),
            )
            .hint(format!(
                "if that directory is on a file system of its own, mount it; if it is the wrong one, correct \
                 install_tree in /etc/dkms/framework.conf. {PURGE_MISSING}"
            )),
            Self::OtherTree { was, is, kernels } => Error::new(
                Kind::Unseen,
                format!("{}; the modules of {} are kept", other_tree(was, is), names(kernels)),
            )
            .hint(format!("mount it, or correct install_tree in /etc/dkms/framework.conf. {PURGE_MISSING}")),
            Self::OlderInstead { .. }
            | Self::Removed { .. }
            | Self::NoBootEntry { .. }
            | Self::Unversioned { .. }
            | Self::AutoinstallDisabled
            | Self::NoIndex { .. }
            | Self::Held { .. }
            | Self::Guarded { .. }
            | Self::AlreadyBuilt { .. }
            | Self::AlreadyInstalled { .. }
            | Self::NotInstalled { .. }
            | Self::NotBuilt { .. } => return None,
        })
    }

    /// What a person reads.
    pub fn text(&self) -> String {
        match self {
            Self::Removed { kernel } => {
                // Only hooks of Debian's packages tell that one was removed.
                format!(
                    "{kernel}: its image package was removed; nothing is built for it until \
                     linux-image-{kernel} is installed again"
                )
            }
            Self::OlderInstead { cell, older, log } => {
                let log = log.as_ref().map(|log| format!(" (log: {})", log.display()));
                format!(
                    "{} does not compile for {}{}; {}/{older} is used instead",
                    cell.module,
                    cell.kernel,
                    log.unwrap_or_default(),
                    cell.module.name
                )
            }
            Self::NoBootEntry { kernel } => format!(
                "{kernel}: its boot entry was removed (`kernel-install remove`); nothing is installed for it. \
                 To use it again: `kernel-install add {kernel} /lib/modules/{kernel}/vmlinuz`"
            ),
            Self::Unversioned { kernel } => format!(
                "{kernel} has no symbol versions (CONFIG_MODVERSIONS): rebuild=abi cannot tell whether these modules \
                 fit the changed headers, and builds them again"
            ),
            Self::NoIndex { kernel, tree } => format!(
                "no depmod for {kernel}: it finds modules only in a directory lib/modules, not in {}",
                tree.display()
            ),
            Self::Held { cell, by } => format!(
                "{}: the module of {} is used instead of that of {}, which has the same name. `dkms install {} -k {} \
                 --force` changes that",
                cell.kernel, by.module, cell.module, cell.module, cell.kernel
            ),
            Self::Guarded { danger } => danger.to_string(),
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
            Self::Waiting { kernel, package } => {
                format!("{kernel}: modules wait for its headers. Install {package}; that starts the build.")
            }
            other => other.error().map(|e| e.to_string()).unwrap_or_default(),
        }
    }
}
