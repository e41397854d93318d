//! A plan as a program reads it: `dkms-hook --json`. docs/json.md and docs/plan.schema.json describe it.

use serde_json::{Value, json as value};

use crate::plan::{Note, Plan, Step};

/// The number of the form of all JSON that this program prints. It rises when a name that was there is
/// taken away or means something else; names and variants may be added without that.
pub const FORMAT: u32 = 1;

/// The whole plan.
pub fn json(plan: &Plan) -> Value {
    value!({ "format": FORMAT, "steps": steps(plan), "notes": notes(plan) })
}

/// Its steps, each with the two halves of its line in the text form.
pub fn steps(plan: &Plan) -> Vec<Value> {
    let step = |step: &Step| {
        value!({
            "action": step.action,
            "reason": step.reason,
            "needs": step.needs,
            "text": step.action.to_string(),
            "why": step.reason.to_string(),
        })
    };
    plan.steps.iter().map(step).collect()
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
