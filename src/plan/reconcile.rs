//! What a kernel should have: every registered module with AUTOINSTALL, in its newest version that
//! supports the kernel, built from what is there now.

use std::collections::BTreeSet;

use super::choice::Passed;
use super::depends::{Dependencies, other_build};
use super::index::{Known, Place};
use super::planner::{Planner, Standing};
use super::provision::{BuildOf, Dependency, Provision, as_it_is, ready};
use super::{Action, Duty, Note, Reason};
use crate::model::error::Kind;
use crate::model::fit::Fit;
use crate::model::ids::{Arch, Cell, KernelRelease};
use crate::model::inputs::Change;
use crate::model::record::{Facts, FailureNote, Verdict};
use crate::model::system::{CellView, Now, Source};

impl<'a> Planner<'a> {
    /// Brings kernels in line; all of them when none is named.
    pub(super) fn reconcile(&mut self, kernels: Option<&[KernelRelease]>, retry: bool) {
        let all: Vec<KernelRelease>;
        let kernels = match kernels {
            Some(named) => named,
            None => {
                all = self.system.kernels.keys().cloned().collect();
                &all
            }
        };
        if self.system.autoinstall_disabled {
            self.note(Note::AutoinstallDisabled);
        }
        self.every_module = self.system.every_module;
        let instead = &self.options.instead;
        for kernel in kernels.iter().collect::<BTreeSet<_>>() {
            if instead.is_empty() || instead.iter().any(|(of, _)| of == kernel) {
                self.reconcile_kernel(kernel, retry);
            }
        }
    }

    fn reconcile_kernel(&mut self, kernel: &KernelRelease, retry: bool) {
        self.scope.insert(kernel.clone());
        let Some(known) = self.system.kernels.get(kernel) else {
            self.note(Note::UnknownKernel { kernel: kernel.clone() });
            return;
        };
        if self.is_blind_kernel(kernel) {
            return;
        }
        if known.image && known.note.removed {
            self.purge_kernel(kernel, Reason::KernelRemoved);
            self.note(Note::Removed { kernel: kernel.clone() });
        } else if !known.image {
            self.purge_gone(kernel);
        } else if known.note.boot_entry_removed {
            self.without_boot_entry(kernel);
        } else if self.system.autoinstall_disabled {
            // Nothing is built for it, so nothing waits either.
            if known.note.waiting.is_some() {
                self.settle(kernel, Duty::Headers);
            }
        } else if !known.headers {
            self.without_headers(kernel, retry);
        } else if let Some(arch) = self.system.arch.clone() {
            self.want_all(kernel, &arch, retry);
        }
    }

    /// `dkms autoinstall`: asked by a person, for one kernel.
    pub(super) fn autoinstall(&mut self, kernel: &KernelRelease, arch: &Arch) {
        self.scope.insert(kernel.clone());
        if self.system.autoinstall_disabled {
            self.note(Note::AutoinstallDisabled);
            return;
        }
        if self.is_blind_kernel(kernel) {
            return;
        }
        match self.system.kernels.get(kernel) {
            // Hooks of others call this for every kernel, also where no module is registered.
            None if self.system.modules.values().any(|source| *source == Source::Added) => {
                self.note(Note::UnknownKernel { kernel: kernel.clone() });
            }
            None => {}
            Some(known) if !known.headers => {
                let package = known.headers_package.clone();
                if self.is_doubtful(kernel) {
                    self.doubt(kernel);
                }
                if self.install_what_is_built(kernel, true) {
                    self.note(Note::Waiting { kernel: kernel.clone(), package });
                }
            }
            Some(_) => self.want_all(kernel, arch, true),
        }
    }

    fn purge_gone(&mut self, kernel: &KernelRelease) {
        let kept = self.index.of_kernel(kernel).iter().any(|known| {
            (known.view.built || known.view.installed) && self.kept_on_request(known.cell, known.view)
        });
        // One build that was asked for keeps the kernel's other builds, too: they were made the
        // same way or are harmless, and headers without an image are rare.
        if kept {
            return;
        }
        if self.is_doubtful(kernel) {
            self.plan.in_doubt = true;
            self.doubt(kernel);
        } else {
            self.purge_kernel(kernel, Reason::KernelGone);
        }
    }

