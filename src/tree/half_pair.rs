//! A certificate whose key never got its place.
//!
//! A key pair is made in a directory beside the certificate, and both files get their places from there: the
//! certificate first, the key last. A run that is killed in between leaves a certificate that is also in that
//! directory. Nobody has signed with its key, so it may be replaced.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::fs::look;
use crate::fs::same::same_content;

/// Start of the names of directories that a pair is made in.
pub const PREFIX: &str = ".mok-";
/// The key in such a directory.
pub const KEY: &str = "key";
/// The certificate in such a directory.
pub const CERTIFICATE: &str = "certificate";

fn is_workshop(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

/// The directories beside a certificate that pairs were made in.
fn workshops(certificate: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let dir = certificate.parent().unwrap_or(Path::new("/"));
    look::read_dir(dir).filter(|entry| is_workshop(&entry.file_name())).map(|entry| entry.path())
}

/// True when a certificate without its key is half of a pair that a killed run was about to put in place.
pub fn is_half(certificate: &Path) -> bool {
    workshops(certificate).any(|workshop| same_content(&workshop.join(CERTIFICATE), certificate))
}

/// Removes such a certificate, and the directories that pairs were made in. The caller holds the lock and knows that
/// the key is not in its place.
///
/// # Errors
/// When the certificate cannot be removed.
pub fn remove(certificate: &Path) -> std::io::Result<()> {
    if is_half(certificate) {
        std::fs::remove_file(certificate)?;
    }
    for workshop in workshops(certificate) {
        let _ = std::fs::remove_dir_all(workshop);
    }
    Ok(())
}

/// True for a directory without which nobody could tell half a pair from one whose key somebody keeps elsewhere.
pub fn tells_of_a_half(dir: &Path) -> bool {
    // A key with a second name has got its place.
    let unplaced = std::fs::symlink_metadata(dir.join(KEY)).is_ok_and(|meta| meta.nlink() == 1);
    let certificate = dir.join(CERTIFICATE);
    let mut beside = look::read_dir(dir.parent().unwrap_or(Path::new("/")));
    dir.file_name().is_some_and(is_workshop)
        && unplaced
        && beside.any(|entry| same_content(&entry.path(), &certificate))
}
