//! One module version, one kernel, one state: what a person types.

use super::depends::Dependencies;
use super::planner::{Planner, Standing};
use super::provision::{BuildOf, Provision};
use super::reconcile::{adopted, same_verdict};
use super::{Action, Note, Reason, Subject};
use crate::model::ids::{Cell, ModuleName};
use crate::model::request::Goal;
use crate::model::system::{CellView, Now, Source};

impl<'a> Planner<'a> {
    /// Plans what brings a cell to a state.
    pub(super) fn bring(&mut self, cell: Cell, to: Goal, force: bool) {
        self.by_name = true;
        if to != Goal::Added {
            self.scope.insert(cell.kernel.clone());
        }
        match to {
            Goal::Added => self.add(&cell),
            Goal::Built | Goal::Installed => self.bring_up(cell, to, force),
            Goal::Uninstalled | Goal::Unbuilt => self.bring_down(&cell, to),
        }
    }

    fn add(&mut self, cell: &Cell) {
        let module = cell.module.clone();
        if self.system.modules.contains_key(&module) {
            self.note(Note::AlreadyAdded { module });
        } else {
            self.step(Action::Add { module }, Reason::Asked, Vec::new());
        }
    }

    pub(super) fn bring_up(&mut self, cell: Cell, to: Goal, force: bool) {
        match self.system.modules.get(&cell.module) {
            None => {
                self.note(Note::NotAdded { module: cell.module });
                return;
            }
            Some(Source::Dangling(target)) => {
                let target = target.clone();
                self.note(Note::Broken { module: cell.module, target });
                return;
            }
            Some(Source::Blind(blind)) => {
                let about = Subject::Module { module: cell.module };
                self.note(Note::Blind { about, blind: blind.clone() });
                return;
            }
            Some(Source::Added | Source::BinariesOnly) => {}
        }
        let Some(view) = self.view(&cell) else {
            self.no_such_cell(cell);
            return;
        };
        // A build by force replaces whatever there is, and what could not be read of it.
        let again = force && to == Goal::Built;
        let anew = again && view.built;
        if self.is_blind_kernel(&cell.kernel) || !anew && self.is_blind(&cell, view) {
            return;
        }
        if self.options.heed_failures && !again && self.has_unread_verdict(&cell, view) {
            return;
        }
        // "Already installed" would call settled what was not seen.
        if to == Goal::Installed && self.is_doubtful(&cell.kernel) {
            self.doubt(&cell.kernel);
        }
        // A build that is there is installed as it is, `--force` or not, as in DKMS.
        let Some((build, adopt)) = self.build_step(&cell, view, again, force) else {
            return;
        };
        if adopt {
            self.step(Action::Adopt { cell: cell.clone() }, adopted(view), Vec::new());
        }
        // Keeping the build also drops the recorded failure for these headers.
        let kept = build.is_none() && self.keep_step(&cell, view);
        // Signing with this key failed before and the build still works: do not retry from a hook.
        let failed = || same_verdict(view).is_some_and(|v| v.failure.is_some());
        let signs = build.is_none() && (kept || !self.options.heed_failures || !failed());
        let key = Self::signing_change(view).filter(|_| signs);
        let resign = key.is_some();
        let mut installed = view.installed && view.intact;
        if let Some(change) = key {
            installed &= !self.resign_step(&cell, view, Reason::Stale { change }).1;
        }
        if to == Goal::Built {
            if build.is_none() && !resign {
                self.note(Note::AlreadyBuilt { cell });
            }
            return;
        }
        if build.is_none() && installed && !force {
            self.note_index(&cell);
            if !resign {
                self.note(Note::AlreadyInstalled { cell });
            }
            return;
        }
        let reason = match build {
            None if view.installed && !view.intact => self.why_mended(&cell),
            _ => Reason::Asked,
        };
        let (step, which) = match (build, &view.now) {
            (Some((step, made)), _) => (Some(step), made),
            (None, Now::Judged { inputs, .. }) if adopt => (None, BuildOf::from(inputs, Vec::new(), false)),
            (None, _) => (None, BuildOf::of(view)),
        };
        if let Some(install) = self.install_step(&cell, force, reason, Vec::new(), step)
            && !force
        {
            self.rebuild_dependents(&cell, install, which);
        }
    }

    /// Says why a cell that was asked for is none: the kernel is not here, or is of another architecture.
    fn no_such_cell(&mut self, cell: Cell) {
        if !self.system.kernels.contains_key(&cell.kernel) {
            self.note(Note::UnknownKernel { kernel: cell.kernel });
            return;
        }
        self.note(Note::OtherArchitecture { cell, own: self.system.arch.clone() });
    }

