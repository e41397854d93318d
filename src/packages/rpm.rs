//! rpm's packages: the list of files is in the header, whatever the payload is compressed with.
//!
//! The crate rpm makes sense of the header. It takes sizes and places for what the file says, so that a
//! damaged package makes it allocate gigabytes or panic; the frame of the header is checked here first. So
//! the header is in memory twice at most, and the payload never.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::SystemTime;

use rpm::{FileFlags, IndexTag, PackageMetadata};

use super::brings::Files;
use super::{Kind, Package, ReadError};
use crate::archive::{Described, Memory, Wanted, decompress_within, unpack_payload};

/// Bytes before the signatures, all of which have a better place today.
const LEAD: u64 = 96;

/// Length of the part of a header that says how long it is, and of an entry of its index.
const ENTRY: usize = 16;

/// The most entries that rpm itself takes (headers have a hundred or two).
const MOST_ENTRIES: u32 = 0xffff;

/// The largest data part of a header, in bytes. That of a kernel's headers is 4 MiB.
const LARGEST_DATA: u32 = 16 << 20;

/// The most texts in an entry: the names of that many files. A kernel's headers have about 30 000.
const MOST_TEXTS: usize = 1 << 18;

/// The types of entries that are texts.
const TEXTS: [u32; 2] = [8, 9];

/// Reads the header, up to the payload.
fn open(file: File) -> Result<(PackageMetadata, BufReader<File>), ReadError> {
    let mut input = BufReader::new(file);
    input.seek(SeekFrom::Start(LEAD))?;
    let data = check(&mut input)?;
    // The signatures are filled up to a multiple of eight bytes.
    input.seek_relative((i64::from(data) + 7) / 8 * 8)?;
    check(&mut input)?;
    input.rewind()?;
    let package = PackageMetadata::parse(&mut input).map_err(ReadError::damaged)?;
    Ok((package, input))
}

/// Looks into a package.
pub(super) fn read(file: File) -> Result<Package, ReadError> {
    let (package, _) = open(file)?;
    describe(&package).map_err(ReadError::damaged)
}

/// Unpacks parts of a package.
pub(super) fn unpack(file: File, wanted: &Wanted<'_>, into: &Path) -> Result<(), ReadError> {
    let (package, input) = open(file)?;
    let files = files(&package).map_err(ReadError::damaged)?;
    drop(package);
    let payload = decompress_within(input, Memory::ToUnpack)?;
    Ok(unpack_payload(payload, &files, into, SystemTime::now(), wanted)?)
}

/// The files as the header describes them, by their numbers.
fn files(package: &PackageMetadata) -> Result<Vec<Described>, rpm::Error> {
    let numbers = |tag| package.header.get_entry_data_as_u32_array(tag).unwrap_or_default();
    let (devices, inodes) = (numbers(IndexTag::RPMTAG_FILEDEVICES), numbers(IndexTag::RPMTAG_FILEINODES));
    let mut files = Vec::new();
    let mut sets: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, file) in package.get_file_entries()?.into_iter().enumerate() {
        let ghost = file.flags().contains(FileFlags::GHOST);
        let mode = u32::from(file.mode());
        let inode = devices.get(index).zip(inodes.get(index));
        if let (Some((device, inode)), false, 0o100_000) = (inode, ghost, mode & 0o170_000) {
            sets.entry(u64::from(*device) << 32 | u64::from(*inode)).or_default().push(index);
        }
        files.push(Described {
            name: file.path().to_string_lossy().trim_start_matches('/').to_owned(),
            mode,
            seconds: file.modified_at().0.into(),
            size: if ghost { 0 } else { file.size() as u64 },
            set: None,
        });
    }
    for (set, indices) in sets.into_iter().filter(|(_, indices)| indices.len() > 1) {
        for (nth, index) in indices.iter().enumerate() {
            files[*index].set = Some(set);
            if nth + 1 < indices.len() {
                files[*index].size = 0;
            }
        }
    }
    Ok(files)
}

fn describe(package: &PackageMetadata) -> Result<Package, rpm::Error> {
    let mut files = Files::default();
    let paths = package.get_file_paths_split()?;
    let links = package.header.get_entry_data_as_string_array(IndexTag::RPMTAG_FILELINKTOS);
    let links = links.unwrap_or_default();
    // What a source package has is unpacked nowhere.
    let paths = if package.is_source_package() { Vec::new() } else { paths };
    for (index, (dir, name)) in paths.into_iter().enumerate() {
        let link = links.get(index).copied().filter(|link| !link.is_empty());
        files.add(&format!("{dir}{name}"), link);
    }
    let epoch = match package.get_epoch() {
        Ok(0) | Err(_) => String::new(),
        Ok(epoch) => format!("{epoch}:"),
    };
    Ok(Package {
        name: package.get_name()?.to_owned(),
        version: format!("{epoch}{}-{}", package.get_version()?, package.get_release()?),
        arch: package.get_arch()?.to_owned(),
        kind: Kind::Rpm,
        brings: files.finish(),
    })
}

/// Reads the index of a header and looks whether its entries lie in its data, which is skipped by the caller.
/// Returns the length of the data.
fn check(input: &mut impl Read) -> Result<u32, ReadError> {
    let intro = take(input, ENTRY)?;
    let (entries, data) = (number(&intro, 8), number(&intro, 12));
    if intro[..4] != [0x8e, 0xad, 0xe8, 1] || entries > MOST_ENTRIES || data > LARGEST_DATA {
        return Err(ReadError::damaged("its header is invalid"));
    }
    let index = take(input, entries as usize * ENTRY)?;
    let mut all = 0;
    for entry in index.chunks_exact(ENTRY) {
        let size = length_inside(entry, data as usize);
        all += size.ok_or_else(|| ReadError::damaged("an entry of its header points outside of it"))?;
    }
    // No two entries share bytes. What they are made to in memory is as long as they are.
    if all > data as usize {
        return Err(ReadError::damaged("its header is invalid"));
    }
    Ok(data)
}

fn take(input: &mut impl Read, length: usize) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    if input.take(length as u64).read_to_end(&mut bytes)? < length {
        return Err(ReadError::damaged("it ends in the middle"));
    }
    Ok(bytes)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// The least number of bytes that an entry of the index (tag, type, place, number of items) is about, if these are
/// in the data.
fn length_inside(entry: &[u8], data: usize) -> Option<usize> {
    let (kind, at, items) = (number(entry, 4), number(entry, 8) as usize, number(entry, 12) as usize);
    if TEXTS.contains(&kind) && items > MOST_TEXTS {
        return None;
    }
    // Types of rpm 3, 4 and 5 are numbers of 16, 32 and 64 bits; the others have at least a byte an item.
    let size = match kind {
        3 => 2,
        4 => 4,
        5 => 8,
        _ => 1,
    };
    let length = items.checked_mul(size)?;
    at.checked_add(length).filter(|end| *end <= data).map(|_| length)
}
