//! Where types are kept: a file of nothing else, or a section of a kernel or a module.

use std::io::{Error, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use object::{Object, ObjectSection, ReadCache};

use super::table::Btf;
use crate::elf::{Compression, without_signature};
use crate::fs::regular;

/// The section.
const SECTION: &str = ".BTF";
/// The part of the kernel's types that a module of another build was made with: names and sizes only.
const BASE: &str = ".BTF.base";

/// More than this is no table of types: those of a whole kernel have 7 MiB.
const LARGEST: u64 = 256 << 20;

/// The types of a file that stand for themselves: a kernel's `vmlinux`, whatever else is in it, or a file of nothing
/// else. Only the section is read.
///
/// # Errors
/// When it cannot be read, has no types, or they are damaged.
pub fn read(path: &Path) -> Result<Btf, Error> {
    let mut file = regular::open(path)?;
    let mut magic = [0; 4];
    file.read_exact(&mut magic)?;
    file.rewind()?;
    let bytes = if magic == *b"\x7fELF" {
        let cache = ReadCache::new(file);
        section(&object::File::parse(&cache).map_err(other)?, SECTION)?
            .ok_or_else(|| other("it has no types"))?
    } else {
        let mut bytes = Vec::new();
        file.take(LARGEST).read_to_end(&mut bytes)?;
        bytes
    };
    Btf::parse(&bytes, None).map_err(other)
}

/// The types of a module that came with a kernel, in front of which stand those of the kernel. `None` where it
/// has none.
///
/// # Errors
/// When it cannot be read, is of another kernel, or its types are damaged.
pub fn read_split(path: &Path, kernel: &Arc<Btf>) -> Result<Option<Btf>, Error> {
    let bytes = unpacked(path)?;
    let elf = object::File::parse(without_signature(&bytes)).map_err(other)?;
    if elf.section_by_name(BASE).is_some() {
        return Err(other("it was not built with this kernel"));
    }
    let Some(section) = section(&elf, SECTION)? else { return Ok(None) };
    let table = Btf::parse(&section, Some(Arc::clone(kernel))).map_err(other)?;
    match table.is_of_its_base() {
        true => Ok(Some(table)),
        false => Err(other("its types do not go with those of the kernel")),
    }
}

/// The names and sizes of the kernel's types that a module names, as the kernel checks them when it loads the
/// module; `None` where the module does not say.
///
/// # Errors
/// When it cannot be read, or is damaged.
pub fn based_on(path: &Path) -> Result<Option<Btf>, Error> {
    let bytes = unpacked(path)?;
    let elf = object::File::parse(without_signature(&bytes)).map_err(other)?;
    let Some(section) = section(&elf, BASE)? else { return Ok(None) };
    Btf::parse(&section, None).map(Some).map_err(other)
}

/// The content of a section.
fn section<'a>(
    elf: &object::File<'a, impl object::ReadRef<'a>>,
    name: &str,
) -> Result<Option<Vec<u8>>, Error> {
    let Some(section) = elf.section_by_name(name) else { return Ok(None) };
    if section.size() > LARGEST {
        return Err(other("it is too large"));
    }
    Ok(Some(section.data().map_err(other)?.to_vec()))
}

fn unpacked(path: &Path) -> Result<Vec<u8>, Error> {
    Compression::of(path).unwrap_or(Compression::None).unpack(regular::read_module(path)?)
}

fn other(why: impl ToString) -> Error {
    Error::other(why.to_string())
}
