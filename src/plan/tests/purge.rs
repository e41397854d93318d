//! Kernels that are gone.

use super::world::{World, kernel, notes, reason, steps};
use crate::model::request::Request;
use crate::plan::Note;

fn gone() -> World {
    let mut world =
        World::new(&["6.1", "6.2"]).with(&["zfs/2"]).installed("zfs/2", "6.1").installed("zfs/2", "6.2");
    world = world.without_headers("6.1");
    world.kernel("6.1").image = false;
    world.kernel("6.1").residue = true;
    world
}

#[test]
fn a_kernel_that_is_gone_takes_its_builds_and_leftovers_with_it() {
    let plan = gone().reconcile();
    assert_eq!(
        steps(&plan),
        ["uninstall zfs/2 for 6.1", "delete the build of zfs/2 for 6.1", "sweep up after 6.1"],
        "neither depmod nor initramfs, and nothing of the other kernel"
    );
    assert_eq!(reason(&plan, "uninstall zfs/2 for 6.1"), "the kernel is no longer on disk");
}

#[test]
fn a_kernel_that_left_nothing_is_nothing() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).without_headers("6.1");
    world.kernel("6.1").image = false;
    assert!(world.reconcile().is_empty());
    world.kernel("6.1").note.depmod_due = true;
    assert_eq!(steps(&world.reconcile()), ["sweep up after 6.1"]);
}

#[test]
fn a_failure_for_a_kernel_that_is_gone_is_forgotten() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).failed("zfs/2", "6.1", false);
    world = world.without_headers("6.1");
    world.kernel("6.1").image = false;
    assert_eq!(steps(&world.reconcile()), ["sweep up after 6.1"]);
}

#[test]
fn a_build_that_was_asked_for_stays_while_its_headers_do() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).installed("zfs/2", "6.1");
    world.kernel("6.1").image = false;
    assert_eq!(steps(&world.reconcile())[0], "uninstall zfs/2 for 6.1");
    world.view("zfs/2", "6.1").record.as_mut().unwrap().without_image = true;
    assert!(world.reconcile().is_empty());
    let mut world = world.without_headers("6.1");
    assert_eq!(steps(&world.reconcile())[0], "uninstall zfs/2 for 6.1");
    world.kernel("6.1").headers = true;
    world.view("zfs/2", "6.1").record = None;
    assert!(world.reconcile().is_empty(), "DKMS made it, for whoever asked then");
}

#[test]
fn a_kernel_whose_package_was_removed_gets_nothing_though_its_files_are_there() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]);
    world.kernel("6.1").note.removed = true;
    let plan = world.reconcile();
    assert!(plan.is_empty());
    assert_eq!(plan.notes, [Note::Removed { kernel: kernel("6.1") }]);
    assert!(!plan.notes[0].is_failure() && notes(&plan)[0].contains("was removed"));
    let plan = world.installed("zfs/2", "6.1").reconcile();
    assert_eq!(
        steps(&plan),
        ["uninstall zfs/2 for 6.1", "delete the build of zfs/2 for 6.1", "sweep up after 6.1"]
    );
    assert_eq!(reason(&plan, "uninstall zfs/2 for 6.1"), "the kernel is being removed");
}

#[test]
fn the_hook_of_a_removal_purges_just_that_kernel() {
    let world =
        World::new(&["6.1", "6.2"]).with(&["zfs/2"]).installed("zfs/2", "6.1").installed("zfs/2", "6.2");
    let request = Request::KernelRemoved { kernel: kernel("6.1") };
    let plan = world.plan(&request);
    assert_eq!(
        steps(&plan),
        ["uninstall zfs/2 for 6.1", "delete the build of zfs/2 for 6.1", "sweep up after 6.1"]
    );
    assert!(World::new(&["6.1"]).with(&["zfs/2"]).plan(&request).is_empty());
    assert!(World::new(&[]).plan(&request).is_empty());
}

#[test]
fn a_kernel_that_nobody_knows_is_a_failure() {
    let plan = World::new(&[]).plan(&Request::Reconcile { kernels: Some(vec![kernel("6.1")]), retry: false });
    assert!(plan.is_empty() && plan.notes[0].is_failure());
}
