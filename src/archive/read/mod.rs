//! Unpacking an archive that nobody vouches for.
//!
//! Nothing is written outside the directory that is given: names with `..` or a leading `/` are
//! refused, and no link exists while files are written, because links are made last. Devices, pipes
//! and whatever else is neither file, directory nor link are refused. Files belong to who unpacks;
//! bits that give others power (write permission, set-uid) are taken away.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::io::{self, Read};
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use tar::{EntryType, Header};

use super::extra::Extra;
use super::format::open;
use super::list::{LARGEST, Limited, MOST_MEMBERS};
use super::write::stays_inside;
use crate::process::ProcessError;

/// The most links in an archive; they are remembered until the end.
const MOST_LINKS: usize = 100_000;

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The program for its compression cannot be run, or the file not be read.
    #[error("{0}")]
    NotOpened(#[from] ProcessError),
    /// It does not begin like an archive.
    #[error("it is not a tar archive")]
    NotAnArchive,
    /// It ends early, or its content makes no sense.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// A member could do harm, or is of a kind that module sources never have.
    #[error("its member {name} {why}")]
    Unsafe {
        /// The member's name.
        name: String,
        /// What is wrong with it, in words that follow the name.
        why: String,
    },
    /// A file cannot be written here.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Unpacks an archive into an empty directory. No file or directory is dated later than `latest`.
///
/// # Errors
/// See [`UnpackError`]. What was written until then stays in the directory.
pub fn unpack(file: File, into: &Path, latest: SystemTime) -> Result<(), UnpackError> {
    unpack_within(file, into, latest, (LARGEST, MOST_MEMBERS))
}

fn unpack_within(
    file: File,
    into: &Path,
    latest: SystemTime,
    (left, most): (u64, usize),
) -> Result<(), UnpackError> {
    let inner = Box::new(Limited { input: open(file)?, left });
    let mut input = Tracked { inner, failed: None };
    let result = members(&mut input, into, latest, most);
    if let Some(error) = input.failed.take() {
        // Whatever was made of it: the bytes themselves could not be had.
        return Err(UnpackError::Damaged(error));
    }
    result?;
    // Check sums are at the end.
    io::copy(&mut input, &mut io::sink()).map_err(|e| UnpackError::Damaged(e.to_string()))?;
    Ok(())
}

/// Remembers that reading failed, so that it is not taken for an archive without sense.
struct Tracked {
    inner: Box<dyn Read>,
    failed: Option<String>,
}

impl Read for Tracked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.inner.read(buffer);
        if let Err(error) = &result
            && error.kind() != io::ErrorKind::Interrupted
        {
            self.failed = Some(error.to_string());
        }
        result
    }
}

fn members(input: &mut Tracked, into: &Path, latest: SystemTime, most: usize) -> Result<(), UnpackError> {
    let damaged = |error: io::Error| UnpackError::Damaged(error.to_string());
    let mut archive = tar::Archive::new(input);
    let mut place = Place { into, latest, links: BTreeMap::new(), dirs: Vec::new() };
    let mut extra = Extra::default();
    // Raw: names that follow in members of their own are read here, with a limit.
    for (index, member) in archive.entries().map_err(damaged)?.raw(true).enumerate() {
        if index == most {
            return Err(UnpackError::Damaged("it has too many members".into()));
        }
        let mut member = match member {
            Ok(member) => member,
            Err(_) if index == 0 => return Err(UnpackError::NotAnArchive),
            Err(error) => return Err(damaged(error)),
        };
        let header = member.header().clone();
        if !extra.takes(&header, &mut member)? {
            place.put(&header, std::mem::take(&mut extra), &mut member)?;
        }
    }
    place.finish()
}

/// The directory that is filled.
struct Place<'a> {
    into: &'a Path,
    latest: SystemTime,
    /// Links to be made at the end, with their targets.
    links: BTreeMap<PathBuf, PathBuf>,
    /// Directories with their times, which are set at the end: until then files go into them.
    dirs: Vec<(PathBuf, SystemTime)>,
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

