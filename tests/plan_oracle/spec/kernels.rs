//! Kernels in line: those that are gone, that nobody boots, that have no headers; and all others.

use super::{Act, Duty, Expected, Spec};
use crate::machine::{Build, M, Note, Registered, Thing, Tree};
use crate::observe::headers_package;

impl Spec<'_> {
    pub(super) fn reconcile(&self, out: &mut Expected) {
        let kernel = self.kernel();
        let asked_for = |build: &Build| {
            build.loaded && build.written.is_none() && !self.options.kernel_left
                || kernel.headers.is_some()
                    && build.written.as_ref().map_or(!self.options.kernel_left, |w| w.without_image)
        };
        let builds = || self.machine.builds.iter().filter(|((_, k), _)| *k == self.k);
        if kernel.image && kernel.note.removed {
            self.purge(out);
        } else if !kernel.image {
            let kept = builds().any(|(_, build)| asked_for(build));
            if !kept && !self.in_doubt() {
                self.purge(out);
            }
        } else if kernel.note.no_boot_entry {
            for ((m, _), _) in builds().filter(|((m, _), _)| self.installed(*m) && !self.unseen(*m)) {
                out.acts.insert(Act::Uninstall(*m, self.k));
            }
            self.nothing_waits(out);
        } else if self.machine.no_autoinstall {
            self.nothing_waits(out);
        } else if kernel.headers.is_none() {
            if self.without_headers(out) {
                if kernel.note.waiting.as_ref() != Some(&headers_package(self.k)) {
                    out.acts.insert(Act::Wait(self.k));
                }
            } else {
                self.nothing_waits(out);
            }
        } else {
            self.serve(out);
        }
    }

    /// A kernel is not there, something of it would be lost or forgotten, and nothing proves that it is gone.
    pub(super) fn in_doubt(&self) -> bool {
        let kernel = self.kernel();
        let word = self.options.purge_missing || self.options.kernel_left;
        let proved = match self.machine.tree() {
            Tree::Sound => true,
            // Whoever removed the kernel, or its boot entry, said so.
            Tree::Empty(same) => word || same && (kernel.note.removed || kernel.note.no_boot_entry),
            Tree::Other => word,
            Tree::Unreadable => false,
        };
        let mut modules = self.machine.modules.keys();
        let untold = |m: &M| self.machine.is_unseen(Thing::Verdict(*m, self.k));
        let missed = kernel.note != Note::default()
            || modules.any(|m| {
                self.build(*m).is_some() || self.verdict(*m).is_some() || self.unseen(*m) || untold(m)
            });
        !kernel.image && !proved && missed
    }

    pub(super) fn nothing_waits(&self, out: &mut Expected) {
        if self.kernel().note.waiting.is_some() {
            out.settled.insert((self.k, Duty::Headers));
        }
    }

    pub(super) fn drop_build(&self, m: M, out: &mut Expected) {
        if self.build(m).is_some() {
            out.acts.insert(Act::Unbuild(m, self.k));
            if self.installed(m) {
                out.acts.insert(Act::Uninstall(m, self.k));
            }
        }
    }

    /// A kernel that is gone has nothing of ours.
    pub(super) fn purge(&self, out: &mut Expected) {
        let all: Vec<M> = self.machine.modules.keys().copied().collect();
        let mut anything = false;
        for m in all.into_iter().filter(|m| !self.unseen(*m)) {
            self.drop_build(m, out);
            anything |= self.build(m).is_some() || self.verdict(m).is_some();
        }
        let kernel = self.kernel();
        let tombstone = Note { removed: kernel.note.removed && kernel.image, ..Note::default() };
        if anything || kernel.note != tombstone || self.machine.residue(self.k) {
            out.acts.insert(Act::Sweep(self.k));
        }
    }

    /// Without headers, what is built already is installed, and stays installed. True when something needs them.
    pub(super) fn without_headers(&self, out: &mut Expected) -> bool {
        let mut waits = false;
        for name in self.names() {
            let of_it = || self.machine.modules.iter().filter(|(m, _)| m.0 == name);
            if of_it().any(|(_, known)| known.present) && of_it().any(|(m, _)| self.unseen(*m)) {
                continue;
            }
            let present = |m: &M| self.machine.modules.get(m).is_some_and(|known| known.present);
            if let Some(m) = self.machine.installed(name, self.k) {
                // What somebody took away is put back, if the build has it and it is ours.
                let ours = self.build(m).filter(|build| !build.made.conf.refuses(self.k));
                let written = ours.and_then(|build| build.written.as_ref());
                let again = written.is_some_and(|written| self.retry || !written.refused);
                if again && present(&m) && !self.machine.intact(m, self.k) {
                    out.acts.insert(Act::Install(m, self.k, false));
                }
                continue;
            }
            let versions: Vec<(M, &Registered)> =
                self.machine.versions(name).filter(|(_, known)| known.present).collect();
            let good = |build: &Build| build.written.is_some() || build.fits_kernel;
            let newest =
                versions.iter().find_map(|(m, known)| Some((*m, known, self.build(*m).filter(|b| good(b))?)));
            let by_itself = |known: &Registered, build: &Build| match &build.written {
                Some(written) => {
                    let conf = &build.made.conf;
                    !conf.manual && !conf.refuses(self.k) && (self.retry || !written.refused)
                }
                None => build.loaded && !known.conf.manual && !known.conf.broken,
            };
            match newest {
                Some((m, known, build)) if by_itself(known, build) => {
                    if !self.machine.keeps_its_own(name, self.k) {
                        out.acts.insert(Act::Install(m, self.k, false));
                    }
                }
                _ => waits |= !versions.is_empty(),
            }
        }
        waits
    }
}
