//! The error that a person sees: what was being done, what went wrong, what to do next.

use std::fmt;

use crate::model::blind::{Blind, Cause};

/// Exit statuses of DKMS that scripts know (its behaviour is described in `docs/compatibility.md`).
pub mod exit {
    /// Not root, cannot write to the tree, arguments missing.
    pub const USAGE: u8 = 1;
    /// Something that decides what to do could not be looked at.
    pub const UNSEEN: u8 = 1;
    /// Unknown option, missing source directory, missing archive.
    pub const NOT_FOUND: u8 = 2;
    /// Already added, not in the tree.
    pub const WRONG_STATE: u8 = 3;
    /// dkms.conf unreadable, several kernels where one is wanted, module broken.
    pub const CONF_MISSING: u8 = 4;
    /// `--all` not supported, patch missing.
    pub const PATCH_MISSING: u8 = 5;
    /// Patch failed, `/lib/modules/K` missing, install aborted, depmod failed.
    pub const INSTALL: u8 = 6;
    /// An expected module was not built.
    pub const NOT_BUILT: u8 = 7;
    /// dkms.conf invalid.
    pub const CONF_INVALID: u8 = 8;
    /// The path given has no dkms.conf.
    pub const NO_CONF_AT_PATH: u8 = 9;
    /// make failed.
    pub const MAKE: u8 = 10;
    /// autoinstall: at least one module failed.
    pub const AUTOINSTALL: u8 = 11;
    /// The architecture cannot be determined.
    pub const ARCH: u8 = 12;
    /// A build dependency is not installed for this kernel.
    pub const DEPENDS: u8 = 13;
    /// kernel_prerm: a module could not be removed.
    pub const KERNEL_REMOVAL: u8 = 14;
    /// Empty kernel or architecture.
    pub const EMPTY_NAME: u8 = 16;
    /// Kernel headers not found.
    pub const HEADERS: u8 = 21;
    /// Every module of the package is excluded for this kernel.
    pub const EXCLUDED: u8 = 77;
    /// PRE_INSTALL failed.
    pub const PRE_INSTALL: u8 = 101;
}

/// An error with its exit status and, where there is one, the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Exit status of a command that ends with this error.
    pub code: u8,
    /// What was being done, to what, and why it failed. May have several lines.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

/// Result with our [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error that ends a command with `code`.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A failed file operation: `doing` reads as "cannot …".
    pub fn io(doing: impl fmt::Display, path: &std::path::Path, err: &std::io::Error) -> Self {
        let error = Self::new(exit::USAGE, format!("cannot {doing} {}: {err}", path.display()));
        match err.raw_os_error() {
            // ENOSPC and EDQUOT, errno(3)
            Some(28 | 122) => {
                error.hint("free some space on that file system and try again; nothing was lost")
            }
            // EROFS
            Some(30) => error.hint("the file system is mounted read-only; remount it read-write"),
            // EACCES and EPERM
            Some(13 | 1) => error.hint("run this as root"),
            _ => error,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n{hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<Blind> for Error {
    fn from(blind: Blind) -> Self {
        let path = blind.path.display();
        let error = Self::new(exit::UNSEEN, format!("cannot look at {path}: {}", blind.cause));
        match blind.cause {
            Cause::Format(_) => error.hint(format!(
                "install the version of dkms-hook that wrote it; or move {path} away to go on without it"
            )),
            Cause::Damaged(_) => error.hint(format!("move {path} away to go on without it")),
            _ => error.hint("mount or repair the file system that holds it, then try again"),
        }
    }
}

impl From<crate::model::ids::BadName> for Error {
    fn from(err: crate::model::ids::BadName) -> Self {
        Self::new(exit::EMPTY_NAME, err.to_string())
    }
}
