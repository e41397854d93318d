//! What a kernel should have: every registered module with AUTOINSTALL, in its newest version that
//! supports the kernel, built from what is there now.

use std::collections::BTreeSet;

use super::planner::{BuildOf, Dependency, Planner, Provision, Standing};
use super::{Action, Duty, Note, Reason};
use crate::abi::Fit;
use crate::error::Error;
use crate::ids::{Arch, Cell, KernelRelease, ModuleId, ModuleName};
use crate::inputs::{Change, Inputs};
use crate::record::{Facts, Verdict};
use crate::system::{CellView, Now, Source};

/// What a cell's dependencies will be when it is built.
#[derive(Debug, Default)]
pub(super) struct Dependencies<'a> {
    /// The steps that bring them.
    pub(super) steps: Vec<usize>,
    /// Which builds of them will be there.
    pub(super) builds: Vec<Dependency<'a>>,
}

/// What one version of a module is to a kernel, what it depends on left aside.
enum Suits<'a> {
    /// Not at all: nothing is to be said of it.
    Not,
    /// What is installed of it stays as it is.
    Stays(&'a CellView),
    /// Its conf cannot be read. No older version is a cure for that.
    Broken(&'a CellView, &'a Error),
    /// There are no headers to judge by.
    Unjudged,
    /// It does not support the kernel.
    Refuses(&'a CellView, &'a str),
    /// It is the one that the kernel is to have.
    Well(&'a CellView, &'a Facts),
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
        match self.system.kernels.get(kernel) {
            // Hooks of others call this for every kernel, also where no module is registered.
            None if self.system.modules.values().any(|source| *source == Source::Added) => {
                self.note(Note::UnknownKernel { kernel: kernel.clone() });
            }
            None => {}
            Some(known) if !known.headers => {
                let package = known.headers_package.clone();
                if self.install_what_is_built(kernel, true) {
                    self.note(Note::Waiting { kernel: kernel.clone(), package });
                }
            }
            Some(_) => self.want_all(kernel, arch, true),
        }
    }

    fn purge_gone(&mut self, kernel: &KernelRelease) {
        let kept = self.system.cells.iter().any(|(cell, view)| {
            cell.kernel == *kernel && (view.built || view.installed) && self.kept_on_request(cell)
        });
        // One build that was asked for keeps the kernel's other builds, too: they were made the
        // same way or are harmless, and headers without an image are rare.
        if !kept {
            self.purge_kernel(kernel, Reason::KernelGone);
        }
    }

    fn want_all(&mut self, kernel: &KernelRelease, arch: &Arch, retry: bool) {
        let names: BTreeSet<ModuleName> = self.system.modules.keys().map(|id| id.name.clone()).collect();
        for name in &names {
            self.provide(name, kernel, arch, retry);
        }
        if self.system.kernels[kernel].note.waiting.is_some() {
            self.settle(kernel, Duty::Headers);
        }
    }

    /// What a module will be for this kernel, planning whatever is needed for it.
    pub(super) fn provide(
        &mut self,
        name: &ModuleName,
        kernel: &KernelRelease,
        arch: &Arch,
        retry: bool,
    ) -> Provision<'a> {
        let key = (name.clone(), kernel.clone(), arch.clone());
        if let Some(known) = self.provisions.get(&key) {
            return known.clone();
        }
        self.provisions.insert(key.clone(), Provision::Visiting);
        let found = self.work_out(name, kernel, arch, retry);
        self.provisions.insert(key, found.clone());
        found
    }

    fn work_out(
        &mut self,
        name: &ModuleName,
        kernel: &KernelRelease,
        arch: &Arch,
        retry: bool,
    ) -> Provision<'a> {
        let versions = self.versions(name);
        if versions.is_empty() {
            return Provision::Unregistered;
        }
        let installed = self.installed(name, kernel, arch);
        let mut skipped: Option<(ModuleId, String)> = None;
        let mut manual = false;
        for id in versions {
            self.usable(id);
            let cell = Cell { module: id.clone(), kernel: kernel.clone(), arch: arch.clone() };
            match self.suits(&cell, &mut manual) {
                Suits::Not => {}
                Suits::Stays(view) => return ready(None, BuildOf::of(view)),
                Suits::Broken(view, error) => {
                    self.note(Note::Unreadable { cell, error: error.clone() });
                    return match view.installed {
                        true => ready(None, BuildOf::of(view)),
                        false => Provision::Unavailable,
                    };
                }
                Suits::Unjudged => return Provision::Unavailable,
                Suits::Refuses(view, why) => {
                    self.excluded(&cell, view, why);
                    skipped.get_or_insert_with(|| (id.clone(), why.to_owned()));
                }
                Suits::Well(_, facts) => return self.want(cell, facts, installed.as_ref(), skipped, retry),
            }
        }
        if skipped.is_some() { Provision::Excluded } else { Provision::Unavailable }
    }

    /// Looks at one version. `manual`: a newer one is not installed by itself; as in DKMS, that one says
    /// so for the package.
    fn suits(&self, cell: &Cell, manual: &mut bool) -> Suits<'a> {
        let Some(view) = self.view(cell) else { return Suits::Not };
        if self.system.modules.get(&cell.module) != Some(&Source::Added) {
            return if view.installed { Suits::Stays(view) } else { Suits::Not };
        }
        let facts = match &view.now {
            Now::Judged { facts, .. } => facts,
            Now::Unreadable(error) => return Suits::Broken(view, error),
            Now::NoHeaders => return Suits::Unjudged,
        };
        if let Some(why) = &facts.exclusion {
            let standing = self.standing(view);
            if view.installed && standing != Standing::WrongKernel && !refuses_anew(&standing) {
                // Somebody got it built all the same; replacing it would undo that.
                return Suits::Stays(view);
            }
            return Suits::Refuses(view, why);
        }
        *manual |= !facts.autoinstall;
        if *manual && !view.installed { Suits::Not } else { Suits::Well(view, facts) }
    }

    /// The version that a kernel is to have of a module, if that is to be judged at all.
    fn chosen(
        &self,
        name: &ModuleName,
        kernel: &KernelRelease,
        arch: &Arch,
    ) -> Option<(&'a CellView, &'a Facts)> {
        let mut manual = false;
        for id in self.versions(name) {
            let cell = Cell { module: id.clone(), kernel: kernel.clone(), arch: arch.clone() };
            match self.suits(&cell, &mut manual) {
                Suits::Not | Suits::Refuses(..) => {}
                Suits::Well(view, facts) => return Some((view, facts)),
                Suits::Stays(_) | Suits::Broken(..) | Suits::Unjudged => return None,
            }
        }
        None
    }

    /// True when `name` depends on `on` in turn, at any remove.
    fn stands_on(&self, name: &ModuleName, on: &ModuleName, kernel: &KernelRelease, arch: &Arch) -> bool {
        let mut seen = BTreeSet::new();
        let mut names = vec![name.clone()];
        while let Some(name) = names.pop() {
            if name == *on {
                return true;
            }
            let facts = self.chosen(&name, kernel, arch).map(|(_, facts)| facts);
            names.extend(
                facts
                    .iter()
                    .flat_map(|f| &f.depends)
                    .filter(|n| !seen.contains(*n))
                    .filter_map(|n| ModuleName::new(n.clone()).ok()),
            );
            seen.insert(name.to_string());
        }
        false
    }

    /// True when a module is installed as it should be, whatever becomes of what it depends on.
    fn is_held(&self, name: &ModuleName, kernel: &KernelRelease, arch: &Arch) -> bool {
        self.chosen(name, kernel, arch).is_some_and(|(view, _)| {
            let standing = self.standing(view);
            let sound = matches!(
                standing,
                Standing::Fresh
                    | Standing::Adoptable
                    | Standing::Stale(Change::Dependency { .. } | Change::Signing)
            );
            view.installed && view.intact && sound
        })
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
        cell: Cell,
        facts: &Facts,
        installed: Option<&Cell>,
        skipped: Option<(ModuleId, String)>,
        retry: bool,
    ) -> Provision<'a> {
        let Some(view) = self.view(&cell) else { return Provision::Unavailable };
        let (standing, depends_on) = match self.standing(view) {
            // What it depends on may change in this very run: that is compared below.
            Standing::Stale(change @ Change::Dependency { .. }) => (Standing::Fresh, Some(change)),
            // Nothing need be compiled for that.
            Standing::Stale(Change::Signing) => (Standing::Fresh, None),
            other => (other, None),
        };
        let Dependencies { steps: needs, builds } = match self.depends(&cell, facts, retry) {
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
        let rebuilt = other_build(&builds, view.record.as_ref().map(|r| &r.inputs));
        // A verdict on the old build of a dependency says nothing about the new one.
        let verdict = view.verdict.as_ref().filter(|v| {
            matches!(judged_since(view, v), Some(None | Some(Change::Dependency { .. })))
                && other_build(&builds, Some(&v.inputs)).is_none()
        });
        let other = installed.filter(|c| **c != cell).map(|c| c.module.version.clone());
        let replaces = match (skipped, other) {
            (Some((newest, why)), _) => Some(Reason::NewestExcluded { newest: newest.version, why }),
            (None, Some(than)) => Some(Reason::Newer { than }),
            (None, None) => None,
        };
        let stale = match (&standing, rebuilt) {
            (Standing::Absent, _) => Some(replaces.clone().unwrap_or(Reason::NotBuilt)),
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
                cell,
                verdict,
                reason,
                Dependencies { steps: needs, builds },
                retry,
            );
        }
        self.keep_step(&cell, view);
        let mut install = !view.installed || !view.intact;
        if Self::signing_changed(view) {
            match same_verdict(view).and_then(|v| v.failure.as_ref()).filter(|_| !retry) {
                Some(failure) => {
                    let failure = Box::new(failure.clone());
                    self.note(Note::FailedBefore { cell: cell.clone(), failure });
                }
                None => {
                    install |= self.resign_step(&cell, view, Reason::Stale { change: Change::Signing }).1;
                }
            }
        }
        let build = match (&standing, &view.now) {
            (Standing::Adoptable, Now::Judged { inputs, .. }) => {
                // One out of an archive is only now told which builds of its dependencies it goes with:
                // not before they are there.
                let after = if view.loaded.is_some() { needs.clone() } else { Vec::new() };
                self.step(Action::Adopt { cell: cell.clone() }, adopted(view), after);
                BuildOf::from(inputs, builds, false)
            }
            _ => BuildOf::of(view),
        };
        if !install {
            return ready(None, build);
        }
        // Whatever of an older build is installed: that would be refused again.
        if let Some(why) = view.record.as_ref().and_then(|r| r.refused.clone()).filter(|_| !retry) {
            self.note(Note::Refused { cell, why });
            return Provision::Unavailable;
        }
        let reason = match view.installed {
            true => Reason::FilesMissing,
            false => replaces.unwrap_or(Reason::NotInstalled),
        };
        let step = self.step(Action::Install { cell, force: false }, reason, needs);
        ready(Some(step), build)
    }

    fn build_and_install(
        &mut self,
        cell: Cell,
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
                self.note(Note::FailedBefore { cell, failure: Box::new(failure.clone()) });
                return Provision::Unavailable;
            }
        }
        let made = match self.view(&cell).map(|view| &view.now) {
            Some(Now::Judged { inputs, .. }) => BuildOf::from(inputs, found.builds, true),
            _ => BuildOf::asked_for(),
        };
        let build =
            self.step(Action::Build { cell: cell.clone(), force: false }, reason.clone(), found.steps);
        let step = self.step(Action::Install { cell, force: false }, reason, vec![build]);
        ready(Some(step), made)
    }

    /// What a cell's dependencies will be.
    ///
    /// # Errors
    /// The note that says which of them cannot be had.
    pub(super) fn depends(
        &mut self,
        cell: &Cell,
        facts: &Facts,
        retry: bool,
    ) -> Result<Dependencies<'a>, Box<Note>> {
        let mut found = Dependencies::default();
        let (mut missing, mut known) = (Vec::new(), false);
        for name in &facts.depends {
            let module = ModuleName::new(name.clone()).ok();
            let round = module
                .as_ref()
                .is_some_and(|module| self.stands_on(module, &cell.module.name, &cell.kernel, &cell.arch));
            if let Some(module) = module.as_ref().filter(|_| round)
                && self.is_held(module, &cell.kernel, &cell.arch)
            {
                // It cannot come both before and after: it is taken as it is.
                continue;
            }
            let provision = match &module {
                Some(module) => self.provide(module, &cell.kernel, &cell.arch, retry),
                None => Provision::Unregistered,
            };
            let mut depends_on = |build, counts| {
                found.builds.push(Dependency { name: name.clone(), build, counts });
            };
            match provision {
                Provision::Excluded => depends_on(BuildOf::default(), false),
                Provision::Ready { after, build } => {
                    depends_on(build, !round);
                    found.steps.extend(after);
                }
                Provision::Visiting | Provision::Unavailable => {
                    known = true;
                    missing.push(name.clone());
                }
                Provision::Unregistered => missing.push(name.clone()),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        Err(Box::new(Note::MissingDepends { cell: cell.clone(), names: missing, known }))
    }
}

