//! The processes of this namespace: all but ourselves come of a run.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// Those that live, with their names. What has ended and nobody waited for is waited for.
pub fn living() -> Vec<(Pid, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).map(Pid::from_raw)
        else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((name, rest)) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')) else {
            continue;
        };
        if pid == nix::unistd::getpid() {
            continue;
        }
        if rest.trim_start().starts_with(['Z', 'X']) {
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
            continue;
        }
        found.push((pid, name.to_owned()));
    }
    found
}

/// Those that are still there after a moment: what is ending is given the time.
pub fn that_stay() -> Vec<String> {
    let begin = Instant::now();
    loop {
        let found = living();
        if found.is_empty() || begin.elapsed() > Duration::from_millis(1500) {
            return found.into_iter().map(|(_, name)| name).collect();
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Kills all of them. This process is the first of its namespace, so they are all of ours.
pub fn end_all() {
    assert_eq!(nix::unistd::getpid().as_raw(), 1, "only in a namespace of our own");
    for (pid, _) in living() {
        let _ = kill(pid, Signal::SIGKILL);
    }
}
