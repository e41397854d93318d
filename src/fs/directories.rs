//! What is in directories and in small files, remembered from run to run.
//!
//! A directory whose stat(2) is what it was holds what it held: a name that comes, goes or is another file's changes
//! its times. So does a file, as everywhere in this program. So on a machine with thousands of modules most
//! directories and records need not be read again, only asked for their times. What stat(2) says of other files is
//! not excused by it; nor is what changed within two seconds before it was read, for the clock of files may stand
//! still so long.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::fs::look::{self, Seen};
use crate::fs::root::Root;
use crate::model::blind::Blind;

/// The first words of the file. Of another one nothing is known.
const HEAD: &[u8] = b"dkms-hook directories 1\0";

/// Bytes of the checksum at the end (CRC-32).
const CHECK: usize = 4;

/// How old the last change of something must be for it to be remembered.
const SETTLED: Duration = Duration::from_secs(2);

/// So much that had to be read is worth a file, beside an eighth of what is remembered.
const WORTH: usize = 256;

/// Bytes of a remembered directory in which a name is looked for.
const SHORT: usize = 4 << 10;

/// Files that are larger are not remembered.
const LARGEST: u64 = 64 << 10;

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A directory.
    Dir,
    /// A symbolic link, and where it points, if that was looked at.
    Link(Option<&'a Path>),
    /// Anything else.
    Other,
}

/// The entries of a directory.
#[derive(Debug, Clone)]
pub enum Listing<'m> {
    /// As remembered, by name: a letter for the kind, the name, 0, and for a link its target and 0.
    Known(&'m [u8]),
    /// As listed just now, with the letters for the kinds.
    Listed(Arc<BTreeMap<OsString, u8>>),
}

impl Listing<'_> {
    /// Lists a directory.
    ///
    /// # Errors
    /// When it, or an entry of it, could not be looked at.
    pub fn read(dir: &Path) -> Seen<Self> {
        let Some(entries) = look::entries(dir)? else { return Ok(None) };
        let mut found = BTreeMap::new();
        for entry in entries {
            let kind = entry.file_type().map_err(|error| Blind::os(&entry.path(), &error))?;
            let letter = match kind {
                kind if kind.is_dir() => b'd',
                kind if kind.is_symlink() => b'l',
                _ => b'o',
            };
            found.insert(entry.file_name(), letter);
        }
        Ok(Some(Self::Listed(Arc::new(found))))
    }

    /// The entries, in the order of their names.
    pub fn entries(&self) -> impl Iterator<Item = (&OsStr, Kind<'_>)> {
        let (known, listed) = match self {
            Self::Known(bytes) => (Some(Entries(bytes)), None),
            Self::Listed(listed) => (None, Some(listed.iter())),
        };
        let kind = |letter: u8| match letter {
            b'd' => Kind::Dir,
            b'l' => Kind::Link(None),
            _ => Kind::Other,
        };
        let listed =
            listed.into_iter().flatten().map(move |(name, letter)| (name.as_os_str(), kind(*letter)));
        known.into_iter().flatten().chain(listed)
    }

    /// What there is of a name.
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<Kind<'_>> {
        self.entries().find(|(entry, _)| *entry == name.as_ref()).map(|(_, kind)| kind)
    }

    /// As it is remembered; `None` when a link of it cannot be read.
    fn remembered(&self, dir: &Path) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for (name, kind) in self.entries() {
            let letter = match kind {
                Kind::Dir => b'd',
                Kind::Link(_) => b'l',
                Kind::Other => b'o',
            };
            out.push(letter);
            out.extend(name.as_bytes());
            out.push(0);
            if let Kind::Link(_) = kind {
                out.extend(std::fs::read_link(dir.join(name)).ok()?.as_os_str().as_bytes());
                out.push(0);
            }
        }
        Some(out)
    }
}

/// The entries of a remembered directory.
struct Entries<'m>(&'m [u8]);

impl<'m> Entries<'m> {
    fn word(&mut self) -> Option<&'m [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let (word, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        Some(word)
    }
}

impl<'m> Iterator for Entries<'m> {
    type Item = (&'m OsStr, Kind<'m>);

    fn next(&mut self) -> Option<Self::Item> {
        let (letter, name) = self.word()?.split_first()?;
        let kind = match letter {
            b'd' => Kind::Dir,
            b'l' => Kind::Link(Some(Path::new(OsStr::from_bytes(self.word()?)))),
            _ => Kind::Other,
        };
        Some((OsStr::from_bytes(name), kind))
    }
}

/// What stat(2) says of a directory or of a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look([i64; 8]);