/// Why a build without a record is taken over.
pub(super) fn adopted(view: &CellView) -> Reason {
    let symbols = match view.fit {
        Some(Fit::Fits { symbols }) => Some(symbols),
        _ => None,
    };
    if view.loaded.is_some() { Reason::FromArchive { symbols } } else { Reason::MadeByDkms { symbols } }
}

/// The first dependency that will be another build than the one in `inputs`.
pub(super) fn other_build(builds: &[Dependency<'_>], inputs: Option<&Inputs>) -> Option<String> {
    let mut counting = builds.iter().filter(|d| d.counts);
    counting.find(|d| d.build.is_other(&d.name, inputs)).map(|d| d.name.clone())
}

/// True when something changed since an excluded package was built that can have excluded it: what
/// it depends on cannot, nor can the signing key.
fn refuses_anew(standing: &Standing) -> bool {
    matches!(standing, Standing::Stale(change)
        if !matches!(change, Change::Dependency { .. } | Change::Signing))
}

pub(super) fn ready(after: Option<usize>, build: BuildOf<'_>) -> Provision<'_> {
    Provision::Ready { after, build }
}

/// The verdict on a cell, if it was judged on the inputs that there are now.
pub(super) fn same_verdict(view: &CellView) -> Option<&Verdict> {
    view.verdict.as_ref().filter(|v| judged_since(view, v) == Some(None))
}

/// What changed since a verdict; `None` when nothing can be said.
fn judged_since(view: &CellView, verdict: &Verdict) -> Option<Option<Change>> {
    match &view.now {
        Now::Judged { inputs, .. } => Some(inputs.change_since(&verdict.inputs)),
        Now::NoHeaders | Now::Unreadable(_) => None,
    }
}
