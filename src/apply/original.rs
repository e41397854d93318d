//! A module that was there before ours: set aside at the first install, put back at the last
//! uninstall. The place and the `.origin` files are DKMS's.

use std::path::{Path, PathBuf};

use crate::elf::module_stem;
use crate::fs::atomic;
use crate::kernel;
use crate::model::error::{Error, Result};
use crate::model::ids::Cell;
use crate::tree::layout::Layout;

/// Sets a module aside.
///
/// # Errors
/// When it cannot be moved; it is then where it was.
pub fn archive(layout: &Layout, cell: &Cell, original: &Path) -> Result<()> {
    let dir = layout.originals(&cell.module.name, &cell.kernel, &cell.arch);
    let Some(name) = original.file_name().and_then(|n| n.to_str()) else { return Ok(()) };
    if dir.join(name).exists() {
        // The first one that was set aside is the original.
        return Ok(());
    }
    std::fs::create_dir_all(&dir).map_err(|e| Error::io("create", &dir, &e))?;
    // The note first: without the file it is harmless, the file without it could not go back.
    let place = format!("{}\n", layout.shown(original).display());
    atomic::write(&dir.join(format!("{name}.origin")), place.as_bytes())?;
    move_file(original, &dir.join(name))
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
                let text = std::fs::read_to_string(note).map_err(|e| Error::io("read", note, &e))?;
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
            if !is_below(&target, &kernel_dir) {
                continue;
            }
            // A new revision of the kernel's package has brought a newer one.
            if !target.exists() && archived.is_file() {
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
            atomic::install(from, to)?;
            atomic::delete(from).map(drop)
        }
        other => other.map_err(|e| Error::io("move", from, &e)),
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
        assert_eq!(listing.find("e1000e", "/updates/dkms", None), Some(there.clone()));
        assert_eq!(listing.find("e1000e", "/updates/dkms", Some(&there)), None);
        assert_eq!(listing.find("e1000", "/updates/dkms", None), None);
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
}
