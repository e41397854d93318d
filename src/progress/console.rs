//! The listener that writes lines, to a terminal as to a file.

use std::io::Write;
use std::sync::{Mutex, MutexGuard};

use super::{Report, Said};

/// Writes to standard output and standard error.
#[derive(Debug, Default)]
pub struct Console {
    quiet: bool,
    heading: Mutex<Heading>,
}

/// The heading of a step whose end has not been told.
#[derive(Debug, Default)]
struct Heading {
    /// Its text, when something else was written since.
    left: Option<String>,
    /// Its text, when it is the line that is being written.
    open: Option<String>,
}

impl Console {
    /// A console; with `quiet`, only warnings are shown.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Heading> {
        self.heading.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Nothing comes between what is written while the lock is held.
    fn say(&self, heading: &mut Heading, said: &Said) {
        let mut out = std::io::stdout();
        if self.quiet && !matches!(said, Said::Warning(_)) {
            return;
        }
        if let Some(left) = heading.open.take_if(|_| !matches!(said, Said::End(_))) {
            let _ = writeln!(out);
            heading.left = Some(left);
        }
        // A reader that has gone away stops nothing.
        let _ = match said {
            Said::Line(text) => writeln!(out, "{text}"),
            Said::Warning(text) => writeln!(std::io::stderr(), "Warning: {text}"),
            Said::Begin(what) => {
                *heading = Heading { open: Some(what.clone()), left: None };
                write!(out, "{what}...").and_then(|()| out.flush())
            }
            Said::End(status) => {
                let begin = heading.left.take().map(|what| format!("{what}...")).unwrap_or_default();
                heading.open = None;
                match status {
                    0 => writeln!(out, "{begin} done."),
                    status => writeln!(out, "{begin} failed (exit status {status})."),
                }
            }
        };
    }
}

impl Report for Console {
    fn line(&self, text: &str) {
        self.say(&mut self.lock(), &Said::Line(text.to_owned()));
    }

    fn warning(&self, text: &str) {
        self.say(&mut self.lock(), &Said::Warning(text.to_owned()));
    }

    fn begin(&self, what: &str) {
        self.say(&mut self.lock(), &Said::Begin(what.to_owned()));
    }

    fn end(&self, status: i32) {
        self.say(&mut self.lock(), &Said::End(status));
    }

    fn together(&self, said: &[Said]) {
        let mut heading = self.lock();
        said.iter().for_each(|said| self.say(&mut heading, said));
    }
}
