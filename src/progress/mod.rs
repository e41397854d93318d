//! Where a run says what it does: the trait, and listeners that need no terminal.

mod console;
mod kept;
mod made;
mod memory;
mod only_tasks;
mod task;

use std::time::Duration;

pub use console::Console;
pub use kept::Kept;
pub use made::Made;
pub use memory::Memory;
pub use only_tasks::OnlyTasks;
pub use task::{Expected, Outcome, Task};

/// Where progress and findings go while work is done. Implementations must not fail: a closed
/// terminal never stops a build.
pub trait Report: Sync {
    /// A line of normal output.
    fn line(&self, text: &str);
    /// Something the person should know that stops nothing.
    fn warning(&self, text: &str);
    /// A step that takes a while begins; `what` reads as a heading ("Building module(s)").
    fn begin(&self, what: &str);
    /// The step that began last has ended, with the exit status of what was run.
    fn end(&self, status: i32);

    /// Several of these, in this order, with nothing between them.
    fn together(&self, said: &[Said]) {
        for said in said {
            match said {
                Said::Line(text) => self.line(text),
                Said::Warning(text) => self.warning(text),
                Said::Begin(what) => self.begin(what),
                Said::End(status) => self.end(*status),
            }
        }
    }

    /// From now on somebody else uses the terminal, as [`Aside`] says.
    fn hold(&self) {}
    /// Who used the terminal is done with it.
    fn release(&self) {}

    /// A command of some task has just ended: who follows logs reads them now.
    fn command_ended(&self) {}
    /// A task begins. Several may be under way at once.
    fn task_begins(&self, _task: &Task) {}
    /// The task with this number has ended, after this time.
    fn task_ends(&self, _number: usize, _outcome: Outcome, _took: Duration) {}
}

/// While there is one, something else uses the terminal: a script that prints, a program that asks a question.
/// Nothing moves there meanwhile.
pub struct Aside<'r>(&'r dyn Report);

impl<'r> Aside<'r> {
    /// Begins it.
    pub fn begin(report: &'r dyn Report) -> Self {
        report.hold();
        Self(report)
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// One call of [`Report`], kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// [`Report::line`].
    Line(String),
    /// [`Report::warning`].
    Warning(String),
    /// [`Report::begin`].
    Begin(String),
    /// [`Report::end`].
    End(i32),
}
