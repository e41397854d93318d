//! What a person types: one module version, one kernel, one state.

use super::world::{World, arch, asked, cell, kernel, module, notes, reason, steps};
use crate::model::error::Kind;
use crate::model::request::{Goal, Request};
use crate::model::system::{Now, Source};
use crate::plan::{Note, Options, plan};

fn world() -> World {
    World::new(&["6.1"]).with(&["zfs/2"])
}

fn code(plan: &crate::plan::Plan) -> u8 {
    plan.notes[0].error().unwrap().kind.exit_status()
}

#[test]
fn adding_touches_no_kernel() {
    let mut world = World::new(&["6.1"]);
    world.kernel("6.1").note.depmod_due = true;
    let plan = world.bring("zfs/2", "6.1", Goal::Added, false);
    assert_eq!(steps(&plan), ["add zfs/2"]);
    let plan = world.with(&["zfs/2"]).bring("zfs/2", "6.1", Goal::Added, false);
    assert!(plan.is_empty());
    assert_eq!(code(&plan), 3);
}

#[test]
fn building_does_not_install_and_installing_builds() {
    assert_eq!(steps(&world().bring("zfs/2", "6.1", Goal::Built, false)), ["build zfs/2 for 6.1"]);
    let plan = world().bring("zfs/2", "6.1", Goal::Installed, false);
    assert_eq!(steps(&plan)[..2], ["build zfs/2 for 6.1", "install zfs/2 for 6.1"]);
    assert_eq!(plan.steps[1].needs, [0]);
    assert_eq!(reason(&plan, "install zfs/2 for 6.1"), "it was requested");
}

#[test]
fn what_is_done_is_not_done_again_without_force() {
    let world = world().installed("zfs/2", "6.1");
    let built = world.bring("zfs/2", "6.1", Goal::Built, false);
    assert!(built.is_empty() && built.notes == [Note::AlreadyBuilt { cell: cell("zfs/2", "6.1") }]);
    let installed = world.bring("zfs/2", "6.1", Goal::Installed, false);
    assert!(
        installed.is_empty() && installed.notes == [Note::AlreadyInstalled { cell: cell("zfs/2", "6.1") }]
    );
    assert_eq!(steps(&world.bring("zfs/2", "6.1", Goal::Built, true)), ["build zfs/2 for 6.1"]);
    let again = world.bring("zfs/2", "6.1", Goal::Installed, true);
    assert_eq!(steps(&again)[0], "install zfs/2 for 6.1", "the build that is there");
}

#[test]
fn a_stale_build_is_made_again_for_who_asks_for_it() {
    let mut world = world().installed("zfs/2", "6.1");
    world.inputs("zfs/2", "6.1").source = "x".into();
    let plan = world.bring("zfs/2", "6.1", Goal::Installed, false);
    assert_eq!(reason(&plan, "build zfs/2 for 6.1"), "its source changed (from source to x)");
    assert_eq!(reason(&plan, "install zfs/2 for 6.1"), "it was requested");
}

#[test]
fn what_cannot_be_built_says_why_with_the_code_of_dkms() {
    assert_eq!(code(&World::new(&["6.1"]).bring("zfs/2", "6.1", Goal::Built, false)), 3);
    assert_eq!(code(&world().bring("zfs/2", "9.9", Goal::Built, false)), 21);
    let excluded = world().excluded("zfs/2", "6.1");
    assert_eq!(code(&excluded.bring("zfs/2", "6.1", Goal::Built, true)), 77, "--force or not");
    let bare = world().without_headers("6.1");
    assert_eq!(code(&bare.bring("zfs/2", "6.1", Goal::Installed, false)), 21);
    let mut gone = world();
    gone.0.modules.insert(module("zfs/2"), Source::Dangling("/usr/src/zfs-2".into()));
    assert_eq!(code(&gone.bring("zfs/2", "6.1", Goal::Built, false)), 4);
    let mut bad = world();
    bad.view("zfs/2", "6.1").now =
        Now::Unreadable(crate::model::error::Error::new(Kind::ConfInvalid, "line 3"));
    assert_eq!(code(&bad.bring("zfs/2", "6.1", Goal::Built, false)), 8);
}

