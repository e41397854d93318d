//! A module that was there before ours: set aside at the first install, put back at the last
//! uninstall. The place and the `.origin` files are DKMS's.

use std::path::{Path, PathBuf};

use crate::elf::{module_name, module_stem};
use crate::fs::atomic::{self, TEMPORARY};
use crate::fs::look;
use crate::fs::regular;
use crate::fs::same::same_content;
use crate::fs::{sync, temporary};
use crate::kernel;
use crate::model::error::{Error, Result};
use crate::model::ids::Cell;
use crate::model::inside;
use crate::model::record::InstalledFile;
use crate::observe::holdings::Holdings;
use crate::tree::layout::Layout;

/// Sets a module aside. One that came from the same place before gives way: whoever put the new one there has
/// replaced it.
///
/// # Errors
/// When it cannot be moved; it is then where it was.
pub fn archive(layout: &Layout, cell: &Cell, original: &Path) -> Result<()> {
    match note_place(layout, cell, original)? {
        Some(kept) => move_file(original, &kept),
        None => Ok(()),
    }
}

/// Writes down where a module is that is to be set aside, and says under which path. The note comes first: without the
/// file it is harmless, the file without it could not go back.
fn note_place(layout: &Layout, cell: &Cell, original: &Path) -> Result<Option<PathBuf>> {
    let dir = layout.originals(&cell.module.name, &cell.kernel, &cell.arch);
    let Some(name) = original.file_name().and_then(|n| n.to_str()) else { return Ok(None) };
    sync::create_dir_all(&dir).map_err(|e| Error::io("create", &dir, &e))?;
    let place = format!("{}\n", layout.shown(original).display());
    let name = name_for(&dir, name, &place)?;
    atomic::write_durably(&dir.join(format!("{name}.origin")), place.as_bytes())?;
    Ok(Some(dir.join(name)))
}

/// Keeps a module whose place is about to be taken in one step: until then it stays there.
///
/// # Errors
/// When it cannot be kept.
pub fn keep(layout: &Layout, cell: &Cell, original: &Path) -> Result<()> {
    let Some(kept) = note_place(layout, cell, original)? else { return Ok(()) };
    if !link_to(original, &kept)? {
        copy(original, &kept)?;
    }
    atomic::sync_parent(&kept)
}

/// Gives a file a second name, in place of what has that name; false where the file system cannot.
fn link_to(file: &Path, name: &Path) -> Result<bool> {
    let dir = name.parent().unwrap_or(Path::new("/"));
    let doing = |e: std::io::Error| Error::io("write to", dir, &e);
    let place = temporary::Dir::new(dir, TEMPORARY).map_err(doing)?;
    let new = place.path().join("link");
    if std::fs::hard_link(file, &new).is_err() {
        return Ok(false);
    }
    std::fs::rename(&new, name).map(|()| true).map_err(doing)
}

/// Where the module was that was set aside for one of ours, inside the root: the run that did so may have ended before
/// it wrote that down.
pub fn place_of(layout: &Layout, cell: &Cell, file: &str) -> Option<PathBuf> {
    let dir = layout.originals(&cell.module.name, &cell.kernel, &cell.arch);
    let name = module_name(file);
    let mut noted = set_aside(&dir).into_iter().filter_map(|(kept, note)| Some((kept, note?)));
    noted.find_map(|(kept, note)| {
        let place = PathBuf::from(regular::read_to_string(&note).ok()?.trim_end());
        let same = place.file_name().and_then(|own| own.to_str()).is_some_and(|own| module_name(own) == name);
        (same && std::fs::symlink_metadata(kept).is_ok()).then_some(place)
    })
}

