//! Whether modules can be built for a kernel: the answers of an attempt.

use std::path::PathBuf;

use crate::model::ids::{Cell, KernelRelease};

/// The answer for one module version and one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Which.
    pub cell: Cell,
    /// The answer.
    pub verdict: Verdict,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It can be built, or has been.
    Builds,
    /// It does not support the kernel.
    Excluded {
        /// Follows "because".
        why: String,
    },
    /// It was tried, and what its source says does not work with this kernel.
    Fails {
        /// What failed.
        what: String,
        /// The compiler's first errors.
        errors: Vec<String>,
    },
    /// It was not tried, or says nothing of the source.
    Untried {
        /// Why.
        why: String,
    },
}

/// What is to be known of all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// All can be built or do not want to be.
    Fits,
    /// At least one fails.
    Fails,
    /// None fails, and at least one could not be tried.
    Untried,
}

impl Outcome {
    /// Of all answers.
    pub fn of(answers: &[Answer]) -> Self {
        let untried = |answer: &Answer| matches!(answer.verdict, Verdict::Untried { .. });
        if failing(answers).next().is_some() {
            Self::Fails
        } else if answers.iter().any(untried) {
            Self::Untried
        } else {
            Self::Fits
        }
    }

    /// The exit status that says so.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Fits => 0,
            Self::Fails => 1,
            Self::Untried => 2,
        }
    }
}

/// What fails, but for versions in whose place an older one can be built.
pub fn failing(answers: &[Answer]) -> impl Iterator<Item = &Answer> {
    let instead = |one: &Answer| {
        answers.iter().any(|other| {
            other.verdict == Verdict::Builds
                && (&other.cell.module.name, &other.cell.kernel) == (&one.cell.module.name, &one.cell.kernel)
        })
    };
    answers.iter().filter(move |answer| matches!(answer.verdict, Verdict::Fails { .. }) && !instead(answer))
}

impl Answer {
    /// In one line, and the first errors below it.
    pub fn text(&self) -> String {
        let Cell { module, kernel, .. } = &self.cell;
        let head = format!("{module} for kernel {kernel}");
        match &self.verdict {
            Verdict::Builds => format!("{head}: builds\n"),
            Verdict::Excluded { why } => format!("{head}: excluded ({why})\n"),
            Verdict::Untried { why } => format!("{head}: not tried ({why})\n"),
            Verdict::Fails { what, errors } => {
                let mut text = format!("{head}: fails: {what}\n");
                errors.iter().for_each(|error| text.push_str(&format!("    {error}\n")));
                text
            }
        }
    }
}

/// The answer for a module file and a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileAnswer {
    /// The file.
    pub file: PathBuf,
    /// The kernel.
    pub kernel: KernelRelease,
    /// Whether the kernel would take it; [`Outcome::Untried`]: that cannot be told.
    pub outcome: Outcome,
    /// Why not, or why that cannot be told.
    pub why: Vec<String>,
    /// How many symbols it imports.
    pub symbols: usize,
}

impl FileAnswer {
    /// In one line, and the reasons below it.
    pub fn text(&self) -> String {
        let head = match self.outcome {
            Outcome::Fits => {
                let imported = format!("{} imported symbols", self.symbols);
                return format!("{}: fits kernel {} ({imported})\n", self.file.display(), self.kernel);
            }
            Outcome::Fails => "does not fit kernel",
            Outcome::Untried => "cannot tell whether it fits kernel",
        };
        let mut text = format!("{}: {head} {}\n", self.file.display(), self.kernel);
        self.why.iter().for_each(|why| text.push_str(&format!("    {why}\n")));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{Arch, KernelRelease, ModuleId};

    #[test]
    fn one_that_fails_counts_more_than_one_that_was_not_tried() {
        let answer = |verdict| Answer {
            cell: Cell {
                module: ModuleId::new("m", "1").unwrap(),
                kernel: KernelRelease::new("6.1").unwrap(),
                arch: Arch::new("x86_64").unwrap(),
            },
            verdict,
        };
        let builds = answer(Verdict::Builds);
        let excluded = answer(Verdict::Excluded { why: "too new".into() });
        let untried = answer(Verdict::Untried { why: "no room".into() });
        let fails =
            answer(Verdict::Fails { what: "make failed".into(), errors: vec!["m.c:1: error".into()] });
        let mut older = builds.clone();
        older.cell.module = ModuleId::new("m", "0.9").unwrap();
        let status = |answers: &[&Answer]| {
            let answers: Vec<Answer> = answers.iter().map(|answer| (*answer).clone()).collect();
            Outcome::of(&answers).exit_status()
        };
        assert_eq!(status(&[]), 0);
        assert_eq!(status(&[&builds, &excluded]), 0);
        assert_eq!(status(&[&builds, &untried]), 2);
        assert_eq!(status(&[&untried, &fails]), 1);
        assert_eq!(status(&[&older, &fails]), 0, "the older version is used");
        assert_eq!(fails.text(), "m/1 for kernel 6.1: fails: make failed\n    m.c:1: error\n");
    }
}
