//! What is registered, built and installed: the one place that decides.
//!
//! The planner, the hooks and the commands of `dkms` all ask here, so that `dkms status` cannot say one
//! thing and the next hook do another. Where a person sees the answer, it is that of DKMS 3.4.3; the rules
//! stand at the functions, and `tests.rs` has a table for each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::fs::look::read_dir;
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId, ModuleName, Version};
use crate::model::system::Source;
use crate::tree::layout::{Layout, ORIGINALS};

#[cfg(test)]
mod tests;

/// Directories of `T/m/v` that are no kernels (DKMS's own list).
const NOT_KERNELS: [&str; 6] = ["build", "tarball", "driver_disk", "rpm", "deb", "source"];

/// Every module version that has a directory in the tree, with the state of its source.
pub fn registered(layout: &Layout) -> Vec<(ModuleId, Source)> {
    let names = entries(layout, &layout.tree()).into_iter().filter_map(|name| ModuleName::new(name).ok());
    let versions = names.flat_map(|name| versions(layout, &name));
    let mut out: Vec<_> = versions.filter_map(|id| source(layout, &id).map(|source| (id, source))).collect();
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

/// Every version of a module that has a directory in the tree, in C order.
///
/// As in DKMS that is any directory but `original_module`. A link to a directory elsewhere (a tree that was
/// moved to another disk) is one, too. A link to another entry of the same directory is not, though DKMS lists
/// it: both names would have the same builds, and what is done to one would be undone for the other. The links
/// `kernel-K-A` are such.
pub fn versions(layout: &Layout, name: &ModuleName) -> Vec<ModuleId> {
    let names = entries(layout, &layout.module(name)).into_iter().filter(|name| is_version_name(name));
    names.filter_map(|v| Some(ModuleId { name: name.clone(), version: Version::new(v).ok()? })).collect()
}

/// Whether a directory of that name in `T/m` can be a version.
pub fn is_version_name(name: &str) -> bool {
    name != ORIGINALS && !name.starts_with('.')
}

/// Whether a directory of that name in `T/m/v` can be of a kernel.
pub fn is_kernel_name(name: &str) -> bool {
    !NOT_KERNELS.contains(&name) && !name.starts_with('.')
}

/// The state of one version's source; `None` when the version has no directory in the tree.
///
/// These are the states of DKMS: `added` where `source` is a link to a directory; `broken` where it is a link
/// that leads nowhere, and where it is no link although `/usr/src/m-v` is there. With neither of the two
/// DKMS knows no such module: it lists nothing, and refuses every action but `add`.
pub fn source(layout: &Layout, id: &ModuleId) -> Option<Source> {
    if !layout.version(id).is_dir() {
        return None;
    }
    let link = layout.source_link(id);
    let inside = layout.root.inside(&link);
    Some(match std::fs::read_link(&link) {
        Ok(_) if layout.root.is_dir(&inside) => Source::Added,
        Ok(target) => Source::Dangling(target),
        // What an `add` leaves that was interrupted, or somebody who deleted the link.
        Err(_) if layout.root.is_dir(layout.source_inside(id)) => Source::Dangling(inside),
        Err(_) => Source::BinariesOnly,
    })
}

/// Whether a module version is registered with a source that can be used.
pub fn is_added(layout: &Layout, id: &ModuleId) -> bool {
    source(layout, id) == Some(Source::Added)
}

/// The cells of a module version that have a directory, whatever is in it, in C order.
pub fn cells(layout: &Layout, id: &ModuleId) -> Vec<Cell> {
    let dir = layout.version(id);
    let mut out = Vec::new();
    for kernel in entries(layout, &dir).into_iter().filter(|name| is_kernel_name(name)) {
        let Ok(release) = KernelRelease::new(kernel) else { continue };
        for arch in entries(layout, &dir.join(&release)) {
            if let Ok(arch) = Arch::new(arch) {
                out.push(Cell { module: id.clone(), kernel: release.clone(), arch });
            }
        }
    }
    out
}

/// The cells in which a module version is built, in C order; also those of kernels that are gone.
pub fn builds(layout: &Layout, id: &ModuleId) -> Vec<Cell> {
    let mut cells = cells(layout, id);
    cells.retain(|cell| is_built(layout, cell));
    cells
}

/// Whether there is a build in a cell: its directory has a directory `module`. As in DKMS nothing else is
/// looked at.
pub fn is_built(layout: &Layout, cell: &Cell) -> bool {
    layout.built_modules(cell).is_dir()
}

/// Whether there is a build in a cell, and it is the installed one. As in DKMS, whether its files are below
/// `/lib/modules` is another question.
pub fn is_installed(layout: &Layout, cell: &Cell) -> bool {
    is_built(layout, cell) && is_active(layout, cell)
}

/// Whether the version in a cell is the one that [`active`] names, built or not.
pub fn is_active(layout: &Layout, cell: &Cell) -> bool {
    active(layout, &cell.module.name, &cell.kernel, &cell.arch).as_ref() == Some(&cell.module.version)
}

/// The verdicts on file, by their paths. Most machines have none.
pub fn verdicts(layout: &Layout) -> BTreeSet<PathBuf> {
    let below =
        |dirs: Vec<PathBuf>| dirs.into_iter().flat_map(|dir| read_dir(&dir)).map(|entry| entry.path());
    let names = below(vec![layout.state().join("verdicts")]).collect();
    let versions = below(names).collect();
    below(versions).collect()
}

/// The version of a module that is installed for a kernel: where the link `kernel-K-A` leads.
///
/// DKMS and we write `V/K/A` into it, which is all that is looked at as a rule. Otherwise, as in DKMS, it counts
/// where it leads: an absolute link, or one with `..`, is as good. One that leads to the build for another
/// kernel says nothing of this one.
pub fn active(layout: &Layout, name: &ModuleName, kernel: &KernelRelease, arch: &Arch) -> Option<Version> {
    let link = layout.active_link(name, kernel, arch);
    let target = std::fs::read_link(&link).ok()?;
    let first = target.components().next()?.as_os_str().to_str()?;
    if Path::new(first).join(kernel).join(arch) == target {
        return Version::new(first).ok();
    }
    let real = |path: &Path| layout.root.resolve(layout.root.inside(path)).ok();
    let found = real(&link)?;
    let leads_there = |id: &ModuleId| {
        let cell = Cell { module: id.clone(), kernel: kernel.clone(), arch: arch.clone() };
        real(&layout.cell(&cell)).is_some_and(|build| build == found)
    };
    versions(layout, name).into_iter().find(leads_there).map(|id| id.version)
}

/// Names of the sub-directories of a directory of the tree, sorted by bytes. What starts with a dot is ours or
/// temporary; of links only those count that lead out of the directory, see [`versions`].
fn entries(layout: &Layout, dir: &Path) -> Vec<String> {
    let counts = |entry: &std::fs::DirEntry| {
        let kind = entry.file_type();
        kind.is_ok_and(|kind| {
            kind.is_dir() || kind.is_symlink() && leads_elsewhere(layout, dir, &entry.path())
        })
    };
    let found = read_dir(dir).filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    let mut names: Vec<String> =
        found.filter(counts).filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// Whether a link in `dir` leads to a directory that is not below `dir`, by the same way for this process
/// and from inside the root.
fn leads_elsewhere(layout: &Layout, dir: &Path, link: &Path) -> bool {
    // `kernel-K-A`, of which there may be thousands.
    if std::fs::read_link(link).is_ok_and(|to| to.is_relative() && !to.starts_with("..")) {
        return false;
    }
    let inside = layout.root.resolve(layout.root.inside(link)).and_then(std::fs::canonicalize);
    match (link.canonicalize(), inside, dir.canonicalize()) {
        (Ok(real), Ok(inside), Ok(dir)) => real.is_dir() && real == inside && !real.starts_with(dir),
        _ => false,
    }
}
