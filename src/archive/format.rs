//! How an archive is compressed: chosen by its name when it is written, seen from its first bytes when
//! it is read.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout};

use crate::process::{Process, ProcessError};

/// How much memory the decompressor may take. What an archive asks for is a part of it ("window", "dictionary")
/// that is filled with what was unpacked last, so that it takes no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// For lists of files, and what is read at any time: 40 MiB. `xz -8` and `zstd --ultra -20`, with which Arch
    /// packs, ask for 32 MiB.
    ToList,
    /// For what a person asked for: 640 MiB, ten times what `xz -9` asks for, and 128 MiB of zstd, as `zstd --ultra
    /// -22`. A header can demand 4 GiB.
    ToUnpack,
}

impl Memory {
    /// In KiB.
    fn of_lzma(self) -> u32 {
        match self {
            Self::ToList => 40 << 10,
            Self::ToUnpack => 640 << 10,
        }
    }

    /// The power of two that zstd's window may have.
    fn of_zstd(self) -> u32 {
        match self {
            Self::ToList => 25,
            Self::ToUnpack => 27,
        }
    }
}

/// What an archive is compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the programs")]
pub enum Format {
    Plain,
    Gzip,
    Xz,
    Lzma,
    Zstd,
    Bzip2,
    Lzip,
    Lzop,
    Compress,
}

impl Format {
    /// By the suffix of a name, with the suffixes that `tar --auto-compress` knows; any other name is
    /// that of an archive that is not compressed.
    pub fn of_name(path: &Path) -> Self {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        match name.rsplit_once('.').map_or("", |(_, suffix)| suffix) {
            "gz" | "tgz" | "taz" => Self::Gzip,
            "xz" | "txz" => Self::Xz,
            "lzma" | "tlz" => Self::Lzma,
            "zst" | "tzst" => Self::Zstd,
            "bz2" | "tz2" | "tbz2" | "tbz" => Self::Bzip2,
            "lz" => Self::Lzip,
            "lzo" => Self::Lzop,
            "Z" | "taZ" => Self::Compress,
            _ => Self::Plain,
        }
    }

    /// By the first bytes of a file.
    pub fn of_content(head: &[u8]) -> Self {
        const MAGIC: [(&[u8], Format); 8] = [
            (b"\x1f\x8b", Format::Gzip),
            (b"\xfd7zXZ\0", Format::Xz),
            // lzma has no magic number; this is how a file begins that any usual encoder wrote.
            (b"\x5d\0\0", Format::Lzma),
            (b"\x28\xb5\x2f\xfd", Format::Zstd),
            (b"BZh", Format::Bzip2),
            (b"LZIP", Format::Lzip),
            (b"\x89LZO\0", Format::Lzop),
            (b"\x1f\x9d", Format::Compress),
        ];
        MAGIC.iter().find(|(magic, _)| head.starts_with(magic)).map_or(Self::Plain, |(_, format)| *format)
    }

    /// The program for a format that is not worth a crate, as it packs or unpacks from standard input
    /// to standard output.
    fn program(self, packs: bool) -> Option<Process> {
        let (name, unpack) = match self {
            Self::Bzip2 => ("bzip2", "-dc"),
            Self::Lzip => ("lzip", "-dc"),
            Self::Lzop => ("lzop", "-dc"),
            // gzip reads what compress wrote, and is everywhere.
            Self::Compress if packs => ("compress", ""),
            Self::Compress => ("gzip", "-dc"),
            _ => return None,
        };
        Some(Process::new(name).arg(if packs { "-c" } else { unpack }))
    }
}

