//! Plays sequences, and looks at every plan on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use dkms_hook::model::ids::Cell;
use dkms_hook::model::request::{Request, Wanted};
use dkms_hook::plan::{self, Action, Options, Plan, plan};

use crate::apply::{Went, carry_out};
use crate::events::{Event, Run};
use crate::machine::{Away, Conf, K, KERNELS, M, Machine, NAMES, Name, Note, Thing};
use crate::observe::{arch, id, installed, is_cached, k_of, m_of, observe, release};
use crate::spec::{Act, Ask, Duty, Expected, expected};

/// What the program is asked.
fn request(machine: &Machine, ask: Ask) -> (Request, Option<Vec<K>>) {
    match ask {
        Ask::Reconcile(k, retry) => {
            let kernels = k.map(|k| vec![release(k)]);
            (Request::Reconcile { kernels, retry }, k.map(|k| vec![k]))
        }
        Ask::Autoinstall(k) => (Request::Autoinstall { kernel: release(k), arch: arch() }, Some(vec![k])),
        Ask::KernelLeft(k) => (Request::KernelRemoved { kernel: release(k) }, Some(vec![k])),
        Ask::Remove(m) => {
            let built: Vec<K> =
                (0..KERNELS.len() as K).filter(|k| machine.builds.contains_key(&(m, *k))).collect();
            let cells = built.iter().map(|k| (release(*k), arch())).collect();
            (Request::Remove { module: id(m), cells }, None)
        }
        Ask::Bring { m, k, to, force } => {
            let request = Request::Bring { module: id(m), kernel: release(k), arch: arch(), to, force };
            (request, Some(vec![k]))
        }
        Ask::Resign { k, module } => {
            let wanted = module.map(|(name, version)| {
                let all = id(M(name, version.unwrap_or_default()));
                Wanted { name: all.name, version: version.map(|_| all.version) }
            });
            let kernels = k.map(|k| vec![release(k)]);
            (
                Request::Resign { kernels, modules: wanted.into_iter().collect(), unsigned: false },
                k.map(|k| vec![k]),
            )
        }
    }
}

/// The plan for a machine.
pub fn planned(machine: &Machine, ask: Ask, options: &Options) -> Plan {
    let (request, kernels) = request(machine, ask);
    plan(&observe(machine, kernels.as_deref()), &request, options)
}

fn name_of(text: &str) -> Name {
    NAMES.iter().position(|n| *n == text).expect("a module") as Name
}

fn at(cell: &Cell) -> (M, K) {
    (m_of(&cell.module), k_of(&cell.kernel))
}

/// What a plan says, without its order.
fn said(plan: &Plan) -> Expected {
    let mut out = Expected::default();
    for step in &plan.steps {
        let act = match &step.action {
            Action::Add { module } => Act::Register(m_of(module)),
            Action::Build { cell, force, .. } => Act::Build(at(cell).0, at(cell).1, *force),
            Action::Adopt { cell } => Act::Adopt(at(cell).0, at(cell).1),
            Action::Keep { cell } => Act::Keep(at(cell).0, at(cell).1),
            Action::Resign { cell, reinstall } => Act::Resign(at(cell).0, at(cell).1, *reinstall),
            Action::Install { cell, force, .. } => Act::Install(at(cell).0, at(cell).1, *force),
            Action::Uninstall { cell } => Act::Uninstall(at(cell).0, at(cell).1),
            Action::Unbuild { cell } => Act::Unbuild(at(cell).0, at(cell).1),
            Action::Forget { module } => Act::Forget(m_of(module)),
            Action::Wait { kernel, .. } => Act::Wait(k_of(kernel)),
            Action::Depmod { kernel } => Act::Depmod(k_of(kernel), !step.when.is_always()),
            Action::Initramfs { kernel, always, modules } => {
                let certain = step.when.is_always();
                Act::Initramfs(k_of(kernel), *always, certain, modules.iter().map(|n| name_of(n)).collect())
            }
            Action::Sweep { kernel } => Act::Sweep(k_of(kernel)),
            other => panic!("nobody asked for this: {other:?}"),
        };
        assert!(out.acts.insert(act), "twice: {}", step.action);
    }
    for (kernel, duty) in &plan.settled {
        let duty = match duty {
            plan::Duty::Headers => Duty::Headers,
            plan::Duty::Depmod => Duty::Depmod,
            plan::Duty::Initramfs => Duty::Initramfs,
        };
        out.settled.insert((k_of(kernel), duty));
    }
    out
}

