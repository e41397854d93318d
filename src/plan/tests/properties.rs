//! What holds for every plan, whatever the machine looks like.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use proptest::prelude::*;

use super::model::{Run, refresh};
use super::world::{absent, arch, asked, failed, inputs, kernel, module, record, steps as steps_of};
use crate::model::error::Error;
use crate::model::fit::{Compared, Fit, Misfit, Rebuild};
use crate::model::ids::{Cell, KernelRelease};
use crate::model::inputs::Inputs;
use crate::model::record::Provenance;
use crate::model::record::{InitramfsDue, InstalledFile, Kept, KernelNote};
use crate::model::request::{Goal, Request};
use crate::model::system::{CellView, Kernel, Now, Source, System};
use crate::plan::{Action, InitramfsDuty, Options, Plan, plan};

const KERNELS: [&str; 2] = ["6.1", "6.2"];
const MODULES: [&str; 5] = ["a/1", "a/2", "b/1", "b/2", "c/1"];
const NAMES: [&str; 4] = ["a", "b", "c", "stranger"];

/// Turns random numbers into choices; a shorter list of smaller numbers is a plainer machine.
struct Choices<'a>(std::slice::Iter<'a, u16>);

impl Choices<'_> {
    /// A number below `n`; 0 when there are no more.
    fn pick(&mut self, n: usize) -> usize {
        self.0.next().map_or(0, |c| usize::from(*c) % n)
    }

    /// True once in `n` times.
    fn rarely(&mut self, n: usize) -> bool {
        self.pick(n) == n - 1
    }
}

fn system(choices: &mut Choices<'_>) -> System {
    let mut system = System {
        arch: Some(arch()),
        autoinstall_disabled: choices.rarely(10),
        only_newest: choices.rarely(4),
        rebuild: if choices.rarely(3) { Rebuild::Abi } else { Rebuild::Inputs },
        load_into: choices.rarely(3).then(|| kernel(KERNELS[0])),
        ..System::default()
    };
    for release in KERNELS {
        system.kernels.insert(kernel(release), a_kernel(release, choices));
    }
    for id in MODULES {
        if choices.rarely(3) {
            continue;
        }
        let source = match choices.pick(12) {
            10 => Source::Dangling("/usr/src/x".into()),
            11 => Source::BinariesOnly,
            _ => Source::Added,
        };
        // Cycles may be; a package that depends on itself gets a test of its own.
        let depends: Vec<String> = NAMES
            .iter()
            .filter(|name| choices.rarely(4) && !id.starts_with(**name))
            .map(|name| (*name).to_owned())
            .collect();
        for release in KERNELS {
            let cell = Cell { module: module(id), kernel: kernel(release), arch: arch() };
            let headers = system.kernels[&cell.kernel].headers;
            system.cells.insert(cell, a_cell(&source, headers, &depends, choices));
        }
        system.modules.insert(module(id), source);
    }
    // One version is installed at most.
    let mut taken = BTreeSet::new();
    for (cell, view) in &mut system.cells {
        if view.installed && !taken.insert((cell.module.name.clone(), cell.kernel.clone())) {
            (view.installed, view.intact) = (false, true);
        }
    }
    // The conf of each version names it, so no two versions are made from the same.
    for (cell, view) in &mut system.cells {
        let now = match &mut view.now {
            Now::Judged { inputs, .. } => Some(Arc::make_mut(inputs)),
            Now::NoHeaders | Now::Unreadable(_) => None,
        };
        let record = view.record.as_mut().map(|r| Arc::make_mut(&mut r.inputs));
        let verdict = view.verdict.as_mut().map(|v| &mut v.inputs);
        for inputs in [now, record, verdict].into_iter().flatten() {
            inputs.conf = format!("conf of {}", cell.module);
        }
    }
    refresh(&mut system);
    // Of what the builds were made: mostly of what is there.
    for view in system.cells.values_mut() {
        let Now::Judged { inputs, .. } = &view.now else { continue };
        for (name, print) in &inputs.depends {
            let made_from = match choices.pick(4) {
                2 => None,
                3 => Some("another".to_owned()),
                _ => Some(print.clone()),
            };
            for known in [
                view.record.as_mut().map(|r| Arc::make_mut(&mut r.inputs)),
                view.verdict.as_mut().map(|v| &mut v.inputs),
            ]
            .into_iter()
            .flatten()
            {
                known.depends.extend(made_from.clone().map(|print| (name.clone(), print)));
            }
        }
    }
    refresh(&mut system);
    for view in system.cells.values_mut() {
        let Now::Judged { inputs, .. } = &view.now else { continue };
        let counts = match &view.record {
            Some(record) => inputs.only_headers_changed(&record.inputs),
            None => view.built && view.vermagic_matches,
        };
        if counts {
            view.fit = a_fit(choices);
        }
        if let (Some(record), Some(Fit::Fits(compared)), true) =
            (&mut view.record, &view.fit, choices.rarely(3))
        {
            record.kept = Some(Kept { headers: inputs.headers.clone(), compared: *compared });
        }
    }
    system
}

