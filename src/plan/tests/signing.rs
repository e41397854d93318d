//! Another key: new signatures for what is there, and never a build for that alone.

use super::world::{World, cell, kernel, notes, reason, steps};
use crate::model::record::InstalledFile;
use crate::model::request::{Goal, Request, Wanted};
use crate::model::system::{Now, Signature};
use crate::plan::{Options, plan};

/// One module, installed for two kernels with a key that has been replaced since for the first.
fn world() -> World {
    let mut world = World::new(&["6.1", "6.2"]).with(&["zfs/2"]);
    for release in ["6.1", "6.2"] {
        world.inputs("zfs/2", release).signing = Some("old".into());
        world = world.installed("zfs/2", release);
        let record = world.view("zfs/2", release).record.as_mut().unwrap();
        record.installed = vec![InstalledFile::planned("/lib/modules/zfs.ko".into(), "zfs.ko")];
    }
    world.inputs("zfs/2", "6.1").signing = Some("new".into());
    world
}

const SIGN: [&str; 2] = ["sign zfs/2 for 6.1", "rebuild the initramfs of 6.1"];

fn resign(modules: &[&str]) -> Request {
    let modules = modules.iter().map(|text| Wanted::parse(text).unwrap()).collect();
    Request::Resign { kernels: None, modules, unsigned: false }
}

#[test]
fn a_new_key_is_no_reason_to_build() {
    let plan = world().reconcile();
    assert_eq!(steps(&plan), SIGN, "no depmod: nothing that it reads changes");
    assert_eq!(reason(&plan, SIGN[0]), "the signing key changed (from old to new)");
    for goal in [Goal::Installed, Goal::Built] {
        assert_eq!(steps(&world().bring("zfs/2", "6.1", goal, false)), SIGN);
    }
    let forced = world().bring("zfs/2", "6.1", Goal::Built, true);
    assert_eq!(steps(&forced), ["build zfs/2 for 6.1"], "a build is signed anyway");
}

#[test]
fn what_is_built_anyway_is_not_signed_twice() {
    let mut world = world();
    world.inputs("zfs/2", "6.1").source = "x".into();
    let plan = world.reconcile();
    assert_eq!(steps(&plan)[..2], ["build zfs/2 for 6.1", "install zfs/2 for 6.1"]);
    assert_eq!(reason(&plan, "build zfs/2 for 6.1"), "its source changed (from source to x)");
}

#[test]
fn files_that_are_not_those_of_the_build_are_installed_after() {
    let mut damaged = world();
    damaged.view("zfs/2", "6.1").intact = false;
    let plan = damaged.reconcile();
    assert_eq!(steps(&plan)[..3], ["sign zfs/2 for 6.1", "install zfs/2 for 6.1", "depmod 6.1"]);
    assert_eq!(reason(&plan, "install zfs/2 for 6.1"), "installed files are missing or changed");
    let mut unknown = world();
    unknown.view("zfs/2", "6.1").record.as_mut().unwrap().installed.clear();
    assert_eq!(steps(&unknown.reconcile())[..2], ["sign zfs/2 for 6.1", "install zfs/2 for 6.1"]);
}

#[test]
fn dependents_of_what_is_signed_anew_stay() {
    let mut world = World::new(&["6.1"]).with(&["spl/1", "zfs/2"]).depends("zfs/2", "spl");
    for id in ["spl/1", "zfs/2"] {
        world.inputs(id, "6.1").signing = Some("old".into());
        world = world.installed(id, "6.1");
        world.view(id, "6.1").record.as_mut().unwrap().installed =
            vec![InstalledFile::planned(format!("/lib/modules/{id}.ko").into(), "x.ko")];
    }
    world.inputs("spl/1", "6.1").signing = Some("new".into());
    assert_eq!(steps(&world.reconcile())[0], "sign spl/1 for 6.1");
    assert!(!steps(&world.reconcile()).iter().any(|step| step.contains("zfs")));
}

#[test]
fn a_key_that_could_not_sign_is_left_alone_until_somebody_asks() {
    let world = world().failed("zfs/2", "6.1", false);
    let plan = world.reconcile();
    assert!(plan.is_empty() && notes(&plan)[0].contains("failed before"), "{plan:?}");
    let retry = world.plan(&Request::Autoinstall { kernel: kernel("6.1"), arch: super::world::arch() });
    assert_eq!(steps(&retry), SIGN);
    let asked = super::world::asked("zfs/2", "6.1", Goal::Installed, false);
    assert_eq!(steps(&world.plan(&asked)), SIGN);
    let package = plan_with(&world, &asked, Options { heed_failures: true, ..Options::default() });
    assert!(package.is_empty() && notes(&package)[0].contains("already installed"), "{package:?}");
}

fn plan_with(world: &World, request: &Request, options: Options) -> crate::plan::Plan {
    plan(&world.0, request, &options)
}

#[test]
fn resigning_goes_by_what_the_files_bear() {
    let mut world = world();
    let signatures = &mut world.0.signatures;
    signatures.insert(cell("zfs/2", "6.1"), Signature::Other);
    signatures.insert(cell("zfs/2", "6.2"), Signature::Ours { certificate: "old".into() });
    let plan = world.plan(&resign(&[]));
    assert_eq!(steps(&plan), SIGN);
    assert_eq!(reason(&plan, SIGN[0]), "it is not signed with the current key");
    assert_eq!(steps(&world.plan(&resign(&["zfs/2"]))), SIGN);
    let other = world.plan(&resign(&["zfs/1"]));
    assert!(other.is_empty() && notes(&other)[0].contains("no build of zfs/1"), "{other:?}");

    // What is written down of the key is wrong: that is put right.
    world.0.signatures.insert(cell("zfs/2", "6.2"), Signature::Ours { certificate: "new".into() });
    assert_eq!(steps(&world.plan(&resign(&[])))[..2], ["sign zfs/2 for 6.1", "sign zfs/2 for 6.2"]);
    world.0.signatures.insert(cell("zfs/2", "6.2"), Signature::Impossible("of reasons".into()));
    let plan = world.plan(&resign(&[]));
    assert_eq!(steps(&plan), SIGN, "one kernel does not keep the other from being signed");
    assert!(notes(&plan)[0].contains("zfs/2 for 6.2 cannot be signed: of reasons"));
}

#[test]
fn builds_of_dkms_are_signed_without_headers_or_record() {
    let mut world = world();
    world.0.signatures.insert(cell("zfs/2", "6.1"), Signature::Other);
    let view = world.view("zfs/2", "6.1");
    view.record = None;
    view.now = Now::NoHeaders;
    view.vermagic_matches = true;
    let plan = world.plan(&resign(&[]));
    assert_eq!(steps(&plan)[..3], ["sign zfs/2 for 6.1", "install zfs/2 for 6.1", "depmod 6.1"]);
    assert_eq!(plan.steps[1].needs, [0]);
    world.view("zfs/2", "6.1").vermagic_matches = false;
    let plan = world.plan(&resign(&[]));
    assert!(plan.is_empty() && notes(&plan)[0].contains("cannot be signed: it was made for another kernel"));
}