/// The uncompressed bytes of an archive.
///
/// # Errors
/// When it cannot be read, or its format needs a program that is not installed.
pub fn open(mut file: File) -> Result<Box<dyn Read>, ProcessError> {
    let reading = |source| ProcessError::Failed { program: "the archive".into(), source };
    let mut head = Vec::new();
    Read::by_ref(&mut file).take(8).read_to_end(&mut head).map_err(reading)?;
    file.rewind().map_err(reading)?;
    let format = Format::of_content(&head);
    if let Some(program) = format.program(false) {
        return Ok(Box::new(Filtered::start(&program, file)?));
    }
    decompress_within(file, Memory::ToUnpack).map_err(reading)
}

/// The uncompressed bytes of what is part of a file, without the help of a program.
///
/// # Errors
/// When it cannot be read, is in a format that needs a program, or asks for more memory.
pub fn decompress_within(input: impl Read + 'static, memory: Memory) -> io::Result<Box<dyn Read>> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let format = Format::of_content(input.fill_buf()?);
    Ok(match format {
        Format::Plain => Box::new(input),
        Format::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Format::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(input, true, memory.of_lzma())),
        Format::Lzma => Box::new(lzma_rust2::LzmaReader::new_mem_limit(input, memory.of_lzma(), None)?),
        Format::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(memory.of_zstd())?;
            Box::new(decoder)
        }
        Format::Bzip2 | Format::Lzip | Format::Lzop | Format::Compress => {
            let text = format!("it is compressed with {format:?}, which is not supported");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
    })
}

/// What a program makes of a file. Its failure is an error of the last read.
struct Filtered {
    child: Child,
    output: ChildStdout,
    name: String,
}

impl Filtered {
    fn start(program: &Process, input: File) -> Result<Self, ProcessError> {
        let (child, output) = program.reading(input)?;
        Ok(Self { child, output, name: program.text() })
    }
}

impl Read for Filtered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.output.read(buffer)?;
        if got == 0 && !buffer.is_empty() {
            ended(&mut self.child, &self.name)?;
        }
        Ok(got)
    }
}

impl Drop for Filtered {
    fn drop(&mut self) {
        // One that has ended is not there to be killed; one whose reader gave up would wait for ever.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ended(child: &mut Child, name: &str) -> io::Result<()> {
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{name} failed ({status})"))) }
}

/// Takes the bytes of an archive and writes them compressed into a file.
pub struct Packer(Kind);

enum Kind {
    Plain(BufWriter<File>),
    Gzip(flate2::write::GzEncoder<BufWriter<File>>),
    Xz(Box<lzma_rust2::XzWriter<BufWriter<File>>>),
    Lzma(Box<lzma_rust2::LzmaWriter<BufWriter<File>>>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<File>>),
    Program { child: Child, input: Option<ChildStdin>, name: String },
}

impl Packer {
    /// Begins an archive. The levels are those that the programs of these names have by default.
    ///
    /// # Errors
    /// When the format needs a program that is not installed.
    pub fn new(file: File, format: Format) -> Result<Self, ProcessError> {
        let writing = |source| ProcessError::Failed { program: "the compressor".into(), source };
        if let Some(program) = format.program(true) {
            let (child, input) = program.writing(file)?;
            return Ok(Self(Kind::Program { child, input: Some(input), name: program.text() }));
        }
        let out = BufWriter::with_capacity(1 << 16, file);
        Ok(Self(match format {
            Format::Gzip => Kind::Gzip(flate2::write::GzEncoder::new(out, flate2::Compression::default())),
            Format::Xz => {
                let writer = lzma_rust2::XzWriter::new(out, lzma_rust2::XzOptions::with_preset(6));
                Kind::Xz(Box::new(writer.map_err(writing)?))
            }
            Format::Lzma => {
                let options = lzma_rust2::LzmaOptions::with_preset(6);
                let writer = lzma_rust2::LzmaWriter::new_use_header(out, &options, None);
                Kind::Lzma(Box::new(writer.map_err(writing)?))
            }
            Format::Zstd => Kind::Zstd(zstd::stream::write::Encoder::new(out, 3).map_err(writing)?),
            _ => Kind::Plain(out),
        }))
    }

