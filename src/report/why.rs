//! `dkms-hook why`: for each kernel, where a module stands and what decided that.

use crate::model::fit::Fit;
use crate::model::ids::{Cell, ModuleId};
use crate::model::inputs::Change;
use crate::model::record::Provenance;
use crate::model::request::Wanted;
use crate::model::system::{CellView, Kernel, Now, Source, System};
use crate::model::version;
use crate::plan::{Action, Note, Plan, Reason};

/// The answer for every kernel in view, one paragraph each; `None` when nobody knows the module.
pub fn render(system: &System, plan: &Plan, wanted: &Wanted) -> Option<String> {
    let asked = |id: &ModuleId| wanted.includes(id);
    let mut text = String::new();
    for (id, source) in system.modules.iter().filter(|(id, _)| asked(id)) {
        if let Source::Dangling(target) = source {
            text.push_str(&format!("{id}: its source {} is missing\n", target.display()));
        }
    }
    for (cell, view) in system.cells.iter().filter(|(cell, _)| asked(&cell.module)) {
        let state = match (view.installed, view.built) {
            (true, _) => "installed",
            (false, true) => "built",
            (false, false) => "not built",
        };
        text.push_str(&format!("{} for {}: {state}\n", cell.module, cell.kernel));
        for line in answer(system, plan, cell, view) {
            text.push_str(&format!("  {}\n", line.replace('\n', "\n  ")));
        }
    }
    if let Some(active) = system.guard.as_ref().and_then(|guard| guard.before.active.as_ref())
        && active.verdict.missing.contains(&wanted.name)
    {
        text.push_str(&format!("{}\n", active.verdict));
    }
    if text.is_empty() && system.modules.keys().any(asked) {
        text = format!("{}: registered, but no kernel is installed\n", wanted.name);
    }
    (!text.is_empty()).then_some(text)
}

/// What will be done and why; where nothing will, what decided that.
fn answer(system: &System, plan: &Plan, cell: &Cell, view: &CellView) -> Vec<String> {
    let steps: Vec<String> = plan
        .steps
        .iter()
        .filter(|step| step.action.cell() == Some(cell))
        .map(|step| format!("would {}: {}", step.action, step.reason))
        .collect();
    if !steps.is_empty() {
        let mut lines: Vec<String> = steps.into_iter().chain(would_be_kept(plan, cell, view)).collect();
        if let (Some(record), Now::Judged { inputs, .. }) = (&view.record, &view.now) {
            lines.push(format!("built from {}", record.inputs));
            lines.push(format!("now it is  {}", inputs));
        }
        return lines;
    }
    let notes: Vec<String> =
        plan.notes.iter().filter(|note| note.cell() == Some(cell)).map(Note::text).collect();
    if !notes.is_empty() {
        return notes;
    }
    let mut lines = vec![nothing_to_do(system, plan, cell, view)];
    if view.installed {
        lines.extend(newer_left_out(plan, cell));
    }
    if let Some(record) = &view.record {
        lines.push(format!("built from {}", record.inputs));
    }
    match view.provenance {
        None | Some(Provenance::BuiltHere) => {}
        Some(elsewhere) => lines.push(format!("it was {elsewhere}")),
    }
    lines
}

/// Where only the headers changed and it is built again all the same: that it need not be.
fn would_be_kept(plan: &Plan, cell: &Cell, view: &CellView) -> Option<String> {
    let for_headers = |reason: &Reason| matches!(reason, Reason::Stale { change: Change::Headers { .. } });
    let builds = plan.steps.iter().any(|step| {
        matches!(&step.action, Action::Build { cell: c, .. } if c == cell) && for_headers(&step.reason)
    });
    match view.fit {
        Some(Fit::Fits(compared)) if builds => Some(format!(
            "{compared} are the same: with rebuild=\"abi\" in \
             /etc/dkms/framework.conf the build would be kept"
        )),
        _ => None,
    }
}

fn nothing_to_do(system: &System, plan: &Plan, cell: &Cell, view: &CellView) -> String {
    let kernel = system.kernels.get(&cell.kernel);
    if let Some(said) = kernel.and_then(|kernel| of_kernel(kernel, view)) {
        return said;
    }
    if system.autoinstall_disabled {
        return "nothing is done automatically: /etc/dkms/no-autoinstall exists".into();
    }
    if matches!(system.modules.get(&cell.module), Some(Source::Dangling(_))) {
        return "nothing can be built: its source is missing".into();
    }
    if view.installed {
        let kept = view.record.as_ref().and_then(|r| Some((&r.inputs, r.kept.as_ref()?)));
        return match kept {
            Some((inputs, kept)) => {
                let reason = Reason::AbiKept {
                    change: kept.headers.change_since(&inputs.headers),
                    compared: kept.compared,
                };
                format!("nothing to do: {reason}")
            }
            None => "nothing to do: no input changed since it was built".into(),
        };
    }
    let chosen = system.cells.iter().find(|(other, view)| {
        let same = other.module.name == cell.module.name && other.kernel == cell.kernel;
        same && *other != cell && (view.installed || installs(plan, other))
    });
    match (chosen, &view.now) {
        (Some((other, _)), _) => {
            format!("nothing to do: version {} is used for this kernel", other.module.version)
        }
        (None, Now::Judged { facts, .. }) if !facts.autoinstall && !system.every_module => format!(
            "nothing to do: its dkms.conf does not set AUTOINSTALL; `dkms install {} -k {}` installs it",
            cell.module, cell.kernel
        ),
        (None, Now::Unreadable(error)) => error.to_string(),
        (None, _) => "nothing to do: this kernel uses another version of the module".into(),
    }
}

/// The newer versions that do not support the kernel or failed, so that an older one is used.
fn newer_left_out(plan: &Plan, cell: &Cell) -> Vec<String> {
    let newer = |other: &Cell| {
        other.module.name == cell.module.name
            && other.kernel == cell.kernel
            && version::compare(other.module.version.as_str(), cell.module.version.as_str()).is_gt()
    };
    let notes = plan.notes.iter().filter_map(|note| match note {
        Note::Excluded { cell, why } if newer(cell) => {
            Some(format!("version {} does not support this kernel: {why}", cell.module.version))
        }
        Note::FailedBefore { cell, failure } if newer(cell) => Some(match &failure.log {
            Some(log) => {
                format!("version {} does not compile for this kernel: {}", cell.module.version, log.display())
            }
            None => format!("version {} failed for this kernel: {}", cell.module.version, failure.what),
        }),
        _ => None,
    });
    notes.collect()
}

/// What the state of the kernel alone decides.
fn of_kernel(kernel: &Kernel, view: &CellView) -> Option<String> {
    if kernel.image && kernel.note.removed {
        let text = "nothing is built until the kernel's image package, which was removed, is installed again";
        return Some(text.into());
    }
    if kernel.image && kernel.note.boot_entry_removed {
        return Some("nothing is installed: the kernel's boot entry was removed".into());
    }
    if !kernel.image {
        return Some("headers without a kernel: built only on request".into());
    }
    if !kernel.headers {
        return Some(match view.installed {
            true => "it stays as it is: without headers it cannot be checked".into(),
            false => format!("it waits for the headers: install {}", kernel.headers_package),
        });
    }
    None
}

fn installs(plan: &Plan, cell: &Cell) -> bool {
    plan.steps.iter().any(|step| matches!(&step.action, Action::Install { cell: c, .. } if c == cell))
}