impl Look {
    fn of(meta: &Metadata) -> Self {
        let [dev, ino, size] = [meta.dev(), meta.ino(), meta.size()].map(u64::cast_signed);
        let kind = i64::from(meta.mode() & 0o170_000);
        Self([kind, dev, ino, size, meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()])
    }

    fn is_settled(&self, now: i64) -> bool {
        let newest = self.0[4].max(self.0[6]);
        newest.saturating_add(SETTLED.as_secs().cast_signed()) < now
    }

    fn write(&self, out: &mut Vec<u8>) {
        for number in self.0 {
            out.extend(number.to_le_bytes());
        }
    }

    fn is(&self, bytes: &[u8]) -> bool {
        let (numbers, _) = bytes.as_chunks::<8>();
        numbers.len() == self.0.len()
            && self.0.iter().zip(numbers).all(|(n, bytes)| n.to_le_bytes() == *bytes)
    }
}

/// Bytes of a [`Look`] in the file.
const LOOK: usize = 64;

/// What earlier runs remembered.
#[derive(Debug, Default)]
pub struct Memory {
    bytes: Vec<u8>,
    /// Where in `bytes` each path is, and what is known of it, by path.
    known: Vec<(Range<usize>, Range<usize>)>,
    /// The places in `known`, by digests of paths: quicker than to compare paths that begin alike.
    places: HashMap<u64, usize>,
    /// What was asked for and is not known, or not any more.
    missed: Mutex<BTreeSet<PathBuf>>,
}

impl Memory {
    /// Reads the file. What is not understood is as good as nothing.
    pub fn read(file: &Path) -> Self {
        let bytes = look::read(file).unwrap_or_default().unwrap_or_default();
        let known = index(&bytes).unwrap_or_default();
        let places = known.iter().enumerate().map(|(at, (path, _))| (digest(&bytes[path.clone()]), at));
        let places = places.collect();
        Self { bytes, known, places, missed: Mutex::default() }
    }

    fn find(&self, path: &Path) -> Option<usize> {
        let wanted = path.as_os_str().as_bytes();
        let at = *self.places.get(&digest(wanted))?;
        (self.bytes[self.known[at].0.clone()] == *wanted).then_some(at)
    }

