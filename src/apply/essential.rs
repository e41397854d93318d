//! The file of ours that names the essential modules.

use std::path::{Path, PathBuf};

use crate::fs::{atomic, regular, sync};
use crate::model::error::{Error, Result};
use crate::model::settings::Names;
use crate::tree::layout::Layout;

/// The drop-in of framework.conf that holds what a person confirmed, as seen from inside the root.
pub const FILE: &str = "/etc/dkms/framework.conf.d/dkms-hook-essential.conf";

/// Writes the drop-in.
///
/// # Errors
/// When it cannot be written; then it is as before.
pub fn write(layout: &Layout, names: &Names) -> Result<()> {
    let text = format!(
        "# Written by `dkms-hook essential`: modules that this machine should start no kernel without.\n\
         # `dkms-hook essential --not NAME` takes one back.\nessential=\"{names}\"\n"
    );
    put(layout, text.as_bytes())
}

/// What is in the drop-in; nothing where it is not there, or cannot be read.
pub fn read(layout: &Layout) -> Option<Vec<u8>> {
    regular::read(&path(layout)).ok()
}

/// Puts back what [`read`] gave.
///
/// # Errors
/// When it cannot be written or deleted.
pub fn put_back(layout: &Layout, before: Option<&[u8]>) -> Result<()> {
    before.map_or_else(|| delete(layout), |bytes| put(layout, bytes))
}

fn put(layout: &Layout, bytes: &[u8]) -> Result<()> {
    let path = path(layout);
    let dir = path.parent().unwrap_or(Path::new("/"));
    sync::create_dir_all(dir).map_err(|error| Error::io("create", dir, &error))?;
    atomic::write_durably(&path, bytes)
}

/// Deletes the drop-in, if it is there.
///
/// # Errors
/// When it cannot be deleted.
pub fn delete(layout: &Layout) -> Result<()> {
    atomic::delete(&path(layout)).map(drop)
}

fn path(layout: &Layout) -> PathBuf {
    layout.root.path(FILE)
}
