//! Which root a command works on.

use std::path::{Path, PathBuf};

use crate::fs::root::Root;
use crate::model::error::{Error, Result};

/// The root to work on: `--root`; the variable DKMS_HOOK_ROOT, for the `dkms` face and for scripts
/// that cannot pass an option; or what dpkg says when it runs this machine's hooks for another tree
/// (DPKG_ROOT, dpkg(1) `--force-script-chrootless`).
pub(super) fn enter(given: Option<&Path>) -> Result<Root> {
    let root = find_root(given);
    crate::process::find_temporary_directory();
    root
}

fn find_root(given: Option<&Path>) -> Result<Root> {
    let variable = |name| std::env::var_os(name).filter(|r| !r.is_empty() && r != "/").map(PathBuf::from);
    let chosen = given.map(Path::to_path_buf);
    let Some(dir) = chosen.or_else(|| variable("DKMS_HOOK_ROOT")).or_else(|| variable("DPKG_ROOT")) else {
        return Ok(host());
    };
    let dir = dir.canonicalize().map_err(|e| {
        Error::io("open the root", &dir, &e).hint("--root, DKMS_HOOK_ROOT or DPKG_ROOT names it")
    })?;
    if dir == Path::new("/") {
        return Ok(host());
    }
    // A whole system is entered, so that its own compiler, paths and initramfs generator are used.
    // A bare tree, or one that somebody without root's power works on, is reached by prefix.
    let whole = dir.join("bin/sh").exists() || dir.join("usr/bin/sh").exists();
    if whole && nix::unistd::geteuid().is_root() {
        nix::unistd::chroot(&dir)
            .and_then(|()| nix::unistd::chdir("/"))
            .map_err(|e| Error::io("change the root to", &dir, &e.into()))?;
        // These hold paths outside the new root; dpkg's tools would resolve them inside it.
        crate::process::forget_variables(&["DPKG_ROOT", "DPKG_ADMINDIR", "DKMS_HOOK_ROOT"]);
        return Ok(Root::entered());
    }
    Ok(Root::at(dir))
}

/// This machine; foreign when it is a chroot or container, where the running kernel is another's.
fn host() -> Root {
    if crate::process::chroot::inside(&Root::host()).is_some() { Root::entered() } else { Root::host() }
}