fn a_fit(choices: &mut Choices<'_>) -> Option<Fit> {
    let misfit = || Misfit::Vermagic { word: "preempt".to_owned(), missing: true };
    match choices.pick(5) {
        0 => Some(Fit::Fits(Compared { symbols: 3, types: None })),
        1 => Some(Fit::Fits(Compared { symbols: 3, types: Some(40) })),
        2 => Some(Fit::Unknown),
        3 => Some(Fit::Not(misfit())),
        _ => None,
    }
}

fn a_kernel(release: &str, choices: &mut Choices<'_>) -> Kernel {
    let image = !choices.rarely(5);
    let mut known = Kernel {
        image,
        headers: !choices.rarely(4),
        indexed: !choices.rarely(6),
        headers_package: format!("linux-headers-{release}"),
        residue: !image && choices.rarely(2),
        initramfs: (choices.pick(4) < 3).then_some(100),
        ..Kernel::default()
    };
    if choices.rarely(3) {
        known.note.waiting = Some("linux-headers".to_owned());
        known.note.removed = choices.rarely(2);
        known.note.depmod_due = choices.rarely(2);
        known.note.boot_entry_removed = choices.rarely(3);
        if known.note.depmod_due && choices.rarely(2) {
            known.note.depmod_left_at = Some(100);
            known.indexed_at = known.indexed.then_some([50, 150][choices.pick(2)]);
        }
    }
    if choices.rarely(3) {
        let (since, always) = ([50, 150][choices.pick(2)], choices.rarely(2));
        known.note.initramfs_due = Some(InitramfsDue { since, always, modules: vec!["a".to_owned()] });
    }
    known
}

fn a_cell(source: &Source, headers: bool, depends: &[String], choices: &mut Choices<'_>) -> CellView {
    let mut view = absent();
    let Now::Judged { facts, inputs: now, .. } = &mut view.now else { unreachable!("absent() is judged") };
    facts.autoinstall = !choices.rarely(5);
    facts.depends = depends.to_vec();
    facts.depends_rebuild = choices.rarely(2);
    facts.exclusion = choices.rarely(5).then(|| "of reasons".to_owned());
    let now = Arc::make_mut(now);
    now.source = ["one", "two"][choices.pick(2)].to_owned();
    now.headers.content = ["headers", "headers", "other"][choices.pick(3)].to_owned();
    // Mostly the key of before.
    now.signing = ["old key", "old key", "new key"].get(choices.pick(4)).map(|key| (*key).to_owned());
    let facts = facts.clone();
    view.built = choices.rarely(2);
    if view.built {
        view.installed = choices.rarely(2);
        if choices.pick(5) < 4 {
            view.record = Some(record(inputs(["one", "two"][choices.pick(2)]), facts.clone()));
            let made = view.record.as_mut().unwrap();
            made.without_image = choices.rarely(4);
            Arc::make_mut(&mut made.inputs).signing = (!choices.rarely(3)).then(|| "old key".to_owned());
            if view.installed && !choices.rarely(4) {
                made.installed = vec![InstalledFile::planned("/lib/modules/x.ko".into(), "x.ko")];
            }
            view.intact = !view.installed || !choices.rarely(4);
        } else {
            view.vermagic_matches = choices.rarely(2);
            let archive = choices.rarely(2);
            view.provenance = Some(if archive { Provenance::Archive } else { Provenance::Dkms });
            view.autoinstall = archive && choices.rarely(2);
        }
    }
    if choices.rarely(4) {
        let mut verdict = failed(inputs(["one", "two"][choices.pick(2)]), facts.clone(), choices.rarely(2));
        if facts.exclusion.is_some() && choices.rarely(2) {
            verdict.failure = None;
        }
        view.verdict = Some(verdict);
    }
    if !headers {
        view.now = Now::NoHeaders;
    } else if *source != Source::Added || choices.rarely(12) {
        view.now = Now::Unreadable(Error::new(crate::model::error::Kind::ConfInvalid, "line 3"));
    }
    view
}

