//! Files and directories under temporary names. One that cannot be removed is remembered, so that a later run clears
//! it away.

use std::fs::{self, Permissions};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::{Builder, TempDir, TempPath};

static LEFT: AtomicBool = AtomicBool::new(false);

/// Something of ours could not be removed: whoever holds the lock next is to try again.
pub fn leave() {
    LEFT.store(true, Ordering::Relaxed);
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
            let path = dir.path().display().to_string();
            removed(&path, dir.close());
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
