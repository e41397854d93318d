//! depmod and the initramfs.

use super::world::{World, kernel, needs, reason, steps};
use crate::model::record::InitramfsDue;
use crate::model::request::Request;
use crate::model::system::{Adopting, Contents, Question};
use crate::plan::{Action, Condition, Duty, InitramfsDuty, Note, Options, Plan, plan};

const RECONCILE: Request = Request::Reconcile { kernels: None, retry: false };

/// Nothing to do but what an earlier run left due at time 200; the initramfs was made at `made`.
fn due(made: Option<i64>, always: bool) -> World {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).installed("zfs/2", "6.1");
    world.kernel("6.1").initramfs = made;
    world.kernel("6.1").note.initramfs_due =
        Some(InitramfsDue { since: 200, always, modules: vec!["spl".into()] });
    world
}

fn initramfs(plan: &Plan) -> (bool, Vec<String>) {
    let found = plan.steps.iter().find_map(|s| match &s.action {
        Action::Initramfs { always, modules, .. } => Some((*always, modules.clone())),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("{:?}", steps(plan)))
}

#[test]
fn an_interrupted_depmod_is_made_up_for() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).installed("zfs/2", "6.1");
    world.kernel("6.1").note.depmod_due = true;
    let plan = world.reconcile();
    assert_eq!(steps(&plan), ["depmod 6.1"]);
    assert_eq!(reason(&plan, "depmod 6.1"), "an earlier run ended before depmod");
}

#[test]
fn the_initramfs_needs_depmod_and_comes_last() {
    let plan = World::new(&["6.1"]).with(&["spl/1", "zfs/2"]).reconcile();
    assert_eq!(needs(&plan, "rebuild the initramfs of 6.1"), ["depmod 6.1"]);
    assert_eq!(needs(&plan, "depmod 6.1"), [""; 0], "what did not fail is indexed");
    assert_eq!(initramfs(&plan), (false, vec!["spl".to_owned(), "zfs".to_owned()]));
}

#[test]
fn without_depmod_there_may_still_be_an_initramfs() {
    let world = World::new(&["6.1"]).with(&["zfs/2"]);
    let plan = plan(&world.0, &RECONCILE, &Options { depmod: false, ..Options::default() });
    assert_eq!(steps(&plan)[2..], ["rebuild the initramfs of 6.1"]);
}

#[test]
fn a_kernel_event_makes_it_whatever_it_holds() {
    let world = World::new(&["6.1"]).with(&["zfs/2"]);
    let event = Options { kernel_event: true, ..Options::default() };
    assert!(initramfs(&plan(&world.0, &RECONCILE, &event)).0);
    assert!(plan(&world.installed("zfs/2", "6.1").0, &RECONCILE, &event).is_empty(), "nothing changed");
}

#[test]
fn what_is_due_is_made_if_the_initramfs_is_older() {
    let plan = due(Some(200), false).reconcile();
    assert_eq!(reason(&plan, "rebuild the initramfs of 6.1"), "it is older than the modules");
    assert_eq!(initramfs(&plan), (false, vec!["spl".to_owned()]));
    assert!(initramfs(&due(Some(199), true).reconcile()).0);
}

#[test]
fn what_somebody_else_made_since_is_settled() {
    for made in [Some(201), None] {
        let plan = due(made, true).reconcile();
        assert!(plan.is_empty());
        assert!(plan.settled.contains(&(kernel("6.1"), Duty::Initramfs)));
    }
}

#[test]
fn a_later_run_or_the_kernels_own_package_makes_it() {
    let world = due(Some(100), true);
    let later = Options { initramfs: InitramfsDuty::Later, ..Options::default() };
    let follows = Options { initramfs_follows: [kernel("6.1")].into(), ..Options::default() };
    for options in [&later, &follows] {
        let plan = plan(&world.0, &RECONCILE, options);
        assert!(plan.is_empty() && plan.settled.is_empty(), "it stays due");
    }
    let world = World::new(&["6.1", "6.2"]).with(&["zfs/2"]);
    let plan = plan(&world.0, &RECONCILE, &follows);
    assert!(!steps(&plan).contains(&"rebuild the initramfs of 6.1".to_owned()));
    assert!(steps(&plan).contains(&"rebuild the initramfs of 6.2".to_owned()));
}

#[test]
fn there_is_none_for_a_kernel_without_modules() {
    let mut world = due(Some(100), true);
    world.kernel("6.1").image = false;
    world.kernel("6.1").indexed = false;
    let plan = world.bring("zfs/2", "6.1", crate::model::request::Goal::Uninstalled, false);
    assert_eq!(steps(&plan), ["uninstall zfs/2 for 6.1"]);
    // A kernel that has everything built in may have an index of what was added.
    world.kernel("6.1").indexed = true;
    let plan = world.bring("zfs/2", "6.1", crate::model::request::Goal::Uninstalled, false);
    assert_eq!(steps(&plan), ["uninstall zfs/2 for 6.1", "depmod 6.1"]);
    let plan =
        world.plan(&crate::model::request::Request::KernelRemoved { kernel: super::world::kernel("6.1") });
    assert!(!steps(&plan).contains(&"depmod 6.1".to_owned()), "{:?}", steps(&plan));
}

