//! Unpacking an archive that nobody vouches for.
//!
//! Nothing is written outside the directory that is given: names with `..` or a leading `/` are
//! refused, and no link exists while files are written, because links are made last. Devices, pipes
//! and whatever else is neither file, directory nor link are refused. Files belong to who unpacks;
//! bits that give others power (write permission, set-uid) are taken away.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use self::place::{Place, writing};
use super::extra::Extra;
use super::format::open;
use super::list::{LARGEST, Limited, MOST_MEMBERS};
use super::write::stays_inside;
use crate::process::ProcessError;

mod payload;
mod place;

pub use payload::{Described, unpack_payload};

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The program for its compression cannot be run, or the file not be read.
    #[error("{0}")]
    NotOpened(#[from] ProcessError),
    /// It does not begin like an archive.
    #[error("it is not a tar archive")]
    NotAnArchive,
    /// It ends early, or its content makes no sense.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// A member could do harm, or is of a kind that module sources never have.
    #[error("its member {name} {why}")]
    Unsafe {
        /// The member's name.
        name: String,
        /// What is wrong with it, in words that follow the name.
        why: String,
    },
    /// A file cannot be written here.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Unpacks an archive into an empty directory. No file or directory is dated later than `latest`.
///
/// # Errors
/// See [`UnpackError`]. What was written until then stays in the directory.
pub fn unpack(file: File, into: &Path, latest: SystemTime) -> Result<(), UnpackError> {
    unpack_within(file, into, latest, (LARGEST, MOST_MEMBERS))
}

fn unpack_within(
    file: File,
    into: &Path,
    latest: SystemTime,
    (left, most): (u64, usize),
) -> Result<(), UnpackError> {
    through(open(file)?, left, |input| members(input, Place::new(into, latest, &|_| true), most))
}

/// Says which members of an archive are unpacked, by their paths in it, without a leading `/`.
pub type Wanted<'a> = dyn Fn(&Path) -> bool + 'a;

/// Unpacks what is `wanted` of a tar archive that is part of a package, in a stream. The directory need not be
/// empty: other packages may have been unpacked there, whose links are not followed.
///
/// # Errors
/// See [`UnpackError`]. What was written until then stays in the directory.
pub fn unpack_wanted(
    input: Box<dyn Read>,
    into: &Path,
    latest: SystemTime,
    wanted: &Wanted<'_>,
) -> Result<(), UnpackError> {
    through(input, LARGEST, |input| members(input, Place::new(into, latest, wanted), MOST_MEMBERS))
}

/// Hands the bytes of an archive to `read`, at most `left` of them, and looks at all of them.
fn through(
    input: Box<dyn Read>,
    left: u64,
    read: impl FnOnce(&mut Tracked) -> Result<(), UnpackError>,
) -> Result<(), UnpackError> {
    let mut input = Tracked { inner: Box::new(Limited { input, left }), failed: None };
    let result = read(&mut input);
    if let Some(error) = input.failed.take() {
        // Whatever was made of it: the bytes themselves could not be had.
        return Err(UnpackError::Damaged(error));
    }
    result?;
    // Check sums are at the end.
    io::copy(&mut input, &mut io::sink()).map_err(|e| UnpackError::Damaged(e.to_string()))?;
    Ok(())
}

/// Remembers that reading failed, so that it is not taken for an archive without sense.
struct Tracked {
    inner: Box<dyn Read>,
    failed: Option<String>,
}

impl Read for Tracked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.inner.read(buffer);
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.failed = Some(error.to_string());
        }
        result
    }
}

fn members(input: &mut Tracked, mut place: Place<'_>, most: usize) -> Result<(), UnpackError> {
    let damaged = |error: io::Error| UnpackError::Damaged(error.to_string());
    let mut archive = tar::Archive::new(input);
    let mut extra = Extra::default();
    // Raw: names that follow in members of their own are read here, with a limit.
    for (index, member) in archive.entries().map_err(damaged)?.raw(true).enumerate() {
        if index == most {
            return Err(UnpackError::Damaged("it has too many members".into()));
        }
        let mut member = match member {
            Ok(member) => member,
            Err(_) if index == 0 => return Err(UnpackError::NotAnArchive),
            Err(error) => return Err(damaged(error)),
        };
        let header = member.header().clone();
        if !extra.takes(&header, &mut member)? {
            place.put(&header, std::mem::take(&mut extra), &mut member)?;
        }
    }
    place.finish()
}

/// Looks at every link below a directory that will be moved elsewhere as it is.
///
/// # Errors
/// When one of them could lead out of it.
pub fn check_links(top: &Path) -> Result<(), UnpackError> {
    for entry in walkdir::WalkDir::new(top).into_iter().filter_map(Result::ok) {
        if !entry.file_type().is_symlink() {
            continue;
        }
        let inside = entry.path().strip_prefix(top).unwrap_or(entry.path());
        let target = fs::read_link(entry.path()).map_err(writing(entry.path()))?;
        if entry.depth() == 0 || !stays_inside(inside.parent().unwrap_or(Path::new("")), &target) {
            return Err(UnpackError::Unsafe {
                name: inside.display().to_string(),
                why: format!("is a link that points out of its tree, to {}", target.display()),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
