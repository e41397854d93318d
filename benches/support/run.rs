//! Running commands and measuring them.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::timing::cpu;

/// Time of one run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// By the clock.
    pub wall: Duration,
    /// Processor time, user and system, of the process and of all that it started.
    pub cpu: Duration,
    /// Processor time of the process alone, in ticks of the kernel (10 ms, mostly).
    pub own: Duration,
}

/// A command to be measured.
#[derive(Debug, Clone)]
pub struct Contender {
    /// What the table calls it.
    pub name: &'static str,
    /// Run before each measured run, not measured.
    pub before: Option<String>,
    /// Program and arguments.
    pub words: Vec<String>,
    /// The exit status that it has to end with.
    pub status: i32,
    /// In how many rounds it runs at most: what takes minutes and does not change.
    pub at_most: usize,
}

impl Contender {
    /// A command of the words in `line`.
    pub fn new(name: &'static str, line: &str) -> Self {
        Self {
            name,
            before: None,
            words: line.split(' ').map(str::to_owned).collect(),
            status: 0,
            at_most: usize::MAX,
        }
    }

    /// A text for the shell.
    pub fn shell(name: &'static str, text: &str) -> Self {
        let words = ["bash", "-ec", text].map(str::to_owned).to_vec();
        Self { words, ..Self::new(name, "") }
    }

    /// Runs a shell command first each time.
    pub fn after(mut self, shell: String) -> Self {
        self.before = Some(shell);
        self
    }

    /// Runs in so many rounds only.
    pub fn at_most(mut self, rounds: usize) -> Self {
        self.at_most = rounds;
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // As dpkg runs the hooks of a headers package.
        command.env("DEB_MAINT_PARAMS", "configure");
        command
    }

    fn prepare(&self) {
        if let Some(shell) = &self.before {
            let status = Command::new("bash").args(["-ec", shell]).status();
            assert!(status.is_ok_and(|s| s.success()), "failed: {shell}");
        }
    }

    /// Runs it once.
    ///
    /// # Panics
    /// When it cannot be run or fails: a figure for a command that does not work means nothing.
    pub fn run(&self) -> Cost {
        self.prepare();
        let before = cpu(UsageWho::RUSAGE_CHILDREN);
        let start = Instant::now();
        let mut child = self.command().spawn().expect("the command can be run");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).expect("it is our child");
        let wall = start.elapsed();
        let own = own_time(child.id());
        let status = child.wait().expect("it has ended");
        assert_eq!(status.code(), Some(self.status), "{:?} ended with {status}", self.words);
        Cost { wall, cpu: cpu(UsageWho::RUSAGE_CHILDREN) - before, own }
    }

    /// How many processes and threads a run starts, itself included. Exact where this process is
    /// the only other one in its pid namespace: pids are given out in turn.
    pub fn processes(&self) -> u32 {
        self.prepare();
        let first = probe();
        let status = self.command().status().expect("the command can be run");
        assert_eq!(status.code(), Some(self.status), "{:?} ended with {status}", self.words);
        probe() - first - 1
    }

    /// The most memory, in KiB, that the process or one that it started had resident at a time.
    pub fn peak(&self) -> i64 {
        self.prepare();
        // In a process of its own: the figure is that of all children so far.
        let this = std::env::current_exe().expect("a running program has a path");
        let out = Command::new(this).arg(PEAK).args(&self.words).output().expect("this program can be run");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        text.trim().parse().unwrap_or_else(|_| panic!("{:?}: {text}", self.words))
    }

    /// What it prints.
    pub fn output(&self) -> String {
        let out = self.command().stdout(Stdio::piped()).output().expect("the command can be run");
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

/// The option by which a bench measures the memory of one command.
const PEAK: &str = "--peak";

/// For a program that was started by [`Contender::peak`]: runs the command and prints the figure. False otherwise.
///
/// # Panics
/// When the command cannot be run.
pub fn print_peak() -> bool {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() != Some(PEAK) {
        return false;
    }
    let mut command = Command::new(words.next().expect("a command"));
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().expect("the command can be run");
    println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage knows this").max_rss());
    true
}

/// Processor time of a process that has ended and that nobody has waited for: without its children.
fn own_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a zombie has its stat");
    // After the name, which may hold anything: proc_pid_stat(5), fields 14 and 15.
    let fields = stat.rsplit_once(')').expect("the name is in brackets").1;
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).map(|f| f.parse::<u64>().expect("a number")).sum();
    let second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100).unsigned_abs();
    Duration::from_millis(ticks * 1000 / second)
}

/// The pid of a fresh process.
fn probe() -> u32 {
    let mut child = Command::new("true").spawn().expect("true can be run");
    let pid = child.id();
    child.wait().expect("true ends");
    pid
}
