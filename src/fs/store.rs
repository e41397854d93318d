//! Reads and writes small JSON files so that a reader never sees half of one.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::error::{Error, Result};

/// Reads a file. Missing, unreadable or not understood all give `None`: what we keep can be
/// computed again, so a damaged file costs time, never a failure.
pub fn load<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let bytes = std::fs::read(path).ok()?;
    match serde_json::from_slice(&bytes) {
        Ok(value) => Some(value),
        Err(err) => {
            log::info!("{} is not understood ({err}); it will be made again", path.display());
            None
        }
    }
}

/// Writes a file beside its final name and renames it into place.
///
/// # Errors
/// When the directory cannot be made or the file not be written; the old file is then untouched.
pub fn save<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(dir).map_err(|e| Error::io("create", dir, &e))?;
    let mut text = serde_json::to_vec_pretty(value).map_err(|e| Error::new(1, e.to_string()))?;
    text.push(b'\n');
    write_atomic(path, &text)
}

/// Writes bytes beside the final name and renames them into place, mode 0644.
///
/// # Errors
/// As for [`save`].
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let dir = path.parent().unwrap_or(Path::new("/"));
    let doing = |e: std::io::Error| Error::io("write", path, &e);
    let mut file = tempfile::Builder::new()
        .prefix(".tmp-")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(dir)
        .map_err(doing)?;
    file.write_all(bytes).map_err(doing)?;
    file.as_file().sync_all().map_err(doing)?;
    file.persist(path).map_err(|e| Error::io("write", path, &e.error))?;
    Ok(())
}

/// Removes a file and then its parent directories as long as they are empty, up to but not
/// including `stop`. A file that is not there is fine.
///
/// # Errors
/// When the file is there and cannot be removed.
pub fn remove(path: &Path, stop: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::io("remove", path, &err));
        }
        _ => {}
    }
    prune_empty(path.parent(), stop);
    Ok(())
}

/// Removes empty directories from `dir` upwards, up to but not including `stop`.
pub fn prune_empty(mut dir: Option<&Path>, stop: &Path) {
    while let Some(d) = dir {
        if d == stop || !d.starts_with(stop) {
            break;
        }
        match std::fs::remove_dir(d) {
            Ok(()) => {}
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => {}
            Err(_) => break,
        }
        dir = d.parent();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::KernelNote;

    #[test]
    fn what_was_saved_is_loaded_and_damage_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/k.json");
        let note = KernelNote { removed: true, ..KernelNote::default() };
        save(&path, &note).unwrap();
        assert_eq!(load::<KernelNote>(&path), Some(note));
        std::fs::write(&path, b"{\"removed\": tr").unwrap();
        assert_eq!(load::<KernelNote>(&path), None);
        remove(&path, dir.path()).unwrap();
        assert!(!dir.path().join("a").exists() && dir.path().exists());
        remove(&path, dir.path()).unwrap();
    }
}
