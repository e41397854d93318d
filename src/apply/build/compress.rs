//! Compression of built modules, as `Makefile.modinst` of the kernel does it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::elf::Compression;
use crate::fs::regular;
use crate::fs::workbench::Workbench;
use crate::model::settings::Settings;
use crate::process::{Output, Process};

/// Bytes of history that the kernel's own xz decoder is set up for (`--lzma2=dict=1MiB` in
/// scripts/Makefile.modinst).
const XZ_DICTIONARY: u32 = 1 << 20;

/// Compresses the content of a module as `Makefile.modinst` of the kernel does: no time stamps, and
/// for xz the CRC32 check and dictionary size that the kernel's decoder can handle.
///
/// # Errors
/// Only when memory runs out or the encoder is at fault.
pub fn pack(kind: Compression, bytes: &[u8]) -> io::Result<Vec<u8>> {
    match kind {
        Compression::None => Ok(bytes.to_vec()),
        Compression::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            out.write_all(bytes)?;
            out.finish()
        }
        Compression::Xz => {
            let mut options = lzma_rust2::XzOptions::with_preset(6);
            options.set_check_sum_type(lzma_rust2::CheckType::Crc32);
            options.lzma_options.dict_size = XZ_DICTIONARY;
            let mut out = lzma_rust2::XzWriter::new(Vec::new(), options)?;
            out.write_all(bytes)?;
            Ok(out.finish()?)
        }
        Compression::Zstd => {
            let mut out = zstd::stream::write::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL)?;
            out.include_checksum(true)?;
            // kmod refuses a frame that does not say its size (findings/kmod-zstd-without-size.sh).
            out.set_pledged_src_size(Some(bytes.len() as u64))?;
            out.write_all(bytes)?;
            out.finish()
        }
    }
}

/// Compresses a `.ko` file in place: the result takes its place beside it under the longer name. Returns its path.
/// Options in framework.conf call for the program that they are options of; when it is missing or
/// fails, a warning says so and we compress ourselves.
///
/// # Errors
/// When a file cannot be read or written.
pub fn pack_file(
    plain: &Path,
    kind: Compression,
    settings: &Settings,
    warnings: &mut Vec<String>,
) -> io::Result<PathBuf> {
    let (program, options) = match kind {
        Compression::None => return Ok(plain.to_path_buf()),
        Compression::Gzip => ("gzip", &settings.compress_gzip_opts),
        Compression::Xz => ("xz", &settings.compress_xz_opts),
        Compression::Zstd => ("zstd", &settings.compress_zstd_opts),
    };
    let packed = plain.with_extension(kind.suffix().trim_start_matches('.'));
    let bytes = regular::read_module(plain)?;
    if let Some(options) = &**options {
        let run = Process::new(program).args(options.split_whitespace()).arg("-f");
        match pack_by_program(run.within(*settings.limits.tool), plain, &packed, kind, &bytes)? {
            None => {
                std::fs::remove_file(plain)?;
                return Ok(packed);
            }
            Some(warning) => warnings.push(warning),
        }
    }
    regular::write(&packed, &pack(kind, &bytes)?)?;
    std::fs::remove_file(plain)?;
    Ok(packed)
}

/// Lets a program compress a copy of a file, and takes what it makes of it if that is right; otherwise says what is
/// wrong.
fn pack_by_program(
    run: Process,
    plain: &Path,
    packed: &Path,
    kind: Compression,
    bytes: &[u8],
) -> io::Result<Option<String>> {
    let bench = Workbench::beside(plain)?;
    let run = run.arg(bench.fill()?);
    let made = bench.place(packed.file_name().unwrap_or_default());
    Ok(match run.run(Output::Null) {
        Ok(0) => match regular::read_module(&made).and_then(|made| kind.unpack(made)) {
            Ok(unpacked) if unpacked == bytes => {
                bench.take(&made, packed)?;
                None
            }
            Ok(_) => Some(format!("`{}` made something else of it; it is compressed without it", run.text())),
            Err(error) => Some(format!("what `{}` made cannot be used: {error}", run.text())),
        },
        Ok(status) => Some(format!("`{}` failed with exit status {status}", run.text())),
        Err(error) => Some(format!("cannot compress with these options: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_unpacks_to_what_went_in() {
        let bytes: Vec<u8> = (0..300_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        for kind in Compression::ALL {
            let packed = pack(kind, &bytes).unwrap();
            assert!(kind == Compression::None || packed.len() < bytes.len() / 2, "{kind:?}");
            assert!(kind.unpack(packed).unwrap() == bytes, "{kind:?}");
        }
    }

    #[test]
    fn xz_has_the_check_that_the_kernel_can_do() {
        let packed = pack(Compression::Xz, b"module").unwrap();
        // Stream flags of the xz file format, section 2.1.1.2: 0x01 is CRC32.
        assert_eq!(packed[..8], [0xfd, b'7', b'z', b'X', b'Z', 0, 0, 1]);
    }

    #[test]
    fn gzip_has_no_time_stamp() {
        assert_eq!(pack(Compression::Gzip, b"module").unwrap()[4..8], [0, 0, 0, 0]);
    }

    static PACKED: LazyLock<Vec<(Compression, Vec<u8>)>> = LazyLock::new(|| {
        let plain: Vec<u8> = (0..2000u32).flat_map(|n| (n * n / 7).to_le_bytes()).collect();
        let kinds = [Compression::Gzip, Compression::Xz, Compression::Zstd];
        kinds.into_iter().map(|kind| (kind, pack(kind, &plain).unwrap())).collect()
    });

    proptest! {
        /// Whatever the bytes: an answer.
        #[test]
        fn damage_anywhere_is_an_answer(
            changes in proptest::collection::vec((0..8192usize, any::<u8>()), 1..5),
            cut in 0..8192usize,
        ) {
            for (kind, packed) in &*PACKED {
                let mut bytes = packed.clone();
                for (at, byte) in &changes {
                    let at = at % bytes.len();
                    bytes[at] = *byte;
                }
                let _ = kind.unpack(bytes);
                prop_assert!(kind.unpack(packed[..cut % packed.len()].to_vec()).is_err());
            }
        }
    }
}
