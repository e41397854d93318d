//! Lets bash evaluate conf files: one process for all of them, whatever they contain.
//!
//! The environment is empty but for a fixed PATH, the C locale and the variables that a conf may
//! use, so that a result depends on the files alone. The current directory is `/`: that is where
//! package managers run their hooks, and a conf must not mean something else in another directory.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::confinement::{Room, Unanswered};
use super::model::ConfError;
use super::question::{Bytes, Place, Places, Question, Source};
use crate::fs::root::Root;
use crate::process::{Captured, Process, ProcessError};

const SCRIPT: &str = include_str!("evaluate.bash");
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What bash makes of some files.
#[derive(Debug)]
pub(super) struct Said {
    pub values: Bytes,
    pub places: Places,
    /// What it wrote to standard error, line by line.
    pub complaints: Vec<String>,
}

/// Evaluates `files`.
pub(super) fn read(root: &Root, question: &Question<'_>, files: &[Source]) -> Result<Said, ConfError> {
    let first = files.first().map(|f| root.inside(&f.path)).unwrap_or_default();
    let failed = |why: String| ConfError::Shell { path: first.clone(), why };
    log::debug!("bash evaluates {}", first.display());
    let run = run(root, question, files).map_err(|unanswered| match unanswered {
        Unanswered::Failed(why) => failed(why),
        Unanswered::TookTooLong(limit) => ConfError::TookTooLong { path: first.clone(), limit },
    })?;

    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    let complaints: Vec<String> = said.lines().map(str::to_owned).collect();
    for file in files {
        if let Some(line) = complaints.iter().find_map(|line| syntax_error(line, &file.path)) {
            return Err(ConfError::Shell { path: root.inside(&file.path), why: line });
        }
    }
    let with_complaints = |why: String| match said.trim_end() {
        "" => why,
        said => format!("{why}\n{said}"),
    };
    let answer = parse(&run.stdout, given(question)).map_err(|why| failed(with_complaints(why)))?;
    for (index, file) in files.iter().enumerate() {
        let why = match answer.fates.get(index) {
            Some(Fate::Read) => continue,
            // An override that exits says nothing, and what was read before it stays.
            Some(Fate::Exit(_)) if index > 0 => continue,
            Some(Fate::Exit(status)) => with_complaints(format!(
                "it makes bash exit (with status {status}), so its values are ignored"
            )),
            Some(Fate::Requote) => with_complaints("a value has an unbalanced quote".to_owned()),
            None => "bash stopped before reading it".to_owned(),
        };
        return Err(ConfError::Shell { path: root.inside(&file.path), why });
    }
    let place = |(name, file): (String, usize)| {
        let line = files.get(file).and_then(|file| last_line(&file.text, &name));
        (name, Place { file, line })
    };
    let places = answer.files.into_iter().map(place).collect();
    Ok(Said { values: answer.values, places, complaints })
}

/// Runs the script over the files, with nothing but their variables in its environment.
fn run(root: &Root, question: &Question<'_>, files: &[Source]) -> Result<Captured, Unanswered> {
    let room = Room::new(root, question, files)?;
    let given = question.given.iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    let bash = Process::new("bash")
        .args(["--noprofile", "--norc", "-c", SCRIPT, "dkms.conf"])
        .arg(room.between())
        .arg(question.exported.join(" "))
        .args(files.iter().map(|file| absolute(&file.path)))
        .with_bare_environment()
        .env("PATH", PATH)
        .env("LANG", "C")
        .env("LC_ALL", "C")
        .dir("/")
        .limit(question.limit.time.unwrap_or(Duration::MAX));
    let bash = given.fold(bash, |bash, (name, value)| bash.env(name, OsString::from_vec(value)));
    let run = room.confine(bash).capture().map_err(|error| match error {
        ProcessError::TimedOut { .. } => Unanswered::TookTooLong(question.limit),
        error => Unanswered::Failed(error.to_string()),
    })?;
    if run.status == 0 || !run.stdout.is_empty() {
        return Ok(run);
    }
    let said = String::from_utf8_lossy(&run.stderr);
    Err(Unanswered::Failed(format!("bash ended with exit status {}\n{}", run.status, said.trim_end())))
}

/// bash runs in `/` and looks up a name without a slash in PATH.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// The complaint, when bash could not parse `file`. Messages are in English: LC_ALL is C.
fn syntax_error(line: &str, file: &Path) -> Option<String> {
    let rest = line.strip_prefix(absolute(file).to_str()?)?.strip_prefix(": ")?;
    let (_, what) = rest.split_once(": ")?;
    let wrong = what.starts_with("syntax error") || what.starts_with("unexpected EOF");
    wrong.then(|| rest.to_owned())
}

/// The variables that bash finds in its environment.
fn given(question: &Question<'_>) -> Bytes {
    let given = question.given.iter().filter(|(name, _)| question.exported.contains(&name.as_str()));
    given.filter_map(|(name, value)| Some((name.clone(), [(0, value.clone()?)].into()))).collect()
}

/// The last line that looks as if it set a variable.
fn last_line(text: &[u8], name: &str) -> Option<usize> {
    let text = String::from_utf8_lossy(text);
    let sets = |line: &str| {
        let line = line.trim_start();
        !line.starts_with('#')
            && line.match_indices(name).any(|(at, _)| {
                let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let rest = &line[at + name.len()..];
                !line[..at].ends_with(part) && ["=", "+=", "["].iter().any(|sign| rest.starts_with(sign))
            })
    };
    let lines = text.lines().enumerate().filter(|(_, line)| sets(line));
    lines.last().map(|(number, _)| number + 1)
}

/// What became of a file.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Read,
    Exit(String),
    Requote,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Parsed {
    fates: Vec<Fate>,
    values: Bytes,
    /// Which file changed each variable last.
    files: BTreeMap<String, usize>,
}

/// Reads the answer of the script (its head has the format). `before` are the values that the first file
/// finds.
fn parse(stdout: &[u8], before: Bytes) -> Result<Parsed, String> {
    let mut parsed = Parsed { values: before, ..Parsed::default() };
    let mut fields = stdout.split(|b| *b == 0);
    while let Some(kind) = fields.next() {
        let mut field = || fields.next().ok_or_else(|| "the output of bash is incomplete".to_owned());
        let mut text = || field().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        match kind {
            b"read" => {
                text()?;
                parsed.fates.push(Fate::Read);
            }
            b"requote" => {
                text()?;
                parsed.fates.push(Fate::Requote);
            }
            b"exit" => {
                text()?;
                parsed.fates.push(Fate::Exit(text()?));
            }
            b"value" => {
                let (name, index) = (text()?, text()?);
                // An associative array has indexes of any kind; DKMS knows none of them.
                let index = index.parse::<usize>();
                let value = field()?.to_vec();
                if let Ok(index) = index {
                    let file = parsed.fates.len().saturating_sub(1);
                    let elements = parsed.values.entry(name.clone()).or_default();
                    if elements.get(&index) != Some(&value) {
                        parsed.files.insert(name, file);
                        elements.insert(index, value);
                    }
                }
            }
            b"end" => return Ok(parsed),
            _ => break,
        }
    }
    Err("bash did not reach its end".to_owned())
}

#[cfg(test)]
mod tests;
