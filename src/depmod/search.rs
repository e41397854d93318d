//! Which files are modules, and which of several of one name counts.

use std::collections::HashMap;
use std::fs::{DirEntry, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::config::{Config, Search};
use super::kmod::Kmod;
use super::names;
use super::odd::{Odd, odd};
use crate::fs::look;

/// Directories of every kernel that are no part of it: headers and sources.
const NOT_MODULES: [&[u8]; 2] = [b"build", b"source"];

/// How deep directories may lie in each other. A link can make them endless.
const DEEPEST: usize = 24;

/// What stat(2) says of a file: while it is the same, so is the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    /// When its content changed, in nanoseconds since the epoch.
    pub(super) modified: i64,
    /// When it or what stat(2) says of it changed.
    pub(super) changed: i64,
    pub(super) inode: u64,
}

impl Stamp {
    pub(super) fn of(meta: &Metadata) -> Self {
        let changed = meta.ctime().saturating_mul(1_000_000_000).saturating_add(meta.ctime_nsec());
        Self { size: meta.size(), modified: look::mtime(meta), changed, inode: meta.ino() }
    }

    pub(super) fn words(self) -> [u64; 4] {
        [self.size, self.modified.cast_unsigned(), self.changed.cast_unsigned(), self.inode]
    }

    pub(super) fn from_words([size, modified, changed, inode]: [u64; 4]) -> Self {
        Self { size, modified: modified.cast_signed(), changed: changed.cast_signed(), inode }
    }
}

/// A file that is a module by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Below the kernel's directory.
    pub(super) path: Vec<u8>,
    pub(super) stamp: Stamp,
}

/// The files below a kernel's directory that this kmod takes for modules, in the order in which it reads them:
/// that of the file system.
///
/// # Errors
/// When something could not be looked at, or is a link that leads nowhere.
pub(super) fn files(dir: &Path, config: &Config, kmod: Kmod) -> Result<Vec<Candidate>, Odd> {
    let suffixes: &[(&[u8], bool)] =
        &[(b".ko", true), (b".ko.xz", kmod.xz), (b".ko.zst", kmod.zstd), (b".ko.gz", kmod.gzip)];
    let suffixes = suffixes.iter().filter(|(_, read)| *read).map(|(suffix, _)| *suffix).collect();
    let mut walk = Walk { config, suffixes, found: Vec::new() };
    walk.look_into(dir, &mut Vec::new(), 0)?;
    Ok(walk.found)
}

struct Walk<'a> {
    config: &'a Config,
    suffixes: Vec<&'static [u8]>,
    found: Vec<Candidate>,
}

impl Walk<'_> {
    /// Looks into a directory; `inside` is its path below the kernel's, with a slash at its end.
    fn look_into(&mut self, dir: &Path, inside: &mut Vec<u8>, depth: usize) -> Result<(), Odd> {
        let doing = |error: std::io::Error| odd(error.to_string()).of(dir.display());
        if depth > DEEPEST {
            return Err(odd("it lies too deep").of(dir.display()));
        }
        for entry in std::fs::read_dir(dir).map_err(doing)? {
            let entry = entry.map_err(doing)?;
            let name = entry.file_name();
            let name = name.as_encoded_bytes();
            let kind = entry.file_type().map_err(doing)?;
            let left_out = NOT_MODULES.contains(&name) || self.config.excluded.iter().any(|dir| dir == name);
            let is_module = self.suffixes.iter().any(|suffix| name.ends_with(suffix));
            if left_out || kind.is_file() && !is_module {
                continue;
            }
            let meta =
                if kind.is_dir() { None } else { Some(followed(&entry, kind.is_symlink(), is_module)?) };
            let length = inside.len();
            inside.extend(name);
            match meta.flatten() {
                Some(meta) if meta.is_file() => {
                    if is_module {
                        self.found.push(Candidate { path: inside.clone(), stamp: Stamp::of(&meta) });
                    }
                }
                Some(meta) if !meta.is_dir() => {
                    if is_module {
                        return Err(odd("it is no file").of(entry.path().display()));
                    }
                }
                None if !kind.is_dir() => {}
                _ => {
                    inside.push(b'/');
                    self.look_into(&entry.path(), inside, depth + 1)?;
                }
            }
            inside.truncate(length);
        }
        Ok(())
    }
}

/// What is at an entry, or where it leads; `None` for a link that leads nowhere and would be no module.
fn followed(entry: &DirEntry, link: bool, is_module: bool) -> Result<Option<Metadata>, Odd> {
    let meta = if link { std::fs::metadata(entry.path()) } else { entry.metadata() };
    match meta {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if !is_module && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(odd(error.to_string()).of(entry.path().display())),
    }
}

/// Of files that were read in this order, those that count: one of each name of a module. What is returned are
/// places in the list.
pub(super) fn choose(files: &[Candidate], config: &Config) -> Vec<usize> {
    let mut chosen: HashMap<Vec<u8>, usize> = HashMap::new();
    for (at, file) in files.iter().enumerate() {
        let held = chosen.entry(names::name(&file.path)).or_insert(at);
        if *held != at && wins(&file.path, &files[*held].path, config) {
            *held = at;
        }
    }
    let mut chosen: Vec<usize> = chosen.into_values().collect();
    chosen.sort_unstable();
    chosen
}

impl Config {
    /// Whether the first of two files of one name is the one that counts, whichever of them is read first. Their paths
    /// are below the kernel's directory.
    pub fn prefers(&self, one: &Path, other: &Path) -> bool {
        let [one, other] = [one, other].map(|path| path.as_os_str().as_encoded_bytes());
        wins(one, other, self) && !wins(other, one, self)
    }
}

/// Whether a file wins over one that was read before it.
fn wins(new: &[u8], old: &[u8], config: &Config) -> bool {
    for file in config.overrides.iter().rev() {
        if *file == stem(new) {
            return true;
        }
        if *file == stem(old) {
            return false;
        }
    }
    // The first word of a search line has the highest rank.
    let ranks = config.search.iter().rev().zip(1..);
    let (mut of_new, mut of_old, mut of_rest) = (0, 0, 0);
    for (word, rank) in ranks {
        match word {
            Search::Rest => of_rest = rank,
            Search::Below(dir) if below(new, dir) => of_new = rank,
            // Only where the new one is not there as well: so the new one wins within a directory.
            Search::Below(dir) if below(old, dir) => of_old = rank,
            Search::Below(_) => {}
        }
    }
    let or_rest = |rank: i32| if rank == 0 { of_rest } else { rank };
    or_rest(of_new) > or_rest(of_old)
}

fn below(path: &[u8], dir: &[u8]) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/"))
}

/// Directory and name of a module file, without what follows the first dot.
fn stem(path: &[u8]) -> &[u8] {
    let name = names::file(path);
    let stem = name.split(|&byte| byte == b'.').next().unwrap_or_default();
    &path[..path.len() - name.len() + stem.len()]
}
