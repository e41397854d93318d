//! Builds that failed by their source: an older version of the module may come in their place, by another plan of the
//! same run.

use std::collections::BTreeSet;

use super::Executor;
use crate::model::ids::{Cell, KernelRelease, ModuleId};
use crate::model::system::Source;
use crate::model::version;

impl Executor<'_> {
    /// Whether a build of this run should be signed and is not.
    pub fn is_unsigned(&self) -> bool {
        self.unsigned.get()
    }

    /// Builds of this run in whose place an older version of the module may come, by another plan.
    pub fn behind(self) -> BTreeSet<Cell> {
        self.behind.into_inner()
    }

    /// True when another plan of this run will bring modules for a kernel.
    pub(super) fn is_to_change(&self, kernel: &KernelRelease) -> bool {
        self.behind.borrow().iter().any(|cell| cell.kernel == *kernel)
    }

    /// Notes that a build failed by its source, if there is an older version that may be tried instead.
    pub(super) fn falls_behind(&self, cell: &Cell) {
        let older = |(id, source): (&ModuleId, &Source)| {
            id.name == cell.module.name
                && *source == Source::Added
                && version::compare(id.version.as_str(), cell.module.version.as_str()).is_lt()
        };
        if self.tries_older && self.system.modules.iter().any(older) {
            self.behind.borrow_mut().insert(cell.clone());
        }
    }
}
