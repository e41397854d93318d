//! Changes to the module tree itself: registering, deleting builds, forgetting, sweeping up after a
//! kernel.

use std::io::ErrorKind::{DirectoryNotEmpty, NotFound, ResourceBusy};
use std::path::Path;

use crate::fs::atomic;
use crate::fs::atomic::TEMPORARY;
use crate::fs::look;
use crate::kernel::{self, DEPMOD_FILES, only_residue};
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{Cell, KernelRelease, ModuleId};
use crate::model::record::KernelNote;
use crate::tree::layout::Layout;
use crate::tree::notes;
use crate::tree::stub::is_stub;

/// Registers the source `S/m-v`.
///
/// # Errors
/// When there is no such source, or no dkms.conf in it.
pub fn add(layout: &Layout, id: &ModuleId) -> Result<()> {
    let shown = layout.source_inside(id);
    if !layout.root.is_dir(&shown) {
        return Err(Error::new(
            Kind::SourceMissing,
            format!("there is no module source {}", shown.display()),
        )
        .hint("put the source there, or name its directory: `dkms add DIRECTORY`"));
    }
    if !layout.root.resolve(shown.join("dkms.conf")).is_ok_and(|conf| conf.is_file()) {
        return Err(Error::new(Kind::ConfMissing, format!("there is no {}/dkms.conf", shown.display()))
            .hint("a module source needs a dkms.conf, see dkms(8)"));
    }
    let build = layout.build_dir(id);
    std::fs::create_dir_all(&build).map_err(|e| Error::io("create", &build, &e))?;
    atomic::symlink(&shown, &layout.source_link(id))
}

/// Deletes the build in a cell.
///
/// # Errors
/// When it cannot be deleted; it is then either still there or gone as a whole.
pub fn unbuild(layout: &Layout, cell: &Cell) -> Result<()> {
    let dir = layout.cell(cell);
    atomic::delete_tree(&dir, &format!(".tmp_{}_", cell.arch))?;
    drop_verdict(layout, cell)?;
    atomic::prune_empty(dir.parent(), &layout.version(&cell.module));
    Ok(())
}

/// Forgets why a cell has no build.
///
/// # Errors
/// When the note cannot be deleted.
pub fn drop_verdict(layout: &Layout, cell: &Cell) -> Result<()> {
    atomic::remove(&layout.failed_log(cell), &layout.state())?;
    atomic::remove(&layout.verdict(cell), &layout.state())
}

/// Takes a module version out of the tree. Its source in `/usr/src` stays, unless it only stands in for
/// one.
///
/// # Errors
/// When it cannot be deleted.
pub fn forget(layout: &Layout, id: &ModuleId) -> Result<()> {
    // What is known of it first: without an entry nobody would find that.
    atomic::delete_tree(&layout.verdict_dir(id), ".tmp-")?;
    atomic::prune_empty(layout.verdict_dir(id).parent(), &layout.state());
    atomic::remove(&layout.own_writes(id), &layout.state())?;
    // Its link is in there: in one step it is no longer registered. An entry without its link would be a broken one.
    atomic::delete_tree(&layout.version(id), ".tmp-")?;
    drop_stub(layout, id)?;
    atomic::prune_empty(Some(&layout.module(&id.name)), &layout.tree());
    Ok(())
}

/// Deletes a directory that stands in for the source of a module version which is no longer registered.
fn drop_stub(layout: &Layout, id: &ModuleId) -> Result<()> {
    if is_stub(&layout.source(id)) {
        atomic::delete_tree(&layout.source(id), TEMPORARY)?;
    }
    Ok(())
}

/// Removes what is left of a kernel that is gone: our notes, and its directory below
/// `/lib/modules` if only depmod's files and empty directories are in it.
///
/// # Errors
/// When something of it cannot be deleted.
pub fn sweep(layout: &Layout, release: &KernelRelease, cells: &[Cell]) -> Result<()> {
    for cell in cells.iter().filter(|c| c.kernel == *release) {
        drop_verdict(layout, cell)?;
        let originals = layout.originals(&cell.module.name, &cell.kernel, &cell.arch);
        atomic::prune_empty(Some(&originals), &layout.module(&cell.module.name));
    }
    drop_dangling_links(layout, release)?;
    let known = layout.known_modules(release);
    atomic::delete(&known)?;
    atomic::prune_empty(known.parent(), &layout.state());
    let dir = layout.kernel(release);
    let image = kernel::image(layout, release)?;
    if dir.is_dir() && !image && only_residue(&dir) {
        remove_residue(&dir)?;
    }
    atomic::remove(&layout.index_looks(release), &layout.state())?;
    notes::update(layout, release, |note| {
        *note = KernelNote { removed: note.removed && image, ..KernelNote::default() };
    })
}

