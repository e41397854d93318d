//! What a kernel module file says about itself.
//!
//! Reads `.ko` files, plain or compressed the way kernels compress them, without starting a
//! process. Knows nothing of cells or of how a module came to be.

mod compression;
mod file_name;
mod imports;
mod modinfo;
mod signature;
mod symbol_versions;
mod whole;
mod xz;

pub use compression::Compression;
pub use file_name::{is_module, module_name, module_stem};
pub use imports::{Imports, imports};
pub use modinfo::{ModInfo, ModInfoError, modinfo, modinfo_of_bytes};
pub use signature::{Appended, appended, has_signature, without_signature};
pub use symbol_versions::imported_versions;
#[cfg(test)]
pub(crate) use symbol_versions::tests::elf as sample;
pub use whole::{check_same_load, check_whole};
