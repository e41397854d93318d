//! Kernels whose boot entry was removed, and an index that somebody else makes.

use super::world::{World, kernel, notes, reason, steps};
use crate::model::record::InitramfsDue;
use crate::model::request::{Goal, Request};
use crate::plan::{Duty, InitramfsDuty, Options, plan};

const RECONCILE: Request = Request::Reconcile { kernels: None, retry: false };

fn without_entry() -> World {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).installed("zfs/2", "6.1");
    world.kernel("6.1").note.boot_entry_removed = true;
    world
}

#[test]
fn nothing_is_installed_and_builds_stay() {
    let mut world = without_entry();
    let plan = world.reconcile();
    assert_eq!(steps(&plan), ["uninstall zfs/2 for 6.1", "depmod 6.1"]);
    assert_eq!(reason(&plan, "uninstall zfs/2 for 6.1"), "the boot entry of the kernel was removed");
    assert!(notes(&plan)[0].contains("kernel-install add 6.1"), "{:?}", notes(&plan));
    assert!(!plan.notes[0].is_failure());

    world.view("zfs/2", "6.1").installed = false;
    assert!(world.reconcile().is_empty(), "and nothing is built");
    world.kernel("6.1").image = false;
    assert_eq!(steps(&world.reconcile()), ["delete the build of zfs/2 for 6.1", "sweep up after 6.1"]);
}

#[test]
fn its_duties_are_void_once_its_index_is_gone() {
    let mut world = without_entry();
    world.view("zfs/2", "6.1").installed = false;
    let note = &mut world.kernel("6.1").note;
    note.waiting = Some("linux-headers-6.1".to_owned());
    note.depmod_due = true;
    note.initramfs_due = Some(InitramfsDue { since: 200, always: true, modules: Vec::new() });
    assert_eq!(steps(&world.reconcile()), ["depmod 6.1"], "an index that is there is to be right");
    world.kernel("6.1").indexed = false;
    let plan = world.reconcile();
    assert!(plan.is_empty());
    let all = [Duty::Headers, Duty::Depmod, Duty::Initramfs].map(|duty| (kernel("6.1"), duty));
    assert_eq!(plan.settled, all.into());
}

#[test]
fn a_person_installs_for_it_all_the_same() {
    let mut world = without_entry();
    world.view("zfs/2", "6.1").installed = false;
    world.kernel("6.1").indexed = false;
    let plan = world.bring("zfs/2", "6.1", Goal::Installed, false);
    assert_eq!(steps(&plan), ["install zfs/2 for 6.1", "depmod 6.1"]);
}

#[test]
fn depmod_is_left_to_who_runs_it_anyway_and_looked_after() {
    let world = World::new(&["6.1", "6.2"]).with(&["zfs/2"]);
    let options = Options {
        initramfs: InitramfsDuty::Later,
        depmod_follows: [kernel("6.1")].into(),
        ..Options::default()
    };
    let made = steps(&plan(&world.0, &RECONCILE, &options));
    assert!(!made.contains(&"depmod 6.1".to_owned()) && made.contains(&"depmod 6.2".to_owned()), "{made:?}");

    let mut world = world.installed("zfs/2", "6.1").installed("zfs/2", "6.2");
    let known = world.kernel("6.1");
    (known.note.depmod_due, known.note.depmod_left_at, known.indexed_at) = (true, Some(200), Some(200));
    assert_eq!(steps(&world.reconcile()), ["depmod 6.1"], "the index is the old one");
    world.kernel("6.1").indexed_at = Some(201);
    let plan = world.reconcile();
    assert!(plan.is_empty() && plan.settled == [(kernel("6.1"), Duty::Depmod)].into());
}

#[test]
fn no_initramfs_is_made_before_the_index_that_it_needs() {
    let world = World::new(&["6.1"]).with(&["zfs/2"]);
    let options = Options { depmod_follows: [kernel("6.1")].into(), ..Options::default() };
    let made = plan(&world.0, &RECONCILE, &options);
    assert_eq!(steps(&made), ["build zfs/2 for 6.1", "install zfs/2 for 6.1"]);
}