    fn missed(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when so much had to be read that a new file would save the next run more than writing it costs.
    pub fn is_worth_saving(&self) -> bool {
        self.missed().len() > WORTH + self.known.len() / 8
    }

    /// What the file is to hold: what is still so, and what was missed, each read anew.
    pub fn renewed(&self) -> Vec<u8> {
        let missed = self.missed();
        let mut all: BTreeMap<&[u8], Cow<'_, [u8]>> = BTreeMap::new();
        for (path, known) in &self.known {
            let (path, known) = (&self.bytes[path.clone()], &self.bytes[known.clone()]);
            // Some may be of a tree that was copied from elsewhere.
            let now = std::fs::metadata(Path::new(OsStr::from_bytes(path)));
            if now.is_ok_and(|now| Look::of(&now).is(&known[..LOOK])) {
                all.insert(path, Cow::Borrowed(known));
            }
        }
        for path in missed.iter() {
            let bytes = path.as_os_str().as_bytes();
            match remember(path) {
                Some(known) => drop(all.insert(bytes, Cow::Owned(known))),
                None => drop(all.remove(bytes)),
            }
        }
        let mut out = HEAD.to_vec();
        for (path, known) in all {
            for length in [path.len(), known.len()] {
                out.extend((length as u64).to_le_bytes());
            }
            out.extend(path);
            out.extend(&*known);
        }
        let check = check(&out);
        out.extend(check);
        out
    }
}

fn digest(path: &[u8]) -> u64 {
    let mut hash = DefaultHasher::new();
    hash.write(path);
    hash.finish()
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum().to_le_bytes()
}

/// Where in the file each path is, and what is known of it.
fn index(bytes: &[u8]) -> Option<Vec<(Range<usize>, Range<usize>)>> {
    let end = bytes.len().checked_sub(CHECK)?;
    if !bytes.starts_with(HEAD) || check(&bytes[..end]) != bytes[end..] {
        return None;
    }
    let mut found: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    let mut at = HEAD.len();
    while at < end {
        let (lengths, _) = bytes.get(at..end)?.split_at_checked(16)?;
        let (path, known) = lengths.split_at(8);
        let length = |bytes: &[u8]| usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok();
        let path = at + 16..(at + 16).checked_add(length(path)?)?;
        let known = path.end..path.end.checked_add(length(known)?)?;
        at = known.end;
        let after = |(before, _): &(Range<usize>, _)| bytes.get(before.clone()) < bytes.get(path.clone());
        if at > end || known.len() < LOOK || !found.last().is_none_or(after) {
            return None;
        }
        found.push((path, known));
    }
    Some(found)
}

/// What is to be remembered of a directory or a file; `None` when it is not there, changes, or changed a moment ago.
fn remember(path: &Path) -> Option<Vec<u8>> {
    let before = std::fs::metadata(path).ok()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let content = match before.is_dir() {
        true => Listing::read(path).ok()??.remembered(path)?,
        false if before.len() > LARGEST => return None,
        false => look::read(path).ok()??,
    };
    let look = Look::of(&before);
    if Look::of(&std::fs::metadata(path).ok()?) != look || !look.is_settled(now.cast_signed()) {
        return None;
    }
    let mut out = Vec::new();
    look.write(&mut out);
    out.extend(content);
    Some(out)
}

/// Directories and records as one look at the machine finds them: each is looked at once.
#[derive(Debug, Default)]
pub struct Directories<'m> {
    memory: Option<&'m Memory>,
    /// What of the memory is still so: 0 where that was not asked yet, 1 where it is, 2 where it is not.
    holds: Vec<AtomicU8>,
    listed: Mutex<HashMap<OsString, Listing<'m>>>,
    /// Where directories are whose links were followed from inside the root.
    resolved: Mutex<HashMap<OsString, PathBuf>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'m> Directories<'m> {
    /// With what earlier runs remembered.
    pub fn new(memory: &'m Memory) -> Self {
        let holds = memory.known.iter().map(|_| AtomicU8::new(0)).collect();
        Self { memory: Some(memory), holds, ..Self::default() }
    }

    /// What is remembered of a path, if that is still so.
    fn recall(&self, path: &Path, meta: Option<&Metadata>) -> Option<(&'m Memory, &'m [u8])> {
        let memory = self.memory?;
        let at = memory.find(path)?;
        let known = &memory.bytes[memory.known[at].1.clone()];
        let holds = &self.holds[at];
        if holds.load(Ordering::Relaxed) == 0 {
            let is = |meta: &Metadata| Look::of(meta).is(&known[..LOOK]);
            let same = match meta {
                Some(meta) => is(meta),
                None => std::fs::metadata(path).is_ok_and(|meta| is(&meta)),
            };
            holds.store(if same { 1 } else { 2 }, Ordering::Relaxed);
        }
        (holds.load(Ordering::Relaxed) == 1).then(|| (memory, &known[LOOK..]))
    }

    /// What is in a directory, if that need not be listed: links to it are followed.
    pub fn known(&self, dir: &Path) -> Option<Listing<'m>> {
        self.known_by(dir, None)
    }

