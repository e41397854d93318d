//! The ways in which module files are compressed, told apart by their suffix.

use std::io::{self, Read};
use std::path::Path;

use super::xz;

/// The largest module we unpack, in bytes. The biggest in use (GPU drivers with debug
/// information) are a few hundred MiB; more than this is a damaged or hostile file.
const LARGEST: u64 = 2 << 30;

/// The most memory that unpacking an `.xz` module may take, in KiB; kernels are built with 1 MiB, `xz -9`
/// by hand asks for 64 MiB. A header can demand 4 GiB, and this program does not survive when there are none.
const XZ_MEMORY: u32 = 640 << 10;

/// How a module file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compression {
    /// `.ko`
    None,
    /// `.ko.gz`
    Gzip,
    /// `.ko.xz`
    Xz,
    /// `.ko.zst`
    Zstd,
}

impl Compression {
    /// Every kind, uncompressed first.
    pub const ALL: [Self; 4] = [Self::None, Self::Gzip, Self::Xz, Self::Zstd];

    /// What is put after the module's name, `.ko` included.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => ".ko",
            Self::Gzip => ".ko.gz",
            Self::Xz => ".ko.xz",
            Self::Zstd => ".ko.zst",
        }
    }

    /// The kind of a module file, by its name; `None` when the name is not that of a module.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        Self::ALL.into_iter().find(|kind| name.ends_with(kind.suffix()))
    }

    /// The content of a module file.
    ///
    /// # Errors
    /// When the bytes are not of this kind, are cut short, or unpack to more than 2 GiB.
    pub fn unpack(self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        if self == Self::None {
            return Ok(bytes);
        }
        let mut out = Vec::new();
        self.unpack_into(&bytes, &mut out)?;
        Ok(out)
    }

    /// As [`Self::unpack`], added to a buffer: of many files, one after the other.
    ///
    /// # Errors
    /// As there.
    pub fn unpack_into(self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::None => out.extend_from_slice(bytes),
            Self::Gzip => read_all(flate2::read::MultiGzDecoder::new(bytes), out)?,
            Self::Xz => match xz::unpack(bytes, LARGEST, out) {
                Some(done) => done?,
                None => read_all(lzma_rust2::XzReader::new_mem_limit(bytes, true, XZ_MEMORY), out)?,
            },
            Self::Zstd => read_all(zstd::stream::read::Decoder::new(bytes)?, out)?,
        }
        Ok(())
    }
}

fn read_all(reader: impl Read, out: &mut Vec<u8>) -> io::Result<()> {
    let read = reader.take(LARGEST + 1).read_to_end(out)?;
    if read as u64 > LARGEST {
        return Err(io::Error::other("it unpacks to more than 2 GiB"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_the_suffix() {
        for (name, kind) in [
            ("a/b.ko", Some(Compression::None)),
            ("b.ko.gz", Some(Compression::Gzip)),
            ("b.ko.xz", Some(Compression::Xz)),
            ("b.ko.zst", Some(Compression::Zstd)),
            ("Module.symvers", None),
            ("b.ko.bak", None),
        ] {
            assert_eq!(Compression::of(Path::new(name)), kind, "{name}");
        }
    }

    #[test]
    fn damaged_files_are_errors() {
        for kind in [Compression::Gzip, Compression::Xz, Compression::Zstd] {
            assert!(kind.unpack(b"not compressed at all".to_vec()).is_err(), "{kind:?}");
        }
    }

    #[test]
    fn memory_is_not_had_for_the_asking() {
        // A stream header (xz file format, 2.1.1) and the header of a block (3.1) with LZMA2 and a
        // dictionary of 4 GiB less one byte (property 40, 5.3.1); then one empty chunk.
        let mut bytes = b"\xfd7zXZ\0\0\x01\x69\x22\xde\x36".to_vec();
        let block = [2, 0, 0x21, 1, 40, 0, 0, 0];
        let crc = block.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
        });
        bytes.extend(block);
        bytes.extend((!crc).to_le_bytes());
        bytes.extend([1, 0, 0, b'x', 0]);
        let error = Compression::Xz.unpack(bytes).unwrap_err().to_string();
        assert!(error.contains("memory"), "{error}");
    }
}
