//! One module version built for one kernel: from a registered source to `T/m/v/k/a`.
//!
//! The steps and their order are DKMS's (its make.log, its environment, its exit codes), so that
//! sources written for it build here. What differs is where it would leave damage behind: a build
//! appears complete or not at all, replaces an older one in a single step, and a result that is
//! not of the kernel asked for is refused.
//!
//! Knows nothing of plans: which cell is built, and in which order, is decided before. A build has three parts
//! ([`phases`]). The first and the last belong to whoever holds the lock. The second takes long and writes only into
//! directories of its own, so several of them can run at once on threads of their own.

mod checks;
pub(super) mod compress;
mod confine;
pub(super) mod diagnose;
mod disk;
mod effort;
mod finishing;
pub(super) mod last_look;
mod makefiles;
mod memory;
pub mod phases;
pub mod place;
mod post_build;
pub(super) mod publish;
mod readable;
pub mod restore;
mod results;
mod serial;
mod stand_ins;
mod steps;
mod uname;
mod uses;
mod workspace;

use std::path::{Path, PathBuf};

use crate::conf::model::{Conf, Context};
use crate::model::error::{Error, Kind};
use crate::model::ids::Cell;
use crate::model::record::Effort;
use crate::model::settings::Settings;
use crate::model::uses::Uses;
use crate::process::jobserver::Server;
use crate::progress::Report;
use crate::tree::layout::Layout;

pub use crate::apply::sign::Signed;
pub use crate::elf::Compression;
use diagnose::is_of_the_machine;
pub use effort::expected;
use restore::Kept;

/// Everything that one build depends on.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// Where the trees are.
    pub layout: &'a Layout,
    /// What is built for which kernel.
    pub cell: &'a Cell,
    /// The dkms.conf, evaluated for this kernel.
    pub conf: &'a Conf,
    /// What it was evaluated with.
    pub context: &'a Context,
    /// framework.conf.
    pub settings: &'a Settings,
    /// The file that is sourced first.
    pub build_environment: Option<&'a Path>,
    /// The distribution as DKMS names it ("debian", "ubuntu", "rhel fedora", …): where the signing
    /// tool is, and what packages are called.
    pub distro: &'a str,
    /// Where its makes get their jobs.
    pub server: &'a Server,
    /// `--force`: builds although BUILD_DEPENDS are missing, and notes no versions of them.
    pub force: bool,
    /// Shows commands instead of descriptions.
    pub verbose: bool,
    /// Somebody is at the terminal and may be asked for a passphrase.
    pub may_ask: bool,
    /// Where it may be found, built before.
    pub kept: Option<Kept<'a>>,
    /// Where progress goes.
    pub report: &'a dyn Report,
}

/// A finished build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The modules in `T/m/v/k/a/module`, in the order of their records.
    pub modules: Vec<BuiltModule>,
    /// `T/m/v/k/a/log/make.log`.
    pub log: PathBuf,
    /// Whether they are signed.
    pub signed: Signed,
    /// What the modules use of their kernel, where that has to be written down and could be found out.
    pub uses: Option<Uses>,
    /// What it cost.
    pub effort: Effort,
    /// What the person should know although it was built. Already reported.
    pub warnings: Vec<String>,
    /// The cache of builds had it.
    pub from_cache: bool,
}

/// One built module file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltModule {
    /// Index of its record in the conf.
    pub record: usize,
    /// Its name in `T/m/v/k/a/module`.
    pub file: String,
}

/// Why there is no build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit status that DKMS gives this failure.
    pub kind: Kind,
    /// What failed, in one line.
    pub what: String,
    /// The kept log, when the build came that far.
    pub log: Option<PathBuf>,
    /// The first errors in the log.
    pub first_errors: Vec<String>,
    /// True when the machine and not the source is at fault (no compiler, a full disk): trying
    /// again with the same inputs makes sense.
    pub toolchain_trouble: bool,
    /// What to do next.
    pub hint: Option<String>,
    /// True when a command ended for want of memory.
    pub out_of_memory: bool,
    /// True when a file system is full: the build directory does not stay.
    pub disk_full: bool,
    /// True when a command was ended because its time was over.
    pub took_too_long: bool,
    /// True when it needs more than the sandbox or a limit of it lets it have.
    pub held_back: bool,
}

impl Failure {
    fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            log: None,
            first_errors: Vec::new(),
            toolchain_trouble: false,
            hint: None,
            out_of_memory: false,
            disk_full: false,
            took_too_long: false,
            held_back: false,
        }
    }

    /// It is built and installed, and has not the signature that it should have.
    pub(crate) fn of_signing(why: &str) -> Self {
        let what = format!("it is built without a signature: {why}");
        let failure = Self::new(Kind::NotSigned, what).hint("put that right");
        // A tool that was killed says nothing about the next time.
        if is_of_the_machine(why) { failure.trouble() } else { failure }
    }

    /// True when the source does not compile for this kernel, and nothing else had a part in it: another version of the
    /// module may.
    pub fn is_of_the_source(&self) -> bool {
        let own =
            matches!(self.kind, Kind::Make | Kind::Script(_) | Kind::ModuleNotBuilt | Kind::PatchFailed);
        let of_others = self.toolchain_trouble
            || self.out_of_memory
            || self.disk_full
            || self.took_too_long
            || self.held_back;
        own && !of_others
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn trouble(mut self) -> Self {
        self.toolchain_trouble = true;
        self
    }

    /// A failed file operation, which is never the source's fault for good.
    fn io(job: &Job<'_>, doing: &str, path: &Path, err: &std::io::Error) -> Self {
        let error = Error::io(doing, &job.layout.shown(path), err);
        let disk_full =
            matches!(err.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
        Self { hint: error.hint.clone(), disk_full, ..Self::new(error.kind, error.sentence()).trouble() }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let mut message = failure.what;
        for line in &failure.first_errors {
            message.push_str(&format!("\n  {line}"));
        }
        if let Some(log) = &failure.log {
            message.push_str(&format!("\nlog: {}", log.display()));
        }
        Self::new(failure.kind, message).with_hint(failure.hint)
    }
}

/// Builds one cell, all parts one after another. An older build of it is replaced on success and untouched
/// otherwise.
///
/// # Errors
/// See [`Failure`]. After a failure in the source's own steps the build directory stays for
/// inspection, and the log is kept.
pub fn build(job: &Job<'_>) -> Result<Built, Failure> {
    let prepared = phases::prepare(job)?;
    let place = place::Place::usual(job.layout, &job.cell.module);
    phases::commit(job, phases::work(job, prepared, &place))
}
