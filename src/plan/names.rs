//! Names of modules that the steps of a plan install.

use std::collections::HashMap;

use crate::model::ids::{Arch, Cell, KernelRelease};

/// The modules that steps install, by their names. It is filled when the first asks.
#[derive(Debug, Default)]
pub(super) struct NamesToCome {
    /// So many steps were looked at.
    pub steps: usize,
    /// By kernel, architecture and name: the steps, and for which cells they are.
    pub of: HashMap<(KernelRelease, Arch, String), Vec<(usize, Cell)>>,
}
