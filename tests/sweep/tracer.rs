//! Runs a program and strikes it, or what it starts, just before a call that changes a file (ptrace(2)).
//!
//! All threads and children are followed. A thread that must stop is stopped by the filter of [`super::calls`], so
//! the order in which stops are answered is the order of the calls. With one job the program does one thing at a
//! time, and that order is the same in each run; where it is not, [`Ended::calls`] shows it.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::calls::{self, Call};

/// Whose calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Those of the program, in whichever process.
    Own,
    /// Those of what it starts: make, sh, strip, openssl, sign-file, depmod, the generator of an initramfs.
    Children,
}

/// What happens at the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The process is killed just before it.
    Kill,
    /// It fails.
    Fail(Errno),
    /// It fails, and so do all later ones that take space.
    FailFrom(Errno),
}

/// One strike: at the call of this number, from 1.
#[derive(Debug, Clone, Copy)]
pub struct Strike {
    pub whose: Whose,
    pub at: usize,
    pub how: How,
}

/// How a run ended.
pub struct Ended {
    /// Exit status; 128 + n when signal n ended it; `None` when it did not end in time.
    pub code: Option<i32>,
    /// What it said.
    pub said: String,
    /// Its counted calls, and those of its children with the name of the program before them.
    pub own: Vec<Call>,
    pub children: Vec<(String, Call)>,
}

/// A run that has ended. What it started may still be there, and is followed until [`Run::rest`].
pub struct Run {
    pub ended: Ended,
    thread: JoinHandle<()>,
}

impl Run {
    /// Waits for what the run started. All of it has to end.
    pub fn rest(self) {
        let _ = self.thread.join();
    }
}

/// How long a run may take.
const LIMIT: Duration = Duration::from_secs(100);

/// Runs a command that acts on the machine at `root`, and strikes it. `words` is a file for what it says.
pub fn run(mut command: Command, root: &Path, words: &Path, strike: Option<Strike>) -> Run {
    let out = File::create(words).unwrap();
    command.stdout(out.try_clone().unwrap()).stderr(out);
    let inside = Path::new(command.get_program()).strip_prefix("/").unwrap().to_owned();
    let program = std::fs::metadata(root.join(inside)).unwrap();
    let tracer = Tracer {
        root: root.to_path_buf(),
        program: (program.dev(), program.ino()),
        strike,
        all_is_own: super::machine::is_other().is_some(),
        main: Pid::from_raw(0),
        own: Vec::new(),
        children: Vec::new(),
        known: HashMap::new(),
    };
    let (sender, ended) = channel();
    // A thread of its own: the children that it traces are its alone (__WNOTHREAD).
    let thread = std::thread::spawn(move || {
        tracer.follow(command, |code, own, children| {
            let _ = sender.send((code, own, children));
        })
    });
    let (code, own, children) = wait(&ended);
    let said = String::from_utf8_lossy(&std::fs::read(words).unwrap()).into_owned();
    Run { ended: Ended { code, said, own, children }, thread }
}

type Told = (Option<i32>, Vec<Call>, Vec<(String, Call)>);

fn wait(ended: &Receiver<Told>) -> Told {
    match ended.recv_timeout(LIMIT) {
        Ok(told) => told,
        Err(_) => {
            super::processes::end_all();
            let (_, own, children) = ended.recv_timeout(LIMIT).unwrap_or_default();
            (None, own, children)
        }
    }
}

/// What is known of a thread.
struct Known {
    /// Its process.
    process: Pid,
    own: bool,
    name: String,
}

struct Tracer {
    root: PathBuf,
    /// Device and inode of the program.
    program: (u64, u64),
    strike: Option<Strike>,
    all_is_own: bool,
    main: Pid,
    own: Vec<Call>,
    children: Vec<(String, Call)>,
    known: HashMap<Pid, Option<Known>>,
}