/// What must come before what, and be needed by it.
fn check_order(machine: &Machine, plan: &Plan) {
    let mut ended: BTreeMap<K, u8> = BTreeMap::new();
    let mut installs: BTreeMap<(Name, K), usize> = BTreeMap::new();
    let find = |wanted: &dyn Fn(&Action) -> bool| plan.steps.iter().position(|s| wanted(&s.action));
    for (index, step) in plan.steps.iter().enumerate() {
        assert!(step.needs.iter().all(|need| *need < index), "{} needs a later step", step.action);
        let rank = match &step.action {
            Action::Depmod { .. } => 1,
            Action::Initramfs { .. } => 2,
            Action::Sweep { .. } => 3,
            _ => 0,
        };
        if let Some(kernel) = step.action.kernel() {
            let before = ended.entry(k_of(kernel)).or_default();
            assert!(*before <= rank, "{} comes too late", step.action);
            *before = rank;
        }
        let needs = |other: Option<usize>, why: &str| {
            if let Some(other) = other {
                assert!(step.needs.contains(&other), "{}: {why}", step.action);
            }
        };
        match &step.action {
            Action::Install { cell, .. } => {
                let built = find(&|a| matches!(a, Action::Build { cell: c, .. } if c == cell));
                needs(built, "needs its build");
                assert!(built.is_some() || machine.builds.contains_key(&at(cell)), "{}", step.action);
                installs.insert((at(cell).0.0, at(cell).1), index);
            }
            Action::Unbuild { cell } => {
                needs(find(&|a| matches!(a, Action::Uninstall { cell: c } if c == cell)), "is installed");
            }
            Action::Initramfs { kernel, .. } => {
                needs(find(&|a| matches!(a, Action::Depmod { kernel: k } if k == kernel)), "needs the index");
            }
            // What is forced is tried whatever becomes of others.
            Action::Build { cell, force, cached } => {
                let (m, k) = at(cell);
                // What depends on a step of this run may be another one then, and force builds anew.
                let may = !force && step.needs.is_empty();
                assert_eq!(*cached, may && is_cached(m, k), "{}", step.action);
                for d in machine.modules[&m].conf.needs.iter().filter(|d| **d != m.0) {
                    let later = plan.steps.iter().skip(index).any(
                        |s| matches!(&s.action, Action::Install { cell: c, .. } if at(c).0.0 == *d && at(c).1 == k),
                    );
                    let round = goes_round(machine, m, k, *d);
                    assert!(!later || round, "{} comes before {}", step.action, NAMES[usize::from(*d)]);
                    if !round && !force {
                        needs(installs.get(&(*d, k)).copied(), "needs what it depends on");
                    }
                }
            }
            _ => {}
        }
    }
}

/// Whether some version of what a module depends on depends on the module in turn.
fn goes_round(machine: &Machine, m: M, _: K, dep: Name) -> bool {
    let mut found = BTreeSet::from([dep]);
    for _ in NAMES {
        let more: Vec<Name> = found
            .iter()
            .flat_map(|n| {
                machine.versions(*n).flat_map(|(_, known)| known.conf.needs.clone()).collect::<Vec<_>>()
            })
            .collect();
        found.extend(more);
    }
    found.contains(&m.0)
}

