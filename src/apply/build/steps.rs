//! The commands that a dkms.conf asks for, run in the build directory and logged in make.log.

use std::path::Path;
use std::time::Instant;

use super::confine::{limit_that_struck, needs_more};
use super::diagnose::{diagnose, lacks_a_file};
use super::makefiles::{self, Remarks};
use super::stand_ins::StandIns;
use super::workspace::Workspace;
use super::{Failure, Job, disk};
use crate::apply::script;
use crate::fs::regular;
use crate::kernel::Kbuild;
use crate::model::error::Kind;
use crate::process::{Process, ProcessError, more_time, took_longer};

/// The make command: `make` at its beginning gets the number of jobs (0: no limit; `None`: nothing) and the kernel
/// release, as DKMS does it; a text that begins otherwise is left alone.
pub(super) fn make_command(make: &str, jobs: Option<usize>, kernel: &str, llvm: bool) -> String {
    let mut command = match make.strip_prefix("make") {
        Some(rest) if !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "_-.".contains(c)) => {
            let jobs = match jobs {
                Some(0) => " -j".to_owned(),
                Some(jobs) => format!(" -j{jobs}"),
                None => String::new(),
            };
            format!("make{jobs} KERNELRELEASE={kernel}{rest}")
        }
        _ => make.to_owned(),
    };
    if llvm {
        command.push_str(" LLVM=1");
    }
    command
}

/// Applies the patches for this kernel.
pub(super) fn patch(job: &Job<'_>, work: &Workspace) -> Result<(), Failure> {
    for name in &job.conf.patches {
        if Path::new(name).components().any(|part| part == std::path::Component::ParentDir) {
            let what = format!("patch {name} in dkms.conf has a `..` in its path");
            return Err(Failure::new(Kind::PatchMissing, what));
        }
        let file = work.dir.join("patches").join(name);
        // A link that leads nowhere, or somewhere else, is for the shell below to find out.
        if !file.is_file() {
            let what = format!("patch {name} in dkms.conf is missing: there is no {}", work.show(&file));
            return Err(Failure::new(Kind::PatchMissing, what));
        }
        // Without --force, patch asks questions at the terminal when there is one. A shell opens the file, which may be
        // a link: it may read no more than the build.
        let patch = Process::bash("exec patch --force -p1 < \"$1\"").arg("bash");
        let process = patch.arg(work.seen.join("patches").join(name));
        let process = process.shown(format!("patch --force -p1 < ./patches/{name}"));
        let status = logged(job, work, process, &format!("Applying patch {name}"))?;
        if status != 0 {
            let what = format!("patch {name} does not apply (patch ended with exit status {status})");
            return Err(diagnosed(job, work, Kind::PatchFailed, what, status));
        }
    }
    Ok(())
}

/// Runs PRE_BUILD or POST_BUILD. Its exit status becomes that of the build, as scripts expect. `view`: a directory that
/// it sees in the place of another.
pub(super) fn script(
    job: &Job<'_>,
    work: &Workspace,
    kind: &str,
    text: Option<&str>,
    view: Option<(&Path, &Path)>,
) -> Result<(), Failure> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(()) };
    let found = script::find(job.layout, &job.cell.module, text, &work.dir, &work.seen);
    let Some(process) = found.and_then(|found| found.by_shell()) else {
        let missing = format!("the {kind} script {text} is not executable; skipping it");
        work.warn(job, missing);
        return Ok(());
    };
    let process = match view {
        Some((dir, at)) => process.seeing(dir, at),
        None => process,
    };
    let status = logged(job, work, process, &format!("Running the {kind} script"))?;
    if status == 0 {
        return Ok(());
    }
    let failed = u8::try_from(status).map_or(Kind::Make, Kind::Script);
    Err(diagnosed(job, work, failed, format!("the {kind} script ended with exit status {status}"), status))
}

/// Runs make. The log shows the command as DKMS would run it; where make takes its jobs from a server, it is run
/// without their number.
pub(super) fn make(job: &Job<'_>, work: &Workspace, first: &StandIns, llvm: bool) -> Result<(), Failure> {
    let command = |jobs| make_command(&job.conf.make, jobs, job.cell.kernel.as_str(), llvm);
    let shown = command(Some(job.server.jobs_now()));
    let run = if job.server.is_shared() { first.by_name(&command(None)) } else { shown.clone() };
    let remarks = remarks(job, work);
    remarks.warnings.iter().for_each(|warning| work.warn(job, warning));
    let status = logged(job, work, Process::bash(&run).shown(shown), "Building module(s)")?;
    if status == 0 {
        return Ok(());
    }
    let mut failure =
        diagnosed(job, work, Kind::Make, format!("make failed with exit status {status}"), status);
    failure.hint = failure.hint.or_else(|| remarks.hint(lacks_a_file(&work.log)));
    Err(failure)
}

