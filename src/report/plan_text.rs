//! A plan as a person reads it: one line per action, each with its reason.

use crate::plan::{Condition, Note, Plan};

/// The text of `--dry-run`.
pub fn render(plan: &Plan) -> String {
    let mut text = String::new();
    for note in &plan.notes {
        if !matches!(note, Note::Excluded { .. }) || !plan.is_empty() {
            text.push_str(&format!("note: {}\n", note.text().replace('\n', "\n      ")));
        }
    }
    for step in &plan.steps {
        let when = match step.when {
            // The reason says it.
            Condition::Always | Condition::Changed { .. } => String::new(),
            ref when => format!(", {when}"),
        };
        text.push_str(&format!("would {}{when}: {}\n", step.action, step.reason));
    }
    if plan.is_empty() {
        text.push_str("nothing to do\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId};
    use crate::model::inputs::Inputs;
    use crate::plan::{Action, Reason, Step};

    #[test]
    fn each_action_has_its_reason() {
        let cell = Cell {
            module: ModuleId::new("zfs", "2.3").unwrap(),
            kernel: KernelRelease::new("6.12").unwrap(),
            arch: Arch::new("x86_64").unwrap(),
        };
        let of = |source: &str| Inputs { source: source.into(), ..Inputs::default() };
        let change = of("9876543210").change_since(&of("0123456789")).unwrap();
        let reason = Reason::Stale { change };
        let step = Step {
            action: Action::Build { cell, force: false, cached: false },
            reason,
            needs: vec![],
            when: Condition::Always,
        };
        let plan = Plan { steps: vec![step], ..Plan::default() };
        assert_eq!(
            render(&plan),
            "would build zfs/2.3 for 6.12: its source changed (from 01234567 to 98765432)\n"
        );
        assert_eq!(render(&Plan::default()), "nothing to do\n");
    }
}
