//! Kernels on disk.

use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::path::Path;

use crate::fs::look;
use crate::fs::root::Root;
use crate::model::blind::{Blind, Cause};
use crate::model::ids::KernelRelease;
use crate::tree::layout::Layout;

/// The kernel that runs (uname(2)), if a root is that of the running system: it says nothing of another one.
pub fn running(root: &Root) -> Option<KernelRelease> {
    if root.is_foreign() {
        return None;
    }
    let uname = nix::sys::utsname::uname().ok()?;
    KernelRelease::new(uname.release().to_string_lossy()).ok()
}

/// Files that depmod(8) writes. (`modules.order`, `modules.builtin` and
/// `modules.builtin.modinfo` come with the kernel.)
pub const DEPMOD_FILES: &[&str] = &[
    "modules.alias",
    "modules.alias.bin",
    "modules.builtin.alias.bin",
    "modules.builtin.bin",
    "modules.dep",
    "modules.dep.bin",
    "modules.devname",
    "modules.softdep",
    "modules.symbols",
    "modules.symbols.bin",
    "modules.weakdep",
];

/// Releases, as far as they could be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Releases {
    /// Those that were found.
    pub found: BTreeSet<KernelRelease>,
    /// Why the directory that holds the kernels could not be listed.
    pub blind: Option<Blind>,
    /// Why our notes on kernels could not be listed.
    pub blind_notes: Option<Blind>,
}

/// Every release that has a directory below the install tree, is noted by us, or occurs in `more`. What could
/// not be looked at is left out: for those who decide nothing by its absence.
pub fn releases(layout: &Layout, more: impl IntoIterator<Item = KernelRelease>) -> BTreeSet<KernelRelease> {
    look_for_releases(layout, more).found
}

/// As [`releases`], with what could not be looked at.
///
/// A release begins with the number of its version. A directory that does not is no kernel: hooks that
/// keep the modules of the running kernel through an upgrade put them into `running-kernel` or `backup`.
pub fn look_for_releases(layout: &Layout, more: impl IntoIterator<Item = KernelRelease>) -> Releases {
    let mut found: BTreeSet<KernelRelease> = more.into_iter().collect();
    let mut blind = None;
    match look::entries(&layout.root.path(&layout.install_tree)) {
        Ok(entries) => found.extend(entries.into_iter().flatten().filter_map(|entry| release_of(&entry))),
        Err(error) => blind = Some(error),
    }
    let mut blind_notes = None;
    match look::entries(&layout.state().join("kernels")) {
        Ok(entries) => found.extend(entries.into_iter().flatten().filter_map(|entry| {
            let name = entry.file_name();
            KernelRelease::new(name.to_str()?.strip_suffix(".json")?).ok()
        })),
        Err(error) => blind_notes = Some(error),
    }
    Releases { found, blind, blind_notes }
}

/// The release whose directory this is.
fn release_of(entry: &DirEntry) -> Option<KernelRelease> {
    let name = entry.file_name();
    let name = name.to_str().filter(|name| name.starts_with(|c: char| c.is_ascii_digit()))?;
    entry.file_type().is_ok_and(|kind| kind.is_dir()).then(|| KernelRelease::new(name).ok()).flatten()
}

/// Whether a kernel's modules are on disk: `/lib/modules/K/kernel` is a directory.
///
/// # Errors
/// When it could not be looked at, or something else is in its place.
pub fn image(layout: &Layout, release: &KernelRelease) -> Result<bool, Blind> {
    let dir = layout.kernel(release);
    if look::is_dir(&dir.join("kernel"))? {
        return Ok(true);
    }
    // A link that leads nowhere may be one to a file system that is not mounted.
    look::is_dir(&dir)?;
    Ok(false)
}

/// Whether there is any kernel at all: the modules of one are on disk.
///
/// # Errors
/// When the directory that should hold them could not be looked at, or what should hold that is missing.
pub fn any_image(layout: &Layout) -> Result<bool, Blind> {
    let tree = layout.root.path(&layout.install_tree);
    let Some(entries) = look::entries(&tree)? else {
        if look::is_dir(&tree)? || look::parent_is_there(&tree)? {
            return Ok(false);
        }
        return Err(Blind::new(tree, Cause::NoParent));
    };
    let releases = entries.iter().filter_map(release_of);
    // One that cannot be looked at is no proof of a kernel.
    Ok(releases.into_iter().any(|release| image(layout, &release).unwrap_or(false)))
}

/// Whether `/lib/modules/K/build/include` resolves inside the root.
///
/// # Errors
/// When it could not be looked at.
pub fn look_for_headers(layout: &Layout, release: &KernelRelease) -> Result<bool, Blind> {
    layout.root.look_for_dir(layout.install_tree.join(release).join("build/include"))
}

/// As [`look_for_headers`]; false when it could not be looked at.
pub fn headers_present(layout: &Layout, release: &KernelRelease) -> bool {
    look_for_headers(layout, release).unwrap_or(false)
}

/// True when a kernel directory holds nothing but directories and depmod's files.
pub fn only_residue(dir: &Path) -> bool {
    walkdir::WalkDir::new(dir).min_depth(1).into_iter().all(|entry| match entry {
        Ok(e) if e.file_type().is_dir() => true,
        Ok(e) => e.depth() == 1 && e.file_name().to_str().is_some_and(|n| DEPMOD_FILES.contains(&n)),
        Err(_) => false,
    })
}
