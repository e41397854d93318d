//! What is registered, built and installed: the one place that decides.
//!
//! The planner, the hooks and the commands of `dkms` all ask here, so that `dkms status` cannot say one
//! thing and the next hook do another. Where a person sees the answer, it is that of DKMS 3.4.3; the rules
//! stand at the functions, and `tests.rs` has a table for each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::fs::directories::{Directories, Kind, Listing};
use crate::fs::look::{self, Seen};
use crate::model::blind::{Blind, Cause};
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId, ModuleName, Version};
use crate::model::system::Source;
use crate::process::parallel;
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

impl Registered {
    fn add(&mut self, found: impl IntoIterator<Item = Self>) {
        for Self { versions, blind } in found {
            self.versions.extend(versions);
            self.blind.extend(blind);
        }
        self.versions.sort_by(|a, b| a.0.cmp(&b.0));
    }
}

/// Looks at everything that is registered.
pub fn look(layout: &Layout, dirs: &Directories<'_>) -> Registered {
    let mut out = Registered::default();
    let modules = match modules(layout, dirs, &mut out) {
        Ok(modules) => modules,
        Err(blind) => {
            out.blind.push((None, shown(layout, blind)));
            return out;
        }
    };
    out.add(parallel::map(&modules, |name| look_at_module(layout, name, dirs)));
    out
}

/// As [`look`], at the modules with these names alone.
pub fn look_for(layout: &Layout, names: &BTreeSet<ModuleName>, dirs: &Directories<'_>) -> Registered {
    let mut out = Registered::default();
    out.add(names.iter().map(|name| look_at_module(layout, name, dirs)));
    out
}

fn look_at_module(layout: &Layout, name: &ModuleName, dirs: &Directories<'_>) -> Registered {
    let mut out = Registered::default();
    match look_for_versions(layout, name, dirs) {
        Ok(versions) => {
            let known = |id: ModuleId| {
                let source = source_by(layout, &id, dirs)?;
                Some((id, source))
            };
            out.versions.extend(versions.into_iter().filter_map(known));
        }
        Err(blind) => out.blind.push((Some(name.clone()), shown(layout, blind))),
    }
    out
}

/// Names of modules. A link in the place of one that cannot be followed may be a module.
fn modules(layout: &Layout, dirs: &Directories<'_>, out: &mut Registered) -> Result<Vec<ModuleName>, Blind> {
    let tree = layout.tree();
    let Some(found) = dirs.look(&tree)? else {
        // There need be none; but a link in its place leads somewhere, and what would hold it is always there.
        return match look::is_dir(&tree)? || look::parent_is_there(&tree)? {
            true => Ok(Vec::new()),
            false => Err(Blind::new(tree, Cause::NoParent)),
        };
    };
    for (entry, _) in found.entries().filter(|(_, kind)| matches!(kind, Kind::Link(_))) {
        if let Some(name) = entry.to_str().and_then(|name| ModuleName::new(name).ok())
            && let Err(blind) = look::is_dir(&tree.join(entry))
            && blind.cause != Cause::NotADirectory
        {
            out.blind.push((Some(name), shown(layout, blind)));
        }
    }
    let names = names(layout, &tree, &found, |_| true);
    Ok(names.into_iter().filter_map(|name| ModuleName::new(name).ok()).collect())
}

fn shown(layout: &Layout, blind: Blind) -> Blind {
    Blind { path: layout.shown(&blind.path), ..blind }
}

/// Every module version that has a directory in the tree, with the state of its source. What could not be
/// looked at is left out: for those who decide nothing by its absence.
pub fn registered(layout: &Layout) -> Vec<(ModuleId, Source)> {
    look(layout, &Directories::default()).versions
}

/// Every version of a module that has a directory in the tree, in C order.
///
/// As in DKMS that is any directory but `original_module`. A link to a directory elsewhere (a tree that was
/// moved to another disk) is one, too. A link to another entry of the same directory is not, though DKMS lists
/// it: both names would have the same builds, and what is done to one would be undone for the other. The links
/// `kernel-K-A` are such.
pub fn versions(layout: &Layout, name: &ModuleName) -> Vec<ModuleId> {
    look_for_versions(layout, name, &Directories::default()).unwrap_or_default()
}

