//! Lets bash evaluate conf files: one process for all of them, whatever they contain.
//!
//! The environment is empty but for a fixed PATH, the C locale and the variables that a conf may
//! use, so that a result depends on the files alone. The current directory is `/`: that is where
//! package managers run their hooks, and a conf must not mean something else in another directory.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::model::ConfError;
use super::question::{Bytes, Question, Source};
use crate::fs::root::Root;
use crate::process::{Captured, Process};

const SCRIPT: &str = include_str!("evaluate.bash");
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Far longer than any conf takes; short enough not to hang a package manager.
const PATIENCE: Duration = Duration::from_secs(60);

/// Evaluates `files`; also gives what bash wrote to standard error.
pub(super) fn read(
    root: &Root,
    question: &Question<'_>,
    files: &[Source],
) -> Result<(Bytes, Vec<String>), ConfError> {
    let first = files.first().map(|f| root.inside(&f.path)).unwrap_or_default();
    let failed = |why: String| ConfError::Shell { path: first.clone(), why };
    let run = run(question, files, PATIENCE).map_err(failed)?;

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
    let answer = parse(&run.stdout).map_err(|why| failed(with_complaints(why)))?;
    for (index, file) in files.iter().enumerate() {
        let why = match answer.fates.get(index) {
            Some(Fate::Read) => continue,
            // An override that exits says nothing, and what was read before it stays.
            Some(Fate::Exit(_)) if index > 0 => continue,
            Some(Fate::Exit(status)) => with_complaints(format!(
                "it makes bash exit (with status {status}), so none of its values count"
            )),
            Some(Fate::Requote) => with_complaints("a value has an unbalanced quote".to_owned()),
            None => "bash did not come to it".to_owned(),
        };
        return Err(ConfError::Shell { path: root.inside(&file.path), why });
    }
    Ok((answer.values, complaints))
}

/// Runs the script over the files, with nothing but their variables in its environment.
fn run(question: &Question<'_>, files: &[Source], patience: Duration) -> Result<Captured, String> {
    let between = tempfile::NamedTempFile::new().map_err(|e| format!("cannot make a temporary file: {e}"))?;
    let given = question.given.iter().filter_map(|(name, value)| Some((name, value.clone()?)));
    let bash = Process::new("bash")
        .args(["--noprofile", "--norc", "-c", SCRIPT, "dkms.conf"])
        .arg(between.path())
        .arg(question.exported.join(" "))
        .args(files.iter().map(|file| absolute(&file.path)))
        .with_bare_environment()
        .env("PATH", PATH)
        .env("LANG", "C")
        .env("LC_ALL", "C")
        .dir("/")
        .limit(patience);
    let bash = given.fold(bash, |bash, (name, value)| bash.env(name, OsString::from_vec(value)));
    let run = bash.capture().map_err(|error| error.to_string())?;
    if run.status == 0 || !run.stdout.is_empty() {
        return Ok(run);
    }
    let said = String::from_utf8_lossy(&run.stderr);
    Err(format!("bash ended with exit status {}\n{}", run.status, said.trim_end()))
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
}

/// Reads the answer of the script (its head has the format).
fn parse(stdout: &[u8]) -> Result<Parsed, String> {
    let mut parsed = Parsed::default();
    let mut fields = stdout.split(|b| *b == 0);
    while let Some(kind) = fields.next() {
        let mut field = || fields.next().ok_or_else(|| "its answer is cut short".to_owned());
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
                    parsed.values.entry(name).or_default().insert(index, value);
                }
            }
            b"end" => return Ok(parsed),
            _ => break,
        }
    }
    Err("it did not get to the end".to_owned())
}

#[cfg(test)]
mod tests;