/// The name to set a file aside under: its own, unless a file from another place has it. DKMS puts back all
/// files whose notes begin with the name of the module.
fn name_for(dir: &Path, own: &str, place: &str) -> Result<String> {
    let mut name = own.to_owned();
    let mut number = 0;
    loop {
        let note = dir.join(format!("{name}.origin"));
        let from = match regular::read_to_string(&note) {
            Ok(text) => Some(text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return Err(Error::io("read", &note, &e)),
        };
        let is_there = std::fs::symlink_metadata(dir.join(&name)).is_ok();
        if from.as_deref() == Some(place) || from.is_none() && !is_there {
            return Ok(name);
        }
        number += 1;
        name = format!("{own}.{number}");
    }
}

/// Forgets a file of ours that other packages have set aside: it is not to come back when they go.
///
/// # Errors
/// When it cannot be deleted.
pub fn forget(layout: &Layout, cell: &Cell, file: &InstalledFile, holdings: &Holdings<'_>) -> Result<()> {
    let place = format!("{}\n", file.path.display());
    for other in holdings.with_originals().into_iter().filter(|name| *name != cell.module.name) {
        let dir = layout.originals(&other, &cell.kernel, &cell.arch);
        for (kept, note) in set_aside(&dir) {
            let Some(note) = note else { continue };
            let from = regular::read_to_string(&note).unwrap_or_default();
            // A rename keeps time and size; between file systems the content tells.
            let same_time = std::fs::symlink_metadata(&kept)
                .is_ok_and(|meta| meta.len() == file.size && look::mtime(&meta) == file.mtime);
            let ours = || same_time || same_content(&layout.built_modules(cell).join(&file.built), &kept);
            if from == place && ours() {
                atomic::delete(&kept)?;
                atomic::delete(&note)?;
                atomic::prune_empty(Some(&dir), &layout.module(&other));
            }
        }
    }
    Ok(())
}

/// Puts everything back that was set aside for a cell, unless its kernel is gone. What has no note of
/// its place (DKMS before 3.1 made none) goes into the directory below `/lib/modules/K` that `place`
/// gives for its name (without `.ko`). `gone`: a kernel that is not on disk is gone; otherwise what was set
/// aside for it stays.
///
/// # Errors
/// When a file cannot be put back; it then stays set aside.
pub fn restore(
    layout: &Layout,
    cell: &Cell,
    place: &dyn Fn(&str) -> Option<PathBuf>,
    gone: bool,
) -> Result<Vec<PathBuf>> {
    let dir = layout.originals(&cell.module.name, &cell.kernel, &cell.arch);
    let kernel_dir = layout.kernel(&cell.kernel);
    let kernel_lives = kernel::image(layout, &cell.kernel)?;
    let mut restored = Vec::new();
    if !kernel_lives && !gone {
        return Ok(restored);
    }
    for (archived, note) in set_aside(&dir) {
        let target = match &note {
            Some(note) => {
                let text = regular::read_to_string(note).map_err(|e| Error::io("read", note, &e))?;
                layout.root.path(text.trim_end())
            }
            None => {
                let Some(name) = archived.file_name().and_then(|n| n.to_str()) else { continue };
                let Some(place) = module_stem(name).and_then(place) else { continue };
                kernel_dir.join(place).join(name)
            }
        };
        // Only ever below the kernel it came from, whatever the file says.
        if kernel_lives {
            if inside::climbs(&target) || !is_below(&target, &kernel_dir) {
                continue;
            }
            // A new revision of the kernel's package has brought a newer one.
            let is_there = |path: &Path| std::fs::symlink_metadata(path).is_ok();
            if !is_there(&target) && is_there(&archived) {
                move_file(&archived, &target)?;
                restored.push(target);
            }
        }
        atomic::delete(&archived)?;
        if let Some(note) = &note {
            atomic::delete(note)?;
        }
    }
    if !kernel_lives && dir.is_dir() {
        atomic::delete_tree(&dir, ".tmp-")?;
    }
    // What nobody can say the place of stays set aside.
    atomic::prune_empty(Some(&dir), &layout.module(&cell.module.name));
    Ok(restored)
}

/// The files that are set aside in a directory, with the notes of their places. A note may have
/// outlived its file.
fn set_aside(dir: &Path) -> Vec<(PathBuf, Option<PathBuf>)> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    let noted = |name: &str| format!("{name}.origin");
    let files = names.iter().filter_map(|name| match name.strip_suffix(".origin") {
        Some(file) => Some((dir.join(file), Some(dir.join(name)))),
        None if names.contains(&noted(name)) => None,
        None => module_stem(name).map(|_| (dir.join(name), None)),
    });
    files.collect()
}

