//! The private place of an attempt: a directory that only root can look into, and that is gone afterwards.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::fs::copy::remove_tree;

/// The directory. Dropped, it disappears with all that is in it. Only one who holds the lock of the module tree makes
/// one: what is there already is of a run that was killed.
#[derive(Debug)]
pub(super) struct Place(PathBuf);

impl Place {
    /// Makes it.
    ///
    /// # Errors
    /// When it cannot be made, or what is there cannot be removed.
    pub(super) fn new(dir: &Path) -> io::Result<Self> {
        match fs::symlink_metadata(dir) {
            Ok(_) => remove_tree(dir)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        fs::DirBuilder::new().mode(0o700).create(dir)?;
        Ok(Self(dir.to_path_buf()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// A directory in it, and what it is in, that everybody may look into who gets there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn make(&self, inside: impl AsRef<Path>) -> io::Result<PathBuf> {
        let dir = self.0.join(&inside);
        fs::create_dir_all(&dir)?;
        for part in dir.ancestors().take_while(|part| *part != self.0) {
            fs::set_permissions(part, fs::Permissions::from_mode(0o755))?;
        }
        Ok(dir)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = remove_tree(&self.0) {
            log::warn!("{} could not be removed: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_goes_and_so_does_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("place");
        fs::create_dir_all(at.join("left/behind")).unwrap();
        let place = Place::new(&at).unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let made = place.make("tree/usr/src").unwrap();
        assert_eq!((mode(place.path()), mode(&made)), (0o700, 0o755));
        drop(place);
        assert!(!at.exists());
    }
}
