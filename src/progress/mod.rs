//! Where a run says what it does: the trait, and who listens.

use std::io::Write;
use std::sync::Mutex;

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
}

/// Writes to standard output and standard error.
#[derive(Debug, Default)]
pub struct Console {
    quiet: bool,
    open: Mutex<bool>,
}

impl Console {
    /// A console; with `quiet`, only warnings are shown.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, open: Mutex::new(false) }
    }

    fn close_open_line(&self) {
        let mut open = self.open.lock().unwrap_or_else(|e| e.into_inner());
        if std::mem::take(&mut *open) {
            let _ = writeln!(std::io::stdout());
        }
    }
}

impl Report for Console {
    fn line(&self, text: &str) {
        if !self.quiet {
            self.close_open_line();
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }

    fn warning(&self, text: &str) {
        self.close_open_line();
        let _ = writeln!(std::io::stderr(), "Warning: {text}");
    }

    fn begin(&self, what: &str) {
        if !self.quiet {
            self.close_open_line();
            let mut out = std::io::stdout();
            let _ = write!(out, "{what}...");
            let _ = out.flush();
            *self.open.lock().unwrap_or_else(|e| e.into_inner()) = true;
        }
    }

    fn end(&self, status: i32) {
        if !self.quiet {
            *self.open.lock().unwrap_or_else(|e| e.into_inner()) = false;
            let _ = match status {
                0 => writeln!(std::io::stdout(), " done."),
                n => writeln!(std::io::stdout(), " failed (exit status {n})."),
            };
        }
    }
}

/// Keeps everything for a test to look at, or throws it away.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Vec<String>>);

impl Memory {
    /// What was reported so far, one entry per call.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    fn push(&self, text: String) {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).push(text);
    }
}

impl Report for Memory {
    fn line(&self, text: &str) {
        self.push(text.to_owned());
    }
    fn warning(&self, text: &str) {
        self.push(format!("Warning: {text}"));
    }
    fn begin(&self, what: &str) {
        self.push(format!("{what}..."));
    }
    fn end(&self, status: i32) {
        self.push(format!("status {status}"));
    }
}
