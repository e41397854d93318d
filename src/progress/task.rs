//! A piece of work that takes a while, as a listener sees it.

use std::path::PathBuf;
use std::time::Duration;

/// A task of a run: mostly a build. Several may be under way at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its number, from 1, in the order in which tasks begin. It names the task to [`super::Report::task_ends`].
    pub number: usize,
    /// How many tasks the run has. Some of them may turn out not to be wanted, and never begin.
    pub of: usize,
    /// What is done: "Building", "Signing".
    pub doing: String,
    /// What it is done to: "zfs/2.3.9".
    pub name: String,
    /// The kernel that it is done for.
    pub kernel: String,
    /// What earlier builds of the same module say about this one, where there are any.
    pub expected: Option<Expected>,
    /// The file that its commands write to, as this process opens it. A listener may follow it while it grows.
    /// It may not be there yet, or still be that of an earlier build: only what is younger than the task counts.
    pub log: PathBuf,
}

/// What is expected of a task, from what was written down about earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Expected {
    /// How long it takes.
    pub takes: Duration,
    /// How many files it compiles and links; 0 where that is not known.
    pub files: usize,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out.
    Done,
    /// It failed.
    Failed,
    /// It was stopped before its end, by a signal.
    Stopped,
}
