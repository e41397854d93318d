//! Debian's packages, deb(5): an ar archive with two tar archives in it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::SystemTime;

use super::brings::Files;
use super::{Kind, Package, ReadError, field, lines, text};
use crate::archive::{Memory, Wanted, decompress_within, list, unpack_wanted};

/// How an ar archive begins.
pub(super) const MAGIC: &[u8] = b"!<arch>\n";

/// Length of the header of a member of an ar archive.
const HEADER: usize = 60;

/// The most members before the data: dpkg skips those whose names begin with `_`.
const MOST_MEMBERS: usize = 100;

/// The most that is read of the part with the description, unpacked, in bytes. That of a kernel is 1 MiB.
const LARGEST_CONTROL: u64 = 24 << 20;

struct Member {
    name: String,
    at: u64,
    size: u64,
}

/// The members of an ar archive, by their headers alone.
fn members(file: &mut File) -> Result<Vec<Member>, ReadError> {
    let length = file.metadata()?.len();
    let mut at = MAGIC.len() as u64;
    let mut out = Vec::new();
    while at < length {
        if out.len() == MOST_MEMBERS {
            return Err(ReadError::damaged("it has too many members"));
        }
        file.seek(SeekFrom::Start(at))?;
        let mut header = [0; HEADER];
        file.read_exact(&mut header).map_err(|_| ReadError::damaged("it ends in the middle"))?;
        let text = |from: usize, to: usize| String::from_utf8_lossy(&header[from..to]).trim_end().to_owned();
        let size: Option<u64> = text(48, 58).parse().ok().filter(|_| &header[58..] == b"`\n");
        let size = size.ok_or_else(|| ReadError::damaged("the header of a member is invalid"))?;
        let start = at + HEADER as u64;
        let end = start.checked_add(size).filter(|end| *end <= length);
        let end = end.ok_or_else(|| ReadError::damaged("it ends in the middle"))?;
        // ar(1) of GNU ends a name with a slash.
        out.push(Member { name: text(0, 16).trim_end_matches('/').to_owned(), at: start, size });
        // Members begin at even places.
        at = end + end % 2;
    }
    Ok(out)
}

/// A tar archive of a package, by what its name begins with; the compression may follow.
struct Part<'a> {
    file: &'a File,
    member: &'a Member,
}

impl Part<'_> {
    fn content(&self, memory: Memory) -> io::Result<Box<dyn Read>> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(self.member.at))?;
        decompress_within(file.take(self.member.size), memory)
    }
}

fn part<'a>(file: &'a File, members: &'a [Member], prefix: &str) -> Result<Part<'a>, ReadError> {
    if members.first().is_none_or(|first| first.name != "debian-binary") {
        return Err(ReadError::NotAPackage);
    }
    let found = members.iter().find(|m| m.name == prefix || m.name.starts_with(&format!("{prefix}.")));
    let member = found.ok_or_else(|| ReadError::Damaged(format!("it has no {prefix}")))?;
    Ok(Part { file, member })
}

/// Looks into a package.
pub(super) fn read(mut file: File) -> Result<Package, ReadError> {
    let members = members(&mut file)?;
    let control_part = part(&file, &members, "control.tar")?;
    let mut control = String::new();
    let mut files = Files::default();
    let mut known = 0;
    // The memory that reading takes grows with what is read.
    let content = control_part.content(Memory::ToUnpack)?.take(LARGEST_CONTROL);
    list(Box::new(content), &mut |member, data| {
        match member.name.as_str() {
            "control" => control = text(data)?,
            "md5sums" => lines(data, &mut |line| {
                if let Some((_, path)) = line.split_once(char::is_whitespace) {
                    files.add(path.trim_start(), None);
                    known += 1;
                }
            })?,
            _ => {}
        }
        let enough = !control.is_empty() && known > 0;
        Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    if known == 0 {
        list(part(&file, &members, "data.tar")?.content(Memory::ToList)?, &mut |member, _| {
            files.add(&member.name, member.link.as_deref());
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(Package {
        name: field(&control, "Package", ':')?.to_owned(),
        version: field(&control, "Version", ':')?.to_owned(),
        arch: field(&control, "Architecture", ':')?.to_owned(),
        kind: Kind::Deb,
        brings: files.finish(),
    })
}

/// Unpacks parts of a package.
pub(super) fn unpack(mut file: File, wanted: &Wanted<'_>, into: &Path) -> Result<(), ReadError> {
    let members = members(&mut file)?;
    let content = part(&file, &members, "data.tar")?.content(Memory::ToUnpack)?;
    Ok(unpack_wanted(content, into, SystemTime::now(), wanted)?)
}
