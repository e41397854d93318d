//! Looking at files and directories, so that "not there" and "could not look" stay two answers.
//!
//! `Ok(None)` means that it is not there: the system said so. Whatever else the system says is [`Blind`],
//! and nobody may take that for an absence. Whether a missing directory on the way is an absence depends
//! on who asks: see [`parent_is_there`].

use std::fs::{DirEntry, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::fs::regular;
use crate::model::blind::{Blind, Cause};

/// What was looked at; `Ok(None)` when it is not there.
pub type Seen<T> = Result<Option<T>, Blind>;

fn seen<T>(path: &Path, result: std::io::Result<T>) -> Seen<T> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Blind::os(path, &error)),
    }
}

/// What is at a path; links are followed, and one that leads nowhere is not there.
///
/// # Errors
/// When it could not be looked at.
pub fn metadata(path: &Path) -> Seen<Metadata> {
    seen(path, std::fs::metadata(path))
}

/// What is at a path; links are not followed.
///
/// # Errors
/// When it could not be looked at.
pub fn symlink_metadata(path: &Path) -> Seen<Metadata> {
    seen(path, std::fs::symlink_metadata(path))
}

/// Where a symbolic link points; `Ok(None)` also for what is no link.
///
/// # Errors
/// When it could not be looked at.
pub fn read_link(path: &Path) -> Seen<PathBuf> {
    match std::fs::read_link(path) {
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(None),
        other => seen(path, other),
    }
}

/// Whether something is there; links are followed.
///
/// # Errors
/// When it could not be looked at.
pub fn exists(path: &Path) -> Result<bool, Blind> {
    Ok(metadata(path)?.is_some())
}

/// Whether a directory is there. Links are followed; a link that leads nowhere, and anything that is no
/// directory, is in its way.
///
/// # Errors
/// When it could not be looked at, or something else is there.
pub fn is_dir(path: &Path) -> Result<bool, Blind> {
    match metadata(path)? {
        Some(meta) if meta.is_dir() => Ok(true),
        Some(_) => Err(Blind::new(path, Cause::NotADirectory)),
        None if symlink_metadata(path)?.is_some() => Err(Blind::new(path, Cause::DanglingLink)),
        None => Ok(false),
    }
}

/// Whether the directory that would hold something is there.
///
/// # Errors
/// When it could not be looked at.
pub fn parent_is_there(path: &Path) -> Result<bool, Blind> {
    path.parent().map_or(Ok(true), is_dir)
}

/// The entries of a directory.
///
/// # Errors
/// When it, or an entry of it, could not be looked at.
pub fn entries(dir: &Path) -> Seen<Vec<DirEntry>> {
    seen(dir, std::fs::read_dir(dir).and_then(Iterator::collect))
}

/// The content of a regular file.
///
/// # Errors
/// When it could not be read. What is no regular file is not opened for reading: a pipe would never end.
pub fn read(path: &Path) -> Seen<Vec<u8>> {
    match regular::read(path) {
        Err(error) if regular::is_not_regular(&error) => Err(Blind::new(path, Cause::NotAFile)),
        other => seen(path, other),
    }
}

/// Modification time in nanoseconds since the epoch.
pub fn mtime(meta: &Metadata) -> i64 {
    meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec())
}

/// Entries of a directory; none when it cannot be read. Only where nothing is deleted, forgotten or made
/// anew for the lack of an entry.
pub fn read_dir(dir: &Path) -> impl Iterator<Item = DirEntry> + use<> {
    std::fs::read_dir(dir).into_iter().flatten().flatten()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// One path of each kind: a loop cannot be followed even by root.
    fn places() -> (tempfile::TempDir, impl Fn(&str) -> PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().to_path_buf();
        let at = move |name: &str| base.join(name);
        std::fs::create_dir(at("dir")).unwrap();
        std::fs::write(at("file"), "text").unwrap();
        symlink("loop", at("loop")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        (dir, at)
    }

    fn cause<T: std::fmt::Debug>(result: Result<T, Blind>) -> Cause {
        result.unwrap_err().cause
    }

    #[test]
    fn absent_is_one_answer_and_could_not_look_is_another() {
        let (_dir, at) = places();
        assert!(metadata(&at("none")).unwrap().is_none() && metadata(&at("none/deep")).unwrap().is_none());
        assert!(metadata(&at("dangling")).unwrap().is_none());
        assert!(!is_dir(&at("none")).unwrap() && is_dir(&at("dir")).unwrap());
        assert!(entries(&at("none")).unwrap().is_none() && read(&at("none")).unwrap().is_none());
        assert_eq!(cause(metadata(&at("loop"))), Cause::Os(nix::errno::Errno::ELOOP as i32));
        assert_eq!(cause(entries(&at("loop"))), Cause::Os(nix::errno::Errno::ELOOP as i32));
        assert_eq!(cause(metadata(&at("file/deep"))), Cause::NotADirectory);
        assert_eq!(cause(is_dir(&at("file"))), Cause::NotADirectory);
        assert_eq!(cause(is_dir(&at("dangling"))), Cause::DanglingLink);
        assert_eq!(cause(entries(&at("file"))), Cause::NotADirectory);
    }

    #[test]
    fn only_regular_files_are_read() {
        let (_dir, at) = places();
        assert_eq!(read(&at("file")).unwrap().unwrap(), b"text");
        assert_eq!(cause(read(&at("dir"))), Cause::NotAFile);
        assert_eq!(cause(read(&at("pipe"))), Cause::NotAFile, "and nobody waits for it");
        assert_eq!(read_link(&at("dangling")).unwrap(), Some("nowhere".into()));
        assert_eq!(read_link(&at("file")).unwrap(), None);
    }

    #[test]
    fn a_missing_parent_can_be_told() {
        let (_dir, at) = places();
        assert!(parent_is_there(&at("none")).unwrap() && !parent_is_there(&at("none/deep")).unwrap());
        assert!(parent_is_there(&at("file/deep")).is_err());
    }
}
