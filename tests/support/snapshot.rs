//! Everything below a directory, to be compared with what is there later.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::toy_kernel::FakeRoot;

/// Names, modes, modification times and contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    mode: u32,
    /// Nanoseconds since the epoch.
    mtime: i128,
    content: Vec<u8>,
}

impl Snapshot {
    /// Takes one of a directory, without what the tests' own tools write into `var/log`, and without the cache of
    /// builds, which may have gone or be there at any time.
    pub fn of(dir: &Path) -> Self {
        let walk = walkdir::WalkDir::new(dir).into_iter();
        let entries = walk.filter_entry(is_state).map(|entry| {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            let content = match entry.file_type() {
                t if t.is_symlink() => {
                    let target = std::fs::read_link(entry.path()).unwrap();
                    target.into_os_string().into_encoded_bytes()
                }
                t if t.is_file() => std::fs::read(entry.path()).unwrap(),
                _ => Vec::new(),
            };
            let mtime = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
            let name = entry.path().strip_prefix(dir).unwrap().display().to_string();
            (name, Entry { mode: meta.mode(), mtime, content })
        });
        Self(entries.collect())
    }

    /// What differs: `+ name` for new, `- name` for gone, `~ name` for changed, `t name` where only
    /// the time of a file is another. Times of directories count for nothing here: whatever
    /// changes them is listed itself, or was made and removed again.
    pub fn changes(&self, after: &Self) -> Vec<String> {
        let mut out = Vec::new();
        for (name, old) in &self.0 {
            match after.0.get(name) {
                None => out.push(format!("- {name}")),
                Some(new) if new.content != old.content || new.mode != old.mode => {
                    out.push(format!("~ {name}"));
                }
                Some(new) if new.mtime != old.mtime && !new.is_dir() => out.push(format!("t {name}")),
                Some(_) => {}
            }
        }
        out.extend(after.0.keys().filter(|n| !self.0.contains_key(*n)).map(|n| format!("+ {n}")));
        out.sort();
        out
    }

    /// Names without times: what two runs of the same history have in common.
    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

fn is_state(entry: &walkdir::DirEntry) -> bool {
    !entry.path().ends_with("var/log") && !entry.path().ends_with(".dkms-hook/cache")
}

impl Entry {
    fn is_dir(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }
}

impl FakeRoot {
    /// Everything in the root.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(self.layout.root.dir())
    }

    /// Everything below a directory of the root.
    pub fn snapshot_of(&self, inside: impl AsRef<Path>) -> Snapshot {
        Snapshot::of(&self.path(inside))
    }

    /// Fails the test unless every file, and the time of every directory, is as in `before`.
    #[track_caller]
    pub fn assert_untouched(&self, before: &Snapshot) {
        let after = self.snapshot();
        assert_eq!(before.changes(&after), Vec::<String>::new());
        assert!(*before == after, "a directory was written to");
    }
}