#[test]
fn a_build_that_is_there_needs_no_headers_to_be_installed() {
    let mut world = world().built("zfs/2", "6.1").without_headers("6.1");
    let plan = world.bring("zfs/2", "6.1", Goal::Installed, false);
    assert_eq!(steps(&plan)[0], "install zfs/2 for 6.1");
    // Made by DKMS: there is nothing to write down about it now.
    world.view("zfs/2", "6.1").record = None;
    world.view("zfs/2", "6.1").vermagic_matches = true;
    assert_eq!(steps(&world.bring("zfs/2", "6.1", Goal::Installed, false)), steps(&plan));
    world.0.modules.insert(module("zfs/2"), Source::BinariesOnly);
    assert_eq!(steps(&world.bring("zfs/2", "6.1", Goal::Installed, false)), steps(&plan));
}

#[test]
fn a_person_retries_a_failure_and_a_package_does_not() {
    let world = world().failed("zfs/2", "6.1", false);
    assert_eq!(steps(&world.bring("zfs/2", "6.1", Goal::Built, false)), ["build zfs/2 for 6.1"]);
    let options = Options { heed_failures: true, ..Options::default() };
    let heeded = plan(&world.0, &asked("zfs/2", "6.1", Goal::Installed, false), &options);
    assert!(heeded.is_empty());
    assert_eq!(code(&heeded), 10);
    let forced = plan(&world.0, &asked("zfs/2", "6.1", Goal::Installed, true), &options);
    assert!(forced.is_empty());
    assert_eq!(code(&forced), 10);
    let forced = plan(&world.0, &asked("zfs/2", "6.1", Goal::Built, true), &options);
    assert_eq!(steps(&forced), ["build zfs/2 for 6.1"]);
}

#[test]
fn a_package_does_not_retry_a_failed_dependency_either() {
    let world = world().with(&["spl/1"]).depends("zfs/2", "spl").failed("spl/1", "6.1", false);
    let request = asked("zfs/2", "6.1", Goal::Installed, false);
    let options = Options { heed_failures: true, ..Options::default() };
    assert!(plan(&world.0, &request, &options).is_empty());
    assert_eq!(steps(&world.plan(&request))[0], "build spl/1 for 6.1");
}

#[test]
fn going_down_takes_one_step_at_a_time() {
    let world = world().installed("zfs/2", "6.1");
    let plan = world.bring("zfs/2", "6.1", Goal::Uninstalled, false);
    assert_eq!(steps(&plan), ["uninstall zfs/2 for 6.1", "depmod 6.1", "rebuild the initramfs of 6.1"]);
    let plan = world.bring("zfs/2", "6.1", Goal::Unbuilt, false);
    assert_eq!(steps(&plan)[..2], ["uninstall zfs/2 for 6.1", "delete the build of zfs/2 for 6.1"]);
    assert_eq!(plan.steps[1].needs, [0]);
    let plan = World::new(&["6.1"]).with(&["zfs/2"]).bring("zfs/2", "6.1", Goal::Unbuilt, false);
    assert!(plan.is_empty());
    assert_eq!(notes(&plan).len(), 2, "neither installed nor built");
}

#[test]
fn removing_the_last_build_takes_the_module_out_of_the_tree() {
    let world = World::new(&["6.1", "6.2"])
        .with(&["zfs/1", "zfs/2"])
        .installed("zfs/2", "6.1")
        .built("zfs/2", "6.2")
        .installed("zfs/1", "6.2");
    let remove = |releases: &[&str]| Request::Remove {
        module: module("zfs/2"),
        cells: releases.iter().map(|r| (kernel(r), arch())).collect(),
    };
    let one = world.plan(&remove(&["6.1"]));
    assert_eq!(steps(&one)[..2], ["uninstall zfs/2 for 6.1", "delete the build of zfs/2 for 6.1"]);
    assert!(!steps(&one).contains(&"remove zfs/2 from the tree".to_owned()));
    let both = world.plan(&remove(&["6.1", "6.2"]));
    let forget = both.steps.iter().find(|s| s.action.to_string() == "remove zfs/2 from the tree").unwrap();
    assert_eq!(forget.needs, [1, 2], "a build that could not be deleted keeps the entry");
    assert!(steps(&both).iter().all(|s| !s.contains("zfs/1")));
    let none = World::new(&["6.1"]).with(&["zfs/2"]).plan(&remove(&[]));
    assert_eq!(steps(&none), ["remove zfs/2 from the tree"]);
    let unknown = World::new(&["6.1"]).plan(&remove(&["6.1"]));
    assert_eq!(code(&unknown), 3);
}
