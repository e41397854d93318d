//! Reading the log of a task while its commands write to it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::fs::regular;
use crate::progress::Made;

/// Clocks of file systems are this coarse.
const COARSE: Duration = Duration::from_millis(20);

/// A log that grows. It is opened when it is there, and again when another file takes its place; what is read of one
/// that was deleted meanwhile is what was written to it.
#[derive(Debug)]
pub(super) struct Follower {
    path: PathBuf,
    since: SystemTime,
    open: Option<(File, u64)>,
    made: Made,
    lines: Option<Lines>,
}

/// The lines that were read and not taken yet.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
}

impl Follower {
    /// Of the log at this path, as far as it is written from `since` on; `lines` says whether its text is wanted.
    pub fn new(path: &Path, since: SystemTime, lines: bool) -> Self {
        let since = since.checked_sub(COARSE).unwrap_or(since);
        let lines = lines.then(Lines::default);
        Self { path: path.to_path_buf(), since, open: None, made: Made::default(), lines }
    }

    /// How many files it named so far.
    pub fn files(&self) -> usize {
        self.made.files()
    }

    /// Reads what was added. A log that cannot be read stands still.
    pub fn look(&mut self) {
        self.read();
        if let Ok(meta) = std::fs::metadata(&self.path)
            && self.open.as_ref().is_none_or(|(_, inode)| *inode != meta.ino())
            && meta.modified().is_ok_and(|modified| modified >= self.since)
            && let Ok(file) = regular::open_itself(&self.path)
        {
            let inode = file.metadata().map_or(meta.ino(), |meta| meta.ino());
            (self.open, self.made) = (Some((file, inode)), Made::default());
            self.read();
        }
    }

    fn read(&mut self) {
        let Some((file, _)) = &mut self.open else { return };
        let mut buffer = [0; 16 << 10];
        while let Ok(read @ 1..) = file.read(&mut buffer) {
            self.made.feed(&buffer[..read]);
            if let Some(lines) = &mut self.lines {
                lines.bytes.extend_from_slice(&buffer[..read]);
            }
        }
    }

    /// The whole lines that were read since the last call; at the end of the log, also one without an end.
    pub fn take_lines(&mut self, end: bool) -> Vec<String> {
        let Some(lines) = &mut self.lines else { return Vec::new() };
        let whole = match end {
            true => lines.bytes.len(),
            false => lines.bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1),
        };
        let taken: Vec<u8> = lines.bytes.drain(..whole).collect();
        String::from_utf8_lossy(&taken).lines().map(printable).collect()
    }
}

/// A line of a program that does not know that it writes to a terminal: nothing in it moves the cursor.
fn printable(line: &str) -> String {
    let plain = console::strip_ansi_codes(line);
    plain.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_added_is_counted_and_what_was_there_before_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("make.log");
        std::fs::write(&log, "  CC [M]  old.o\n").unwrap();
        let later = SystemTime::now() + Duration::from_secs(3600);
        let mut early = Follower::new(&log, later, false);
        early.look();
        assert_eq!(early.files(), 0, "the log of an earlier build");

        let mut follower = Follower::new(&log, SystemTime::UNIX_EPOCH, true);
        follower.look();
        assert_eq!(follower.files(), 1);
        let mut file = File::options().append(true).open(&log).unwrap();
        write!(file, "  CC [M]  a.o\n\u{1b}[31m\terror\u{1b}[0m\n  LD [M] ").unwrap();
        follower.look();
        assert_eq!(follower.files(), 2);
        assert_eq!(follower.take_lines(false), ["  CC [M]  old.o", "  CC [M]  a.o", " error"]);
        // Deleted while it is still written to.
        std::fs::remove_file(&log).unwrap();
        write!(file, " a.ko\nno end").unwrap();
        follower.look();
        assert_eq!(follower.files(), 3);
        assert_eq!(follower.take_lines(true), ["  LD [M]  a.ko", "no end"]);
        // A new build of the same cell.
        std::fs::write(dir.path().join("new"), "  CC [M]  b.o\n").unwrap();
        std::fs::rename(dir.path().join("new"), &log).unwrap();
        follower.look();
        assert_eq!(follower.files(), 1);
    }
}
