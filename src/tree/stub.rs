//! Directories that stand in for a source that nobody gave us.

use std::path::Path;

/// A file that marks `S/m-v` as standing in for a source that nobody gave us: it and the dkms.conf of
/// an archive of binaries are all there is. DKMS registers such an entry in a form that it then does
/// not see itself; a directory with a dkms.conf is a source like any other to both programs, except
/// that nothing can be built from it.
pub const STUB: &str = ".dkms-hook-binaries-only";

/// Whether a source directory only stands in for a source. One into which a package has put the real
/// source since does not.
pub fn is_stub(dir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.iter().any(|name| name == STUB) && names.iter().all(|name| name == STUB || name == "dkms.conf")
}