impl Tracer {
    fn follow(mut self, mut command: Command, tell: impl Fn(Option<i32>, Vec<Call>, Vec<(String, Call)>)) {
        let mut filter = calls::filter();
        // SAFETY: between fork and exec the closure makes three system calls and allocates nothing.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(move || {
                ptrace::traceme()?;
                install(&mut filter)
            });
        }
        #[allow(clippy::zombie_processes, reason = "waitpid(2) waits for it below")]
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        self.main = Pid::from_raw(child.id() as i32);
        let first = waitpid(self.main, Some(WaitPidFlag::__WALL));
        assert!(matches!(first, Ok(WaitStatus::Stopped(_, Signal::SIGTRAP))), "{first:?}");
        use ptrace::Options;
        let options = Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACESECCOMP
            | Options::PTRACE_O_EXITKILL;
        ptrace::setoptions(self.main, options).unwrap();
        self.known.insert(self.main, None);
        let _ = ptrace::cont(self.main, None);
        loop {
            match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
                Ok(WaitStatus::Exited(pid, code)) => self.gone(pid, code, &tell),
                Ok(WaitStatus::Signaled(pid, signal, _)) => self.gone(pid, 128 + signal as i32, &tell),
                Ok(status) => self.stopped(status),
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
    }

    fn gone(&mut self, pid: Pid, code: i32, tell: impl Fn(Option<i32>, Vec<Call>, Vec<(String, Call)>)) {
        self.known.remove(&pid);
        if pid == self.main {
            tell(Some(code), std::mem::take(&mut self.own), std::mem::take(&mut self.children));
        }
    }

    fn stopped(&mut self, status: WaitStatus) {
        let (pid, signal) = match status {
            WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_SECCOMP) => {
                self.at_call(pid);
                (pid, None)
            }
            WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_EXEC) => {
                self.known.insert(pid, None);
                (pid, None)
            }
            WaitStatus::PtraceEvent(pid, ..) => (pid, None),
            // The first stop of a thread that is followed automatically.
            WaitStatus::Stopped(pid, Signal::SIGSTOP) if !self.known.contains_key(&pid) => {
                self.known.insert(pid, None);
                (pid, None)
            }
            WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
            other => {
                let Some(pid) = other.pid() else { return };
                (pid, None)
            }
        };
        // One that is gone has ended meanwhile.
        let _ = ptrace::cont(pid, signal);
    }

    /// A thread stands before a call.
    fn at_call(&mut self, pid: Pid) {
        let Ok(info) = ptrace::syscall_info(pid) else { return };
        // SAFETY: at a stop by a filter this is what the kernel has filled in (ptrace(2), PTRACE_GET_SYSCALL_INFO).
        #[allow(unsafe_code)]
        let (number, args) = unsafe { (info.u.seccomp.nr, info.u.seccomp.args) };
        let Some(call) = calls::change(pid, number, &args, &self.root) else { return };
        let root_of_program = self.program;
        let known = self.known.entry(pid).or_default();
        let known = known.get_or_insert_with(|| look(pid, root_of_program));
        let (process, own, name) = (known.process, known.own, known.name.clone());
        // Debian's dkms is a script, and does with other programs what it does; so all of them are the program.
        let whose = if own || self.all_is_own { Whose::Own } else { Whose::Children };
        let takes_space = call.takes_space();
        let count = match whose {
            Whose::Own => {
                self.own.push(call);
                self.own.len()
            }
            Whose::Children => {
                self.children.push((name, call));
                self.children.len()
            }
        };
        let Some(strike) = self.strike.filter(|strike| strike.whose == whose) else { return };
        match strike.how {
            How::Kill if count == strike.at && self.all_is_own => super::processes::end_all(),
            How::Kill if count == strike.at => {
                let _ = kill(process, Signal::SIGKILL);
            }
            How::Fail(error) if count == strike.at => fail(pid, error),
            How::FailFrom(error) if count >= strike.at && takes_space => fail(pid, error),
            _ => {}
        }
    }
}

fn look(pid: Pid, program: (u64, u64)) -> Known {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let of = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let process = of("Tgid:").and_then(|id| id.parse().ok()).map_or(pid, Pid::from_raw);
    let exe = std::fs::metadata(format!("/proc/{pid}/exe"));
    let own = exe.is_ok_and(|meta| (meta.dev(), meta.ino()) == program);
    Known { process, own, name: of("Name:").unwrap_or_default().to_owned() }
}

/// Installs the filter for this thread and whoever comes of it.
fn install(filter: &mut [libc::sock_filter]) -> std::io::Result<()> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program is one of our own memory that outlives the calls; they keep no pointer to it.
    #[allow(unsafe_code)]
    let done = unsafe {
        let set = libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program);
        // Without CAP_SYS_ADMIN a process has to give up ever gaining privileges first.
        if set != 0 && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
        } else {
            set
        }
    };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Lets the call before which a thread stands fail without being made (seccomp(2), SECCOMP_RET_TRACE).
#[cfg(target_arch = "x86_64")]
fn fail(pid: Pid, error: Errno) {
    let Ok(mut registers) = ptrace::getregs(pid) else { return };
    registers.orig_rax = u64::MAX;
    registers.rax = (-i64::from(error as i32)) as u64;
    let _ = ptrace::setregs(pid, registers);
}

/// Lets the call before which a thread stands fail without being made (ptrace(2), NT_ARM_SYSTEM_CALL).
#[cfg(target_arch = "aarch64")]
fn fail(pid: Pid, error: Errno) {
    const NT_ARM_SYSTEM_CALL: usize = 0x404;
    let mut none: i32 = -1;
    let part = libc::iovec { iov_base: (&raw mut none).cast(), iov_len: size_of::<i32>() };
    // SAFETY: the kernel reads four bytes of a variable that lives here.
    #[allow(unsafe_code)]
    unsafe {
        libc::ptrace(libc::PTRACE_SETREGSET, pid.as_raw(), NT_ARM_SYSTEM_CALL, &raw const part);
    }
    use ptrace::regset::NT_PRSTATUS;
    let Ok(mut registers) = ptrace::getregset::<NT_PRSTATUS>(pid) else { return };
    registers.regs[0] = (-i64::from(error as i32)) as u64;
    let _ = ptrace::setregset::<NT_PRSTATUS>(pid, registers);
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn fail(_: Pid, _: Errno) {}
