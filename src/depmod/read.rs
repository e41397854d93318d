//! Reading module files, on all processors where there are many.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::kmod::Kmod;
use super::module::Said;
use super::odd::{Odd, odd};
use super::search::{Candidate, Stamp};
use crate::elf::Compression;

/// Reads what these module files below a kernel's directory say, in their order.
pub(super) fn all(dir: &Path, files: &[&Candidate], kmod: Kmod) -> Vec<Result<Said, Odd>> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    // A thread for a few files costs more than it saves.
    let threads = processors.min(files.len() / 8 + 1);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        let mut buffer = Vec::new();
        while let Some(file) = files.get(next.load(Ordering::Relaxed)).and_then(|_| {
            let at = next.fetch_add(1, Ordering::Relaxed);
            files.get(at).map(|file| (at, file))
        }) {
            let (at, file) = file;
            done.push((at, one(dir, file, kmod, &mut buffer)));
        }
        done
    };
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            done.extend(other.join().unwrap_or_default());
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, said)| said).collect()
}

/// Reads one file. The buffer is only there to be used again.
fn one(dir: &Path, file: &Candidate, kmod: Kmod, buffer: &mut Vec<u8>) -> Result<Said, Odd> {
    let path = dir.join(OsStr::from_bytes(&file.path));
    let doing = |error: std::io::Error| odd(error.to_string()).of(path.display());
    let mut opened = std::fs::File::open(&path).map_err(doing)?;
    buffer.clear();
    opened.read_to_end(buffer).map_err(doing)?;
    if Stamp::of(&opened.metadata().map_err(doing)?) != file.stamp {
        return Err(odd("it changes while it is being read").of(path.display()));
    }
    // By what is in it: its name may say something else.
    let kind = match buffer.as_slice() {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] if kmod.xz => Compression::Xz,
        [0x28, 0xb5, 0x2f, 0xfd, ..] if kmod.zstd => Compression::Zstd,
        [0x1f, 0x8b, ..] if kmod.gzip => Compression::Gzip,
        _ => return Said::of(buffer).map_err(|odd| odd.of(path.display())),
    };
    let unpacked = kind.unpack(std::mem::take(buffer)).map_err(doing)?;
    Said::of(&unpacked).map_err(|odd| odd.of(path.display()))
}
