//! Swapping two directories.

use std::fs;
use std::io;
use std::path::Path;

/// Swaps two directories: at once where the file system can (renameat2(2)), else by way of a third
/// name, with an instant in which `b` does not exist.
pub fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    match exchange_at_once(a, b) {
        Ok(()) => Ok(()),
        Err(_) => exchange_by_turns(a, b),
    }
}

fn exchange_by_turns(a: &Path, b: &Path) -> io::Result<()> {
    let aside = a.with_extension("old");
    fs::rename(b, &aside)?;
    if let Err(error) = fs::rename(a, b) {
        fs::rename(&aside, b)?;
        return Err(error);
    }
    fs::rename(&aside, a)
}

#[cfg(target_env = "gnu")]
fn exchange_at_once(a: &Path, b: &Path) -> io::Result<()> {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    renameat2(AT_FDCWD, a, AT_FDCWD, b, RenameFlags::RENAME_EXCHANGE).map_err(io::Error::from)
}

#[cfg(not(target_env = "gnu"))]
fn exchange_at_once(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exchanging_works_without_the_system_call() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, "a").unwrap();
        fs::create_dir(&b).unwrap();
        exchange_by_turns(&a, &b).unwrap();
        assert!(a.is_dir() && b.is_file());
        assert!(exchange_by_turns(&dir.path().join("missing"), &b).is_err());
        assert!(b.is_file(), "a failed exchange leaves the old one in place");
    }
}
