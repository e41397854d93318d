//! Open files that are in no directory: what a child reads and writes needs no place for temporary files.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};

/// An open file that is in no directory.
pub(super) fn memory_file(name: &CStr) -> io::Result<File> {
    let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
    Ok(File::from(nix::sys::memfd::memfd_create(name, flags)?))
}

/// Such a file with this text, at its beginning.
pub(super) fn with_text(text: &str) -> io::Result<File> {
    let mut file = memory_file(c"input")?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// What was written to such a file.
pub(super) fn content(mut file: File) -> io::Result<Vec<u8>> {
    const MOST: u64 = 16 << 20;
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(MOST + 1).read_to_end(&mut bytes)?;
    // A part of an answer would be taken for the whole.
    if bytes.len() as u64 > MOST { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}
