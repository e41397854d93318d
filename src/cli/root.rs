//! Which root a command works on.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::fs::root::Root;
use crate::model::error::{Error, Result};

/// Where this process was before it entered another root.
#[derive(Debug)]
struct Outside {
    /// The root, as it was seen from there.
    root: PathBuf,
    /// The current directory.
    dir: Option<PathBuf>,
}

static OUTSIDE: OnceLock<Outside> = OnceLock::new();

/// A path that somebody typed, as this process opens it. In a root that was entered, that is one inside; who has typed
/// where it is outside means the same file.
pub(super) fn as_opened(typed: &Path) -> PathBuf {
    OUTSIDE.get().and_then(|outside| outside.inside(typed)).unwrap_or_else(|| typed.to_path_buf())
}

impl Outside {
    /// A path below the root, as it is seen from inside.
    fn inside(&self, typed: &Path) -> Option<PathBuf> {
        let whole = if typed.is_absolute() { typed.to_path_buf() } else { self.dir.as_ref()?.join(typed) };
        Some(Path::new("/").join(whole.strip_prefix(&self.root).ok()?))
    }
}

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
        let here = std::env::current_dir().ok();
        nix::unistd::chroot(&dir)
            .and_then(|()| nix::unistd::chdir("/"))
            .map_err(|e| Error::io("change the root to", &dir, &e.into()))?;
        let _ = OUTSIDE.set(Outside { root: dir, dir: here });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_outside_of_a_root_is_found_inside() {
        let at = |dir: &str| Outside { root: "/srv/root".into(), dir: Some(dir.into()) };
        let inside = |dir: &str, typed: &str| at(dir).inside(Path::new(typed));
        assert_eq!(inside("/", "/srv/root/usr/src/m-1"), Some("/usr/src/m-1".into()));
        assert_eq!(inside("/", "/srv/root"), Some("/".into()));
        assert_eq!(inside("/srv/root/usr", "src/m-1"), Some("/usr/src/m-1".into()));
        assert_eq!(inside("/srv", "./root/m"), Some("/m".into()));
        // What is not below it is taken for a path inside.
        for (dir, typed) in [("/", "/usr/src/m-1"), ("/srv", "m"), ("/", "/srv/rooted/m")] {
            assert_eq!(inside(dir, typed), None, "{dir} {typed}");
        }
    }
}
