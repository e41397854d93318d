//! A plan as a program reads it: `dkms-hook --json`. docs/json.md and docs/plan.schema.json describe it.

use serde_json::{Value, json as value};

use crate::model::system::Now;
use crate::model::system::System;
use crate::plan::{Action, Note, Plan, Step};

/// The number of the form of all JSON that this program prints. It rises when a name that was there is
/// taken away or means something else; names and variants may be added without that.
pub const FORMAT: u32 = 1;

/// The whole plan, and what it was decided on.
pub fn json(system: &System, plan: &Plan) -> Value {
    value!({ "format": FORMAT, "steps": steps(system, plan), "notes": notes(plan) })
}

/// Its steps, each with the two halves of its line in the text form; those that judge a build also with
/// what that was made from and what it would be made from now.
pub fn steps(system: &System, plan: &Plan) -> Vec<Value> {
    let step = |step: &Step| {
        let mut value = value!({
            "action": step.action,
            "reason": step.reason,
            "needs": step.needs,
            "text": step.action.to_string(),
            "why": step.reason.to_string(),
        });
        if let (Some(inputs), Some(fields)) = (inputs(system, &step.action), value.as_object_mut()) {
            fields.insert("inputs".to_owned(), inputs);
        }
        if let (false, Some(fields)) = (step.when.is_always(), value.as_object_mut()) {
            let mut when = value!(step.when);
            if let Some(when) = when.as_object_mut() {
                when.insert("text".to_owned(), step.when.to_string().into());
            }
            fields.insert("when".to_owned(), when);
        }
        value
    };
    plan.steps.iter().map(step).collect()
}

fn inputs(system: &System, action: &Action) -> Option<Value> {
    let (Action::Build { cell, .. } | Action::Keep { cell } | Action::Adopt { cell }) = action else {
        return None;
    };
    let view = system.cell(cell)?;
    let Now::Judged { inputs: new, .. } = &view.now else { return None };
    let old = view.record.as_ref().map(|record| &record.inputs);
    Some(value!({ "old": old, "new": new }))
}

/// Its notes, each with what a person reads.
pub fn notes(plan: &Plan) -> Vec<Value> {
    let note = |note: &Note| {
        let mut value = value!(note);
        if let Some(fields) = value.as_object_mut() {
            fields.insert("text".to_owned(), note.text().into());
            fields.insert("is-failure".to_owned(), note.is_failure().into());
        }
        value
    };
    plan.notes.iter().map(note).collect()
}