fn request(choices: &mut Choices<'_>) -> Request {
    let release = KERNELS[choices.pick(2)];
    let id = MODULES[choices.pick(MODULES.len())];
    let goal = [Goal::Added, Goal::Built, Goal::Installed, Goal::Uninstalled, Goal::Unbuilt][choices.pick(5)];
    match choices.pick(8) {
        0 | 1 => Request::Reconcile { kernels: None, retry: choices.rarely(3) },
        2 => Request::Reconcile { kernels: Some(vec![kernel(release)]), retry: choices.rarely(3) },
        3 => Request::Autoinstall { kernel: kernel(release), arch: arch() },
        4 => Request::KernelRemoved { kernel: kernel(release) },
        5 => {
            let cells = KERNELS.iter().filter(|_| choices.rarely(2)).map(|k| (kernel(k), arch()));
            Request::Remove { module: module(id), cells: cells.collect() }
        }
        _ => asked(id, release, goal, choices.rarely(4)),
    }
}

fn options(choices: &mut Choices<'_>) -> Options {
    let follows = if choices.rarely(4) { BTreeSet::from([kernel("6.1")]) } else { BTreeSet::new() };
    Options {
        depmod: !choices.rarely(5),
        initramfs: if choices.rarely(4) { InitramfsDuty::Later } else { InitramfsDuty::Now },
        kernel_event: choices.rarely(3),
        force_install: choices.rarely(5),
        any_version: choices.rarely(5),
        retry_provisional: !choices.rarely(4),
        heed_failures: choices.rarely(3),
        kernel_left: choices.rarely(3),
        purge_missing: choices.rarely(3),
        depmod_follows: if choices.rarely(4) { BTreeSet::from([kernel("6.1")]) } else { BTreeSet::new() },
        initramfs_follows: follows,
        instead: BTreeSet::new(),
    }
}

/// A machine and what is asked of it.
struct Case(System, Request, Options);

/// One line per cell and kernel: what proptest prints of a case that fails.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}\n{:?}\ndisabled: {}", self.1, self.2, self.0.autoinstall_disabled)?;
        for (release, known) in &self.0.kernels {
            writeln!(f, "{release}: {known:?}")?;
        }
        for (cell, view) in &self.0.cells {
            let made_from = |i: &Inputs| format!("{} {:?}", i.source, i.depends);
            let state = match (view.built, view.installed, view.intact) {
                (false, ..) => "absent",
                (_, false, _) => "built",
                (_, _, true) => "installed",
                (_, _, false) => "damaged",
            };
            let record = view.record.as_ref().map(|r| made_from(&r.inputs));
            let verdict = view.verdict.as_ref().map(|v| (v.failure.is_some(), made_from(&v.inputs)));
            let now = match &view.now {
                Now::Judged { facts, inputs, .. } => format!("{} {facts:?}", made_from(inputs)),
                other => format!("{other:?}"),
            };
            let (source, fits) = (&self.0.modules[&cell.module], view.vermagic_matches);
            writeln!(
                f,
                "{cell}: {source:?} {state} fits={fits} record {record:?} verdict {verdict:?} now {now}"
            )?;
        }
        Ok(())
    }
}

fn case() -> impl Strategy<Value = Case> {
    proptest::collection::vec(0u16..1000, 0..220).prop_map(|numbers| {
        let mut choices = Choices(numbers.iter());
        let request = request(&mut choices);
        let options = options(&mut choices);
        Case(system(&mut choices), request, options)
    })
}

