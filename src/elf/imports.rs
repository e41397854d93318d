//! What a module needs of the kernel that loads it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use object::{Object, ObjectSymbol};

use super::modinfo::ModInfoError;
use super::{Compression, imported_versions, modinfo_of_bytes, without_signature};
use crate::fs::regular;

/// What a module needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imports {
    /// The kernel release and options that it was built for; empty when it says nothing.
    pub vermagic: String,
    /// The CRC of every symbol that it imports; `None` when it was built without symbol versions.
    pub versions: Option<BTreeMap<String, u32>>,
    /// Names that it leaves for the kernel to resolve. A weak one may stay unresolved, and is not here.
    pub undefined: BTreeSet<String>,
}

/// Reads a module file, plain or compressed.
///
/// # Errors
/// As [`super::modinfo`].
pub fn imports(path: &Path) -> Result<Imports, ModInfoError> {
    let unreadable = |source| ModInfoError::Unreadable { path: path.to_path_buf(), source };
    let bytes = regular::read_module(path).map_err(unreadable)?;
    let bytes = Compression::of(path).unwrap_or(Compression::None).unpack(bytes).map_err(unreadable)?;
    of_bytes(&bytes).map_err(|why| ModInfoError::NotAModule { path: path.to_path_buf(), why })
}

pub(super) fn of_bytes(bytes: &[u8]) -> Result<Imports, String> {
    let vermagic = modinfo_of_bytes(bytes)?.vermagic.unwrap_or_default();
    let versions = imported_versions(bytes)?;
    let elf = object::File::parse(without_signature(bytes)).map_err(|_| "not an ELF file".to_owned())?;
    let undefined = elf.symbols().filter(|s| s.is_undefined() && s.is_global() && !s.is_weak());
    let names = undefined.filter_map(|s| s.name().ok()).filter(|name| !name.is_empty());
    // On ppc64 a function's name may begin with a dot, which the kernel leaves out.
    let undefined = names.map(|name| name.trim_start_matches('.').to_owned()).collect();
    Ok(Imports { vermagic, versions, undefined })
}
