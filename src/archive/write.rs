//! Writing an archive: the same tree gives the same bytes.

use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use tar::{EntryType, Header};

use super::format::Packer;
use crate::fs::regular;

/// What became of one entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// A link that leads out of the tree: the file that it leads to was put in its place.
    Followed(PathBuf),
    /// A link that leads out of the tree, not to a file, or a socket, pipe or device: left out.
    LeftOut(PathBuf),
}

/// Writes members in the order of the calls. Everything belongs to root; names start with `./`, as
/// those of DKMS's archives do.
pub struct Writer {
    tar: tar::Builder<Packer>,
}

impl Writer {
    /// Begins an archive.
    pub fn new(packer: Packer) -> Self {
        Self { tar: tar::Builder::new(packer) }
    }

    /// Adds a directory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn directory(&mut self, name: &Path, mode: u32, mtime: i64) -> io::Result<()> {
        self.append(name, EntryType::Directory, None, (mode, mtime, 0), io::empty())
    }

    /// Adds a file with this content, mode 0644.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn text(&mut self, name: &Path, text: &str, mtime: i64) -> io::Result<()> {
        let size = text.len() as u64;
        self.append(name, EntryType::Regular, None, (0o644, mtime, size), text.as_bytes())
    }

    /// Adds a file of the disk; links are followed.
    ///
    /// # Errors
    /// When it cannot be read or written, or becomes shorter meanwhile.
    pub fn file(&mut self, name: &Path, from: &Path) -> io::Result<()> {
        let file = regular::open(from)?;
        let meta = file.metadata()?;
        // Exactly as many bytes as the header announces, whatever happens to the file.
        let exact = Exact { inner: file, left: meta.len() };
        self.append(name, EntryType::Regular, None, of(&meta), exact)
    }

    /// Adds a directory with everything below it, in the order of names. `skip` says which names are
    /// left out without a word.
    ///
    /// # Errors
    /// When something cannot be read or written. The error names the file that cannot be read.
    pub fn tree(&mut self, name: &Path, top: &Path, skip: &dyn Fn(&Path) -> bool) -> io::Result<Vec<Member>> {
        let mut remarkable = Vec::new();
        let walk = walkdir::WalkDir::new(top).sort_by_file_name().into_iter();
        let wanted = |entry: &walkdir::DirEntry| entry.depth() == 0 || !skip(Path::new(entry.file_name()));
        for entry in walk.filter_entry(wanted) {
            let entry = entry.map_err(io::Error::from)?;
            let path = entry.path();
            let inside = path.strip_prefix(top).unwrap_or(Path::new(""));
            // Joined with nothing, a path would end with a slash.
            let member = if entry.depth() == 0 { name.to_path_buf() } else { name.join(inside) };
            self.entry(&member, inside, &entry, &mut remarkable).map_err(|e| match e.kind() {
                // Not this file's fault, but the archive's.
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => e,
                _ => io::Error::new(e.kind(), format!("{}: {e}", path.display())),
            })?;
        }
        Ok(remarkable)
    }

    fn entry(
        &mut self,
        name: &Path,
        inside: &Path,
        entry: &walkdir::DirEntry,
        remarkable: &mut Vec<Member>,
    ) -> io::Result<()> {
        let (path, kind) = (entry.path(), entry.file_type());
        if kind.is_dir() {
            let (mode, mtime, _) = of(&entry.metadata()?);
            return self.directory(name, mode, mtime);
        }
        if kind.is_file() {
            return self.file(name, path);
        }
        if kind.is_symlink() {
            let target = std::fs::read_link(path)?;
            if stays_inside(inside.parent().unwrap_or(Path::new("")), &target) {
                let (_, mtime, _) = of(&entry.metadata()?);
                return self.append(name, EntryType::Symlink, Some(&target), (0o777, mtime, 0), io::empty());
            }
            if std::fs::metadata(path).is_ok_and(|meta| meta.is_file()) {
                remarkable.push(Member::Followed(inside.to_path_buf()));
                return self.file(name, path);
            }
        }
        remarkable.push(Member::LeftOut(inside.to_path_buf()));
        Ok(())
    }

    /// Ends the archive and gives its packer back, which is to be finished.
    ///
    /// # Errors
    /// When the end cannot be written.
    pub fn finish(self) -> io::Result<Packer> {
        self.tar.into_inner()
    }

    fn append(
        &mut self,
        name: &Path,
        kind: EntryType,
        target: Option<&Path>,
        (mode, mtime, size): (u32, i64, u64),
        data: impl Read,
    ) -> io::Result<()> {
        let mut bytes = b"./".to_vec();
        bytes.extend_from_slice(name.as_os_str().as_bytes());
        if kind.is_dir() {
            bytes.push(b'/');
        }
        let mut header = header(kind, mode, mtime, size)?;
        if let Some(target) = target {
            let target = target.as_os_str().as_bytes();
            if header.set_link_name_literal(target).is_err() {
                self.long(EntryType::GNULongLink, target)?;
            }
        }
        let field = &mut header.as_old_mut().name;
        if bytes.len() < field.len() {
            field[..bytes.len()].copy_from_slice(&bytes);
        } else {
            let cut = field.len() - 1;
            field[..cut].copy_from_slice(&bytes[..cut]);
            self.long(EntryType::GNULongName, &bytes)?;
        }
        header.set_cksum();
        self.tar.append(&header, data)
    }

    /// GNU tar's way of writing a name that is too long for the header of its member.
    fn long(&mut self, kind: EntryType, text: &[u8]) -> io::Result<()> {
        let mut header = header(kind, 0o644, 0, text.len() as u64 + 1)?;
        let name = b"././@LongLink";
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_cksum();
        self.tar.append(&header, text.chain(&b"\0"[..]))
    }
}

