//! Digests of files: of their content, and of what stat(2) says about them.
//!
//! Content decides whether an input changed. The stat digest only says whether content has to be
//! read again: a hook with nothing to do must not hash every source tree.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::fs::directories::Directories;
use crate::fs::regular;
use crate::model::error::{Error, Result};
use crate::model::inputs::Hasher;

/// Adds what stat(2) says of one path (links are followed), or that it is missing.
pub fn stat(hash: &mut Hasher, path: &Path) {
    hash.part(path.as_os_str().as_bytes());
    match std::fs::metadata(path) {
        Ok(meta) => stat_meta(hash, &meta),
        Err(_) => hash.part("missing"),
    }
}

/// As [`stat`], for a file whose metadata are at hand.
pub fn stat_by(hash: &mut Hasher, path: &Path, meta: &Metadata) {
    hash.part(path.as_os_str().as_bytes());
    stat_meta(hash, meta);
}

fn stat_meta(hash: &mut Hasher, meta: &std::fs::Metadata) {
    for n in [meta.size() as i64, meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()] {
        hash.part(n.to_le_bytes());
    }
    hash.part(meta.mode().to_le_bytes());
}

/// Adds what stat(2) says of everything below a directory. Directories count by name and mode
/// only: a build elsewhere may touch their times.
pub fn stat_tree(hash: &mut Hasher, dir: &Path) {
    stat_directory(hash, dir, &Directories::default(), None, &mut |_, _| {});
}

/// As [`stat_tree`], the same digest; what is in directories is not listed where that is known. What lstat(2) says of
/// `wanted`, in the directory itself, is returned.
pub fn stat_tree_by(
    hash: &mut Hasher,
    dir: &Path,
    directories: &Directories<'_>,
    wanted: &str,
) -> Option<Metadata> {
    let mut found = None;
    stat_directory(hash, dir, directories, None, &mut |name, meta| {
        if name == wanted {
            found = Some(meta.clone());
        }
    });
    found
}

fn stat_directory(
    hash: &mut Hasher,
    dir: &Path,
    directories: &Directories<'_>,
    meta: Option<&Metadata>,
    seen: &mut dyn FnMut(&OsStr, &Metadata),
) {
    let mut add = |hash: &mut Hasher, name: &OsStr, meta: std::io::Result<Metadata>| {
        hash.part(name.as_bytes());
        if let Ok(meta) = &meta {
            seen(name, meta);
        }
        match meta {
            Ok(meta) if meta.is_dir() => {
                hash.part(meta.mode().to_le_bytes());
                stat_directory(hash, &dir.join(name), directories, Some(&meta), &mut |_, _| {});
            }
            Ok(meta) => stat_meta(hash, &meta),
            Err(err) => hash.part(err.kind().to_string()),
        }
    };
    if let Some(listing) = directories.known_by(dir, meta) {
        let entries = || listing.entries().map(|(name, _)| name).filter(|name| is_input(name));
        hash.part(entries().count().to_le_bytes());
        entries().for_each(|name| add(hash, name, std::fs::symlink_metadata(dir.join(name))));
        return;
    }
    // Not by walkdir: an entry of read_dir is looked up from its open directory, which for trees
    // of thousands of files costs half as much as by a full path for each.
    let mut entries: Vec<std::fs::DirEntry> = match std::fs::read_dir(dir).and_then(Iterator::collect) {
        Ok(entries) => entries,
        Err(err) => return hash.part(err.kind().to_string()),
    };
    directories.missed(dir);
    entries.retain(|entry| is_input(&entry.file_name()));
    entries.sort_by_cached_key(std::fs::DirEntry::file_name);
    hash.part(entries.len().to_le_bytes());
    entries.iter().for_each(|entry| add(hash, &entry.file_name(), entry.metadata()));
}

/// Digest over names, permission bits, link targets and content of everything below a directory.
///
/// # Errors
/// When something cannot be read; names the path.
pub fn content_tree(dir: &Path) -> Result<String> {
    let mut hash = Hasher::new();
    for entry in walk(dir) {
        let entry = entry.map_err(|e| {
            let path = e.path().unwrap_or(dir).to_path_buf();
            Error::io("read", &path, &e.into())
        })?;
        hash.part(relative(&entry, dir).as_os_str().as_bytes());
        let path = entry.path();
        let kind = entry.file_type();
        if kind.is_symlink() {
            let target = std::fs::read_link(path).map_err(|e| Error::io("read the link", path, &e))?;
            hash.part(target.as_os_str().as_bytes());
        } else if kind.is_file() {
            let meta = entry.metadata().map_err(|e| Error::io("read", path, &e.into()))?;
            hash.part((meta.permissions().mode() & 0o777).to_le_bytes());
            content(&mut hash, path)?;
        } else {
            hash.part(if kind.is_dir() { "directory" } else { "special" });
        }
    }
    Ok(hash.finish())
}

/// Adds the content of one file.
///
/// # Errors
/// When it cannot be read.
pub fn content(hash: &mut Hasher, path: &Path) -> Result<()> {
    hash.part(regular::read_module(path).map_err(|e| Error::io("read", path, &e))?);
    Ok(())
}

/// Everything below a directory that is an input, in order.
pub(super) fn walk(dir: &Path) -> impl Iterator<Item = walkdir::Result<walkdir::DirEntry>> {
    walkdir::WalkDir::new(dir)
        .min_depth(1)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|e| is_input(e.file_name()))
}

/// Version control is no input: a fetch or a status rewrites files below it.
fn is_input(name: &OsStr) -> bool {
    name != ".git"
}

/// Where something is below the directory that was walked over.
pub(super) fn relative<'a>(entry: &'a walkdir::DirEntry, dir: &Path) -> &'a Path {
    entry.path().strip_prefix(dir).unwrap_or(entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_counts_and_times_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.c");
        std::fs::write(&file, "int x;").unwrap();
        let first = content_tree(dir.path()).unwrap();
        let mut stat_first = Hasher::new();
        stat_tree(&mut stat_first, dir.path());

        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
        std::fs::File::options().append(true).open(&file).unwrap().set_modified(later).unwrap();
        assert_eq!(content_tree(dir.path()).unwrap(), first);
        let mut stat_second = Hasher::new();
        stat_tree(&mut stat_second, dir.path());
        assert_ne!(stat_first.finish(), stat_second.finish());

        std::fs::write(&file, "int y;").unwrap();
        assert_ne!(content_tree(dir.path()).unwrap(), first);
    }

    #[test]
    fn a_moved_boundary_is_another_tree() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "b").unwrap();
        let one = content_tree(dir.path()).unwrap();
        std::fs::remove_file(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("ab"), "").unwrap();
        assert_ne!(content_tree(dir.path()).unwrap(), one);
    }
}
