//! What could not be looked at: it may be there, or not, and nothing is decided by it.

use std::fmt;
use std::path::{Path, PathBuf};

/// Something on disk that could not be looked at, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Blind {
    /// Where, as seen from inside the root.
    pub path: PathBuf,
    /// Why.
    pub cause: Cause,
}

/// Why something could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The system refused, with this errno(3).
    Os(i32),
    /// The directory that should hold it is missing.
    NoParent,
    /// It is a symbolic link that leads nowhere.
    DanglingLink,
    /// It is there, and is no directory.
    NotADirectory,
    /// It is there, and is no regular file.
    NotAFile,
    /// Its content is not understood: what is wrong with it.
    Damaged(String),
    /// Another version of this program wrote it, in a format that this one does not know.
    Format(u64),
}

impl Blind {
    /// Something that could not be looked at.
    pub fn new(path: impl Into<PathBuf>, cause: Cause) -> Self {
        Self { path: path.into(), cause }
    }

    /// What the system said.
    pub fn os(path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind::NotADirectory;
        let cause = match error.raw_os_error() {
            _ if error.kind() == NotADirectory => Cause::NotADirectory,
            Some(number) => Cause::Os(number),
            None => Cause::Damaged(error.to_string()),
        };
        Self::new(path, cause)
    }

    /// True when a file is there whose content is not understood: there is something to be set aside.
    pub fn is_damaged(&self) -> bool {
        matches!(self.cause, Cause::Damaged(_) | Cause::Format(_))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Os(number) => std::io::Error::from_raw_os_error(*number).fmt(f),
            Self::NoParent => f.write_str("its directory is missing"),
            Self::DanglingLink => f.write_str("it is a broken link"),
            Self::NotADirectory => f.write_str("a part of the path is not a directory"),
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::Damaged(why) => write!(f, "its content is damaged ({why})"),
            Self::Format(format) => {
                write!(f, "it has format {format}, which this version of dkms-hook cannot read")
            }
        }
    }
}
