//! Types of a kernel and of its modules as they describe them themselves (BTF, the kernel's own format for
//! debuggers): reading, and digests by which two kernels are compared.
//!
//! What is compared, and why so, is in `docs/design/types.md`. Knows nothing of cells or of builds.

mod digest;
mod file;
mod kernel;
mod kinds;
mod layout;
#[cfg(test)]
#[path = "../../tests/support/type_tables.rs"]
mod sample;
mod table;
#[cfg(test)]
mod tests;
mod uses;

pub use digest::{Digests, RULES};
pub use file::{based_on, read, read_split};
pub use kernel::{KernelTypes, VMLINUX};
pub use kinds::{Kind, Member, Members, Type, Values};
pub use layout::layout;
pub use table::{Btf, Damaged};
pub use uses::{Comparison, compare, refused, uses};
