//! Headers that changed and nothing else, and builds of which nothing is known.

use super::world::{World, needs, notes, reason, steps};
use crate::model::fit::{Compared, Fit, Misfit, Rebuild, SymbolChange};
use crate::model::record::Kept;
use crate::model::request::{Goal, Request};
use crate::model::system::System;
use crate::model::uses::{ChangeOfType, TypeChange};
use crate::plan::{Options, Plan, plan};

/// `a/1` and `b/1`, which depends on it, installed; then the headers change.
fn world(fit: Option<Fit>) -> World {
    let mut world = World::new(&["6.1"]).with(&["a/1", "b/1"]).depends("b/1", "a");
    world = world.installed("a/1", "6.1").installed("b/1", "6.1");
    for id in ["a/1", "b/1"] {
        let headers = &mut world.inputs(id, "6.1").headers;
        (headers.version, headers.content) = (Some("2".into()), "other".into());
        world.view(id, "6.1").fit = fit.clone();
    }
    world
}

fn fits() -> Option<Fit> {
    Some(Fit::Fits(Compared { symbols: 12, types: None }))
}

fn symbol() -> Misfit {
    let change = SymbolChange { symbol: "printk".into(), old: Some(1), new: Some(2) };
    Misfit::of_symbols(vec![change]).unwrap()
}

fn with(world: &World, rebuild: Rebuild, request: &Request) -> Plan {
    plan(&System { rebuild, ..world.0.clone() }, request, &Options::default())
}

fn everything() -> Request {
    Request::Reconcile { kernels: None, retry: false }
}

#[test]
fn a_build_that_fits_is_kept_where_the_administrator_says_so() {
    let kept = with(&world(fits()), Rebuild::Abi, &everything());
    assert_eq!(steps(&kept), ["keep a/1 for 6.1", "keep b/1 for 6.1"], "no depmod, no initramfs");
    assert_eq!(
        reason(&kept, "keep a/1 for 6.1"),
        "the kernel headers changed from 1 to 2, but all 12 imported symbols are the same"
    );
    let built = with(&world(fits()), Rebuild::Inputs, &everything());
    assert_eq!(reason(&built, "build a/1 for 6.1"), "the kernel headers changed from 1 to 2");
    assert_eq!(reason(&built, "build b/1 for 6.1"), "the kernel headers changed from 1 to 2");
}

#[test]
fn of_a_kernel_without_symbol_versions_types_decide() {
    let world = world(Some(Fit::Fits(Compared { symbols: 12, types: Some(300) })));
    let kept = with(&world, Rebuild::Abi, &everything());
    assert_eq!(
        reason(&kept, "keep a/1 for 6.1"),
        "the kernel headers changed from 1 to 2, but all 300 types and 12 symbols that it uses of the kernel are \
         the same"
    );
    let lines = |line: &str| vec![line.to_owned()];
    let change = ChangeOfType::Layout { old: lines("8 int a"), new: lines("8 long a"), more: 0 };
    let changes = vec![
        TypeChange { name: "struct bus_type".into(), change },
        TypeChange { name: "bus_register".into(), change: ChangeOfType::Prototype },
    ];
    let mut world = world;
    world.view("a/1", "6.1").fit = Misfit::of_uses(changes).map(Fit::Not);
    world.view("b/1", "6.1").fit = Some(Fit::Not(Misfit::Configuration));
    let built = with(&world, Rebuild::Abi, &everything());
    assert_eq!(
        reason(&built, "build a/1 for 6.1"),
        "the kernel headers changed from 1 to 2, and what it uses of the kernel changed: struct bus_type \
         (`8 int a` -> `8 long a`), bus_register"
    );
    let inputs = with(&world, Rebuild::Inputs, &everything());
    assert!(reason(&inputs, "build b/1 for 6.1").ends_with("and the kernel's configuration changed"));
}

#[test]
fn what_is_noted_is_not_noted_again_until_the_headers_change_once_more() {
    let mut world = world(fits());
    for id in ["a/1", "b/1"] {
        let headers = world.inputs(id, "6.1").headers.clone();
        world.view(id, "6.1").record.as_mut().unwrap().kept =
            Some(Kept { headers, compared: Compared { symbols: 12, types: None } });
    }
    assert!(with(&world, Rebuild::Abi, &everything()).is_empty());
    assert_eq!(steps(&with(&world, Rebuild::Inputs, &everything()))[0], "build a/1 for 6.1");
    world.inputs("a/1", "6.1").headers.version = Some("3".into());
    let plan = with(&world, Rebuild::Abi, &everything());
    assert_eq!(steps(&plan), ["keep a/1 for 6.1"]);
    assert!(reason(&plan, "keep a/1 for 6.1").starts_with("the kernel headers changed from 2 to 3, but"));
}

