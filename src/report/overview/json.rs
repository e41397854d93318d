//! `dkms-hook status --json`.

use serde_json::{Value, json as value};

use super::{failures, problems, state_of};
use crate::model::system::System;
use crate::plan::{Note, Plan};
use crate::report::plan_json;
use crate::report::signing::Signing;

/// What the text says, for programs (docs/json.md): `kernels`, `modules` (the builds), `signing`, `to-do`, `notes`,
/// `failures`, `problems` and `failed`. Names may be added, none is taken away.
pub fn json(system: &System, plan: &Plan, signing: &Signing, failed: bool) -> Value {
    let kernels: Vec<Value> = system
        .kernels
        .iter()
        .map(|(release, kernel)| {
            let waiting = plan.notes.iter().find_map(|note| match note {
                Note::Waiting { kernel, package } if kernel == release => Some(package),
                _ => None,
            });
            value!({
                "release": release,
                "state": state_of(kernel),
                "image": kernel.image,
                "headers": kernel.headers,
                "removed": kernel.note.removed,
                "boot-entry-removed": kernel.note.boot_entry_removed,
                "waiting-for": waiting,
            })
        })
        .collect();
    let modules: Vec<Value> = system
        .cells
        .iter()
        .filter(|(_, view)| view.built)
        .map(|(cell, view)| {
            value!({
                "module": cell.module.name,
                "version": cell.module.version,
                "kernel": cell.kernel,
                "arch": cell.arch,
                "installed": view.installed,
                "intact": view.intact,
                "kept": view.record.as_ref().is_some_and(|record| record.kept.is_some()),
                "signed-with": view.record.as_ref().and_then(|record| record.inputs.signing.as_ref()),
            })
        })
        .collect();
    let failures: Vec<Value> =
        failures(system, plan).map(|(cell, failure)| value!({ "cell": cell, "failure": failure })).collect();
    let problems: Vec<String> = problems(plan).map(Note::text).collect();
    value!({
        "format": plan_json::FORMAT,
        "kernels": kernels,
        "modules": modules,
        "signing": signing,
        "to-do": plan_json::steps(system, plan),
        "notes": plan_json::notes(plan),
        "failures": failures,
        "problems": problems,
        "failed": failed,
    })
}