fn header(kind: EntryType, mode: u32, mtime: i64, size: u64) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(mtime.cast_unsigned());
    if mtime < 0 {
        // As GNU tar has it, a number of twelve bytes with its sign; the crate writes none.
        let [sign @ .., _, _, _, _, _, _, _, _] = &mut header.as_old_mut().mtime;
        sign.fill(0xff);
    }
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root")?;
    header.set_groupname("root")?;
    Ok(header)
}

/// Permission bits, modification time in seconds since 1970, and size in bytes.
fn of(meta: &std::fs::Metadata) -> (u32, i64, u64) {
    (meta.permissions().mode() & 0o777, meta.mtime(), meta.len())
}

/// Whether a link in directory `dir` of a tree cannot lead out of it: its target is relative, climbs
/// only at its beginning, and not above the top. As every link in the tree is of that kind, one on the
/// way of another changes nothing.
pub(super) fn stays_inside(dir: &Path, target: &Path) -> bool {
    let depth = dir.components().filter(|part| matches!(part, Component::Normal(_))).count();
    let mut climbed = 0;
    let mut down = false;
    for part in target.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if !down => climbed += 1,
            Component::Normal(_) => down = true,
            _ => return false,
        }
    }
    climbed <= depth
}

/// The first bytes of a reader; fewer are an error.
struct Exact<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let got = self.inner.read(&mut buffer[..most])?;
        if got == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it was truncated while it was read"));
        }
        self.left -= got as u64;
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_can_lead_out_are_told() {
        let from = |dir: &str, target: &str| stays_inside(Path::new(dir), Path::new(target));
        for good in [("", "a"), ("", "./a/b"), ("a", "../b"), ("a/b", "../../c/d"), ("a", "..")] {
            assert!(from(good.0, good.1), "{good:?}");
        }
        for bad in [("", ".."), ("", "/etc"), ("a", "../../b"), ("", "a/../../b"), ("a", "b/../c")] {
            assert!(!from(bad.0, bad.1), "{bad:?}");
        }
    }
}
