//! Copying of source trees into the build directory, with links, modes and times as they are.

use std::fs::{self, File, FileTimes, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::fs::temporary;

use crate::fs::regular;

/// What could not be copied.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {path}: {source}")]
pub struct CopyError {
    /// "read" or "write".
    pub doing: &'static str,
    /// The file or directory at fault.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

fn reading(path: &Path) -> impl FnOnce(io::Error) -> CopyError + '_ {
    move |source| CopyError { doing: "read", path: path.to_path_buf(), source }
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> CopyError + '_ {
    move |source| CopyError { doing: "write", path: path.to_path_buf(), source }
}

/// Copies what is in directory `from` into directory `to`, which is made if it is missing; files
/// that are there already are replaced. Owners are not kept: the copy belongs to who builds, and
/// nobody else may write to it, whatever the modes of the original allow. Sockets, pipes and devices
/// are left out.
///
/// # Errors
/// The first file that cannot be read or written; what was copied until then stays.
pub fn copy_tree(from: &Path, to: &Path) -> Result<(), CopyError> {
    let meta = fs::metadata(from).map_err(reading(from))?;
    // Open to the owner alone until it is complete: its own mode may forbid writing.
    match fs::DirBuilder::new().mode(0o700).create(to) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(writing(to)(e)),
        _ => {}
    }
    for entry in fs::read_dir(from).map_err(reading(from))? {
        let entry = entry.map_err(reading(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(reading(&source))?;
        if kind.is_dir() {
            copy_tree(&source, &target)?;
        } else if kind.is_symlink() {
            copy_link(&source, &target)?;
        } else if kind.is_file() {
            copy_file(&source, &target)?;
        }
    }
    fs::set_permissions(to, safe_mode(&meta)).map_err(writing(to))?;
    File::open(to).and_then(|dir| dir.set_times(times(&meta))).map_err(writing(to))
}

fn copy_link(source: &Path, target: &Path) -> Result<(), CopyError> {
    let points_at = fs::read_link(source).map_err(reading(source))?;
    remove_existing(target)?;
    std::os::unix::fs::symlink(points_at, target).map_err(writing(target))
}

/// Copies one file with its mode and time. Shares the blocks where the file system can.
pub fn copy_file(source: &Path, target: &Path) -> Result<(), CopyError> {
    copy_open_file(regular::open_itself(source).map_err(reading(source))?, source, target)
}

/// The same of a file that is open already; `source` is its name in messages.
pub fn copy_open_file(mut input: File, source: &Path, target: &Path) -> Result<(), CopyError> {
    let meta = input.metadata().map_err(reading(source))?;
    remove_existing(target)?;
    let mut output = File::create_new(target).map_err(writing(target))?;
    io::copy(&mut input, &mut output).map_err(|e| match e.kind() {
        // The other errors of a copy are those of the disk that is read.
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            writing(target)(e)
        }
        _ => reading(source)(e),
    })?;
    output.set_permissions(safe_mode(&meta)).map_err(writing(target))?;
    output.set_times(times(&meta)).map_err(writing(target))
}

/// The mode of a copy. What is in it is run as root later: others must not be able to change it, and
/// a program that runs with the rights of its owner must not become one with root's.
fn safe_mode(meta: &Metadata) -> fs::Permissions {
    const FOR_OTHERS_TO_WRITE: u32 = 0o002;
    const SET_USER_OR_GROUP: u32 = 0o6000;
    fs::Permissions::from_mode(meta.permissions().mode() & !(FOR_OTHERS_TO_WRITE | SET_USER_OR_GROUP))
}

fn remove_existing(target: &Path) -> Result<(), CopyError> {
    match fs::remove_file(target) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(writing(target)(e)),
        _ => Ok(()),
    }
}

fn times(meta: &Metadata) -> FileTimes {
    let mut times = FileTimes::new();
    if let Ok(modified) = meta.modified() {
        times = times.set_modified(modified);
    }
    if let Ok(accessed) = meta.accessed() {
        times = times.set_accessed(accessed);
    }
    times
}

/// Removes a tree; one that is not there is fine.
///
/// # Errors
/// When something in it cannot be removed.
pub fn remove_tree(dir: &Path) -> io::Result<()> {
    match fs::symlink_metadata(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(meta) if !meta.is_dir() => return fs::remove_file(dir),
        _ => {}
    }
    match fs::remove_dir_all(dir) {
        // Directories without write permission stop an ordinary user; the mode is ours to change.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            for entry in walkdir::WalkDir::new(dir).into_iter().flatten() {
                if entry.file_type().is_dir() {
                    let _ = fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o700));
                }
            }
            fs::remove_dir_all(dir)
        }
        other => other,
    }
    .inspect_err(|_| temporary::leave_tree(dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn links_modes_and_times_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("sub")).unwrap();
        fs::write(from.join("sub/run.sh"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(from.join("sub/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("../nowhere", from.join("sub/link")).unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let old = FileTimes::new().set_modified(long_ago);
        File::open(from.join("sub/run.sh")).unwrap().set_times(old).unwrap();
        fs::set_permissions(from.join("sub"), fs::Permissions::from_mode(0o555)).unwrap();

        copy_tree(&from, &to).unwrap();
        let meta = fs::metadata(to.join("sub/run.sh")).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o755);
        assert_eq!(meta.modified().unwrap(), long_ago);
        assert_eq!(fs::read_link(to.join("sub/link")).unwrap(), Path::new("../nowhere"));
        assert_eq!(fs::metadata(to.join("sub")).unwrap().permissions().mode() & 0o777, 0o555);
        remove_tree(&to).unwrap();
        remove_tree(&from).unwrap();
        assert!(!to.exists());
    }

    #[test]
    fn the_file_that_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir(&from).unwrap();
        fs::write(from.join("secret.c"), "").unwrap();
        fs::set_permissions(from.join("secret.c"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let to = dir.path().join("to");
        // Root may read everything. The identity for file access is one of this thread alone
        // (setfsuid(2)); `nobody` has none of root's powers. For others this changes nothing.
        let thread = std::thread::spawn(move || {
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65534));
            copy_tree(&from, &to).unwrap_err()
        });
        let error = thread.join().unwrap();
        assert!(error.to_string().contains("read ") && error.path.ends_with("secret.c"), "{error}");
    }
}
