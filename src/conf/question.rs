//! What is asked of a reader of conf files, and in what form it answers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::settings::Limit;

/// What is asked of a reader.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The variables that pass from a conf file to us, in the order in which they pass: a later one
    /// may refer to an earlier one in single quotes.
    pub exported: &'a [&'a str],
    /// Variables that the files may use; `None` is one that is certainly not set.
    pub given: Vec<(String, Option<Vec<u8>>)>,
    /// How long bash may take to answer.
    pub limit: Limit,
    /// The files are somebody else's than the administrator's: bash reads them without root's power.
    pub foreign: bool,
}

/// A file that was read into memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The path by which this process opens it.
    pub path: PathBuf,
    /// Its content.
    pub text: Vec<u8>,
}

/// Why our own reader does not read a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeedsShell {
    /// Line number, from 1.
    pub line: usize,
    /// What stands there.
    pub why: String,
}

/// Where a file sets a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Which of the files, counted from 0.
    pub file: usize,
    /// The line, from 1; unknown where a program in the file set it.
    pub line: Option<usize>,
}

/// The place of every exported variable that a file sets; the last one counts.
pub type Places = BTreeMap<String, Place>;

/// Values as bytes: whether they are text is for the caller to judge.
pub(super) type Bytes = BTreeMap<String, BTreeMap<usize, Vec<u8>>>;
