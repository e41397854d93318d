//! Where the newest version of a module does not compile, the run goes on with an older one: that is known only when it
//! has been tried. So the machine is looked at once more, and what then is to be done is planned as always.

use std::collections::BTreeSet;

use super::Machine;
use crate::apply::run::{Done, Executor, Flags};
use crate::model::ids::{Cell, KernelRelease, ModuleName};
use crate::model::record::Overrides;
use crate::model::request::Request;
use crate::observe::holdings::Holdings;
use crate::plan::{Action, Note, Options, Plan, Step};
use crate::process::interrupt;
use crate::progress::Report;

/// What a run is asked, and how.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) request: &'a Request,
    pub(super) options: &'a Options,
    pub(super) overrides: &'a Overrides,
    pub(super) flags: &'a Flags,
    pub(super) report: &'a dyn Report,
}

/// What a run has planned and done so far.
pub(super) struct Went {
    pub(super) plan: Plan,
    pub(super) done: Vec<Done>,
    /// Builds in whose place an older version may come.
    pub(super) behind: BTreeSet<Cell>,
    /// A build should be signed and is not.
    pub(super) unsigned: bool,
}

/// Whether an older version may take the place of a newer one: not where a person asks for one version by name.
pub(super) fn may_be_older(request: &Request) -> bool {
    matches!(request, Request::Reconcile { .. } | Request::Autoinstall { .. })
}

impl Machine {
    /// Goes on with older versions, until there is none that could be tried.
    pub(super) fn go_on_with_older(&self, call: Call<'_>, mut went: Went) -> Went {
        let machine = self.as_asked();
        while !went.behind.is_empty() && interrupt::requested().is_none() {
            let options =
                Options { instead: went.in_question(), retry_provisional: false, ..call.options.clone() };
            let holdings = Holdings::new(&machine.layout);
            let glance = machine.glance(call.request, &options, call.overrides);
            let (system, plan) =
                machine.look_closer(glance, call.request, &options, call.overrides, &holdings);
            let plan = if call.flags.trial { self.to_try(&plan) } else { plan };
            went.behind.clear();
            // Its failure could not be written down: it would fail again.
            if plan.steps.iter().any(|step| went.has_failed(&step.action)) {
                break;
            }
            let observer = machine.observer_for(call.request, call.overrides);
            let mut executor = Executor::new(observer, &system, &options, call.flags, &holdings, call.report);
            executor.tries_older = true;
            let done = executor.run(&plan);
            went.unsigned |= executor.is_unsigned();
            went.behind = executor.behind();
            went.add(&options.instead, plan, done);
        }
        went
    }
}

impl Went {
    /// The modules that one more plan is about: those that an older version may be used of, and what was left out
    /// because it depends on one of those.
    fn in_question(&self) -> BTreeSet<(KernelRelease, ModuleName)> {
        let of = |cell: &Cell| (cell.kernel.clone(), cell.module.name.clone());
        let left_out = self.plan.steps.iter().enumerate().filter_map(|(at, step)| {
            let cause = self.cause(at)?;
            let cause = self.plan.steps[cause].action.cell()?;
            step.action.cell().filter(|_| self.behind.contains(cause)).map(of)
        });
        self.behind.iter().map(of).chain(left_out).collect()
    }

    /// The step whose failure is why a step was left out.
    fn cause(&self, step: usize) -> Option<usize> {
        let mut at = step;
        while let Done::Without(need) = self.done.get(at)? {
            at = *need;
        }
        (at != step).then_some(at)
    }

    /// True when an action is a build that failed in this run.
    fn has_failed(&self, action: &Action) -> bool {
        let Action::Build { cell, .. } = action else { return false };
        self.failed().any(|failed| failed == cell)
    }

    fn failed(&self) -> impl Iterator<Item = &Cell> {
        self.plan.steps.iter().zip(&self.done).filter_map(|(step, done)| match (&step.action, done) {
            (Action::Build { cell, .. }, Done::Failed(_)) => Some(cell),
            _ => None,
        })
    }

    /// Adds a plan for some modules that was carried out after the others. What it says of builds that failed in this
    /// run, their errors say already.
    fn add(&mut self, of: &BTreeSet<(KernelRelease, ModuleName)>, plan: Plan, done: Vec<Done>) {
        let before = self.plan.steps.len();
        // It was made for what was left out, too: whatever becomes of that now, this plan says.
        for (step, done) in self.plan.steps.iter().zip(&mut self.done) {
            let left_out = matches!(done, Done::Without(_));
            let again = |cell: &Cell| of.contains(&(cell.kernel.clone(), cell.module.name.clone()));
            if left_out && step.action.cell().is_some_and(again) {
                *done = Done::Unmet;
            }
        }
        let moved =
            |step: Step| Step { needs: step.needs.iter().map(|need| need + before).collect(), ..step };
        let placed = |done: Done| match done {
            Done::Without(need) => Done::Without(need + before),
            other => other,
        };
        self.plan.steps.extend(plan.steps.into_iter().map(moved));
        self.done.extend(done.into_iter().map(placed));
        let told = |note: &Note| match note {
            Note::FailedBefore { cell, .. } => self.failed().any(|failed| failed == cell),
            Note::OlderInstead { cell, older, .. } => self.lacks(cell, older.as_str()),
            note => self.plan.notes.contains(note),
        };
        let notes: Vec<Note> = plan.notes.into_iter().filter(|note| !told(note)).collect();
        // An older version that was to be used and does not compile either is none that is used.
        let stays = |note: &Note| {
            !matches!(note, Note::OlderInstead { cell, older, .. }
            if self.lacks(cell, older.as_str()))
        };
        let kept: Vec<bool> = self.plan.notes.iter().map(stays).collect();
        let mut kept = kept.into_iter();
        self.plan.notes.retain(|_| kept.next().unwrap_or(true));
        self.plan.notes.extend(notes);
        self.plan.settled.extend(plan.settled);
        self.plan.refused.extend(plan.refused);
        self.plan.in_doubt |= plan.in_doubt;
    }

    /// True when this run was to bring a version in the place of `newest`, and did not.
    fn lacks(&self, newest: &Cell, older: &str) -> bool {
        let is_it = |cell: &Cell| {
            (&cell.module.name, &cell.kernel) == (&newest.module.name, &newest.kernel)
                && cell.module.version.as_str() == older
        };
        self.plan.steps.iter().zip(&self.done).any(|(step, done)| {
            let brings = matches!(&step.action, Action::Build { cell, .. } | Action::Install { cell, .. } if is_it(cell));
            brings && !matches!(done, Done::Yes | Done::Unmet)
        })
    }
}
