//! Our own Debian package: from a staged tree to a checked `.deb` (`make deb`).
//!
//! [`stage`] reads what `make install` put in place, [`libraries`] asks the program what it needs,
//! [`control`] completes the description, [`write`] makes the file, [`read`] opens it again and
//! [`check`] looks for everything that would make it a bad package. `docs/dependencies.md` says which
//! part of this the crate debian-packaging does and why the rest is here.

use std::path::{Path, PathBuf};

pub mod check;
pub mod control;
pub mod dpkg;
pub mod libraries;
pub mod read;
pub mod stage;
pub mod write;

/// Why no package was made, or why a file is not one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done, after "cannot".
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The program cannot be packaged: its needs are not understood.
    #[error("the program {0}")]
    Program(String),
    /// The staged tree has something that a package cannot or should not hold.
    #[error("the staged tree {0}")]
    Stage(String),
    /// The control template, or the control file of a package, is wrong.
    #[error("the control file {0}")]
    Control(String),
    /// A file is not a Debian package, or a damaged one.
    #[error("the package {0}")]
    Package(String),
}

/// Result with our [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}
