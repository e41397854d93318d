//! What a kernel should have: every registered module with AUTOINSTALL, in its newest version that
//! supports the kernel, built from what is there now.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::depends::{Dependencies, other_build};
use super::index::{Known, Place};
use super::planner::{BuildOf, Dependency, Planner, Provision, Standing};
use super::{Action, Duty, Note, Reason};
use crate::model::error::Error;
use crate::model::fit::Fit;
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId};
use crate::model::inputs::Change;
use crate::model::record::{Facts, FailureNote, Verdict};
use crate::model::system::{CellView, Now, Source};

/// What one version of a module is to a kernel, what it depends on left aside.
enum Suits<'a> {
    /// Not at all: nothing is to be said of it.
    Not,
    /// What is installed of it stays as it is.
    Stays,
    /// Its conf cannot be read. No older version is a cure for that.
    Broken(&'a Error),
    /// Its build could not be looked at. What there is stays as it is.
    Blind,
    /// There are no headers to judge by.
    Unjudged,
    /// It does not support the kernel.
    Refuses(&'a str),
    /// It is the one that the kernel is to have.
    Well(&'a Facts),
}

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
        for kernel in kernels.iter().collect::<BTreeSet<_>>() {
            self.reconcile_kernel(kernel, retry);
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

    fn want_all(&mut self, kernel: &KernelRelease, arch: &Arch, retry: bool) {
        if let Some(kernel) = self.index.kernel(kernel) {
            for name in 0..self.index.modules() {
                self.provide(Place { kernel, name }, arch, retry);
            }
        }
        if self.system.kernels[kernel].note.waiting.is_some() {
            self.settle(kernel, Duty::Headers);
        }
    }

    /// What a module will be for a kernel, planning whatever is needed for it.
    pub(super) fn provide(&mut self, place: Place, arch: &Arch, retry: bool) -> Provision<'a> {
        if let Some(known) = self.provision(place) {
            return known.clone();
        }
        *self.provision(place) = Some(Provision::Visiting);
        let found = self.work_out(place, arch, retry);
        self.provision(place).insert(found).clone()
    }

    fn work_out(&mut self, place: Place, arch: &Arch, retry: bool) -> Provision<'a> {
        if !self.index.is_registered(place) {
            return Provision::Unregistered;
        }
        let index = Rc::clone(&self.index);
        let mut skipped: Option<(&ModuleId, &str)> = None;
        let mut manual = false;
        for known in index.versions(place, arch) {
            self.note_broken(&known.cell.module, known.source);
            match self.suits(known, &mut manual) {
                Suits::Not => {}
                Suits::Stays => return ready(None, BuildOf::of(known.view)),
                Suits::Blind => {
                    self.is_blind(known.cell, known.view);
                    return as_it_is(known.view);
                }
                Suits::Broken(error) => {
                    self.note(Note::Unreadable { cell: known.cell.clone(), error: error.clone() });
                    return as_it_is(known.view);
                }
                Suits::Unjudged => return Provision::Unavailable,
                Suits::Refuses(why) => {
                    self.excluded(known.cell, known.view, why);
                    skipped.get_or_insert((&known.cell.module, why));
                }
                Suits::Well(facts) => return self.want(place, known, facts, skipped, retry),
            }
        }
        if skipped.is_some() { Provision::Excluded } else { Provision::Unavailable }
    }

    /// Looks at one version. `manual`: a newer one is not installed by itself; as in DKMS, that one says
    /// so for the package.
    fn suits(&self, known: Known<'a>, manual: &mut bool) -> Suits<'a> {
        let view = known.view;
        if known.source != Some(&Source::Added) {
            return if known.source.is_some() && view.installed { Suits::Stays } else { Suits::Not };
        }
        if view.blind.is_some() {
            return Suits::Blind;
        }
        let facts = match &view.now {
            Now::Judged { facts, .. } => facts,
            Now::Unreadable(error) => return Suits::Broken(error),
            Now::NoHeaders => return Suits::Unjudged,
        };
        if let Some(why) = &facts.exclusion {
            let standing = self.standing(view);
            if view.installed && standing != Standing::WrongKernel && !refuses_anew(&standing) {
                // Somebody got it built all the same; replacing it would undo that.
                return Suits::Stays;
            }
            return Suits::Refuses(why);
        }
        *manual |= !facts.autoinstall && !self.every_module;
        if *manual && !view.installed { Suits::Not } else { Suits::Well(facts) }
    }

    /// The version that a kernel is to have of a module, if that is to be judged at all.
    pub(super) fn chosen(&self, place: Place, arch: &Arch) -> Option<(&'a CellView, &'a Facts)> {
        let mut manual = false;
        for known in self.index.versions(place, arch) {
            match self.suits(known, &mut manual) {
                Suits::Not | Suits::Refuses(_) => {}
                Suits::Well(facts) => return Some((known.view, facts)),
                Suits::Stays | Suits::Broken(_) | Suits::Blind | Suits::Unjudged => return None,
            }
        }
        None
    }

    /// True when a kernel need not have a module: there are versions of it, and none supports the kernel.
    pub(super) fn is_excused(&self, place: Place, arch: &Arch) -> bool {
        let (mut manual, mut refused) = (false, false);
        for known in self.index.versions(place, arch) {
            match self.suits(known, &mut manual) {
                Suits::Not => {}
                Suits::Refuses(_) => refused = true,
                Suits::Stays | Suits::Broken(_) | Suits::Blind | Suits::Unjudged | Suits::Well(_) => {
                    return false;
                }
            }
        }
        refused
    }

    /// A package that was built for this kernel and now refuses it.
    fn excluded(&mut self, cell: &Cell, view: &CellView, why: &str) {
        if refuses_anew(&self.standing(view)) {
            let reason = Reason::ExcludedNow { why: why.to_owned() };
            let mut needs = Vec::new();
            if view.installed {
                needs.push(self.step(Action::Uninstall { cell: cell.clone() }, reason.clone(), Vec::new()));
            }
            self.step(Action::Unbuild { cell: cell.clone() }, reason, needs);
        } else if !view.built {
            self.note(Note::Excluded { cell: cell.clone(), why: why.to_owned() });
        }
    }

    /// Plans one version of a module for one kernel.
    fn want(
        &mut self,
        place: Place,
        known: Known<'a>,
        facts: &Facts,
        skipped: Option<(&ModuleId, &str)>,
        retry: bool,
    ) -> Provision<'a> {
        let Known { cell, view, .. } = known;
        if !retry && self.has_unread_verdict(cell, view) {
            return as_it_is(view);
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
                return ready(None, BuildOf::of(view));
            }
            Err(missing) => {
                self.note(*missing);
                return Provision::Unavailable;
            }
        };
        let rebuilt = other_build(&builds, view.record.as_ref().map(|r| &*r.inputs));
        let verdict = verdict_with(view, &builds);
        let installed = if view.installed { None } else { self.index.installed(place, &cell.arch) };
        let replaces = || match (skipped, installed) {
            (Some((newest, why)), _) => {
                Some(Reason::NewestExcluded { newest: newest.version.clone(), why: why.to_owned() })
            }
            (None, Some(than)) => Some(Reason::Newer { than: than.cell.module.version.clone() }),
            (None, None) => None,
        };
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
            return ready(None, build);
        }
        // The version check would refuse this install again, even over files of an older build.
        if let Some(why) = view.record.as_ref().and_then(|r| r.refused.clone()).filter(|_| !retry) {
            self.note(Note::Refused { cell: cell.clone(), why });
            return Provision::Unavailable;
        }
        let reason = match view.installed {
            true => self.why_mended(cell),
            false => replaces().unwrap_or(Reason::NotInstalled),
        };
        match self.install_step(cell, false, reason, needs, None) {
            Some(step) => ready(Some(step), build),
            None => Provision::Unavailable,
        }
    }

    fn build_and_install(
        &mut self,
        Known { cell, view, .. }: Known<'a>,
        verdict: Option<&Verdict>,
        mut reason: Reason,
        found: Dependencies<'a>,
        retry: bool,
    ) -> Provision<'a> {
        if let Some(failure) = verdict.and_then(|v| v.failure.as_ref()) {
            if retry {
                reason = Reason::RetryAsked;
            } else if failure.provisional && self.options.retry_provisional {
                reason = Reason::RetryToolchain;
            } else {
                self.note(Note::FailedBefore { cell: cell.clone(), failure: Box::new(failure.clone()) });
                return Provision::Unavailable;
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
        ready(step, made)
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

/// True when something changed since an excluded package was built that can have excluded it: what
/// it depends on cannot, nor can the signing key.
fn refuses_anew(standing: &Standing) -> bool {
    matches!(standing, Standing::Stale(change) if !change.keeps_code())
}

/// A module that nothing is done about.
fn as_it_is(view: &CellView) -> Provision<'_> {
    match view.installed {
        true => ready(None, BuildOf::of(view)),
        false => Provision::Unavailable,
    }
}

pub(super) fn ready(after: Option<usize>, build: BuildOf<'_>) -> Provision<'_> {
    Provision::Ready { after, build }
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
