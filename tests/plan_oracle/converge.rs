//! All orders of the same events, with calls of the program anywhere between them, end alike.
//!
//! What happens to different things is put in another order each time. At the end each machine's hook is
//! called until nothing is left to do. What a machine would have that sees everything at once
//! is then what each of them has, but for what is documented to depend on the past: a build that there
//! is stays while its successor fails or cannot be made, and a signature is not made where there was none.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;

use dkms_hook::plan::Options;

use crate::apply::carry_out;
use crate::events::{Event, Run};
use crate::machine::{K, M, Machine, Made, Name};
use crate::observe::installed;
use crate::play::{failure, planned, play};
use crate::random::Random;
use crate::spec::Ask;

/// What an event is about: two events about the same thing have an order of their own.
fn about(event: &Event) -> Option<(std::mem::Discriminant<Event>, u8, u8)> {
    let of = |a: u8, b: u8| Some((discriminant(event), a, b));
    match event {
        Event::Headers(k, _) => of(*k, 0),
        Event::BootEntry(k, _) | Event::Removed(k, _) => of(*k, 0),
        Event::Image(k, _) => of(*k, 0),
        Event::Patches(m, _) => of(m.0, 0),
        Event::Compiler(_) | Event::Compression(_) | Event::Key(_) | Event::NoAutoinstall(_) => of(0, 0),
        Event::KernelHas(m, k, _) => of(m.0, *k),
        Event::Add(m, ..) | Event::Source(m, _) | Event::Edit(m, _) => of(m.0, m.1),
        Event::Run(_) => Some((discriminant(event), 0, 0)),
        // The rest is no end state, or makes one that depends on when it happens.
        _ => None,
    }
}

/// Events of which each thing has one at most, so that their order does not matter to the thing.
pub fn events(random: &mut Random) -> Vec<Event> {
    let (mut seen, mut out) = (BTreeSet::new(), Vec::new());
    let failing = random.rarely(3).then(|| random.below(5) as u64);
    let machine = random.machine();
    let there = |m: &M| machine.iter().any(|e| matches!(e, Event::Add(known, ..) if known == m));
    for _ in 0..3 + random.below(10) {
        let event = random.event();
        let possible = match &event {
            // What comes and changes would depend on which of both is first.
            Event::Source(m, _) | Event::Edit(m, _) => there(m),
            Event::Run(_) => false,
            _ => true,
        };
        if let Some((kind, a, b)) = about(&event).filter(|_| possible)
            && seen.insert((format!("{kind:?}"), a, b))
        {
            out.push(event);
        }
    }
    let mut all: Vec<Event> = failing.into_iter().map(|rest| Event::Failing(Some(rest))).collect();
    // Kernels and modules are there from the beginning, with what they were then.
    all.extend(machine);
    all.push(Event::Run(Run { ask: Ask::Reconcile(None, false), bits: 0, cut: None }));
    all.extend(out);
    all
}

/// The same events in another order, told once or twice, with calls between them.
pub fn reordered(events: &[Event], random: &mut Random) -> Vec<Event> {
    let fixed = events.iter().position(|e| matches!(e, Event::Run(_))).unwrap_or(0);
    let mut rest: Vec<Event> =
        events[fixed..].iter().filter(|e| !matches!(e, Event::Run(_))).cloned().collect();
    for last in (1..rest.len()).rev() {
        rest.swap(last, random.below(last + 1));
    }
    let mut out = events[..fixed].to_vec();
    for event in rest {
        if random.rarely(2) {
            out.push(Event::Run(random.hook()));
        }
        if random.rarely(8) {
            out.push(event.clone());
        }
        out.push(event);
    }
    out
}

/// Calls hooks until they find nothing to do.
pub fn settle(machine: &mut Machine) {
    // At the end a person says that kernels which are not there are gone.
    let options = Options { retry_provisional: false, purge_missing: true, ..Options::default() };
    // Each next older version may fail, and then what depends on it.
    for _ in 0..12 {
        let plan = planned(machine, Ask::Reconcile(None, false), &options);
        if plan.is_empty() && plan.settled.is_empty() {
            return;
        }
        carry_out(machine, &plan, &options, None);
    }
    panic!("hooks find something to do for ever");
}