    /// As [`Self::known`], for one whose stat(2) is at hand.
    pub fn known_by(&self, dir: &Path, meta: Option<&Metadata>) -> Option<Listing<'m>> {
        if let Some((_, known)) = self.recall(dir, meta) {
            return Some(Listing::Known(known));
        }
        locked(&self.listed).get(dir.as_os_str()).cloned()
    }

    /// Something is there and was not known: the next run would be glad to know it.
    pub fn missed(&self, path: &Path) {
        if let Some(memory) = self.memory {
            memory.missed().insert(path.to_path_buf());
        }
    }

    /// What is in a directory.
    ///
    /// # Errors
    /// When it could not be looked at.
    pub fn look(&self, dir: &Path) -> Seen<Listing<'m>> {
        if let Some(known) = self.known(dir) {
            return Ok(Some(known));
        }
        let Some(listing) = Listing::read(dir)? else { return Ok(None) };
        self.missed(dir);
        locked(&self.listed).insert(dir.as_os_str().to_owned(), listing.clone());
        Ok(Some(listing))
    }

    /// The content of a regular file, as [`look::read`].
    ///
    /// # Errors
    /// As [`look::read`].
    pub fn read(&self, file: &Path) -> Seen<Cow<'m, [u8]>> {
        if let Some((_, known)) = self.recall(file, None) {
            return Ok(Some(Cow::Borrowed(known)));
        }
        let read = look::read(file)?;
        if read.is_some() {
            self.missed(file);
        }
        Ok(read.map(Cow::Owned))
    }

    /// As [`Root::look_for_dir`].
    ///
    /// # Errors
    /// When it could not be looked at.
    pub fn look_for_dir(&self, root: &Root, inside: &Path) -> Result<bool, Blind> {
        if root.is_slash() {
            return root.look_for_dir(inside);
        }
        let is_dir = |path: &Path| Ok(look::metadata(path)?.is_some_and(|meta| meta.is_dir()));
        match self.resolve(root, inside) {
            Ok(path) => {
                if self.known(&path).is_some() {
                    Ok(true)
                } else {
                    is_dir(&path)
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Blind::os(&root.path(inside), &error)),
        }
    }

    /// As [`Root::resolve`]; of many paths in one directory, that is followed once.
    ///
    /// # Errors
    /// As [`Root::resolve`].
    pub fn resolve(&self, root: &Root, inside: &Path) -> std::io::Result<PathBuf> {
        if let Some(found) = locked(&self.resolved).get(inside.as_os_str()) {
            return Ok(found.clone());
        }
        let found = self.resolve_anew(root, inside)?;
        Ok(locked(&self.resolved).entry(inside.as_os_str().to_owned()).or_insert(found).clone())
    }

    fn resolve_anew(&self, root: &Root, inside: &Path) -> std::io::Result<PathBuf> {
        let (Some(parent), Some(name)) = (inside.parent(), inside.file_name()) else {
            return root.resolve(inside);
        };
        let dir = self.resolve(root, parent)?;
        let path = dir.join(name);
        // In a long one it would be looked for longer than the system takes.
        let short = |listing: &Listing<'_>| !matches!(listing, Listing::Known(bytes) if bytes.len() > SHORT);
        let kind = self.known(&dir).filter(short);
        let kind = kind.as_ref().and_then(|listing| listing.get(name));
        // A link to an absolute path, as to a source, is followed in the same way, once.
        let leads_to = match kind {
            Some(Kind::Dir) => return Ok(path),
            Some(Kind::Link(Some(target))) => target.to_path_buf(),
            _ if !std::fs::symlink_metadata(&path)?.is_symlink() => return Ok(path),
            _ => std::fs::read_link(&path)?,
        };
        let plain =
            || leads_to.components().skip(1).all(|part| matches!(part, std::path::Component::Normal(_)));
        let (Some(parent), Some(name)) =
            (leads_to.parent().filter(|_| leads_to.is_absolute()), leads_to.file_name())
        else {
            return root.resolve(inside);
        };
        if !plain() {
            return root.resolve(inside);
        }
        let known = locked(&self.resolved).get(parent.as_os_str()).cloned();
        let dir = match known {
            Some(dir) => dir,
            None => {
                let dir = root.resolve(parent)?;
                locked(&self.resolved).entry(parent.as_os_str().to_owned()).or_insert(dir).clone()
            }
        };
        let target = dir.join(name);
        let meta = std::fs::symlink_metadata(&target)?;
        if meta.is_symlink() {
            return root.resolve(inside);
        }
        // It need not be asked once more.
        self.known_by(&target, Some(&meta));
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory that changed long ago, with a file, a directory and a link in it.
    fn directory(at: &Path) {
        std::fs::create_dir_all(at.join("dir")).unwrap();
        std::fs::write(at.join("file"), "").unwrap();
        symlink("../elsewhere", at.join("link")).unwrap();
    }

    /// The memory with what was missed, as if all of it had been settled.
    fn saved(memory: &Memory, file: &Path) -> Memory {
        std::thread::sleep(SETTLED + Duration::from_secs(1));
        std::fs::write(file, memory.renewed()).unwrap();
        Memory::read(file)
    }

    #[test]
    fn what_did_not_change_is_known_and_what_did_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        let (at, file) = (dir.path().join("at"), dir.path().join("memory"));
        directory(&at);
        let memory = Memory::read(&file);
        let listed = Directories::new(&memory).look(&at).unwrap().unwrap();
        assert_eq!(listed.get("link"), Some(Kind::Link(None)));
        std::fs::write(&file, memory.renewed()).unwrap();
        assert!(Memory::read(&file).known.is_empty(), "it changed a moment ago");

        let memory = saved(&memory, &file);
        let known = Directories::new(&memory).known(&at).unwrap();
        let names: Vec<_> = known.entries().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["dir", "file", "link"]);
        assert_eq!(known.get("dir"), Some(Kind::Dir));
        assert_eq!(known.get("link"), Some(Kind::Link(Some(Path::new("../elsewhere")))));
        assert!(memory.missed().is_empty());

        // Each of these changes the directory, and nothing else does.
        let changes: [&dyn Fn(); 4] = [
            &|| std::fs::write(at.join("new"), "").unwrap(),
            &|| std::fs::rename(at.join("new"), at.join("file")).unwrap(),
            &|| {
                std::fs::remove_file(at.join("link")).unwrap();
                symlink("nowhere", at.join("link")).unwrap();
            },
            &|| {
                std::fs::rename(&at, dir.path().join("old")).unwrap();
                directory(&at);
            },
        ];
        let mut memory = memory;
        for change in changes {
            assert!(Directories::new(&memory).known(&at).is_some());
            change();
            assert!(Directories::new(&memory).known(&at).is_none() && memory.missed().is_empty());
            assert!(Directories::new(&memory).look(&at).unwrap().is_some());
            assert_eq!(memory.missed().len(), 1);
            memory = saved(&memory, &file);
        }
        std::fs::write(at.join("file"), "another content").unwrap();
        assert!(Directories::new(&memory).known(&at).is_some());
        std::fs::remove_dir_all(&at).unwrap();
        assert!(Directories::new(&memory).look(&at).unwrap().is_none());
    }

    #[test]
    fn a_file_is_read_again_when_it_changed() {
        let dir = tempfile::tempdir().unwrap();
        let (record, file) = (dir.path().join("record"), dir.path().join("memory"));
        let read = |memory: &Memory| Directories::new(memory).read(&record).unwrap().map(Cow::into_owned);
        let mut memory = Memory::read(&file);
        assert_eq!(read(&memory), None);
        assert!(memory.missed().is_empty(), "what is not there is nothing to remember");
        // In its place, by a rename, and gone; the second is as long as the first.
        let changes: [(&dyn Fn(), Option<&str>); 4] = [
            (&|| std::fs::write(&record, "one").unwrap(), Some("one")),
            (&|| std::fs::write(&record, "two").unwrap(), Some("two")),
            (
                &|| {
                    std::fs::write(dir.path().join("other"), "six").unwrap();
                    std::fs::rename(dir.path().join("other"), &record).unwrap();
                },
                Some("six"),
            ),
            (&|| std::fs::remove_file(&record).unwrap(), None),
        ];
        for (change, expected) in changes {
            change();
            assert_eq!(read(&memory).as_deref(), expected.map(str::as_bytes));
            memory = saved(&memory, &file);
            assert_eq!(read(&memory).as_deref(), expected.map(str::as_bytes));
            assert!(memory.missed().is_empty());
        }
    }

    /// Every way to a directory leads where the plain way does.
    #[test]
    fn links_are_followed_as_from_inside_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path().canonicalize().unwrap());
        let link = |target: &str, inside: &str| symlink(target, root.path(inside)).unwrap();
        for inside in ["/usr/src/m-1", "/usr/src/deep/er", "/tree/m/1", "/tree/m/2", "/elsewhere"] {
            std::fs::create_dir_all(root.path(inside)).unwrap();
        }
        link("/usr/src/m-1", "/tree/m/1/source");
        link("../../../usr/src/m-1", "/tree/m/2/source");
        link("/usr/src/deep/../m-1", "/tree/m/1/around");
        link("/sources/m-1", "/tree/m/1/by-a-link");
        link("/usr/src", "/sources");
        link("/usr/src/m-2", "/tree/m/1/nowhere");
        link("/usr/src/link", "/tree/m/1/twice");
        link("m-1", "/usr/src/link");
        link("/loop", "/loop");
        link("/below/itself", "/below");
        let dirs = Directories::default();
        for name in ["1/source", "2/source", "1/around", "1/by-a-link", "1/nowhere", "1/twice", "1", "3"] {
            let inside = PathBuf::from("/tree/m").join(name);
            let plain = root.resolve(&inside);
            for _ in 0..2 {
                let found = dirs.resolve(&root, &inside);
                assert_eq!(found.as_ref().ok(), plain.as_ref().ok(), "{name}");
                let plain = root.look_for_dir(&inside);
                assert_eq!(dirs.look_for_dir(&root, &inside), plain, "{name}");
            }
        }
        assert!(dirs.resolve(&root, Path::new("/below")).is_err());
        assert!(dirs.resolve(&root, Path::new("/loop")).is_err());
        assert!(dirs.resolve(&root, Path::new("/loop/deep")).is_err());
    }

    #[test]
    fn a_damaged_file_is_no_memory() {
        let dir = tempfile::tempdir().unwrap();
        let (at, file) = (dir.path().join("at"), dir.path().join("memory"));
        directory(&at);
        let memory = Memory::read(&file);
        assert!(Directories::new(&memory).look(&at).unwrap().is_some());
        let memory = saved(&memory, &file);
        assert_eq!(memory.known.len(), 1);
        let whole = std::fs::read(&file).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&file, &whole[..length]).unwrap();
            assert!(Memory::read(&file).known.is_empty(), "cut off at {length}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            std::fs::write(&file, &bytes).unwrap();
            assert!(Memory::read(&file).known.is_empty(), "another byte at {at}");
        }
    }
}
