//! Programs of ours that a build finds before those that they stand for: `uname`, `make`, `ninja`.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Job, uname};
use crate::apply::sign::Environment;
use crate::fs::{regular, temporary};
use crate::process::jobserver::{StandIn, by_name};
use crate::process::{find_program, search_path};

/// They are there as long as this.
#[derive(Debug)]
pub(super) struct StandIns {
    _dir: Option<temporary::Dir>,
    /// Those that take their jobs from the run's server.
    with_jobs: Vec<StandIn>,
}

impl StandIns {
    /// A command in which none of them is passed by: paths of make become its name.
    pub fn by_name(&self, command: &str) -> String {
        by_name(command, &self.with_jobs)
    }
}

/// Puts them first in the search path. Where they cannot be made, a build goes on without.
pub(super) fn put_first(job: &Job<'_>, environment: &mut Environment) -> StandIns {
    let with_jobs = job.server.stand_ins();
    let uname = find_program("uname").map(|real| ("uname", uname::text(&real, &job.cell.kernel)));
    let texts = with_jobs.iter().map(|program| (program.name, program.text.clone())).chain(uname);
    match write(&job.layout.state(), texts) {
        Ok(dir) => {
            put(environment, dir.path());
            StandIns { _dir: Some(dir), with_jobs }
        }
        Err(error) => {
            log::warn!("the build sees the machine's uname, and make as it is: {error}");
            StandIns { _dir: None, with_jobs: Vec::new() }
        }
    }
}

fn put(environment: &mut Environment, dir: &Path) {
    let set = environment.iter().rev().find(|(name, _)| name == "PATH").and_then(|(_, value)| value.clone());
    let mut path = OsString::from(dir);
    path.push(":");
    path.push(set.unwrap_or_else(|| search_path().clone()));
    environment.push(("PATH".into(), Some(path)));
}

fn write(
    state: &Path,
    programs: impl Iterator<Item = (&'static str, String)>,
) -> std::io::Result<temporary::Dir> {
    std::fs::create_dir_all(state)?;
    let dir = temporary::Dir::new(state, ".tmp-")?;
    let mode = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755));
    for (name, text) in programs {
        let file = dir.path().join(name);
        regular::write(&file, text.as_bytes())?;
        mode(&file)?;
    }
    mode(dir.path())?;
    Ok(dir)
}