/// Said once more, without the specification: where nobody names what is to go, nothing goes that cannot be
/// looked at, and a person is told of it.
fn check_unseen(machine: &Machine, run: &Run, plan: &Plan) {
    let options = run.options();
    let named = matches!(run.ask, Ask::KernelLeft(_) | Ask::Remove(_) | Ask::Bring { .. });
    if named || options.purge_missing || options.kernel_left {
        return;
    }
    let hidden = |k: K| match machine.away {
        Some(Away::Other(there) | Away::Unreadable(there)) => there >> k & 1 == 0,
        None => false,
    };
    let blind = plan.notes.iter().any(|note| note.is_blind());
    for step in &plan.steps {
        let Some(k) = step.action.kernel().map(k_of) else { continue };
        let goes =
            matches!(step.action, Action::Uninstall { .. } | Action::Unbuild { .. } | Action::Sweep { .. });
        let cell = step.action.cell().map(at);
        let unseen = cell.is_some_and(|(m, k)| machine.is_unseen(Thing::Build(m, k)));
        assert!(!unseen, "{}: it cannot be looked at", step.action);
        let unseen = machine.is_unseen(Thing::Kernel(k)) || goes && hidden(k) && remembered(machine, k);
        assert!(!unseen, "{}: the kernel cannot be looked at", step.action);
    }
    let kept = |k: K| hidden(k) && machine.builds.keys().any(|(_, at)| *at == k);
    // Builds that were asked for wait for their kernel, wherever it is.
    let asked = |k: K| machine.builds.iter().any(|((_, at), build)| *at == k && build.loaded);
    if run.ask == Ask::Reconcile(None, false) && (0..KERNELS.len() as K).any(|k| kept(k) && !asked(k)) {
        assert!(blind, "nobody is told that kernels are not to be seen");
    }
}

/// Whether anything of ours is there for a kernel.
fn remembered(machine: &Machine, k: K) -> bool {
    machine.kernels[usize::from(k)].note != Note::default()
        || machine.builds.keys().any(|(_, at)| *at == k)
        || machine.verdicts.keys().any(|(_, at)| *at == k)
}

/// Plans, compares with the specification, and carries out.
fn run(machine: &mut Machine, run: &Run) {
    (machine.abi, machine.only_newest) = (run.abi(), run.only_newest());
    check_run(machine, run);
    (machine.abi, machine.only_newest) = (false, false);
}

fn check_run(machine: &mut Machine, run: &Run) {
    let options = run.options();
    let known = matches!(run.ask, Ask::Remove(m) if machine.modules.contains_key(&m));
    if matches!(run.ask, Ask::Remove(_)) && !known {
        return;
    }
    let made = planned(machine, run.ask, &options);
    assert_eq!(made, planned(machine, run.ask, &options), "the same machine, the same plan");
    assert!(made.questions.is_empty(), "everything was looked at");
    let spec = expected(machine, run.ask, &options);
    let said = said(&made);
    let missing: Vec<&Act> = spec.acts.difference(&said.acts).collect();
    let surplus: Vec<&Act> = said.acts.difference(&spec.acts).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "{run:?}\nnot planned: {missing:?}\nnot wanted: {surplus:?}"
    );
    assert_eq!(said.settled, spec.settled, "duties that are done with");
    check_order(machine, &made);
    check_unseen(machine, run, &made);
    let cut = run.cut.map(usize::from);
    let went = carry_out(machine, &made, &options, cut);
    if cut.is_some() {
        return;
    }
    check_second_plan(&mut machine.clone(), run, &made, &went);
    if went.failed.is_empty() {
        for (at, wanted) in &spec.made {
            let found = machine.builds.get(at).map(|b| b.made.print());
            assert_eq!(found, Some(wanted.print()), "what is built is not what was asked for");
        }
        let there = installed(machine);
        for (at, wanted) in &spec.wanted {
            let found = there.get(at).map(|made| (made.m, made.print()));
            assert_eq!(found, Some((wanted.m, wanted.print())), "what is installed is not what was wanted");
        }
    }
    // What is forced is done each time.
    if matches!(run.ask, Ask::Remove(_) | Ask::Bring { force: true, .. }) {
        return;
    }
    // Once more; not to be tried again by itself is what failed.
    let ask = match run.ask {
        Ask::Reconcile(k, _) => Ask::Reconcile(k, false),
        other => other,
    };
    let options = Options { retry_provisional: false, ..options };
    let mut again = planned(machine, ask, &options);
    let by_person = matches!(ask, Ask::Autoinstall(_) | Ask::Bring { .. } | Ask::Resign { .. });
    if !went.failed.is_empty() && !by_person {
        // What was left out for a failure may do with the builds that are there, or with an older version, which
        // may fail as well.
        let mut probe = machine.clone();
        for _ in 0..12 {
            carry_out(&mut probe, &again, &options, None);
            again = planned(&probe, ask, &options);
        }
    } else if by_person && !went.failed.is_empty() {
        return;
    }
    assert!(again.is_empty() && again.settled.is_empty(), "{run:?}\nand then again: {:?}", steps(&again));
}

