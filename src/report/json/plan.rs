//! `dkms-hook --json`: docs/plan.schema.json.

use serde::Serialize;
use serde_json::Value;

use super::action::Action;
use super::condition::When;
use super::note::Note;
use super::parts::Inputs;
use super::reason::Reason;
use super::{FORMAT, value};
use crate::model::system::{Now, System};
use crate::plan;

#[derive(Serialize)]
struct Plan<'a> {
    format: u32,
    steps: Vec<Step<'a>>,
    notes: Vec<Told<'a>>,
}

/// A step with the two halves of its line in the text form.
#[derive(Serialize)]
pub(super) struct Step<'a> {
    action: Action<'a>,
    reason: Reason<'a>,
    needs: &'a [usize],
    text: String,
    why: String,
    /// Of steps that judge a build.
    #[serde(skip_serializing_if = "Option::is_none")]
    inputs: Option<Comparison<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<When<'a>>,
}

/// What a build was made from, and what it would be made from now.
#[derive(Serialize)]
struct Comparison<'a> {
    old: Option<Inputs<'a>>,
    new: Inputs<'a>,
}

/// A note with what a person reads.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Told<'a> {
    #[serde(flatten)]
    note: Note<'a>,
    text: String,
    is_failure: bool,
}

/// The whole plan, and what it was decided on.
pub fn plan(system: &System, plan: &plan::Plan) -> Value {
    value(Plan { format: FORMAT, steps: steps(system, plan), notes: notes(plan) })
}

pub(super) fn steps<'a>(system: &'a System, plan: &'a plan::Plan) -> Vec<Step<'a>> {
    let step = |step: &'a plan::Step| Step {
        action: (&step.action).into(),
        reason: (&step.reason).into(),
        needs: &step.needs,
        text: step.action.to_string(),
        why: step.reason.to_string(),
        inputs: inputs(system, &step.action),
        when: When::of(&step.when),
    };
    plan.steps.iter().map(step).collect()
}

fn inputs<'a>(system: &'a System, action: &plan::Action) -> Option<Comparison<'a>> {
    use plan::Action::{Adopt, Build, Keep};
    let (Build { cell, .. } | Keep { cell } | Adopt { cell }) = action else { return None };
    let view = system.cell(cell)?;
    let Now::Judged { inputs: new, .. } = &view.now else { return None };
    let old = view.record.as_ref().map(|record| Inputs(&record.inputs));
    Some(Comparison { old, new: Inputs(new) })
}

pub(super) fn notes(plan: &plan::Plan) -> Vec<Told<'_>> {
    plan.notes.iter().map(told).collect()
}

fn told(note: &plan::Note) -> Told<'_> {
    Told { note: note.into(), text: note.text(), is_failure: note.is_failure() }
}
