//! Before a kernel is installed: can the modules of this machine be built for it?
//!
//! They are built, as they will be afterwards, where nobody else sees it; docs/design/preflight.md says how. The
//! administrator says what becomes of a transaction with a kernel for which one cannot.

mod choices;
mod decide;
mod ground;
mod headers;
mod module_file;
mod packages;
mod place;

pub use decide::{Decision, decide};
pub use ground::Hindrance;
pub use headers::{fits_headers, release_of};
pub use module_file::{Against, fits_file};
pub use packages::fits_packages;
