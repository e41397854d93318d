//! From a fork of this program to a confined one: all that happens before exec.
//!
//! The child of this program makes the namespaces. Where processes have one of their own, it forks again: the first
//! process in there (its *init*) ends everything in it by its own end, so nothing stays behind; and once more, since
//! an init ignores signals that it does not expect, for the program itself. Both wait, and pass the exit status on.
//!
//! Everything is ready before the first fork. What is called here are plain system calls, which allocate nothing and
//! take no lock.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc::sock_filter;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, chdir, fork, setgroups, setresgid, setresuid, write};

use super::limits::Limits;
use super::mounts::Mounts;
use super::sys;

/// What a child does on its way.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where it starts.
    pub inside: CString,
    /// What it has of its own.
    pub namespaces: CloneFlags,
    /// A user namespace comes first: what is written to its maps.
    pub user_namespace: Option<UserMaps>,
    pub mounts: Option<Mounts>,
    /// Whether `/proc` is to show its own processes.
    pub proc: bool,
    /// Whom it becomes.
    pub user: Option<(Uid, Gid)>,
    pub limits: Limits,
    pub rules: Option<OwnedFd>,
    pub filter: Option<Vec<sock_filter>>,
}

/// The maps of a user namespace in which this user is who it is outside, and nobody else is anybody.
#[derive(Debug)]
pub(super) struct UserMaps {
    uid: Vec<u8>,
    gid: Vec<u8>,
}

impl UserMaps {
    pub(super) fn of(uid: u32, gid: u32) -> Self {
        let line = |id: u32| format!("{id} {id} 1\n").into_bytes();
        Self { uid: line(uid), gid: line(gid) }
    }

    /// Enters it.
    pub(super) fn enter(&self) -> nix::Result<()> {
        // The maps belong to root while this cannot be looked into, as it became another user.
        prctl::set_dumpable(true)?;
        unshare(CloneFlags::CLONE_NEWUSER)?;
        put(c"/proc/self/setgroups", b"deny")?;
        put(c"/proc/self/uid_map", &self.uid)?;
        put(c"/proc/self/gid_map", &self.gid)
    }
}

fn put(file: &CStr, text: &[u8]) -> nix::Result<()> {
    let file = open(file, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    write(file, text).map(drop)
}

impl Entry {
    /// Becomes confined. Returns in the process that is to exec.
    ///
    /// # Errors
    /// The first thing that was refused.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        Ok(self.go()?)
    }

    fn go(&mut self) -> nix::Result<()> {
        // Signals are for the program, not for those that wait for it. And they shall not run what the program that
        // this is a copy of does at a signal.
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before))?;
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if let Some(maps) = &self.user_namespace {
            self.change_user()?;
            maps.enter()?;
        }
        unshare(self.namespaces)?;
        if let Some(mounts) = &mut self.mounts {
            mounts.carry_out()?;
        }
        if self.namespaces.contains(CloneFlags::CLONE_NEWPID) {
            into_own_processes(self.proc)?;
        }
        self.limits.set()?;
        sys::leave_keyring();
        refused_is_none(sys::drop_bounding_set())?;
        if self.user_namespace.is_none() {
            self.change_user()?;
        }
        sys::drop_capabilities()?;
        prctl::set_no_new_privs()?;
        chdir(self.inside.as_c_str())?;
        if let Some(rules) = &self.rules {
            sys::landlock_restrict(rules.as_fd())?;
        }
        if let Some(filter) = &self.filter {
            sys::filter(filter)?;
        }
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            heed(signal)?;
        }
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)
    }

    fn change_user(&self) -> nix::Result<()> {
        let Some((uid, gid)) = self.user else { return Ok(()) };
        setgroups(&[])?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
        // Who becomes another user is not killed with its parent any more (prctl(2)).
        prctl::set_pdeathsig(Signal::SIGKILL)
    }
}

/// What one who has no right to give up has not.
fn refused_is_none(given_up: nix::Result<()>) -> nix::Result<()> {
    if given_up == Err(Errno::EPERM) { Ok(()) } else { given_up }
}

/// A signal that this program handles ends the one that takes its place; one that is ignored stays so.
#[allow(unsafe_code)]
fn heed(signal: Signal) -> nix::Result<()> {
    // SAFETY: neither of these handlers is code of ours.
    unsafe {
        if matches!(nix::sys::signal::signal(signal, SigHandler::SigDfl)?, SigHandler::SigIgn) {
            nix::sys::signal::signal(signal, SigHandler::SigIgn)?;
        }
    }
    Ok(())
}

/// Goes on as a process of the new namespace.
pub(super) fn into_own_processes(proc: bool) -> nix::Result<()> {
    go_on_as_child()?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if proc {
        let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some(c"proc"), c"/proc", Some(c"proc"), flags, None::<&CStr>)?;
    }
    go_on_as_child()
}

#[allow(unsafe_code)]
fn go_on_as_child() -> nix::Result<()> {
    // SAFETY: this process has one thread, as the child of a fork; both go on with plain system calls.
    match unsafe { fork() }? {
        ForkResult::Child => Ok(()),
        ForkResult::Parent { child } => end_as(child),
    }
}

/// Waits for a child, and ends as it ended. Others that become this process's children, as they do an init's, are
/// waited for meanwhile.
fn end_as(child: Pid) -> ! {
    // The other end of each pipe shall see when the program itself has ended.
    sys::close_from(3);
    let status = loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => break status,
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => break 128 + signal as i32,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => break 127,
        }
    };
    // SAFETY: it ends this process and touches nothing of it.
    #[allow(unsafe_code)]
    unsafe {
        nix::libc::_exit(status)
    }
}
