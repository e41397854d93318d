//! The error that a person sees: what could not be done, why, and what to do next.

use std::fmt;
use std::io;

use crate::model::blind::{Blind, Cause};

/// What sort of thing went wrong. Code decides by it; the sentence is for people.
///
/// [`Kind::exit_status`] has the exit status of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file could not be read or written; [`Error::cause`] says why.
    Io,
    /// Only root may do this, or the module tree cannot be written to.
    NotPermitted,
    /// Something that decides what to do could not be looked at.
    Unseen,
    /// The command line makes no sense. DKMS has a status of its own for each way in which it does not.
    Misuse(u8),
    /// An empty or impossible name of a module, version, kernel or architecture.
    BadName,
    /// `build_environment` of framework.conf cannot be used.
    BuildEnvironment,
    /// The pair of signing keys cannot be used or made.
    SigningKey,
    /// What a package manager says is not what its interface promises.
    PackageManager,
    /// There is no source of that module version.
    SourceMissing,
    /// There is no such archive, or it cannot be read.
    ArchiveMissing,
    /// An archive holds another module than it should.
    OtherModule,
    /// The module is not in the tree.
    NotRegistered,
    /// The module is in the tree already.
    AlreadyAdded,
    /// As [`Kind::AlreadyAdded`], and an archive would bring builds of it.
    BuildsAlreadyAdded,
    /// There is no build to work on.
    NothingBuilt,
    /// A script of a module asks for that module while it is being worked on.
    ModuleBusy,
    /// The file is no archive of a module, or nothing here can open it.
    NotAnArchive,
    /// dkms.conf is missing or cannot be read.
    ConfMissing,
    /// The entry of the module leads to no source.
    ModuleBroken,
    /// A patch that dkms.conf names is missing.
    PatchMissing,
    /// A patch does not apply.
    PatchFailed,
    /// Modules cannot be installed: the kernel's directory or a built file is missing.
    NotInstallable,
    /// Modules are not installed because the kernel has newer ones.
    InstallRefused,
    /// depmod failed.
    DepmodFailed,
    /// The initramfs could not be made.
    InitramfsFailed,
    /// What the boot guard had to do at a boot loader could not be done.
    BootGuard,
    /// A source could not be put in place.
    NotCopied,
    /// There is no build to put into an archive.
    NothingToPack,
    /// An archive could not be written.
    ArchiveNotWritten,
    /// An archive cannot be written where it was asked for.
    ArchivePlace,
    /// A module that dkms.conf names was not built.
    ModuleNotBuilt,
    /// An archive is damaged, could do harm, or has builds that are not what they seem.
    ArchiveRefused,
    /// dkms.conf says something that cannot be done.
    ConfInvalid,
    /// The path given has no dkms.conf.
    NoConfAtPath,
    /// rpm could not install a package.
    RpmFailed,
    /// The build's own commands failed.
    Make,
    /// A script of the source ended with this status, which the command passes on.
    Script(u8),
    /// A program that a build needs is not installed.
    ToolMissing,
    /// PACKAGE_NAME or PACKAGE_VERSION in a dkms.conf cannot be used.
    UnusableName,
    /// At least one module of a run over everything failed.
    ModulesFailed,
    /// A module could not be signed.
    NotSigned,
    /// The architecture of this machine cannot be determined.
    UnknownArchitecture,
    /// Modules that it needs are not installed for this kernel.
    DependsMissing,
    /// A module could not be taken out of a kernel that is about to be removed.
    KernelNotCleared,
    /// The headers of the kernel are not installed.
    HeadersMissing,
    /// There is no such kernel.
    UnknownKernel,
    /// Nothing is built for that architecture here.
    OtherArchitecture,
    /// Every module of the package is excluded for this kernel.
    Excluded,
    /// PRE_INSTALL failed.
    PreInstall,
    /// Another run holds the lock, and was waited for as long as a hook waits.
    Locked,
    /// A signal asked the run to end (Ctrl-C); holds the exit status that stands for it.
    Interrupted(u8),
}

impl Kind {
    /// The exit status of a command that ends with such an error: DKMS's, which scripts know
    /// (docs/compatibility.md).
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Io
            | Self::NotPermitted
            | Self::Unseen
            | Self::BuildEnvironment
            | Self::SigningKey
            | Self::PackageManager => 1,
            // Only who must not fail does not wait as long as it takes: hooks, and scripts of packages.
            Self::Locked => 0,
            Self::SourceMissing | Self::ArchiveMissing | Self::OtherModule => 2,
            Self::NotRegistered
            | Self::AlreadyAdded
            | Self::NothingBuilt
            | Self::ModuleBusy
            | Self::NotAnArchive => 3,
            Self::ConfMissing | Self::ModuleBroken => 4,
            Self::PatchMissing => 5,
            Self::PatchFailed
            | Self::NotInstallable
            | Self::InstallRefused
            | Self::DepmodFailed
            | Self::InitramfsFailed
            | Self::BootGuard
            | Self::NotCopied
            | Self::NothingToPack
            | Self::ArchiveNotWritten => 6,
            Self::ModuleNotBuilt | Self::ArchiveRefused => 7,
            Self::ConfInvalid | Self::BuildsAlreadyAdded => 8,
            Self::NoConfAtPath | Self::RpmFailed | Self::ArchivePlace => 9,
            Self::Make | Self::ToolMissing | Self::UnusableName => 10,
            Self::ModulesFailed | Self::NotSigned => 11,
            Self::UnknownArchitecture => 12,
            Self::DependsMissing => 13,
            Self::KernelNotCleared => 14,
            Self::BadName => 16,
            Self::HeadersMissing | Self::UnknownKernel | Self::OtherArchitecture => 21,
            Self::Excluded => 77,
            Self::PreInstall => 101,
            Self::Misuse(status) | Self::Script(status) | Self::Interrupted(status) => status,
        }
    }

    /// The kind of a failed build or signature that is remembered by its exit status alone.
    pub fn of_failure(status: u8) -> Self {
        let kinds = [
            Self::Io,
            Self::ModuleBroken,
            Self::PatchMissing,
            Self::PatchFailed,
            Self::ModuleNotBuilt,
            Self::ConfInvalid,
            Self::Make,
            Self::NotSigned,
            Self::DependsMissing,
            Self::HeadersMissing,
            Self::Excluded,
        ];
        kinds.into_iter().find(|kind| kind.exit_status() == status).unwrap_or(Self::Script(status))
    }
}

