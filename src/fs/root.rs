//! The directory that stands for `/`.
//!
//! Everything this program reads or writes is reached through one [`Root`], so that the same code
//! runs on the machine itself, inside an image builder's tree, or in a test's temporary folder.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::fs::look;
use crate::model::blind::Blind;

/// A directory that stands for `/`.
///
/// Paths *inside* the root are written the way they look from within it (`/lib/modules/…`).
/// [`Root::path`] turns such a path into one that this process can open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    dir: PathBuf,
    foreign: bool,
}

impl Root {
    /// The running system.
    pub fn host() -> Self {
        Self { dir: PathBuf::from("/"), foreign: false }
    }

    /// Another tree, reached from here by its own path.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        let foreign = dir != Path::new("/");
        Self { dir, foreign }
    }

    /// `/` of a tree that this process has changed its root into: paths are plain, but the running
    /// kernel still says nothing about it.
    pub fn entered() -> Self {
        Self { dir: PathBuf::from("/"), foreign: true }
    }

    /// True when the running kernel (`uname -r`) is not a kernel of this root.
    pub fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// True when paths inside the root need no prefix.
    pub fn is_slash(&self) -> bool {
        self.dir == Path::new("/")
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path by which this process reaches `inside` (absolute or not, `..` refused by
    /// collapsing it at the root as the kernel does).
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        if self.is_slash() {
            return Path::new("/").join(inside.as_ref());
        }
        let mut out = self.dir.clone();
        if let Some(below) = plain(inside.as_ref()) {
            out.push(below);
            return out;
        }
        let mut depth = 0usize;
        for part in inside.as_ref().components() {
            match part {
                Component::Normal(name) => {
                    out.push(name);
                    depth += 1;
                }
                Component::ParentDir if depth > 0 => {
                    out.pop();
                    depth -= 1;
                }
                _ => {}
            }
        }
        out
    }

    /// The reverse of [`Root::path`]: how `path` looks from inside. A path that is not below the
    /// root is returned unchanged.
    pub fn inside(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.dir) {
            Ok(rest) => Path::new("/").join(rest),
            Err(_) => path.to_path_buf(),
        }
    }

    /// True when `inside` is a directory, or leads to one by links followed from inside the root.
    pub fn is_dir(&self, inside: impl AsRef<Path>) -> bool {
        if self.is_slash() {
            return self.path(inside).is_dir();
        }
        self.resolve(inside).is_ok_and(|path| path.is_dir())
    }

    /// Whether `inside` is a directory, or leads to one by links followed from inside the root. A link that
    /// leads nowhere is no directory.
    ///
    /// # Errors
    /// When it could not be looked at.
    pub fn look_for_dir(&self, inside: impl AsRef<Path>) -> Result<bool, Blind> {
        let shown = inside.as_ref();
        if self.is_slash() {
            return Ok(look::metadata(&self.path(shown))?.is_some_and(|meta| meta.is_dir()));
        }
        match self.resolve(shown) {
            Ok(path) => Ok(look::metadata(&path)?.is_some_and(|meta| meta.is_dir())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Blind::os(&self.path(shown), &error)),
        }
    }

    /// Follows symbolic links as they would be followed from inside the root (an absolute target
    /// starts at the root again). The result is a path this process can open.
    ///
    /// # Errors
    /// When a component is missing, or after 40 links (the kernel's own limit, path_resolution(7)).
    pub fn resolve(&self, inside: impl AsRef<Path>) -> std::io::Result<PathBuf> {
        if self.is_slash() {
            return std::fs::canonicalize(inside.as_ref());
        }
        let mut todo: Vec<std::ffi::OsString> = parts_reversed(inside.as_ref());
        let mut done = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if part == ".." {
                done.pop();
                continue;
            }
            let next = done.join(&part);
            let real = self.path(&next);
            let meta = std::fs::symlink_metadata(&real)?;
            if meta.file_type().is_symlink() {
                links += 1;
                if links > 40 {
                    return Err(nix::errno::Errno::ELOOP.into());
                }
                let target = std::fs::read_link(&real)?;
                if target.is_absolute() {
                    done = PathBuf::from("/");
                }
                todo.extend(parts_reversed(&target));
            } else {
                done = next;
            }
        }
        Ok(self.path(done))
    }
}

/// The rest of an absolute path whose parts are names and nothing else, which takes no second look at each part.
fn plain(path: &Path) -> Option<&Path> {
    let below = path.as_os_str().as_bytes().strip_prefix(b"/")?;
    let odd = |pair: &[u8]| pair[0] == b'/' && matches!(pair[1], b'/' | b'.');
    let ends = below.first().is_none_or(|first| matches!(first, b'/' | b'.')) || below.ends_with(b"/");
    (!ends && !below.windows(2).any(odd)).then(|| Path::new(OsStr::from_bytes(below)))
}

fn parts_reversed(path: &Path) -> Vec<std::ffi::OsString> {
    let mut parts: Vec<_> = path
        .components()
        .filter_map(|c| match c {
            Component::Normal(n) => Some(n.to_os_string()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect();
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_prefixed_and_cannot_climb_out() {
        let root = Root::at("/tmp/r");
        assert_eq!(root.path("/lib/modules"), Path::new("/tmp/r/lib/modules"));
        assert_eq!(root.path("/../../etc"), Path::new("/tmp/r/etc"));
        for odd in ["/a//b", "/./a/b", "/a/./b", "/a/b/", "a/b", "//a/b", "/a/.x/../b", "/x/../a/b"] {
            assert_eq!(root.path(odd).as_os_str(), "/tmp/r/a/b", "{odd}");
        }
        assert_eq!(
            (root.path("/").as_os_str(), root.path("").as_os_str()),
            ("/tmp/r".as_ref(), "/tmp/r".as_ref())
        );
        assert_eq!(root.path("/a/.b/..c").as_os_str(), "/tmp/r/a/.b/..c");
        assert_eq!(root.inside(Path::new("/tmp/r/usr/src")), Path::new("/usr/src"));
        assert_eq!(Root::host().path("/usr"), Path::new("/usr"));
    }

    #[test]
    fn absolute_links_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        std::fs::create_dir_all(root.path("/usr/src/headers/include")).unwrap();
        std::fs::create_dir_all(root.path("/usr/lib/modules/6.1")).unwrap();
        std::os::unix::fs::symlink("usr/lib", root.path("/lib")).unwrap();
        std::os::unix::fs::symlink("/usr/src/headers", root.path("/usr/lib/modules/6.1/build")).unwrap();
        assert_eq!(
            root.resolve("/lib/modules/6.1/build/include").unwrap(),
            dir.path().join("usr/src/headers/include")
        );
        assert!(root.resolve("/lib/modules/6.2").is_err());
        assert!(root.is_dir("/lib/modules/6.1/build/include") && !root.is_dir("/lib/modules/6.2"));
    }
}
