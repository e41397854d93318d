//! Trees laid over others where nobody else sees it.
//!
//! A thread of this process gets a mount namespace of its own (mount_namespaces(7)) and lays directories over others
//! there (the kernel's overlay file system): what is in them seems to have been unpacked. What it and the programs that
//! it starts write goes into private directories. The other threads and the machine see nothing of it, and when the
//! thread has ended, however it did, there are no such mounts any more.
//!
//! The namespace belongs to a thread and not to a child, so that what is found out there comes back as values.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::close;

use super::sandbox::mounts::{RootKind, own_root};
use super::sandbox::sys;

/// A directory that is laid over another one.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What is seen before that which is there, and where all changes go.
    pub over: PathBuf,
    /// An empty directory on the same file system.
    pub work: PathBuf,
    /// The directory that it is laid over.
    pub at: PathBuf,
}

/// Why there is no such view.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No mount namespace of our own: a container, or somebody without root's power.
    #[error("no mount namespace can be had here ({0})")]
    Namespace(Errno),
    /// No overlay: the kernel has none, or not on this file system.
    #[error("nothing can be laid over {} ({why})", .at.display())]
    Overlay {
        /// The directory.
        at: PathBuf,
        /// What the kernel said.
        why: Errno,
    },
    /// A directory that should stay as it is cannot be shown.
    #[error("{} cannot be shown ({why})", .at.display())]
    Kept {
        /// The directory.
        at: PathBuf,
        /// What the kernel said.
        why: Errno,
    },
    /// The thread could not be started, or did not come to its end.
    #[error("the attempt did not come to its end ({0})")]
    Thread(io::Error),
}

/// Does something where these layers lie over the machine's directories, each over what those before it left. The
/// directories `kept` are the machine's own there, whatever lies over what they are in.
///
/// # Errors
/// When there is no such view; nothing was done then.
pub fn within<T: Send>(
    layers: &[Layer],
    kept: &[PathBuf],
    what: impl FnOnce() -> T + Send,
) -> Result<T, Refused> {
    std::thread::scope(|scope| {
        let inside = move || {
            enter(layers, kept)?;
            Ok(what())
        };
        let thread = std::thread::Builder::new().spawn_scoped(scope, inside).map_err(Refused::Thread)?;
        thread.join().unwrap_or_else(|_| Err(Refused::Thread(io::Error::other("it gave up"))))
    })
}

/// Gives this thread the view. Only for a thread that ends afterwards.
fn enter(layers: &[Layer], kept: &[PathBuf]) -> Result<(), Refused> {
    // The thread shares its directory with no other one from here on, either.
    unshare(CloneFlags::CLONE_NEWNS).map_err(Refused::Namespace)?;
    match own_root(RootKind::Mount) {
        // No mount: a chroot.
        Err(Errno::EINVAL) => own_root(RootKind::Directory),
        other => other,
    }
    .map_err(Refused::Namespace)?;
    let mut copies = Vec::new();
    for dir in kept {
        let refused = |why| Refused::Kept { at: dir.clone(), why };
        let text = text(dir).map_err(refused)?;
        copies.push((sys::clone_mount(&text).map_err(refused)?, text, dir));
    }
    for layer in layers {
        layer.lay().map_err(|why| Refused::Overlay { at: layer.at.clone(), why })?;
    }
    for (copy, at, dir) in copies {
        sys::put_mount(copy, &at).map_err(|why| Refused::Kept { at: dir.clone(), why })?;
        let _ = close(copy);
    }
    Ok(())
}

impl Layer {
    fn lay(&self) -> nix::Result<()> {
        let options = [("lowerdir=", &self.at), (",upperdir=", &self.over), (",workdir=", &self.work)];
        let mut all = Vec::new();
        for (name, path) in options {
            all.extend_from_slice(name.as_bytes());
            all.extend(escaped(path));
        }
        let at = text(&self.at)?;
        // Directories that are in the lower tree are renamed, too: a build replaces another one.
        let with = |more: &[u8]| {
            let options = CString::new([&all, more].concat()).map_err(|_| Errno::EINVAL)?;
            let flags = MsFlags::MS_NODEV;
            mount(Some(c"overlay"), at.as_c_str(), Some(c"overlay"), flags, Some(options.as_c_str()))
        };
        with(b",redirect_dir=on,metacopy=off,index=off")
            // In a user namespace files are marked so (Linux 5.11), and what is in the lower tree keeps its name.
            .or_else(|error| with(b",userxattr").map_err(|_| error))
    }
}

/// A path in the options of an overlay, where commas and colons divide.
fn escaped(path: &Path) -> Vec<u8> {
    let mut out = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        if b"\\,:".contains(byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

fn text(path: &Path) -> nix::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

/// Whether such a view can be had here. A thread tries, with two empty directories in `place`.
///
/// # Errors
/// Why not.
pub fn can_lay(place: &Path) -> Result<(), Refused> {
    let [over, work, at] = ["over", "work", "at"].map(|name| place.join(name));
    for dir in [&over, &work, &at] {
        fs::create_dir_all(dir).map_err(Refused::Thread)?;
    }
    within(&[Layer { over, work, at }], &[], || ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_divides_options_is_escaped() {
        assert_eq!(escaped(Path::new("/a,b:c\\d")), b"/a\\,b\\:c\\\\d");
        assert_eq!(escaped(Path::new("/var/lib/dkms")), b"/var/lib/dkms");
    }

    #[test]
    fn only_the_thread_sees_what_is_laid_over_and_what_it_writes() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["over", "work", "at/sub/kept", "at/old"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        fs::write(at("over/new"), "new").unwrap();
        fs::write(at("at/old/file"), "old").unwrap();
        let layer = Layer { over: at("over"), work: at("work"), at: at("at") };
        let seen = within(&[layer], &[at("at/sub/kept")], || {
            fs::write(at("at/old/file"), "changed").unwrap();
            fs::write(at("at/sub/kept/result"), "result").unwrap();
            fs::rename(at("at/old"), at("at/moved")).unwrap();
            let child = std::process::Command::new("cat").arg(at("at/new")).output().unwrap();
            (String::from_utf8(child.stdout).unwrap(), fs::read_to_string(at("at/moved/file")).unwrap())
        });
        match seen {
            Ok((new, changed)) => assert_eq!((new.as_str(), changed.as_str()), ("new", "changed")),
            // A machine where nobody can, or a person without root's power.
            Err(refused) => {
                assert!(!nix::unistd::geteuid().is_root() || refused.to_string().contains("laid over"));
                return;
            }
        }
        assert!(!at("at/new").exists() && !at("at/moved").exists());
        assert_eq!(fs::read_to_string(at("at/old/file")).unwrap(), "old");
        assert_eq!(fs::read_to_string(at("at/sub/kept/result")).unwrap(), "result");
    }
}
