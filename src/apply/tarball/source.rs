//! The source of an archive on its way to `/usr/src`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::fs::atomic::TEMPORARY;
use crate::fs::copy::copy_tree;
use crate::fs::exchange::exchange;
use crate::fs::regular;
use crate::fs::stamp::content_tree;
use crate::fs::temporary;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::ModuleId;
use crate::tree::layout::Layout;
use crate::tree::stub::{STUB, is_stub};

/// Makes what stands in for a source out of a directory with a dkms.conf.
pub(super) fn make_stub(conf_dir: &Path, dir: &Path) -> Result<()> {
    let doing = |e: std::io::Error| Error::io("write", dir, &e);
    fs::create_dir(dir).map_err(doing)?;
    let conf = regular::read(&conf_dir.join("dkms.conf")).map_err(doing)?;
    regular::write(&dir.join("dkms.conf"), &conf).map_err(doing)?;
    let text = "Only binaries were loaded for this module; there is no source to build it from.\n";
    regular::write(&dir.join(STUB), text.as_bytes()).map_err(doing)
}

/// A source in its place, which can still be taken back.
#[derive(Debug, Default)]
pub(super) struct Placed {
    /// `S/m-v`, unless it was there already as it is in the archive.
    changed: Option<(PathBuf, temporary::Dir)>,
    /// Another source was there before.
    pub replaced: bool,
}

impl Placed {
    /// What was there before is there again.
    pub fn undo(self) {
        let Some((target, place)) = self.changed else { return };
        let aside = place.path().join("source");
        let undone = if self.replaced { exchange(&aside, &target) } else { fs::rename(&target, &aside) };
        if let Err(error) = undone {
            log::warn!("{} could not be restored: {error}", target.display());
        }
    }
}

/// Moves a directory to `S/m-v` in one step.
pub(super) fn place(layout: &Layout, from: &Path, id: &ModuleId) -> Result<Placed> {
    let target = layout.source(id);
    let there = fs::symlink_metadata(&target).ok();
    if there.as_ref().is_some_and(|meta| meta.is_dir())
        && is_stub(from) == is_stub(&target)
        && content_tree(from).ok() == content_tree(&target).ok()
    {
        return Ok(Placed { changed: None, replaced: false });
    }
    let shown = layout.source_inside(id);
    let failed = |e: &std::io::Error| Error::io("put the source into", &shown, e).of_kind(Kind::NotCopied);
    let parent = target.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, &e))?;
    let place = temporary::Dir::new(parent, TEMPORARY).map_err(|e| Error::io("write to", parent, &e))?;
    let new = place.path().join("source");
    match fs::rename(from, &new) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::CrossesDevices => {
            copy_tree(from, &new).map_err(|e| failed(&e.source))?;
        }
        Err(e) => return Err(failed(&e)),
    }
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).map_err(|e| failed(&e))?;
    let replaced = there.is_some();
    let moved = if replaced { exchange(&new, &target) } else { fs::rename(&new, &target) };
    moved.map_err(|e| failed(&e))?;
    Ok(Placed { changed: Some((target, place)), replaced })
}
