//! File operations that leave either the old or the new, never half of one.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::fs::regular;
use crate::fs::same::same_content;
use crate::fs::{sync, temporary};
use crate::model::error::{Error, Result};

pub use crate::fs::temporary::TEMPORARY;

/// The name of a directory that is on its way out, in the temporary one that it was moved into.
pub const GONE: &str = "gone";

/// Copies a file to `to` by way of a temporary name in the same directory that depmod(8) does not
/// take for a module, then renames it. Mode 0644. An identical file is left alone. The content is on the disk then; the
/// new name, once the caller syncs the directory.
///
/// # Errors
/// When reading or writing fails; `to` is then what it was before.
pub fn install(from: &Path, to: &Path) -> Result<()> {
    if same_content(from, to) {
        return Ok(());
    }
    let dir = to.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(dir).map_err(|e| Error::io("create", dir, &e))?;
    let doing = |e: std::io::Error| Error::io("write", to, &e);
    let mut source = regular::open(from).map_err(|e| Error::io("read", from, &e))?;
    let new = temporary::File::new(dir, TEMPORARY, ".tmp").map_err(doing)?;
    std::io::copy(&mut source, &mut &*new).map_err(doing)?;
    new.sync_all().map_err(doing)?;
    new.persist(to).map_err(doing)
}

/// Writes bytes beside the final name and renames them into place, mode 0644. A reader never sees half of them, nor does
/// anybody after a power cut: it leaves the old file or the new one.
///
/// # Errors
/// When they cannot be written; the old file is then untouched.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_then(path, bytes, File::sync_all)
}

/// As [`write`], and nothing that is done afterwards is on the disk before it.
///
/// # Errors
/// As there, or when the new name cannot be brought to the disk.
pub fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, bytes)?;
    sync_parent(path)
}

/// Brings the name of a file to the disk, or that it is gone.
///
/// # Errors
/// When that cannot be done.
pub fn sync_parent(path: &Path) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    sync::dir(dir).map_err(|e| Error::io("write to the disk", dir, &e))
}

/// As [`write`], for what is only there to save time: after a power cut it may be empty.
///
/// # Errors
/// As there.
pub fn write_unsynced(path: &Path, bytes: &[u8]) -> Result<()> {
    write_then(path, bytes, |_| Ok(()))
}

fn write_then(path: &Path, bytes: &[u8], sync: impl FnOnce(&File) -> std::io::Result<()>) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let doing = |e: std::io::Error| Error::io("write", path, &e);
    let file = temporary::File::new(dir, ".tmp-", "").map_err(doing)?;
    (&*file).write_all(bytes).map_err(doing)?;
    sync(&file).map_err(doing)?;
    file.persist(path).map_err(doing)
}

/// Removes a file and then its parent directories as long as they are empty, up to but not
/// including `stop`. A file that is not there is fine.
///
/// # Errors
/// When the file is there and cannot be removed.
pub fn remove(path: &Path, stop: &Path) -> Result<()> {
    delete(path)?;
    prune_empty(path.parent(), stop);
    Ok(())
}

/// Removes empty directories from `dir` upwards, up to but not including `stop`.
pub fn prune_empty(mut dir: Option<&Path>, stop: &Path) {
    while let Some(d) = dir {
        if d == stop || !d.starts_with(stop) {
            break;
        }
        if !temporary::remove_if_empty(d) {
            break;
        }
        dir = d.parent();
    }
}

/// Makes `link` point at `target`, replacing another link in one step.
///
/// # Errors
/// When it cannot be made.
pub fn symlink(target: &Path, link: &Path) -> Result<()> {
    let dir = link.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(dir).map_err(|e| Error::io("create", dir, &e))?;
    let doing = |e: std::io::Error| Error::io("make the link", link, &e);
    let place = temporary::Dir::new(dir, TEMPORARY).map_err(doing)?;
    let new = place.path().join("link");
    std::os::unix::fs::symlink(target, &new).map_err(doing)?;
    std::fs::rename(&new, link).map_err(doing)
}

/// Deletes a file. One that is not there is fine.
///
/// # Errors
/// When it is there and cannot be deleted.
pub fn delete(path: &Path) -> Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => {
            temporary::leave();
            Err(Error::io("delete", path, &e))
        }
    }
}

/// Deletes a directory by renaming it away first, so that whoever looks sees all of it or nothing.
/// `prefix` is the start of the temporary name: one that nobody takes for something else.
///
/// # Errors
/// When it is there and cannot be deleted.
pub fn delete_tree(dir: &Path, prefix: &str) -> Result<()> {
    let parent = dir.parent().unwrap_or(Path::new("/"));
    let doing = |e: std::io::Error| Error::io("delete", dir, &e);
    let place = match temporary::Dir::new(parent, prefix) {
        Ok(place) => place,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(doing(e)),
    };
    match std::fs::rename(dir, place.path().join(GONE)) {
        // It is gone for everybody; the rest can wait.
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(doing(e)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn installing_replaces_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("d/to.ko"));
        std::fs::write(&from, "new").unwrap();
        install(&from, &to).unwrap();
        std::fs::write(&from, "newer").unwrap();
        install(&from, &to).unwrap();
        assert_eq!(std::fs::read_to_string(&to).unwrap(), "newer");
        assert_eq!(std::fs::read_dir(dir.path().join("d")).unwrap().count(), 1);
        assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn a_file_is_written_whole_and_taken_away_with_empty_directories() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/k.json");
        assert!(write(&path, b"x").is_err(), "its directory is missing");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path, b"x").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
        remove(&path, dir.path()).unwrap();
        assert!(!dir.path().join("a").exists() && dir.path().exists());
        remove(&path, dir.path()).unwrap();
    }

    #[test]
    fn links_are_replaced_and_trees_vanish() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("l");
        symlink(Path::new("a"), &link).unwrap();
        symlink(Path::new("b"), &link).unwrap();
        assert_eq!(std::fs::read_link(&link).unwrap(), Path::new("b"));
        std::fs::create_dir_all(dir.path().join("t/u")).unwrap();
        delete_tree(&dir.path().join("t"), ".tmp_").unwrap();
        delete_tree(&dir.path().join("t"), ".tmp_").unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
