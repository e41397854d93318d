//! What a plan does to a system, without one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::world::{absent, failed, record};
use crate::model::fit::Fit;
use crate::model::ids::{Cell, KernelRelease};
use crate::model::record::{InitramfsDue, InstalledFile, Kept, KernelNote};
use crate::model::system::{CellView, Kernel, Now, Source, System};
use crate::plan::{Action, Duty, Options, Plan};

/// A run of a plan on a system that is only data.
pub struct Run<'a> {
    /// The system.
    pub system: System,
    /// As the plan was made.
    pub options: &'a Options,
    /// Which builds fail.
    pub fails: &'a dyn Fn(&Cell) -> bool,
    /// Nanoseconds since the epoch, as it were.
    pub clock: i64,
    /// Builds that were tried and failed.
    pub failed: BTreeSet<Cell>,
}

impl Run<'_> {
    /// Carries out the first `steps` steps; what is remembered is settled after the last.
    pub fn carry_out(&mut self, plan: &Plan, steps: usize) {
        let mut done = Vec::new();
        for step in plan.steps.iter().take(steps) {
            let ok = step.needs.iter().all(|n| done[*n]) && self.step(&step.action);
            done.push(ok);
            refresh(&mut self.system);
        }
        if steps >= plan.steps.len() {
            for (kernel, duty) in &plan.settled {
                let note = &mut self.kernel(kernel).note;
                match duty {
                    Duty::Headers => note.waiting = None,
                    Duty::Depmod => (note.depmod_due, note.depmod_left_at) = (false, None),
                    Duty::Initramfs => note.initramfs_due = None,
                }
            }
            let clock = self.clock;
            for kernel in &self.options.depmod_follows {
                if let Some(known) = self.system.kernels.get_mut(kernel) {
                    known.note.depmod_left_at = known.note.depmod_due.then_some(clock);
                }
            }
        }
    }

    fn kernel(&mut self, kernel: &KernelRelease) -> &mut Kernel {
        self.system.kernels.get_mut(kernel).expect("a kernel that was observed")
    }

    fn view(&mut self, cell: &Cell) -> &mut CellView {
        self.system.cells.get_mut(cell).expect("a cell that was observed")
    }

    fn modules_change(&mut self, cell: &Cell) {
        let note = &mut self.kernel(&cell.kernel).note;
        (note.depmod_due, note.depmod_left_at) = (true, None);
        self.initramfs_lags(cell);
    }

    fn initramfs_lags(&mut self, cell: &Cell) {
        self.clock += 1;
        let (clock, always) = (self.clock, self.options.kernel_event);
        let note = &mut self.kernel(&cell.kernel).note;
        let due = note.initramfs_due.get_or_insert(InitramfsDue { since: 0, always, modules: Vec::new() });
        due.since = clock;
        due.always |= always;
        due.modules.push(cell.module.name.to_string());
    }

    fn step(&mut self, action: &Action) -> bool {
        match action {
            Action::Add { module } => {
                self.system.modules.insert(module.clone(), Source::Added);
                let arch = self.system.arch.clone().unwrap();
                for kernel in self.system.kernels.keys() {
                    let cell = Cell { module: module.clone(), kernel: kernel.clone(), arch: arch.clone() };
                    self.system.cells.insert(cell, absent());
                }
            }
            Action::Build { cell, .. } => return self.build(cell),
            Action::Adopt { cell } => {
                let view = self.view(cell);
                let Now::Judged { facts, inputs, .. } = &view.now else { panic!("{cell}: {:?}", view.now) };
                assert!(view.built && view.record.is_none() && view.vermagic_matches, "{cell}: {view:?}");
                view.record = Some(record((**inputs).clone(), facts.clone()));
                view.fit = None;
            }
            Action::Keep { cell } => {
                let view = self.view(cell);
                let (Now::Judged { inputs, .. }, Some(Fit::Fits(compared)), Some(record)) =
                    (&view.now, &view.fit, &mut view.record)
                else {
                    panic!("{cell}: {view:?}")
                };
                record.kept = Some(Kept { headers: inputs.headers.clone(), compared: *compared });
                view.verdict = None;
            }
            Action::Resign { cell, reinstall } => {
                let view = self.view(cell);
                assert!(view.built && (!reinstall || view.installed && view.intact), "{cell}: {view:?}");
                if let (Now::Judged { inputs, .. }, Some(record)) = (&view.now, &mut view.record) {
                    Arc::make_mut(&mut record.inputs).signing.clone_from(&inputs.signing);
                }
                view.intact = *reinstall || !view.installed;
                view.verdict = None;
                if *reinstall {
                    self.initramfs_lags(cell);
                }
            }
            Action::Install { cell, .. } => {
                assert!(self.view(cell).built, "{cell} is installed without a build");
                for (other, view) in &mut self.system.cells {
                    if other.module.name == cell.module.name && other.kernel == cell.kernel {
                        view.installed = other == cell;
                        view.intact = true;
                        if let Some(record) = view.record.as_mut().filter(|_| other == cell) {
                            record.installed =
                                vec![InstalledFile::planned("/lib/modules/x.ko".into(), "x.ko")];
                        }
                    }
                }
                self.modules_change(cell);
            }
            Action::Uninstall { cell } => {
                assert!(self.view(cell).installed, "{cell} is not installed");
                self.view(cell).installed = false;
                self.modules_change(cell);
            }
            Action::Unbuild { cell } => {
                let view = self.view(cell);
                assert!(!view.installed && view.built, "{cell}: {view:?}");
                (view.built, view.record, view.verdict) = (false, None, None);
            }
            Action::Forget { module } => {
                assert!(!self.system.cells.iter().any(|(c, v)| c.module == *module && v.built));
                self.system.modules.remove(module);
                self.system.cells.retain(|cell, _| cell.module != *module);
            }
            Action::Wait { kernel, package } => self.kernel(kernel).note.waiting = Some(package.clone()),
            Action::Depmod { kernel } => {
                let known = self.kernel(kernel);
                (known.note.depmod_due, known.note.depmod_left_at) = (false, None);
                known.indexed = true;
            }
            Action::Initramfs { kernel, .. } => {
                self.clock += 1;
                let clock = self.clock;
                let known = self.kernel(kernel);
                let left = known.note.depmod_left_at.is_some();
                assert!(known.image && (!known.note.depmod_due || left || !self.options.depmod));
                let known = self.kernel(kernel);
                if known.note.initramfs_due.take().is_some() {
                    known.initramfs = Some(clock);
                }
            }
            Action::Modprobe { .. } | Action::Share { .. } | Action::Unlink { .. } | Action::Guard => {}
            Action::Sweep { kernel } => {
                for (cell, view) in &mut self.system.cells {
                    if cell.kernel == *kernel {
                        view.verdict = None;
                    }
                }
                let known = self.kernel(kernel);
                known.residue = false;
                let removed = known.note.removed && known.image;
                known.note = KernelNote { removed, ..KernelNote::default() };
            }
        }
        true
    }

    fn build(&mut self, cell: &Cell) -> bool {
        assert_eq!(self.system.modules.get(&cell.module), Some(&Source::Added), "{cell}");
        let fails = (self.fails)(cell);
        let without_image = !self.kernel(&cell.kernel).image;
        let view = self.view(cell);
        let Now::Judged { facts, inputs, .. } = &view.now else { panic!("{cell}: {:?}", view.now) };
        assert_eq!(facts.exclusion, None, "{cell}");
        let (facts, inputs) = (facts.clone(), (**inputs).clone());
        if fails {
            view.verdict = Some(failed(inputs, facts, false));
            self.failed.insert(cell.clone());
            return false;
        }
        view.built = true;
        view.intact = !view.installed;
        view.verdict = None;
        view.fit = None;
        let mut made = record(inputs, facts);
        made.without_image = without_image;
        view.record = Some(made);
        true
    }
}

/// What would be observed anew: for every cell the builds of its dependencies that are installed.
pub fn refresh(system: &mut System) {
    let mut prints: BTreeMap<(String, KernelRelease), String> = BTreeMap::new();
    for (cell, view) in &system.cells {
        if let (true, Some(record)) = (view.installed, &view.record) {
            prints.insert((cell.module.name.to_string(), cell.kernel.clone()), record.inputs.fingerprint());
        }
    }
    for (cell, view) in &mut system.cells {
        if let Now::Judged { facts, inputs, .. } = &mut view.now {
            let print = |name: &String| prints.get(&(name.clone(), cell.kernel.clone())).cloned();
            Arc::make_mut(inputs).depends =
                facts.depends.iter().filter_map(|name| Some((name.clone(), print(name)?))).collect();
        }
    }
}
