//! The directory that an archive is unpacked into: what of its members is written there, and what is refused.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::io::{self, Read};
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use tar::{EntryType, Header};

use super::{UnpackError, Wanted};
use crate::archive::extra::Extra;

/// The most links in an archive; they are remembered until the end.
const MOST_LINKS: usize = 100_000;

/// A member of an archive, whatever kind of archive it is.
pub(super) struct Member<'a> {
    /// Its name as the archive has it.
    pub name: &'a [u8],
    pub what: What<'a>,
    /// Its permissions.
    pub mode: u32,
    /// When it was changed, in seconds since 1970.
    pub seconds: i64,
}

/// What a member is.
pub(super) enum What<'a> {
    File,
    Directory,
    /// A symbolic link, with its target.
    Link(&'a [u8]),
    /// Another name of the member with this name.
    HardLink(&'a [u8]),
    /// A device, a pipe, or what nobody knows.
    Other,
}

/// The directory that is filled.
pub(super) struct Place<'a> {
    into: &'a Path,
    latest: SystemTime,
    wanted: &'a Wanted<'a>,
    /// Links to be made at the end, with their targets.
    links: BTreeMap<PathBuf, PathBuf>,
    /// Directories with their times, which are set at the end: until then files go into them.
    dirs: Vec<(PathBuf, SystemTime)>,
    /// Directories that were made here, or are known to be no links: an archive that was unpacked here before
    /// may have left some.
    real: HashSet<PathBuf>,
}

/// A time by its seconds since 1970, or before; as far away as one can be meant.
fn moment(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs().min(1 << 40));
    let moment = match seconds < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(distance),
        false => SystemTime::UNIX_EPOCH.checked_add(distance),
    };
    moment.unwrap_or(SystemTime::UNIX_EPOCH)
}

impl<'a> Place<'a> {
    pub(super) fn new(into: &'a Path, latest: SystemTime, wanted: &'a Wanted<'a>) -> Self {
        let real = HashSet::from([PathBuf::new()]);
        Self { into, latest, wanted, links: BTreeMap::new(), dirs: Vec::new(), real }
    }

