//! The listener that remembers.

use std::sync::Mutex;

use super::Report;

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
