//! Where a command writes: standard output and standard error, or buffers in a test.

use std::fmt::Display;
use std::io::Write;

use crate::model::error::{Error, Kind, Result};

/// Writes to standard output. A reader that has gone away stops nothing.
pub(super) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// A value as indented JSON that ends with a newline.
///
/// # Errors
/// When the value cannot be written as JSON.
pub(super) fn to_json(value: &impl serde::Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::new(Kind::Io, e.to_string()))?;
    Ok(text + "\n")
}

/// The two streams of a command. A reader that has gone away stops nothing, so nothing here fails.
pub struct Screen<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

impl<'a> Screen<'a> {
    /// Writes to these two.
    pub fn new(out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        Self { out, err }
    }

    /// A line of normal output.
    pub fn line(&mut self, text: impl Display) {
        let _ = writeln!(self.out, "{text}");
    }

    /// A line that is no error but does not belong into what scripts read.
    pub fn note(&mut self, text: impl Display) {
        let _ = self.out.flush();
        let _ = writeln!(self.err, "{text}");
    }

    /// Something to know that stops nothing.
    pub fn warning(&mut self, text: impl Display) {
        self.note(format_args!("Warning: {text}"));
    }

    /// An option or setting that has no effect any more.
    pub fn deprecated(&mut self, what: impl Display) {
        self.note(format_args!("Deprecated feature: {what}"));
    }

    /// An error, set off by an empty line, with its next step.
    pub fn error(&mut self, error: &Error) {
        self.note(format_args!("\nError! {error}"));
    }

    /// Both streams at once, for a renderer of its own.
    pub fn streams(&mut self) -> (&mut dyn Write, &mut dyn Write) {
        (self.out, self.err)
    }
}
