//! Kernels that are gone, and module versions that a person takes out.

use super::planner::Planner;
use super::{Action, Duty, Note, Reason};
use crate::ids::{Arch, Cell, KernelRelease, ModuleId};
use crate::record::KernelNote;
use crate::system::{CellView, Source};

impl Planner<'_> {
    /// Everything of ours for a kernel goes.
    pub(super) fn purge_kernel(&mut self, kernel: &KernelRelease, reason: Reason) {
        self.scope.insert(kernel.clone());
        let cells: Vec<Cell> = self.system.cells.keys().filter(|c| c.kernel == *kernel).cloned().collect();
        let mut leftovers = false;
        for cell in cells {
            leftovers |= self.drop_cell(&cell, &reason, true);
        }
        let known = self.system.kernels.get(kernel);
        let residue = known.is_some_and(|k| k.residue);
        // The tombstone of a kernel whose files are still there must survive; everything else
        // that is remembered about it goes.
        let noted = known.is_some_and(|k| {
            let keep = KernelNote { removed: k.note.removed && k.image, ..KernelNote::default() };
            k.note != keep
        });
        if residue || noted || leftovers {
            self.sweep.insert(kernel.clone(), reason);
        }
    }

    /// A kernel that nobody boots has nothing installed. Its builds stay: reinstalling an rpm removes
    /// the boot entry and adds it again, and nothing is to be built for that.
    pub(super) fn without_boot_entry(&mut self, kernel: &KernelRelease) {
        let installed: Vec<Cell> = self
            .system
            .cells
            .iter()
            .filter(|(cell, view)| cell.kernel == *kernel && view.installed)
            .map(|(cell, _)| cell.clone())
            .collect();
        for cell in installed {
            self.step(Action::Uninstall { cell }, Reason::BootEntryRemoved, Vec::new());
        }
        if self.system.kernels[kernel].note.waiting.is_some() {
            self.settle(kernel, Duty::Headers);
        }
        if self.system.modules.values().any(|source| *source == Source::Added) {
            self.note(Note::NoBootEntry { kernel: kernel.clone() });
        }
    }

    /// True when an on-request build for a kernel without an image is to be kept. One out of an archive
    /// may wait for a kernel of which nothing is here yet.
    pub(super) fn kept_on_request(&self, cell: &Cell) -> bool {
        if !self.options.kernel_left && self.view(cell).is_some_and(|view| view.loaded.is_some()) {
            return true;
        }
        let headers = self.system.kernels.get(&cell.kernel).is_some_and(|k| k.headers);
        let asked = |view: &CellView| match &view.record {
            Some(record) => record.without_image,
            None => !self.options.kernel_left,
        };
        headers && self.view(cell).is_some_and(asked)
    }

    /// Uninstalls and deletes one build; true when there was anything, a verdict included.
    fn drop_cell(&mut self, cell: &Cell, reason: &Reason, even_verdict: bool) -> bool {
        let Some(view) = self.view(cell) else { return false };
        let mut needs = Vec::new();
        if view.installed {
            needs.push(self.step(Action::Uninstall { cell: cell.clone() }, reason.clone(), Vec::new()));
        }
        if view.built || view.installed {
            self.step(Action::Unbuild { cell: cell.clone() }, reason.clone(), needs);
            return true;
        }
        even_verdict && view.verdict.is_some()
    }

    /// `dkms remove`.
    pub(super) fn remove(&mut self, module: &ModuleId, cells: &[(KernelRelease, Arch)]) {
        if !self.system.modules.contains_key(module) {
            self.note(Note::NotAdded { module: module.clone() });
            return;
        }
        for (kernel, arch) in cells {
            let cell = Cell { module: module.clone(), kernel: kernel.clone(), arch: arch.clone() };
            self.scope.insert(kernel.clone());
            match self.view(&cell).map(|v| (v.installed, v.built)) {
                Some((_, true)) | Some((true, _)) => {
                    self.drop_cell(&cell, &Reason::Asked, false);
                }
                _ => self.note(Note::NotBuilt { cell }),
            }
        }
        let others = self.system.cells.iter().any(|(c, v)| {
            c.module == *module && v.built && !cells.iter().any(|(k, a)| *k == c.kernel && *a == c.arch)
        });
        if !others {
            // Only when every build is gone: a step that failed keeps the entry.
            let needs = self.unbuild_steps();
            self.step(Action::Forget { module: module.clone() }, Reason::Asked, needs);
        }
    }
}
