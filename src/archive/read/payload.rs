//! What an rpm carries: an archive of cpio(1) in its "new ASCII" form, or rpm's own form of that, in which a
//! member is no more than the number of a file that the package's header describes (rpm's
//! docs/manual/format_payload.md).

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use super::place::{Member, Place, What};
use super::{Tracked, UnpackError, Wanted, through};
use crate::archive::list::{LARGEST, MOST_MEMBERS};

/// The longest name and the longest target of a link, in bytes. Linux has no longer path (PATH_MAX, limits.h).
const LONGEST: u64 = 4096;

/// The name of the member that ends an archive.
const TRAILER: &[u8] = b"TRAILER!!!";

/// The kinds of files among the bits of a mode, inode(7).
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

/// A file as the header of its package describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its path, without a leading `/`.
    pub name: String,
    /// Kind and permissions, as stat(2) has them.
    pub mode: u32,
    /// When it was changed, in seconds since 1970.
    pub seconds: i64,
    /// How many bytes of it are in the archive.
    pub size: u64,
    /// Files with the same number are one file with several names. All but the last have no bytes in the
    /// archive.
    pub set: Option<u64>,
}

/// Unpacks what is `wanted` of the archive that an rpm carries, in a stream. `files` is what its header
/// describes, by number. The directory is as for [`super::unpack_wanted`].
///
/// # Errors
/// See [`UnpackError`]. What was written until then stays in the directory.
pub fn unpack_payload(
    input: Box<dyn Read>,
    files: &[Described],
    into: &Path,
    latest: SystemTime,
    wanted: &Wanted<'_>,
) -> Result<(), UnpackError> {
    through(input, LARGEST, |input| members(input, files, Place::new(into, latest, wanted)))
}

/// A member before its content.
struct Head {
    name: Vec<u8>,
    mode: u32,
    seconds: i64,
    size: u64,
    set: Option<u64>,
}

fn members(input: &mut Tracked, files: &[Described], mut place: Place<'_>) -> Result<(), UnpackError> {
    // Names of a file whose content is still to come.
    let mut sets: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
    for index in 0.. {
        if index == MOST_MEMBERS {
            return Err(damaged("it has too many members"));
        }
        let Some(head) = head(input, files, index == 0)? else { break };
        let mut data = input.take(head.size);
        put(&mut place, &head, &mut data, &mut sets)?;
        // What nobody wanted.
        let read = io::copy(&mut data, &mut io::sink()).map_err(damaged)?;
        if data.limit() > 0 {
            return Err(damaged(format!("it ends in the middle, after {read} bytes of a file")));
        }
        skip(input, head.size)?;
    }
    // Those of an empty file.
    for names in sets.into_values() {
        for name in names {
            let member = Member { name: &name, what: What::File, mode: 0o644, seconds: 0 };
            place.take(&member, &mut io::empty())?;
        }
    }
    place.finish()
}

fn put(
    place: &mut Place<'_>,
    head: &Head,
    data: &mut impl Read,
    sets: &mut BTreeMap<u64, Vec<Vec<u8>>>,
) -> Result<(), UnpackError> {
    let file = |name| Member { name, what: What::File, mode: head.mode, seconds: head.seconds };
    let wanted = place.wants(&head.name)?;
    match (head.mode & KIND, head.set) {
        (REGULAR, Some(set)) => {
            let names = sets.entry(set).or_default();
            if wanted {
                names.push(head.name.clone());
            }
            if head.size > 0
                && let Some((first, others)) = sets.remove(&set).as_deref().and_then(<[_]>::split_first)
            {
                place.take(&file(first), data)?;
                for other in others {
                    place.take(&Member { what: What::HardLink(first), ..file(other) }, &mut io::empty())?;
                }
            }
            Ok(())
        }
        _ if !wanted => Ok(()),
        (REGULAR, None) => place.take(&file(&head.name), data),
        (DIRECTORY, _) => place.take(&Member { what: What::Directory, ..file(&head.name) }, data),
        (LINK, _) => {
            let mut target = Vec::new();
            data.take(LONGEST).read_to_end(&mut target).map_err(damaged)?;
            place.take(&Member { what: What::Link(&target), ..file(&head.name) }, data)
        }
        _ => place.take(&Member { what: What::Other, ..file(&head.name) }, data),
    }
}

