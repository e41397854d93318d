//! The end of a plan: what follows from its steps, once for each kernel.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::condition::Condition;
use super::note::Subject;
use super::planner::Planner;
use super::sharing::Borrowed;
use super::{Action, Duty, InitramfsDuty, Note, Plan, Reason, Step};
use crate::model::ids::{Cell, KernelRelease};
use crate::model::indexed::{Found, Indexed};
use crate::model::record::{InitramfsDue, InstalledFile, Record};
use crate::model::system::{Kernel, Now, Question};

impl<'a> Planner<'a> {
    /// The end of the plan: depmod and initramfs once per kernel, then sweeping.
    pub(super) fn finish(mut self) -> Plan {
        let mut kernels = self.changed();
        for kernel in &self.scope {
            kernels.entry(kernel.clone()).or_default();
        }
        for (kernel, changed) in kernels {
            let Some(known) = self.system.kernels.get(&kernel) else { continue };
            if self.is_undecided(&kernel) {
                continue;
            }
            // Another signature is nothing to an index of names and symbols.
            let resigns = |step: &usize| matches!(self.plan.steps[*step].action, Action::Resign { .. });
            let steps: Vec<usize> = changed.iter().copied().filter(|step| !resigns(step)).collect();
            let needs: Vec<usize> = self.depmod(&kernel, known, &steps).into_iter().collect();
            self.modprobe(&kernel, &needs);
            self.initramfs(&kernel, &changed, needs);
        }
        for (kernel, borrowed) in self.share() {
            self.end_borrowing(&kernel, &borrowed);
        }
        self.note_doubtful();
        self.note_unversioned();
        for (kernel, reason) in std::mem::take(&mut self.sweep) {
            self.step(Action::Sweep { kernel }, reason, Vec::new());
        }
        self.guard();
        self.plan
    }

    /// What follows for a kernel from links that are taken away from it, and from builds in their place. What
    /// was due before is not this run's business, or is done already.
    fn end_borrowing(&mut self, kernel: &KernelRelease, Borrowed { files, installs }: &Borrowed) {
        let Some(known) = self.system.kernels.get(kernel) else { return };
        let mut needs = Vec::new();
        let follows = self.options.depmod_follows.contains(kernel);
        if self.options.depmod && self.system.without_index.is_none() && known.image && !follows {
            debug_assert!(!files.is_empty(), "something is unlinked");
            let action = Action::Depmod { kernel: kernel.clone() };
            needs.push(self.step_if(action, Reason::ModulesChanged, Vec::new(), Condition::any_change()));
        }
        let later = self.options.initramfs == InitramfsDuty::Later
            || self.options.initramfs_follows.contains(kernel)
            || follows;
        let boots = known.image && known.initramfs.is_some() && !known.note.boot_entry_removed;
        if installs.is_empty() || later || !boots {
            return;
        }
        let always = self.options.kernel_event;
        let none = BTreeSet::new();
        if let Some((modules, when)) = self.modules_of_initramfs(kernel, installs, None, none, always) {
            let modules = modules.into_iter().collect();
            let action = Action::Initramfs { kernel: kernel.clone(), always, modules };
            self.step_if(action, Reason::ModulesChanged, needs, when);
        }
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

    /// Plans to make the index anew where it is not what the modules are; `steps` are those that change it.
    fn depmod(&mut self, kernel: &KernelRelease, known: &Kernel, steps: &[usize]) -> Option<usize> {
        // What is due for it stays due.
        let settled = !self.is_doubtful(kernel) && self.depmod_is_settled(kernel, known, steps);
        if settled {
            self.settle(kernel, Duty::Depmod);
        }
        let index_changes = !steps.is_empty();
        // Without kernel/ there is nothing to index but what a person asked for (some kernels have no
        // modules of their own), and depmod would leave files that keep the directory of a removed
        // kernel alive.
        let indexes = known.image || known.indexed && self.by_name && index_changes;
        let follows = self.options.depmod_follows.contains(kernel);
        if settled || !self.options.depmod || !indexes || follows || self.sweep.contains_key(kernel) {
            return None;
        }
        let ours = || self.index.of_kernel(kernel).iter().any(|known| known.view.installed);
        let reason = if index_changes {
            Reason::ModulesChanged
        } else if known.note.depmod_due {
            Reason::DepmodDue
        } else if !known.indexed && ours() {
            Reason::IndexMissing
        } else if let Some(file) = self.unlisted(kernel) {
            Reason::IndexOld { file: file.clone() }
        } else {
            return None;
        };
        if let Some(tree) = &self.system.without_index {
            self.note(Note::NoIndex { kernel: kernel.clone(), tree: tree.clone() });
            if known.note.depmod_due || index_changes {
                self.settle(kernel, Duty::Depmod);
            }
            return None;
        }
        let when = match known.note.depmod_due || !known.indexed || self.unlisted(kernel).is_some() {
            true => Condition::Always,
            false => Condition::any_change(),
        };
        Some(self.step_if(Action::Depmod { kernel: kernel.clone() }, reason, Vec::new(), when))
    }

    /// An installed file that the index does not name, unless depmod has seen it.
    fn unlisted(&self, kernel: &KernelRelease) -> Option<&PathBuf> {
        let mut looks = self.system.indexed.iter().filter(|(cell, _)| cell.kernel == *kernel);
        looks.find_map(|(_, Indexed { known, found, .. })| match found {
            Found::Nothing { file } if !known => Some(file),
            _ => None,
        })
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
            self.step_if(action, Reason::ModulesChanged, needs.to_vec(), Condition::any_change());
        }
    }

