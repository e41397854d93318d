//! From conf files to values, by our own reader or by bash.
//!
//! Knows the shell's language and nothing of what a directive means.

use std::collections::BTreeMap;
use std::path::Path;

use super::model::{ConfError, Reader};
use super::own;
use super::question::Places;
use super::question::{Bytes, NeedsShell};
pub use super::question::{Place, Question, Source};
use super::shell;
use crate::fs::regular;
use crate::fs::root::Root;

/// Values by name and index, as `Conf.values` has them.
pub type Values = BTreeMap<String, BTreeMap<usize, String>>;

/// What the files say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The exported variables that are set.
    pub values: Values,
    /// Which file set each of them last.
    pub places: Places,
    /// Who read them.
    pub reader: Reader,
    /// Complaints of bash that did not stop it, line by line.
    pub complaints: Vec<String>,
}

/// Opens the files. Only regular files (a pipe would block, a device never end) of a sane size.
///
/// # Errors
/// [`ConfError::Unreadable`] for the first that cannot be read.
pub fn open(root: &Root, files: &[&Path]) -> Result<Vec<Source>, ConfError> {
    const LARGEST: u64 = 4 << 20;
    let read = |path: &Path| -> Result<Vec<u8>, String> {
        regular::read_up_to(path, LARGEST).map_err(|e| match e.kind() {
            std::io::ErrorKind::FileTooLarge => format!("{e}, too large for a conf file"),
            _ => e.to_string(),
        })
    };
    files
        .iter()
        .map(|path| {
            let text = read(path).map_err(|why| ConfError::Unreadable { path: root.inside(path), why })?;
            Ok(Source { path: path.to_path_buf(), text })
        })
        .collect()
}

/// Evaluates the files, each on top of what those before it said.
///
/// # Errors
/// [`ConfError::Shell`] when they need bash and bash does not get through them.
pub fn evaluate(root: &Root, question: &Question<'_>, files: &[Source]) -> Result<Answer, ConfError> {
    match by_own_reader(question, files) {
        Ok((values, places)) => Ok(Answer { values, places, reader: Reader::Own, complaints: Vec::new() }),
        Err(NeedsShell { line, why }) => by_bash(root, question, files, Reader::Shell { line, why }),
    }
}

/// Evaluates the files without starting a process.
///
/// # Errors
/// The first thing that only a shell can answer.
pub fn with_own_reader(question: &Question<'_>, files: &[Source]) -> Result<Values, NeedsShell> {
    by_own_reader(question, files).map(|(values, _)| values)
}

fn by_own_reader(question: &Question<'_>, files: &[Source]) -> Result<(Values, Places), NeedsShell> {
    let (bytes, places) = own::read(question, files)?;
    let values = text_of(bytes)
        .map_err(|name| NeedsShell { line: 1, why: format!("{name}, which is not UTF-8 text") })?;
    Ok((values, places))
}

/// Evaluates the files with one bash, which also gives its complaints.
///
/// # Errors
/// [`ConfError::Shell`] when bash cannot be started, does not end within a minute, finds a syntax
/// error or is made to exit; or when a value is not UTF-8 text.
pub fn with_bash(
    root: &Root,
    question: &Question<'_>,
    files: &[Source],
) -> Result<(Values, Vec<String>), ConfError> {
    let reader = Reader::Shell { line: 1, why: String::new() };
    by_bash(root, question, files, reader).map(|answer| (answer.values, answer.complaints))
}

fn by_bash(
    root: &Root,
    question: &Question<'_>,
    files: &[Source],
    reader: Reader,
) -> Result<Answer, ConfError> {
    let said = shell::read(root, question, files)?;
    let values = text_of(said.values).map_err(|name| ConfError::Shell {
        path: files.first().map(|f| root.inside(&f.path)).unwrap_or_default(),
        why: format!("{name} is not UTF-8 text"),
    })?;
    Ok(Answer { values, places: said.places, reader, complaints: said.complaints })
}

/// Bytes as text, or the name of the first variable that is none.
fn text_of(bytes: Bytes) -> Result<Values, String> {
    bytes
        .into_iter()
        .map(|(name, elements)| {
            let texts = elements
                .into_iter()
                .map(|(index, bytes)| String::from_utf8(bytes).map(|text| (index, text)))
                .collect::<Result<_, _>>();
            texts.map(|texts| (name.clone(), texts)).map_err(|_| name)
        })
        .collect()
}
