//! Sequences that once showed a fault of the planner, made as short as they can be.

use dkms_hook::model::request::Goal;
use dkms_hook::plan::Options;

use crate::converge;
use crate::events::{Event, Run};
use crate::machine::{Conf, K, M};
use crate::play::{planned, play};
use crate::spec::Ask;

fn hook() -> Event {
    Event::Run(Run { ask: Ask::Reconcile(None, false), bits: 0, cut: None })
}

/// A person asks for a module by name.
fn bring(m: M, k: K, to: Goal, force: bool) -> Event {
    Event::Run(Run { ask: Ask::Bring { m, k, to, force }, bits: 0, cut: None })
}

/// A package's script does.
fn script(m: M, k: K, to: Goal, bits: u16) -> Event {
    Event::Run(Run { ask: Ask::Bring { m, k, to, force: false }, bits: 256 | bits, cut: None })
}

/// With BUILD_DEPENDS_REBUILD.
fn follows(names: &[u8]) -> Conf {
    Conf { rebuilds: true, ..needs(names) }
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

/// What a module depends on was installed although the module could not be had.
#[test]
fn nothing_is_brought_for_what_cannot_be_had() {
    play(&[
        Event::Image(0, true),
        Event::Headers(0, Some(0)),
        Event::Add(M(0, 1), 0, needs(&[0, 3])),
        Event::Add(M(3, 2), 0, needs(&[])),
        Event::Image(0, false),
        bring(M(0, 1), 0, Goal::Installed, false),
    ]);
}

/// A module that depends on itself was built again each time that it was asked for.
#[test]
fn no_module_goes_stale_by_its_own_build() {
    play(&[
        Event::Add(M(2, 1), 0, needs(&[2])),
        Event::Headers(2, Some(3)),
        bring(M(2, 1), 2, Goal::Built, true),
        bring(M(2, 1), 2, Goal::Installed, false),
    ]);
}

/// A module that a person had made again from the same as before had those built again that follow it.
#[test]
fn the_same_build_again_is_no_reason_to_follow() {
    play(&[
        Event::Image(0, true),
        Event::Headers(0, Some(0)),
        Event::Add(M(1, 0), 0, needs(&[])),
        Event::Add(M(0, 0), 0, follows(&[1])),
        hook(),
        bring(M(1, 0), 0, Goal::Unbuilt, false),
        bring(M(1, 0), 0, Goal::Installed, false),
    ]);
}

/// A module did not follow when something else that it depends on does not support the kernel.
#[test]
fn who_follows_need_not_have_what_does_not_support_the_kernel() {
    play(&[
        Event::Image(0, true),
        Event::Headers(0, Some(0)),
        Event::Add(M(2, 0), 0, needs(&[])),
        Event::Add(M(1, 2), 0, Conf { refuses: 7, ..Conf::default() }),
        Event::Add(M(3, 2), 0, follows(&[1, 2])),
        hook(),
        Event::Compression(1),
        bring(M(2, 0), 0, Goal::Installed, false),
    ]);
}

/// One that stands on two that need each other was looked at before them, and never again.
#[test]
fn who_follows_a_ring_comes_after_it() {
    play(&[
        Event::Image(0, true),
        Event::Headers(0, Some(0)),
        Event::Add(M(3, 0), 0, needs(&[])),
        Event::Add(M(1, 0), 0, follows(&[3])),
        Event::Add(M(2, 0), 0, follows(&[1])),
        Event::Add(M(0, 0), 0, follows(&[1])),
        hook(),
        Event::Edit(M(1, 0), follows(&[3, 2])),
        hook(),
        Event::Patches(M(3, 0), 1),
        bring(M(3, 0), 0, Goal::Installed, false),
    ]);
}

/// A package's script had a module built again that had just failed with the very same builds.
#[test]
fn who_follows_is_not_tried_again_by_a_script() {
    let changes = |rest| {
        play(&[
            Event::Image(0, true),
            Event::Headers(0, Some(0)),
            Event::Add(M(1, 0), 0, needs(&[])),
            Event::Add(M(0, 0), 0, follows(&[1])),
            hook(),
            Event::Patches(M(1, 0), 1),
            Event::Failing(Some(rest)),
            bring(M(1, 0), 0, Goal::Installed, false),
            bring(M(1, 0), 0, Goal::Uninstalled, false),
            script(M(1, 0), 0, Goal::Installed, 0),
        ])
    };
    assert!((0..5).any(|rest| changes(rest).verdicts.contains_key(&(M(0, 0), 0))), "one of them fails");
}

/// For a kernel without an image, mending damaged files left the index as it was.
#[test]
fn what_a_person_mends_is_indexed() {
    play(&[
        Event::Headers(0, Some(0)),
        Event::Add(M(1, 0), 0, needs(&[])),
        bring(M(1, 0), 0, Goal::Installed, false),
        Event::Index(0, true),
        Event::Tampered(M(1, 0), 0),
        bring(M(1, 0), 0, Goal::Installed, false),
    ]);
}

/// As [`a_build_that_is_kept_is_signed_in_the_same_run`], by name.
#[test]
fn a_build_that_is_kept_by_name_is_signed_in_the_same_run() {
    play(&[
        Event::Image(1, true),
        Event::Headers(1, Some(0)),
        Event::Add(M(0, 2), 0, needs(&[])),
        Event::Key(Some(1)),
        hook(),
        Event::Key(Some(3)),
        Event::CompilerGone(true),
        Event::Headers(1, Some(1)),
        hook(),
        script(M(0, 2), 1, Goal::Installed, 64),
    ]);
}

/// A build for another kernel was installed to bring its new signature.
#[test]
fn what_was_made_for_another_kernel_is_not_signed() {
    play(&[
        Event::Headers(2, Some(0)),
        Event::Add(M(3, 1), 0, needs(&[])),
        Event::Add(M(2, 1), 0, needs(&[3])),
        bring(M(2, 1), 2, Goal::Installed, true),
        Event::Foreign { m: M(3, 1), k: 2, fits: false, loaded: true, install: true },
        Event::Key(Some(0)),
        Event::Run(Run { ask: Ask::Resign { k: None, module: None }, bits: 0, cut: None }),
    ]);
}

/// A build out of an archive, of a module that depends on itself, was taken over only by the second call.
#[test]
fn who_stands_on_itself_need_not_be_installed_to_be_taken_over() {
    play(&[
        Event::Headers(1, Some(0)),
        Event::Add(M(1, 2), 0, needs(&[1])),
        Event::Foreign { m: M(1, 2), k: 1, fits: true, loaded: true, install: false },
        bring(M(1, 2), 1, Goal::Installed, false),
    ]);
}

/// The specification looked at what stands on nothing but a ring before the ring.
#[test]
fn a_ring_comes_before_what_stands_on_it() {
    play(&[
        Event::Image(1, true),
        Event::Headers(1, Some(0)),
        Event::Add(M(2, 2), 0, needs(&[3])),
        Event::Add(M(1, 2), 0, needs(&[2])),
        Event::Add(M(3, 2), 0, needs(&[3])),
        bring(M(3, 2), 1, Goal::Installed, true),
        hook(),
    ]);
}