/// The kernels that a request may touch.
fn scope(system: &System, request: &Request) -> BTreeSet<KernelRelease> {
    match request {
        Request::Reconcile { kernels: None, .. } | Request::Resign { kernels: None, .. } => {
            system.kernels.keys().cloned().collect()
        }
        Request::Reconcile { kernels: Some(kernels), .. }
        | Request::Resign { kernels: Some(kernels), .. } => kernels.iter().cloned().collect(),
        Request::Autoinstall { kernel, .. }
        | Request::Bring { kernel, .. }
        | Request::KernelRemoved { kernel } => BTreeSet::from([kernel.clone()]),
        Request::Remove { cells, .. } => cells.iter().map(|(k, _)| k.clone()).collect(),
    }
}

fn run<'a>(system: &System, options: &'a Options, fails: &'a dyn Fn(&Cell) -> bool) -> Run<'a> {
    Run { system: system.clone(), options, fails, clock: 1000, failed: BTreeSet::new() }
}

fn never(_: &Cell) -> bool {
    false
}

fn by_itself(request: &Request) -> bool {
    matches!(request, Request::Reconcile { .. } | Request::Autoinstall { .. })
}

/// What of a system a killed run and its successor must get right.
fn outcome(system: &System) -> Vec<String> {
    let cells = system.cells.iter().map(|(c, v)| format!("{c} {} {} {}", v.built, v.installed, v.intact));
    let kernels = system.kernels.iter().map(|(k, v)| {
        let due = v.note.initramfs_due.is_some();
        let KernelNote { waiting, removed, boot_entry_removed, depmod_due, .. } = &v.note;
        format!("{k} {waiting:?} {removed} {boot_entry_removed} {depmod_due} {due}")
    });
    cells.chain(kernels).collect()
}

