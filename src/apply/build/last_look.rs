//! The last look at a module before anybody sees it: all programs that touched it have ended.

use std::path::Path;

use crate::elf::{Compression, check_same_load, check_whole, has_signature, modinfo_of_bytes};
use crate::fs::regular;

/// Looks whether a finished module file holds what `plain`, the content that make left, is to load, and whether it
/// bears a signature where it is to.
///
/// # Errors
/// What is wrong with it, in words that follow "it is no whole module:".
pub(in crate::apply) fn finished(
    path: &Path,
    kind: Compression,
    plain: &[u8],
    signed: bool,
) -> Result<(), String> {
    let bytes = content(path, kind)?;
    check_same_load(plain, &bytes)?;
    if signed && !has_signature(&bytes) {
        return Err("its signature is gone".to_owned());
    }
    Ok(())
}

/// Looks at a module that a script of the package may have changed.
///
/// # Errors
/// As [`finished`].
pub(super) fn of_kernel(path: &Path, kind: Compression, kernel: &str) -> Result<(), String> {
    let bytes = content(path, kind)?;
    check_whole(&bytes)?;
    match modinfo_of_bytes(&bytes)?.kernel() {
        Some(found) if found == kernel => Ok(()),
        Some(found) => Err(format!("it is for kernel {found}")),
        None => Err("it is for no kernel".to_owned()),
    }
}

fn content(path: &Path, kind: Compression) -> Result<Vec<u8>, String> {
    regular::read_module(path).and_then(|bytes| kind.unpack(bytes)).map_err(|error| error.to_string())
}