impl Place<'_> {
    fn put(&mut self, header: &Header, extra: Extra, data: &mut impl Read) -> Result<(), UnpackError> {
        let (sparse, size, time) = (extra.sparse, extra.size, extra.time);
        let (name, link) = extra.names(header);
        let link = link.as_slice();
        let shown = String::from_utf8_lossy(&name).into_owned();
        let refuse = |why: &str| UnpackError::Unsafe { name: shown.clone(), why: why.to_owned() };
        if sparse || header.entry_type() == EntryType::GNUSparse {
            return Err(refuse("is a sparse file; pack the archive without --sparse"));
        }
        if size.is_some_and(|size| header.entry_size().ok() != Some(size)) {
            return Err(refuse("is larger than 8 GiB"));
        }
        let path = inside(&name).map_err(&refuse)?;
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        if path.ancestors().skip(1).any(|dir| self.links.contains_key(dir)) {
            return Err(refuse("is behind a link"));
        }
        let mode = header.mode().unwrap_or(0o644);
        // GNU tar writes a time before 1970 as a negative number of 64 bits, which the crate gives without sign.
        let time = time.unwrap_or_else(|| header.mtime().unwrap_or(0).cast_signed());
        let time = moment(time).min(self.latest);
        match header.entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                self.links.remove(&path);
                self.file(&path, mode, time, data)
            }
            EntryType::Directory if self.links.contains_key(&path) => Err(refuse("appears twice")),
            EntryType::Directory => {
                self.directory(&path)?;
                self.dirs.push((path, time));
                Ok(())
            }
            EntryType::Symlink if link.is_empty() => Err(refuse("is a link to nothing")),
            EntryType::Symlink if self.links.len() == MOST_LINKS => Err(refuse(
                "exceeds the number of \
                                                                                links",
            )),
            EntryType::Symlink => {
                if self.into.join(&path).is_dir() {
                    return Err(refuse("appears twice"));
                }
                // It would be made before those, which would then be made behind it.
                let below = (Bound::Excluded(path.as_path()), Bound::Unbounded);
                if self.links.range::<Path, _>(below).next().is_some_and(|(link, _)| link.starts_with(&path))
                {
                    return Err(refuse("is a link, and another lies behind it"));
                }
                self.links.insert(path, PathBuf::from(OsStr::from_bytes(link)));
                Ok(())
            }
            EntryType::Link => {
                let target = inside(link).map_err(|why| {
                    refuse(&format!(
                        "is a hard link to a member that \
                                                                         {why}"
                    ))
                })?;
                self.hard_link(&path, &target, &refuse)
            }
            _ => Err(refuse("is not a file, directory or link")),
        }
    }

    fn directory(&self, path: &Path) -> Result<(), UnpackError> {
        let real = self.into.join(path);
        // A file of that name is in the way: create_dir_all says so.
        fs::create_dir_all(&real).map_err(writing(&real))
    }

    /// Makes room for a file: its directory is there, and nothing of its name.
    fn room(&self, path: &Path) -> Result<PathBuf, UnpackError> {
        self.directory(path.parent().unwrap_or(Path::new("")))?;
        let real = self.into.join(path);
        match fs::remove_file(&real) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(writing(&real)(error)),
            _ => Ok(real),
        }
    }

    fn file(
        &self,
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
        // Only to a file that came before it: no link exists yet, so this is one in the archive.
        if path == target || !fs::symlink_metadata(self.into.join(target)).is_ok_and(|meta| meta.is_file()) {
            return Err(refuse("is a hard link to a file that is not in the archive"));
        }
        self.links.remove(path);
        let real = self.room(path)?;
        fs::hard_link(self.into.join(target), &real).map_err(writing(&real))
    }

    fn finish(self) -> Result<(), UnpackError> {
        for (path, target) in &self.links {
            let real = self.room(path)?;
            std::os::unix::fs::symlink(target, &real).map_err(writing(&real))?;
        }
        for entry in walkdir::WalkDir::new(self.into).min_depth(1).into_iter().filter_map(Result::ok) {
            if entry.file_type().is_dir() {
                let real = entry.path();
                fs::set_permissions(real, fs::Permissions::from_mode(0o755)).map_err(writing(real))?;
            }
        }
        for (path, time) in self.dirs.iter().rev() {
            let real = self.into.join(path);
            let dated = File::open(&real).and_then(|dir| dir.set_modified(*time));
            dated.map_err(writing(&real))?;
        }
        Ok(())
    }
}

fn writing(path: &Path) -> impl FnOnce(io::Error) -> UnpackError + '_ {
    move |source| UnpackError::Write { path: path.to_path_buf(), source }
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

/// Looks at every link below a directory that will be moved elsewhere as it is.
///
/// # Errors
/// When one of them could lead out of it.
pub fn check_links(top: &Path) -> Result<(), UnpackError> {
    for entry in walkdir::WalkDir::new(top).into_iter().filter_map(Result::ok) {
        if !entry.file_type().is_symlink() {
            continue;
        }
        let inside = entry.path().strip_prefix(top).unwrap_or(entry.path());
        let target = fs::read_link(entry.path()).map_err(writing(entry.path()))?;
        if entry.depth() == 0 || !stays_inside(inside.parent().unwrap_or(Path::new("")), &target) {
            return Err(UnpackError::Unsafe {
                name: inside.display().to_string(),
                why: format!("is a link that points out of its tree, to {}", target.display()),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