#[test]
fn modules_are_loaded_into_the_running_kernel_after_its_index_is_made() {
    let mut world = super::world::World::new(&["6.1", "6.2"]).with(&["zfs/2"]);
    world.0.load_into = Some(kernel("6.1"));
    let options = Options::default();
    let plan = |release: &str| {
        let request = super::world::asked("zfs/2", release, crate::model::request::Goal::Installed, false);
        crate::plan::plan(&world.0, &request, &options)
    };
    let there = plan("6.1");
    assert_eq!(super::world::needs(&there, "load modules into the running kernel 6.1"), ["depmod 6.1"]);
    assert!(steps(&plan("6.2")).iter().all(|step| !step.contains("load")), "another kernel is not running");
    let fresh = world.clone().installed("zfs/2", "6.1");
    let request = super::world::asked("zfs/2", "6.1", crate::model::request::Goal::Installed, false);
    assert!(crate::plan::plan(&fresh.0, &request, &options).is_empty(), "nothing new is there to load");
}

#[test]
fn an_index_that_was_taken_away_is_made_again_where_modules_of_ours_are() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).installed("zfs/2", "6.1");
    world.kernel("6.1").indexed = false;

    assert_eq!(reason(&world.reconcile(), "depmod 6.1"), "modules.dep is missing");
    let mut empty = World::new(&["6.1"]);
    empty.kernel("6.1").indexed = false;
    assert!(empty.reconcile().is_empty());
}

/// What is looked at of the initramfs of 6.1: it holds these.
fn holds(world: &mut World, held: &[&str]) {
    let held = Some(held.iter().map(|name| (*name).to_owned()).collect());
    world.0.contents.insert(kernel("6.1"), Contents { held, ..Contents::default() });
}

fn condition(plan: &Plan, step: &str) -> Condition {
    plan.steps.iter().find(|s| s.action.to_string() == step).unwrap().when.clone()
}

#[test]
fn an_index_is_due_if_something_changes() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]);
    let plan = world.reconcile();
    assert_eq!(condition(&plan, "depmod 6.1"), Condition::any_change());
    world.kernel("6.1").note.depmod_due = true;
    assert!(condition(&world.reconcile(), "depmod 6.1").is_always());
    world.kernel("6.1").note.depmod_due = false;
    world.kernel("6.1").indexed = false;
    assert!(condition(&world.reconcile(), "depmod 6.1").is_always());
}

#[test]
fn where_depmod_cannot_go_there_is_no_index() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]);
    world.0.without_index = Some("/srv/odd".into());
    let plan = world.reconcile();
    assert!(!steps(&plan).contains(&"depmod 6.1".to_owned()));
    assert!(plan.notes.iter().any(|note| matches!(note, Note::NoIndex { .. })));
    assert!(plan.settled.contains(&(kernel("6.1"), Duty::Depmod)));
    assert!(world.installed("zfs/2", "6.1").reconcile().notes.is_empty());
}

#[test]
fn an_initramfs_is_made_for_the_modules_that_it_holds() {
    const STEP: &str = "rebuild the initramfs of 6.1";
    let mut world = World::new(&["6.1"]).with(&["spl/1", "zfs/2"]);
    let unseen = world.reconcile();
    assert!(unseen.questions.contains(&Question::Initramfs(kernel("6.1"))));
    assert!(matches!(condition(&unseen, STEP), Condition::InInitramfs { modules } if modules.len() == 2));

    holds(&mut world, &["zfs", "ext4"]);
    let plan = world.reconcile();
    assert_eq!(condition(&plan, STEP), Condition::Changed { modules: vec!["zfs".into()] });
    assert_eq!(initramfs(&plan), (false, vec!["zfs".to_owned()]));

    holds(&mut world, &["ext4"]);
    let plan = world.reconcile();
    assert!(!steps(&plan).contains(&STEP.to_owned()));
    assert!(
        plan.settled.contains(&(kernel("6.1"), Duty::Initramfs)),
        "and what installing leaves due is done"
    );
    for contents in world.0.contents.values_mut() {
        contents.wanted.insert("spl".into());
    }
    assert_eq!(initramfs(&world.reconcile()).1, ["spl"], "its settings name it");

    let mut world = due(Some(100), false);
    holds(&mut world, &["spl"]);
    assert!(condition(&world.reconcile(), STEP).is_always(), "an earlier run changed it");
    holds(&mut world, &[]);
    assert!(world.reconcile().is_empty());
}

#[test]
fn what_dkms_installed_after_the_initramfs_was_made_belongs_into_it() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).installed("zfs/2", "6.1");
    let view = world.view("zfs/2", "6.1");
    (view.record, view.vermagic_matches) = (None, true);
    holds(&mut world, &["zfs_mod"]);
    let cell = super::world::cell("zfs/2", "6.1");
    assert_eq!(world.reconcile().questions, [Question::Adopt(cell.clone())].into());
    let mut with = |newest: i64| {
        let found = Adopting { modules: vec!["zfs-mod".into()], newest: Some(newest) };
        world.0.adoptions.insert(cell.clone(), found);
        world.reconcile()
    };
    assert_eq!(steps(&with(99)), ["take over zfs/2 for 6.1"]);
    let plan = with(100);
    assert_eq!(steps(&plan), ["take over zfs/2 for 6.1", "rebuild the initramfs of 6.1"]);
    assert_eq!(initramfs(&plan), (false, vec!["zfs-mod".to_owned()]));
    assert_eq!(reason(&plan, "rebuild the initramfs of 6.1"), "it is older than the modules");
}
