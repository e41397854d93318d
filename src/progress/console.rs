//! The listener without a terminal's arts: lines on standard output and standard error.

use std::io::Write;
use std::sync::{Mutex, MutexGuard};

use super::{Report, Said};

/// Writes to standard output and standard error.
#[derive(Debug, Default)]
pub struct Console {
    quiet: bool,
    /// A heading was written that waits for its end, on a line that is not ended.
    open: Mutex<bool>,
}

impl Console {
    /// A console; with `quiet`, only warnings are shown.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, open: Mutex::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.open.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Nothing comes between what is written while the lock is held.
    fn say(&self, open: &mut bool, said: &Said) {
        let mut out = std::io::stdout();
        if self.quiet && !matches!(said, Said::Warning(_)) {
            return;
        }
        if *open && !matches!(said, Said::End(_)) {
            let _ = writeln!(out);
        }
        *open = matches!(said, Said::Begin(_));
        // A reader that has gone away stops nothing.
        let _ = match said {
            Said::Line(text) => writeln!(out, "{text}"),
            Said::Warning(text) => writeln!(std::io::stderr(), "Warning: {text}"),
            Said::Begin(what) => write!(out, "{what}...").and_then(|()| out.flush()),
            Said::End(0) => writeln!(out, " done."),
            Said::End(status) => writeln!(out, " failed (exit status {status})."),
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
        let mut open = self.lock();
        said.iter().for_each(|said| self.say(&mut open, said));
    }
}
