//! `dkms-hook fits --json`: docs/fits.schema.json.

use serde::Serialize;
use serde_json::Value;

use super::{FORMAT, value};
use crate::report::fits::{self, FileAnswer, Outcome, Verdict};

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Fits<'a> {
    format: u32,
    outcome: &'static str,
    answers: Vec<Answer<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Answer<'a> {
    module: &'a str,
    version: &'a str,
    kernel: &'a str,
    arch: &'a str,
    answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    errors: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct File<'a> {
    format: u32,
    outcome: &'static str,
    file: String,
    kernel: &'a str,
    symbols: usize,
    why: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Nothing<'a> {
    format: u32,
    outcome: &'static str,
    answers: [(); 0],
    why: &'a str,
}

/// The answers.
pub fn fits(answers: &[fits::Answer]) -> Value {
    let outcome = word(Outcome::of(answers));
    value(Fits { format: FORMAT, outcome, answers: answers.iter().map(Into::into).collect() })
}

/// The answer for a module file.
pub fn file_fits(answer: &FileAnswer) -> Value {
    let FileAnswer { file, kernel, outcome, why, symbols } = answer;
    value(File {
        format: FORMAT,
        outcome: word(*outcome),
        file: file.display().to_string(),
        kernel: kernel.as_str(),
        symbols: *symbols,
        why,
    })
}

/// Nothing could be tried.
pub fn nothing_fits(why: &str) -> Value {
    value(Nothing { format: FORMAT, outcome: word(Outcome::Untried), answers: [], why })
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Fits => "fits",
        Outcome::Fails => "fails",
        Outcome::Untried => "untried",
    }
}

impl<'a> From<&'a fits::Answer> for Answer<'a> {
    fn from(fits::Answer { cell, verdict }: &'a fits::Answer) -> Self {
        let (answer, why, errors): (_, _, &[String]) = match verdict {
            Verdict::Builds => ("builds", None, &[]),
            Verdict::Excluded { why } => ("excluded", Some(why), &[]),
            Verdict::Fails { what, errors } => ("fails", Some(what), errors),
            Verdict::Untried { why } => ("untried", Some(why), &[]),
        };
        Self {
            module: cell.module.name.as_str(),
            version: cell.module.version.as_str(),
            kernel: cell.kernel.as_str(),
            arch: cell.arch.as_str(),
            answer,
            why: why.map(String::as_str),
            errors,
        }
    }
}
