//! Modules that one kernel shares with others.

use super::world::{World, cell, kernel, needs, reason, steps};
use crate::model::request::Goal;
use crate::model::system::Installing;
use crate::plan::{Condition, Note, Plan};

/// Two kernels; for the second, modules of the first are linked.
fn world() -> World {
    let mut world = World::new(&["6.1", "6.2"]).with(&["zfs/2"]);
    world.kernel("6.2").linked = true;
    for release in ["6.1", "6.2"] {
        world.kernel(release).initramfs = None;
        let found = Installing { shared: true, ..Installing::default() };
        world.0.installs.insert(cell("zfs/2", release), found);
    }
    world
}

fn when(plan: &Plan, step: &str) -> Condition {
    plan.steps
        .iter()
        .find(|s| s.action.to_string() == step)
        .unwrap_or_else(|| panic!("no {step}"))
        .when
        .clone()
}

const UNLINK: &str = "remove the link to zfs/2 of 6.1 from 6.2";

#[test]
fn a_link_that_does_not_fit_goes_and_a_build_comes() {
    let plan = world().bring("zfs/2", "6.1", Goal::Installed, false);
    assert_eq!(
        steps(&plan),
        [
            "build zfs/2 for 6.1",
            "install zfs/2 for 6.1",
            "depmod 6.1",
            UNLINK,
            "build zfs/2 for 6.2",
            "install zfs/2 for 6.2",
            "depmod 6.2",
        ]
    );
    assert_eq!(when(&plan, UNLINK), Condition::LinkMisfit);
    assert_eq!(needs(&plan, "build zfs/2 for 6.2"), [UNLINK]);
    assert_eq!(reason(&plan, "build zfs/2 for 6.2"), "the module of 6.1 does not fit this kernel");
    assert_eq!(when(&plan, "depmod 6.2"), Condition::any_change());
    assert!(plan.questions.is_empty());
}

#[test]
fn where_nothing_can_be_built_the_link_goes_all_the_same() {
    let world = world().without_headers("6.2");
    let plan = world.bring("zfs/2", "6.1", Goal::Installed, false);
    assert_eq!(steps(&plan)[3..], [UNLINK, "depmod 6.2"]);
    let failed = self::world().failed("zfs/2", "6.2", false);
    let options = crate::plan::Options { heed_failures: true, ..Default::default() };
    let request = super::world::asked("zfs/2", "6.1", Goal::Installed, false);
    let plan = crate::plan::plan(&failed.0, &request, &options);
    assert_eq!(steps(&plan)[3..], [UNLINK, "depmod 6.2"]);
    assert!(!plan.notes.iter().any(Note::is_failure), "nobody asked for it: {:?}", plan.notes);
}

#[test]
fn a_kernel_that_has_its_own_gets_no_other() {
    let plan = world().reconcile();
    assert_eq!(steps(&plan).iter().filter(|step| *step == "build zfs/2 for 6.2").count(), 1);
    assert_eq!(needs(&plan, "build zfs/2 for 6.2"), [""; 0]);
    let plan = world().installed("zfs/2", "6.1").bring("zfs/2", "6.1", Goal::Uninstalled, false);
    assert_eq!(steps(&plan), ["uninstall zfs/2 for 6.1", "depmod 6.1", UNLINK, "depmod 6.2"]);
}

#[test]
fn the_distributions_program_is_called_for_what_may_be_shared() {
    let mut world = world();
    world.kernel("6.2").linked = false;
    let with = |world: &World| steps(&world.bring("zfs/2", "6.1", Goal::Installed, false));
    assert_eq!(with(&world).len(), 3, "nobody links anything");
    world.0.shares = true;
    let plan = world.bring("zfs/2", "6.1", Goal::Installed, false);
    assert_eq!(steps(&plan)[3..5], ["share modules of 6.1 with other kernels", UNLINK]);
    // The other kernel's build may be shared in turn.
    assert!(steps(&plan).contains(&"share modules of 6.2 with other kernels".to_owned()));
    assert!(steps(&plan).contains(&"remove the link to zfs/2 of 6.2 from 6.1".to_owned()));
    for found in world.0.installs.values_mut() {
        found.shared = false;
    }
    assert_eq!(with(&world).len(), 3, "its dkms.conf says no");
    assert!(world.0.kernels.contains_key(&kernel("6.2")));
}
