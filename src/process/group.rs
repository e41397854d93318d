//! A child with a time limit: it leads a process group, so that it can be ended with all it started.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Between asking a group to end and killing it.
const GRACE: Duration = Duration::from_secs(2);

/// The longest pause between two looks at a child.
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// Makes the child the leader of a process group, killed when this process dies. The leader of a session
/// (`has_session`) leads a group already.
pub(super) fn lead(command: &mut Command, has_session: bool) {
    if !has_session {
        command.process_group(0);
    }
    // SAFETY: between fork and exec only prctl(2) is called, which is async-signal-safe; it allocates
    // nothing and takes no lock.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(|| nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from));
    }
}

/// Waits for the end of a group's leader. `None` when it took longer than `limit`: the group was asked to end
/// (SIGTERM), and killed when it did not.
pub(super) fn wait(mut child: Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    if let Some(status) = wait_until(&mut child, Instant::now().checked_add(limit))? {
        return Ok(Some(status));
    }
    signal_group(&child, Signal::SIGTERM);
    wait_until(&mut child, Instant::now().checked_add(GRACE))?;
    // Members that outlive their leader are still in the group.
    signal_group(&child, Signal::SIGKILL);
    child.wait()?;
    Ok(None)
}

/// `None` when it still runs at that time. Without a time, it waits as long as it takes.
fn wait_until(child: &mut Child, end: Option<Instant>) -> io::Result<Option<ExitStatus>> {
    let mut pause = Duration::from_micros(500);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if end.is_some_and(|end| Instant::now() >= end) {
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn signal_group(child: &Child, signal: Signal) {
    if let Ok(group) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(group), signal);
    }
}
