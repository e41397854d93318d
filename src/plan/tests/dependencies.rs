//! BUILD_DEPENDS.

use super::world::{World, needs, notes, reason, steps};
use crate::model::request::Goal;
use crate::plan::Note;

fn chain() -> World {
    World::new(&["6.1"]).with(&["app/1", "lib/1", "top/1"]).depends("app/1", "lib").depends("top/1", "app")
}

#[test]
fn dependencies_come_first_and_are_needed() {
    let plan = chain().reconcile();
    assert_eq!(
        steps(&plan)[..6],
        [
            "build lib/1 for 6.1",
            "install lib/1 for 6.1",
            "build app/1 for 6.1",
            "install app/1 for 6.1",
            "build top/1 for 6.1",
            "install top/1 for 6.1",
        ]
    );
    assert_eq!(needs(&plan, "build app/1 for 6.1"), ["install lib/1 for 6.1"]);
    assert_eq!(needs(&plan, "build lib/1 for 6.1"), [""; 0]);
    assert_eq!(needs(&plan, "install app/1 for 6.1"), ["build app/1 for 6.1"]);
}

#[test]
fn dependents_are_built_again_with_what_they_depend_on() {
    let mut world = chain().installed("lib/1", "6.1").installed("app/1", "6.1").installed("top/1", "6.1");
    assert!(world.reconcile().is_empty());
    world.inputs("lib/1", "6.1").source = "x".into();
    let plan = world.reconcile();
    assert_eq!(reason(&plan, "build lib/1 for 6.1"), "its source changed (from source to x)");
    assert_eq!(reason(&plan, "build app/1 for 6.1"), "lib, which it depends on, is rebuilt or replaced");
    assert_eq!(reason(&plan, "build top/1 for 6.1"), "app, which it depends on, is rebuilt or replaced");
}

#[test]
fn a_dependency_that_was_built_since_is_told_apart_from_one_that_will_be() {
    let mut world = chain().installed("lib/1", "6.1").installed("app/1", "6.1");
    let made = world.view("lib/1", "6.1").record.as_mut().unwrap();
    std::sync::Arc::make_mut(&mut made.inputs).source = "x".into();
    world.inputs("lib/1", "6.1").source = "x".into();
    super::model::refresh(&mut world.0);
    let plan = world.reconcile();
    assert_eq!(steps(&plan)[0], "build app/1 for 6.1");
    assert_eq!(reason(&plan, "build app/1 for 6.1"), "lib, which it depends on, was rebuilt");
}

#[test]
fn another_build_of_a_dependency_counts_even_if_it_only_needs_installing() {
    let mut world = World::new(&["6.1"]).with(&["app/1", "lib/1", "lib/2"]).depends("app/1", "lib");
    world.inputs("lib/2", "6.1").source = "two".into();
    let mut world = world.installed("lib/1", "6.1").built("lib/2", "6.1");
    let print = world.inputs("lib/1", "6.1").fingerprint();
    world.inputs("app/1", "6.1").depends.insert("lib".into(), print);
    let plan = world.installed("app/1", "6.1").reconcile();
    assert_eq!(steps(&plan)[..3], ["install lib/2 for 6.1", "build app/1 for 6.1", "install app/1 for 6.1"]);
    assert_eq!(needs(&plan, "build app/1 for 6.1"), ["install lib/2 for 6.1"]);
}

#[test]
fn a_failure_on_the_old_build_of_a_dependency_says_nothing_about_the_new() {
    let mut world = chain().installed("lib/1", "6.1").failed("app/1", "6.1", false);
    let plan = world.reconcile();
    assert!(plan.is_empty());
    assert_eq!(plan.notes.len(), 2, "app failed before, and top cannot do without: {:?}", notes(&plan));
    world.inputs("lib/1", "6.1").source = "x".into();
    let plan = world.reconcile();
    assert!(steps(&plan).contains(&"build app/1 for 6.1".to_owned()) && plan.notes.is_empty());
}

#[test]
fn what_depends_on_a_failure_is_a_failure_and_on_a_stranger_is_put_off() {
    let plan = chain().failed("lib/1", "6.1", false).reconcile();
    assert!(plan.is_empty());
    let missing: Vec<_> = plan.notes.iter().filter(|n| matches!(n, Note::MissingDepends { .. })).collect();
    assert_eq!(missing.len(), 2);
    assert!(missing.iter().all(|n| n.is_failure()));

    let plan = World::new(&["6.1"]).with(&["app/1"]).depends("app/1", "stranger").reconcile();
    assert!(plan.is_empty());
    assert!(matches!(&plan.notes[..], [n @ Note::MissingDepends { known: false, .. }] if !n.is_failure()));
}

