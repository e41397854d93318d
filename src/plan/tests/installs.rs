//! What the kernel has already of a name that is to be installed.

use super::world::{World, cell, notes, steps};
use crate::model::request::{Goal, Request};
use crate::model::rival::{Labels, Rival};
use crate::model::system::{Installing, Question};
use crate::plan::{Condition, Options, plan};

fn labels(version: &str) -> Labels {
    Labels { version: version.into(), ..Labels::default() }
}

/// The kernel has both modules of zfs in version 2.
fn meets(world: &mut World, built: &[(&str, &str)]) {
    let rival = |module: &str| Rival {
        of: None,
        unread: None,
        module: module.into(),
        path: format!("/lib/modules/6.1/kernel/{module}.ko").into(),
        labels: labels("2"),
    };
    let found = Installing {
        rivals: vec![rival("spl"), rival("zfs")],
        built: built.iter().map(|(name, version)| ((*name).to_owned(), Some(labels(version)))).collect(),
        ..Installing::default()
    };
    world.0.installs.insert(cell("zfs/2", "6.1"), found);
}

#[test]
fn a_plan_that_installs_asks_what_it_meets_and_an_idle_one_does_not() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]);
    world.kernel("6.1").initramfs = None;
    assert_eq!(world.reconcile().questions, [Question::Install(cell("zfs/2", "6.1"))].into());
    assert!(world.installed("zfs/2", "6.1").reconcile().questions.is_empty());
}

#[test]
fn of_a_build_to_come_it_is_a_condition() {
    let mut world = World::new(&["6.1"]).with(&["zfs/2"]);
    world.kernel("6.1").initramfs = None;
    meets(&mut world, &[]);
    let made = world.reconcile();
    let Condition::NotOlder { than } = &made.steps[1].when else { panic!("{:?}", made.steps[1]) };
    assert_eq!(than.len(), 2);
    assert!(made.questions.is_empty());
    for options in [
        Options { any_version: true, ..Options::default() },
        Options { force_install: true, ..Options::default() },
    ] {
        let forced = plan(&world.0, &Request::Reconcile { kernels: None, retry: false }, &options);
        assert!(forced.steps[1].when.is_always());
    }
    assert!(world.bring("zfs/2", "6.1", Goal::Installed, true).steps[1].when.is_always());
    world.0.installs.values_mut().for_each(|found| found.any_version = true);
    assert!(world.reconcile().steps[1].when.is_always(), "a vendor's list says so");
}

#[test]
fn of_a_build_that_is_there_it_is_known() {
    let world =
        World::new(&["6.1"]).with(&["zfs/2", "user/1"]).depends("user/1", "zfs").built("zfs/2", "6.1");
    let with = |built: &[(&str, &str)]| {
        let mut world = world.clone();
        meets(&mut world, built);
        world.reconcile()
    };
    let refused = with(&[("spl", "1"), ("zfs", "2")]);
    assert!(refused.is_empty(), "nor is anything built that needs it: {:?}", steps(&refused));
    let said = notes(&refused);
    assert!(said[0].contains("/lib/modules/6.1/kernel/zfs.ko") && said[0].contains("it is kept"), "{said:?}");
    assert_eq!(refused.refused.len(), 1, "it is written down");
    assert!(!refused.is_idle());

    let some = with(&[("spl", "3"), ("zfs", "1")]);
    let Condition::NotOlder { than } = &some.steps[0].when else { panic!("{:?}", some.steps[0]) };
    assert_eq!(than.iter().map(|rival| rival.module.as_str()).collect::<Vec<_>>(), ["zfs"]);
    assert!(with(&[("spl", "3"), ("zfs", "3")]).steps[0].when.is_always());
}
