//! The job server of a make that runs this program.

use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;

use super::flags::{Auth, server_of};
use super::pool::Pool;
use crate::process::ancestors;

/// Opens the job server that these `MAKEFLAGS` name, and says how many jobs it has, where that is said. `None`
/// when it cannot be used: it may have gone, or its descriptors may be closed or somebody else's by now.
pub(super) fn join(flags: &str) -> Option<(Pool, Option<usize>)> {
    let (auth, jobs) = server_of(flags)?;
    let pool = match &auth {
        Auth::Fifo(path) => Pool::open(path).ok()?,
        Auth::Descriptors(read, write) => of_descriptors(*read, *write)?,
    };
    Some((pool, jobs))
}

/// Both have to be ends of one pipe. A pipe of two programs between make and us, which a number may stand for
/// by now, is open at one end only.
fn of_descriptors(read: i32, write: i32) -> Option<Pool> {
    if read < 0 || write < 0 || read == write && read < 3 {
        return None;
    }
    let path = |fd: i32| format!("/proc/self/fd/{fd}");
    let identity = |fd: i32| std::fs::metadata(path(fd)).ok().map(|found| (found.dev(), found.ino()));
    if identity(read)? != identity(write)? || !may(read, OpenTo::Read) || !may(write, OpenTo::Write) {
        return None;
    }
    // Opened anew: what is changed about a descriptor that was handed on is changed for all who have it.
    let pool = Pool::open(std::path::Path::new(&path(read))).ok()?;
    // And by a name that children can open it by: ours, as they have `/proc`, too.
    let own = ancestors::own()?.pid;
    Some(pool.named(format!("/proc/{own}/fd/{read}")))
}

#[derive(Clone, Copy, PartialEq)]
enum OpenTo {
    Read,
    Write,
}

fn may(fd: i32, wanted: OpenTo) -> bool {
    // SAFETY: the number is used for one fcntl() that only asks, and refuses a number that is no open file.
    #[allow(unsafe_code)]
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let flags = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFL).unwrap_or(-1);
    let mode = nix::fcntl::OFlag::from_bits_truncate(flags) & nix::fcntl::OFlag::O_ACCMODE;
    let one = if wanted == OpenTo::Read { nix::fcntl::OFlag::O_RDONLY } else { nix::fcntl::OFlag::O_WRONLY };
    flags != -1 && (mode == one || mode == nix::fcntl::OFlag::O_RDWR)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn descriptors_have_to_be_two_ends_of_one_pipe() {
        let pipe = || nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let ((read, write), (other_read, other_write)) = (pipe(), pipe());
        let file = tempfile::tempfile().unwrap();
        let join = |r: i32, w: i32| join(&format!(" -j3 --jobserver-auth={r},{w}"));
        let (pool, jobs) = join(read.as_raw_fd(), write.as_raw_fd()).unwrap();
        assert_eq!(jobs, Some(3));
        nix::unistd::write(&write, b"+").unwrap();
        assert!(pool.take().unwrap() && !pool.take().unwrap());
        pool.put(1).unwrap();
        assert!(Pool::open(&pool.path).unwrap().take().unwrap(), "by its name it is the same pipe");
        for (read, write) in [
            (write.as_raw_fd(), read.as_raw_fd()),
            (read.as_raw_fd(), other_write.as_raw_fd()),
            (other_read.as_raw_fd(), file.as_raw_fd()),
            (file.as_raw_fd(), file.as_raw_fd()),
            (-2, -2),
            (60000, 60001),
        ] {
            assert!(join(read, write).is_none(), "{read},{write}");
        }
    }

    #[test]
    fn a_named_pipe_has_to_be_there() {
        assert!(join(" -j2 --jobserver-auth=fifo:/nonexistent/GMfifo1").is_none());
        assert!(join("ks").is_none());
    }
}
