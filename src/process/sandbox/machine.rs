//! What this machine gives: each layer is tried once by a child, before the first program is confined.

use std::ffi::CStr;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Uid, fork, getegid, geteuid, setgroups, setresgid, setresuid};

use super::enter::{UserMaps, into_own_processes};
use super::mounts::{RootKind, own_root};
use super::{filter, sys, user};

/// A layer, or why there is none.
pub(super) type Layer<T> = Result<T, Errno>;

/// All layers.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    /// Another user can be become.
    pub user: Layer<()>,
    /// A user namespace has to come first, for want of the right to make the others.
    pub in_user_namespace: bool,
    pub mounts: Layer<RootKind>,
    pub processes: Layer<()>,
    /// With a /proc that shows the processes of the namespace.
    pub proc: Layer<()>,
    pub network: Layer<()>,
    pub ipc: Layer<()>,
    pub names: Layer<()>,
    /// The version of Landlock.
    pub landlock: Layer<i32>,
    pub filter: Layer<()>,
}

impl Machine {
    /// This one. Some milliseconds, once.
    pub(super) fn here() -> &'static Self {
        static HERE: OnceLock<Machine> = OnceLock::new();
        HERE.get_or_init(Self::look)
    }

    fn look() -> Self {
        let user = become_another();
        let direct = Way { maps: None, user: None };
        let inside = Way::in_user_namespace(user.is_ok());
        let mut way = &direct;
        let mut mounts = way.mounts();
        if mounts.is_err() && inside.attempt(|| Ok(())).is_ok() {
            let there = inside.mounts();
            if there.is_ok() || inside.has(CloneFlags::CLONE_NEWPID).is_ok() {
                (way, mounts) = (&inside, there);
            }
        }
        let own_proc = || {
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)?;
            own_root(mounts?)?;
            into_own_processes(true)
        };
        Self {
            user,
            in_user_namespace: way.maps.is_some(),
            processes: way.has(CloneFlags::CLONE_NEWPID),
            proc: way.attempt(own_proc),
            network: way.has(CloneFlags::CLONE_NEWNET),
            ipc: way.has(CloneFlags::CLONE_NEWIPC),
            names: way.has(CloneFlags::CLONE_NEWUTS),
            // Before the second version, no file could be renamed to another directory.
            landlock: sys::landlock_version().and_then(|v| if v >= 2 { Ok(v) } else { Err(Errno::ENOSYS) }),
            filter: filter::program().ok_or(Errno::ENOSYS).and_then(|program| {
                attempt(|| {
                    nix::sys::prctl::set_no_new_privs()?;
                    sys::filter(&program)
                })
            }),
            mounts,
        }
    }

    /// The namespaces that a program gets, beside that of mounts.
    pub(super) fn namespaces(&self) -> CloneFlags {
        let all = [
            (&self.processes, CloneFlags::CLONE_NEWPID),
            (&self.network, CloneFlags::CLONE_NEWNET),
            (&self.ipc, CloneFlags::CLONE_NEWIPC),
            (&self.names, CloneFlags::CLONE_NEWUTS),
        ];
        all.into_iter().filter(|(layer, _)| layer.is_ok()).map(|(_, flag)| flag).collect()
    }
}

/// How a child comes to the right to make namespaces.
struct Way {
    maps: Option<UserMaps>,
    user: Option<u32>,
}

impl Way {
    fn in_user_namespace(may_change: bool) -> Self {
        match may_change.then(user::User::choose).flatten() {
            Some(user) => Self { maps: Some(UserMaps::of(user.uid, user.gid)), user: Some(user.uid) },
            None => {
                let maps = UserMaps::of(geteuid().as_raw(), getegid().as_raw());
                Self { maps: Some(maps), user: None }
            }
        }
    }

    fn attempt(&self, what: impl FnOnce() -> nix::Result<()>) -> Layer<()> {
        attempt(|| {
            if let Some(uid) = self.user {
                change(uid, uid)?;
            }
            self.maps.as_ref().map_or(Ok(()), UserMaps::enter)?;
            what()
        })
    }

    fn has(&self, namespace: CloneFlags) -> Layer<()> {
        self.attempt(|| unshare(namespace))
    }

    /// Whether all that is done with mounts can be done.
    fn mounts(&self) -> Layer<RootKind> {
        let with = |kind| {
            self.attempt(|| {
                unshare(CloneFlags::CLONE_NEWNS)?;
                own_root(kind)?;
                let kept = sys::clone_mount(c"/tmp")?;
                let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
                mount(Some(c"tmpfs"), c"/tmp", Some(c"tmpfs"), flags, None::<&CStr>)?;
                sys::put_mount(kept, c"/tmp")?;
                sys::read_only(c"/")?;
                sys::writable(c"/tmp")
            })
            .map(|()| kind)
        };
        match with(RootKind::Mount) {
            Err(Errno::EINVAL) => with(RootKind::Directory),
            other => other,
        }
    }
}

fn become_another() -> Layer<()> {
    if !geteuid().is_root() {
        return Err(Errno::EPERM);
    }
    let user = user::User::choose().ok_or(Errno::EINVAL)?;
    attempt(|| change(user.uid, user.gid))
}

fn change(uid: u32, gid: u32) -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)
}

/// Lets a child do something, and says how that went.
#[allow(unsafe_code)]
fn attempt(what: impl FnOnce() -> nix::Result<()>) -> Layer<()> {
    // SAFETY: the child makes plain system calls, which allocate nothing and take no lock, and ends.
    let child = match unsafe { fork() }? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let status = what().map_or_else(|error| error as i32, |()| 0);
            // SAFETY: it ends this process and touches nothing of it.
            unsafe { nix::libc::_exit(status) }
        }
    };
    loop {
        return match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => Ok(()),
            Ok(WaitStatus::Exited(_, status)) => Err(Errno::from_raw(status)),
            Err(Errno::EINTR) => continue,
            Ok(_) => Err(Errno::ECANCELED),
            Err(error) => Err(error),
        };
    }
}

/// Lets every process of a user end, at once and for good: it can start no other meanwhile.
pub(super) fn end_all_of(uid: u32) {
    let _ = attempt(|| {
        change(uid, uid)?;
        match nix::sys::signal::kill(nix::unistd::Pid::from_raw(-1), nix::sys::signal::SIGKILL) {
            Err(Errno::ESRCH) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    });
}
