//! Builds for the sake of knowing whether they succeed.

use std::collections::BTreeSet;

use super::Machine;
use super::older::{Call, Went, may_be_older};
use crate::apply::run::{Done, Executor, Flags};
use crate::model::error::Error;
use crate::model::ids::{Cell, KernelRelease, ModuleId};
use crate::model::record::Overrides;
use crate::model::request::{Goal, Request, Wanted};
use crate::model::system::{Now, Source, System};
use crate::observe::holdings::Holdings;
use crate::plan::{Action, InitramfsDuty, Note, Options, Plan};
use crate::progress::Report;
use crate::report::fits::{Answer, Verdict};
use crate::tree::registry;
use crate::tree::state;

impl Machine {
    /// Builds what a run would build for these kernels, and says what became of it; of these modules, whatever their
    /// AUTOINSTALL says, or of all. Nothing else of a run is done. No script of a module runs but those of its build.
    ///
    /// This changes the module tree and `/lib/modules`: it is for where they are copies that nobody else sees.
    pub fn try_builds(
        &self,
        kernels: &[KernelRelease],
        modules: &[Wanted],
        report: &dyn Report,
    ) -> Vec<Answer> {
        if modules.is_empty() {
            let request = Request::Reconcile { kernels: Some(kernels.to_vec()), retry: true };
            return self.try_request(&request, kernels, None, report);
        }
        let registered = registry::registered(&self.layout).into_iter();
        let asked = registered.filter(|(id, source)| {
            *source == Source::Added && modules.iter().any(|wanted| wanted.includes(id))
        });
        let mut answers = Vec::new();
        for (module, _) in asked {
            for kernel in kernels {
                let request = Request::Bring {
                    module: module.clone(),
                    kernel: kernel.clone(),
                    arch: self.arch.clone(),
                    to: Goal::Built,
                    force: false,
                };
                let about = (std::slice::from_ref(kernel), Some(&module));
                answers.extend(self.try_request(&request, about.0, about.1, report));
            }
        }
        answers
    }

    /// Whether its builds always run with all of root's power. What they do then does not stay where they are tried.
    fn has_root_power(&self, module: &ModuleId) -> bool {
        self.settings.unconfined_because(module).is_some_and(|(_, _, always)| always)
    }

    /// What of a plan is tried.
    pub(super) fn to_try(&self, plan: &Plan) -> Plan {
        plan.builds(&|cell| !self.has_root_power(&cell.module))
    }

    fn try_request(
        &self,
        request: &Request,
        kernels: &[KernelRelease],
        about: Option<&ModuleId>,
        report: &dyn Report,
    ) -> Vec<Answer> {
        let overrides = Overrides::default();
        let options = Options { depmod: false, initramfs: InitramfsDuty::Later, ..Options::default() };
        let (system, whole) = self.plan(request, &options, &overrides);
        let plan = self.to_try(&whole);
        // A person reads the answer: nothing is left for a summary.
        let flags = Flags { interactive: true, trial: true };
        let holdings = Holdings::new(&self.layout);
        let observer = self.observer_for(request, &overrides);
        let mut executor = Executor::new(observer, &system, &options, &flags, &holdings, report);
        executor.tries_older = may_be_older(request) && !system.only_newest;
        let done = executor.run(&plan);
        let behind = executor.behind();
        let call = Call { request, options: &options, overrides: &overrides, flags: &flags, report };
        let Went { plan, done, .. } =
            self.go_on_with_older(call, Went { plan, done, behind, unsigned: false });
        let trial = Trial { machine: self, system: &system, whole: &whole, plan: &plan, done: &done };
        let wanted =
            |cell: &&Cell| kernels.contains(&cell.kernel) && about.is_none_or(|id| cell.module == *id);
        trial.answers(&system.cells.keys().filter(wanted).collect::<Vec<_>>())
    }
}

/// An attempt that is over.
struct Trial<'a> {
    machine: &'a Machine,
    system: &'a System,
    /// What a run would do.
    whole: &'a Plan,
    /// What was done of it.
    plan: &'a Plan,
    done: &'a [Done],
}

impl Trial<'_> {
    fn answers(&self, cells: &[&Cell]) -> Vec<Answer> {
        let mut answers: Vec<Answer> = cells
            .iter()
            .filter_map(|cell| Some(Answer { cell: (*cell).clone(), verdict: self.verdict(cell)? }))
            .collect();
        // Of a module about which there is nothing to say in any version, that is said once.
        let told: BTreeSet<_> =
            answers.iter().map(|a| (a.cell.module.name.clone(), a.cell.kernel.clone())).collect();
        let mut silent = BTreeSet::new();
        for cell in cells.iter().rev() {
            let which = (cell.module.name.clone(), cell.kernel.clone());
            if !told.contains(&which) && silent.insert(which) {
                let why = "it is not built by itself; --module names it".to_owned();
                answers.push(Answer { cell: (*cell).clone(), verdict: Verdict::Untried { why } });
            }
        }
        answers.sort_by(|one, other| one.cell.cmp(&other.cell));
        answers
    }

    /// What is to be said of a cell, if anything is.
    fn verdict(&self, cell: &Cell) -> Option<Verdict> {
        let builds = |action: &Action| matches!(action, Action::Build { cell: of, .. } if of == cell);
        if let Some(at) = self.plan.steps.iter().position(|step| builds(&step.action)) {
            return Some(self.outcome(cell, self.done.get(at)));
        }
        if self.whole.steps.iter().any(|step| builds(&step.action)) {
            let why = match self.machine.has_root_power(&cell.module) {
                true => "it is built with all of root's power, and only when its time has come",
                false => "it needs a module that is built with all of root's power",
            };
            return Some(Verdict::Untried { why: why.to_owned() });
        }
        let view = self.system.cell(cell)?;
        if let Now::Judged { facts, .. } = &view.now
            && let Some(why) = &facts.exclusion
        {
            return Some(Verdict::Excluded { why: why.clone() });
        }
        let telling = |note: &&Note| {
            note.cell() == Some(cell) && (note.is_failure() || matches!(note, Note::MissingDepends { .. }))
        };
        if let Some(note) = self.whole.notes.iter().find(telling) {
            return Some(Verdict::Untried { why: note.text() });
        }
        view.built.then_some(Verdict::Builds)
    }

    fn outcome(&self, cell: &Cell, done: Option<&Done>) -> Verdict {
        match done {
            Some(Done::Yes) => Verdict::Builds,
            Some(Done::Failed(error)) => self.failure(cell, error),
            Some(Done::Without(step)) => {
                let needed = self.plan.steps.get(*step).and_then(|step| step.action.cell());
                let needed = needed.map_or_else(|| "another step".to_owned(), |c| c.module.to_string());
                Verdict::Untried { why: format!("it needs {needed}, which is not there") }
            }
            Some(Done::Unmet | Done::Stopped) | None => {
                Verdict::Untried { why: "the attempt was stopped".to_owned() }
            }
        }
    }

    fn failure(&self, cell: &Cell, error: &Error) -> Verdict {
        let verdict = state::known(state::verdict(&self.machine.layout, cell));
        match verdict.and_then(|verdict| verdict.failure) {
            Some(failure) if failure.by_source => {
                Verdict::Fails { what: failure.what, errors: failure.first_errors }
            }
            Some(failure) => {
                let hint = failure.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                Verdict::Untried { why: format!("{}{hint}", failure.what) }
            }
            None => Verdict::Untried { why: error.what.clone() },
        }
    }
}