    fn want_all(&mut self, named: &KernelRelease, arch: &Arch, retry: bool) {
        // What failed in this very run is not tried once more.
        let retry = retry && self.options.instead.is_empty();
        if let Some(kernel) = self.index.kernel(named) {
            for name in 0..self.index.modules() {
                let place = Place { kernel, name };
                if self.is_in_question(place, named) {
                    self.provide(place, arch, retry);
                }
            }
        }
        if self.system.kernels[named].note.waiting.is_some() {
            self.settle(named, Duty::Headers);
        }
    }

    /// Whether this plan is about a module: the second one of a run is about few.
    fn is_in_question(&self, place: Place, kernel: &KernelRelease) -> bool {
        let instead = &self.options.instead;
        instead.is_empty() || instead.contains(&(kernel.clone(), self.index.name(place).clone()))
    }

    /// Plans one version of a module for one kernel.
    ///
    /// # Errors
    /// How it failed, when it does not compile for the kernel and an older version may take its place.
    pub(super) fn want(
        &mut self,
        place: Place,
        known: Known<'a>,
        facts: &Facts,
        passed: &Passed<'_>,
        retry: bool,
    ) -> Result<Provision<'a>, &'a FailureNote> {
        let Known { cell, view, .. } = known;
        if !retry && self.has_unread_verdict(cell, view) {
            return Ok(as_it_is(view));
        }
        let (standing, depends_on) = match self.standing(view) {
            // What it depends on may change in this very run: that is compared below.
            Standing::Stale(change @ Change::Dependency { .. }) => (Standing::Fresh, Some(change)),
            // Nothing need be compiled for that.
            Standing::Stale(change) if change.is_signature() => (Standing::Fresh, None),
            other => (other, None),
        };
        let Dependencies { steps: needs, builds } = match self.depends(cell, facts, retry) {
            Ok(found) => found,
            Err(_)
                if view.installed
                    && view.intact
                    && matches!(standing, Standing::Fresh | Standing::Adoptable) =>
            {
                return Ok(ready(None, BuildOf::of(view)));
            }
            Err(missing) => {
                self.note(*missing);
                return Ok(Provision::Unavailable);
            }
        };
        let rebuilt = other_build(&builds, view.record.as_ref().map(|r| &*r.inputs));
        let verdict = verdict_with(view, &builds);
        let installed = if view.installed { None } else { self.index.installed(place, &cell.arch) };
        let newer = |than: Known<'_>| Reason::Newer { than: than.cell.module.version.clone() };
        let replaces = || passed.reason().or_else(|| installed.map(newer));
        let stale = match (&standing, rebuilt) {
            (Standing::Absent, _) => Some(replaces().unwrap_or(Reason::NotBuilt)),
            (Standing::WrongKernel, _) => Some(Reason::WrongKernel),
            (Standing::Unfit(misfit), _) => Some(Reason::NotAdopted { misfit: misfit.clone() }),
            (Standing::Stale(change), _) => Some(Self::stale(view, change)),
            (Standing::Fresh | Standing::Adoptable, Some(name)) => Some(match depends_on {
                Some(change) if needs.is_empty() => Reason::Stale { change },
                _ => Reason::DependencyBuilt { name },
            }),
            // It was to be built again and that failed: what is there is not what it seems.
            (Standing::Adoptable, None) if verdict.is_some_and(|v| v.failure.is_some()) => {
                Some(Reason::NotBuilt)
            }
            (Standing::Fresh | Standing::Adoptable, None) => None,
        };
        if let Some(reason) = stale {
            return self.build_and_install(
                known,
                verdict,
                reason,
                Dependencies { steps: needs, builds },
                retry,
            );
        }
        // Keeping the build also drops the recorded failure for these headers.
        let kept = self.keep_step(cell, view);
        let mut install = !view.installed || !view.intact;
        if let Some(change) = Self::signing_change(view) {
            let again =
                |failure: &FailureNote| retry || failure.provisional && self.options.retry_provisional;
            let failure = same_verdict(view).and_then(|v| v.failure.as_ref());
            match failure.filter(|failure| !again(failure) && !kept) {
                Some(failure) => {
                    let failure = Box::new(failure.clone());
                    self.note(Note::FailedBefore { cell: cell.clone(), failure });
                }
                None => {
                    install |= self.resign_step(cell, view, Reason::Stale { change }).1;
                }
            }
        }
        install |= self.sign_what_could_not_be(cell, view, retry);
        let build = match (&standing, &view.now) {
            (Standing::Adoptable, Now::Judged { inputs, .. }) => {
                // One out of an archive is only now told which builds of its dependencies it goes with:
                // not before they are there.
                let after = if view.is_loaded() { needs.clone() } else { Vec::new() };
                self.step(Action::Adopt { cell: cell.clone() }, adopted(view), after);
                BuildOf::from(inputs, builds, false)
            }
            _ => BuildOf::of(view),
        };
        if !install {
            self.note_index(cell);
            return Ok(ready(None, build));
        }
        // The version check would refuse this install again, even over files of an older build.
        if let Some(why) = view.record.as_ref().and_then(|r| r.refused.clone()).filter(|_| !retry) {
            self.note(Note::Refused { cell: cell.clone(), why });
            return Ok(Provision::Unavailable);
        }
        let reason = match view.installed {
            true => self.why_mended(cell),
            false => replaces().unwrap_or(Reason::NotInstalled),
        };
        Ok(match self.install_step(cell, false, reason, needs, None) {
            Some(step) => ready(Some(step), build),
            None => Provision::Unavailable,
        })
    }

