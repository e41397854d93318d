//! Which steps of a plan may change places.
//!
//! A plan is a list, and carried out in its order it does what it says. Where several steps are worked on at once, one
//! may overtake another that has nothing to do with it. This says which of them have to do with each other: those
//! that need one another, that are about the same module for the same kernel, that depend on one another's module,
//! or that change the same files.

use std::collections::BTreeSet;

use crate::model::ids::{KernelRelease, ModuleName};
use crate::model::system::{Now, System};
use crate::plan::{Action, Condition, Plan, Step};

/// What a step reads and changes.
#[derive(Debug, PartialEq, Eq)]
struct Touch<'a> {
    module: Option<&'a ModuleName>,
    kernels: Vec<&'a KernelRelease>,
    extent: Extent,
    /// BUILD_DEPENDS of the module.
    depends: BTreeSet<&'a str>,
}

/// Of how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Everything, of any kernel.
    Machine,
    /// Everything of its kernels.
    Kernel,
    /// Everything of its module, for any kernel.
    Module,
    /// Of its module for its kernel, and of the files below `/lib/modules/K` this.
    Cell(Files),
}

/// Which files below `/lib/modules/K` a step changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Files {
    None,
    /// Those of its module: no other has a file in their place, nor does an earlier step of the plan put one there.
    Own,
    /// They may be in the place of those of steps before it.
    After,
    /// It puts others in the place of its own.
    Others,
}

/// Of each step, the earlier ones that have to be over before it begins.
pub(super) fn waits(system: &System, plan: &Plan) -> Vec<Vec<usize>> {
    let touches: Vec<Touch<'_>> = plan.steps.iter().map(|step| touch(system, step)).collect();
    let mut waits: Vec<Vec<usize>> = Vec::with_capacity(touches.len());
    for (later, step) in plan.steps.iter().enumerate() {
        let earlier = (0..later)
            .filter(|earlier| step.needs.contains(earlier) || conflict(&touches[*earlier], &touches[later]));
        waits.push(earlier.collect());
    }
    waits
}

fn touch<'a>(system: &'a System, Step { action, when, .. }: &'a Step) -> Touch<'a> {
    let (module, extent) = match action {
        Action::Share { .. } | Action::Guard => (None, Extent::Machine),
        Action::Wait { .. }
        | Action::Depmod { .. }
        | Action::Initramfs { .. }
        | Action::Modprobe { .. }
        | Action::Unlink { .. }
        | Action::Sweep { .. } => (None, Extent::Kernel),
        Action::Add { module } | Action::Forget { module } => (Some(&module.name), Extent::Module),
        Action::Build { cell, .. }
        | Action::Adopt { cell }
        | Action::Keep { cell }
        | Action::Resign { cell, reinstall: false } => (Some(&cell.module.name), Extent::Cell(Files::None)),
        Action::Resign { cell, reinstall: true } => (Some(&cell.module.name), Extent::Cell(Files::Own)),
        Action::Install { cell, force, aside, .. } => {
            let to_come = |rival: &crate::model::rival::Rival| rival.of.is_some();
            let rivals = matches!(when, Condition::NotOlder { than } if than.iter().any(to_come));
            let own = !force && aside.is_empty() && !rivals;
            (Some(&cell.module.name), Extent::Cell(if own { Files::Own } else { Files::After }))
        }
        Action::Uninstall { cell } | Action::Unbuild { cell } => {
            (Some(&cell.module.name), Extent::Cell(Files::Others))
        }
    };
    let lender = match action {
        Action::Unlink { cell, .. } => Some(&cell.kernel),
        _ => None,
    };
    let kernels = action.kernel().into_iter().chain(lender).collect();
    let view = action.cell().and_then(|cell| system.cells.get(cell));
    let depends = match view.map(|view| &view.now) {
        Some(Now::Judged { facts, .. }) => facts.depends.iter().map(String::as_str).collect(),
        _ => BTreeSet::new(),
    };
    Touch { module, kernels, extent, depends }
}

