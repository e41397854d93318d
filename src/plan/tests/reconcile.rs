//! What a kernel should have.

use super::world::{World, asked, kernel, notes, reason, steps};
use crate::model::blind::{Blind, Cause};
use crate::model::inputs::Inputs;
use crate::model::request::{Goal, Request};
use crate::model::system::{Now, Source};
use crate::plan::{Duty, Note, Options, plan};

const NEW: [&str; 4] =
    ["build zfs/2 for 6.1", "install zfs/2 for 6.1", "depmod 6.1", "rebuild the initramfs of 6.1"];

#[test]
fn a_new_kernel_gets_every_module_with_one_depmod_and_one_initramfs() {
    let world = World::new(&["6.1", "6.2"]).with(&["nvidia/1", "zfs/2"]);
    let only = world.plan(&Request::Reconcile { kernels: Some(vec![kernel("6.2")]), retry: false });
    assert_eq!(
        steps(&only),
        [
            "build nvidia/1 for 6.2",
            "install nvidia/1 for 6.2",
            "build zfs/2 for 6.2",
            "install zfs/2 for 6.2",
            "depmod 6.2",
            "rebuild the initramfs of 6.2",
        ]
    );
    assert_eq!(reason(&only, "build zfs/2 for 6.2"), "it is not built for this kernel yet");
    assert_eq!(steps(&world.reconcile()).len(), 12, "all kernels when none is named");
    assert!(only.notes.is_empty());
}

#[test]
fn a_kernel_without_an_initramfs_gets_none() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]);
    world.kernel("6.1").initramfs = None;
    assert_eq!(steps(&world.reconcile()), NEW[..3]);
}

#[test]
fn an_initramfs_that_cannot_be_looked_at_stays_due() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]);
    world.kernel("6.1").initramfs = None;
    world.kernel("6.1").unseen_initramfs = Some(Blind::new("/boot", Cause::Os(5)));
    let plan = world.reconcile();
    assert_eq!(steps(&plan), NEW[..3]);
    assert!(plan.settled.is_empty(), "{:?}", plan.settled);
    let [note] = &notes(&plan)[..] else { panic!("{:?}", plan.notes) };
    assert!(note.contains("the initramfs of kernel 6.1 counts as due"), "{note}");
    // Of a kernel that nobody boots there is none to look at.
    world.kernel("6.1").note.boot_entry_removed = true;
    assert!(!world.reconcile().notes.iter().any(Note::is_blind));
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).installed("zfs/2", "6.1");
    world.kernel("6.1").initramfs = None;
    world.kernel("6.1").unseen_initramfs = Some(Blind::new("/boot", Cause::Os(5)));
    assert!(world.reconcile().notes.is_empty(), "it matters to nobody");
}

#[test]
fn what_is_fresh_is_left_alone() {
    let plan = World::new(&["6.1"]).with(&["zfs/2"]).installed("zfs/2", "6.1").reconcile();
    assert!(plan.is_empty() && plan.notes.is_empty() && plan.settled.is_empty(), "{plan:?}");
}

#[test]
fn each_changed_input_rebuilds_and_is_named() {
    type Edit = fn(&mut Inputs);
    let cases: [(Edit, &str); 7] = [
        (|i| i.source = "x".into(), "its source changed (from source to x)"),
        (|i| i.conf = "x".into(), "its dkms.conf or an override of it changed (from conf to x)"),
        (|i| i.overrides = "x".into(), "patches or scripts in /etc/dkms changed (from none to x)"),
        (|i| i.headers.version = Some("2".into()), "the kernel headers changed from 1 to 2"),
        (|i| i.headers.content = "x".into(), "the kernel headers changed (from headers to x)"),
        (|i| i.compiler = "gcc-15 15.1".into(), "the compiler changed from gcc-14 14.2.0 to gcc-15 15.1"),
        (|i| i.compression = "zst".into(), "module compression changed from xz to zst"),
    ];
    for (edit, text) in cases {
        let mut world = World::new(&["6.1"]).with(&["zfs/2"]);
        world.inputs("zfs/2", "6.1").signing = Some("key".into());
        let mut world = world.installed("zfs/2", "6.1");
        edit(world.inputs("zfs/2", "6.1"));
        let plan = world.reconcile();
        assert_eq!(steps(&plan), NEW, "{text}");
        assert_eq!(reason(&plan, NEW[0]), text);
    }
}