    /// A build is there without the signature that it should have: it is signed now where whoever asks tries again
    /// what failed for want of something on the machine, and noted otherwise. True when an installation has to follow.
    fn sign_what_could_not_be(&mut self, cell: &Cell, view: &CellView, retry: bool) -> bool {
        let unsigned = view.record.as_ref().is_some_and(|record| record.inputs.signing.is_none());
        let failure = same_verdict(view).and_then(|verdict| verdict.failure.as_ref());
        let Some(failure) = failure.filter(|failure| unsigned && failure.kind == Kind::NotSigned) else {
            return false;
        };
        if retry || failure.provisional && self.options.retry_provisional {
            return self.resign_step(cell, view, Reason::OtherSignature).1;
        }
        self.note(Note::FailedBefore { cell: cell.clone(), failure: Box::new(failure.clone()) });
        false
    }

    fn build_and_install(
        &mut self,
        Known { cell, view, .. }: Known<'a>,
        verdict: Option<&'a Verdict>,
        mut reason: Reason,
        found: Dependencies<'a>,
        retry: bool,
    ) -> Result<Provision<'a>, &'a FailureNote> {
        if let Some(failure) = verdict.and_then(|v| v.failure.as_ref()) {
            if retry {
                reason = Reason::RetryAsked;
            } else if failure.provisional && self.options.retry_provisional {
                reason = Reason::RetryToolchain;
            } else {
                self.note(Note::FailedBefore { cell: cell.clone(), failure: Box::new(failure.clone()) });
                return if self.gives_way(view, failure) { Err(failure) } else { Ok(Provision::Unavailable) };
            }
        }
        let made = match &view.now {
            Now::Judged { inputs, .. } => BuildOf::from(inputs, found.builds, true),
            _ => BuildOf::unknown(),
        };
        let cached = view.cached && found.steps.is_empty();
        let action = Action::Build { cell: cell.clone(), force: false, cached };
        let build = self.step(action, reason.clone(), found.steps);
        // One whose module another package has is built all the same: it may get the name back.
        let step = self.install_step(cell, false, reason, Vec::new(), Some(build)).or(Some(build));
        Ok(ready(step, made))
    }
}

/// Why a build without a record is taken over.
pub(super) fn adopted(view: &CellView) -> Reason {
    let symbols = match view.fit {
        Some(Fit::Fits(compared)) => Some(compared.symbols),
        _ => None,
    };
    if view.is_loaded() { Reason::FromArchive { symbols } } else { Reason::MadeByDkms { symbols } }
}

/// The verdict on a cell, if it was judged on the inputs that there are now.
pub(super) fn same_verdict(view: &CellView) -> Option<&Verdict> {
    view.verdict.as_ref().filter(|v| judged_since(view, v) == Some(None))
}

/// The verdict on a cell, if it was judged on what would be built with these builds of what it depends
/// on: one on an old build of a dependency says nothing about the new one.
pub(super) fn verdict_with<'a>(view: &'a CellView, builds: &[Dependency<'_>]) -> Option<&'a Verdict> {
    view.verdict.as_ref().filter(|v| {
        matches!(judged_since(view, v), Some(None | Some(Change::Dependency { .. })))
            && other_build(builds, Some(&v.inputs)).is_none()
    })
}

/// What changed since a verdict; `None` when nothing can be said.
fn judged_since(view: &CellView, verdict: &Verdict) -> Option<Option<Change>> {
    match &view.now {
        Now::Judged { inputs, .. } => Some(inputs.change_since(&verdict.inputs)),
        Now::NoHeaders | Now::Unreadable(_) => None,
    }
}
