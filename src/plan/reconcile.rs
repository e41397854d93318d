//! What a kernel should have: every registered module with AUTOINSTALL, in its newest version that
//! supports the kernel, built from what is there now.

use std::collections::BTreeSet;

use super::planner::{BuildOf, Planner, Provision, Standing};
use super::{Action, Duty, Note, Reason};
use crate::abi::Fit;
use crate::ids::{Arch, Cell, KernelRelease, ModuleId, ModuleName};
use crate::inputs::{Change, Inputs};
use crate::record::{Facts, Verdict};
use crate::system::{CellView, Now, Source};

/// What a cell's dependencies will be when it is built.
#[derive(Debug, Default)]
pub(super) struct Dependencies {
    /// The steps that bring them.
    pub(super) steps: Vec<usize>,
    /// Their names, and which builds of them will be there.
    pub(super) builds: Vec<(String, BuildOf)>,
}

impl Planner<'_> {
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
        if known.image && known.note.removed {
            self.purge_kernel(kernel, Reason::KernelRemoved);
            self.note(Note::Removed { kernel: kernel.clone() });
        } else if !known.image {
            self.purge_gone(kernel);
        } else if known.note.boot_entry_removed {
            self.without_boot_entry(kernel);
        } else if self.system.autoinstall_disabled {
            // Nothing is built for it, so nothing waits either.
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
    ) -> Provision {
        let key = (name.clone(), kernel.clone(), arch.clone());
        if let Some(known) = self.provisions.get(&key) {
            return known.clone();
        }
        self.provisions.insert(key.clone(), Provision::Visiting);
        let found = self.work_out(name, kernel, arch, retry);
        self.provisions.insert(key, found.clone());
        found
    }

    fn work_out(&mut self, name: &ModuleName, kernel: &KernelRelease, arch: &Arch, retry: bool) -> Provision {
        let versions = self.versions(name);
        if versions.is_empty() {
            return Provision::Unregistered;
        }
        let installed = self.installed(name, kernel, arch);
        let mut skipped: Option<(ModuleId, String)> = None;
        // As in DKMS, the newest version says whether the package is installed by itself.
        let mut manual = false;
        for id in versions {
            let cell = Cell { module: id.clone(), kernel: kernel.clone(), arch: arch.clone() };
            if !self.usable(id) {
                match self.view(&cell) {
                    Some(view) if view.installed => return ready(None, BuildOf::of(view)),
                    _ => continue,
                }
            }
            let Some(view) = self.view(&cell) else { continue };
            let facts = match &view.now {
                Now::Judged { facts, .. } => facts,
                Now::Unreadable(error) => {
                    let note = Note::Unreadable { cell: cell.clone(), error: error.clone() };
                    self.note(note);
                    // What is installed stays; an older version is no cure for a broken conf.
                    return match view.installed {
                        true => ready(None, BuildOf::of(view)),
                        false => Provision::Unavailable,
                    };
                }
                Now::NoHeaders => return Provision::Unavailable,
            };
            if let Some(why) = &facts.exclusion {
                let standing = self.standing(view);
                if view.installed && standing != Standing::WrongKernel && !refuses_anew(&standing) {
                    // Somebody got it built all the same; replacing it would undo that.
                    return ready(None, BuildOf::of(view));
                }
                self.excluded(&cell, view, why);
                skipped.get_or_insert_with(|| (id.clone(), why.clone()));
                continue;
            }
            manual |= !facts.autoinstall && !self.every_module;
            if manual && !view.installed {
                continue;
            }
            let facts = facts.clone();
            return self.want(cell, &facts, installed.as_ref(), skipped, retry);
        }
        if skipped.is_some() { Provision::Excluded } else { Provision::Unavailable }
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
    ) -> Provision {
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
            return self.build_and_install(cell, verdict, reason, needs, retry);
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
                BuildOf::Known(inputs.fingerprint())
            }
            _ => BuildOf::of(view),
        };
        if !install {
            return ready(None, build);
        }
        if let (false, false, Some(why)) =
            (retry, view.installed, view.record.as_ref().and_then(|r| r.refused.clone()))
        {
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
        needs: Vec<usize>,
        retry: bool,
    ) -> Provision {
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
        let build = self.step(Action::Build { cell: cell.clone(), force: false }, reason.clone(), needs);
        let step = self.step(Action::Install { cell, force: false }, reason, vec![build]);
        ready(Some(step), BuildOf::New)
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
    ) -> Result<Dependencies, Box<Note>> {
        let mut found = Dependencies::default();
        let (mut missing, mut known) = (Vec::new(), false);
        for name in &facts.depends {
            let provision = match ModuleName::new(name.clone()) {
                Ok(module) => self.provide(&module, &cell.kernel, &cell.arch, retry),
                Err(_) => Provision::Unregistered,
            };
            match provision {
                Provision::Excluded => {}
                Provision::Ready { after, build } => {
                    found.steps.extend(after);
                    found.builds.push((name.clone(), build));
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
pub(super) fn other_build(builds: &[(String, BuildOf)], inputs: Option<&Inputs>) -> Option<String> {
    builds.iter().find(|(name, build)| build.is_other(name, inputs)).map(|(name, _)| name.clone())
}

/// True when something changed since an excluded package was built that can have excluded it: what
/// it depends on cannot, nor can the signing key.
fn refuses_anew(standing: &Standing) -> bool {
    matches!(standing, Standing::Stale(change)
        if !matches!(change, Change::Dependency { .. } | Change::Signing))
}

pub(super) fn ready(after: Option<usize>, build: BuildOf) -> Provision {
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
