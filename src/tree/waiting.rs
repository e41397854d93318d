//! Waiting for the run that holds the lock: who it is, since when, and until when it is waited for.

use std::fs::File;
use std::fs::TryLockError;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::fs::look;
use crate::model::error::{Error, Kind, Result};
use crate::model::settings::{Limit, written};
use crate::progress::Report;

/// Between two words about it.
const EVERY: Duration = Duration::from_secs(30);

/// The longest pause between two looks at the lock.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How long a run is waited for that an earlier hook has waited for in vain: the hooks of one transaction together are
/// not to take many times as long as one of them.
const ONCE_MORE: Duration = Duration::from_secs(5);

/// Characters of a command line that are shown.
const SHOWN: usize = 100;

/// Who holds the lock.
#[derive(Debug, Default, PartialEq, Eq)]
struct Holder {
    pid: Option<u32>,
    command: Option<String>,
    /// How long it has it; known of a run of this program.
    since: Option<Duration>,
    stopped: bool,
}

/// Waits until the lock is ours, however long that takes, or as long as `patience` says. `given_up` is when an earlier run
/// gave up waiting, if that has not been made up for since.
///
/// # Errors
/// [`Kind::Locked`] when it is not ours until then.
pub(super) fn wait(
    file: &File,
    path: &Path,
    patience: Limit,
    given_up: Option<SystemTime>,
    report: &dyn Report,
) -> Result<()> {
    let begin = Instant::now();
    let mut told: Option<Instant> = None;
    let mut pause = Duration::from_millis(2);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", path, &error)),
        }
        let over = patience.time.is_some_and(|time| {
            let taken = std::fs::metadata(path).and_then(|meta| meta.modified());
            let known = given_up.is_some_and(|given_up| taken.is_ok_and(|taken| taken <= given_up));
            begin.elapsed() >= if known { time.min(ONCE_MORE) } else { time }
        });
        if over {
            let holder = Holder::of(file, path);
            let text = format!(
                "another run{} has not finished; this one waited {} ({}) and leaves its work to the next run",
                holder.text(),
                written(Duration::from_secs(begin.elapsed().as_secs())),
                patience.setting
            );
            let next = "when that run has ended, `dkms-hook` does what is left; so does the next hook";
            return Err(Error::new(Kind::Locked, text).hint(format!("{}{next}", holder.advice())));
        }
        if told.is_none_or(|told| told.elapsed() >= EVERY) {
            let holder = Holder::of(file, path);
            let begins = if told.is_none() { "Waiting" } else { "Still waiting" };
            report.line(&format!("{begins} for another run{} to finish.{}", holder.text(), holder.remark()));
            told = Some(Instant::now());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl Holder {
    fn of(file: &File, path: &Path) -> Self {
        let written = written_in(path).filter(|pid| stat(*pid).is_some());
        let Some(pid) = written.or_else(|| listed(file)) else { return Self::default() };
        let since = std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        let since = since
            .filter(|_| written.is_some())
            .and_then(|since| SystemTime::now().duration_since(since).ok());
        let stopped = stat(pid).is_some_and(|state| matches!(state, b'T' | b't'));
        Self { pid: Some(pid), command: command(pid), since, stopped }
    }

    /// In words that follow "another run".
    fn text(&self) -> String {
        let Some(pid) = self.pid else { return String::new() };
        let command = self.command.as_ref().map(|command| format!(", `{command}`")).unwrap_or_default();
        let since = self.since.map(|since| format!(", since {}", ago(since))).unwrap_or_default();
        format!(" (process {pid}{command}{since})")
    }

    /// What follows the sentence.
    fn remark(&self) -> String {
        let advice = self.advice();
        if advice.is_empty() { advice } else { format!(" {}", advice.trim_end()) }
    }

    fn advice(&self) -> String {
        match self.pid {
            Some(pid) if self.stopped => format!("It is stopped: `kill -CONT {pid}` lets it go on.\n"),
            _ => String::new(),
        }
    }
}

/// The process id in a lock file.
pub(super) fn written_in(path: &Path) -> Option<u32> {
    String::from_utf8(look::read(path).ok()??).ok()?.trim().parse().ok()
}

/// A duration as people say it.
fn ago(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3_600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s ago"),
        (0, minutes) => format!("{minutes} min ago"),
        (hours, minutes) => format!("{hours} h {minutes} min ago"),
    }
}

/// The state of a process, as proc_pid_stat(5) has it.
fn stat(pid: u32) -> Option<u8> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = text.iter().rposition(|byte| *byte == b')')?;
    text[end + 1..].iter().copied().find(|byte| *byte != b' ')
}

/// Its command line; nothing in it can do anything to a terminal.
fn command(pid: u32) -> Option<String> {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words = String::from_utf8_lossy(&words).trim_end_matches('\0').replace('\0', " ");
    let text: String = words.chars().map(|c| if c.is_control() { '?' } else { c }).take(SHOWN).collect();
    (!text.is_empty()).then_some(text)
}

/// The process that the kernel names for it (proc_locks(5)): it need not be a run of this program.
fn listed(file: &File) -> Option<u32> {
    let meta = file.metadata().ok()?;
    let inode = format!(":{}", meta.ino());
    let locks = String::from_utf8(look::read(Path::new("/proc/locks")).ok()??).ok()?;
    let of_file =
        |line: &&str| line.split_whitespace().any(|word| word.ends_with(&inode)) && line.contains("FLOCK");
    let line = locks.lines().filter(|line| !line.contains("->")).find(of_file)?;
    line.split_whitespace().nth(4)?.parse().ok().filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_named_with_its_command_and_its_time() {
        let holder = Holder {
            pid: Some(7),
            command: Some("dkms-hook deb trigger".to_owned()),
            since: Some(Duration::from_secs(125)),
            stopped: false,
        };
        assert_eq!(holder.text(), " (process 7, `dkms-hook deb trigger`, since 2 min ago)");
        assert_eq!((holder.remark(), Holder::default().text()), (String::new(), String::new()));
        let stopped = Holder { stopped: true, ..holder };
        assert_eq!(stopped.remark(), " It is stopped: `kill -CONT 7` lets it go on.");
    }

    #[test]
    fn one_that_is_none_of_ours_is_found_by_its_lock() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().lock().unwrap();
        let holder = Holder::of(file.as_file(), file.path());
        assert_eq!((holder.pid, holder.since), (Some(std::process::id()), None));
        assert!(holder.command.is_some_and(|command| !command.contains('\0')));
    }
}
