//! The named pipe with the tokens: each byte in it is the permission to run one more job.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;

/// Most tokens that we put into a pipe. As many bytes fit into one without anybody reading.
pub(super) const MOST: usize = 1024;

/// The tokens. Nothing here waits but [`Pool::wait`].
#[derive(Debug)]
pub(super) struct Pool {
    file: File,
    /// By which name every child can open it.
    pub path: PathBuf,
}

impl Pool {
    /// Makes a named pipe in this directory.
    pub(super) fn create(dir: &Path) -> io::Result<Self> {
        let path = dir.join("jobs");
        nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)?;
        Self::open(&path)
    }

    /// Opens a pipe that is there.
    ///
    /// # Errors
    /// When it cannot be opened, or is something else than a pipe.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if !std::fs::metadata(path)?.file_type().is_fifo() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "not a pipe"));
        }
        // For both, as otherwise this waits for somebody at the other end. What this process may do without
        // waiting changes nothing for those who open the pipe themselves.
        let file =
            OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
        Ok(Self { file, path: path.to_path_buf() })
    }

    /// The same pipe, with another name for children.
    pub(super) fn named(self, path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// Takes one token, if there is one.
    pub(super) fn take(&self) -> io::Result<bool> {
        loop {
            match (&self.file).read(&mut [0]) {
                Ok(count) => return Ok(count == 1),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives tokens back.
    pub(super) fn put(&self, count: usize) -> io::Result<()> {
        (&self.file).write_all(&vec![b'+'; count.min(MOST)])
    }

    /// Takes all tokens, and puts in as many as these.
    pub(super) fn refill(&self, count: usize) -> io::Result<()> {
        while self.take()? {}
        self.put(count)
    }

    /// Waits until there may be a token, or so long.
    pub(super) fn wait(&self, longest: Duration) {
        let timeout = PollTimeout::try_from(longest).unwrap_or(PollTimeout::MAX);
        let mut files = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        // Interrupted, it has waited shorter.
        let _ = poll(&mut files, timeout);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let pool = Pool::create(dir.path()).unwrap();
        assert!(!pool.take().unwrap());
        pool.put(2).unwrap();
        pool.wait(Duration::from_secs(1000));
        assert_eq!([(); 3].map(|()| pool.take().unwrap()), [true, true, false]);
        pool.put(7).unwrap();
        pool.refill(1).unwrap();
        assert_eq!([(); 2].map(|()| pool.take().unwrap()), [true, false]);
        pool.wait(Duration::from_millis(1));
    }

    #[test]
    fn the_most_tokens_fit_with_nobody_reading() {
        let dir = tempfile::tempdir().unwrap();
        let pool = Pool::create(dir.path()).unwrap();
        pool.put(MOST).unwrap();
        assert!(Pool::create(dir.path()).is_err(), "it is there already");
    }

    #[test]
    fn only_a_pipe_is_opened() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Pool::open(file.path()).is_err());
        assert!(Pool::open(Path::new("/nonexistent")).is_err());
    }
}
