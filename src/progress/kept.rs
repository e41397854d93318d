//! What one of several tasks says, kept until it ends.

use std::sync::Mutex;
use std::time::Duration;

use super::{Outcome, Report, Said, Task};

/// Keeps what a task says, and gives it to another listener in one piece when the task ends (when this is
/// dropped): lines of two tasks that run at the same time never mix. That a task begins or ends is passed on at once.
pub struct Kept<'a> {
    to: &'a dyn Report,
    said: Mutex<Vec<Said>>,
}

impl<'a> Kept<'a> {
    /// Keeps what is for `to`.
    pub fn new(to: &'a dyn Report) -> Self {
        Self { to, said: Mutex::default() }
    }

    /// Gives away what was said so far.
    pub fn give(&self) {
        let said = std::mem::take(&mut *self.said.lock().unwrap_or_else(|e| e.into_inner()));
        if !said.is_empty() {
            self.to.together(&said);
        }
    }

    fn keep(&self, said: Said) {
        self.said.lock().unwrap_or_else(|e| e.into_inner()).push(said);
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.give();
    }
}

impl Report for Kept<'_> {
    fn line(&self, text: &str) {
        self.keep(Said::Line(text.to_owned()));
    }

    fn warning(&self, text: &str) {
        self.keep(Said::Warning(text.to_owned()));
    }

    fn begin(&self, what: &str) {
        self.keep(Said::Begin(what.to_owned()));
    }

    fn end(&self, status: i32) {
        self.keep(Said::End(status));
        self.to.command_ended();
    }

    fn hold(&self) {
        self.to.hold();
    }

    fn release(&self) {
        self.to.release();
    }

    fn command_ended(&self) {
        self.to.command_ended();
    }

    fn task_begins(&self, task: &Task) {
        self.to.task_begins(task);
    }

    fn task_ends(&self, number: usize, outcome: Outcome, took: Duration) {
        self.to.task_ends(number, outcome, took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Memory;

    #[test]
    fn what_two_tasks_say_at_once_comes_in_two_pieces() {
        let memory = Memory::default();
        let (one, two) = (Kept::new(&memory), Kept::new(&memory));
        one.begin("Building one");
        two.begin("Building two");
        two.end(0);
        one.warning("a clock is wrong");
        assert!(memory.lines().is_empty());
        drop(two);
        assert_eq!(memory.lines(), ["Building two...", "status 0"]);
        one.end(2);
        drop(one);
        let expected =
            ["Building two...", "status 0", "Building one...", "Warning: a clock is wrong", "status 2"];
        assert_eq!(memory.lines(), expected);
    }
}
