//! Putting the files of an index in place.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::index::File;
use crate::fs::atomic::TEMPORARY;
use crate::fs::temporary;
use crate::model::error::{Error, Result};

/// Writes the files into a kernel's directory: all of them beside their places first, then each is renamed, in
/// depmod's order. Whoever is stopped between leaves files that each are whole.
///
/// Their mode is 0644, whatever the caller's umask is: programs that are not root's have to read them, and those of
/// depmod(8) have been seen at 0600. As depmod does, this leaves it to the file system when they are on disk.
///
/// # Errors
/// When one cannot be written; then all old files are in place.
pub fn write(dir: &Path, files: &[File]) -> Result<()> {
    let mut written = Vec::with_capacity(files.len());
    for (name, bytes) in files {
        let path = dir.join(name);
        let doing = |error: std::io::Error| Error::io("write", &path, &error);
        let file = temporary::File::new(dir, TEMPORARY, ".tmp").map_err(doing)?;
        (&*file).write_all(bytes).map_err(doing)?;
        written.push((file, path));
    }
    for (file, path) in written {
        // The permissions above are less the umask.
        let opened = file.set_permissions(std::fs::Permissions::from_mode(0o644));
        opened.map_err(|error| Error::io("write", &path, &error))?;
        file.persist(&path).map_err(|error| Error::io("write", &path, &error))?;
    }
    Ok(())
}
