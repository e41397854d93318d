//! Packages that are not unpacked yet: which kernels, headers and module sources are in them.
//!
//! That is read from their lists of files, never guessed from their names. An rpm has the list in its
//! header. A package of pacman has one as its second member (`.MTREE`), a .deb nearly always one with
//! check sums (`md5sums`), so that the bulk of the package is not even decompressed; where there is
//! none the archive itself is gone through. What such a list says is only told to people: nothing is
//! decided by it that the files on disk would not decide again.
//!
//! Reading takes less than 64 MiB of memory, whatever the package is like; see [`crate::archive::Memory`].
//!
//! A package manager has checked most packages before anybody asks us, but not those that a person
//! names, so nothing in them is trusted: sizes have limits, and damage is an error.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

use crate::archive::{UnpackError, Wanted};
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
    /// It cannot be unpacked here, or something in it must not be.
    #[error("{0}")]
    NotUnpacked(UnpackError),
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
            other => Self::NotUnpacked(other),
        }
    }
}

impl Brings {
    /// What of these files concerns kernels: their paths, one a line, as dpkg keeps them of an installed package.
    pub fn of_list(paths: &str) -> Self {
        let mut files = brings::Files::default();
        paths.lines().for_each(|path| files.add(path, None));
        files.finish()
    }
}

impl Package {
    /// Looks into a package. What kind it is shows in its first bytes.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let (kind, file) = open(path)?;
        match kind {
            Kind::Rpm => rpm::read(file),
            Kind::Deb => deb::read(file),
            Kind::Pacman => pacman::read(file),
        }
    }

    /// Unpacks what is `wanted` of a package below the directory `into`: regular files, directories and links. It is
    /// asked with paths as `usr/src/hello-1.0/dkms.conf`; those of a directory lead the way to nothing, as
    /// directories above a file are made anyway. Paths are those of the package: `lib/modules` is another place than
    /// `usr/lib/modules`.
    ///
    /// Nothing is written outside of `into`. That need not be empty: the next package of a transaction may be
    /// unpacked there, too, but not behind links that are there. Links are made as they are, wherever they lead.
    ///
    /// # Errors
    /// See [`ReadError`]. What was unpacked until then stays.
    pub fn unpack(path: &Path, wanted: &Wanted<'_>, into: &Path) -> Result<(), ReadError> {
        let (kind, file) = open(path)?;
        match kind {
            Kind::Rpm => rpm::unpack(file, wanted, into),
            Kind::Deb => deb::unpack(file, wanted, into),
            Kind::Pacman => pacman::unpack(file, wanted, into),
        }
    }
}

fn open(path: &Path) -> Result<(Kind, File), ReadError> {
    let mut file = match regular::open(path) {
        Err(error) if regular::is_not_regular(&error) => return Err(ReadError::NotAPackage),
        other => other?,
    };
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(8).read_to_end(&mut head)?;
    file.rewind()?;
    let kind = if head.starts_with(&[0xed, 0xab, 0xee, 0xdb]) {
        Kind::Rpm
    } else if head == deb::MAGIC {
        Kind::Deb
    } else {
        Kind::Pacman
    };
    Ok((kind, file))
}

/// The largest description of a package, in bytes.
const LARGEST_TEXT: u64 = 1 << 20;

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

/// The longest line of a list of files: the longest path that Linux has (PATH_MAX), four bytes for each of it.
const LONGEST_LINE: u64 = 16 << 10;

/// Hands each line of a member to `each`, without keeping them.
fn lines(input: &mut dyn Read, each: &mut dyn FnMut(&str)) -> Result<(), UnpackError> {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = Read::by_ref(&mut input).take(LONGEST_LINE).read_until(b'\n', &mut line);
        match read.map_err(|error| UnpackError::Damaged(error.to_string()))? {
            0 => return Ok(()),
            length if length as u64 == LONGEST_LINE => {
                return Err(UnpackError::Damaged("a line of its list of files is too long".into()));
            }
            _ => each(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r'])),
        }
    }
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