/// What a machine has that sees everything at once: all that there is, but nothing of ours.
fn ideal(machine: &Machine) -> Machine {
    let mut fresh = machine.clone();
    fresh.builds = BTreeMap::new();
    fresh.active = BTreeMap::new();
    fresh.verdicts = BTreeMap::new();
    for kernel in &mut fresh.kernels {
        let (removed, no_boot_entry) = (kernel.note.removed, kernel.note.no_boot_entry);
        kernel.note = crate::machine::Note { removed, no_boot_entry, ..Default::default() };
    }
    settle(&mut fresh);
    fresh
}

/// Why what a machine has at the end is not what it should have.
pub fn check(events: &[Event]) {
    let mut machine = play(events);
    settle(&mut machine);
    let (fresh, mut free) = (ideal(&machine), BTreeSet::new());
    let (has, should) = (installed(&machine), installed(&fresh));
    // Whatever depends on something that the past decides is decided by it, too.
    for _ in 0..4 {
        for ((name, k), made) in has.iter().chain(&should) {
            if made.conf.needs.iter().any(|d| free.contains(&(*d, *k))) {
                free.insert((*name, *k));
            }
        }
        for at in has
            .keys()
            .chain(should.keys())
            .chain(machine.verdicts.keys().map(|(m, k)| (m.0, *k)).collect::<BTreeSet<_>>().iter())
        {
            if of_the_past(&machine, &fresh, *at) {
                free.insert(*at);
            }
        }
    }
    for (at, made) in &should {
        if free.contains(at) {
            continue;
        }
        let found = has.get(at).map(|found| plain(found));
        assert_eq!(found, Some(plain(made)), "{at:?}: not as if everything had happened at once");
        let key = has[at].key;
        assert!(key == made.key || key.is_none() || made.key.is_none(), "{at:?} bears another signature");
    }
    for at in has.keys().filter(|at| !should.contains_key(at)) {
        let kernel = &machine.kernels[usize::from(at.1)];
        let boots = kernel.image && !kernel.note.removed && !kernel.note.no_boot_entry;
        assert!(boots, "{at:?} is installed for a kernel that is not there");
        assert!(
            free.contains(at) || kernel.headers.is_none() || machine.no_autoinstall,
            "{at:?} is left over"
        );
    }
    for k in 0..machine.kernels.len() as K {
        let (one, other) = (&machine.kernels[usize::from(k)], &fresh.kernels[usize::from(k)]);
        assert!(!one.note.depmod_due && one.note.initramfs.is_none(), "{k}: something is still due: {one:?}");
        let waits = |kernel: &crate::machine::Kernel| kernel.note.waiting.clone();
        let built = machine.builds.keys().any(|(_, at)| *at == k);
        assert!(waits(one) == waits(other) || built, "{k} waits: {:?}, {:?}", waits(one), waits(other));
    }
}

/// What it was made from, without who signed it; of what it depends on, what is there.
fn plain(made: &Made) -> Made {
    Made { key: None, deps: BTreeMap::new(), ..made.clone() }
}

/// Cells whose end the past decides, as documented.
fn of_the_past(machine: &Machine, fresh: &Machine, (name, k): (Name, K)) -> bool {
    let any = |machine: &Machine, test: &dyn Fn(M) -> bool| machine.versions(name).any(|(m, _)| test(m));
    let failed = |machine: &Machine, m: M| machine.verdicts.contains_key(&(m, k));
    let refused = |machine: &Machine, m: M| {
        machine.builds.get(&(m, k)).and_then(|b| b.written.as_ref()).is_some_and(|w| w.refused)
    };
    any(machine, &|m| failed(machine, m) || refused(machine, m))
        || any(fresh, &|m| failed(fresh, m) || refused(fresh, m))
        || machine.kernel_has.contains(&(name, k))
        // By hand, or not to be judged: what there is stays.
        || machine.versions(name).any(|(_, known)| known.conf.manual || known.conf.broken || !known.present)
        // Something that it depends on cannot be had.
        || !installed(fresh).contains_key(&(name, k)) && machine.versions(name).any(|(_, known)| !known.conf.needs.is_empty())
        || machine.kernels[usize::from(k)].headers.is_none()
        || machine.no_autoinstall
}

/// Plays the same events in several orders.
pub fn orders(seed: u64) -> Vec<Vec<Event>> {
    let mut random = Random(seed);
    let events = events(&mut random);
    (0..3).map(|_| reordered(&events, &mut random)).collect()
}

/// For a report.
pub fn why(events: &[Event]) -> Option<String> {
    failure(|| check(events))
}
