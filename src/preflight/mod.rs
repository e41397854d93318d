//! Before a kernel is installed: can the modules of this machine be built for it?
//!
//! They are built, as they will be afterwards, where nobody else sees it; docs/design/preflight.md says how.

use std::path::PathBuf;

use crate::machine::Machine;
use crate::packages::Transaction;
use crate::progress::Report;

mod ground;
mod headers;
mod module_file;
mod place;

pub use ground::Hindrance;
pub use headers::{fits_headers, release_of};
pub use module_file::{Against, fits_file};

/// What becomes of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The package manager goes on.
    GoOn,
    /// It is stopped before anything is changed. Why, and what to do, has been told.
    Hold,
}

impl Decision {
    /// The exit status that says so to a package manager's hook file: 3 holds, and nothing else does.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::GoOn => 0,
            Self::Hold => 3,
        }
    }
}

/// Decides about a transaction that concerns kernels, whose packages are in the files `packages`: those of them that
/// were found. Without a policy, everything goes on.
pub fn decide(_: &Machine, _: &Transaction, _packages: &[PathBuf], _: &dyn Report) -> Decision {
    Decision::GoOn
}
