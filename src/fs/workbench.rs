//! A place beside a file where a program of somebody else works on a copy of it. Whatever keeps that program from coming
//! to its end, the file is what it was; and what else it leaves goes with the place.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::fs::copy::copy_file;
use crate::fs::temporary;

/// Such a place. Dropped, it is gone.
#[derive(Debug)]
pub struct Workbench {
    dir: temporary::Dir,
    file: PathBuf,
}

impl Workbench {
    /// One for a file; nothing is in it yet.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn beside(file: &Path) -> io::Result<Self> {
        let parent = file.parent().unwrap_or(Path::new("/"));
        let dir = temporary::Dir::new(parent, ".tmp-")?;
        Ok(Self { dir, file: file.to_path_buf() })
    }

    /// The path of something in it that has this name.
    pub fn place(&self, name: &OsStr) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Copies the file there, under its own name.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn fill(&self) -> io::Result<PathBuf> {
        let copy = self.place(self.file.file_name().unwrap_or_default());
        copy_file(&self.file, &copy).map_err(|error| error.source)?;
        Ok(copy)
    }

    /// Puts what has come of it, mode 0644, in the place of `target`, which is beside the file.
    ///
    /// # Errors
    /// When it cannot be put there; what was there is unchanged.
    pub fn take(&self, made: &Path, target: &Path) -> io::Result<()> {
        fs::set_permissions(made, Permissions::from_mode(0o644))?;
        fs::rename(made, target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_stays_until_the_copy_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("m.ko");
        fs::write(&file, "old").unwrap();
        let spoil = |take: bool| {
            let bench = Workbench::beside(&file).unwrap();
            let copy = bench.fill().unwrap();
            assert_eq!(fs::read_to_string(&copy).unwrap(), "old");
            fs::write(&copy, "new").unwrap();
            fs::write(bench.place(OsStr::new("stABC")), "").unwrap();
            if take {
                bench.take(&copy, &file).unwrap();
            }
        };
        spoil(false);
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        spoil(true);
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
