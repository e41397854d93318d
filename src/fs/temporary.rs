//! Files and directories under temporary names. One that cannot be removed is remembered, so that a later run clears
//! it away.

use std::fs::{self, Permissions};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::{Builder, TempDir, TempPath};

/// Start of the names that this program gives to files that are not complete, outside its own tree.
pub const TEMPORARY: &str = ".dkms-hook-";

static LEFT: AtomicBool = AtomicBool::new(false);

/// Something of ours could not be removed or written down: whoever holds the lock next is to look, and try again.
pub fn leave() {
    LEFT.store(true, Ordering::Relaxed);
}

/// As [`leave`], of a directory of which a part could not be removed: what is left gets a temporary name, by which it is
/// known for what it is.
pub(super) fn leave_tree(dir: &Path) {
    let name = dir.file_name().unwrap_or_default().as_encoded_bytes();
    if ![".tmp", TEMPORARY].iter().any(|start| name.starts_with(start.as_bytes())) {
        let place = dir.parent().and_then(|parent| Dir::new(parent, TEMPORARY).ok());
        // An empty directory can be replaced by another one (rename(2)).
        if let Some(place) = place.map(Dir::keep) {
            let _ = fs::rename(dir, place);
        }
    }
    leave();
}

/// Removes a directory if nothing is in it. True when it is not there then.
pub fn remove_if_empty(dir: &Path) -> bool {
    use io::ErrorKind::{DirectoryNotEmpty, NotADirectory, NotFound};
    // Nobody would come back for it: one more try is all that a bad moment of the disk gets.
    let result = fs::remove_dir(dir).or_else(|error| match error.kind() {
        NotFound | DirectoryNotEmpty | NotADirectory | io::ErrorKind::ResourceBusy => Err(error),
        _ => fs::remove_dir(dir),
    });
    match result {
        Ok(()) => true,
        Err(error) if error.kind() == NotFound => true,
        // Somebody else may have mounted something there.
        Err(error)
            if [DirectoryNotEmpty, NotADirectory, io::ErrorKind::ResourceBusy].contains(&error.kind()) =>
        {
            false
        }
        Err(error) => {
            removed(&dir.display().to_string(), Err(error));
            false
        }
    }
}

/// Whether something could not be removed. It is forgotten by that.
pub fn take_left() -> bool {
    LEFT.swap(false, Ordering::Relaxed)
}

/// A directory. Dropped, it disappears with all that is in it.
#[derive(Debug)]
pub struct Dir(Option<TempDir>);

impl Dir {
    /// Makes one in a directory, with a name that begins so.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(parent: &Path, prefix: &str) -> io::Result<Self> {
        Builder::new().prefix(prefix).tempdir_in(parent).map(|dir| Self(Some(dir)))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// Leaves it as it is, for its caller to remove.
    pub fn keep(mut self) -> PathBuf {
        self.0.take().map_or_else(PathBuf::new, TempDir::keep)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if let Some(dir) = self.0.take() {
            // A run without the lock has nobody to leave it to: so it is tried once more.
            let path = dir.keep();
            let result = fs::remove_dir_all(&path).or_else(|_| fs::remove_dir_all(&path));
            removed(&path.display().to_string(), result);
        }
    }
}

/// A file, mode 0644. Dropped, it disappears.
#[derive(Debug)]
pub struct File {
    file: fs::File,
    path: Option<TempPath>,
}

impl File {
    /// Makes one in a directory, with a name that begins and ends so.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(dir: &Path, prefix: &str, suffix: &str) -> io::Result<Self> {
        let mode = Permissions::from_mode(0o644);
        let made = Builder::new().prefix(prefix).suffix(suffix).permissions(mode).tempfile_in(dir)?;
        let (file, path) = made.into_parts();
        Ok(Self { file, path: Some(path) })
    }

    /// Gives it its name, in place of what has that name.
    ///
    /// # Errors
    /// When that cannot be done; it is gone then.
    pub fn persist(mut self, name: &Path) -> io::Result<()> {
        let Some(path) = self.path.take() else { return Ok(()) };
        path.persist(name).map_err(|failed| {
            self.path = Some(failed.path);
            failed.error
        })
    }
}

impl Deref for File {
    type Target = fs::File;

    fn deref(&self) -> &fs::File {
        &self.file
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            let shown = path.display().to_string();
            removed(&shown, path.close());
        }
    }
}

fn removed(path: &str, result: io::Result<()>) {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            log::info!("{path} could not be removed: {error}");
            leave();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_dropped_is_gone_and_what_has_its_name_stays() {
        let dir = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(dir.path()).unwrap().count();
        let file = File::new(dir.path(), ".tmp-", ".x").unwrap();
        (&*file).write_all(b"text").unwrap();
        drop(File::new(dir.path(), ".tmp-", "").unwrap());
        file.persist(&dir.path().join("name")).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("name")).unwrap(), "text");
        let kept = Dir::new(dir.path(), ".tmp-").unwrap();
        fs::write(kept.path().join("f"), "").unwrap();
        drop(Dir::new(dir.path(), ".tmp-").unwrap());
        let kept = kept.keep();
        assert!(kept.join("f").exists() && names() == 2);
        // A directory in the way of the name.
        let file = File::new(dir.path(), ".tmp-", "").unwrap();
        assert!(file.persist(&kept).is_err() && names() == 2);
    }
}
