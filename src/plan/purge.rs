//! Kernels that are gone, and module versions that a person takes out.

use std::rc::Rc;

use super::planner::Planner;
use super::{Action, Duty, Note, Reason};
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId};
use crate::model::record::KernelNote;
use crate::model::system::CellView;
use crate::model::system::Source;

impl Planner<'_> {
    /// Everything of ours for a kernel goes.
    pub(super) fn purge_kernel(&mut self, kernel: &KernelRelease, reason: Reason) {
        self.scope.insert(kernel.clone());
        let mut leftovers = false;
        for known in Rc::clone(&self.index).of_kernel(kernel) {
            leftovers |= self.drop_cell(known.cell, known.view, &reason, true);
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
        let index = Rc::clone(&self.index);
        for known in index.of_kernel(kernel).iter().filter(|known| known.view.installed) {
            let action = Action::Uninstall { cell: known.cell.clone() };
            self.step(action, Reason::BootEntryRemoved, Vec::new());
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
    pub(super) fn kept_on_request(&self, cell: &Cell, view: &CellView) -> bool {
        if !self.options.kernel_left && view.loaded.is_some() {
            return true;
        }
        let headers = self.system.kernels.get(&cell.kernel).is_some_and(|k| k.headers);
        let asked = |view: &CellView| match &view.record {
            Some(record) => record.without_image,
            None => !self.options.kernel_left,
        };
        headers && asked(view)
    }

    /// Uninstalls and deletes one build; true when there was anything, a verdict included.
    fn drop_cell(&mut self, cell: &Cell, view: &CellView, reason: &Reason, even_verdict: bool) -> bool {
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
        self.by_name = true;
        if !self.system.modules.contains_key(module) {
            self.note(Note::NotAdded { module: module.clone() });
            return;
        }
        for (kernel, arch) in cells {
            let cell = Cell { module: module.clone(), kernel: kernel.clone(), arch: arch.clone() };
            self.scope.insert(kernel.clone());
            match self.view(&cell) {
                Some(view) if view.built || view.installed => {
                    self.drop_cell(&cell, view, &Reason::Asked, false);
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