    /// Writes what is left. The file is complete afterwards, but not yet on disk.
    ///
    /// # Errors
    /// When something cannot be written, or the program that compresses failed.
    pub fn finish(self) -> io::Result<()> {
        match self.0 {
            Kind::Plain(mut out) => out.flush(),
            Kind::Gzip(out) => out.finish()?.flush(),
            Kind::Xz(out) => out.finish()?.flush(),
            Kind::Lzma(out) => out.finish()?.flush(),
            Kind::Zstd(out) => out.finish()?.flush(),
            Kind::Program { mut child, input, name } => {
                drop(input);
                ended(&mut child, &name)
            }
        }
    }
}

impl Write for Packer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Plain(out) => out.write(bytes),
            Kind::Gzip(out) => out.write(bytes),
            Kind::Xz(out) => out.write(bytes),
            Kind::Lzma(out) => out.write(bytes),
            Kind::Zstd(out) => out.write(bytes),
            Kind::Program { input: Some(input), .. } => input.write(bytes),
            Kind::Program { .. } => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Plain(out) => out.flush(),
            Kind::Gzip(out) => out.flush(),
            // These end a block for each flush: a worse archive for nothing.
            Kind::Xz(_) | Kind::Lzma(_) | Kind::Zstd(_) | Kind::Program { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::find_program;

    const NAMES: [(&str, Format); 12] = [
        ("a.tar", Format::Plain),
        ("a.dkms.tar.gz", Format::Gzip),
        ("a.tgz", Format::Gzip),
        ("a.tar.xz", Format::Xz),
        ("a.tar.lzma", Format::Lzma),
        ("a.tar.zst", Format::Zstd),
        ("a.tar.bz2", Format::Bzip2),
        ("a.tar.lz", Format::Lzip),
        ("a.tar.lzo", Format::Lzop),
        ("a.tar.Z", Format::Compress),
        ("a.zip", Format::Plain),
        ("gz", Format::Plain),
    ];

    #[test]
    fn what_is_packed_by_name_is_unpacked_by_content() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..40_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        for (name, format) in NAMES {
            let path = dir.path().join(name);
            assert_eq!(Format::of_name(&path), format, "{name}");
            let needed = [true, false].map(|packs| format.program(packs));
            if needed
                .iter()
                .flatten()
                .any(|program| find_program(program.text().split(' ').next().unwrap()).is_none())
            {
                eprintln!("skipped: {name}: its program is not installed");
                continue;
            }
            let mut packer = Packer::new(File::create(&path).unwrap(), format).unwrap();
            packer.write_all(&bytes).unwrap();
            packer.finish().unwrap();
            let head = std::fs::read(&path).unwrap();
            assert_eq!(Format::of_content(&head), format, "{name}");
            let mut back = Vec::new();
            open(File::open(&path).unwrap()).unwrap().read_to_end(&mut back).unwrap();
            assert!(back == bytes, "{name}");
            // A reader that gives up leaves nothing that waits.
            open(File::open(&path).unwrap()).unwrap().read_exact(&mut [0; 16]).unwrap();
        }
    }

    #[test]
    fn damage_is_an_error_in_every_format() {
        let dir = tempfile::tempdir().unwrap();
        for (name, format) in NAMES {
            let available = format
                .program(true)
                .is_none_or(|program| find_program(program.text().split(' ').next().unwrap()).is_some());
            if matches!(format, Format::Plain | Format::Compress) || !available {
                continue;
            }
            let path = dir.path().join(name);
            let mut packer = Packer::new(File::create(&path).unwrap(), format).unwrap();
            packer.write_all(&[7; 100_000]).unwrap();
            packer.finish().unwrap();
            let length = std::fs::metadata(&path).unwrap().len();
            File::options().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
            let read = open(File::open(&path).unwrap()).map(|mut r| io::copy(&mut r, &mut io::sink()));
            assert!(!matches!(read, Ok(Ok(_))), "{name}");
        }
    }
}