/// Whether the later of two steps has to wait for the earlier one.
fn conflict(earlier: &Touch<'_>, later: &Touch<'_>) -> bool {
    let same_module = earlier.module.is_some() && earlier.module == later.module;
    let depends = |one: &Touch<'_>, on: &Touch<'_>| {
        on.module.is_some_and(|module| one.depends.contains(module.as_str()))
    };
    let related = same_module || depends(earlier, later) || depends(later, earlier);
    let same_kernel = earlier.kernels.iter().any(|kernel| later.kernels.contains(kernel));
    match (earlier.extent, later.extent) {
        (Extent::Machine, _) | (_, Extent::Machine) => true,
        (Extent::Module, _) | (_, Extent::Module) => related,
        (Extent::Kernel, _) | (_, Extent::Kernel) => same_kernel,
        (Extent::Cell(before), Extent::Cell(after)) => {
            let files = match (before, after) {
                (Files::None, _) | (_, Files::None) => false,
                (Files::Others, _) | (_, Files::Others | Files::After) => true,
                (Files::Own | Files::After, Files::Own) => false,
            };
            same_kernel && (related || files)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{Arch, Cell, ModuleId};
    use crate::model::record::Facts;
    use crate::model::rival::{Labels, Rival};
    use crate::model::system::CellView;
    use crate::plan::Reason;

    fn cell(module: &str, kernel: &str) -> Cell {
        Cell {
            module: ModuleId::new(module, "1").unwrap(),
            kernel: KernelRelease::new(kernel).unwrap(),
            arch: Arch::new("x86_64").unwrap(),
        }
    }

    fn build(module: &str, kernel: &str) -> Action {
        Action::Build { cell: cell(module, kernel), force: false, cached: false }
    }

    fn install(module: &str, kernel: &str) -> Action {
        Action::Install { cell: cell(module, kernel), force: false, post_install: false, aside: Vec::new() }
    }

    fn depmod(kernel: &str) -> Action {
        Action::Depmod { kernel: KernelRelease::new(kernel).unwrap() }
    }

    fn step(action: Action) -> Step {
        Step { action, reason: Reason::Asked, needs: Vec::new(), when: Condition::Always }
    }

    fn order(system: &System, steps: Vec<Step>) -> Vec<Vec<usize>> {
        waits(system, &Plan { steps, ..Plan::default() })
    }

    fn of(actions: Vec<Action>) -> Vec<Vec<usize>> {
        order(&System::default(), actions.into_iter().map(step).collect())
    }

    #[test]
    fn other_modules_and_other_kernels_need_not_wait() {
        let actions =
            vec![build("a", "1"), install("a", "1"), build("b", "1"), build("a", "2"), install("b", "1")];
        assert_eq!(of(actions), [vec![], vec![0], vec![], vec![], vec![2]]);
    }

    #[test]
    fn what_is_made_once_for_a_kernel_waits_for_all_of_it() {
        let actions =
            vec![build("a", "1"), install("b", "1"), install("c", "2"), depmod("1"), install("d", "1")];
        assert_eq!(of(actions), [vec![], vec![], vec![], vec![0, 1], vec![3]]);
    }

    #[test]
    fn what_depends_on_a_module_waits_for_all_that_is_done_with_it() {
        let mut system = System::default();
        let facts = Facts { depends: vec!["a".to_owned()], ..Facts::default() };
        let now = Now::Judged { facts, inputs: Default::default(), stamp: String::new() };
        let view = CellView {
            built: false,
            installed: false,
            intact: true,
            record: None,
            verdict: None,
            unread_verdict: None,
            blind: None,
            provenance: None,
            autoinstall: false,
            now,
            vermagic_matches: false,
            fit: None,
            directive: None,
            cached: false,
        };
        system.cells.insert(cell("b", "1"), view);
        let actions =
            [Action::Adopt { cell: cell("a", "1") }, build("a", "2"), build("b", "1"), install("a", "1")];
        assert_eq!(order(&system, actions.map(step).into()), [vec![], vec![], vec![0], vec![0, 2]]);
    }

    #[test]
    fn files_in_the_same_place_are_changed_in_the_order_of_the_plan() {
        let rival = Rival {
            module: "x".into(),
            path: "".into(),
            labels: Labels::default(),
            unread: None,
            of: Some(cell("a", "1")),
        };
        let after = Step { when: Condition::NotOlder { than: vec![rival] }, ..step(install("b", "1")) };
        let uninstall = step(Action::Uninstall { cell: cell("c", "1") });
        let steps =
            vec![step(install("a", "1")), after, step(install("d", "1")), uninstall, step(install("e", "1"))];
        let expected = [vec![], vec![0], vec![], vec![0, 1, 2], vec![3]];
        assert_eq!(order(&System::default(), steps), expected);
    }

    #[test]
    fn a_module_is_forgotten_after_all_else() {
        let actions = vec![
            build("a", "1"),
            build("b", "1"),
            Action::Forget { module: ModuleId::new("a", "1").unwrap() },
        ];
        assert_eq!(of(actions), [vec![], vec![], vec![0]]);
    }
}
