//! Everything that a child has started, so that all of it can be ended.
//!
//! What a program starts may leave its process group, its session and its parent. Its environment it takes along: each
//! child gets a variable with a value that no other has ([`MARK_VARIABLE`]), and whatever has that value belongs to it.
//! Who clears the environment, too, is found while its parents live. In a chroot without `/proc` the process group is all
//! that is known.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::PARENT_VARIABLE;

/// The variable that tells whose child a process is.
pub const MARK_VARIABLE: &str = "DKMS_HOOK_CHILD";

/// The end of its value where a child may leave processes that stay: a script that starts a service.
const MAY_STAY: &str = "-may-stay";

/// Between two looks at what is left of a family that is being killed.
const PAUSE: Duration = Duration::from_millis(10);

/// So often it is looked at. What does not end then waits for a device, and cannot be ended.
const LOOKS: usize = 100;

/// A child with all that it has started.
#[derive(Debug, Clone)]
pub(super) struct Family {
    leader: Pid,
    /// It leads a process group.
    group: bool,
    mark: Option<OsString>,
}

/// A process as proc_pid_stat(5) has it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    pid: i32,
    parent: i32,
    group: i32,
    session: i32,
    dead: bool,
}

/// Gives a child a mark of its own.
pub(super) fn mark(command: &mut Command, may_leave: bool) {
    static STARTED: OnceLock<u128> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Process ids are used again.
    let since = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let (pid, started) = (std::process::id(), STARTED.get_or_init(since));
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let end = if may_leave { MAY_STAY } else { "" };
    command.env(MARK_VARIABLE, format!("{pid}-{started}-{number}{end}"));
}

impl Family {
    /// Of the child that `command` has started.
    pub fn of(command: &Command, leader: u32, group: bool) -> Option<Self> {
        let mark = command.get_envs().find(|(name, _)| *name == MARK_VARIABLE);
        let mark = mark.and_then(|(_, value)| value.map(OsStr::to_owned));
        Some(Self { leader: Pid::from_raw(i32::try_from(leader).ok()?), group, mark })
    }

    /// The process id of the child.
    pub fn leader(&self) -> Pid {
        self.leader
    }

    /// True when it is in our process group, where the terminal's Ctrl-C reaches it.
    pub fn is_in_our_group(&self) -> bool {
        !self.group
    }

    /// True when processes of it may stay when the child itself has ended.
    pub fn may_leave(&self) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.as_bytes().ends_with(MAY_STAY.as_bytes()))
    }

    /// Sends a signal to all of it, once to each.
    pub fn signal(&self, signal: Signal) {
        let members = self.members();
        if self.group {
            let _ = killpg(self.leader, signal);
        }
        for (pid, in_group) in members {
            if !(self.group && in_group) {
                let _ = kill(Pid::from_raw(pid), signal);
            }
        }
    }

    /// Kills all of it. What starts something meanwhile is found by another look.
    pub fn kill(&self) {
        for _ in 0..LOOKS {
            self.signal(Signal::SIGKILL);
            if self.members().is_empty() || !has_proc() {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Its processes that have not ended, each with whether it is in the leader's process group.
    fn members(&self) -> Vec<(i32, bool)> {
        let leader = self.leader.as_raw();
        let all = processes();
        if all.is_empty() {
            return vec![(leader, true)];
        }
        let ours = |seen: &Seen| self.group && (seen.group == leader || seen.session == leader);
        let marked =
            |seen: &Seen| self.mark.as_ref().is_some_and(|mark| has_variable(seen.pid, MARK_VARIABLE, mark));
        let mut members: BTreeSet<i32> = all
            .iter()
            .filter(|seen| seen.pid == leader || ours(seen) || marked(seen))
            .map(|seen| seen.pid)
            .collect();
        loop {
            let children = all.iter().filter(|seen| members.contains(&seen.parent)).map(|seen| seen.pid);
            let more: Vec<i32> = children.filter(|pid| !members.contains(pid)).collect();
            if more.is_empty() {
                break;
            }
            members.extend(more);
        }
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        let alive = all.iter().filter(|seen| !seen.dead && seen.pid != own && members.contains(&seen.pid));
        alive.map(|seen| (seen.pid, seen.group == leader)).collect()
    }
}

/// What a run with this process id has started and what still runs, each with whether it may stay.
pub fn started_by(run: u32) -> Vec<(Pid, bool)> {
    let run = OsString::from(run.to_string());
    let alive = processes().into_iter().filter(|seen| !seen.dead);
    let started = alive.filter(|seen| has_variable(seen.pid, PARENT_VARIABLE, &run));
    let may_stay = |pid: i32| {
        // An earlier version gave no marks.
        variable(pid, MARK_VARIABLE).is_none_or(|mark| mark.ends_with(MAY_STAY.as_bytes()))
    };
    started.map(|seen| (Pid::from_raw(seen.pid), may_stay(seen.pid))).collect()
}

fn has_proc() -> bool {
    look(i32::try_from(std::process::id()).unwrap_or_default()).is_some()
}

fn processes() -> Vec<Seen> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| look(entry.file_name().to_str()?.parse().ok()?)).collect()
}

fn look(pid: i32) -> Option<Seen> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    // The second field is the name in parentheses, which may hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let dead = matches!(fields.next()?, "Z" | "X" | "x");
    let mut number = || fields.next()?.parse().ok();
    Some(Seen { pid, parent: number()?, group: number()?, session: number()?, dead })
}

fn has_variable(pid: i32, name: &str, value: &OsStr) -> bool {
    variable(pid, name).is_some_and(|found| found == value.as_bytes())
}

/// A variable of a process's environment when it was started (proc_pid_environ(5)).
fn variable(pid: i32, name: &str) -> Option<Vec<u8>> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let values = environment.split(|byte| *byte == 0);
    values
        .filter_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .next()
        .map(<[u8]>::to_vec)
}
