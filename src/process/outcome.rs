//! How a child ended, or why it has no exit status.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use super::not_found;
use crate::model::settings::Limit;

/// Why a child has no exit status.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// There is no such program.
    #[error("{}", not_found(&.program.to_string_lossy()))]
    Missing {
        /// Its name or path.
        program: OsString,
    },
    /// Anything else.
    #[error("cannot run {}: {source}", .program.to_string_lossy())]
    Failed {
        /// Its name or path.
        program: OsString,
        /// The system's reason.
        source: io::Error,
    },
    /// The file that takes its output cannot be written.
    #[error("cannot write {path}: {source}")]
    Log {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It was ended, with everything that it had started, because its time was over.
    #[error("{} {}", .program.to_string_lossy(), took_longer(.limit))]
    TimedOut {
        /// Its name or path.
        program: OsString,
        /// How long it was allowed to take; without a name of a setting where nobody can change that.
        limit: Limit,
    },
}

/// That something took longer than it may, in words that follow what it was.
pub fn took_longer(limit: &Limit) -> String {
    let by = if limit.setting.is_empty() { String::new() } else { format!(" ({})", limit.setting) };
    format!("took longer than {limit}{by} and was ended")
}

/// What to do about it.
pub fn more_time(limit: &Limit) -> String {
    format!(
        "if it needs more time, set {} in /etc/dkms/framework.conf (0: no limit) and run the command again",
        limit.setting
    )
}

/// What a child left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// Exit status as a shell counts it: 128 + n when signal n ended it.
    pub status: i32,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

/// An exit status as a shell counts it.
pub(super) fn status_number(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
