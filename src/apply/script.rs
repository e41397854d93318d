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
    let command = format!("{} {args}", shlex::try_quote(path.to_str()?).ok()?);
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
        .env("kernelver", context.kernel.as_ref().map_or("", |kernel| kernel.as_str()))
        .env("arch", context.arch.as_str());
    match process.run(Output::Inherit) {
        Ok(status) => status,
        Err(error) => {
            report.warning(&error.to_string());
            127
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::fs::root::Root;

    #[test]
    fn a_path_is_one_word_and_arguments_are_what_a_shell_makes_of_them() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(root.path()));
        let id = ModuleId::new("m", "0~1").unwrap();
        for name in ["plain-1.0", "a b/it's $HOME", "~", "0~1+git;false"] {
            let dir = root.path().join(name);
            std::fs::create_dir_all(&dir).unwrap();
            let script = dir.join("run.sh");
            std::fs::write(&script, "#!/bin/sh\nprintf '%s|' \"$@\" > out\n").unwrap();
            std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
            let found = find(&layout, &id, "run.sh one 'two three' $((1 + 3))", &dir).unwrap();
            assert_eq!(found.process.run(Output::Null).unwrap(), 0, "{name}");
            assert_eq!(std::fs::read_to_string(dir.join("out")).unwrap(), "one|two three|4|", "{name}");
        }
    }
}
