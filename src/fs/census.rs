//! Which files are below a directory, and which of them changed since.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::fs::stamp;

/// What lstat(2) says of everything below a directory, by path: of directories only the mode. Version control
/// is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census(BTreeMap<String, [i64; 7]>);

/// How a file differs between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// It was not there before.
    New,
    /// It was, and is another one now or gone.
    Other,
}

impl Census {
    /// Looks at a directory. What cannot be looked at is missing.
    pub fn of(dir: &Path) -> Self {
        let entries = stamp::walk(dir).flatten().filter_map(|entry| {
            let meta = entry.metadata().ok()?;
            let name = stamp::relative(&entry, dir).to_string_lossy().into_owned();
            let mode = i64::from(meta.mode());
            if meta.is_dir() {
                return Some((name, [mode, 0, 0, 0, 0, 0, 0]));
            }
            let [size, inode] = [meta.size(), meta.ino()].map(|n| n as i64);
            let times = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
            Some((name, [mode, size, inode, times[0], times[1], times[2], times[3]]))
        });
        Self(entries.collect())
    }

    /// What differs from what was there in `before`.
    pub fn since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = (&'a str, Difference)> {
        let here = self.0.iter().filter_map(|(name, now)| match before.0.get(name) {
            Some(then) if then == now => None,
            Some(_) => Some((name.as_str(), Difference::Other)),
            None => Some((name.as_str(), Difference::New)),
        });
        let gone = before.0.keys().filter(|name| !self.0.contains_key(*name));
        here.chain(gone.map(|name| (name.as_str(), Difference::Other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_changed_and_missing_files_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        assert_eq!(Census::of(&dir.path().join("missing")), Census::default());
        write("a", "1");
        write("b", "1");
        write("sub/c", "1");
        let before = Census::of(dir.path());
        assert_eq!(Census::of(dir.path()), before);
        write("a", "12");
        write("new/d", "1");
        write(".git/index", "1");
        std::fs::remove_file(dir.path().join("sub/c")).unwrap();
        let after = Census::of(dir.path());
        let mut found: Vec<_> = after.since(&before).collect();
        found.sort_by_key(|(name, _)| *name);
        let expected = [
            ("a", Difference::Other),
            ("new", Difference::New),
            ("new/d", Difference::New),
            ("sub/c", Difference::Other),
        ];
        assert_eq!(found, expected);
    }
}
