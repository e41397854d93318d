//! What is registered, built and installed: the one place that decides.
//!
//! The planner, the hooks and the commands of `dkms` all ask here, so that `dkms status` cannot say one
//! thing and the next hook do another. Where a person sees the answer, it is that of DKMS 3.4.3; the rules
//! stand at the functions, and `tests.rs` has a table for each.

use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use crate::fs::look::{self, Seen};
use crate::model::blind::{Blind, Cause};
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId, ModuleName, Version};
use crate::model::system::Source;
use crate::tree::layout::{Layout, ORIGINALS};

#[cfg(test)]
mod tests;

/// Directories of `T/m/v` that are no kernels (DKMS's own list).
const NOT_KERNELS: [&str; 6] = ["build", "tarball", "driver_disk", "rpm", "deb", "source"];

/// What is registered, as far as it could be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registered {
    /// Every module version that has a directory in the tree, with the state of its source.
    pub versions: Vec<(ModuleId, Source)>,
    /// What could not be looked at: of one module where it is named, of any where it is not.
    pub blind: Vec<(Option<ModuleName>, Blind)>,
}

/// Looks at everything that is registered.
pub fn look(layout: &Layout) -> Registered {
    let mut out = Registered::default();
    let modules = match modules(layout, &mut out) {
        Ok(modules) => modules,
        Err(blind) => {
            out.blind.push((None, shown(layout, blind)));
            return out;
        }
    };
    modules.into_iter().for_each(|name| look_at_module(layout, name, &mut out));
    out.versions.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

/// As [`look`], at the modules with these names alone.
pub fn look_for(layout: &Layout, names: &BTreeSet<ModuleName>) -> Registered {
    let mut out = Registered::default();
    names.iter().for_each(|name| look_at_module(layout, name.clone(), &mut out));
    out.versions.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

fn look_at_module(layout: &Layout, name: ModuleName, out: &mut Registered) {
    match look_for_versions(layout, &name) {
        Ok(versions) => {
            let known = versions.into_iter().filter_map(|id| Some((id.clone(), source(layout, &id)?)));
            out.versions.extend(known);
        }
        Err(blind) => out.blind.push((Some(name), shown(layout, blind))),
    }
}

/// Names of modules. A link in the place of one that cannot be followed may be a module.
fn modules(layout: &Layout, out: &mut Registered) -> Result<Vec<ModuleName>, Blind> {
    let tree = layout.tree();
    let Some(found) = look::entries(&tree)? else {
        // There need be none; but a link in its place leads somewhere, and what would hold it is always there.
        return match look::is_dir(&tree)? || look::parent_is_there(&tree)? {
            true => Ok(Vec::new()),
            false => Err(Blind::new(tree, Cause::NoParent)),
        };
    };
    for entry in &found {
        let name = entry.file_name().into_string().ok().and_then(|name| ModuleName::new(name).ok());
        if let Some(name) = name.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
            && let Err(blind) = look::is_dir(&entry.path())
            && blind.cause != Cause::NotADirectory
        {
            out.blind.push((Some(name), shown(layout, blind)));
        }
    }
    let names = names(layout, &tree, &found, |_| true)?;
    Ok(names.into_iter().filter_map(|name| ModuleName::new(name).ok()).collect())
}

fn shown(layout: &Layout, blind: Blind) -> Blind {
    Blind { path: layout.shown(&blind.path), ..blind }
}

/// Every module version that has a directory in the tree, with the state of its source. What could not be
/// looked at is left out: for those who decide nothing by its absence.
pub fn registered(layout: &Layout) -> Vec<(ModuleId, Source)> {
    look(layout).versions
}

/// Every version of a module that has a directory in the tree, in C order.
///
/// As in DKMS that is any directory but `original_module`. A link to a directory elsewhere (a tree that was
/// moved to another disk) is one, too. A link to another entry of the same directory is not, though DKMS lists
/// it: both names would have the same builds, and what is done to one would be undone for the other. The links
/// `kernel-K-A` are such.
pub fn versions(layout: &Layout, name: &ModuleName) -> Vec<ModuleId> {
    look_for_versions(layout, name).unwrap_or_default()
}

/// As [`versions`].
///
/// # Errors
/// When the directory of the module could not be looked at.
fn look_for_versions(layout: &Layout, name: &ModuleName) -> Result<Vec<ModuleId>, Blind> {
    let names = entries(layout, &layout.module(name), is_version_name)?.into_iter();
    let id = |v| Some(ModuleId { name: name.clone(), version: Version::new(v).ok()? });
    Ok(names.filter_map(id).collect())
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
    look_at_source(layout, id).unwrap_or_else(|blind| Some(Source::Blind(shown(layout, blind))))
}

fn look_at_source(layout: &Layout, id: &ModuleId) -> Seen<Source> {
    if look::metadata(&layout.version(id))?.is_none_or(|meta| !meta.is_dir()) {
        return Ok(None);
    }
    let link = layout.source_link(id);
    let inside = layout.root.inside(&link);
    Ok(Some(match look::read_link(&link)? {
        Some(_) if layout.root.look_for_dir(&inside)? => Source::Added,
        Some(target) => Source::Dangling(target),
        // What an `add` leaves that was interrupted, or somebody who deleted the link.
        None if layout.root.look_for_dir(layout.source_inside(id))? => Source::Dangling(inside),
        None => Source::BinariesOnly,
    }))
}

/// Whether a module version is registered with a source that can be used.
pub fn is_added(layout: &Layout, id: &ModuleId) -> bool {
    source(layout, id) == Some(Source::Added)
}

/// The cells of a module version that have a directory, whatever is in it, in C order. What could not be
/// looked at is left out: the observer looks at each cell of a known kernel by its own name, too.
pub fn cells(layout: &Layout, id: &ModuleId) -> Vec<Cell> {
    let dir = layout.version(id);
    let mut out = Vec::new();
    for kernel in entries(layout, &dir, is_kernel_name).unwrap_or_default() {
        let Ok(release) = KernelRelease::new(kernel) else { continue };
        for arch in entries(layout, &dir.join(&release), |_| true).unwrap_or_default() {
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
    look_for_build(layout, cell).unwrap_or(false)
}

/// As [`is_built`].
///
/// # Errors
/// When it could not be looked at, or something else is in its place.
pub fn look_for_build(layout: &Layout, cell: &Cell) -> Result<bool, Blind> {
    look::is_dir(&layout.built_modules(cell))
}

/// Whether there is a build in a cell, and it is the installed one. As in DKMS, whether its files are below
/// `/lib/modules` is another question.
pub fn is_installed(layout: &Layout, cell: &Cell) -> bool {
    is_built(layout, cell) && is_active(layout, cell)
}

/// Whether the version in a cell is the one that [`active`] names, built or not.
pub fn is_active(layout: &Layout, cell: &Cell) -> bool {
    look_at_active(layout, cell).unwrap_or(false)
}

/// As [`is_active`].
///
/// # Errors
/// When the link could not be looked at.
pub fn look_at_active(layout: &Layout, cell: &Cell) -> Result<bool, Blind> {
    let active = look_for_active(layout, &cell.module.name, &cell.kernel, &cell.arch)?;
    Ok(active.as_ref() == Some(&cell.module.version))
}

/// The verdicts on file, by their paths. Most machines have none.
///
/// # Errors
/// When a directory of them could not be looked at: there may be any.
pub fn verdicts(layout: &Layout) -> Result<BTreeSet<PathBuf>, Blind> {
    let below = |dirs: Vec<PathBuf>| -> Result<Vec<PathBuf>, Blind> {
        let mut out = Vec::new();
        for dir in dirs {
            out.extend(look::entries(&dir)?.into_iter().flatten().map(|entry| entry.path()));
        }
        Ok(out)
    };
    let names = below(vec![layout.state().join("verdicts")])?;
    let versions = below(names)?;
    Ok(below(versions)?.into_iter().collect())
}

/// The version of a module that is installed for a kernel: where the link `kernel-K-A` leads.
///
/// DKMS and we write `V/K/A` into it, which is all that is looked at as a rule. Otherwise, as in DKMS, it counts
/// where it leads: an absolute link, or one with `..`, is as good. One that leads to the build for another
/// kernel says nothing of this one.
pub fn active(layout: &Layout, name: &ModuleName, kernel: &KernelRelease, arch: &Arch) -> Option<Version> {
    look_for_active(layout, name, kernel, arch).unwrap_or_default()
}

fn look_for_active(layout: &Layout, name: &ModuleName, kernel: &KernelRelease, arch: &Arch) -> Seen<Version> {
    let link = layout.active_link(name, kernel, arch);
    let Some(target) = look::read_link(&link)? else { return Ok(None) };
    let first = target.components().next().and_then(|first| first.as_os_str().to_str());
    let Some(first) = first else { return Ok(None) };
    if Path::new(first).join(kernel).join(arch) == target {
        return Ok(Version::new(first).ok());
    }
    let real = |path: &Path| layout.root.resolve(layout.root.inside(path)).ok();
    let Some(found) = real(&link) else { return Ok(None) };
    let leads_there = |id: &ModuleId| {
        let cell = Cell { module: id.clone(), kernel: kernel.clone(), arch: arch.clone() };
        real(&layout.cell(&cell)).is_some_and(|build| build == found)
    };
    Ok(versions(layout, name).into_iter().find(leads_there).map(|id| id.version))
}

/// Names of the sub-directories of a directory of the tree, sorted by bytes. What starts with a dot is ours or
/// temporary; of links only those count that lead out of the directory, see [`versions`].
fn entries(layout: &Layout, dir: &Path, counts: impl Fn(&str) -> bool) -> Result<Vec<String>, Blind> {
    names(layout, dir, &look::entries(dir)?.unwrap_or_default(), counts)
}

fn names(
    layout: &Layout,
    dir: &Path,
    found: &[DirEntry],
    counts: impl Fn(&str) -> bool,
) -> Result<Vec<String>, Blind> {
    let mut names = Vec::new();
    for entry in found {
        // By its name first: following a link, such as each version's `source`, costs a system call for each
        // part of its path.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') || !counts(&name) {
            continue;
        }
        let kind = entry.file_type().map_err(|error| Blind::os(&entry.path(), &error))?;
        // `kernel-K-A`, of which there may be thousands, say what is installed.
        if kind.is_symlink() && name.starts_with("kernel-") {
            continue;
        }
        if kind.is_dir() || kind.is_symlink() && leads_elsewhere(layout, dir, &entry.path()) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Whether a link in `dir` leads to a directory that is not below `dir`, by the same way for this process
/// and from inside the root.
fn leads_elsewhere(layout: &Layout, dir: &Path, link: &Path) -> bool {
    // The usual link to another entry.
    if std::fs::read_link(link).is_ok_and(|to| to.is_relative() && !to.starts_with("..")) {
        return false;
    }
    let inside = layout.root.resolve(layout.root.inside(link)).and_then(std::fs::canonicalize);
    match (link.canonicalize(), inside, dir.canonicalize()) {
        (Ok(real), Ok(inside), Ok(dir)) => real.is_dir() && real == inside && !real.starts_with(dir),
        _ => false,
    }
}
