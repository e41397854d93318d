//! depmod(8): once per kernel and run.

use std::path::{Path, PathBuf};

use crate::apply::tree;
use crate::fs::same::same_place;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::KernelRelease;
use crate::process::{Output, Process, ProcessError};
use crate::progress::Report;
use crate::tree::layout::Layout;
use crate::tree::notes;

/// Runs depmod for a kernel and forgets that it was due.
///
/// # Errors
/// When depmod is missing or fails; it stays due.
pub fn run(layout: &Layout, kernel: &KernelRelease, report: &dyn Report) -> Result<()> {
    let done = || notes::depmod_done(layout, kernel);
    let mut process = Process::new("depmod").arg("-a");
    match base(layout) {
        Ok(None) => {}
        Ok(Some(base)) => process = process.arg("-b").arg(base),
        Err(tree) => {
            report.warning(&format!(
                "no depmod for {kernel}: depmod needs a directory lib/modules, not {}",
                tree.display()
            ));
            return done();
        }
    }
    let map = layout.root.path(format!("/boot/System.map-{kernel}"));
    if map.is_file() {
        process = process.arg("-F").arg(map);
    }
    report.begin(&format!("Running depmod for {kernel}"));
    let status = process.arg(kernel.as_str()).run(Output::Null);
    report.end(*status.as_ref().unwrap_or(&127));
    match status {
        Ok(0) => {
            tree::drop_empty_index(layout, kernel)?;
            done()
        }
        Ok(n) => Err(Error::new(Kind::DepmodFailed, format!("depmod for {kernel} ended with status {n}"))
            .hint(format!("run `depmod -a {kernel}` to see what it says"))),
        Err(err @ ProcessError::Missing { .. }) => {
            Err(Error::new(Kind::DepmodFailed, err.to_string()).hint("install the package kmod"))
        }
        Err(err) => Err(Error::new(Kind::DepmodFailed, err.to_string())),
    }
}

/// What depmod is to take for `/`, so that it indexes the tree that we install to; `None` for its
/// own default.
///
/// # Errors
/// The tree, when depmod cannot be led to it.
fn base(layout: &Layout) -> Result<Option<PathBuf>, PathBuf> {
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
        assert_eq!(base(&layout), Ok(Some(dir.path().to_path_buf())));
        layout.install_tree = "/srv/image/lib/modules".into();
        assert_eq!(base(&layout), Ok(Some(dir.path().join("srv/image/"))));
        layout.install_tree = "/srv/mylib/modules".into();
        assert_eq!(base(&layout), Err(dir.path().join("srv/mylib/modules")));
        // The same directory by another name.
        std::fs::create_dir_all(layout.root.path("/usr/lib/modules")).unwrap();
        std::os::unix::fs::symlink("usr/lib", layout.root.path("/lib")).unwrap();
        layout.install_tree = "/usr/lib/modules".into();
        assert_eq!(base(&layout), Ok(Some(dir.path().to_path_buf())));
    }
}
