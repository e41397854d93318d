//! Kernels that are gone, and module versions that a person takes out.

use std::rc::Rc;

use super::planner::Planner;
use super::{Action, Duty, Note, Reason, Subject};
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId};
use crate::model::record::KernelNote;
use crate::model::system::{CellView, InstallTree, Source};

impl Planner<'_> {
    /// True when a kernel is not on disk, something of it is kept or remembered, and nothing proves that it is
    /// gone: the directory that should hold it could not be looked at, holds no kernel at all, or is
    /// another one than at the last run.
    pub(super) fn is_doubtful(&self, kernel: &KernelRelease) -> bool {
        let Some(known) = self.system.kernels.get(kernel).filter(|known| !known.image) else {
            return false;
        };
        // The package manager that removed a kernel, or its boot entry, need not be doubted.
        let told = known.note.removed || known.note.boot_entry_removed;
        let certain = match &self.system.install_tree {
            InstallTree::Sound => true,
            InstallTree::Blind(_) => false,
            InstallTree::NoKernel { same, .. } => {
                self.options.purge_missing || self.options.kernel_left || *same && told
            }
            InstallTree::Other { .. } => self.options.purge_missing || self.options.kernel_left,
        };
        let judged = |view: &CellView| view.verdict.is_some() || view.unread_verdict.is_some();
        let mut cells = self.index.of_kernel(kernel).iter();
        !certain
            && (!known.note.is_empty() || cells.any(|known| is_anything(known.view) || judged(known.view)))
    }

    /// Remembers that a kernel is in doubt, if a person has to know: not for what is only remembered.
    pub(super) fn doubt(&mut self, kernel: &KernelRelease) {
        let note = &self.system.kernels[kernel].note;
        let due = note.depmod_due || note.initramfs_due.is_some();
        if due || self.index.of_kernel(kernel).iter().any(|known| is_anything(known.view)) {
            self.doubtful.insert(kernel.clone());
        }
    }

    /// Says of which kernels something is kept, and why.
    pub(super) fn note_doubtful(&mut self) {
        let kernels: Vec<KernelRelease> = std::mem::take(&mut self.doubtful).into_iter().collect();
        if kernels.is_empty() {
            return;
        }
        match self.system.install_tree.clone() {
            InstallTree::Sound => {}
            InstallTree::NoKernel { dir, .. } => self.note(Note::NoKernel { dir, kernels }),
            InstallTree::Other { was, is } => self.note(Note::OtherTree { was, is, kernels }),
            InstallTree::Blind(blind) => {
                self.note(Note::Blind { about: Subject::Kernels { kernels }, blind })
            }
        }
    }

    /// Everything of ours for a kernel goes.
    pub(super) fn purge_kernel(&mut self, kernel: &KernelRelease, reason: Reason) {
        self.scope.insert(kernel.clone());
        if self.is_blind_kernel(kernel) {
            return;
        }
        let mut leftovers = false;
        for known in Rc::clone(&self.index).of_kernel(kernel) {
            if self.is_blind(known.cell, known.view) {
                continue;
            }
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
            if self.is_blind(known.cell, known.view) {
                continue;
            }
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
        if !self.options.kernel_left && view.is_loaded() {
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
                Some(view) if self.is_blind(&cell, view) => {}
                _ => self.note(Note::NotBuilt { cell }),
            }
        }
        let others = self.system.cells.iter().any(|(c, v)| {
            c.module == *module
                && (v.built || v.blind.is_some())
                && !cells.iter().any(|(k, a)| *k == c.kernel && *a == c.arch)
        });
        if !others {
            // Only when every build is gone: a step that failed keeps the entry.
            let needs = self.unbuild_steps();
            self.step(Action::Forget { module: module.clone() }, Reason::Asked, needs);
        }
    }
}

/// True when there is, or may be, a build.
fn is_anything(view: &CellView) -> bool {
    view.built || view.installed || view.blind.is_some()
}
