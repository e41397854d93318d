//! Why an action is planned, with the data that says so.

use std::fmt;
use std::path::PathBuf;

use crate::model::directive::DirectiveChange;
use crate::model::fit::{self, Misfit};
use crate::model::guard::Danger;
use crate::model::ids::{KernelRelease, Version};
use crate::model::inputs::Change;

/// Why an action is planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// There is no build of it for this kernel.
    NotBuilt,
    /// There is a build of it, not installed.
    NotInstalled,
    /// An input of the build changed.
    Stale {
        /// Which.
        change: Change,
    },
    /// The evaluated dkms.conf changed: in what.
    Directive {
        /// The first directive.
        change: DirectiveChange,
    },
    /// The kernel's headers changed, and with them something that the build needs of its kernel.
    Misfit {
        /// The headers.
        change: Change,
        /// What the build needs.
        misfit: Misfit,
    },
    /// The kernel's headers changed, and everything that the build imports is what it was.
    AbiKept {
        /// The headers.
        change: Change,
        /// What that is.
        compared: fit::Compared,
    },
    /// A module that it depends on will be another build after this run.
    DependencyBuilt {
        /// The module.
        name: String,
    },
    /// It was built for another kernel.
    WrongKernel,
    /// It replaces an older version.
    Newer {
        /// The version installed now.
        than: Version,
    },
    /// A newer version does not support this kernel.
    NewestExcluded {
        /// The newer version.
        newest: Version,
        /// Why it is left out.
        why: String,
    },
    /// A newer version does not compile for this kernel.
    NewestFailed {
        /// The newer version.
        newest: Version,
    },
    /// Files that were installed are gone, or are not those of the build.
    FilesMissing,
    /// modprobe takes another file of that name.
    Displaced {
        /// That file.
        by: PathBuf,
    },
    /// The build was made by DKMS, for this kernel, and fits.
    MadeByDkms {
        /// How many imported symbols were compared; `None` where that cannot be done.
        symbols: Option<usize>,
    },
    /// The build came out of an archive, for this kernel, and fits.
    FromArchive {
        /// As above.
        symbols: Option<usize>,
    },
    /// There is a build of which nothing is known, by DKMS or out of an archive, and it does not fit.
    NotAdopted {
        /// Why.
        misfit: Misfit,
    },
    /// It failed for lack of a working compiler; that may have changed.
    RetryToolchain,
    /// It failed before, and a person asks for another try.
    RetryAsked,
    /// A person or a script asked for it.
    Asked,
    /// Its signature is not one of the present key.
    OtherSignature,
    /// The kernel is gone.
    KernelGone,
    /// The kernel's image package was removed.
    KernelRemoved,
    /// The kernel's boot entry was removed, its files are still there.
    BootEntryRemoved,
    /// dkms.conf now leaves this kernel out.
    ExcludedNow {
        /// Why.
        why: String,
    },
    /// The step before it changed files of this kernel.
    ModulesChanged,
    /// An earlier run ended before depmod.
    DepmodDue,
    /// `modules.dep` is gone. On Debian, purging the signed image deletes it although the unsigned
    /// one of the same release is installed.
    IndexMissing,
    /// The index does not name a module that is installed.
    IndexOld {
        /// Its file.
        file: PathBuf,
    },
    /// The initramfs is older than the modules.
    InitramfsOld,
    /// An essential module changes for some kernel.
    EssentialChanges,
    /// The newest kernel lacks essential modules.
    EssentialMissing {
        /// Which.
        danger: Danger,
    },
    /// The newest kernel has every essential module, or nothing is essential any more.
    EssentialThere,
    /// It was found out which kernels have the essential modules among their own.
    EssentialLooked,
    /// The kernel's headers are not installed.
    HeadersMissing,
    /// What was linked for the kernel does not fit it.
    LinkMisfit {
        /// The kernel that the linked module was built for.
        of: KernelRelease,
    },
}

/// The end of a list of what was looked at.
struct Compared(Option<usize>);

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("; the kernel has no symbol versions to compare"),
            Some(symbols) => write!(f, ", {symbols} imported symbols"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBuilt => f.write_str("it is not built for this kernel yet"),
            Self::NotInstalled => f.write_str("it is built but not installed"),
            Self::Stale { change } => change.fmt(f),
            Self::DependencyBuilt { name } => {
                write!(f, "{name}, which it depends on, is rebuilt or replaced")
            }
            Self::WrongKernel => f.write_str("the existing build is for another kernel"),
            Self::Newer { than } => write!(f, "it replaces version {than}"),
            Self::NewestExcluded { newest, why } => {
                write!(f, "it is the newest version that supports this kernel ({newest} does not: {why})")
            }
            Self::NewestFailed { newest } => {
                write!(f, "it is used instead of {newest}, which does not compile for this kernel")
            }
            Self::FilesMissing => f.write_str("installed files are missing or changed"),
            Self::Displaced { by } => {
                write!(f, "modprobe takes {} instead, which is to be set aside", by.display())
            }
            Self::Directive { change } => write!(f, "its dkms.conf or an override of it changed: {change}"),
            Self::Misfit { change, misfit } => write!(f, "{change}, and {misfit}"),
            Self::AbiKept { change, compared } => write!(f, "{change}, but {compared} are the same"),
            Self::MadeByDkms { symbols } => {
                write!(
                    f,
                    "built by DKMS and still valid (checked: vermagic, source age{})",
                    Compared(*symbols)
                )
            }
            Self::FromArchive { symbols } => {
                write!(f, "loaded from an archive and still valid (checked: vermagic{})", Compared(*symbols))
            }
            Self::NotAdopted { misfit } => write!(f, "the existing build cannot be used: {misfit}"),
            Self::RetryToolchain => f.write_str("the last try failed, and its source was not at fault"),
            Self::RetryAsked => f.write_str("it failed before, and a retry was requested"),
            Self::Asked => f.write_str("it was requested"),
            Self::OtherSignature => f.write_str("it is not signed with the current key"),
            Self::KernelGone => f.write_str("the kernel is no longer on disk"),
            Self::BootEntryRemoved => f.write_str("the boot entry of the kernel was removed"),
            Self::KernelRemoved => f.write_str("the kernel is being removed"),
            Self::ExcludedNow { why } => write!(f, "it no longer supports this kernel: {why}"),
            Self::ModulesChanged => f.write_str("modules of this kernel change"),
            Self::DepmodDue => f.write_str("an earlier run ended before depmod"),
            Self::IndexMissing => f.write_str("modules.dep is missing"),
            Self::IndexOld { file } => write!(f, "modules.dep does not list {}", file.display()),
            Self::InitramfsOld => f.write_str("it is older than the modules"),
            Self::EssentialChanges => f.write_str("an essential module changes"),
            Self::EssentialMissing { danger } => {
                write!(f, "{}, the newest kernel, lacks {}", danger.newest, danger.names())
            }
            Self::EssentialThere => f.write_str("the newest kernel lacks no essential module"),
            Self::EssentialLooked => f.write_str("it was looked up which kernels have the essential modules"),
            Self::HeadersMissing => f.write_str("its headers are not installed"),
            Self::LinkMisfit { of } => write!(f, "the module of {of} does not fit this kernel"),
        }
    }
}
