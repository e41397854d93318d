//! What has to be on the disk before something else is done. A file system may bring changes to the disk in another
//! order than they were made in, and after a power cut only what is there counts.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Writes the names in a directory to the disk.
///
/// # Errors
/// When that cannot be done.
pub fn dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Writes every file and directory of a tree to the disk.
///
/// # Errors
/// When that cannot be done.
pub fn tree(dir: &Path) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(dir).contents_first(true) {
        let entry = entry?;
        if !entry.file_type().is_symlink() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    Ok(())
}

/// Writes everything to the disk that anybody has changed on the file systems of these directories (syncfs(2)), each file
/// system once. A path that is not there is left out.
///
/// # Errors
/// When that cannot be done.
pub fn file_systems<'p>(dirs: impl IntoIterator<Item = &'p Path>) -> io::Result<()> {
    let mut done = BTreeSet::new();
    for dir in dirs {
        let device = match fs::metadata(dir) {
            Ok(meta) => meta.dev(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if done.insert(device) {
            nix::unistd::syncfs(File::open(dir)?)?;
        }
    }
    Ok(())
}

/// Makes a directory and those above it, as far as they are missing; their names are on the disk then.
///
/// # Errors
/// When one cannot be made.
pub fn create_dir_all(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
    fs::create_dir_all(dir)?;
    for parent in missing.iter().rev().filter_map(|dir| dir.parent()) {
        self::dir(parent)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_left_out_and_what_is_missing_is_made() {
        let root = tempfile::tempdir().unwrap();
        file_systems([root.path(), &root.path().join("none"), root.path()]).unwrap();
        create_dir_all(&root.path().join("a/b")).unwrap();
        create_dir_all(&root.path().join("a/b")).unwrap();
        fs::write(root.path().join("a/b/f"), "").unwrap();
        assert!(tree(root.path()).is_ok() && tree(&root.path().join("none")).is_err());
        assert!(create_dir_all(&root.path().join("a/b/f/g")).is_err());
    }
}
