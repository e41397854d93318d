//! Sequences that once showed a fault of the planner, made as short as they can be.

use dkms_hook::plan::Options;

use crate::converge;
use crate::events::{Event, Run};
use crate::machine::{Conf, M};
use crate::play::{planned, play};
use crate::spec::Ask;

fn hook() -> Event {
    Event::Run(Run { ask: Ask::Reconcile(None, false), bits: 0, cut: None })
}

fn needs(names: &[u8]) -> Conf {
    Conf { needs: names.to_vec(), ..Conf::default() }
}

/// A module that depends on itself was never taken over, although it is there.
#[test]
fn what_stands_on_itself_is_taken_over() {
    play(&[
        Event::Image(0, true),
        Event::Headers(0, Some(0)),
        Event::Add(M(1, 2), 0, needs(&[1])),
        Event::Foreign { m: M(1, 2), k: 0, fits: true, loaded: false, install: true },
        hook(),
    ]);
}

/// A build whose installation was refused was installed again by every hook where an older build of
/// it is installed.
#[test]
fn a_refused_installation_is_not_tried_by_every_hook() {
    play(&[
        Event::Image(0, true),
        Event::Headers(0, Some(0)),
        Event::Add(M(2, 1), 0, needs(&[])),
        hook(),
        Event::KernelHas(M(2, 2), 0, true),
        Event::Compiler(1),
        hook(),
        hook(),
    ]);
}

/// Modules were remembered to wait for headers that nothing will be built with.
#[test]
fn nothing_waits_where_nothing_is_built_by_itself() {
    let events =
        [Event::Image(0, true), Event::Add(M(3, 2), 0, needs(&[])), hook(), Event::NoAutoinstall(true)];
    converge::check(&events);
}

/// A module that is made again from the same as before made everything stale that depends on it.
#[test]
fn the_same_build_again_leaves_those_that_depend_on_it_alone() {
    let mut machine = play(&[
        Event::Image(0, true),
        Event::Headers(0, Some(0)),
        Event::Add(M(0, 0), 0, needs(&[])),
        Event::Add(M(1, 0), 0, needs(&[0])),
        hook(),
    ]);
    machine.active.remove(&(0, 0));
    machine.builds.remove(&(M(0, 0), 0));
    let plan = planned(&machine, Ask::Reconcile(None, false), &Options::default());
    let builds: Vec<String> =
        plan.steps.iter().map(|s| s.action.to_string()).filter(|s| s.starts_with("build")).collect();
    assert_eq!(builds, ["build alpha/9 for 6.1.0-9-amd64"]);
}

/// Keeping a build forgot that signing it had failed, after that had counted.
#[test]
fn a_build_that_is_kept_is_signed_in_the_same_run() {
    let with = |ask, bits| Event::Run(Run { ask, bits, cut: None });
    play(&[
        Event::Image(1, true),
        Event::Headers(1, Some(0)),
        Event::Add(M(0, 2), 0, needs(&[])),
        Event::Key(Some(1)),
        with(Ask::Reconcile(Some(1), true), 0),
        Event::Key(Some(3)),
        Event::CompilerGone(true),
        Event::Headers(1, Some(1)),
        hook(),
        with(Ask::Reconcile(None, false), 64),
    ]);
}

/// Of two that need each other, both are made again for what they need beside.
#[test]
fn a_ring_is_made_again_for_what_it_stands_on() {
    play(&[
        Event::Image(1, true),
        Event::Headers(1, Some(0)),
        Event::Add(M(3, 0), 0, needs(&[1, 0])),
        Event::Add(M(0, 0), 0, needs(&[])),
        Event::Add(M(1, 2), 0, needs(&[3, 0])),
        Event::Asked { m: M(3, 0), k: 1, install: true },
        hook(),
        Event::Add(M(0, 1), 0, needs(&[])),
        hook(),
    ]);
}