    /// Made from an index that depmod could not write, it would lack modules and count as mended:
    /// `needs` is depmod's step, `changed` are those that change the kernel's files.
    fn initramfs(&mut self, kernel: &KernelRelease, changed: &[usize], needs: Vec<usize>) {
        let Some(known) = self.system.kernels.get(kernel) else { return };
        // It is written down of what is taken over, whoever makes the initramfs.
        let made = known.initramfs_at_the_earliest();
        let left = made.map(|made| self.left_by_dkms(kernel, made)).unwrap_or_default();
        // Whoever makes the index afterwards makes the initramfs, too, or the next run does.
        let later = self.options.initramfs == InitramfsDuty::Later
            || self.options.initramfs_follows.contains(kernel)
            || self.options.depmod_follows.contains(kernel);
        if later || self.sweep.contains_key(kernel) {
            return;
        }
        let due = known.note.initramfs_due.as_ref();
        // Nobody boots it: who makes a boot entry for it again makes the initramfs, too.
        let boots = known.image && !known.note.boot_entry_removed;
        let made = known.initramfs.filter(|_| boots);
        // A generator that failed may have deleted it.
        let unfinished = due.filter(|due| boots && due.is_unfinished());
        let old = unfinished.or(due.filter(|due| made.is_some_and(|made| made <= due.since)));
        let changes = !changed.is_empty();
        if made.is_none() && unfinished.is_none() || !(old.is_some() || changes || !left.is_empty()) {
            if !(changes || due.is_some() || !left.is_empty()) {
                return;
            }
            let unseen = known.unseen_initramfs.clone().filter(|_| !known.note.boot_entry_removed);
            match unseen {
                // What is due stays due.
                Some(blind) => {
                    let about = Subject::Initramfs { kernel: kernel.clone() };
                    self.note(Note::Blind { about, blind });
                }
                None => self.settle_initramfs(kernel),
            }
            return;
        }
        let always = self.options.kernel_event && changes || old.is_some_and(|due| due.always);
        let Some((modules, when)) = self.modules_of_initramfs(kernel, changed, old, left, always) else {
            self.settle_initramfs(kernel);
            return;
        };
        let reason = if changes { Reason::ModulesChanged } else { Reason::InitramfsOld };
        let action =
            Action::Initramfs { kernel: kernel.clone(), always, modules: modules.into_iter().collect() };
        self.step_if(action, reason, needs, when);
    }

    fn settle_initramfs(&mut self, kernel: &KernelRelease) {
        if !self.is_doubtful(kernel) {
            self.settle(kernel, Duty::Initramfs);
        }
    }

