//! From an unpacked archive to the module tree.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::source::{self, Placed, make_stub};
use super::unpack::{Form, Unpacked};
use crate::apply::tree;
use crate::fs::atomic;
use crate::fs::exchange::exchange;
use crate::fs::regular;
use crate::fs::sync;
use crate::model::error::{Error, Result};
use crate::model::ids::{Cell, ModuleId};
use crate::model::record::InstalledFile;
use crate::tree::layout::Layout;
use crate::tree::state;
use crate::tree::stub::is_stub;

/// What was done.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Cells that have the archive's build now.
    pub cells: Vec<Cell>,
    /// Cells that had a build already, which was left alone.
    pub kept: Vec<Cell>,
    /// What of a replaced build is installed.
    pub installed: Vec<(Cell, Vec<InstalledFile>)>,
    /// Another source of that name was replaced.
    pub replaced_source: bool,
    /// Modules among them do not bear the signature of the key with which this machine signs. Not
    /// looked at here.
    pub signed_by_others: bool,
    /// There is no source: only the builds can be used.
    pub without_source: bool,
}

/// Registers the source and puts the builds in place; what cannot be completed is taken back. With
/// `force`, builds that are there are replaced. Whether the module version may be registered is for the
/// caller to know.
///
/// # Errors
/// When something cannot be written.
pub fn load(layout: &Layout, unpacked: Unpacked, id: &ModuleId, force: bool) -> Result<Loaded> {
    let source = place_source(layout, &unpacked, id)?;
    let mut loaded = Loaded {
        replaced_source: source.replaced,
        without_source: is_stub(&layout.source(id)),
        ..Loaded::default()
    };
    let result = match fs::symlink_metadata(layout.version(id)) {
        Ok(_) => add_builds(layout, &unpacked, id, force, &mut loaded),
        Err(_) => new_version(layout, &unpacked, id, &mut loaded),
    };
    if let Err(error) = result {
        source.undo();
        return Err(error);
    }
    for cell in &loaded.cells {
        // Why there was no build before.
        tree::drop_verdict(layout, cell)?;
    }
    Ok(loaded)
}

fn place_source(layout: &Layout, unpacked: &Unpacked, id: &ModuleId) -> Result<Placed> {
    if unpacked.form() != Form::BinariesOnly {
        return source::place(layout, unpacked.conf_dir(), id);
    }
    let own = layout.root.resolve(layout.source_inside(id)).unwrap_or_else(|_| layout.source(id));
    if own.join("dkms.conf").is_file() && !is_stub(&own) {
        return Ok(Placed::default());
    }
    let stub = unpacked.place.path().join("stub");
    make_stub(unpacked.conf_dir(), &stub)?;
    source::place(layout, &stub, id)
}

fn cell(id: &ModuleId, build: &super::Build) -> Cell {
    Cell { module: id.clone(), kernel: build.kernel.clone(), arch: build.arch.clone() }
}

/// A build that was not made for a kernel of this machine must not be taken for one of a kernel that is
/// gone.
fn mark(dir: &Path) -> Result<()> {
    let mark = dir.join(crate::tree::layout::LOADED);
    regular::write(&mark, b"").map_err(|e| Error::io("write", &mark, &e))
}

/// The whole entry of the module version, made aside and renamed.
fn new_version(layout: &Layout, unpacked: &Unpacked, id: &ModuleId, loaded: &mut Loaded) -> Result<()> {
    let new = unpacked.place.path().join("version");
    let doing = |e: std::io::Error| Error::io("write", &layout.shown(&layout.version(id)), &e);
    fs::create_dir_all(new.join("build")).map_err(doing)?;
    symlink(layout.source_inside(id), new.join("source")).map_err(doing)?;
    for build in unpacked.builds() {
        mark(&build.dir)?;
        let kernel = new.join(&build.kernel);
        fs::create_dir_all(&kernel).map_err(doing)?;
        fs::rename(&build.dir, kernel.join(&build.arch)).map_err(doing)?;
        fs::set_permissions(&kernel, fs::Permissions::from_mode(0o755)).map_err(doing)?;
        loaded.cells.push(cell(id, build));
    }
    for dir in [new.clone(), new.join("build")] {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).map_err(doing)?;
    }
    sync::tree(&new).map_err(doing)?;
    let module = layout.module(&id.name);
    fs::create_dir_all(&module).map_err(|e| Error::io("create", &module, &e))?;
    fs::rename(&new, layout.version(id)).map_err(|e| {
        atomic::prune_empty(Some(&module), &layout.tree());
        doing(e)
    })?;
    // It is there; whether a power cut could undo it changes nothing in that.
    let _ = sync::dir(&module);
    Ok(())
}

/// Beside what is registered, or half registered, already.
fn add_builds(
    layout: &Layout,
    unpacked: &Unpacked,
    id: &ModuleId,
    force: bool,
    loaded: &mut Loaded,
) -> Result<()> {
    let mut undo = Undo::default();
    for build in unpacked.builds() {
        let cell = cell(id, build);
        let target = layout.cell(&cell);
        let there = fs::symlink_metadata(&target).is_ok();
        if there && !force {
            loaded.kept.push(cell);
            continue;
        }
        let doing = |e: std::io::Error| Error::io("write", &layout.shown(&target), &e);
        let parent = target.parent().unwrap_or(Path::new("/"));
        mark(&build.dir)?;
        sync::tree(&build.dir).map_err(doing)?;
        fs::create_dir_all(parent).map_err(doing)?;
        if there {
            if let Some(record) = state::record(layout, &cell)? {
                loaded.installed.push((cell.clone(), record.installed));
            }
            exchange(&build.dir, &target).map_err(doing)?;
        } else {
            fs::rename(&build.dir, &target).map_err(doing)?;
        }
        undo.steps.push((target.clone(), build.dir.clone(), there));
        let _ = sync::dir(parent);
        loaded.cells.push(cell);
    }
    register(layout, unpacked, id)?;
    undo.steps.clear();
    Ok(())
}

/// Makes `source` the link that it is for a registered module version.
fn register(layout: &Layout, unpacked: &Unpacked, id: &ModuleId) -> Result<()> {
    let link = layout.source_link(id);
    if fs::symlink_metadata(&link).is_ok_and(|meta| meta.is_dir()) {
        // What DKMS leaves after loading an archive of binaries.
        let aside = unpacked.place.path().join("old-source");
        fs::rename(&link, aside).map_err(|e| Error::io("replace", &link, &e))?;
    }
    tree::add(layout, id)
}

/// Takes back what was put in place, last things first, unless it is emptied.
#[derive(Default)]
struct Undo {
    /// Where the build is, where it came from, and whether another one was there.
    steps: Vec<(PathBuf, PathBuf, bool)>,
}

impl Drop for Undo {
    fn drop(&mut self) {
        for (target, from, replaced) in self.steps.iter().rev() {
            let undone = if *replaced { exchange(from, target) } else { fs::rename(target, from) };
            if let Err(error) = undone {
                log::warn!("{} could not be restored: {error}", target.display());
            } else if !replaced {
                atomic::prune_empty(
                    target.parent(),
                    target.parent().and_then(Path::parent).unwrap_or(target),
                );
            }
        }
    }
}