/// What of the source the kernel's build system may take otherwise than its author meant.
fn remarks(job: &Job<'_>, work: &Workspace) -> Remarks {
    let kbuild = Kbuild::of(&job.context.kernel_source_dir);
    kbuild.map(|kbuild| makefiles::remarks(&work.dir, &job.conf.make, &kbuild)).unwrap_or_default()
}

fn logged(job: &Job<'_>, work: &Workspace, process: Process, heading: &str) -> Result<i32, Failure> {
    // A server of another make may have no name that the user of builds can open.
    let one_job = work.one_job || job.server.is_anothers() && work.confine(job).sandbox().is_some();
    let process = work.inside(process);
    let process = if one_job { job.server.attach_one(process) } else { job.server.attach(process) };
    let process = process.in_own_group().with_many_files().within(*job.settings.limits.build);
    job.report.begin(if job.verbose { process.text() } else { heading.to_owned() }.as_str());
    let begin = Instant::now();
    let log = |source| ProcessError::Log { path: work.log.clone(), source };
    let result =
        work.with_log(|file| process.run_logged_into(heading, file, &work.log)).map_err(log).flatten();
    work.took.set(work.took.get() + begin.elapsed());
    job.report.end(*result.as_ref().unwrap_or(&127));
    result.map_err(|error| match &error {
        ProcessError::Missing { program } => {
            let hint = format!("install {}", program.to_string_lossy());
            Failure::new(Kind::Make, error.to_string()).trouble().hint(hint)
        }
        // With the same inputs it would take that long again, and keep every hook waiting.
        ProcessError::TimedOut { limit, .. } => {
            let what = format!("\"{heading}\" {}", took_longer(limit));
            Failure { took_too_long: true, ..Failure::new(Kind::Make, what).hint(more_time(limit)) }
        }
        _ => Failure::new(Kind::Make, error.to_string()).trouble(),
    })
}

fn diagnosed(job: &Job<'_>, work: &Workspace, kind: Kind, what: String, status: i32) -> Failure {
    let found = diagnose(&work.log, &work.seen, status, work.kernel_killed());
    let mut failure = Failure::new(kind, what);
    failure.first_errors = found.errors;
    failure.toolchain_trouble = found.trouble.is_some();
    failure.out_of_memory = found.out_of_memory;
    failure.disk_full = found.trouble.as_deref() == Some(disk::ADVICE);
    failure.hint = found.trouble;
    if work.confine(job).sandbox().is_some() {
        let printed =
            regular::read_itself(&work.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        // The line about the sandbox itself says why layers of it are missing.
        let printed = printed.unwrap_or_default().replace(&work.confine(job).text(), "");
        if let Some(more) = needs_more(&printed) {
            // It is not the machine that is at fault, and another try would end the same way.
            failure.hint = Some(more.to_owned());
            (failure.toolchain_trouble, failure.held_back) = (false, true);
        }
        if let Some(limit) = limit_that_struck(&printed, job) {
            (failure.hint, failure.held_back) = (Some(limit), true);
        }
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_leading_make_is_rewritten() {
        let cases = [
            ("make -C x", 4, "make -j4 KERNELRELEASE=6.1 -C x"),
            ("make", 0, "make -j KERNELRELEASE=6.1"),
            ("make; cd ..", 1, "make -j1 KERNELRELEASE=6.1; cd .."),
            ("'make' all", 4, "'make' all"),
            ("V=1 make all", 4, "V=1 make all"),
            ("makefoo all", 4, "makefoo all"),
            ("./build.sh", 4, "./build.sh"),
        ];
        for (make, jobs, expected) in cases {
            assert_eq!(make_command(make, Some(jobs), "6.1", false), expected);
        }
        assert_eq!(make_command("make all", Some(2), "6.1", true), "make -j2 KERNELRELEASE=6.1 all LLVM=1");
        assert_eq!(make_command("make all", None, "6.1", false), "make KERNELRELEASE=6.1 all");
    }
}
