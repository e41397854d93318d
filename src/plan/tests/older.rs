//! An older version in the place of one that does not compile for a kernel.

use super::world::{World, kernel, module, notes, reason, steps};
use crate::model::error::{Error, Kind};
use crate::model::fit::{Fit, Misfit};
use crate::model::request::{Goal, Request};
use crate::model::system::{Now, Source};
use crate::plan::{Note, Options, plan};

const OLDER: [&str; 4] =
    ["build zfs/1 for 6.1", "install zfs/1 for 6.1", "depmod 6.1", "rebuild the initramfs of 6.1"];

fn two() -> World {
    World::new(&["6.1"]).with(&["zfs/1", "zfs/2"]).failed("zfs/2", "6.1", false)
}

#[test]
fn the_newest_that_compiles_is_built_and_that_is_said() {
    let plan = two().reconcile();
    assert_eq!(steps(&plan), OLDER);
    assert_eq!(reason(&plan, OLDER[0]), "it is used instead of 2, which does not compile for this kernel");
    assert!(matches!(plan.notes[..], [Note::FailedBefore { .. }, Note::OlderInstead { .. }]));
    assert!(!plan.notes[1].is_failure(), "that the newest failed is one already");
    assert_eq!(notes(&plan)[1], "zfs/2 does not compile for 6.1; zfs/1 is used instead");
    let settled = two().installed("zfs/1", "6.1").reconcile();
    assert!(settled.is_empty());
    assert_eq!(settled.notes, plan.notes, "it is said as long as it is so");
}

#[test]
fn the_newest_takes_over_again_when_an_input_changes() {
    let mut world = two().installed("zfs/1", "6.1");
    world.inputs("zfs/2", "6.1").headers.content = "newer".into();
    let plan = world.reconcile();
    assert_eq!(steps(&plan)[..2], ["build zfs/2 for 6.1", "install zfs/2 for 6.1"]);
    assert_eq!(reason(&plan, "build zfs/2 for 6.1"), "it replaces version 1");
    assert!(plan.notes.is_empty());
    let asked = two().installed("zfs/1", "6.1").plan(&Request::Reconcile { kernels: None, retry: true });
    assert_eq!(steps(&asked)[0], "build zfs/2 for 6.1", "a person asks for another try");
}

#[test]
fn it_is_kept_up_to_date_like_any_other() {
    let mut world = two().installed("zfs/1", "6.1");
    world.inputs("zfs/1", "6.1").source = "mended".into();
    assert_eq!(steps(&world.reconcile())[0], OLDER[0]);
    let mut damaged = two().installed("zfs/1", "6.1");
    damaged.view("zfs/1", "6.1").intact = false;
    assert_eq!(steps(&damaged.reconcile())[0], OLDER[1]);
}

#[test]
fn nothing_but_a_failed_compile_is_a_reason() {
    let mut off = two();
    off.0.only_newest = true;
    let mut provisional = World::new(&["6.1"]).with(&["zfs/1", "zfs/2"]).failed("zfs/2", "6.1", true);
    // Killed, no memory, no space, no compiler: it is tried again, or waited with.
    let options = Options { retry_provisional: false, ..Options::default() };
    let request = Request::Reconcile { kernels: None, retry: false };
    assert!(plan(&provisional.0, &request, &options).is_empty());
    // A time limit, and what an earlier version of this program wrote down.
    let mut slow = two();
    for world in [&mut slow, &mut provisional] {
        let failure = world.view("zfs/2", "6.1").verdict.as_mut().and_then(|v| v.failure.as_mut()).unwrap();
        (failure.by_source, failure.provisional) = (false, false);
    }
    for world in [off, provisional, slow] {
        assert!(world.reconcile().is_empty());
        assert!(matches!(world.reconcile().notes[..], [Note::FailedBefore { .. }]));
    }
}

#[test]
fn a_build_of_the_newest_that_can_be_loaded_stays() {
    let mut world = World::new(&["6.1"]).with(&["zfs/1", "zfs/2"]).installed("zfs/2", "6.1");
    world.inputs("zfs/2", "6.1").headers.content = "newer".into();
    let mut world = world.failed("zfs/2", "6.1", false);
    assert!(world.reconcile().is_empty(), "nobody knows that it does not load");
    let misfit = Misfit::Vermagic { word: "preempt".into(), missing: true };
    world.view("zfs/2", "6.1").fit = Some(Fit::Not(misfit));
    assert_eq!(steps(&world.reconcile()), OLDER);
}

#[test]
fn each_next_older_version_is_tried_in_turn() {
    let world = World::new(&["6.1"]).with(&["zfs/1", "zfs/2", "zfs/3"]);
    let world = world.failed("zfs/3", "6.1", false).excluded("zfs/2", "6.1");
    let plan = world.reconcile();
    assert_eq!(steps(&plan)[0], OLDER[0]);
    assert_eq!(reason(&plan, OLDER[0]), "it is used instead of 3, which does not compile for this kernel");
    let none = world.failed("zfs/1", "6.1", false).reconcile();
    assert!(none.is_empty());
    assert!(!none.notes.iter().any(|note| matches!(note, Note::OlderInstead { .. })), "{:?}", none.notes);
}

#[test]
fn what_no_kernel_gets_by_itself_takes_no_place() {
    let mut manual = two();
    manual.facts("zfs/1", "6.1").autoinstall = false;
    let mut gone = two();
    gone.0.modules.insert(module("zfs/1"), Source::Dangling("/usr/src/zfs-1".into()));
    let mut broken = two();
    broken.view("zfs/1", "6.1").now = Now::Unreadable(Error::new(Kind::ConfInvalid, "line 3"));
    let other = two().with(&["spl/1"]).depends("zfs/1", "spl");
    for world in [manual, gone, broken] {
        assert!(world.reconcile().is_empty());
    }
    let plan = other.reconcile();
    assert!(!steps(&plan).contains(&OLDER[0].to_owned()), "it needs a module that the newest does not need");
}

#[test]
fn what_depends_on_it_is_built_with_the_older_one() {
    let world = two().with(&["pool/1"]).depends("pool/1", "zfs");
    let plan = world.reconcile();
    assert_eq!(
        steps(&plan)[..4],
        ["build zfs/1 for 6.1", "install zfs/1 for 6.1", "build pool/1 for 6.1", "install pool/1 for 6.1"]
            .map(str::to_owned)[..]
    );
    let mut off = world;
    off.0.only_newest = true;
    assert!(off.reconcile().is_empty(), "it cannot be had");
}

#[test]
fn a_person_who_names_a_version_gets_that_one() {
    let plan = two().bring("zfs/2", "6.1", Goal::Installed, false);
    assert_eq!(steps(&plan)[0], "build zfs/2 for 6.1");
}

#[test]
fn another_plan_of_the_run_is_about_these_modules_and_tries_nothing_again() {
    let world = two().with(&["vbox/1"]).failed("vbox/1", "6.1", false);
    let instead = [(kernel("6.1"), module("zfs/1").name)].into();
    let options = Options { instead, ..Options::default() };
    for request in [
        Request::Reconcile { kernels: None, retry: true },
        Request::Autoinstall { kernel: kernel("6.1"), arch: super::world::arch() },
    ] {
        assert_eq!(steps(&plan(&world.0, &request, &options)), OLDER);
    }
}
