//! Makefiles that cannot run several jobs at once.
//!
//! DKMS gives a number of jobs only to a command that begins with `make`. Of others some were never tried with more
//! than one: a file that one job makes is missing where another needs it. Such a build is tried once more with one job
//! before anything is said of its source.

use super::steps::make_command;
use super::workspace::Workspace;
use super::{Failure, Job, diagnose};
use crate::process::interrupt;

/// Whether that may be why a build failed; it says so.
pub(super) fn needs_another_try(job: &Job<'_>, work: &Workspace, failure: &Failure) -> bool {
    let again = job.server.is_shared()
        && job.server.limit() > 1
        && is_serial(&job.conf.make)
        && !failure.toolchain_trouble
        && !failure.took_too_long
        && interrupt::requested().is_none()
        && diagnose::misses_something(&work.log);
    if again {
        let (module, kernel) = (&job.cell.module, &job.cell.kernel);
        job.report.line(&format!(
            "{module} for kernel {kernel}: a file is missing; building it again with one job"
        ));
    }
    again
}

/// Whether DKMS runs this command with one job.
fn is_serial(make: &str) -> bool {
    make_command(make, None, "k", false) == make && !make.contains("-j") && !make.contains("--jobs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dkms_runs_with_several_jobs_is_not_serial() {
        for (make, serial) in [
            ("make all", false),
            ("make", false),
            ("'make' all", true),
            ("./b.sh", true),
            ("cd x && make", true),
            ("'make' -j4", false),
            ("cmake --build . --jobs 4", false),
        ] {
            assert_eq!(is_serial(make), serial, "{make}");
        }
    }
}