fn check_steps(system: &System, request: &Request, options: &Options, plan: &Plan) {
    let scope = scope(system, request);
    let (mut built, mut installed, mut endings) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (index, step) in plan.steps.iter().enumerate() {
        assert!(step.needs.iter().all(|n| *n < index), "{step:?}");
        if let Some(kernel) = step.action.kernel() {
            assert!(scope.contains(kernel), "{} is none of our business", step.action);
            assert!(!endings.contains(&(kernel, 1)), "{} comes after the initramfs", step.action);
        }
        match &step.action {
            Action::Build { cell, .. } => {
                assert!(built.insert(cell), "{cell} is built twice");
                assert_eq!(system.modules.get(&cell.module), Some(&Source::Added));
                if by_itself(request) {
                    assert!(!system.autoinstall_disabled);
                }
                if let Request::Reconcile { .. } = request {
                    let known = &system.kernels[&cell.kernel];
                    let used = known.image && !known.note.removed && !known.note.boot_entry_removed;
                    assert!(used && known.headers, "{cell}: {known:?}");
                }
            }
            Action::Install { cell, .. } => {
                assert!(installed.insert(cell), "{cell} is installed twice");
                assert!(!endings.contains(&(&cell.kernel, 0)), "{cell} is installed after depmod");
                let view = &system.cells[cell];
                let Now::Judged { facts, .. } = &view.now else {
                    let automatic = match &view.record {
                        Some(record) => {
                            let damaged = view.installed && !view.intact;
                            (record.facts.autoinstall || damaged) && record.facts.exclusion.is_none()
                        }
                        None => view.vermagic_matches && view.is_loaded() && view.autoinstall,
                    };
                    assert!(!by_itself(request) || view.built && view.now == Now::NoHeaders && automatic);
                    continue;
                };
                if by_itself(request) {
                    assert_eq!(facts.exclusion, None, "{cell}");
                    assert!(facts.autoinstall || system.cells[cell].installed, "{cell} has no AUTOINSTALL");
                }
            }
            Action::Depmod { kernel } => {
                assert!(!options.depmod_follows.contains(kernel), "somebody else makes the index");
                assert!(options.depmod && endings.insert((kernel, 0)), "depmod for {kernel} twice");
            }
            Action::Initramfs { kernel, .. } => {
                assert!(endings.insert((kernel, 1)), "initramfs of {kernel} twice");
                assert!(
                    options.initramfs == InitramfsDuty::Now && !options.initramfs_follows.contains(kernel)
                );
            }
            Action::Uninstall { cell } => assert!(!endings.contains(&(&cell.kernel, 0)), "{cell}"),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn steps_are_in_order_in_scope_and_taken_once(Case(system, request, options) in case()) {
        let made = plan(&system, &request, &options);
        check_steps(&system, &request, &options, &made);
        prop_assert_eq!(&made, &plan(&system, &request, &options), "the same machine, the same plan");
    }

    #[test]
    fn what_was_done_need_not_be_done_again(Case(system, request, options) in case()) {
        let mut request = request;
        if let Request::Bring { force, .. } = &mut request {
            // Forced, it is done again by definition.
            *force = false;
        }
        let mut run = run(&system, &options, &never);
        let first = plan(&system, &request, &options);
        run.carry_out(&first, usize::MAX);
        let second = plan(&run.system, &request, &options);
        prop_assert!(second.is_empty() && second.settled.is_empty(), "{:?}\nand then\n{:?}", steps_of(&first), steps_of(&second));
    }

    #[test]
    fn what_failed_is_not_tried_again_by_itself(Case(system, _, options) in case(), failing in 0..31u8) {
        let request = Request::Reconcile { kernels: None, retry: false };
        let fails = |cell: &Cell| {
            let index = MODULES.iter().position(|m| module(m) == cell.module).unwrap();
            failing >> index & 1 == 1
        };
        let mut run = run(&system, &options, &fails);
        run.carry_out(&plan(&system, &request, &options), usize::MAX);
        let second = plan(&run.system, &request, &options);
        for step in &second.steps {
            let Action::Build { cell, .. } = &step.action else { continue };
            prop_assert!(!run.failed.contains(cell), "{}", step.action);
        }
        // What was left out for a failure may do with the builds that are there, or with an older version, which may
        // fail as well.
        let mut last = second;
        for _ in 0..=MODULES.len() {
            run.carry_out(&last, usize::MAX);
            last = plan(&run.system, &request, &options);
        }
        prop_assert!(last.is_empty(), "for ever: {:?}", steps_of(&last));
    }

    #[test]
    fn another_plan_of_a_run_is_about_few_modules_and_tries_nothing_again(
        Case(system, request, options) in case(),
        failing in 0..31u8,
        few in 0..8u8,
    ) {
        let request = if by_itself(&request) { request } else { Request::Reconcile { kernels: None, retry: true } };
        let fails = |cell: &Cell| {
            let index = MODULES.iter().position(|m| module(m) == cell.module).unwrap();
            failing >> index & 1 == 1
        };
        let mut run = run(&system, &options, &fails);
        run.carry_out(&plan(&system, &request, &options), usize::MAX);
        let names = NAMES.iter().enumerate().filter(|(at, _)| few >> at & 1 == 1).map(|(_, name)| *name);
        let instead: BTreeSet<_> = names.map(|name| (kernel(KERNELS[0]), module(&format!("{name}/1")).name)).collect();
        let options = Options { instead, retry_provisional: false, ..options.clone() };
        let next = plan(&run.system, &request, &options);
        for step in &next.steps {
            let Action::Build { cell, .. } = &step.action else { continue };
            prop_assert!(options.instead.is_empty() || !run.failed.contains(cell), "{}", step.action);
            prop_assert!(options.instead.is_empty() || cell.kernel == kernel(KERNELS[0]), "{}", step.action);
        }
    }

    #[test]
    fn a_run_that_was_killed_is_finished_by_the_next(
        Case(system, request, options) in case(),
        steps in 0usize..12,
    ) {
        // The others name cells that may be gone by then; the next hook finishes for them.
        let all = Request::Reconcile { kernels: None, retry: false };
        let request = match request {
            Request::Reconcile { .. } | Request::KernelRemoved { .. } => request,
            _ => all,
        };
        let first = plan(&system, &request, &options);
        let mut whole = run(&system, &options, &never);
        whole.carry_out(&first, usize::MAX);
        let mut killed = run(&system, &options, &never);
        killed.carry_out(&first, steps.min(first.steps.len().saturating_sub(1)));
        let next = plan(&killed.system, &request, &options);
        killed.carry_out(&next, usize::MAX);
        prop_assert_eq!(outcome(&killed.system), outcome(&whole.system), "{:?}\nand then\n{:?}", steps_of(&first), steps_of(&next));
        prop_assert!(plan(&killed.system, &request, &options).is_empty());
    }
}