/// Why a file operation failed, as the system said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IoFailure {
    /// The sort of failure.
    pub kind: io::ErrorKind,
    /// The system's number of it, errno(3).
    code: Option<i32>,
    text: String,
}

/// EIO, the same on every architecture.
const INPUT_OUTPUT: i32 = 5;

impl IoFailure {
    /// What to do about it, where that does not depend on what was being done.
    fn hint(&self) -> Option<&'static str> {
        match self.kind {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Some("free some space on that file system and try again; nothing was lost")
            }
            io::ErrorKind::ReadOnlyFilesystem => {
                Some("the file system is mounted read-only; remount it read-write")
            }
            io::ErrorKind::PermissionDenied => Some("run this as root"),
            _ if self.code == Some(INPUT_OUTPUT) => Some(
                "the disk reports an error: look for it in the kernel's log (`dmesg`), check the file system, and try \
                 again",
            ),
            _ => None,
        }
    }
}

impl From<&io::Error> for IoFailure {
    fn from(error: &io::Error) -> Self {
        Self { kind: error.kind(), code: error.raw_os_error(), text: error.to_string() }
    }
}

impl fmt::Display for IoFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for IoFailure {}

/// What could not be done, with its kind, its cause, and the next step where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What sort of thing went wrong.
    pub kind: Kind,
    /// What could not be done, to what; also why, where no [`Self::cause`] says it. May have several lines.
    pub what: String,
    /// What to do next.
    pub hint: Option<String>,
    cause: Option<Box<IoFailure>>,
}

/// Result with our [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error without a cause of its own.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), hint: None, cause: None }
    }

    /// A failed file operation: `doing` reads as "cannot …".
    pub fn io(doing: impl fmt::Display, path: &std::path::Path, error: &io::Error) -> Self {
        let cause = IoFailure::from(error);
        Self {
            kind: Kind::Io,
            what: format!("cannot {doing} {}", path.display()),
            hint: cause.hint().map(str::to_owned),
            cause: Some(Box::new(cause)),
        }
    }

    /// As [`Self::hint`], where there may be none.
    #[must_use]
    pub fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// Adds the next step, in place of one that was there.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error where it means something else to the caller.
    #[must_use]
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Says in front of it what it was a part of.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.what = format!("{what}: {}", self.what);
        self
    }

    /// Why the system refused, where a file operation failed.
    pub fn cause(&self) -> Option<&IoFailure> {
        self.cause.as_deref()
    }

    /// What could not be done and why, without the next step.
    pub fn sentence(&self) -> String {
        match &self.cause {
            Some(cause) => format!("{}: {cause}", self.what),
            None => self.what.clone(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())?;
        if let Some(hint) = &self.hint {
            write!(f, "\n{hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl From<Blind> for Error {
    fn from(blind: Blind) -> Self {
        let path = blind.path.display();
        let error = Self::new(Kind::Unseen, format!("cannot look at {path}: {}", blind.cause));
        match blind.cause {
            Cause::Format(_) => error.hint(format!(
                "install the version of dkms-hook that wrote it, or move {path} away to continue without it"
            )),
            Cause::Damaged(_) => error.hint(format!("move {path} away to continue without it")),
            Cause::NotAFile => error.hint(format!("move {path} away to continue without it")),
            _ => error.hint("mount or repair the file system that holds it, then try again"),
        }
    }
}

impl From<crate::model::ids::BadName> for Error {
    fn from(error: crate::model::ids::BadName) -> Self {
        Self::new(Kind::BadName, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_sentence_is_made_of_what_and_cause_and_the_cause_brings_the_next_step() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = Error::io("write", Path::new("/x"), &full).context("m/1 for 6.1");
        assert_eq!(error.sentence(), format!("m/1 for 6.1: cannot write /x: {full}"));
        assert!(error.to_string().ends_with("nothing was lost"), "{error}");
        assert_eq!(error.cause().map(|cause| cause.kind), Some(io::ErrorKind::StorageFull));
        assert!(std::error::Error::source(&error).is_some());
        assert_eq!(error.of_kind(Kind::ArchivePlace).kind.exit_status(), 9);
        // errno(3): EDQUOT, EROFS, EPERM, EACCES.
        for (number, word) in [(122, "space"), (30, "read-only"), (1, "root"), (13, "root")] {
            let error = Error::io("write", Path::new("/x"), &io::Error::from_raw_os_error(number));
            assert!(error.hint.as_deref().is_some_and(|hint| hint.contains(word)), "{number}: {error}");
        }
    }

    #[test]
    fn a_remembered_failure_ends_with_the_status_that_it_had() {
        for status in 1..=255 {
            assert_eq!(Kind::of_failure(status).exit_status(), status);
        }
    }
}
