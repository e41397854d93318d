//! pacman's packages: a tar archive whose first members describe it (makepkg(8), `.PKGINFO` and the
//! mtree(5) of everything else).

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::SystemTime;

use super::brings::Files;
use super::{Kind, Package, ReadError, field, lines, text};
use crate::archive::{Memory, UnpackError, Wanted, decompress_within, list, unpack_wanted};

/// The largest compressed list of files, in bytes. That of a kernel's headers is 1 MiB.
const LARGEST_TREE: u64 = 16 << 20;

/// Looks into a package.
pub(super) fn read(file: File) -> Result<Package, ReadError> {
    let (mut info, mut tree) = (None, false);
    let mut files = Files::default();
    let mut first = true;
    let found = list(decompress_within(file, Memory::ToList)?, &mut |member, data| {
        // Anything may be a tar archive: what does not begin like a package is not gone through.
        if first && !member.name.starts_with('.') {
            return Err(UnpackError::NotAnArchive);
        }
        first = false;
        match member.name.as_str() {
            ".PKGINFO" => info = Some(text(data)?),
            ".MTREE" => {
                each_file(data, &mut files)?;
                tree = true;
            }
            name => files.add(name, member.link.as_deref()),
        }
        let enough = info.is_some() && tree;
        Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    });
    found?;
    let info = info.ok_or(ReadError::NotAPackage)?;
    // Headers are called after it, in messages.
    let name = field(&info, "pkgname", '=')?;
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "@._+-".contains(c)) {
        return Err(ReadError::damaged("its name is invalid"));
    }
    Ok(Package {
        name: name.to_owned(),
        version: field(&info, "pkgver", '=')?.to_owned(),
        arch: field(&info, "arch", '=')?.to_owned(),
        kind: Kind::Pacman,
        brings: files.finish(),
    })
}

/// Unpacks parts of a package.
pub(super) fn unpack(file: File, wanted: &Wanted<'_>, into: &Path) -> Result<(), ReadError> {
    let content = decompress_within(file, Memory::ToUnpack)?;
    Ok(unpack_wanted(content, into, SystemTime::now(), wanted)?)
}

/// Reads the mtree of a package, which is compressed by itself.
fn each_file(data: &mut dyn Read, files: &mut Files) -> Result<(), UnpackError> {
    let damaged = |error: io::Error| UnpackError::Damaged(error.to_string());
    let mut packed = Vec::new();
    data.take(LARGEST_TREE).read_to_end(&mut packed).map_err(damaged)?;
    let mut tree = decompress_within(Cursor::new(packed), Memory::ToList).map_err(damaged)?;
    lines(&mut tree, &mut |line| {
        if let Some((path, link)) = entry(line) {
            files.add(&path, link.as_deref());
        }
    })
}

/// A line of an mtree(5) that names a file: its path, and where it leads if it is a link.
fn entry(line: &str) -> Option<(String, Option<String>)> {
    let mut words = line.split_ascii_whitespace();
    let path = words.next().filter(|word| word.starts_with("./"))?;
    Some((unescape(path), words.find_map(|word| word.strip_prefix("link=")).map(unescape)))
}

/// mtree(5) writes what is no printable character as a backslash and three octal digits.
fn unescape(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..3).filter(|_| byte == b'\\').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        out.push(code.unwrap_or(byte));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_an_mtree() {
        assert_eq!(entry("#mtree"), None);
        assert_eq!(entry("/set type=file uid=0 gid=0 mode=644"), None);
        assert_eq!(entry("./usr/a\\040b\\\\ time=1.0 size=3"), Some(("./usr/a b\\\\".into(), None)));
        assert_eq!(
            entry("./build mode=777 type=link link=../x"),
            Some(("./build".into(), Some("../x".into())))
        );
        assert_eq!(unescape("\\9\\12"), "\\9\\12");
        assert_eq!(unescape("\\303\\244\\"), "ä\\");
    }
}
