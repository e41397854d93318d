//! The types of one kernel: its own, and those of the modules that came with it, which are read when they are asked
//! for.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::digest::Digests;
use super::file::{read, read_split};
use super::kinds::Kind;
use super::table::{Btf, Damaged};
use crate::elf::Compression;
use crate::model::inside::is_inside;
use crate::model::uses::TypeKind;

/// The owner of what the kernel itself exports and describes.
pub const VMLINUX: &str = "vmlinux";

/// The types of a kernel.
#[derive(Debug)]
pub struct KernelTypes {
    kernel: Arc<Digests>,
    table: Arc<Btf>,
    /// `/lib/modules/K/kernel`.
    modules: PathBuf,
    /// Of modules that were asked for; `None` where they cannot be had.
    read: Mutex<BTreeMap<String, Option<Arc<Digests>>>>,
}

impl KernelTypes {
    /// Reads those of a `vmlinux`. Modules of the same kernel are below `modules`.
    ///
    /// # Errors
    /// When it cannot be read, has no types, or they are damaged.
    pub fn read(vmlinux: &Path, modules: PathBuf) -> io::Result<Self> {
        let table = Arc::new(read(vmlinux)?);
        let kernel = Arc::new(Digests::of(Arc::clone(&table)));
        Ok(Self { kernel, table, modules, read: Mutex::default() })
    }

    /// The types of the kernel itself, or of a module by its path; `None` where those cannot be read.
    pub fn of(&self, owner: &str) -> Option<Arc<Digests>> {
        if owner == VMLINUX {
            return Some(Arc::clone(&self.kernel));
        }
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.get(owner) {
            return known.clone();
        }
        let found = self.read_module(owner).map(|table| Arc::new(Digests::of(Arc::new(table))));
        read.insert(owner.to_owned(), found.clone());
        found
    }

    fn read_module(&self, owner: &str) -> Option<Btf> {
        let inside = is_inside(Path::new(owner));
        let names = Compression::ALL.map(|kind| self.modules.join(format!("{owner}{}", kind.suffix())));
        let path = names.into_iter().find(|path| inside && path.is_file())?;
        read_split(&path, &self.table).unwrap_or_else(|error| {
            log::info!("cannot read the types of {}: {error}", path.display());
            None
        })
    }

    /// The digests of all layouts that an owner describes under a name; with a number by which each is found there.
    ///
    /// # Errors
    /// When the table is damaged.
    pub fn layouts(owner: &Digests, kind: Kind, name: &str) -> Result<Vec<(u64, u32)>, Damaged> {
        owner.btf().find(kind, name.as_bytes()).map(|id| Ok((owner.by_value(id)?, id))).collect()
    }

    /// The digest of the prototype of a symbol; `None` where nobody describes it, or two are described.
    ///
    /// # Errors
    /// When the table is damaged.
    pub fn prototype(owner: &Digests, symbol: &str) -> Result<Option<u64>, Damaged> {
        let found = [Kind::Function, Kind::Variable].into_iter();
        let found: Vec<u32> = found.flat_map(|kind| owner.btf().find(kind, symbol.as_bytes())).collect();
        match found[..] {
            [one] => owner.prototype(one).map(Some),
            _ => Ok(None),
        }
    }
}

impl From<TypeKind> for Kind {
    fn from(kind: TypeKind) -> Self {
        match kind {
            TypeKind::Struct => Self::Struct,
            TypeKind::Union => Self::Union,
            TypeKind::Enum => Self::Enum,
            TypeKind::Typedef => Self::Typedef,
        }
    }
}
