//! Packages that are not unpacked yet: which kernels, headers and module sources are in them.
//!
//! That is read from their lists of files, never guessed from their names. An rpm has the list in its
//! header. A package of pacman has one as its second member (`.MTREE`), a .deb nearly always one with
//! check sums (`md5sums`), so that the bulk of the package is not even decompressed; where there is
//! none the archive itself is gone through. What such a list says is only told to people: nothing is
//! decided by it that the files on disk would not decide again.
//!
//! A package manager has checked most packages before anybody asks us, but not those that a person
//! names, so nothing in them is trusted: sizes have limits, and damage is an error.

use std::io::{self, Read, Seek};
use std::path::Path;

use crate::archive::UnpackError;
use crate::fs::regular;

mod brings;
mod deb;
mod pacman;
mod rpm;
mod transaction;

pub use brings::Brings;
pub use transaction::Transaction;

/// A package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, with epoch and release as its package manager writes them.
    pub version: String,
    /// Its architecture, as its package manager calls it.
    pub arch: String,
    /// The kind of package.
    pub kind: Kind,
    /// What in it concerns kernels.
    pub brings: Brings,
}

/// Whose package it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// rpm's.
    Rpm,
    /// dpkg's.
    Deb,
    /// pacman's.
    Pacman,
}

/// Why a package cannot be looked into. Reads after the package's path and a colon.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is none of the packages that are known here.
    #[error("not an rpm, deb or pacman package")]
    NotAPackage,
    /// It ends early, or its content makes no sense.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

impl ReadError {
    fn damaged(why: impl std::fmt::Display) -> Self {
        Self::Damaged(why.to_string())
    }
}

impl From<UnpackError> for ReadError {
    fn from(error: UnpackError) -> Self {
        match error {
            UnpackError::NotAnArchive => Self::NotAPackage,
            UnpackError::Damaged(why) => Self::Damaged(why),
            other => Self::damaged(other),
        }
    }
}

impl Package {
    /// Looks into a package. What kind it is shows in its first bytes.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let mut file = match regular::open(path) {
            Err(error) if regular::is_not_regular(&error) => return Err(ReadError::NotAPackage),
            other => other?,
        };
        let mut head = Vec::new();
        Read::by_ref(&mut file).take(8).read_to_end(&mut head)?;
        file.rewind()?;
        if head.starts_with(&[0xed, 0xab, 0xee, 0xdb]) {
            rpm::read(file)
        } else if head == deb::MAGIC {
            deb::read(file)
        } else {
            pacman::read(file)
        }
    }
}

/// The largest list of files or control file that is read, in bytes.
const LARGEST_TEXT: u64 = 64 << 20;

/// A member of a package that is text.
fn text(input: &mut dyn Read) -> Result<String, UnpackError> {
    let mut bytes = Vec::new();
    let read = input.take(LARGEST_TEXT + 1).read_to_end(&mut bytes);
    read.map_err(|error| UnpackError::Damaged(error.to_string()))?;
    if bytes.len() as u64 > LARGEST_TEXT {
        return Err(UnpackError::Damaged("a file that describes it is too large".into()));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The value of the first line that is KEY, `separator`, value.
fn field<'a>(text: &'a str, key: &str, separator: char) -> Result<&'a str, ReadError> {
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(separator)?;
        (name.trim_end() == key).then(|| value.trim())
    });
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| ReadError::Damaged(format!("its description has no {key}")))
}

#[cfg(test)]
mod tests;
