//! Kernels without headers: what is built already is installed, everything else waits.

use std::collections::BTreeSet;

use super::planner::{Planner, Standing};
use super::{Action, Duty, Note, Reason};
use crate::ids::{Cell, KernelRelease, ModuleId, ModuleName};
use crate::system::{CellView, Source};

impl Planner<'_> {
    /// What a kernel that has no headers can have.
    pub(super) fn without_headers(&mut self, kernel: &KernelRelease, retry: bool) {
        let wanted = self.install_what_is_built(kernel, retry);
        let known = &self.system.kernels[kernel];
        if !wanted {
            if known.note.waiting.is_some() {
                self.settle(kernel, Duty::Headers);
            }
            return;
        }
        let package = known.headers_package.clone();
        if known.note.waiting.as_deref() != Some(&package) {
            let action = Action::Wait { kernel: kernel.clone(), package: package.clone() };
            self.step(action, Reason::HeadersMissing, Vec::new());
        }
        self.note(Note::Waiting { kernel: kernel.clone(), package });
    }

    /// Plans the installation of builds that are there and not installed, as an archive may have
    /// brought them. True when there are modules that need the headers.
    pub(super) fn install_what_is_built(&mut self, kernel: &KernelRelease, retry: bool) -> bool {
        let here = self.system.cells.iter().filter(|(c, v)| c.kernel == *kernel && v.installed);
        let installed: BTreeSet<&ModuleName> = here.map(|(cell, _)| &cell.module.name).collect();
        let added = self.system.modules.iter().filter(|(_, source)| **source == Source::Added);
        let missing: BTreeSet<ModuleName> =
            added.map(|(id, _)| id.name.clone()).filter(|name| !installed.contains(name)).collect();
        let mut wanted = false;
        for name in &missing {
            match self.ready_build(name, kernel, retry) {
                Some(cell) => {
                    self.step(Action::Install { cell, force: false }, Reason::NotInstalled, Vec::new());
                }
                None => wanted = true,
            }
        }
        wanted
    }

    /// The newest version of a module that is built for a kernel, if it is to be installed by itself.
    fn ready_build(&self, name: &ModuleName, kernel: &KernelRelease, retry: bool) -> Option<Cell> {
        let arch = self.system.arch.clone()?;
        let added = |id: &&ModuleId| self.system.modules.get(*id) == Some(&Source::Added);
        let mut cells = self.versions(name).into_iter().filter(added).map(|id| Cell {
            module: id.clone(),
            kernel: kernel.clone(),
            arch: arch.clone(),
        });
        let usable = |view: &CellView| matches!(self.standing(view), Standing::Fresh | Standing::Adoptable);
        let automatic = |view: &CellView| match (&view.record, &view.loaded) {
            (Some(record), _) => {
                let facts = &record.facts;
                facts.autoinstall && facts.exclusion.is_none() && (retry || record.refused.is_none())
            }
            (None, Some(loaded)) => loaded.autoinstall,
            // DKMS built it, and nobody knows whether for good.
            (None, None) => false,
        };
        let cell = cells.find(|cell| self.view(cell).is_some_and(usable))?;
        self.view(&cell).is_some_and(automatic).then_some(cell)
    }
}