/// Reads up to the content of the next member; `None` at the end.
fn head(input: &mut Tracked, files: &[Described], first: bool) -> Result<Option<Head>, UnpackError> {
    let mut magic = [0; 6];
    input.read_exact(&mut magic).map_err(damaged)?;
    match &magic {
        b"070701" | b"070702" => of_cpio(input),
        b"07070X" => {
            let number = numbers::<1>(input)?[0];
            skip(input, 6 + 8)?;
            let file = usize::try_from(number).ok().and_then(|number| files.get(number));
            let file = file.ok_or_else(|| damaged("a member is none of its files"))?;
            Ok(Some(Head {
                name: file.name.clone().into_bytes(),
                mode: file.mode,
                seconds: file.seconds,
                size: file.size,
                set: file.set,
            }))
        }
        _ if first => Err(UnpackError::NotAnArchive),
        _ => Err(damaged("the header of a member is invalid")),
    }
}

fn of_cpio(input: &mut Tracked) -> Result<Option<Head>, UnpackError> {
    let [inode, mode, _, _, links, seconds, size, major, minor, _, _, length, _] = numbers::<13>(input)?;
    let length = u64::from(length);
    if length > LONGEST {
        return Err(damaged("a name in it is too long"));
    }
    let mut name = Vec::new();
    input.take(length).read_to_end(&mut name).map_err(damaged)?;
    skip(input, 6 + 13 * 8 + length)?;
    while name.last() == Some(&0) {
        name.pop();
    }
    if name == TRAILER {
        return Ok(None);
    }
    // Some writers begin a path with a slash.
    let start = name.iter().position(|byte| *byte != b'/').unwrap_or(name.len());
    let name = name.split_off(start);
    let set = (links > 1).then(|| u64::from(inode) ^ u64::from(major) << 48 ^ u64::from(minor) << 32);
    Ok(Some(Head { name, mode, seconds: seconds.into(), size: size.into(), set }))
}

/// Numbers of eight hexadecimal digits.
fn numbers<const N: usize>(input: &mut Tracked) -> Result<[u32; N], UnpackError> {
    let mut out = [0; N];
    for number in &mut out {
        let mut digits = [0; 8];
        input.read_exact(&mut digits).map_err(damaged)?;
        let digits = std::str::from_utf8(&digits).ok();
        let value = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        *number = value.ok_or_else(|| damaged("the header of a member is invalid"))?;
    }
    Ok(out)
}

/// Reads the zeros that fill `length` up to a multiple of four.
fn skip(input: &mut Tracked, length: u64) -> Result<(), UnpackError> {
    let mut filling = [0; 3];
    let count = usize::try_from(length.wrapping_neg() % 4).unwrap_or(0);
    input.read_exact(&mut filling[..count]).map_err(damaged)
}