/// Links to installed versions whose build somebody deleted by hand.
fn drop_dangling_links(layout: &Layout, kernel: &KernelRelease) -> Result<()> {
    let beginning = format!("kernel-{kernel}-");
    for module in look::read_dir(&layout.tree()) {
        for entry in look::read_dir(&module.path()) {
            let ours = entry.file_name().to_str().is_some_and(|n| n.starts_with(&beginning));
            let link = entry.file_type().is_ok_and(|t| t.is_symlink());
            if ours && link && look::exists(&entry.path()) == Ok(false) {
                atomic::delete(&entry.path())?;
            }
        }
    }
    Ok(())
}

/// An index of no modules, for a kernel that has none of its own, is as good as none: it goes, and the
/// kernel's directory if nothing else is in it.
///
/// # Errors
/// When a file cannot be deleted.
pub fn drop_empty_index(layout: &Layout, release: &KernelRelease) -> Result<()> {
    let dir = layout.kernel(release);
    let empty = std::fs::metadata(dir.join("modules.dep")).is_ok_and(|m| m.len() == 0);
    if !empty || kernel::image(layout, release)? {
        return Ok(());
    }
    for name in DEPMOD_FILES {
        atomic::delete(&dir.join(name))?;
    }
    // rmdir(2) refuses a directory that is not empty.
    let _ = std::fs::remove_dir(&dir);
    Ok(())
}

fn remove_residue(dir: &Path) -> Result<()> {
    for name in DEPMOD_FILES {
        atomic::delete(&dir.join(name))?;
    }
    let mut dirs: Vec<_> = walkdir::WalkDir::new(dir).contents_first(true).into_iter().flatten().collect();
    dirs.retain(|e| e.file_type().is_dir());
    for entry in dirs {
        // rmdir(2) refuses a directory that is not empty, which is just what is wanted.
        match std::fs::remove_dir(entry.path()) {
            Ok(()) => {}
            Err(e) if matches!(e.kind(), NotFound | DirectoryNotEmpty | ResourceBusy) => {}
            Err(e) => return Err(Error::io("remove", entry.path(), &e)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;
    use crate::model::ids::Arch;

    fn layout() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        (dir, layout)
    }

    #[test]
    fn adding_needs_a_source_with_a_conf_and_forgetting_leaves_the_source() {
        let (_dir, layout) = layout();
        let id = ModuleId::new("hello", "1.0").unwrap();
        assert_eq!(add(&layout, &id).unwrap_err().kind, Kind::SourceMissing);
        std::fs::create_dir_all(layout.source(&id)).unwrap();
        assert_eq!(add(&layout, &id).unwrap_err().kind, Kind::ConfMissing);
        std::fs::write(layout.source(&id).join("dkms.conf"), "").unwrap();
        add(&layout, &id).unwrap();
        assert_eq!(std::fs::read_link(layout.source_link(&id)).unwrap(), Path::new("/usr/src/hello-1.0"));
        forget(&layout, &id).unwrap();
        assert!(!layout.module(&id.name).exists() && layout.source(&id).exists());
    }

    #[test]
    fn sweeping_takes_residue_and_nothing_else() {
        let (_dir, layout) = layout();
        let k = KernelRelease::new("6.1").unwrap();
        let dir = layout.kernel(&k);
        std::fs::create_dir_all(dir.join("updates/dkms")).unwrap();
        std::fs::write(dir.join("modules.dep"), "").unwrap();
        std::fs::write(dir.join("mine.txt"), "").unwrap();
        sweep(&layout, &k, &[]).unwrap();
        assert!(dir.join("modules.dep").exists(), "a directory with a stranger's file is left alone");
        std::fs::remove_file(dir.join("mine.txt")).unwrap();
        sweep(&layout, &k, &[]).unwrap();
        assert!(!dir.exists());
    }

    #[test]
    fn a_deleted_build_leaves_no_directory() {
        let (_dir, layout) = layout();
        let cell = Cell {
            module: ModuleId::new("hello", "1.0").unwrap(),
            kernel: KernelRelease::new("6.1").unwrap(),
            arch: Arch::new("x86_64").unwrap(),
        };
        std::fs::create_dir_all(layout.built_modules(&cell)).unwrap();
        unbuild(&layout, &cell).unwrap();
        assert!(!layout.version(&cell.module).join("6.1").exists());
        assert!(layout.version(&cell.module).exists());
    }
}
