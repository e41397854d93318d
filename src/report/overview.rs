//! `dkms-hook status`: one block per kernel, how modules are signed, then what failed.

use crate::model::error::Kind;
use crate::model::ids::{Cell, Version};
use crate::model::record::FailureNote;
use crate::model::system::{Kernel, System};
use crate::model::version;
use crate::plan::{Action, Note, Plan};
use crate::report::signing::Signing;
use crate::report::summary;

/// The text, and whether something failed.
pub fn render(system: &System, plan: &Plan, signing: &Signing) -> (String, bool) {
    let mut text = String::new();
    for (release, kernel) in &system.kernels {
        let installed: Vec<String> = system
            .cells
            .iter()
            .filter(|(c, v)| c.kernel == *release && v.installed)
            .map(|(c, _)| c.module.to_string())
            .collect();
        let state = state_of(kernel);
        text.push_str(&format!("{release}: {state}\n"));
        if !installed.is_empty() {
            text.push_str(&format!("  installed: {}\n", installed.join(" ")));
        }
        if kernel.note.removed {
            text.push_str(&format!(
                "  waiting:   modules are built when linux-image-{release} is installed again\n"
            ));
        }
        for note in &plan.notes {
            match note {
                Note::Waiting { kernel: k, package } if k == release => {
                    text.push_str(&format!("  waiting:   modules are built when {package} is installed\n"));
                }
                Note::Excluded { cell, why } if cell.kernel == *release => {
                    text.push_str(&format!("  excluded:  {} ({why})\n", cell.module));
                }
                Note::OlderInstead { cell, older, .. } if cell.kernel == *release => {
                    text.push_str(&format!(
                        "  instead:   {}/{older}, as {} does not compile\n",
                        cell.module.name, cell.module
                    ));
                }
                Note::MissingDepends { cell, names, .. } if cell.kernel == *release => {
                    text.push_str(&format!("  blocked:   {} needs {}\n", cell.module, names.join(", ")));
                }
                _ => {}
            }
        }
        for step in plan.steps.iter().filter(|s| s.action.kernel() == Some(release)) {
            text.push_str(&format!("  to do:     {} ({})\n", step.action, step.reason));
        }
    }
    text.push_str(&boot_guard(system, plan));
    text.push_str(&signing.text());
    let mut failed = false;
    for (cell, failure) in failures(system, plan) {
        if !failed {
            text.push_str("failed:\n");
        }
        failed = true;
        text.push_str(&summary::describe(cell, failure, installed_instead(system, cell)));
    }
    for note in problems(plan) {
        failed = true;
        text.push_str(&format!("problem: {}\n", note.text().replace('\n', "\n  ")));
    }
    if system.kernels.is_empty() {
        text.push_str("no kernel is installed\n");
    }
    (text, failed)
}

/// What the boot guard does, and what it is about to do.
fn boot_guard(system: &System, plan: &Plan) -> String {
    let mut text = String::new();
    if let Some(active) = system.guard.as_ref().and_then(|guard| guard.before.active.as_ref()) {
        text.push_str(&format!("{}\n", active.verdict));
        for line in &active.said {
            text.push_str(&format!("  {line}\n"));
        }
    }
    for step in plan.steps.iter().filter(|step| step.action == Action::Guard) {
        text.push_str(&format!("to do: {} ({})\n", step.action, step.reason));
    }
    text
}

fn state_of(kernel: &Kernel) -> &'static str {
    match (kernel.image, kernel.headers, kernel.note.removed) {
        (_, _, true) => "its image package was removed",
        (true, _, _) if kernel.note.boot_entry_removed => "its boot entry was removed",
        (true, true, _) => "kernel and headers installed",
        (true, false, _) => "headers missing",
        (false, true, _) => "headers without a kernel",
        (false, false, _) => "gone",
    }
}

/// The failures that are remembered and count now: where an earlier build is still there, a failure
/// does while its inputs are those of now; that a signature is wanting does until there is one.
pub(super) fn failures<'a>(
    system: &'a System,
    plan: &'a Plan,
) -> impl Iterator<Item = (&'a Cell, &'a FailureNote)> {
    let current =
        |cell: &Cell| plan.notes.iter().any(|n| matches!(n, Note::FailedBefore { cell: c, .. } if c == cell));
    system.cells.iter().filter_map(move |(cell, view)| {
        let failure = view.verdict.as_ref().and_then(|v| v.failure.as_ref())?;
        let unsigned = view.record.as_ref().is_some_and(|record| record.inputs.signing.is_none());
        let wants_one = failure.kind == Kind::NotSigned && unsigned;
        (!view.built || current(cell) || wants_one).then_some((cell, failure))
    })
}

/// The older version of a module that is installed where one failed.
fn installed_instead<'a>(system: &'a System, failed: &Cell) -> Option<&'a Version> {
    let of = |cell: &Cell| (cell.module.name.clone(), cell.kernel.clone(), cell.arch.clone());
    let older =
        |cell: &Cell| version::compare(cell.module.version.as_str(), failed.module.version.as_str()).is_lt();
    let mut cells = system.cells.iter().filter(|(cell, view)| view.installed && of(cell) == of(failed));
    cells.find(|(cell, _)| older(cell)).map(|(cell, _)| &cell.module.version)
}

/// Whatever else is not as it should be.
pub(super) fn problems(plan: &Plan) -> impl Iterator<Item = &Note> {
    plan.notes.iter().filter(|n| n.is_failure() && !matches!(n, Note::FailedBefore { .. }))
}