/// What a run does when builds of it failed: it is about those modules, and what failed is not tried again.
fn check_second_plan(machine: &mut Machine, run: &Run, first: &Plan, went: &Went) {
    let failed = went.failed.iter().filter_map(|at| match &first.steps[*at].action {
        Action::Build { cell, .. } => Some(cell.clone()),
        _ => None,
    });
    let failed: BTreeSet<Cell> = failed.collect();
    if failed.is_empty() || !matches!(run.ask, Ask::Reconcile(..) | Ask::Autoinstall(_)) {
        return;
    }
    let instead = failed.iter().map(|cell| (cell.kernel.clone(), cell.module.name.clone())).collect();
    let options = Options { instead, retry_provisional: false, ..run.options() };
    let made = planned(machine, run.ask, &options);
    let spec = expected(machine, run.ask, &options);
    let found = said(&made);
    let missing: Vec<&Act> = spec.acts.difference(&found.acts).collect();
    let surplus: Vec<&Act> = found.acts.difference(&spec.acts).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "{run:?}, the second plan\nnot planned: {missing:?}\nnot wanted: {surplus:?}"
    );
    check_order(machine, &made);
    let again = made.steps.iter().filter_map(|step| match &step.action {
        Action::Build { cell, .. } => Some(cell),
        _ => None,
    });
    // What was left out has no verdict.
    let again: Vec<&Cell> =
        again.filter(|cell| failed.contains(cell) && machine.verdicts.contains_key(&at(cell))).collect();
    assert!(again.is_empty(), "tried again: {again:?}");
    carry_out(machine, &made, &options, None);
}

fn steps(plan: &Plan) -> Vec<String> {
    let text = |step: &plan::Step| format!("{} ({})", step.action, step.reason);
    plan.steps.iter().map(text).chain(plan.settled.iter().map(|s| format!("settled {s:?}"))).collect()
}

/// Plays a sequence from an empty machine.
pub fn play(events: &[Event]) -> Machine {
    let mut machine = Machine::default();
    for event in events {
        match event {
            Event::Run(call) => run(&mut machine, call),
            event => event.happen(&mut machine),
        }
    }
    machine
}

/// Why something fails, if it does.
pub fn failure(test: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(test)).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default())
}

/// Takes away from a failing sequence whatever it fails without.
pub fn shrink(mut events: Vec<Event>, fails: impl Fn(&[Event]) -> bool) -> Vec<Event> {
    loop {
        let before = events.clone();
        for index in (0..events.len()).rev() {
            let mut fewer = events.clone();
            fewer.remove(index);
            if fails(&fewer) {
                events = fewer;
            }
        }
        for index in 0..events.len() {
            for plainer in plainer(&events[index]) {
                let mut other = events.clone();
                other[index] = plainer;
                if fails(&other) {
                    events = other;
                }
            }
        }
        if events == before {
            return events;
        }
    }
}

/// The same event, with less to it.
fn plainer(event: &Event) -> Vec<Event> {
    match event {
        Event::Run(run) => {
            let fewer = (0..11).filter(|bit| run.bits >> bit & 1 == 1).map(|bit| run.bits & !(1 << bit));
            let uncut = run.cut.map(|_| Run { cut: None, ..run.clone() });
            fewer.map(|bits| Run { bits, ..run.clone() }).chain(uncut).map(Event::Run).collect()
        }
        Event::Add(m, source, conf) => {
            plainer_conf(conf).into_iter().map(|conf| Event::Add(*m, *source, conf)).collect()
        }
        Event::Edit(m, conf) => plainer_conf(conf).into_iter().map(|conf| Event::Edit(*m, conf)).collect(),
        _ => Vec::new(),
    }
}

fn plainer_conf(conf: &Conf) -> Vec<Conf> {
    let mut out = vec![
        Conf { manual: false, ..conf.clone() },
        Conf { broken: false, ..conf.clone() },
        Conf { refuses: 0, ..conf.clone() },
        Conf { rebuilds: false, ..conf.clone() },
        Conf { text: 0, ..conf.clone() },
    ];
    for index in 0..conf.needs.len() {
        let mut fewer = conf.clone();
        fewer.needs.remove(index);
        out.push(fewer);
    }
    out.retain(|other| other != conf);
    out
}
