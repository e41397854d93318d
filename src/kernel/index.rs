//! Where depmod(8) finds the modules of a kernel.

use std::path::{Path, PathBuf};

use crate::fs::same::same_place;
use crate::tree::layout::Layout;

/// What depmod is to take for `/`, so that it indexes the tree that we install to; `None` for its
/// own default.
///
/// # Errors
/// The tree, when depmod cannot be led to it.
pub fn depmod_base(layout: &Layout) -> Result<Option<PathBuf>, PathBuf> {
    const USUAL: &str = "lib/modules";
    let tree = layout.root.path(&layout.install_tree);
    if layout.install_tree == Path::new("/lib/modules")
        || same_place(&tree, &layout.root.path("/lib/modules"))
    {
        return Ok((!layout.root.is_slash()).then(|| layout.root.dir().to_path_buf()));
    }
    let base = tree.to_str().and_then(|text| text.strip_suffix(USUAL)).filter(|base| base.ends_with('/'));
    base.map(|base| Some(PathBuf::from(base))).ok_or(tree.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;

    #[test]
    fn depmod_is_led_to_the_tree_that_is_installed_to() {
        let dir = tempfile::tempdir().unwrap();
        let mut layout = Layout::new(Root::at(dir.path()));
        assert_eq!(depmod_base(&layout), Ok(Some(dir.path().to_path_buf())));
        layout.install_tree = "/srv/image/lib/modules".into();
        assert_eq!(depmod_base(&layout), Ok(Some(dir.path().join("srv/image/"))));
        layout.install_tree = "/srv/mylib/modules".into();
        assert_eq!(depmod_base(&layout), Err(dir.path().join("srv/mylib/modules")));
        // The same directory by another name.
        std::fs::create_dir_all(layout.root.path("/usr/lib/modules")).unwrap();
        std::os::unix::fs::symlink("usr/lib", layout.root.path("/lib")).unwrap();
        layout.install_tree = "/usr/lib/modules".into();
        assert_eq!(depmod_base(&layout), Ok(Some(dir.path().to_path_buf())));
    }
}
