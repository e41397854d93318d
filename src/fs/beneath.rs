//! Files in a directory that somebody else wrote: no link leads out of it, and nothing but a regular file is opened.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

/// Opens a regular file for reading, by its path in `dir`. No part of that path may be a link: each is opened by itself,
/// from the one before. It waits for nobody.
///
/// # Errors
/// When there is none, a part is a link, or it is something else. The error says which.
pub fn open_file(dir: &Path, path: &Path) -> io::Result<File> {
    let mut at = OwnedFd::from(File::open(dir)?);
    let mut parts: Vec<_> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name),
            Component::CurDir => {}
            _ => return Err(other(format!("{} leads out of the build directory", path.display()))),
        }
    }
    let Some((last, dirs)) = parts.split_last() else { return Err(io::ErrorKind::IsADirectory.into()) };
    let step = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    for name in dirs {
        at = openat(at.as_fd(), *name, step, Mode::empty()).map_err(|error| link(error, name))?;
    }
    let read = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = openat(at.as_fd(), *last, read, Mode::empty()).map_err(|error| link(error, last))?;
    regular(File::from(file))
}

fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(other("it is no regular file".to_owned())) }
}

fn link(error: nix::errno::Errno, name: &std::ffi::OsStr) -> io::Error {
    match error {
        nix::errno::Errno::ELOOP => other(format!("{} is a link", name.to_string_lossy())),
        // A link to a directory, or a file where one should be.
        nix::errno::Errno::ENOTDIR => other(format!("{} is no directory", name.to_string_lossy())),
        other => other.into(),
    }
}

fn other(text: String) -> io::Error {
    io::Error::other(text)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_opened_and_nothing_that_only_looks_like_one() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::write(at("a/b/m.ko"), "module").unwrap();
        symlink("b", at("a/link")).unwrap();
        symlink("m.ko", at("a/b/other.ko")).unwrap();
        symlink("/dev/zero", at("zero.ko")).unwrap();
        nix::unistd::mkfifo(&at("pipe.ko"), Mode::S_IRUSR).unwrap();
        let open = |path: &str| open_file(dir.path(), Path::new(path));
        for path in ["a/b/m.ko", "./a/./b/m.ko"] {
            let mut text = String::new();
            open(path).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "module");
        }
        for (path, why) in [
            ("a/link/m.ko", "link is no directory"),
            ("a/b/other.ko", "other.ko is a link"),
            ("zero.ko", "zero.ko is a link"),
            ("pipe.ko", "no regular file"),
            ("a/b", "no regular file"),
            ("a/../a/b/m.ko", "leads out"),
            ("/etc/passwd", "leads out"),
            ("none.ko", "No such file"),
        ] {
            let error = open(path).unwrap_err().to_string();
            assert!(error.contains(why), "{path}: {error}");
        }
    }
}
