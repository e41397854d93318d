//! Reading module files, on all processors where there are many.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::kmod::Kmod;
use super::module::Said;
use super::odd::{Odd, odd};
use super::search::{Candidate, Stamp};
use crate::elf::Compression;
use crate::fs::regular;

/// Reads what these module files below a kernel's directory say, in their order.
pub(super) fn all(dir: &Path, files: &[&Candidate], kmod: Kmod) -> Vec<Result<Said, Odd>> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    // A thread for a few files costs more than it saves.
    let threads = processors.min(files.len() / 8 + 1);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        let mut buffers = Buffers::default();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(file) = files.get(at) else { break };
            done.push((at, one(dir, file, kmod, &mut buffers)));
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

/// Room for one file after the other, packed and unpacked.
#[derive(Default)]
struct Buffers {
    packed: Vec<u8>,
    unpacked: Vec<u8>,
}

/// The largest buffer that is kept for the next file, in bytes: nearly all modules need less.
const KEPT: usize = 2 << 20;

/// Files that unpack to more than some megabytes are read one at a time: there are few, and memory is short where it
/// is short.
static LARGE: Mutex<()> = Mutex::new(());

/// The size of a file that unpacks to much, in bytes.
const MUCH: u64 = 400 << 10;

/// Reads one file.
fn one(dir: &Path, file: &Candidate, kmod: Kmod, buffers: &mut Buffers) -> Result<Said, Odd> {
    let path = dir.join(OsStr::from_bytes(&file.path));
    let doing = |error: std::io::Error| odd(error.to_string()).of(path.display());
    let Buffers { packed, unpacked } = buffers;
    packed.clear();
    unpacked.clear();
    let _alone = (file.stamp.size > MUCH).then(|| LARGE.lock());
    let mut opened = regular::open(&path).map_err(doing)?;
    packed.reserve_exact(usize::try_from(file.stamp.size).unwrap_or_default().saturating_add(1));
    opened.read_to_end(packed).map_err(doing)?;
    if Stamp::of(&opened.metadata().map_err(doing)?) != file.stamp {
        return Err(odd("it changes while it is being read").of(path.display()));
    }
    // By what is in it: its name may say something else.
    let kind = match packed.as_slice() {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] if kmod.xz => Compression::Xz,
        [0x28, 0xb5, 0x2f, 0xfd, ..] if kmod.zstd => Compression::Zstd,
        [0x1f, 0x8b, ..] if kmod.gzip => Compression::Gzip,
        _ => Compression::None,
    };
    if kind == Compression::Zstd && !is_one_frame(packed) {
        return Err(odd("not every kmod can read how it is compressed").of(path.display()));
    }
    let said = match kind {
        Compression::None => Said::of(packed),
        kind => kind.unpack_into(packed, unpacked).map_err(doing).and_then(|()| Said::of(unpacked)),
    };
    packed.shrink_to(KEPT);
    unpacked.shrink_to(KEPT);
    said.map_err(|odd| if odd.what.is_empty() { odd.of(path.display()) } else { odd })
}

/// Whether bytes are one frame of zstd that says its size.
fn is_one_frame(packed: &[u8]) -> bool {
    let says = matches!(zstd::zstd_safe::get_frame_content_size(packed), Ok(Some(_)));
    says && zstd::zstd_safe::find_frame_compressed_size(packed).is_ok_and(|size| size == packed.len())
}
