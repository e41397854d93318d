//! Builds that ended because there was not enough memory.
//!
//! That says nothing about the source. Such a build is tried once more in the same run: alone, with one job.

use super::Job;
use crate::process::interrupt;
use crate::process::jobserver::Alone;

/// What a person can do where even that is not enough.
pub(super) const ADVICE: &str = "the machine ran out of memory; free some, or add swap";

/// What a program says that was given no more memory.
const REFUSED: [&str; 5] = [
    "Cannot allocate memory",
    "virtual memory exhausted",
    "out of memory allocating",
    "LLVM ERROR: out of memory",
    "std::bad_alloc",
];

/// What others say of a program that was killed: gcc and clang of their parts.
const KILLED: [&str; 2] = ["Killed signal terminated program", "unable to execute command: Killed"];

/// How lines end in which make and a shell say it of a command.
const KILLED_AT_THE_END: [&str; 2] = ["Killed", "Error 137"];

/// Whether a command ended for want of memory, by its exit status, what it printed, and whether the kernel has
/// killed anything for that meanwhile (`None` where it does not say).
pub(super) fn was_short(status: i32, printed: &str, kernel_killed: Option<bool>) -> bool {
    let says = |signs: &[&str]| printed.lines().any(|line| signs.iter().any(|sign| line.contains(sign)));
    let ends = |signs: &[&str]| printed.lines().any(|line| signs.iter().any(|sign| line.ends_with(sign)));
    let killed = status == 128 + 9 || says(&KILLED) || ends(&KILLED_AT_THE_END);
    // A person may have killed it.
    says(&REFUSED) || (killed && kernel_killed != Some(false))
}

/// Waits until the build can be tried again alone, and says so. `None` where that makes no sense.
pub(super) fn try_again(job: &Job<'_>) -> Option<Alone> {
    let stopped = || interrupt::requested().is_some();
    let alone = job.server.alone_unless(&stopped).filter(|_| !stopped())?;
    job.report.line(&format!(
        "{} for kernel {}: memory ran out; building it again alone, with one job",
        job.cell.module, job.cell.kernel
    ));
    Some(alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_counts_if_the_kernel_may_have_done_it() {
        let gcc = "gcc: fatal error: Killed signal terminated program cc1\ncompilation terminated.\n";
        let make = "make[2]: *** [Makefile:7: x.o] Killed\n";
        let rows = [
            (137, "", Some(true), true),
            (137, "", None, true),
            (137, "", Some(false), false),
            (2, gcc, Some(true), true),
            (2, gcc, Some(false), false),
            (2, make, None, true),
            (2, "make: *** [Makefile:7: x.o] Error 137\n", Some(true), true),
            (2, make, Some(false), false),
            (2, "x.c:1:1: error: expected ';'\n", Some(true), false),
            (2, "cc1: out of memory allocating 65536 bytes\n", Some(false), true),
            (1, "fork: Cannot allocate memory\n", None, true),
            (130, "", Some(true), false),
        ];
        for (status, printed, kernel_killed, expected) in rows {
            assert_eq!(
                was_short(status, printed, kernel_killed),
                expected,
                "{status} {printed} {kernel_killed:?}"
            );
        }
    }
}
