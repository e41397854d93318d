//! The scripts that a dkms.conf names: where they are found, and how those around an install run.

use std::path::{Path, PathBuf};

use crate::apply::loose;
use crate::conf::model::Context;
use crate::model::ids::ModuleId;
use crate::model::settings::{Limit, Settings};
use crate::process::{Output, Process, ProcessError, find_program, more_time, took_longer};
use crate::progress::{Aside, Report};
use crate::tree::layout::Layout;

/// A script that was found, with its arguments.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// The directory it runs in.
    dir: PathBuf,
    /// The file.
    path: PathBuf,
    /// What follows its name, as written.
    args: &'a str,
}

/// Finds a script (`NAME ARG…`) as an executable file: in `/etc/dkms/MODULE`, where an
/// administrator may put one of the same name, else in `dir`. The script sees that directory as `seen`.
pub fn find<'a>(
    layout: &Layout,
    module: &ModuleId,
    text: &'a str,
    dir: &Path,
    seen: &Path,
) -> Option<Found<'a>> {
    let (name, args) = text.split_once([' ', '\t', '\n']).unwrap_or((text, ""));
    let overriding = layout.etc().join(&module.name);
    let (dir, path) =
        [(overriding.as_path(), overriding.as_path()), (dir, seen)].into_iter().find_map(|(dir, seen)| {
            let path = find_program(dir.join(name).to_str()?)?;
            Some((seen, path.strip_prefix(dir).map(|inner| seen.join(inner)).unwrap_or(path)))
        })?;
    Some(Found { dir: dir.to_path_buf(), path, args })
}

impl Found<'_> {
    /// Its process, for PRE_BUILD and POST_BUILD: DKMS gives their text to a shell.
    pub fn by_shell(&self) -> Option<Process> {
        let command = format!("{} {}", shlex::try_quote(self.path.to_str()?).ok()?, self.args);
        Some(Process::bash(command.trim_end()).dir(&self.dir))
    }

    /// Its process, for the others: DKMS splits their text at blanks and expands file names in it; quotes,
    /// `;` and `>` are characters like any other. (bash also runs a script without `#!`.)
    pub fn by_words(&self) -> Process {
        let bash = Process::new("bash").args(["-c", "exec \"$1\" $2", "dkms"]).arg(&self.path);
        bash.arg(self.args).dir(&self.dir)
    }
}

/// The exit status of a script that is not run, as a shell has it for a program that may not be.
const NOT_RUN: i32 = 126;

/// Runs a script with its output where ours goes, and returns its exit status. One that is not
/// executable is a warning and counts as 0, as in DKMS. One that others than root can change is not run.
///
/// # Errors
/// The limit, when it took longer; that is told already.
pub fn run(
    layout: &Layout,
    settings: &Settings,
    module: &ModuleId,
    (kind, text): (&str, &str),
    dir: &Path,
    context: &Context,
    report: &dyn Report,
) -> Result<i32, Limit> {
    let Some(found) = find(layout, module, text.trim(), dir, dir) else {
        report.warning(&format!("the {kind} script {text} is not executable; skipping it"));
        return Ok(0);
    };
    // What stands in /etc/dkms is the administrator's.
    if found.dir == dir
        && let Err(error) = loose::refuse(layout, settings, module, dir, report)
    {
        report.warning(&format!("the {kind} script is not run: {error}"));
        return Ok(NOT_RUN);
    }
    report.line(&format!("Running the {kind} script:"));
    let process = found
        .by_words()
        .env("module", module.name.as_str())
        .env("module_version", module.version.as_str())
        .env("kernelver", context.kernel.as_ref().map_or("", |kernel| kernel.as_str()))
        .env("arch", context.arch.as_str())
        .within(*settings.limits.script)
        .may_leave_processes();
    let _aside = Aside::begin(report);
    match process.run(Output::Inherit) {
        Ok(status) => Ok(status),
        Err(ProcessError::TimedOut { limit, .. }) => {
            report.warning(&format!("the {kind} script {}; {}", took_longer(&limit), more_time(&limit)));
            Err(limit)
        }
        Err(error) => {
            report.warning(&error.to_string());
            Ok(127)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::fs::root::Root;

    #[test]
    fn a_path_is_one_word_and_arguments_are_what_dkms_makes_of_them() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(root.path()));
        let id = ModuleId::new("m", "0~1").unwrap();
        let text = "run.sh one 'two three' $((1 + 3)) *.sh [x] ; > a";
        for name in ["plain-1.0", "a b/it's $HOME", "~", "0~1+git;false"] {
            let dir = root.path().join(name);
            std::fs::create_dir_all(&dir).unwrap();
            // Without `#!`, a shell runs it.
            for head in ["#!/bin/sh\n", ""] {
                let script = dir.join("run.sh");
                std::fs::write(&script, format!("{head}printf '%s|' \"$@\" > out\n")).unwrap();
                std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
                let said = |process: Process| {
                    assert_eq!(process.run(Output::Null).unwrap(), 0, "{name}");
                    std::fs::read_to_string(dir.join("out")).unwrap()
                };
                let words = said(find(&layout, &id, text, &dir, &dir).unwrap().by_words());
                assert_eq!(words, "one|'two|three'|$((1|+|3))|run.sh|[x]|;|>|a|", "{name}");
                assert_eq!(said(find(&layout, &id, "run.sh", &dir, &dir).unwrap().by_words()), "|", "{name}");
                let text = "run.sh one 'two three' $((1 + 3))";
                let shell = said(find(&layout, &id, text, &dir, &dir).unwrap().by_shell().unwrap());
                assert_eq!(shell, "one|two three|4|", "{name}");
            }
        }
    }
}
