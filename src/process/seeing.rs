//! A child that sees a directory in another place, by a mount that nobody else has.
//!
//! Two builds of one module version both have to see their directory under the same path. Each gets a mount
//! namespace of its own, in which its directory lies over that path (mount_namespaces(7)).
//!
//! Two things to know. Whoever removes or renames the directory that is covered takes the mount away from all who
//! have one there (rename(2), since Linux 3.18). And a mount made here would appear on the machine, too, if its parent
//! were shared with it: so all mounts are cut off first, which needs a `/` that is itself a mount. Where it is none
//! (some chroots), the child is not started.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::chdir;

use super::{Output, Process};

/// What lies where.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// The directory.
    pub dir: PathBuf,
    /// The directory that it covers.
    pub at: PathBuf,
}

/// Gives the child that view. It starts in `inside`.
///
/// # Errors
/// When a path has a zero in it.
pub(super) fn give(command: &mut Command, view: &View, inside: &Path) -> io::Result<()> {
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from);
    let (dir, at, inside) = (text(&view.dir)?, text(&view.at)?, text(inside)?);
    // SAFETY: between fork and exec only unshare(2), mount(2) and chdir(2) are called, with texts that are ready.
    // They are plain system calls, which allocate nothing and take no lock.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(move || Ok(cover(&dir, &at, &inside)?));
    }
    Ok(())
}

fn cover(dir: &CStr, at: &CStr, inside: &CStr) -> nix::Result<()> {
    const NONE: Option<&CStr> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    // What is mounted and unmounted on the machine still shows here; nothing that is done here shows there.
    mount(NONE, c"/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE)?;
    mount(Some(dir), at, NONE, MsFlags::MS_BIND, NONE)?;
    chdir(inside)
}

/// Whether children can be given such a view here. A child tries.
///
/// # Errors
/// Why not: no right to mount (a container), or a `/` that is no mount.
pub fn can_see(dir: &Path, at: &Path) -> Result<(), super::ProcessError> {
    Process::new("true").seeing(dir, at).run(Output::Null).map(drop)
}
