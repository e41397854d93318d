//! Output of a child that goes where ours goes.
//!
//! A package manager that reads our output by a pipe reads on until nobody has that pipe open any more. A script may
//! leave a process behind that keeps its output open for days. So a child does not get a pipe of ours: it gets one to
//! us, and what it says is passed on until it has ended.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long what a child has left behind is listened to after its end.
const AFTER: Duration = Duration::from_secs(1);

/// Between two looks whether the child has ended, in milliseconds. The end of its output is seen at once.
const LOOK: u16 = 50;

/// Passes the output of a child on until it is dropped.
pub(super) struct Heard {
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// One of our own streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Err,
}

impl Stream {
    fn file(self) -> std::io::Result<OwnedFd> {
        match self {
            Self::Out => std::io::stdout().as_fd().try_clone_to_owned(),
            Self::Err => std::io::stderr().as_fd().try_clone_to_owned(),
        }
    }

    /// Its pipe or socket, if it is one.
    fn pipe(self) -> Option<(u64, u64)> {
        let meta = File::from(self.file().ok()?).metadata().ok()?;
        let kind = meta.file_type();
        (kind.is_fifo() || kind.is_socket()).then(|| (meta.dev(), meta.ino()))
    }
}

/// Gives a child pipes where we have some. Where that cannot be done it gets ours.
pub(super) fn listen(command: &mut Command) -> Heard {
    let ended = Arc::new(AtomicBool::new(false));
    let mut heard = Heard { ended, threads: Vec::new() };
    let (out, err) = (Stream::Out.pipe(), Stream::Err.pipe());
    if out.is_some()
        && let Some(writer) = heard.pass_on(Stream::Out)
    {
        // What is written to one and the same pipe keeps its order.
        if out == err
            && let Ok(copy) = writer.try_clone()
        {
            command.stderr(copy);
        }
        command.stdout(writer);
    }
    if err.is_some()
        && out != err
        && let Some(writer) = heard.pass_on(Stream::Err)
    {
        command.stderr(writer);
    }
    heard
}

/// The child was started: nothing but it shall have the pipes open.
pub(super) fn begun(command: &mut Command) {
    command.stdout(Stdio::null()).stderr(Stdio::null());
}

impl Heard {
    fn pass_on(&mut self, to: Stream) -> Option<OwnedFd> {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).ok()?;
        let (to, ended) = (to.file().ok()?, Arc::clone(&self.ended));
        let thread = std::thread::Builder::new().name("output".to_owned());
        let thread = thread.spawn(move || pass_on(File::from(reader), &to, &ended)).ok()?;
        self.threads.push(thread);
        Some(writer)
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn pass_on(mut from: File, to: &OwnedFd, ended: &AtomicBool) {
    let mut buffer = [0; 1 << 14];
    let mut until: Option<Instant> = None;
    let mut listens = true;
    loop {
        if ended.load(Ordering::SeqCst)
            && Instant::now() >= *until.get_or_insert_with(|| Instant::now() + AFTER)
        {
            return;
        }
        let mut files = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        match poll(&mut files, PollTimeout::from(LOOK)) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
            Ok(_) => {}
            Err(_) => return,
        }
        let Ok(count @ 1..) = from.read(&mut buffer) else { return };
        // Who gave us our pipe may have gone. The child is to go on all the same.
        listens = listens && write_all(to, &buffer[..count]);
    }
}

fn write_all(to: &OwnedFd, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match nix::unistd::write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
    true
}
