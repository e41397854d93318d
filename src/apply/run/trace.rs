//! What a run decided and what it did, for whoever compares the two: one JSON object a line, appended to a
//! file. docs/json.md describes it.

use std::fs::File;
use std::io::Write;

use serde_json::{Value, json as value};

use super::Done;
use crate::fs::regular;
use crate::model::system::System;
use crate::plan::Plan;
use crate::report::json;
use crate::tree::layout::Layout;

/// Names the file.
const VARIABLE: &str = "DKMS_HOOK_TRACE";

/// The file.
#[derive(Debug)]
pub struct Trace {
    file: File,
}

impl Trace {
    /// Opens the file that the environment names, as seen from inside the root. A run goes on without it.
    pub fn open(layout: &Layout) -> Option<Self> {
        let named = std::env::var_os(VARIABLE).filter(|path| !path.is_empty())?;
        let path = layout.root.path(named);
        match regular::append(&path, 0o600) {
            Ok(file) => Some(Self { file }),
            Err(error) => {
                log::warn!("cannot write {}: {error}", path.display());
                None
            }
        }
    }

    /// Notes what is going to be done.
    pub fn plan(&self, system: &System, plan: &Plan) {
        self.line(value!({ "plan": json::plan(system, plan) }));
    }

    /// Notes what became of a step of the plan that was noted last.
    pub fn step(&self, index: usize, done: &Done) {
        self.line(match done {
            Done::Yes => value!({ "step": index, "outcome": "done" }),
            Done::Failed(error) => value!({ "step": index, "outcome": "failed", "error": error.to_string() }),
            Done::Without(need) => value!({ "step": index, "outcome": "left-out", "for": need }),
            Done::Unmet => value!({ "step": index, "outcome": "not-wanted" }),
            Done::Stopped => value!({ "step": index, "outcome": "stopped" }),
        });
    }

    fn line(&self, mut line: Value) {
        line["pid"] = std::process::id().into();
        // One write, so that lines of several runs do not mix.
        if let Err(error) = (&self.file).write_all(format!("{line}\n").as_bytes()) {
            log::warn!("the trace is not complete: {error}");
        }
    }
}
