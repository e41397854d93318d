//! What a person sees while a run works: the words of the run, and how far its tasks are.
//!
//! On a terminal each task under way has a line that moves. In a log there is a line now and then. Both come from
//! one thread, which exists only while a task does, and which reads the logs that the tasks' commands write: nothing
//! stands between make and its log.

mod bars;
mod boot_screen;
mod follow;
mod how;
mod running;
mod text;

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::progress::{Outcome, Report, Said, Task};
use how::How;
use running::Shared;

pub use how::Wish;

/// The listener of the commands. It costs nothing until a task begins.
#[derive(Debug)]
pub struct Display {
    wish: Wish,
    how: OnceLock<How>,
    shared: Arc<Shared>,
}

impl Display {
    /// A display for who runs the command.
    pub fn new(wish: Wish) -> Self {
        Self { wish, how: OnceLock::new(), shared: Arc::new(Shared::new(wish.quiet)) }
    }

    fn say(&self, said: Said) {
        self.together(&[said]);
    }

    /// Where messages for finding faults go: to standard error, above the lines that move.
    pub fn for_messages(&self) -> Box<dyn Write + Send> {
        Box::new(Messages(Arc::clone(&self.shared)))
    }
}

/// Writes to standard error.
struct Messages(Arc<Shared>);

impl Write for Messages {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.above(|| std::io::stderr().write(text))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Display {
    /// Nothing is drawn any more when the command ends.
    fn drop(&mut self) {
        self.shared.rest();
    }
}

impl Report for Display {
    fn line(&self, text: &str) {
        self.say(Said::Line(text.to_owned()));
    }

    fn warning(&self, text: &str) {
        self.say(Said::Warning(text.to_owned()));
    }

    fn begin(&self, what: &str) {
        self.say(Said::Begin(what.to_owned()));
    }

    fn end(&self, status: i32) {
        self.command_ended();
        self.say(Said::End(status));
    }

    fn together(&self, said: &[Said]) {
        self.shared.say(said);
    }

    fn hold(&self) {
        self.shared.hold();
    }

    fn release(&self) {
        self.shared.release();
    }

    fn command_ended(&self) {
        self.shared.look();
    }

    fn task_begins(&self, task: &Task) {
        let how = *self.how.get_or_init(|| How::here(&self.wish));
        if how != How::Plain {
            Shared::begin(&self.shared, task, how, self.wish.verbose, Instant::now());
        }
    }

    fn task_ends(&self, number: usize, outcome: Outcome, took: Duration) {
        self.shared.end(number, outcome, took);
    }
}