#[test]
fn builds_of_dkms_are_taken_over_where_they_fit_and_made_again_where_not() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).installed("zfs/2", "6.1");
    world.view("zfs/2", "6.1").record = None;
    let wrong = world.reconcile();
    assert_eq!(steps(&wrong), NEW);
    assert_eq!(reason(&wrong, NEW[0]), "the existing build is for another kernel");
    world.view("zfs/2", "6.1").vermagic_matches = true;
    assert_eq!(steps(&world.reconcile()), ["take over zfs/2 for 6.1"]);
    world.view("zfs/2", "6.1").installed = false;
    assert_eq!(steps(&world.reconcile())[..2], ["take over zfs/2 for 6.1", "install zfs/2 for 6.1"]);
}

#[test]
fn installing_is_all_that_a_fresh_build_needs() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).built("zfs/2", "6.1");
    let plan = world.reconcile();
    assert_eq!(steps(&plan), NEW[1..]);
    assert_eq!(reason(&plan, NEW[1]), "it is built but not installed");
    world.view("zfs/2", "6.1").installed = true;
    world.view("zfs/2", "6.1").intact = false;
    assert_eq!(reason(&world.reconcile(), NEW[1]), "installed files are missing or changed");
}

#[test]
fn excluded_kernels_are_told_once_and_lose_a_build_that_no_longer_fits() {
    let world = World::new(&["6.1"]).with(&["zfs/2"]).excluded("zfs/2", "6.1");
    let plan = world.reconcile();
    assert!(plan.is_empty());
    assert_eq!(notes(&plan), ["zfs/2 is not built for 6.1 because of reasons"]);
    assert!(!plan.notes[0].is_failure());

    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).installed("zfs/2", "6.1").excluded("zfs/2", "6.1");
    assert!(world.reconcile().is_empty(), "nothing changed since somebody got it built");
    world.inputs("zfs/2", "6.1").conf = "BUILD_EXCLUSIVE".into();
    let plan = world.reconcile();
    assert_eq!(steps(&plan)[..2], ["uninstall zfs/2 for 6.1", "delete the build of zfs/2 for 6.1"]);
    assert_eq!(plan.steps[1].needs, [0]);
}

#[test]
fn the_newest_version_that_supports_the_kernel_is_wanted() {
    let both = World::new(&["6.1"]).with(&["zfs/2", "zfs/10"]);
    assert_eq!(steps(&both.reconcile())[0], "build zfs/10 for 6.1");
    let plan = both.excluded("zfs/10", "6.1").reconcile();
    assert_eq!(steps(&plan), NEW);
    assert_eq!(
        reason(&plan, NEW[0]),
        "it is the newest version that supports this kernel (10 does not: of reasons)"
    );
}

#[test]
fn an_older_version_is_replaced() {
    let world = World::new(&["6.1"]).with(&["zfs/1", "zfs/2"]).installed("zfs/1", "6.1");
    let plan = world.clone().reconcile();
    assert_eq!(steps(&plan), NEW);
    assert_eq!(reason(&plan, NEW[0]), "it replaces version 1");
    let plan = world.built("zfs/2", "6.1").reconcile();
    assert_eq!(steps(&plan), NEW[1..]);
    assert_eq!(reason(&plan, NEW[1]), "it replaces version 1");
}

