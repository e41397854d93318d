//! What is on disk of a kernel.

use std::path::Path;

use super::or_blind;
use crate::boot;
use crate::fs::look::{self, mtime, read_dir};
use crate::kernel::{self, only_residue};
use crate::model::blind::Blind;
use crate::model::ids::KernelRelease;
use crate::model::system::Kernel;
use crate::observe::distribution::Distribution;
use crate::tree::layout::Layout;
use crate::tree::{notes, state};

/// What is on disk of one release.
pub fn observe(layout: &Layout, distribution: &Distribution, release: &KernelRelease) -> Kernel {
    let dir = layout.kernel(release);
    let mut blind = None;
    let image = or_blind(kernel::image(layout, release), &mut blind);
    let headers = or_blind(kernel::look_for_headers(layout, release), &mut blind);
    let index = or_blind(look::metadata(&dir.join("modules.dep")), &mut blind);
    let (note, unread_note) = match state::note(layout, release) {
        Ok(note) => (note, None),
        Err(unread) => (notes::every_duty(), Some(unread)),
    };
    // Its generator would have to run inside; in a root that is reached by a prefix, whoever
    // makes the image makes the initramfs.
    let boot = match layout.root.is_slash() {
        true => boot::look_for_files(layout, release),
        false => boot::Found::default(),
    };
    let initramfs = boot.oldest();
    let unseen_initramfs = boot.unseen.filter(|_| initramfs.is_none() && image);
    let shown = |blind: Blind| Blind { path: layout.shown(&blind.path), ..blind };
    let package_base = boot::package_base(layout, release);
    Kernel {
        image,
        headers,
        linked: dir.join("weak-updates").is_dir(),
        indexed: index.is_some(),
        headers_package: distribution.headers_package(release.as_str(), package_base.as_deref()),
        unversioned: false,
        indexed_at: note.depmod_left_at.and(index).map(|meta| mtime(&meta)),
        note,
        unread_note,
        blind: blind.map(shown),
        residue: !image && is_filled(&dir) && only_residue(&dir),
        initramfs,
        unseen_initramfs: unseen_initramfs.map(shown),
    }
}

/// True when something is in a directory: an empty one may be anybody's, a mount point even.
fn is_filled(dir: &Path) -> bool {
    read_dir(dir).next().is_some()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::fs::root::Root;

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
        assert_eq!(crate::kernel::releases(&layout, []), BTreeSet::from([k]));
    }
}
