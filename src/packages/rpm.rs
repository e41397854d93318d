//! rpm's packages: the list of files is in the header, whatever the payload is compressed with.
//!
//! The crate rpm makes sense of the header. It takes sizes and places for what the file says, so that a
//! damaged package makes it allocate gigabytes or panic; the frame of the header is checked here first.

use std::fs::File;
use std::io::{BufReader, Read};

use rpm::{IndexTag, PackageMetadata};

use super::brings::Files;
use super::{Kind, Package, ReadError};

/// Bytes before the signatures, all of which have a better place today.
const LEAD: usize = 96;

/// Length of the part of a header that says how long it is, and of an entry of its index.
const ENTRY: usize = 16;

/// The most entries that rpm itself takes (headers have a hundred or two).
const MOST_ENTRIES: u32 = 0xffff;

/// The largest data part of a header, in bytes. That of a kernel's headers is 4 MiB.
const LARGEST_DATA: u32 = 64 << 20;

/// Looks into a package.
pub(super) fn read(file: File) -> Result<Package, ReadError> {
    let mut input = BufReader::new(file);
    let mut bytes = Vec::new();
    take(&mut input, LEAD, &mut bytes)?;
    let data = header(&mut input, &mut bytes)?;
    // The signatures are filled up to a multiple of eight bytes.
    take(&mut input, data.wrapping_neg() % 8, &mut bytes)?;
    header(&mut input, &mut bytes)?;
    let package = PackageMetadata::parse(&mut &bytes[..]).map_err(ReadError::damaged)?;
    describe(&package).map_err(ReadError::damaged)
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

fn take(input: &mut impl Read, length: usize, bytes: &mut Vec<u8>) -> Result<(), ReadError> {
    if input.take(length as u64).read_to_end(bytes)? < length {
        return Err(ReadError::damaged("it ends in the middle"));
    }
    Ok(())
}

/// Reads a header and looks whether its entries lie in it. Returns the length of its data.
fn header(input: &mut impl Read, bytes: &mut Vec<u8>) -> Result<usize, ReadError> {
    let start = bytes.len();
    take(input, ENTRY, bytes)?;
    let intro = &bytes[start..];
    let (entries, data) = (number(intro, 8), number(intro, 12));
    if intro[..4] != [0x8e, 0xad, 0xe8, 1] || entries > MOST_ENTRIES || data > LARGEST_DATA {
        return Err(ReadError::damaged("its header is invalid"));
    }
    let (entries, data) = (entries as usize, data as usize);
    take(input, entries * ENTRY + data, bytes)?;
    let index = &bytes[start + ENTRY..start + ENTRY + entries * ENTRY];
    if !index.chunks_exact(ENTRY).all(|entry| lies_inside(entry, data)) {
        return Err(ReadError::damaged("an entry of its header points outside of it"));
    }
    Ok(data)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Whether an entry of the index (tag, type, place, number of items) is about what is in the data.
fn lies_inside(entry: &[u8], data: usize) -> bool {
    let (kind, at, items) = (number(entry, 4), number(entry, 8) as usize, number(entry, 12) as usize);
    // Types of rpm 3, 4 and 5 are numbers of 16, 32 and 64 bits; the others have at least a byte an item.
    let size = match kind {
        3 => 2,
        4 => 4,
        5 => 8,
        _ => 1,
    };
    at <= data && items <= (data - at) / size
}
