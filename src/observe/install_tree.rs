//! Whether a kernel that is not on disk is gone, or only cannot be seen: the directory that holds kernels,
//! and whether it is the one of the last run.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{self, FsType};
use nix::sys::statvfs::statvfs;

use crate::fs::look;
use crate::kernel;
use crate::model::blind::{Blind, Cause};
use crate::model::ids::KernelRelease;
use crate::model::system::{InstallTree, Kernel, TreePlace};
use crate::tree::layout::Layout;
use crate::tree::state;

/// `f_type` of file systems (statfs(2)), and whether `f_fsid` comes from an identity that is kept on disk:
/// of others it is a number that may be another after the next boot.
const KINDS: [(i64, &str, bool); 12] = [
    (0xef53, "ext2/ext3/ext4", true),
    (0x9123_683e, "btrfs", true),
    (0x5846_5342, "xfs", false),
    (0xf2f5_2010, "f2fs", false),
    (0x0102_1994, "tmpfs", false),
    (0x794c_7630, "overlayfs", false),
    (0x7371_7368, "squashfs", false),
    (0xe0f5_e1e2, "erofs", false),
    (0x2fc1_2fc1, "zfs", false),
    (0xca45_1a4e, "bcachefs", false),
    (0x6969, "nfs", false),
    (0x6a65_6a63, "virtiofs", false),
];

/// What can be said of the directory that holds these kernels, of which some may not be in it.
pub(super) fn look_at(layout: &Layout, kernels: &BTreeMap<KernelRelease, Kernel>) -> InstallTree {
    if kernels.values().all(|kernel| kernel.image) {
        return InstallTree::Sound;
    }
    let found = || {
        let any = kernels.values().any(|kernel| kernel.image) || kernel::any_image(layout)?;
        Ok((any, state::install_tree(layout)?, place(layout)?))
    };
    match state::shown(layout, found()) {
        Ok((_, Some(was), Some(is))) if was.is_another(&is) => InstallTree::Other { was, is },
        Ok((true, ..)) => InstallTree::Sound,
        Ok((false, was, _)) => {
            InstallTree::NoKernel { dir: layout.install_tree.clone(), same: was.is_some() }
        }
        Err(blind) => InstallTree::Blind(blind),
    }
}

/// Which directory it is that holds the kernels; none when it is not there.
///
/// # Errors
/// When it could not be looked at.
pub fn place(layout: &Layout) -> Result<Option<TreePlace>, Blind> {
    let dir = layout.root.path(&layout.install_tree);
    if look::metadata(&dir)?.is_none() {
        return Ok(None);
    }
    // `/lib` may be a link.
    let dir = dir.canonicalize().map_err(|error| Blind::os(&dir, &error))?;
    let refused = |errno: nix::errno::Errno| Blind::new(&dir, Cause::Os(errno as i32));
    let kind = statfs::statfs(&dir).map_err(refused)?.filesystem_type();
    let (kind, kept) = name_of(kind);
    let id = match kept {
        true => Some(format!("{:x}", statvfs(&dir).map_err(refused)?.filesystem_id())),
        false => None,
    };
    Ok(Some(TreePlace { path: layout.shown(&dir), mounted: layout.shown(&mounted(layout, &dir)?), kind, id }))
}

fn name_of(kind: FsType) -> (String, bool) {
    #[allow(clippy::useless_conversion, reason = "the type of f_type differs between architectures")]
    let number = i64::from(kind.0);
    match KINDS.iter().find(|(known, ..)| *known == number) {
        Some((_, name, kept)) => ((*name).to_owned(), *kept),
        None => (format!("{number:#x}"), false),
    }
}

/// Where the file system that a directory is on is mounted, no higher than the root.
fn mounted(layout: &Layout, dir: &Path) -> Result<PathBuf, Blind> {
    let device = |path: &Path| match look::metadata(path)? {
        Some(meta) => Ok(meta.dev()),
        None => Err(Blind::new(path, Cause::NoParent)),
    };
    let own = device(dir)?;
    let mut highest = dir;
    for above in dir.ancestors().skip(1) {
        if highest == layout.root.dir() || device(above)? != own {
            break;
        }
        highest = above;
    }
    Ok(highest.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;

    fn kernels(image: bool) -> BTreeMap<KernelRelease, Kernel> {
        let known = |image| Kernel { image, ..Kernel::default() };
        let mut all = BTreeMap::from([(KernelRelease::new("6.1").unwrap(), known(false))]);
        if image {
            all.insert(KernelRelease::new("6.2").unwrap(), known(true));
        }
        all
    }

    #[test]
    fn what_a_missing_kernel_proves_depends_on_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let mut layout = Layout::new(Root::at(dir.path().canonicalize().unwrap()));
        let path = |inside: &str| layout.root.path(inside);
        let no_kernel = |same| InstallTree::NoKernel { dir: "/lib/modules".into(), same };
        let blind = |tree: InstallTree| match tree {
            InstallTree::Blind(blind) => blind.cause,
            other => panic!("{other:?}"),
        };
        assert_eq!(blind(look_at(&layout, &kernels(false))), Cause::NoParent, "nothing is mounted");
        std::fs::create_dir_all(path("/lib")).unwrap();
        assert_eq!(look_at(&layout, &kernels(false)), no_kernel(false));
        std::os::unix::fs::symlink("elsewhere", path("/lib/modules")).unwrap();
        assert_eq!(blind(look_at(&layout, &kernels(false))), Cause::DanglingLink);
        std::fs::remove_file(path("/lib/modules")).unwrap();
        std::fs::write(path("/lib/modules"), "").unwrap();
        assert_eq!(blind(look_at(&layout, &kernels(false))), Cause::NotADirectory);
        std::fs::remove_file(path("/lib/modules")).unwrap();
        std::fs::create_dir_all(path("/lib/modules/6.1/updates")).unwrap();
        assert_eq!(look_at(&layout, &kernels(false)), no_kernel(false));
        // One that is not asked about is a kernel, too.
        std::fs::create_dir_all(path("/lib/modules/6.3/kernel")).unwrap();
        assert_eq!(look_at(&layout, &kernels(false)), InstallTree::Sound);
        assert_eq!(look_at(&layout, &kernels(true)), InstallTree::Sound);

        let now = place(&layout).unwrap().unwrap();
        assert_eq!((now.path.to_str(), now.mounted.to_str()), (Some("/lib/modules"), Some("/")));
        state::save_install_tree(&layout, &now).unwrap();
        assert_eq!(look_at(&layout, &kernels(false)), InstallTree::Sound);
        std::fs::remove_dir_all(path("/lib/modules/6.3")).unwrap();
        assert_eq!(look_at(&layout, &kernels(false)), no_kernel(true));
        std::fs::write(layout.install_tree_file(), "{").unwrap();
        assert!(matches!(blind(look_at(&layout, &kernels(true))), Cause::Damaged(_)));
        std::fs::remove_file(state::aside(&layout.install_tree_file())).unwrap_err();
        state::save_install_tree(&layout, &now).unwrap();
        assert!(state::aside(&layout.install_tree_file()).exists());
        std::fs::create_dir_all(path("/lib/modulez/6.3/kernel")).unwrap();
        layout.install_tree = "/lib/modulez".into();
        assert!(matches!(look_at(&layout, &kernels(false)), InstallTree::Other { .. }));
    }
}