#[test]
fn one_that_does_not_fit_is_built_with_all_that_depends_on_it() {
    let mut world = world(fits());
    world.view("a/1", "6.1").fit = Some(Fit::Not(symbol()));
    let plan = with(&world, Rebuild::Abi, &everything());
    assert_eq!(
        reason(&plan, "build a/1 for 6.1"),
        "the kernel headers changed from 1 to 2, and imported symbols changed: printk (0x00000001 -> \
         0x00000002)"
    );
    assert_eq!(reason(&plan, "build b/1 for 6.1"), "a, which it depends on, is rebuilt or replaced");
    assert_eq!(needs(&plan, "build b/1 for 6.1"), ["install a/1 for 6.1"]);
    let by_inputs = with(&world, Rebuild::Inputs, &everything());
    assert!(reason(&by_inputs, "build a/1 for 6.1").contains("printk"), "the reason names it either way");
}

#[test]
fn what_nobody_can_say_counts_as_a_change() {
    for fit in [Some(Fit::Unknown), None] {
        let plan = with(&world(fit), Rebuild::Abi, &everything());
        assert_eq!(reason(&plan, "build a/1 for 6.1"), "the kernel headers changed from 1 to 2");
    }
}

// linux 7.2 of Debian: no CONFIG_MODVERSIONS, 0x00000000 on every line of Module.symvers.
#[test]
fn that_nobody_can_say_is_noted_once_for_a_kernel_without_symbol_versions() {
    let mut world = world(Some(Fit::Unknown));
    world.kernel("6.1").unversioned = true;
    let text = "6.1 has no symbol versions (CONFIG_MODVERSIONS): rebuild=abi cannot tell whether these modules fit the \
                changed headers, and builds them again";
    let plan = with(&world, Rebuild::Abi, &everything());
    assert_eq!((steps(&plan)[0].as_str(), notes(&plan)), ("build a/1 for 6.1", vec![text.to_owned()]));
    assert!(notes(&with(&world, Rebuild::Inputs, &everything())).is_empty());
    // Where types are judged, or a file could not be read, it would be wrong.
    for id in ["a/1", "b/1"] {
        world.view(id, "6.1").fit = fits();
    }
    assert!(notes(&with(&world, Rebuild::Abi, &everything())).is_empty());
    world.kernel("6.1").unversioned = false;
    world.view("a/1", "6.1").fit = Some(Fit::Unknown);
    assert!(notes(&with(&world, Rebuild::Abi, &everything())).is_empty());
}

#[test]
fn other_changes_count_as_ever() {
    let mut world = world(fits());
    world.inputs("a/1", "6.1").compiler = "gcc-15 15.1.0".into();
    let plan = with(&world, Rebuild::Abi, &everything());
    assert_eq!(
        reason(&plan, "build a/1 for 6.1"),
        "the compiler changed from gcc-14 14.2.0 to gcc-15 15.1.0"
    );
}

#[test]
fn another_key_is_no_hindrance() {
    let mut world = world(fits());
    let record = world.view("a/1", "6.1").record.as_mut().unwrap();
    std::sync::Arc::make_mut(&mut record.inputs).signing = Some("old".into());
    world.inputs("a/1", "6.1").signing = Some("new".into());
    let plan = with(&world, Rebuild::Abi, &everything());
    assert_eq!(steps(&plan)[..3], ["keep a/1 for 6.1", "sign a/1 for 6.1", "install a/1 for 6.1"]);
}

#[test]
fn a_person_who_asks_for_it_finds_it_installed() {
    let request = super::world::asked("a/1", "6.1", Goal::Installed, false);
    let plan = with(&world(fits()), Rebuild::Abi, &request);
    assert_eq!(steps(&plan), ["keep a/1 for 6.1"]);
    assert_eq!(notes(&plan), ["a/1 is already installed on kernel 6.1 (x86_64), nothing to do."]);
    let request = super::world::asked("a/1", "6.1", Goal::Built, true);
    assert_eq!(steps(&with(&world(fits()), Rebuild::Abi, &request)), ["build a/1 for 6.1"]);
}

#[test]
fn a_build_of_which_nothing_is_known_is_taken_over_only_if_it_fits() {
    let mut world = World::new(&["6.1"]).with(&["a/1"]).installed("a/1", "6.1");
    let view = world.view("a/1", "6.1");
    (view.record, view.vermagic_matches) = (None, true);
    for (fit, looked_at) in [
        (fits(), "vermagic, source age, 12 imported symbols"),
        (Some(Fit::Unknown), "vermagic, source age; the kernel has no symbol versions to compare"),
    ] {
        world.view("a/1", "6.1").fit = fit;
        let plan = world.reconcile();
        assert_eq!(steps(&plan), ["take over a/1 for 6.1"]);
        assert!(reason(&plan, "take over a/1 for 6.1").ends_with(&format!("(checked: {looked_at})")));
    }
    world.view("a/1", "6.1").fit = Some(Fit::Not(symbol()));
    for plan in [world.reconcile(), world.bring("a/1", "6.1", Goal::Installed, false)] {
        assert_eq!(
            reason(&plan, "build a/1 for 6.1"),
            "the existing build cannot be used: imported symbols changed: printk (0x00000001 -> 0x00000002)"
        );
    }
    // Nothing could be built in its place.
    world.facts("a/1", "6.1").exclusion = Some("of reasons".into());
    assert!(world.reconcile().is_empty());
}
