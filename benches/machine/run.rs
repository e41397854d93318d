//! Running commands and measuring them.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::UsageWho;

use crate::timing::cpu;

/// Time of one run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// By the clock.
    pub wall: Duration,
    /// Processor time, user and system, of the process and of all that it started.
    pub cpu: Duration,
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
}

impl Contender {
    /// A command of the words in `line`.
    pub fn new(name: &'static str, line: &str) -> Self {
        Self { name, before: None, words: line.split(' ').map(str::to_owned).collect() }
    }

    /// Runs a shell command first each time.
    pub fn after(mut self, shell: String) -> Self {
        self.before = Some(shell);
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
            let status = Command::new("sh").args(["-c", shell]).status();
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
        let status = self.command().status().expect("the command can be run");
        let wall = start.elapsed();
        assert!(status.success(), "{:?} ended with {status}", self.words);
        Cost { wall, cpu: cpu(UsageWho::RUSAGE_CHILDREN) - before }
    }

    /// How many processes and threads a run starts, itself included. Exact where this process is
    /// the only other one in its pid namespace: pids are given out in turn.
    pub fn processes(&self) -> u32 {
        self.prepare();
        let first = probe();
        let status = self.command().status().expect("the command can be run");
        assert!(status.success(), "{:?} ended with {status}", self.words);
        probe() - first - 1
    }

    /// What it prints.
    pub fn output(&self) -> String {
        let out = self.command().stdout(Stdio::piped()).output().expect("the command can be run");
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

/// The pid of a fresh process.
fn probe() -> u32 {
    let mut child = Command::new("true").spawn().expect("true can be run");
    let pid = child.id();
    child.wait().expect("true ends");
    pid
}
