//! `uname -r` in a build answers with the kernel that is built for.
//!
//! Many a Makefile finds its kernel that way. With the answer of the running kernel it would build for
//! that one, and the result would be refused. So a program of that name comes first in the search path of
//! everything that a build runs: it asks the real one and puts the other release into what that says.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use super::Job;
use crate::apply::sign::Environment;
use crate::process::{find_program, search_path};

/// Puts the program first in the search path. It is there as long as what is returned; where it cannot
/// be made, a build goes on without.
pub(super) fn answer_for(job: &Job<'_>, environment: &mut Environment) -> Option<TempDir> {
    let real = find_program("uname")?;
    let made = script(job, &real).inspect_err(|error| {
        log::warn!(
            "the build sees the machine's uname: \
                                                                  {error}"
        )
    });
    let dir = made.ok()?;
    let set = environment.iter().rev().find(|(name, _)| name == "PATH").and_then(|(_, value)| value.clone());
    let mut path = OsString::from(dir.path());
    path.push(":");
    path.push(set.unwrap_or_else(|| search_path().clone()));
    environment.push(("PATH".into(), Some(path)));
    Some(dir)
}

fn script(job: &Job<'_>, real: &Path) -> std::io::Result<TempDir> {
    let state = job.layout.state();
    std::fs::create_dir_all(&state)?;
    let dir = tempfile::Builder::new().prefix(".tmp-").tempdir_in(&state)?;
    // A release has no character that means something to a shell.
    let text = format!(
        "#!/bin/sh\n\
         # For builds: answers with the release of the target kernel.\n\
         said=$('{0}' \"$@\") || exit\n\
         running=$('{0}' -r)\n\
         case $said in\n\
         *\"$running\"*) said=${{said%%\"$running\"*}}{1}${{said#*\"$running\"}} ;;\n\
         esac\n\
         printf '%s\\n' \"$said\"\n",
        real.display(),
        job.cell.kernel,
    );
    let file = dir.path().join("uname");
    std::fs::write(&file, text)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
    Ok(dir)
}
