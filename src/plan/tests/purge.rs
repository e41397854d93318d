//! Kernels that are gone.

use super::world::{World, arch, kernel, module, notes, reason, steps};
use crate::model::blind::{Blind, Cause};
use crate::model::record::InitramfsDue;
use crate::model::request::Goal;
use crate::model::request::Request;
use crate::model::system::{InstallTree, TreePlace};
use crate::plan::Note;
use crate::plan::{Options, plan};

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

fn dir() -> std::path::PathBuf {
    "/lib/modules".into()
}

fn broken() -> Blind {
    Blind::new("/lib/modules", Cause::Os(5))
}

/// Two trees, and what they prove of a kernel that is in neither.
fn doubts() -> [InstallTree; 4] {
    let was = TreePlace { path: dir(), mounted: "/usr".into(), kind: "ext4".into(), id: None };
    let is = TreePlace { mounted: "/".into(), ..was.clone() };
    [
        InstallTree::NoKernel { dir: dir(), same: true },
        InstallTree::NoKernel { dir: dir(), same: false },
        InstallTree::Other { was, is },
        InstallTree::Blind(broken()),
    ]
}

#[test]
fn where_nothing_proves_that_a_kernel_is_gone_nothing_of_it_goes() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).installed("zfs/2", "6.1").without_headers("6.1");
    world.kernel("6.1").image = false;
    world.kernel("6.1").note.depmod_due = true;
    world.kernel("6.1").note.initramfs_due =
        Some(InitramfsDue { since: 1, always: true, modules: Vec::new() });
    for tree in doubts() {
        world.0.install_tree = tree;
        let plan = world.reconcile();
        assert!(plan.is_empty() && plan.settled.is_empty(), "{:?}", steps(&plan));
        assert!(plan.notes.len() == 1 && plan.notes[0].is_failure(), "{:?}", plan.notes);
        let text = notes(&plan)[0].clone();
        assert!(text.contains("/lib/modules") && text.contains("the modules of 6.1 are kept"), "{text}");
    }
}

#[test]
fn a_word_of_a_person_or_of_the_package_manager_is_enough_unless_the_tree_cannot_be_read() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).installed("zfs/2", "6.1").without_headers("6.1");
    world.kernel("6.1").image = false;
    let purged = |world: &World, options: &Options| {
        let plan = plan(&world.0, &Request::Reconcile { kernels: None, retry: false }, options);
        steps(&plan).contains(&"delete the build of zfs/2 for 6.1".to_owned())
    };
    let person = Options { purge_missing: true, ..Options::default() };
    let manager = Options { kernel_left: true, ..Options::default() };
    for tree in doubts() {
        let readable = !matches!(tree, InstallTree::Blind(_));
        let same = matches!(tree, InstallTree::NoKernel { same: true, .. });
        world.0.install_tree = tree;
        assert_eq!(purged(&world, &person), readable);
        assert_eq!(purged(&world, &manager), readable);
        assert!(!purged(&world, &Options::default()));
        // Its boot entry was removed before its files went.
        world.kernel("6.1").note.boot_entry_removed = true;
        assert_eq!(purged(&world, &Options::default()), same);
        world.kernel("6.1").note.boot_entry_removed = false;
    }
}

#[test]
fn what_is_left_of_a_kernel_without_anything_of_ours_is_swept_up_all_the_same() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).without_headers("6.1");
    world.kernel("6.1").image = false;
    world.kernel("6.1").residue = true;
    for tree in doubts() {
        world.0.install_tree = tree;
        assert_eq!(steps(&world.reconcile()), ["sweep up after 6.1"]);
        assert!(world.reconcile().notes.is_empty());
    }
}

#[test]
fn a_kernel_or_a_build_that_cannot_be_looked_at_is_left_alone_and_stops_no_other() {
    let both = || gone().with(&["app/1"]).installed("app/1", "6.1");
    let mut world = both();
    world.kernel("6.1").blind = Some(broken());
    let plan = world.reconcile();
    assert!(!steps(&plan).iter().any(|step| step.contains("6.1")), "{:?}", steps(&plan));
    assert!(notes(&plan)[0].contains("nothing is changed for kernel 6.1"), "{:?}", notes(&plan));

    let mut world = both();
    world.view("zfs/2", "6.1").blind = Some(broken());
    let plan = world.reconcile();
    let gone = ["uninstall app/1 for 6.1", "delete the build of app/1 for 6.1", "sweep up after 6.1"];
    assert!(gone.iter().all(|step| steps(&plan).contains(&(*step).to_owned())), "{:?}", steps(&plan));
    assert!(!steps(&plan).iter().any(|step| step.contains("zfs/2 for 6.1")), "{:?}", steps(&plan));
    assert!(notes(&plan)[0].contains("zfs/2 for 6.1 is left alone"), "{:?}", notes(&plan));
}

#[test]
fn a_build_whose_record_cannot_be_read_is_neither_replaced_nor_taken_over_but_by_force() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).installed("zfs/2", "6.1");
    let record = "/var/lib/dkms/zfs/2/6.1/x86_64/.dkms-hook.json";
    world.view("zfs/2", "6.1").record = None;
    world.view("zfs/2", "6.1").vermagic_matches = true;
    world.view("zfs/2", "6.1").blind = Some(Blind::new(record, Cause::Damaged("end of file".into())));
    for plan in [world.reconcile(), world.bring("zfs/2", "6.1", Goal::Installed, false)] {
        assert!(plan.is_empty(), "{:?}", steps(&plan));
        let text = notes(&plan)[0].clone();
        assert!(text.contains(record) && text.contains("dkms build zfs/2 -k 6.1 --force"), "{text}");
    }
    assert_eq!(steps(&world.bring("zfs/2", "6.1", Goal::Built, true)), ["build zfs/2 for 6.1"]);
    let removed =
        world.plan(&Request::Remove { module: module("zfs/2"), cells: vec![(kernel("6.1"), arch())] });
    assert!(steps(&removed).contains(&"remove zfs/2 from the tree".to_owned()), "{:?}", steps(&removed));
}

#[test]
fn a_failure_that_cannot_be_read_is_not_tried_again_by_hooks() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]);
    world.view("zfs/2", "6.1").unread_verdict = Some(broken());
    assert!(world.reconcile().is_empty() && notes(&world.reconcile())[0].contains("not retried"));
    let asked = world.bring("zfs/2", "6.1", Goal::Built, false);
    assert_eq!(steps(&asked), ["build zfs/2 for 6.1"], "a person asks");
}