#[test]
fn a_newer_version_that_became_excluded_makes_room_for_the_older() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2", "zfs/3"]).installed("zfs/3", "6.1");
    world.inputs("zfs/3", "6.1").conf = "x".into();
    let plan = world.excluded("zfs/3", "6.1").reconcile();
    assert_eq!(steps(&plan)[..2], ["uninstall zfs/3 for 6.1", "delete the build of zfs/3 for 6.1"]);
    assert_eq!(steps(&plan)[2..], NEW);
}

#[test]
fn without_autoinstall_only_what_is_installed_is_kept_up() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]);
    world.facts("zfs/2", "6.1").autoinstall = false;
    assert!(world.reconcile().is_empty());
    assert!(world.clone().built("zfs/2", "6.1").reconcile().is_empty());
    let mut world = world.installed("zfs/2", "6.1");
    world.inputs("zfs/2", "6.1").source = "x".into();
    assert_eq!(steps(&world.reconcile()), NEW);
}

#[test]
fn the_newest_version_decides_about_autoinstall() {
    let mut world = World::new(&["6.1"]).with(&["zfs/1", "zfs/2"]);
    world.facts("zfs/2", "6.1").autoinstall = false;
    assert!(world.reconcile().is_empty());
    let mut world = world.installed("zfs/1", "6.1");
    assert!(world.reconcile().is_empty(), "what is installed stays");
    world.inputs("zfs/1", "6.1").source = "x".into();
    assert_eq!(steps(&world.reconcile())[0], "build zfs/1 for 6.1");
}

#[test]
fn a_failure_is_heeded_until_inputs_change_or_a_person_asks() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).failed("zfs/2", "6.1", false);
    let plan = world.reconcile();
    assert!(plan.is_empty());
    assert!(plan.notes[0].is_failure() && notes(&plan)[0].contains("failed before"));

    let asked = world.plan(&Request::Reconcile { kernels: None, retry: true });
    assert_eq!(steps(&asked), NEW);
    assert_eq!(reason(&asked, NEW[0]), "it failed before, and a retry was requested");

    world.inputs("zfs/2", "6.1").source = "x".into();
    let changed = world.reconcile();
    assert_eq!(steps(&changed), NEW);
    assert!(changed.notes.is_empty());
}

#[test]
fn a_failure_of_the_toolchain_is_tried_again_where_that_is_wanted() {
    let world = World::new(&["6.1"]).with(&["zfs/2"]).failed("zfs/2", "6.1", true);
    assert_eq!(reason(&world.reconcile(), NEW[0]), "the last try failed, and its source was not at fault");
    let options = Options { retry_provisional: false, ..Options::default() };
    let request = Request::Reconcile { kernels: None, retry: false };
    assert!(plan(&world.0, &request, &options).is_empty());
}

#[test]
fn a_failed_rebuild_leaves_the_old_build_installed() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).installed("zfs/2", "6.1");
    world.inputs("zfs/2", "6.1").source = "x".into();
    let plan = world.failed("zfs/2", "6.1", false).reconcile();
    assert!(plan.is_empty());
    assert!(matches!(plan.notes[..], [Note::FailedBefore { .. }]));
}

#[test]
fn without_headers_it_waits_once_and_then_says_so_without_a_step() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).without_headers("6.1");
    let plan = world.reconcile();
    assert_eq!(steps(&plan), ["remember that 6.1 waits for linux-headers-6.1"]);
    world.kernel("6.1").note.waiting = Some("linux-headers-6.1".into());
    let again = world.reconcile();
    assert!(again.is_empty() && again.settled.is_empty());
    assert_eq!(again.notes, plan.notes);
    assert!(!again.notes[0].is_failure());
    world.kernel("6.1").headers_package = "kernel-devel".into();
    assert_eq!(steps(&world.reconcile()), ["remember that 6.1 waits for kernel-devel"]);
}

