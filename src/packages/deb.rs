//! Debian's packages, deb(5): an ar archive with two tar archives in it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::ControlFlow;

use super::brings::Files;
use super::{Kind, Package, ReadError, field, text};
use crate::archive::{decompress, list};

/// How an ar archive begins.
pub(super) const MAGIC: &[u8] = b"!<arch>\n";

/// Length of the header of a member of an ar archive.
const HEADER: usize = 60;

/// The most members before the data: dpkg skips those whose names begin with `_`.
const MOST_MEMBERS: usize = 100;

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

fn content(file: &File, member: &Member) -> io::Result<Box<dyn Read>> {
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(member.at))?;
    decompress(file.take(member.size))
}

/// Looks into a package.
pub(super) fn read(mut file: File) -> Result<Package, ReadError> {
    let members = members(&mut file)?;
    let named = |prefix: &str| {
        let found = members.iter().find(|m| m.name == prefix || m.name.starts_with(&format!("{prefix}.")));
        found.ok_or_else(|| ReadError::Damaged(format!("it has no {prefix}")))
    };
    if members.first().is_none_or(|first| first.name != "debian-binary") {
        return Err(ReadError::NotAPackage);
    }
    let (mut control, mut sums) = (String::new(), String::new());
    list(content(&file, named("control.tar")?)?, &mut |member, data| {
        match member.name.as_str() {
            "control" => control = text(data)?,
            "md5sums" => sums = text(data)?,
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let mut files = Files::default();
    let listed = sums.lines().filter_map(|line| Some(line.split_once(char::is_whitespace)?.1.trim_start()));
    let mut known = 0;
    for path in listed {
        files.add(path, None);
        known += 1;
    }
    if known == 0 {
        list(content(&file, named("data.tar")?)?, &mut |member, _| {
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
