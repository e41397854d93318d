//! A child whose output goes into a log, in the form that DKMS's logs have.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use nix::fcntl::{FallocateFlags, fallocate};

use super::{Output, Process, ProcessError};
use crate::fs::regular;

/// Bytes that a log has room for whatever the command does.
const ROOM: i64 = 128 << 10;

impl Process {
    /// Runs it and appends a block to a log, in the form that DKMS's logs have: a heading, the
    /// command, its output, exit status and duration.
    ///
    /// # Errors
    /// When it cannot be started or the log cannot be written.
    pub fn run_logged(&self, heading: &str, log: &Path) -> Result<i32, ProcessError> {
        let wrote = |source| ProcessError::Log { path: log.to_path_buf(), source };
        let file = regular::append(log, 0o644).map_err(wrote)?;
        self.run_logged_into(heading, &file, log)
    }

    /// The same with a log that is open already, for appending; `log` is its name in messages.
    ///
    /// # Errors
    /// When it cannot be started or the log cannot be written.
    pub fn run_logged_into(&self, heading: &str, mut file: &File, log: &Path) -> Result<i32, ProcessError> {
        let wrote = |source| ProcessError::Log { path: log.to_path_buf(), source };
        write!(file, "\n{heading}\n# command: {}\n", self.text()).map_err(wrote)?;
        let begin = Instant::now();
        // What a command says that fills the file system is to have room all the same.
        let length = file.metadata().map_or(0, |meta| meta.len()).cast_signed();
        let kept = fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, length, ROOM);
        let result = self.run(Output::File(file));
        if kept.is_ok()
            && let Ok(meta) = file.metadata()
        {
            // Gives the rest back.
            let _ = file.set_len(meta.len());
        }
        let status = match &result {
            Ok(status) => *status,
            Err(error) => {
                writeln!(file, "{error}").map_err(wrote)?;
                127
            }
        };
        let seconds = begin.elapsed().as_secs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        // A full disk loses only these lines: what the command printed is worth more.
        let _ = write!(
            file,
            "\n# exit code: {status}\n# elapsed time: {hours:02}:{minutes:02}:{seconds:02}\n{}\n",
            "-".repeat(64)
        );
        result
    }
}
