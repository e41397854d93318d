//! The staged tree: what the package will put on a machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Error, Result};

/// One thing in a package's tar archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path from the root, without a leading `/` or `./`; empty for the root itself.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// What it is.
    pub content: Content,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A directory.
    Directory,
    /// A regular file with these bytes.
    File(Vec<u8>),
    /// A symbolic link with this target.
    Link(String),
}

impl Entry {
    /// A regular file.
    pub fn file(path: impl Into<String>, mode: u32, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), mode, content: Content::File(bytes.into()) }
    }

    /// The bytes, when this is a regular file.
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.content {
            Content::File(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// Everything below `dir`, in byte order of the paths, so that a directory comes before what is in
/// it and two runs give the same list.
///
/// Permissions are those that a package may have (Debian policy 10.9), whatever the umask was: 755
/// for directories and for files that anybody may execute, 644 for other files.
///
/// # Errors
/// When something cannot be read, or is neither file, directory nor link.
pub fn collect(dir: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for found in walkdir::WalkDir::new(dir).min_depth(1) {
        let found = found.map_err(|err| Error::Stage(format!("cannot be read: {err}")))?;
        let path = found.path();
        let inside = path.strip_prefix(dir).expect("walkdir stays below its start");
        let name = utf8(inside)?;
        let kind = found.file_type();
        let entry = if kind.is_dir() {
            Entry { path: name, mode: 0o755, content: Content::Directory }
        } else if kind.is_symlink() {
            let target = fs::read_link(path).map_err(Error::io("read the link", path))?;
            Entry { path: name, mode: 0o777, content: Content::Link(utf8(&target)?) }
        } else if kind.is_file() {
            let bytes = fs::read(path).map_err(Error::io("read", path))?;
            let bits = fs::metadata(path).map_err(Error::io("read", path))?.permissions().mode();
            Entry::file(name, if bits & 0o111 == 0 { 0o644 } else { 0o755 }, bytes)
        } else {
            return Err(Error::Stage(format!("has a special file: {}", path.display())));
        };
        entries.push(entry);
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

fn utf8(path: &Path) -> Result<String> {
    let text = path.to_str();
    text.map(str::to_owned).ok_or_else(|| Error::Stage(format!("has a name that is not UTF-8: {path:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_kept_and_permissions_do_not_depend_on_the_umask() {
        let dir = tempfile::tempdir().unwrap();
        let sbin = dir.path().join("usr/sbin");
        fs::create_dir_all(&sbin).unwrap();
        fs::write(sbin.join("prog"), "x").unwrap();
        fs::set_permissions(sbin.join("prog"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(dir.path().join("usr/note"), "y").unwrap();
        fs::set_permissions(dir.path().join("usr/note"), fs::Permissions::from_mode(0o666)).unwrap();
        std::os::unix::fs::symlink("prog", sbin.join("alias")).unwrap();

        let entries = collect(dir.path()).unwrap();
        let seen: Vec<_> = entries.iter().map(|e| (e.path.as_str(), e.mode)).collect();
        assert_eq!(
            seen,
            [
                ("usr", 0o755),
                ("usr/note", 0o644),
                ("usr/sbin", 0o755),
                ("usr/sbin/alias", 0o777),
                ("usr/sbin/prog", 0o755)
            ]
        );
        assert_eq!(entries[3].content, Content::Link("prog".into()));
    }
}
