//! Kernels on disk.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::distribution::Distribution;
use super::{Kernel, boot};
use crate::ids::KernelRelease;
use crate::layout::Layout;
use crate::record::KernelNote;
use crate::store;

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

/// What is on disk of one release.
pub fn observe(layout: &Layout, distribution: &Distribution, release: &KernelRelease) -> Kernel {
    let dir = layout.kernel(release);
    let image = dir.join("kernel").is_dir();
    let note: KernelNote = store::load(&layout.kernel_note(release)).unwrap_or_default();
    let index = || std::fs::metadata(dir.join("modules.dep")).ok().map(|m| mtime(&m));
    let package_base = boot::package_base(layout, release);
    Kernel {
        image,
        headers: headers_present(layout, release),
        indexed: dir.join("modules.dep").exists(),
        headers_package: distribution.headers_package(release.as_str(), package_base.as_deref()),
        indexed_at: note.depmod_left_at.and_then(|_| index()),
        note,
        residue: !image && is_filled(&dir) && only_residue(&dir),
        // Its generator would have to run inside; in a root that is reached by a prefix, whoever
        // makes the image makes the initramfs.
        initramfs: layout.root.is_slash().then(|| boot::oldest(layout, release)).flatten(),
    }
}

/// True when `/lib/modules/K/build/include` resolves inside the root.
pub fn headers_present(layout: &Layout, release: &KernelRelease) -> bool {
    let inside = layout.install_tree.join(release).join("build/include");
    layout.root.is_dir(inside)
}

/// Modification time in nanoseconds since the epoch.
pub fn mtime(meta: &std::fs::Metadata) -> i64 {
    meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec())
}

/// True when something is in a directory: an empty one may be anybody's, a mount point even.
fn is_filled(dir: &Path) -> bool {
    read_dir(dir).next().is_some()
}

/// True when a kernel directory holds nothing but directories and depmod's files.
pub fn only_residue(dir: &Path) -> bool {
    walkdir::WalkDir::new(dir).min_depth(1).into_iter().all(|entry| match entry {
        Ok(e) if e.file_type().is_dir() => true,
        Ok(e) => e.depth() == 1 && e.file_name().to_str().is_some_and(|n| DEPMOD_FILES.contains(&n)),
        Err(_) => false,
    })
}

/// Entries of a directory; none when it cannot be read.
pub fn read_dir(dir: &Path) -> impl Iterator<Item = std::fs::DirEntry> + use<> {
    std::fs::read_dir(dir).into_iter().flatten().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::Root;

    #[test]
    fn headers_alone_make_no_kernel_and_residue_is_only_ours() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let debian = Distribution::from_id("debian");
        let k = KernelRelease::new("6.1-test").unwrap();
        let kdir = layout.kernel(&k);
        std::fs::create_dir_all(kdir.join("updates/dkms")).unwrap();
        std::fs::write(kdir.join("modules.dep"), "").unwrap();
        let seen = observe(&layout, &debian, &k);
        assert!(!seen.image && !seen.headers && seen.residue);

        std::fs::create_dir_all(layout.root.path("/usr/src/h/include")).unwrap();
        std::os::unix::fs::symlink("/usr/src/h", kdir.join("build")).unwrap();
        let seen = observe(&layout, &debian, &k);
        assert!(!seen.image && seen.headers && !seen.residue);

        std::fs::create_dir_all(kdir.join("kernel")).unwrap();
        assert!(observe(&layout, &debian, &k).image);
        assert_eq!(releases(&layout, []), BTreeSet::from([k]));
    }
}