/// As [`versions`].
///
/// # Errors
/// When the directory of the module could not be looked at.
fn look_for_versions(
    layout: &Layout,
    name: &ModuleName,
    dirs: &Directories<'_>,
) -> Result<Vec<ModuleId>, Blind> {
    let names = entries(layout, &layout.module(name), dirs, is_version_name)?.into_iter();
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
    source_by(layout, id, &Directories::default())
}

/// As [`source`].
fn source_by(layout: &Layout, id: &ModuleId, dirs: &Directories<'_>) -> Option<Source> {
    look_at_source(layout, id, dirs).unwrap_or_else(|blind| Some(Source::Blind(shown(layout, blind))))
}

fn look_at_source(layout: &Layout, id: &ModuleId, dirs: &Directories<'_>) -> Seen<Source> {
    let version = layout.version(id);
    let listing = dirs.known(&version);
    if listing.is_none() && look::metadata(&version)?.is_none_or(|meta| !meta.is_dir()) {
        return Ok(None);
    }
    let link = layout.source_link(id);
    let inside = layout.root.inside(&link);
    let target = match listing.as_ref().map(|listing| listing.get("source")) {
        None | Some(Some(Kind::Link(None))) => look::read_link(&link)?,
        Some(Some(Kind::Link(target))) => target.map(Path::to_path_buf),
        Some(_) => None,
    };
    // As far as links are followed by the kernel: a directory that is known was looked at just now.
    let is_known = || layout.root.is_slash() && dirs.known(&link).is_some();
    Ok(Some(match target {
        Some(_) if is_known() || dirs.look_for_dir(&layout.root, &inside)? => Source::Added,
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
    cells_by(layout, id, None, &Directories::default())
}

/// As [`cells`], of these kernels, or of all.
pub fn cells_by(
    layout: &Layout,
    id: &ModuleId,
    kernels: Option<&[KernelRelease]>,
    dirs: &Directories<'_>,
) -> Vec<Cell> {
    let dir = layout.version(id);
    let mut out = Vec::new();
    for kernel in entries(layout, &dir, dirs, is_kernel_name).unwrap_or_default() {
        let Ok(release) = KernelRelease::new(kernel) else { continue };
        if kernels.is_some_and(|kernels| !kernels.contains(&release)) {
            continue;
        }
        for arch in entries(layout, &dir.join(&release), dirs, |_| true).unwrap_or_default() {
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

/// As [`look_at_active`].
///
/// # Errors
/// When the link could not be looked at.
pub fn look_at_active_by(layout: &Layout, cell: &Cell, dirs: &Directories<'_>) -> Result<bool, Blind> {
    let link = layout.active_link(&cell.module.name, &cell.kernel, &cell.arch);
    let Some(listing) = dirs.known(&layout.module(&cell.module.name)) else {
        return look_at_active(layout, cell);
    };
    match link.file_name().and_then(|name| listing.get(name)) {
        Some(Kind::Link(Some(target))) if target == own_target(cell) => Ok(true),
        Some(_) => look_at_active(layout, cell),
        None => Ok(false),
    }
}

/// What DKMS and we write into the link to an installed version.
fn own_target(cell: &Cell) -> PathBuf {
    Path::new(cell.module.version.as_str()).join(&cell.kernel).join(&cell.arch)
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
fn entries(
    layout: &Layout,
    dir: &Path,
    dirs: &Directories<'_>,
    counts: impl Fn(&str) -> bool,
) -> Result<Vec<String>, Blind> {
    Ok(dirs.look(dir)?.map(|found| names(layout, dir, &found, counts)).unwrap_or_default())
}

fn names(layout: &Layout, dir: &Path, found: &Listing<'_>, counts: impl Fn(&str) -> bool) -> Vec<String> {
    let mut names = Vec::new();
    for (entry, kind) in found.entries() {
        // By its name first: following a link, such as each version's `source`, costs a system call for each
        // part of its path.
        let Some(name) = entry.to_str() else { continue };
        if name.starts_with('.') || !counts(name) {
            continue;
        }
        // `kernel-K-A`, of which there may be thousands, say what is installed.
        let counts = match kind {
            Kind::Dir => true,
            Kind::Link(_) => !name.starts_with("kernel-") && leads_elsewhere(layout, dir, &dir.join(entry)),
            Kind::Other => false,
        };
        if counts {
            names.push(name.to_owned());
        }
    }
    names
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
