//! Where depmod(8) finds the modules of a kernel, and what its index says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::elf::module_name;
use crate::fs::look::{self, Seen};
use crate::fs::same::same_place;
use crate::model::ids::KernelRelease;
use crate::tree::layout::Layout;

/// The index of a kernel's modules.
pub fn index_file(layout: &Layout, kernel: &KernelRelease) -> PathBuf {
    layout.kernel(kernel).join("modules.dep")
}

/// The file that modprobe(8) takes for each module, by its name ([`module_name`]): below the kernel's directory,
/// or an absolute path where depmod's configuration has directories elsewhere.
///
/// # Errors
/// When the index could not be read.
pub fn indexed_files(layout: &Layout, kernel: &KernelRelease) -> Seen<BTreeMap<String, PathBuf>> {
    let Some(bytes) = look::read(&index_file(layout, kernel))? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    let files = text.lines().filter_map(|line| line.split_once(':')).map(|(file, _)| file);
    let named = |file: &str| (module_name(file.rsplit('/').next().unwrap_or(file)), PathBuf::from(file));
    Ok(Some(files.map(named).collect()))
}

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
