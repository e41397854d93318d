//! Builds that failed because a file system is full.
//!
//! What said so may be lost: gcc removes what it could not finish, and its message had no room either. So it is looked
//! at how much room there is, and a build that left none gives back what it took.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::Failure;
use crate::fs::regular;

/// What a person can do.
pub(super) const ADVICE: &str = "free some space on the file system of the module tree";

/// Bytes below which a file system counts as full, if that is no more than a [`PART`] of it. The largest file of a build
/// may not have found room that is free again since.
const LEAST: u64 = 16 << 20;

/// The other measure, for small ones.
const PART: u64 = 16;

/// As many files there have to be room for.
const FILES: u64 = 64;

/// Bytes at the end of a log that are kept where there is little room.
pub(super) const LOG: u64 = 64 << 10;

/// Bytes at the end of a log that are kept and looked at.
pub(super) const LARGE_LOG: u64 = 16 << 20;

/// Whether a file system has no room for a build: that of a directory, or that of temporary files.
pub(super) fn is_full(dir: &Path) -> bool {
    [dir, &std::env::temp_dir()].into_iter().any(no_room)
}

fn no_room(dir: &Path) -> bool {
    // One that cannot be asked says nothing.
    statvfs(dir).is_ok_and(|disk| {
        let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
        let files = disk.files() > 0 && disk.files_available() < FILES;
        lacks(bytes(disk.blocks_available()), bytes(disk.blocks())) || files
    })
}

/// Whether so many bytes of so many are too few.
fn lacks(free: u64, all: u64) -> bool {
    // Some network file systems do not say how large they are.
    all > 0 && free < LEAST.min(all / PART)
}

/// The last bytes of a file, or all of them; nothing where it cannot be read. A build may print a hundred gigabytes.
pub(super) fn end_of(path: &Path, bytes: u64) -> Vec<u8> {
    let mut end = Vec::new();
    let read = regular::open_itself(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
        file.take(bytes).read_to_end(&mut end)
    });
    if let Err(error) = read {
        log::info!("{} could not be read: {error}", path.display());
    }
    end
}

/// Makes it the reason of a failure, and says what becomes of the build directory.
pub(super) fn blame(failure: &mut Failure) {
    (failure.disk_full, failure.toolchain_trouble) = (true, true);
    failure.what.push_str("; a file system is full, so the build directory was deleted");
    failure.hint = Some(ADVICE.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_system_is_not_full_by_its_size() {
        for (free, all, full) in [
            (8 << 20, 8 << 20, false),
            (400 << 10, 8 << 20, true),
            (17 << 20, 1 << 40, false),
            (15 << 20, 1 << 40, true),
            (0, 0, false),
        ] {
            assert_eq!(lacks(free, all), full, "{free} of {all}");
        }
        assert!(!no_room(Path::new("/proc")));
    }
}
