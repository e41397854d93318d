//! The end of a plan: what follows from its steps, once for each kernel.

use std::collections::{BTreeMap, BTreeSet};

use super::planner::Planner;
use super::{Action, Duty, InitramfsDuty, Plan, Reason, Step};
use crate::model::ids::{Cell, KernelRelease};
use crate::model::system::Kernel;

impl Planner<'_> {
    /// The end of the plan: depmod and initramfs once per kernel, then sweeping.
    pub(super) fn finish(mut self) -> Plan {
        let mut kernels = self.changed();
        for kernel in &self.scope {
            kernels.entry(kernel.clone()).or_default();
        }
        for (kernel, changed) in kernels {
            let Some(known) = self.system.kernels.get(&kernel) else { continue };
            if known.blind.is_some() {
                continue;
            }
            // What is due for it stays due.
            let doubtful = self.is_doubtful(&kernel);
            // Another signature is nothing to an index of names and symbols.
            let resigns = |step: &usize| matches!(self.plan.steps[*step].action, Action::Resign { .. });
            let steps: Vec<usize> = changed.iter().copied().filter(|step| !resigns(step)).collect();
            let index_changes = !steps.is_empty();
            // Without kernel/ there is nothing to index but what a person asked for (some kernels have no
            // modules of their own), and depmod would leave files that keep the directory of a removed
            // kernel alive.
            let mut needs = Vec::new();
            let indexes = known.image || known.indexed && self.by_name && index_changes;
            let settled = !doubtful && self.depmod_is_settled(&kernel, known, &steps);
            if settled {
                self.settle(&kernel, Duty::Depmod);
            }
            let follows = self.options.depmod_follows.contains(&kernel);
            if self.options.depmod && indexes && !follows && !self.sweep.contains_key(&kernel) {
                let ours = || self.index.of_kernel(&kernel).iter().any(|known| known.view.installed);
                let reason = if settled {
                    None
                } else if index_changes {
                    Some(Reason::ModulesChanged)
                } else if known.note.depmod_due {
                    Some(Reason::DepmodDue)
                } else if !known.indexed && ours() {
                    Some(Reason::IndexMissing)
                } else {
                    None
                };
                if let Some(reason) = reason {
                    needs.push(self.step(Action::Depmod { kernel: kernel.clone() }, reason, Vec::new()));
                }
            }
            self.modprobe(&kernel, &needs);
            self.initramfs(&kernel, &changed, needs);
        }
        self.note_doubtful();
        for (kernel, reason) in std::mem::take(&mut self.sweep) {
            self.step(Action::Sweep { kernel }, reason, Vec::new());
        }
        self.plan
    }

    /// Kernels whose files change, with the steps that do it.
    fn changed(&self) -> BTreeMap<KernelRelease, Vec<usize>> {
        let of_step = |(at, step): (usize, &'_ Step)| match &step.action {
            Action::Install { cell, .. }
            | Action::Uninstall { cell }
            | Action::Resign { cell, reinstall: true } => Some((cell.kernel.clone(), at)),
            _ => None,
        };
        let mut steps: Vec<_> = self.plan.steps.iter().enumerate().filter_map(of_step).collect();
        steps.sort();
        let of_kernel = |steps: &[(KernelRelease, usize)]| {
            (steps[0].0.clone(), steps.iter().map(|(_, at)| *at).collect())
        };
        steps.chunk_by(|(a, _), (b, _)| a == b).map(of_kernel).collect()
    }

    /// True when no depmod is needed for what an earlier run left to others, who made an index since then,
    /// nor for what goes (`steps` change files) from a kernel that nobody boots and whose index is gone:
    /// kernel-install's own plugin deletes it.
    fn depmod_is_settled(&self, kernel: &KernelRelease, known: &Kernel, steps: &[usize]) -> bool {
        if known.note.boot_entry_removed && !known.indexed {
            let actions = || steps.iter().map(|step| &self.plan.steps[*step].action);
            let goes = actions().filter(|action| matches!(action, Action::Uninstall { .. }));
            let goes: BTreeSet<&Cell> = goes.filter_map(Action::cell).collect();
            let cells = self.index.of_kernel(kernel).iter();
            let stays = cells.filter(|known| known.view.installed).any(|known| !goes.contains(known.cell));
            let comes = actions().any(|action| matches!(action, Action::Install { .. }));
            if !stays && !comes {
                return known.note.depmod_due || !steps.is_empty();
            }
        }
        let made = |left: i64| known.indexed_at.is_some_and(|made| made > left);
        known.note.depmod_due && steps.is_empty() && known.note.depmod_left_at.is_some_and(made)
    }

    /// After depmod, which is where modprobe looks: `needs` is its step.
    fn modprobe(&mut self, kernel: &KernelRelease, needs: &[usize]) {
        if self.system.load_into.as_ref() != Some(kernel) {
            return;
        }
        let installs = |s: &Step| matches!(&s.action, Action::Install { cell, .. } if cell.kernel == *kernel);
        if self.plan.steps.iter().any(installs) {
            let action = Action::Modprobe { kernel: kernel.clone() };
            self.step(action, Reason::ModulesChanged, needs.to_vec());
        }
    }

    /// Made from an index that depmod could not write, it would lack modules and count as mended:
    /// `needs` is depmod's step, `changed` are those that change the kernel's files.
    fn initramfs(&mut self, kernel: &KernelRelease, changed: &[usize], needs: Vec<usize>) {
        let changes = !changed.is_empty();
        let Some(known) = self.system.kernels.get(kernel) else { return };
        let due = known.note.initramfs_due.as_ref();
        // Whoever makes the index afterwards makes the initramfs, too, or the next run does.
        let later = self.options.initramfs == InitramfsDuty::Later
            || self.options.initramfs_follows.contains(kernel)
            || self.options.depmod_follows.contains(kernel);
        if later || self.sweep.contains_key(kernel) {
            return;
        }
        let old = match (due, known.initramfs) {
            (Some(due), Some(made)) => made <= due.since,
            _ => false,
        };
        // Nobody boots it: who makes a boot entry for it again makes the initramfs, too.
        let unused = !known.image || known.initramfs.is_none() || known.note.boot_entry_removed;
        if unused || !(old || changes) {
            if (changes || due.is_some()) && !self.is_doubtful(kernel) {
                self.settle(kernel, Duty::Initramfs);
            }
            return;
        }
        let mut modules: BTreeSet<String> =
            due.filter(|_| old).map(|d| d.modules.iter().cloned().collect()).unwrap_or_default();
        let cells = changed.iter().filter_map(|step| self.plan.steps[*step].action.cell());
        modules.extend(cells.map(|cell| cell.module.name.to_string()));
        let always = self.options.kernel_event && changes || old && due.is_some_and(|d| d.always);
        let action =
            Action::Initramfs { kernel: kernel.clone(), always, modules: modules.into_iter().collect() };
        self.step(action, if changes { Reason::ModulesChanged } else { Reason::InitramfsOld }, needs);
    }
}