    /// Takes a member of a tar archive.
    pub(super) fn put(
        &mut self,
        header: &Header,
        extra: Extra,
        data: &mut impl Read,
    ) -> Result<(), UnpackError> {
        let (sparse, size, time) = (extra.sparse, extra.size, extra.time);
        let (name, link) = extra.names(header);
        if !self.wants(&name)? {
            return Ok(());
        }
        if sparse || header.entry_type() == EntryType::GNUSparse {
            return Err(refuse(&name, "is a sparse file; pack the archive without --sparse"));
        }
        if size.is_some_and(|size| header.entry_size().ok() != Some(size)) {
            return Err(refuse(&name, "is larger than 8 GiB"));
        }
        let what = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous => What::File,
            EntryType::Directory => What::Directory,
            EntryType::Symlink => What::Link(&link),
            EntryType::Link => What::HardLink(&link),
            _ => What::Other,
        };
        // GNU tar writes a time before 1970 as a negative number of 64 bits, which the crate gives without sign.
        let seconds = time.unwrap_or_else(|| header.mtime().unwrap_or(0).cast_signed());
        let mode = header.mode().unwrap_or(0o644);
        self.take(&Member { name: &name, what, mode, seconds }, data)
    }

    /// Whether a member of this name is to be unpacked.
    ///
    /// # Errors
    /// When a member of this name must not be in any archive.
    pub(super) fn wants(&self, name: &[u8]) -> Result<bool, UnpackError> {
        let path = inside(name).map_err(|why| refuse(name, why))?;
        Ok(!path.as_os_str().is_empty() && (self.wanted)(&path))
    }

    /// Writes a member that is wanted.
    pub(super) fn take(&mut self, member: &Member<'_>, data: &mut impl Read) -> Result<(), UnpackError> {
        let refuse = |why: &str| refuse(member.name, why);
        let path = inside(member.name).map_err(&refuse)?;
        if path.ancestors().skip(1).any(|dir| self.links.contains_key(dir)) {
            return Err(refuse("is behind a link"));
        }
        let time = moment(member.seconds).min(self.latest);
        match member.what {
            What::File => {
                self.links.remove(&path);
                self.file(&path, member.mode, time, data)
            }
            What::Directory if self.links.contains_key(&path) => Err(refuse("appears twice")),
            What::Directory => {
                self.directory(&path)?;
                self.dirs.push((path, time));
                Ok(())
            }
            What::Link([]) => Err(refuse("is a link to nothing")),
            What::Link(_) if self.links.len() == MOST_LINKS => Err(refuse("exceeds the number of links")),
            What::Link(target) => {
                if fs::symlink_metadata(self.into.join(&path)).is_ok_and(|there| there.is_dir()) {
                    return Err(refuse("appears twice"));
                }
                // It would be made before those, which would then be made behind it.
                let below = (Bound::Excluded(path.as_path()), Bound::Unbounded);
                if self.links.range::<Path, _>(below).next().is_some_and(|(link, _)| link.starts_with(&path))
                {
                    return Err(refuse("is a link, and another lies behind it"));
                }
                self.links.insert(path, PathBuf::from(OsStr::from_bytes(target)));
                Ok(())
            }
            What::HardLink(target) => {
                let target = inside(target)
                    .map_err(|why| refuse(&format!("is a hard link to a member that {why}")))?;
                self.hard_link(&path, &target, &refuse)
            }
            What::Other => Err(refuse("is not a file, directory or link")),
        }
    }

    /// Makes a directory with all above it. None of them is a link.
    fn directory(&mut self, path: &Path) -> Result<(), UnpackError> {
        if self.real.contains(path) {
            return Ok(());
        }
        let mut at = PathBuf::new();
        for part in path.components() {
            at.push(part);
            if self.real.contains(&at) {
                continue;
            }
            let here = self.into.join(&at);
            match fs::create_dir(&here) {
                Err(error) if !fs::symlink_metadata(&here).is_ok_and(|there| there.is_dir()) => {
                    return Err(writing(&here)(error));
                }
                _ => drop(self.real.insert(at.clone())),
            }
        }
        Ok(())
    }

    /// Makes room for a file: its directory is there, and nothing of its name.
    fn room(&mut self, path: &Path) -> Result<PathBuf, UnpackError> {
        self.directory(path.parent().unwrap_or(Path::new("")))?;
        let real = self.into.join(path);
        match fs::remove_file(&real) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(writing(&real)(error)),
            _ => Ok(real),
        }
    }

    fn file(
        &mut self,
        path: &Path,
        mode: u32,
        time: SystemTime,
        data: &mut impl Read,
    ) -> Result<(), UnpackError> {
        let real = self.room(path)?;
        let mut file = File::create_new(&real).map_err(writing(&real))?;
        copy(data, &mut file, &real)?;
        let mode = mode & 0o755 | 0o600;
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(writing(&real))?;
        file.set_times(FileTimes::new().set_modified(time)).map_err(writing(&real))
    }

    fn hard_link(
        &mut self,
        path: &Path,
        target: &Path,
        refuse: &dyn Fn(&str) -> UnpackError,
    ) -> Result<(), UnpackError> {
        // Only to a file that came before it, in a directory that is none of somebody's links: no link of this
        // archive exists yet, so this is a file of the archive.
        let beside = target.parent().is_some_and(|dir| self.real.contains(dir));
        let file = fs::symlink_metadata(self.into.join(target)).is_ok_and(|meta| meta.is_file());
        if path == target || !beside || !file {
            return Err(refuse("is a hard link to a file that is not in the archive"));
        }
        self.links.remove(path);
        let real = self.room(path)?;
        fs::hard_link(self.into.join(target), &real).map_err(writing(&real))
    }

    pub(super) fn finish(mut self) -> Result<(), UnpackError> {
        for (path, target) in std::mem::take(&mut self.links) {
            let real = self.room(&path)?;
            std::os::unix::fs::symlink(target, &real).map_err(writing(&real))?;
        }
        for dir in self.real.iter().filter(|dir| !dir.as_os_str().is_empty()) {
            let real = self.into.join(dir);
            fs::set_permissions(&real, fs::Permissions::from_mode(0o755)).map_err(writing(&real))?;
        }
        for (path, time) in self.dirs.iter().rev() {
            let real = self.into.join(path);
            let dated = File::open(&real).and_then(|dir| dir.set_modified(*time));
            dated.map_err(writing(&real))?;
        }
        Ok(())
    }
}

pub(super) fn writing(path: &Path) -> impl FnOnce(io::Error) -> UnpackError + '_ {
    move |source| UnpackError::Write { path: path.to_path_buf(), source }
}

fn refuse(name: &[u8], why: &str) -> UnpackError {
    UnpackError::Unsafe { name: String::from_utf8_lossy(name).into_owned(), why: why.to_owned() }
}

fn copy(data: &mut impl Read, file: &mut File, path: &Path) -> Result<(), UnpackError> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match data.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => io::Write::write_all(file, &buffer[..n]).map_err(writing(path))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(UnpackError::Damaged(error.to_string())),
        }
    }
}

/// A member's name as a path below the directory that is filled.
fn inside(name: &[u8]) -> Result<PathBuf, &'static str> {
    if name.contains(&0) {
        return Err("has a name with a NUL byte");
    }
    let mut out = PathBuf::new();
    for part in Path::new(OsStr::from_bytes(name)).components() {
        match part {
            Component::Normal(part) => out.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err("leads out of its directory (..)"),
            Component::RootDir | Component::Prefix(_) => return Err("has an absolute name"),
        }
    }
    Ok(out)
}
