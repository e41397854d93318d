//! Distributions with stable kernel symbols link modules of one kernel for others. What is linked and does not
//! fit goes, and the kernel gets a build of its own: known only when the link is there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::condition::Condition;
use super::planner::Planner;
use super::{Action, Reason, Step};
use crate::model::ids::{Cell, KernelRelease};
use crate::model::request::Goal;
use crate::model::system::{Kernel, Question};

/// What changes for a kernel because of modules that another one shares with it.
#[derive(Debug, Default)]
pub(super) struct Borrowed {
    /// Steps that change the files below `/lib/modules/K`.
    pub(super) files: Vec<usize>,
    /// Those of them that install.
    pub(super) installs: Vec<usize>,
}

impl Planner<'_> {
    /// Plans what follows for other kernels from what is installed and uninstalled.
    pub(super) fn share(&mut self) -> BTreeMap<KernelRelease, Borrowed> {
        let mut borrowed: BTreeMap<KernelRelease, Borrowed> = BTreeMap::new();
        let mut lenders: VecDeque<(KernelRelease, usize)> =
            self.kernels_with_new_files(0).into_iter().map(|kernel| (kernel, 0)).collect();
        while let Some((kernel, from)) = lenders.pop_front() {
            let changed = self.changed_cells(&kernel, from);
            let shared: Vec<Cell> = changed
                .iter()
                .filter(|(cell, installs)| *installs && self.is_shared(cell))
                .map(|(cell, _)| cell.clone())
                .collect();
            let sharing = (!shared.is_empty()).then(|| {
                let action = Action::Share { kernel: kernel.clone() };
                self.step_if(action, Reason::ModulesChanged, Vec::new(), Condition::any_change())
            });
            for (other, known) in &self.system.kernels {
                if *other == kernel || known.blind.is_some() || self.sweep.contains_key(other) {
                    continue;
                }
                for (cell, installs) in &changed {
                    if !(known.linked || sharing.is_some() && shared.contains(cell)) {
                        continue;
                    }
                    let start = self.plan.steps.len();
                    let of = borrowed.entry(other.clone()).or_default();
                    let own = self.unlink(cell, other, known, *installs, sharing);
                    of.files.push(start);
                    let installing = self.plan.steps.iter().enumerate().skip(start);
                    let installing: Vec<usize> = installing
                        .filter(|(_, step)| matches!(step.action, Action::Install { .. }))
                        .map(|(at, _)| at)
                        .collect();
                    of.files.extend(&installing);
                    of.installs.extend(&installing);
                    if own {
                        lenders.push_back((other.clone(), start));
                    }
                }
            }
        }
        borrowed
    }

    /// Plans to take the link of a cell away from another kernel if it does not fit, and then to build the
    /// module for that kernel, where that can be done (true).
    fn unlink(
        &mut self,
        cell: &Cell,
        other: &KernelRelease,
        known: &Kernel,
        installs: bool,
        sharing: Option<usize>,
    ) -> bool {
        let own = Cell { kernel: other.clone(), ..cell.clone() };
        let wanted = installs && known.image && known.headers && !self.will_be_there(&own);
        let action = Action::Unlink { cell: cell.clone(), other: other.clone(), replaced: false };
        let needs = sharing.into_iter().collect();
        let unlink = self.step_if(action, Reason::ModulesChanged, needs, Condition::LinkMisfit);
        if !wanted || self.view(&own).is_none() {
            return false;
        }
        let notes = self.plan.notes.len();
        self.bring_up(own, Goal::Installed, false);
        // Nobody asked for it: why it cannot be had is said when it is missed.
        self.plan.notes.truncate(notes);
        let planned = self.plan.steps.len() > unlink + 1;
        for step in &mut self.plan.steps[unlink + 1..] {
            step.needs.push(unlink);
            if step.reason == Reason::Asked {
                step.reason = Reason::LinkMisfit { of: cell.kernel.clone() };
            }
        }
        if let Action::Unlink { replaced, .. } = &mut self.plan.steps[unlink].action {
            *replaced = planned;
        }
        planned
    }

    /// True when some version of a module is installed for the kernel, or will be.
    fn will_be_there(&self, own: &Cell) -> bool {
        let same = |cell: &Cell| cell.module.name == own.module.name && cell.kernel == own.kernel;
        let installs = |step: &Step| matches!(&step.action, Action::Install { cell, .. } if same(cell));
        self.installed(&own.module.name, &own.kernel, &own.arch).is_some()
            || self.plan.steps.iter().any(installs)
    }

    fn is_shared(&mut self, cell: &Cell) -> bool {
        self.system.shares
            && match self.system.installs.get(cell) {
                Some(found) => found.shared,
                None => {
                    self.plan.questions.insert(Question::Install(cell.clone()));
                    true
                }
            }
    }

    /// Kernels for which something is installed or uninstalled, from this step on.
    fn kernels_with_new_files(&self, from: usize) -> BTreeSet<KernelRelease> {
        let steps = self.plan.steps.iter().skip(from);
        steps.filter_map(changed_cell).map(|(cell, _)| cell.kernel.clone()).collect()
    }

    /// What is installed (true) and uninstalled for a kernel, from this step on, in order: what others depend
    /// on comes first.
    fn changed_cells(&self, kernel: &KernelRelease, from: usize) -> Vec<(Cell, bool)> {
        let steps = self.plan.steps.iter().skip(from).filter_map(changed_cell);
        steps.filter(|(cell, _)| cell.kernel == *kernel).map(|(cell, to)| (cell.clone(), to)).collect()
    }
}

fn changed_cell(step: &Step) -> Option<(&Cell, bool)> {
    match &step.action {
        Action::Install { cell, .. } => Some((cell, true)),
        Action::Uninstall { cell } => Some((cell, false)),
        _ => None,
    }
}