    /// The build that is needed, if one is, and whether what is there is taken over instead.
    /// `again` builds even what is fresh.
    /// `None` when the cell cannot be built; a note says why.
    #[allow(clippy::type_complexity, reason = "two answers that only make sense together")]
    fn build_step(
        &mut self,
        cell: &Cell,
        view: &'a CellView,
        again: bool,
        force: bool,
    ) -> Option<(Option<(usize, BuildOf<'a>)>, bool)> {
        let standing = self.standing(view);
        let unchanged = match &standing {
            Standing::Fresh | Standing::Adoptable => true,
            Standing::Stale(change) => change.is_signature(),
            _ => false,
        };
        let (facts, inputs) = match &view.now {
            Now::Judged { facts, inputs, .. } => (facts.clone(), inputs),
            // A build that is there can be installed without headers or source.
            Now::NoHeaders | Now::Unreadable(_) if unchanged && !again => return Some((None, false)),
            Now::NoHeaders => {
                let package = self
                    .system
                    .kernels
                    .get(&cell.kernel)
                    .map(|k| k.headers_package.clone())
                    .unwrap_or_default();
                self.note(Note::Waiting { kernel: cell.kernel.clone(), package });
                return None;
            }
            Now::Unreadable(error) => {
                let note = Note::Unreadable { cell: cell.clone(), error: error.clone() };
                self.note(note);
                return None;
            }
        };
        if let Some(why) = facts.exclusion.clone()
            && (!unchanged || again)
        {
            self.note(Note::Excluded { cell: cell.clone(), why });
            return None;
        }
        if unchanged && !again {
            // A build out of an archive whose dependencies are not there yet is not written down: they
            // would seem to have changed since.
            let complete = !view.is_loaded() || self.all_installed(cell, &facts.depends);
            return Some((None, standing == Standing::Adoptable && complete));
        }
        // `install --force`, which packages' scripts use after `build`, is about files in the way.
        if self.options.heed_failures
            && !again
            && let Some(failure) = same_verdict(view).and_then(|v| v.failure.as_ref())
            && !(failure.provisional && self.options.retry_provisional)
        {
            let failure = Box::new(failure.clone());
            self.note(Note::FailedBefore { cell: cell.clone(), failure });
            return None;
        }
        // A dependency that depends on this module in turn is not to bring a version of it.
        if let Some(place) = self.index.place(&cell.module.name, &cell.kernel) {
            *self.provision(place) = Some(Provision::Visiting);
        }
        let retry = !self.options.heed_failures;
        let depends = |planner: &mut Self| planner.depends(cell, &facts, retry);
        // Nothing is brought for what cannot be had.
        let found = if force { depends(self) } else { self.all_or_none(depends) };
        let found = match found {
            Ok(found) => found,
            // The build warns.
            Err(_) if force => Dependencies::default(),
            Err(missing) => {
                self.note(*missing);
                return None;
            }
        };
        let reason = match standing {
            _ if view.blind.is_some() => Reason::Asked,
            Standing::Stale(change) => Self::stale(view, &change),
            Standing::Unfit(misfit) => Reason::NotAdopted { misfit },
            Standing::WrongKernel => Reason::WrongKernel,
            _ => Reason::Asked,
        };
        let made = BuildOf::from(inputs, found.builds, true);
        // One that depends on a build of this run is looked for when it begins.
        let cached = view.cached && !force && !again && found.steps.is_empty();
        let build = self.step(Action::Build { cell: cell.clone(), force, cached }, reason, found.steps);
        Some((Some((build, made)), false))
    }

    /// True when these are installed, but for the module itself.
    fn all_installed(&self, cell: &Cell, names: &[String]) -> bool {
        names.iter().filter(|name| **name != cell.module.name.as_str()).all(|name| {
            ModuleName::new(name.clone())
                .is_ok_and(|name| self.installed(&name, &cell.kernel, &cell.arch).is_some())
        })
    }

    fn bring_down(&mut self, cell: &Cell, to: Goal) {
        if !self.system.modules.contains_key(&cell.module) {
            self.note(Note::NotAdded { module: cell.module.clone() });
            return;
        }
        let (installed, built) = self.view(cell).map_or((false, false), |v| (v.installed, v.built));
        // What was seen of it is taken away all the same: a person asks.
        if let Some(view) = self.view(cell).filter(|_| !installed && !built)
            && self.is_blind(cell, view)
        {
            return;
        }
        let mut needs = Vec::new();
        if installed {
            needs.push(self.step(Action::Uninstall { cell: cell.clone() }, Reason::Asked, Vec::new()));
        } else {
            self.note(Note::NotInstalled { cell: cell.clone() });
        }
        if to == Goal::Unbuilt {
            if built {
                self.step(Action::Unbuild { cell: cell.clone() }, Reason::Asked, needs);
            } else {
                self.note(Note::NotBuilt { cell: cell.clone() });
            }
        }
    }
}
