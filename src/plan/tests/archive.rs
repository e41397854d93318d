//! Builds that came out of an archive.

use super::world::{World, arch, kernel, needs, notes, reason, steps};
use crate::model::record::Provenance;
use crate::model::request::{Goal, Request};
use crate::plan::{Options, plan};

/// zfs/2 came built for 6.1, with this AUTOINSTALL.
fn loaded(autoinstall: bool) -> World {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]);
    let view = world.view("zfs/2", "6.1");
    (view.built, view.vermagic_matches) = (true, true);
    (view.provenance, view.autoinstall) = (Some(Provenance::Archive), autoinstall);
    world
}

#[test]
fn it_is_taken_over_and_not_built_again() {
    let plan = loaded(true).reconcile();
    assert_eq!(steps(&plan)[..2], ["take over zfs/2 for 6.1", "install zfs/2 for 6.1"]);
    assert!(reason(&plan, "take over zfs/2 for 6.1").contains("loaded from an archive"));
    let plan = loaded(false).bring("zfs/2", "6.1", Goal::Built, false);
    assert_eq!(steps(&plan), ["take over zfs/2 for 6.1"]);
}

#[test]
fn it_goes_with_the_dependencies_that_it_finds() {
    let dependent = |base: World| {
        let mut world = base.with(&["zfs/2"]).depends("zfs/2", "spl");
        let view = world.view("zfs/2", "6.1");
        (view.built, view.vermagic_matches) = (true, true);
        (view.provenance, view.autoinstall) = (Some(Provenance::Archive), true);
        world
    };
    // It is written down when they are there, and not built anew for their arrival.
    let world = dependent(World::new(&["6.1"]).with(&["spl/1"]).built("spl/1", "6.1"));
    let plan = world.reconcile();
    let expected = ["install spl/1 for 6.1", "take over zfs/2 for 6.1", "install zfs/2 for 6.1"];
    assert_eq!(steps(&plan)[..3], expected);
    assert_eq!(needs(&plan, expected[1]), [expected[0]]);
    assert!(steps(&world.bring("zfs/2", "6.1", Goal::Built, false)).is_empty());
    assert_eq!(steps(&world.bring("zfs/2", "6.1", Goal::Installed, false))[0], expected[2]);
    let world = dependent(World::new(&["6.1"]).with(&["spl/1"]).installed("spl/1", "6.1"));
    assert_eq!(steps(&world.bring("zfs/2", "6.1", Goal::Built, false)), [expected[1]]);
    // A dependency that is built here is another one than it was made with.
    let plan = dependent(World::new(&["6.1"]).with(&["spl/1"])).reconcile();
    assert!(steps(&plan).contains(&"build zfs/2 for 6.1".to_owned()));
    // Installed without them, it stays as it is.
    let mut world = dependent(World::new(&["6.1"]));
    world.view("zfs/2", "6.1").installed = true;
    assert!(steps(&world.reconcile()).is_empty() && notes(&world.reconcile()).is_empty());
}

#[test]
fn without_headers_it_is_installed_where_autoinstall_is_asked_for() {
    for request in [
        Request::Reconcile { kernels: None, retry: false },
        Request::Autoinstall { kernel: kernel("6.1"), arch: arch() },
    ] {
        let plan = loaded(true).without_headers("6.1").plan(&request);
        assert_eq!(steps(&plan)[0], "install zfs/2 for 6.1", "{request:?}");
        assert!(notes(&plan).is_empty(), "nothing waits: {:?}", notes(&plan));

        let plan = loaded(false).without_headers("6.1").plan(&request);
        assert!(!steps(&plan).iter().any(|step| step.starts_with("install")), "{request:?}");
        assert!(notes(&plan).iter().any(|note| note.contains("headers")), "{request:?}");

        // One that waits does not keep it from being installed.
        let plan = loaded(true).with(&["other/1"]).without_headers("6.1").plan(&request);
        assert_eq!(steps(&plan)[0], "install zfs/2 for 6.1");
        assert!(notes(&plan).iter().any(|note| note.contains("headers")), "{request:?}");
    }
    // A build of our own that was taken out is as good; nothing is said of headers that nobody needs.
    let autoinstall = Request::Autoinstall { kernel: kernel("6.1"), arch: arch() };
    let world = World::new(&["6.1"]).with(&["zfs/2"]);
    let own = world.built("zfs/2", "6.1").without_headers("6.1").plan(&autoinstall);
    assert_eq!(steps(&own)[0], "install zfs/2 for 6.1");
    let world = World::new(&["6.1"]).with(&["zfs/2"]);
    let there = world.installed("zfs/2", "6.1").without_headers("6.1").plan(&autoinstall);
    assert!(steps(&there).is_empty() && notes(&there).is_empty());
    // One that was refused is not tried at every hook.
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]).built("zfs/2", "6.1");
    world.view("zfs/2", "6.1").record.as_mut().unwrap().refused = Some("of its version".into());
    let plan = world.without_headers("6.1").reconcile();
    assert!(!steps(&plan).iter().any(|step| step.starts_with("install")));
}

#[test]
fn it_waits_for_its_kernel_and_leaves_with_it() {
    let mut world = loaded(true).without_headers("6.1");
    world.kernel("6.1").image = false;
    assert!(steps(&world.reconcile()).is_empty());
    let options = Options { kernel_left: true, ..Options::default() };
    let left = plan(&world.0, &Request::Reconcile { kernels: None, retry: false }, &options);
    assert_eq!(steps(&left)[0], "delete the build of zfs/2 for 6.1");
    // One of DKMS's own is what a kernel left behind.
    world.view("zfs/2", "6.1").provenance = Some(Provenance::Dkms);
    assert_eq!(steps(&world.reconcile())[0], "delete the build of zfs/2 for 6.1");
}
