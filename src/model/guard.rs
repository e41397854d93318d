//! What is known of essential modules, and what was done so that no kernel without them is started unknowingly.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::ids::{KernelRelease, ModuleName};

/// The essential modules of every kernel that can be started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// Every kernel on disk.
    pub kernels: BTreeMap<KernelRelease, Look>,
    /// What was found and done last.
    pub before: Remembered,
    /// Nothing is essential, or the guard is switched off: what was done is to be undone.
    pub off: bool,
}

/// What was found of one kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Essential modules that it does not have, neither ours nor its own.
    pub missing: Vec<ModuleName>,
    /// Essential modules of which no version of ours is installed, and the time of the index that was asked whether
    /// the kernel has them (nanoseconds since the epoch): while both are the same, it is not read again.
    pub asked: Option<Asked>,
}

/// An index of modules was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Asked {
    /// The modules it was asked for.
    pub modules: Vec<String>,
    /// When `modules.dep` was made, nanoseconds since the epoch.
    pub indexed: Option<i64>,
    /// Those that the kernel does not have.
    pub missing: Vec<String>,
}

/// What outlives a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// By kernel, where an index was read.
    pub asked: BTreeMap<KernelRelease, Asked>,
    /// What the guard does.
    pub active: Option<Active>,
}

impl Remembered {
    /// True when there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty() && self.active.is_none()
    }
}

/// The newest kernel lacks essential modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    /// Why, and which kernel is kept and started instead.
    pub verdict: Danger,
    /// What was done, and what a person should know or do, a sentence each.
    pub said: Vec<String>,
    /// Not all that can be done is done: the next run tries again.
    pub unfinished: bool,
    /// What is to be undone at the boot loader.
    pub undo: Option<Undo>,
}

/// A kernel that should not be started unknowingly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Danger {
    /// The newest kernel, which would be started.
    pub newest: KernelRelease,
    /// Essential modules that it lacks.
    pub missing: Vec<ModuleName>,
    /// The newest of the kernels that have all of them; `None` where there is no such kernel.
    pub keep: Option<KernelRelease>,
}

impl Danger {
    /// The names of what is missing, for a sentence.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.missing.iter().map(ModuleName::as_str).collect();
        names.join(" and ")
    }
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot guard: {}, the newest kernel, lacks {}", self.newest, self.names())?;
        match &self.keep {
            Some(keep) => write!(f, "; {keep} has every essential module and is the one to boot"),
            None => f.write_str("; no kernel has every essential module"),
        }
    }
}

/// How a change to a boot loader is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undo {
    /// Our file for GRUB goes, and its menu is made again.
    Grub,
    /// Our lines in loader.conf of systemd-boot go.
    SystemdBoot,
}
