//! Before a transaction: whether what it brings may be installed.

use std::path::PathBuf;

use crate::machine::Machine;
use crate::packages::Transaction;
use crate::progress::Report;

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
