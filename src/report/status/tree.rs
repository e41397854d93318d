//! What the directories of the module tree say (dkms(8) calls these the states of a module).

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId, ModuleName, Version};
use crate::tree::layout::Layout;

/// Whether a module version is known, and usable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Not in the tree.
    Absent,
    /// In the tree, with a source.
    Added,
    /// In the tree, but the source or the link to it is gone.
    Broken,
    /// In the tree without any source: what DKMS leaves after loading an archive of binaries.
    NoSource,
}

/// How `id` stands in the tree.
pub fn registration(layout: &Layout, id: &ModuleId) -> Registration {
    if !layout.version(id).is_dir() {
        return Registration::Absent;
    }
    let link = layout.source_link(id);
    let is_link = fs::symlink_metadata(&link).is_ok_and(|m| m.file_type().is_symlink());
    if !is_link {
        return match layout.source(id).is_dir() {
            true => Registration::Broken,
            false => Registration::NoSource,
        };
    }
    match layout.root.resolve(layout.root.inside(&link)) {
        Ok(target) if target.is_dir() => Registration::Added,
        _ => Registration::Broken,
    }
}

/// Every version of `name` in the tree, usable or not, in C order.
pub fn versions_of(layout: &Layout, name: &ModuleName) -> Vec<ModuleId> {
    names(&layout.module(name))
        .into_iter()
        .filter(|v| is_version_dir(&layout.module(name), v))
        .filter_map(|v| Some(ModuleId { name: name.clone(), version: Version::new(v).ok()? }))
        .collect()
}

/// The cells for which `id` is built, in C order; also those of kernels that are gone.
pub fn built_cells(layout: &Layout, id: &ModuleId) -> Vec<Cell> {
    let dir = layout.version(id);
    let mut cells = Vec::new();
    for kernel in names(&dir) {
        // `build` and `source` hold a source tree; a `module` folder in there is not a build.
        if NOT_KERNELS.contains(&kernel.as_str()) {
            continue;
        }
        let Ok(release) = KernelRelease::new(kernel.as_str()) else { continue };
        for arch in names(&dir.join(&kernel)) {
            let Ok(arch) = Arch::new(arch) else { continue };
            let cell = Cell { module: id.clone(), kernel: release.clone(), arch };
            if layout.built_modules(&cell).is_dir() {
                cells.push(cell);
            }
        }
    }
    cells
}

/// Names beside the kernels' directories in `T/m/v` that are none.
const NOT_KERNELS: [&str; 6] = ["build", "source", "tarball", "driver_disk", "rpm", "deb"];

/// Whether the build in `cell` is the one that `T/m/kernel-k-a` points at.
pub fn is_installed(layout: &Layout, cell: &Cell) -> bool {
    let link = layout.active_link(&cell.module.name, &cell.kernel, &cell.arch);
    let Ok(target) = fs::read_link(&link) else { return false };
    let build = layout.cell(cell);
    if target.is_relative() && flat(&layout.module(&cell.module.name).join(&target)) == build {
        return true;
    }
    let inside = |path: &Path| layout.root.resolve(layout.root.inside(path)).ok();
    inside(&link).is_some_and(|real| inside(&build).is_some_and(|built| built == real))
}

/// Takes out `.` and `..` without asking the file system.
fn flat(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

/// Whether `name` in `T/m` can be a version: neither a link to a build nor the store of originals.
pub(super) fn is_version_dir(module: &Path, name: &str) -> bool {
    if name == "original_module" || name.strip_prefix("kernel-").is_some_and(|rest| rest.contains('-')) {
        return false;
    }
    module.join(name).is_dir()
}

/// Entries of a directory, sorted by bytes; what starts with a dot, is no text or cannot be read is
/// left out.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort_unstable();
    names
}
