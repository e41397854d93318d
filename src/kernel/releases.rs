//! Kernels on disk.

use std::collections::BTreeSet;
use std::path::Path;

use crate::fs::look::read_dir;
use crate::model::ids::KernelRelease;
use crate::tree::layout::Layout;

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

/// Every release that has a directory below the install tree, is noted by us, or occurs in `more`.
///
/// A release begins with the number of its version. A directory that does not is no kernel: hooks that
/// keep the modules of the running kernel through an upgrade put them into `running-kernel` or `backup`.
pub fn releases(layout: &Layout, more: impl IntoIterator<Item = KernelRelease>) -> BTreeSet<KernelRelease> {
    let mut out: BTreeSet<KernelRelease> = more.into_iter().collect();
    for entry in read_dir(&layout.root.path(&layout.install_tree)) {
        if entry.file_type().is_ok_and(|t| t.is_dir())
            && let Some(name) = entry.file_name().to_str()
            && name.starts_with(|c: char| c.is_ascii_digit())
            && let Ok(release) = KernelRelease::new(name)
        {
            out.insert(release);
        }
    }
    for entry in read_dir(&layout.state().join("kernels")) {
        if let Some(name) = entry.file_name().to_str()
            && let Some(release) = name.strip_suffix(".json").and_then(|n| KernelRelease::new(n).ok())
        {
            out.insert(release);
        }
    }
    out
}

/// True when `/lib/modules/K/build/include` resolves inside the root.
pub fn headers_present(layout: &Layout, release: &KernelRelease) -> bool {
    let inside = layout.install_tree.join(release).join("build/include");
    layout.root.is_dir(inside)
}

/// True when a kernel directory holds nothing but directories and depmod's files.
pub fn only_residue(dir: &Path) -> bool {
    walkdir::WalkDir::new(dir).min_depth(1).into_iter().all(|entry| match entry {
        Ok(e) if e.file_type().is_dir() => true,
        Ok(e) => e.depth() == 1 && e.file_name().to_str().is_some_and(|n| DEPMOD_FILES.contains(&n)),
        Err(_) => false,
    })
}
