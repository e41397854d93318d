//! POST_BUILD: runs when the build is in place, and may change what is there.
//!
//! Confined, it gets a copy of the build, in the place where it looks for it: by a mount that only it sees or, where
//! none can be had, by exchanging the two for as long as it runs. Of what it leaves, files and directories become the
//! build, in one exchange. It never writes into what others read.

use std::io;
use std::path::Path;

use super::confine::keep_files_only;
use super::publish::{Published, Staging};
use super::workspace::Workspace;
use super::{Failure, Job, steps};
use crate::fs::copy::copy_tree;
use crate::fs::exchange::exchange;
use crate::process::sandbox::Sandbox;

/// Runs it, if there is one.
pub(super) fn run(job: &Job<'_>, work: &Workspace, published: &Published) -> Result<(), Failure> {
    let Some(text) = job.conf.scripts.post_build.as_deref().filter(|text| !text.trim().is_empty()) else {
        return Ok(());
    };
    let script = || steps::script(job, work, "post_build", Some(text), None);
    if work.confine(job).sandbox().is_none() {
        return script();
    }
    let target = published.dir();
    let failed = |error: io::Error| Failure::io(job, "copy", target, &error);
    let copy = Staging::copy_of(job.layout, job.cell).map_err(failed)?;
    work.resume().map_err(failed)?;
    let ran = if Sandbox::has_mounts() {
        with_mount(job, work, copy.dir(), target)
    } else {
        with_exchange(job, work, copy.dir(), target)
    };
    work.settle().map_err(failed)?;
    ran?;
    keep_files_only(copy.dir()).map_err(failed)?;
    let mut taken = Staging::new(job.layout, job.cell).map_err(failed)?;
    copy_tree(copy.dir(), taken.dir()).map_err(|e| Failure::io(job, e.doing, &e.path, &e.source))?;
    taken.sync().map_err(failed)?;
    exchange(taken.dir(), target).map_err(failed)
}

fn with_mount(job: &Job<'_>, work: &Workspace, copy: &Path, target: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io(job, "copy", target, &error);
    let Some(sandbox) = work.confine(job).sandbox() else { return Ok(()) };
    sandbox.hand_over(copy).map_err(failed)?;
    let text = job.conf.scripts.post_build.as_deref();
    let ran = steps::script(job, work, "post_build", text, Some((copy, target)));
    sandbox.end_all();
    sandbox.take_back(copy).map_err(failed)?;
    ran
}

fn with_exchange(job: &Job<'_>, work: &Workspace, copy: &Path, target: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::io(job, "copy", target, &error);
    exchange(copy, target).map_err(failed)?;
    // The same sandbox may not write there: its rules are for the build directory.
    let confinement = work.confinement(job, &[target.to_path_buf()]);
    let text = job.conf.scripts.post_build.as_deref();
    let ran = work.confined_by(confinement, || steps::script(job, work, "post_build", text, None));
    exchange(copy, target).map_err(failed)?;
    ran
}
