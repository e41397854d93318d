//! Builds that can be had again without building: `T/.dkms-hook/cache`.
//!
//! A build is found by a digest over everything that it is made from ([`Key`]). What is found is the cell's
//! directory as it was after POST_BUILD, with its modules stripped, signed and compressed; our own record is not
//! part of it. It is copied, never linked, so that nobody who edits an installed file edits the cache; where the
//! file system can, the copies share their blocks. Each file's digest is compared before it counts.
//!
//! The cache belongs to one root. It is bounded: what was used longest ago goes first.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use walkdir::WalkDir;

use crate::fs::copy::remove_tree;
use crate::fs::{regular, temporary};
use crate::model::ids::Cell;
use crate::tree::layout::Layout;

mod entry;
mod key;
mod surroundings;

pub use entry::Entry;
pub use key::Key;
pub use surroundings::{Surroundings, surroundings};

/// The file that describes an entry.
const DESCRIPTION: &str = "entry";

/// The directory with its files.
const FILES: &str = "files";

/// The cache of a root.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
    /// Bytes that it may take.
    most: u64,
}

impl Cache {
    /// The cache of this root; `None` where it is switched off.
    pub fn of(layout: &Layout, most: u64) -> Option<Self> {
        (most > 0).then(|| Self { dir: layout.build_cache(), most })
    }

    /// Whether there is any build of this cell: cheap, and no reason to compute a key if not.
    pub fn may_have(&self, cell: &Cell) -> bool {
        self.place(cell).is_dir()
    }

    /// Whether this build is there.
    pub fn has(&self, cell: &Cell, key: &Key) -> bool {
        self.entry(cell, key).join(DESCRIPTION).is_file()
    }

    /// Copies a build into this directory. `None` where there is none, or a damaged one, which is removed; the
    /// directory may have a part of it then.
    pub fn take(&self, cell: &Cell, key: &Key, to: &Path) -> Option<Entry> {
        let dir = self.entry(cell, key);
        if !self.has(cell, key) {
            return None;
        }
        match entry::read(&dir, to) {
            Ok(entry) => {
                let used = regular::open(&dir.join(DESCRIPTION));
                // What cannot be marked as used goes sooner.
                let _ = used.and_then(|file| file.set_modified(SystemTime::now()));
                Some(entry)
            }
            Err(error) => {
                log::warn!("{}: {error}; it is removed", dir.display());
                self.remove(&dir);
                None
            }
        }
    }

    /// Keeps the build in this directory, without the files of these names at its top, and lets go of what was used
    /// longest ago where there is not enough room. An older one with this key is replaced.
    ///
    /// # Errors
    /// When it cannot be written: nothing of it is there then.
    pub fn store(
        &self,
        cell: &Cell,
        key: &Key,
        from: &Path,
        without: &[&str],
        entry: &Entry,
    ) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let most = self.room();
        if size(from) > most {
            self.make_room(most);
            return Err(io::Error::other(format!("larger than the {most} bytes that the cache may take")));
        }
        let staging = temporary::Dir::new(&self.dir, ".tmp-")?;
        entry::write(staging.path(), from, without, entry)?;
        let place = self.entry(cell, key);
        self.remove(&place);
        fs::create_dir_all(self.place(cell))?;
        fs::rename(staging.path(), &place)?;
        self.make_room(most);
        Ok(())
    }

    /// Bytes that it may take: as set, and never more than a tenth of what it could have.
    fn room(&self) -> u64 {
        let Ok(disk) = nix::sys::statvfs::statvfs(&self.dir) else { return 0 };
        let free = disk.blocks_available().saturating_mul(disk.fragment_size());
        self.most.min((free + size(&self.dir)) / 10)
    }

    fn make_room(&self, most: u64) {
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = self.entries();
        entries.sort();
        let mut total: u64 = entries.iter().map(|(_, size, _)| size).sum();
        for (_, size, dir) in entries {
            if total <= most {
                break;
            }
            self.remove(&dir);
            total -= size;
        }
    }

    /// When each was used last, its size, its directory.
    fn entries(&self) -> Vec<(SystemTime, u64, PathBuf)> {
        let described = WalkDir::new(&self.dir).min_depth(5).max_depth(5).into_iter().flatten();
        let described = described.filter(|found| found.file_name() == DESCRIPTION);
        described
            .filter_map(|found| {
                let used = found.metadata().ok()?.modified().ok()?;
                let dir = found.path().parent()?.to_path_buf();
                Some((used, size(&dir), dir))
            })
            .collect()
    }

    /// Removes an entry, and the directories that only it was in.
    fn remove(&self, dir: &Path) {
        if let Err(error) = remove_tree(dir) {
            log::info!("{}: {error}", dir.display());
        }
        for parent in dir.ancestors().skip(1).take_while(|parent| *parent != self.dir) {
            // rmdir(2) refuses directories that are not empty.
            if fs::remove_dir(parent).is_err() {
                break;
            }
        }
    }

    fn place(&self, Cell { module, kernel, arch }: &Cell) -> PathBuf {
        self.dir.join(&module.name).join(&module.version).join(format!("{kernel}-{arch}"))
    }

    fn entry(&self, cell: &Cell, key: &Key) -> PathBuf {
        self.place(cell).join(key.as_str())
    }
}

/// Bytes of all files below a directory.
fn size(dir: &Path) -> u64 {
    let files = WalkDir::new(dir).into_iter().flatten().filter_map(|found| found.metadata().ok());
    files.filter(|meta| meta.is_file()).map(|meta| meta.len()).sum()
}

#[cfg(test)]
mod tests;
