//! How a child begins and ends: it ends with this process, leads a process group where that is asked for, and is
//! ended, with all that it started, when its time is over.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpid, getppid};

use super::family::Family;

/// Between asking a child to end and killing it.
const GRACE: Duration = Duration::from_secs(2);

/// After that a child that was killed is not waited for any more: it waits for a device.
const DYING: Duration = Duration::from_secs(10);

/// Between two looks at a child where there is no thread to wait for it.
const PAUSE: Duration = Duration::from_millis(10);

/// Kills the child when this process dies, even if that happens before it has begun. To be the last thing that is said
/// of a child: who becomes another user is not killed any more (prctl(2), PR_SET_PDEATHSIG).
pub(super) fn end_with_us(command: &mut Command) {
    let parent = getpid();
    // SAFETY: between fork and exec only prctl(2) and getppid(2) are called, which are async-signal-safe; nothing
    // is allocated and no lock taken.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            // In a process namespace of its own it has no parent.
            let now = getppid();
            if now == parent || now.as_raw() == 0 { Ok(()) } else { Err(nix::errno::Errno::ESRCH.into()) }
        });
    }
}

/// Waits for the end of a child. `None` when it took longer than `limit`: it and all that it started was asked to end
/// (SIGTERM), and killed.
pub(super) fn wait(mut child: Child, limit: Duration, family: &Family) -> io::Result<Option<ExitStatus>> {
    let end = End::of(family.leader());
    if end.comes_within(limit, &mut child)? {
        return child.wait().map(Some);
    }
    family.signal(Signal::SIGTERM);
    end.comes_within(GRACE, &mut child)?;
    family.kill();
    if end.comes_within(DYING, &mut child)? {
        child.wait()?;
    }
    Ok(None)
}

/// The end of a child, waited for by a thread; it is not reaped, so that its process id stays its own.
struct End(Option<Receiver<()>>);

impl End {
    fn of(child: Pid) -> Self {
        let (sender, ended) = channel();
        let wait = move || {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            while waitid(Id::Pid(child), flags) == Err(nix::errno::Errno::EINTR) {}
            drop(sender);
        };
        let thread = std::thread::Builder::new().name("waiting".to_owned()).stack_size(64 << 10).spawn(wait);
        Self(thread.is_ok().then_some(ended))
    }

    fn comes_within(&self, time: Duration, child: &mut Child) -> io::Result<bool> {
        if let Some(ended) = &self.0 {
            return Ok(matches!(ended.recv_timeout(time), Err(RecvTimeoutError::Disconnected)));
        }
        let end = Instant::now().checked_add(time);
        while child.try_wait()?.is_none() {
            if end.is_some_and(|end| Instant::now() >= end) {
                return Ok(false);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(true)
    }
}