fn damaged(why: impl std::fmt::Display) -> UnpackError {
    UnpackError::Damaged(why.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// An archive of "new ASCII" members: name, mode, inode, number of names, content.
    fn cpio(members: &[(&str, u32, u32, u32, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        let trailer = [("TRAILER!!!", 0, 0, 1, "")];
        for (name, mode, inode, links, content) in members.iter().chain(&trailer) {
            let numbers = [*inode, *mode, 0, 0, *links, 7, content.len() as u32, 1, 2, 0, 0];
            out.extend(b"070701");
            for number in numbers.into_iter().chain([name.len() as u32 + 1, 0]) {
                out.extend(format!("{number:08x}").bytes());
            }
            out.extend(name.bytes());
            out.push(0);
            fill(&mut out);
            out.extend(content.bytes());
            fill(&mut out);
        }
        out
    }

    /// An archive in which members are numbers.
    fn numbered(members: &[(u32, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, content) in members {
            out.extend(format!("07070X{number:08x}").bytes());
            fill(&mut out);
            out.extend(content.bytes());
            fill(&mut out);
        }
        out.extend(cpio(&[]));
        out
    }

    fn fill(out: &mut Vec<u8>) {
        out.resize(out.len().next_multiple_of(4), 0);
    }

    fn described(name: &str, mode: u32, size: u64, set: Option<u64>) -> Described {
        Described { name: name.into(), mode, seconds: 7, size, set }
    }

    fn unpacked(bytes: Vec<u8>, files: &[Described], into: &Path) -> Result<(), UnpackError> {
        let wanted = |path: &Path| path.starts_with("usr/src");
        unpack_payload(Box::new(io::Cursor::new(bytes)), files, into, SystemTime::now(), &wanted)
    }

    fn expect_all(into: &Path) {
        assert_eq!(std::fs::read_to_string(into.join("usr/src/a/one")).unwrap(), "first");
        let meta = std::fs::metadata(into.join("usr/src/a/one")).unwrap();
        assert_eq!((meta.mode() & 0o777, meta.mtime()), (0o755, 7));
        assert_eq!(std::fs::read_link(into.join("usr/src/a/link")).unwrap(), Path::new("/etc"));
        for name in ["usr/src/a/two", "usr/src/b/two"] {
            assert_eq!(std::fs::read_to_string(into.join(name)).unwrap(), "second");
            assert_eq!(std::fs::metadata(into.join(name)).unwrap().nlink(), 2);
        }
        assert!(into.join("usr/src/empty").is_dir());
        assert!(!into.join("usr/bin").exists() && !into.join("dev").exists());
    }

    #[test]
    fn members_that_are_wanted_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = cpio(&[
            ("./usr/src/a/one", 0o100_777, 1, 1, "first"),
            ("./dev/tty", 0o020_666, 9, 1, ""),
            ("./usr/src/a/link", 0o120_777, 2, 1, "/etc"),
            ("./usr/bin/two", 0o100_644, 3, 3, ""),
            ("./usr/src/a/two", 0o100_644, 3, 3, ""),
            ("/usr/src/b/two", 0o100_644, 3, 3, "second"),
            ("./usr/src/empty", 0o040_755, 4, 2, ""),
        ]);
        unpacked(bytes, &[], dir.path()).unwrap();
        expect_all(dir.path());
    }

    #[test]
    fn members_are_numbers_of_what_the_header_describes() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            described("usr/src/b/two", 0o100_644, 6, Some(3)),
            described("usr/src/a/one", 0o100_777, 5, None),
            described("usr/src/empty", 0o040_755, 0, None),
            described("usr/src/a/link", 0o120_777, 4, None),
            described("usr/bin/x", 0o100_777, 1, None),
            described("usr/src/a/two", 0o100_644, 0, Some(3)),
        ];
        let members = [(5, ""), (3, "/etc"), (4, "x"), (1, "first"), (2, ""), (0, "second")];
        unpacked(numbered(&members), &files, dir.path()).unwrap();
        expect_all(dir.path());
        assert!(matches!(unpacked(numbered(&[(6, "")]), &files, dir.path()), Err(UnpackError::Damaged(_))));
    }

    #[test]
    fn nothing_is_written_outside() {
        let top = tempfile::tempdir().unwrap();
        let into = top.path().join("into");
        std::fs::create_dir(&into).unwrap();
        for name in ["../out", "usr/src/../../../out", "usr/src/./../x"] {
            let refused = unpacked(cpio(&[(name, 0o100_644, 1, 1, "x")]), &[], &into);
            assert!(matches!(refused, Err(UnpackError::Unsafe { .. })), "{name}");
        }
        for kind in [0o020_666, 0o060_666, 0o010_666, 0o140_666] {
            let refused = unpacked(cpio(&[("usr/src/x", kind, 1, 1, "")]), &[], &into);
            assert!(matches!(refused, Err(UnpackError::Unsafe { .. })), "{kind:o}");
        }
        // A link, and a file behind it: in one archive, and in two.
        let link = ("usr/src/x", 0o120_777, 1, 1, "../../..");
        let behind = ("usr/src/x/out", 0o100_644, 2, 1, "x");
        let refused = unpacked(cpio(&[link, behind]), &[], &into);
        assert!(matches!(refused, Err(UnpackError::Unsafe { .. })));
        unpacked(cpio(&[link]), &[], &into).unwrap();
        let refused = unpacked(cpio(&[behind]), &[], &into);
        assert!(matches!(refused, Err(UnpackError::Write { .. })), "{refused:?}");
        assert_eq!(std::fs::read_dir(top.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_cut_off_or_no_archive_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let whole = cpio(&[("usr/src/a", 0o100_644, 1, 1, "first"), ("usr/b", 0o100_644, 2, 1, "second")]);
        for length in 0..whole.len() - 3 {
            assert!(unpacked(whole[..length].to_vec(), &[], dir.path()).is_err(), "{length}");
        }
        let other = unpacked(b"something else".to_vec(), &[], dir.path());
        assert!(matches!(other, Err(UnpackError::NotAnArchive)));
    }
}
