//! Reads a declarative conf without starting a process.
//!
//! Most conf files only assign: literal text, quotes, `$kernelver`. Those are read here; everything
//! else is refused with the line and the reason, and `shell.rs` asks bash. Being refused costs
//! a few milliseconds, a wrong value costs a wrong module: in doubt, refuse.

mod parser;
mod syntax;
mod variables;
mod word;

use std::collections::BTreeMap;

pub use super::question::NeedsShell;
use super::question::{Bytes, Places, Question, Source};
use variables::Variables;

/// Evaluates `files` one after the other.
///
/// # Errors
/// [`NeedsShell`] for the first thing that this reader is not certain about.
pub(super) fn read(question: &Question<'_>, files: &[Source]) -> Result<(Bytes, Places), NeedsShell> {
    let mut outer = Variables::default();
    for name in question.exported {
        outer.know(name);
    }
    for (name, value) in &question.given {
        outer.know(name);
        if let Some(value) = value {
            outer.set(name, 0, value.clone(), None);
        }
    }
    for (number, file) in files.iter().enumerate() {
        let mut inner = outer.clone();
        for assignment in parser::assignments(&file.text)? {
            inner.assign(&assignment, number).map_err(|why| NeedsShell { line: assignment.line, why })?;
        }
        // What the file names for its own use is gone, and so certainly unset, outside of it.
        outer.know_all_of(&inner);
        hand_over(question, &inner, &mut outer)?;
    }
    let (mut values, mut places) = (Bytes::new(), Places::new());
    for name in question.exported {
        if let Some(place) = outer.elements(name).find_map(|(_, element)| element.place) {
            places.insert((*name).to_owned(), place);
        }
        let elements: BTreeMap<_, _> = outer.elements(name).map(|(i, e)| (i, e.bytes.clone())).collect();
        if !elements.is_empty() {
            values.insert((*name).to_owned(), elements);
        }
    }
    Ok((values, places))
}

/// The second evaluation. DKMS writes each value, unquoted and so with its blanks collapsed, into an
/// assignment between double quotes and lets the shell read that again; only directives pass. (It
/// also lets patterns in values expand against the current directory; we do not.)
fn hand_over(question: &Question<'_>, inner: &Variables, outer: &mut Variables) -> Result<(), NeedsShell> {
    for name in question.exported {
        for (index, element) in inner.elements(name) {
            let line = element.place.and_then(|place| place.line).unwrap_or_default();
            let at = |why: String| NeedsShell { line, why };
            let text = requoted(&element.bytes);
            let word = parser::whole_word(&text).map_err(|e| at(e.why))?;
            let bytes = outer.expand(&word).map_err(at)?;
            outer.set(name, index, bytes, element.place);
        }
    }
    Ok(())
}

/// `"value"`, without one carriage return at its end and with runs of blanks collapsed.
fn requoted(value: &[u8]) -> Vec<u8> {
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    let mut out = vec![b'"'];
    let mut after_blank = false;
    for byte in value {
        let blank = matches!(byte, b' ' | b'\t' | b'\n');
        if !blank {
            out.push(*byte);
        } else if !after_blank {
            out.push(b' ');
        }
        after_blank = blank;
    }
    out.push(b'"');
    out
}

#[cfg(test)]
mod tests;