/// Both by way of their links: `/lib` may be one.
fn is_below(path: &Path, dir: &Path) -> bool {
    let parent = path.ancestors().skip(1).find_map(|p| p.canonicalize().ok());
    matches!((parent, dir.canonicalize()), (Some(parent), Ok(dir)) if parent.starts_with(&dir))
}

fn move_file(from: &Path, to: &Path) -> Result<()> {
    if let Some(dir) = to.parent() {
        std::fs::create_dir_all(dir).map_err(|e| Error::io("create", dir, &e))?;
    }
    match std::fs::rename(from, to) {
        // /lib/modules and /var are often different file systems.
        Err(e) if e.kind() == std::io::ErrorKind::CrossesDevices => {
            copy(from, to)?;
            // Two file systems bring to the disk what they have when they like.
            atomic::sync_parent(to)?;
            atomic::delete(from).map(drop)
        }
        other => other.map_err(|e| Error::io("move", from, &e)),
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    match std::fs::read_link(from) {
        Ok(target) => atomic::symlink(&target, to),
        Err(_) => atomic::install(from, to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;
    use crate::kernel::Listing;
    use crate::model::ids::{Arch, KernelRelease, ModuleId};

    #[test]
    fn what_was_set_aside_comes_back_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let cell = Cell {
            module: ModuleId::new("e1000e", "9").unwrap(),
            kernel: KernelRelease::new("6.1").unwrap(),
            arch: Arch::new("x86_64").unwrap(),
        };
        let there = layout.kernel(&cell.kernel).join("kernel/drivers/net/e1000e.ko.xz");
        std::fs::create_dir_all(there.parent().unwrap()).unwrap();
        std::fs::write(&there, "original").unwrap();

        let listing = Listing::of(&layout, &cell.kernel);
        assert_eq!(listing.all("e1000e.ko", "/updates/dkms"), std::slice::from_ref(&there));
        assert!(listing.all("e1000.ko", "/updates/dkms").is_empty());
        archive(&layout, &cell, &there).unwrap();
        assert!(!there.exists());
        assert_eq!(restore(&layout, &cell, &|_| None, true).unwrap(), std::slice::from_ref(&there));
        assert_eq!(std::fs::read_to_string(&there).unwrap(), "original");

        // A newer one that the kernel's package brought meanwhile wins.
        archive(&layout, &cell, &there).unwrap();
        std::fs::write(&there, "newer").unwrap();
        assert!(restore(&layout, &cell, &|_| None, true).unwrap().is_empty());
        assert_eq!(std::fs::read_to_string(&there).unwrap(), "newer");
        assert!(!layout.module(&cell.module.name).join("original_module").exists());
    }

    #[test]
    fn files_of_one_name_from_two_places_go_back_to_both() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let cell = Cell {
            module: ModuleId::new("m", "1").unwrap(),
            kernel: KernelRelease::new("6.1").unwrap(),
            arch: Arch::new("x86_64").unwrap(),
        };
        let at = |place: &str| layout.kernel(&cell.kernel).join(place);
        let put = |place: &str, text: &str| {
            std::fs::create_dir_all(at(place).parent().unwrap()).unwrap();
            std::fs::write(at(place), text).unwrap();
            archive(&layout, &cell, &at(place)).unwrap();
        };
        put("kernel/m.ko", "old");
        put("updates/m.ko", "second");
        // Its package brings another revision of the first.
        put("kernel/m.ko", "new");
        put("extra/m.ko", "third");
        std::fs::create_dir_all(at("updates")).unwrap();
        std::os::unix::fs::symlink("../kernel/m.ko", at("updates/m.ko.xz")).unwrap();
        archive(&layout, &cell, &at("updates/m.ko.xz")).unwrap();
        assert_eq!(restore(&layout, &cell, &|_| None, true).unwrap().len(), 4);
        let text = |place: &str| std::fs::read_to_string(at(place)).unwrap();
        assert_eq!(
            ["kernel/m.ko", "updates/m.ko", "extra/m.ko"].map(text),
            ["new", "second", "third"].map(str::to_owned)
        );
        assert_eq!(text("updates/m.ko.xz"), "new", "a link is set aside as a link");
        assert!(!layout.module(&cell.module.name).join("original_module").exists());
    }
}