#[test]
fn nothing_waits_where_nothing_is_wanted() {
    let installed = World::new(&["6.1"]).with(&["zfs/2"]).installed("zfs/2", "6.1").without_headers("6.1");
    assert!(installed.reconcile().is_empty() && installed.reconcile().notes.is_empty());

    let mut bare = World::new(&["6.1"]).without_headers("6.1");
    assert!(bare.reconcile().is_empty() && bare.reconcile().settled.is_empty());
    bare.kernel("6.1").note.waiting = Some("linux-headers-6.1".into());
    let plan = bare.reconcile();
    assert!(plan.is_empty() && plan.notes.is_empty());
    assert!(plan.settled.contains(&(kernel("6.1"), Duty::Headers)), "its module has left the tree");

    let mut off = World::new(&["6.1"]).with(&["zfs/2"]).without_headers("6.1");
    off.0.autoinstall_disabled = true;
    assert!(off.reconcile().is_empty());
    assert_eq!(off.reconcile().notes, [Note::AutoinstallDisabled]);
}

#[test]
fn headers_that_arrived_settle_the_waiting() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]);
    world.kernel("6.1").note.waiting = Some("linux-headers-6.1".into());
    let plan = world.reconcile();
    assert_eq!(steps(&plan), NEW);
    assert!(plan.settled.contains(&(kernel("6.1"), Duty::Headers)));
}

#[test]
fn no_autoinstall_means_no_builds() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]);
    world.0.autoinstall_disabled = true;
    let plan = world.reconcile();
    assert!(plan.is_empty());
    assert_eq!(plan.notes, [Note::AutoinstallDisabled]);
    let request = Request::Autoinstall { kernel: kernel("6.1"), arch: super::world::arch() };
    assert_eq!(world.plan(&request).notes, [Note::AutoinstallDisabled]);
    assert_eq!(steps(&world.plan(&asked("zfs/2", "6.1", Goal::Installed, false))), NEW, "asked by name");
}

#[test]
fn autoinstall_tries_again_and_wants_headers() {
    let request = Request::Autoinstall { kernel: kernel("6.1"), arch: super::world::arch() };
    let world = World::new(&["6.1"]).with(&["zfs/2"]).failed("zfs/2", "6.1", false);
    assert_eq!(steps(&world.plan(&request)), NEW);
    let plan = world.without_headers("6.1").plan(&request);
    assert!(plan.is_empty());
    assert_eq!(plan.notes[0].error().unwrap().kind, crate::model::error::Kind::HeadersMissing);
    let none = World::new(&[]).with(&["zfs/2"]).plan(&request);
    assert!(none.notes[0].is_failure(), "there is no such kernel");
    assert_eq!(World::new(&[]).plan(&request).notes, [], "and nothing that it lacks");
}

#[test]
fn a_conf_that_cannot_be_read_stops_its_package_only() {
    let mut world = World::new(&["6.1"]).with(&["nvidia/1", "nvidia/2", "zfs/2"]);
    let error = crate::model::error::Error::new(crate::model::error::Kind::ConfInvalid, "line 3");
    world.view("nvidia/2", "6.1").now = Now::Unreadable(error);
    let plan = world.reconcile();
    assert_eq!(steps(&plan), NEW, "an older version is no cure for a broken conf");
    assert!(plan.notes[0].is_failure());
}

#[test]
fn a_source_that_is_gone_is_told_and_what_is_installed_of_it_stays() {
    let mut world = World::new(&["6.1"]).with(&["zfs/1", "zfs/2"]);
    world.0.modules.insert(super::world::module("zfs/2"), Source::Dangling("/usr/src/zfs-2".into()));
    let plan = world.reconcile();
    assert_eq!(steps(&plan)[0], "build zfs/1 for 6.1");
    assert!(matches!(&plan.notes[..], [Note::Broken { .. }]));
    let plan = world.installed("zfs/2", "6.1").reconcile();
    assert!(plan.is_empty(), "an older version does not replace it: {plan:?}");
}
