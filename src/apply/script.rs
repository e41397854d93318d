//! The scripts that a dkms.conf names: where they are found, and how those around an install run.

use std::path::{Path, PathBuf};

use crate::conf::model::Context;
use crate::model::ids::ModuleId;
use crate::process::{Output, Process, find_program};
use crate::progress::Report;
use crate::tree::layout::Layout;

/// A script that was found, with its arguments.
#[derive(Debug, Clone)]
pub struct Found {
    /// The directory it runs in.
    pub dir: PathBuf,
    /// The process: a shell, because arguments are split and expanded as a shell does.
    pub process: Process,
}

/// Finds a script (`NAME ARG…`) as an executable file: in `/etc/dkms/MODULE`, where an
/// administrator may put one of the same name, else in `dir`.
pub fn find(layout: &Layout, module: &ModuleId, text: &str, dir: &Path) -> Option<Found> {
    let (name, args) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let overriding = layout.etc().join(&module.name);
    let (dir, path) = [overriding.as_path(), dir]
        .into_iter()
        .find_map(|dir| Some((dir, find_program(dir.join(name).to_str()?)?)))?;
    let command = format!("{} {args}", shell_word(&path.to_string_lossy()));
    Some(Found { dir: dir.to_path_buf(), process: Process::bash(command.trim_end()).dir(dir) })
}

/// Runs a script with its output where ours goes, and returns its exit status. One that is not
/// executable is a warning and counts as 0, as in DKMS.
pub fn run(
    layout: &Layout,
    module: &ModuleId,
    kind: &str,
    text: &str,
    dir: &Path,
    context: &Context,
    report: &dyn Report,
) -> i32 {
    let Some(found) = find(layout, module, text.trim(), dir) else {
        report.warning(&format!("the {kind} script {text} is not executable; skipping it"));
        return 0;
    };
    report.line(&format!("Running the {kind} script:"));
    let process = found
        .process
        .env("module", module.name.as_str())
        .env("module_version", module.version.as_str())
        .env("kernelver", context.kernel.as_str())
        .env("arch", context.arch.as_str());
    match process.run(Output::Inherit) {
        Ok(status) => status,
        Err(error) => {
            report.warning(&error.to_string());
            127
        }
    }
}

/// A text as one word of a shell command.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=@%,".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_one_word() {
        assert_eq!(shell_word("/usr/src/m-1/x.sh"), "/usr/src/m-1/x.sh");
        assert_eq!(shell_word("/var/lib/dkms/m/0~1+git"), "'/var/lib/dkms/m/0~1+git'");
        assert_eq!(shell_word("/a b/it's"), r"'/a b/it'\''s'");
    }
}
