//! `dkms-hook status`: one block per kernel, then what failed.

use crate::plan::{Note, Plan};
use crate::report::summary;
use crate::system::System;

/// The text, and whether something failed.
pub fn render(system: &System, plan: &Plan) -> (String, bool) {
    let mut text = String::new();
    for (release, kernel) in &system.kernels {
        let installed: Vec<String> = system
            .cells
            .iter()
            .filter(|(c, v)| c.kernel == *release && v.installed)
            .map(|(c, _)| c.module.to_string())
            .collect();
        let state = match (kernel.image, kernel.headers, kernel.note.removed) {
            (_, _, true) => "its image package was removed",
            (true, true, _) => "kernel and headers installed",
            (true, false, _) => "headers missing",
            (false, true, _) => "headers without a kernel",
            (false, false, _) => "gone",
        };
        text.push_str(&format!("{release}: {state}\n"));
        if !installed.is_empty() {
            text.push_str(&format!("  installed: {}\n", installed.join(" ")));
        }
        for note in &plan.notes {
            match note {
                Note::Waiting { kernel: k, package } if k == release => {
                    text.push_str(&format!("  waiting:   modules are built when {package} is installed\n"));
                }
                Note::Excluded { cell, why } if cell.kernel == *release => {
                    text.push_str(&format!("  left out:  {} ({why})\n", cell.module));
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
    let mut failed = false;
    for (cell, view) in &system.cells {
        let Some(failure) = view.verdict.as_ref().and_then(|v| v.failure.as_ref()) else { continue };
        // Where an earlier build is still there, the failure counts while its inputs are those of now.
        let current = plan.notes.iter().any(|n| matches!(n, Note::FailedBefore { cell: c, .. } if c == cell));
        if view.built && !current {
            continue;
        }
        if !failed {
            text.push_str("failed:\n");
        }
        failed = true;
        text.push_str(&summary::describe(cell, failure));
    }
    for note in plan.notes.iter().filter(|n| n.is_failure() && !matches!(n, Note::FailedBefore { .. })) {
        failed = true;
        text.push_str(&format!("problem: {}\n", note.text().replace('\n', "\n  ")));
    }
    if system.kernels.is_empty() {
        text.push_str("no kernel is installed here\n");
    }
    (text, failed)
}
