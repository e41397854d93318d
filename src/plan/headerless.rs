//! Kernels without headers: what is built already is installed, everything else waits.

use std::rc::Rc;

use super::index::{Known, Place};
use super::planner::{Planner, Standing};
use super::{Action, Duty, Note, Reason};
use crate::model::ids::{Arch, KernelRelease};
use crate::model::system::{CellView, Source};

impl<'a> Planner<'a> {
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
    /// brought them, and of those whose installed files somebody deleted or changed. True when there are
    /// modules that need the headers.
    pub(super) fn install_what_is_built(&mut self, kernel: &KernelRelease, retry: bool) -> bool {
        let Some((arch, number)) = self.system.arch.as_ref().zip(self.index.kernel(kernel)) else {
            return false;
        };
        let mut wanted = false;
        for name in 0..self.index.modules() {
            let place = Place { kernel: number, name };
            if !self.index.is_added(place) {
                continue;
            }
            if self.is_any_blind(place, arch) {
                continue;
            }
            if let Some(known) = self.index.installed(place, arch) {
                if self.is_to_be_mended(known, retry) {
                    let reason = self.why_mended(known.cell);
                    self.install_step(known.cell, false, reason, Vec::new(), None);
                } else {
                    self.note_index(known.cell);
                }
                continue;
            }
            match self.ready_build(place, arch, retry) {
                Some(known) => {
                    self.install_step(known.cell, false, Reason::NotInstalled, Vec::new(), None);
                }
                None => wanted = true,
            }
        }
        wanted
    }

    /// True when a build of a module could not be looked at: then nothing is decided for the module.
    fn is_any_blind(&mut self, place: Place, arch: &Arch) -> bool {
        let index = Rc::clone(&self.index);
        let mut any = false;
        for known in index.versions(place, arch) {
            any |= self.is_blind(known.cell, known.view);
        }
        any
    }

    /// True when files that were installed are not as we left them, and the build has them still.
    fn is_to_be_mended(&self, Known { view, source, .. }: Known<'a>, retry: bool) -> bool {
        let record = view.record.as_ref().filter(|r| r.facts.exclusion.is_none());
        view.built
            && !view.intact
            && source == Some(&Source::Added)
            && record.is_some_and(|r| retry || r.refused.is_none())
    }

    /// The newest version of a module that is built for a kernel, if it is to be installed by itself.
    fn ready_build(&self, place: Place, arch: &Arch, retry: bool) -> Option<Known<'a>> {
        let usable = |view: &CellView| matches!(self.standing(view), Standing::Fresh | Standing::Adoptable);
        let automatic = |view: &CellView| match &view.record {
            Some(record) => {
                let facts = &record.facts;
                facts.autoinstall && facts.exclusion.is_none() && (retry || record.refused.is_none())
            }
            // DKMS built it, and nobody knows whether for good.
            None => view.is_loaded() && view.autoinstall,
        };
        let mut added = self.index.versions(place, arch).filter(|known| known.source == Some(&Source::Added));
        added.find(|known| usable(known.view)).filter(|known| automatic(known.view))
    }
}