#[test]
fn what_is_installed_and_fresh_does_not_ask_for_its_dependencies() {
    let plan = chain().failed("lib/1", "6.1", false).installed("app/1", "6.1").installed("top/1", "6.1");
    let plan = plan.reconcile();
    assert!(plan.is_empty());
    assert!(matches!(&plan.notes[..], [Note::FailedBefore { .. }]), "{:?}", notes(&plan));
}

#[test]
fn an_excluded_dependency_counts_as_satisfied() {
    let plan = chain().excluded("lib/1", "6.1").reconcile();
    assert_eq!(steps(&plan)[0], "build app/1 for 6.1");
}

#[test]
fn a_cycle_is_told_and_nothing_of_it_is_built() {
    let world = chain().depends("lib/1", "top");
    let plan = world.reconcile();
    assert!(plan.is_empty());
    assert_eq!(plan.notes.len(), 3);
    assert!(plan.notes.iter().all(Note::is_failure));
    assert!(world.bring("app/1", "6.1", Goal::Installed, false).is_empty());
    let own = World::new(&["6.1"]).with(&["app/1"]).depends("app/1", "app").reconcile();
    assert!(own.is_empty() && own.notes[0].is_failure());
}

#[test]
fn a_person_gets_the_dependencies_too() {
    let plan = chain().bring("app/1", "6.1", Goal::Built, false);
    assert_eq!(steps(&plan)[..3], ["build lib/1 for 6.1", "install lib/1 for 6.1", "build app/1 for 6.1"]);
    let world = World::new(&["6.1"]).with(&["app/1"]).depends("app/1", "stranger");
    let plan = world.bring("app/1", "6.1", Goal::Installed, false);
    assert!(plan.is_empty());
    assert_eq!(plan.notes[0].error().unwrap().kind, crate::model::error::Kind::DependsMissing);
    let plan = world.bring("app/1", "6.1", Goal::Installed, true);
    assert_eq!(steps(&plan)[..2], ["build app/1 for 6.1", "install app/1 for 6.1"]);
    assert!(plan.notes.is_empty(), "with --force it is a warning of the build");
}

#[test]
fn who_asked_for_it_is_built_again_with_what_it_depends_on() {
    let mut world = chain().installed("lib/1", "6.1").installed("app/1", "6.1").installed("top/1", "6.1");
    for id in ["app/1", "top/1"] {
        world.facts(id, "6.1").depends_rebuild = true;
    }
    assert!(world.bring("lib/1", "6.1", Goal::Installed, false).is_empty());
    world.inputs("lib/1", "6.1").source = "new".to_owned();
    let plan = world.bring("lib/1", "6.1", Goal::Installed, false);
    let all =
        ["build lib/1", "install lib/1", "build app/1", "install app/1", "build top/1", "install top/1"];
    assert_eq!(steps(&plan)[..6], all.map(|step| format!("{step} for 6.1")));
    assert_eq!(needs(&plan, "build app/1 for 6.1"), ["install lib/1 for 6.1"]);
    assert_eq!(needs(&plan, "build top/1 for 6.1"), ["install app/1 for 6.1"]);
    assert_eq!(reason(&plan, "build app/1 for 6.1"), "lib, which it depends on, is rebuilt or replaced");
    assert_eq!(steps(&world.bring("lib/1", "6.1", Goal::Installed, true)).len(), 4, "not with --force");
    assert_eq!(steps(&world.bring("lib/1", "6.1", Goal::Built, false)).len(), 1, "nor for a build alone");

    // What is only built is not installed for that, and what follows an installed one does not follow it.
    world.view("app/1", "6.1").installed = false;
    let plan = world.bring("lib/1", "6.1", Goal::Installed, false);
    assert_eq!(steps(&plan)[..3], all[..3].iter().map(|step| format!("{step} for 6.1")).collect::<Vec<_>>());
    assert!(!steps(&plan).contains(&"install app/1 for 6.1".to_owned()));

    // One that did not ask is left alone.
    world.view("app/1", "6.1").installed = true;
    world.facts("app/1", "6.1").depends_rebuild = false;
    let plan = world.bring("lib/1", "6.1", Goal::Installed, false);
    assert_eq!(steps(&plan)[..2], all[..2].iter().map(|step| format!("{step} for 6.1")).collect::<Vec<_>>());
    assert_eq!(plan.steps.len(), 4, "{:?}", steps(&plan));
}