    /// For which modules an initramfs is made again, and on what that depends; `None` when none of those that
    /// change has to do with it.
    fn modules_of_initramfs(
        &mut self,
        kernel: &KernelRelease,
        changed: &[usize],
        old: Option<&InitramfsDue>,
        left: BTreeSet<String>,
        always: bool,
    ) -> Option<(BTreeSet<String>, Condition)> {
        let due: BTreeSet<String> = old.iter().flat_map(|due| &due.modules).cloned().collect();
        let mut modules: Vec<Cow<'a, str>> = left.into_iter().map(Cow::Owned).collect();
        for step in changed {
            if let Some(cell) = self.plan.steps[*step].action.cell().cloned() {
                modules.extend(self.names_of(&cell));
            }
        }
        modules.sort_unstable();
        modules.dedup();
        let all = || {
            let modules = modules.iter().map(|name| name.clone().into_owned());
            due.iter().cloned().chain(modules).collect::<BTreeSet<String>>()
        };
        if always {
            let when = if old.is_some() { Condition::Always } else { Condition::any_change() };
            return Some((all(), when));
        }
        let Some(contents) = self.system.contents.get(kernel) else {
            self.plan.questions.insert(Question::Initramfs(kernel.clone()));
            let modules = all();
            return Some((
                modules.clone(),
                Condition::InInitramfs { modules: modules.into_iter().collect() },
            ));
        };
        let concerned: BTreeSet<String> = all().into_iter().filter(|name| contents.concerns(name)).collect();
        if concerned.is_empty() {
            return None;
        }
        let when = match concerned.iter().any(|name| due.contains(name)) {
            true => Condition::Always,
            false => Condition::Changed { modules: concerned.iter().cloned().collect() },
        };
        Some((concerned, when))
    }

    /// Names of modules that are taken over and that the initramfs is too old for.
    fn left_by_dkms(&mut self, kernel: &KernelRelease, made: i64) -> BTreeSet<String> {
        let adopted = self.plan.steps.iter().filter_map(|step| match &step.action {
            Action::Adopt { cell } if cell.kernel == *kernel => Some(cell.clone()),
            _ => None,
        });
        let cells: Vec<Cell> = adopted.filter(|cell| self.view(cell).is_some_and(|v| v.installed)).collect();
        let mut names = BTreeSet::new();
        for cell in cells {
            match self.system.adoptions.get(&cell) {
                None => drop(self.plan.questions.insert(Question::Adopt(cell))),
                Some(found) if found.newest.is_some_and(|newest| made <= newest) => {
                    names.extend(found.modules.iter().cloned());
                }
                Some(_) => {}
            }
        }
        names
    }

    /// The names of a cell's module files: of its build, of the one to come, and of those that are installed of
    /// it or of another version.
    pub(super) fn names_of(&mut self, cell: &Cell) -> Vec<Cow<'a, str>> {
        let mut names: Vec<&'a str> = Vec::new();
        let installed = |record: &'a Record| record.installed.iter().map(InstalledFile::module);
        if let Some(view) = self.view(cell) {
            if let Now::Judged { facts, .. } = &view.now {
                names.extend(facts.modules.iter().map(String::as_str));
            }
            if let Some(record) = &view.record {
                names.extend(record.facts.modules.iter().map(String::as_str));
                names.extend(installed(record));
            }
            if view.installed && view.record.is_none() {
                match self.system.adoptions.get(cell) {
                    Some(found) => names.extend(found.modules.iter().map(String::as_str)),
                    None => drop(self.plan.questions.insert(Question::Adopt(cell.clone()))),
                }
            }
        }
        let built = self.system.installs.get(cell).into_iter().flat_map(|found| found.built.keys());
        names.extend(built.map(String::as_str));
        let other = self.installed(&cell.module.name, &cell.kernel, &cell.arch);
        names.extend(other.and_then(|known| known.view.record.as_ref()).into_iter().flat_map(installed));
        if names.is_empty() {
            // Most packages have one module, of their own name.
            return vec![Cow::Owned(cell.module.name.to_string())];
        }
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(Cow::Borrowed).collect()
    }
}
