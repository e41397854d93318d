//! Looking at directories and files.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Modification time in nanoseconds since the epoch.
pub fn mtime(meta: &std::fs::Metadata) -> i64 {
    meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec())
}

/// Entries of a directory; none when it cannot be read.
pub fn read_dir(dir: &Path) -> impl Iterator<Item = std::fs::DirEntry> + use<> {
    std::fs::read_dir(dir).into_iter().flatten().flatten()
}
