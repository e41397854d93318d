//! The builds of a plan, without what would be done with them.

use super::{Action, Plan, Step};
use crate::model::ids::Cell;

impl Plan {
    /// The builds, and the steps that these need: what they depend on is installed before. A build that `may` not be
    /// made is left out with all that needs it. Nothing else that the plan would do is in it.
    #[must_use]
    pub fn builds(&self, may: &dyn Fn(&Cell) -> bool) -> Self {
        let mut refused = vec![false; self.steps.len()];
        for (at, step) in self.steps.iter().enumerate() {
            let own = matches!(&step.action, Action::Build { cell, .. } if !may(cell));
            refused[at] = own || step.needs.iter().any(|need| refused[*need]);
        }
        let mut wanted = vec![false; self.steps.len()];
        for (at, step) in self.steps.iter().enumerate().rev() {
            wanted[at] |= matches!(step.action, Action::Build { .. });
            wanted[at] &= !refused[at];
            if wanted[at] {
                step.needs.iter().for_each(|need| wanted[*need] = true);
            }
        }
        // Where each step is afterwards.
        let mut places = vec![0; self.steps.len()];
        let mut steps = Vec::new();
        for (at, step) in self.steps.iter().enumerate().filter(|(at, _)| wanted[*at]) {
            places[at] = steps.len();
            let needs = step.needs.iter().map(|need| places[*need]).collect();
            steps.push(Step { needs, ..step.clone() });
        }
        Self { steps, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{Arch, KernelRelease, ModuleId};
    use crate::plan::{Condition, Reason};

    fn cell(name: &str) -> Cell {
        Cell {
            module: ModuleId::new(name, "1").unwrap(),
            kernel: KernelRelease::new("6.1").unwrap(),
            arch: Arch::new("x86_64").unwrap(),
        }
    }

    /// `a`, which `b` depends on, and `c`.
    fn plan() -> Plan {
        let build = |name: &str| Action::Build { cell: cell(name), force: false, cached: false };
        let install = |name: &str| Action::Install {
            cell: cell(name),
            force: false,
            post_install: false,
            aside: Vec::new(),
        };
        let kernel = cell("a").kernel;
        let step = |(action, needs)| Step { action, reason: Reason::Asked, needs, when: Condition::Always };
        let steps = vec![
            (build("c"), vec![]),
            (install("c"), vec![0]),
            (build("a"), vec![]),
            (install("a"), vec![2]),
            (build("b"), vec![3]),
            (install("b"), vec![4]),
            (Action::Depmod { kernel: kernel.clone() }, vec![]),
            (Action::Initramfs { kernel, always: true, modules: vec![] }, vec![6]),
        ];
        Plan { steps: steps.into_iter().map(step).collect(), ..Plan::default() }
    }

    fn told(plan: &Plan) -> Vec<String> {
        plan.steps.iter().map(|step| format!("{} {:?}", step.action, step.needs)).collect()
    }

    #[test]
    fn builds_stay_with_what_they_need() {
        let expected = [
            "build c/1 for 6.1 []",
            "build a/1 for 6.1 []",
            "install a/1 for 6.1 [1]",
            "build b/1 for 6.1 [2]",
        ];
        assert_eq!(told(&plan().builds(&|_| true)), expected);
    }

    #[test]
    fn what_needs_a_build_that_may_not_be_made_goes_with_it() {
        assert_eq!(told(&plan().builds(&|c| *c != cell("a"))), ["build c/1 for 6.1 []"]);
        assert_eq!(
            told(&plan().builds(&|c| *c != cell("b"))),
            ["build c/1 for 6.1 []", "build a/1 for 6.1 []"]
        );
    }
}
