//! One module version built for one kernel: from a registered source to `T/m/v/k/a`.
//!
//! The steps and their order are DKMS's (its make.log, its environment, its exit codes), so that
//! sources written for it build here. What differs is where it would leave damage behind: a build
//! appears complete or not at all, replaces an older one in a single step, and a result that is
//! not of the kernel asked for is refused.
//!
//! Knows nothing of plans: which cell is built, and in which order, is decided before. The caller
//! holds the lock and never builds one module version twice at once, as the build directory
//! `T/m/v/build` is shared by all kernels.

mod checks;
pub(super) mod compress;
mod diagnose;
mod effort;
mod makefiles;
pub(super) mod publish;
mod readable;
mod results;
mod steps;
mod uname;
mod uses;
mod workspace;

use std::path::{Path, PathBuf};

use crate::apply::environment::environment;
use crate::apply::sign::{Environment, Signer};
use crate::conf::model::{Conf, Context};
use crate::fs::copy::{copy_file, remove_tree};
use crate::kernel::{KernelFiles, Unsigned, compression, enforced, recipe, toolchain};
use crate::model::error::{Error, Kind};
use crate::model::ids::Cell;
use crate::model::record::Effort;
use crate::model::settings::Settings;
use crate::model::uses::Uses;
use crate::process::interrupt;
use crate::progress::Report;
use crate::tree::layout::Layout;

pub use crate::apply::sign::Signed;
pub use crate::elf::Compression;
pub use effort::expected;

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
    /// How many jobs make runs at once; 0 for no limit.
    pub jobs: usize,
    /// `--force`: builds although BUILD_DEPENDS are missing, and notes no versions of them.
    pub force: bool,
    /// Shows commands instead of descriptions.
    pub verbose: bool,
    /// Somebody is at the terminal and may be asked for a passphrase.
    pub may_ask: bool,
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
        }
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
        Self { hint: error.hint.clone(), ..Self::new(error.kind, error.sentence()).trouble() }
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

/// Builds one cell. An older build of it is replaced on success and untouched otherwise.
///
/// # Errors
/// See [`Failure`]. After a failure in the source's own steps the build directory stays for
/// inspection, and the log is kept.
pub fn build(job: &Job<'_>) -> Result<Built, Failure> {
    if let Some(why) = job.conf.exclusion() {
        let what = format!("{} is not for kernel {}, because {why}", job.cell.module, job.cell.kernel);
        return Err(Failure::new(Kind::Excluded, what));
    }
    checks::headers(job)?;
    let source = checks::source(job)?;
    let toolchain = toolchain::identity(job.context);
    checks::programs(job, &toolchain)?;
    checks::rust(job, &source)?;
    let dependencies = checks::dependencies(job)?;
    let mut environment = environment(job.layout, job.build_environment, job.cell, toolchain.environment())
        .map_err(|e| Failure::new(e.kind, e.sentence()).trouble())?;
    let signer = signer(job, &environment);
    let cell_dir = job.layout.cell(job.cell);
    publish::remove_leftovers(job.layout, job.cell)
        .map_err(|e| Failure::io(job, "clean up", &cell_dir, &e))?;

    let _uname = uname::answer_for(job, &mut environment);
    let work = workspace::Workspace::prepare(job, &source, environment)?;
    if let Err(Unsigned { why, fault: true }) = &signer {
        work.warn(job, format!("modules are not signed: {why}"));
    }
    if let Some(mismatch) = toolchain.mismatch() {
        work.warn(job, mismatch);
    }
    let result =
        compile(job, &work, toolchain.llvm).and_then(|()| finish(job, &work, signer.as_ref(), &dependencies));
    match result {
        Ok((modules, signed, uses)) => {
            let _ = std::fs::remove_file(job.layout.failed_log(job.cell));
            tell_of_refusal(job, &work, &signed);
            let log = cell_dir.join("log/make.log");
            Ok(Built {
                modules,
                effort: Effort { took: work.took.get(), files: effort::files_made(&log) },
                log,
                signed,
                uses,
                warnings: work.warnings.into_inner(),
            })
        }
        Err(mut failure) => {
            publish::remove_kernel_dir_if_empty(job.layout, job.cell);
            match interrupt::requested() {
                // The commands were ended, and would have gone on.
                Some(stop) => {
                    let _ = remove_tree(&work.dir);
                    failure = Failure::new(Kind::Interrupted(stop.exit_status()), failure.what);
                }
                None => failure.log = Some(work.keep_log(job)),
            }
            Err(failure)
        }
    }
}

/// Decides about signing, and gets ready for it.
fn signer(job: &Job<'_>, environment: &Environment) -> Result<Signer, Unsigned> {
    let kernel = KernelFiles::of(&job.cell.kernel, job.context);
    let recipe = recipe(job.layout, job.settings, &kernel, job.distro);
    let signer = recipe.and_then(|recipe| Signer::new(recipe, environment.clone(), job.may_ask));
    match &signer {
        Ok(signer) if job.verbose => {
            signer.prologue(job.layout).iter().for_each(|line| job.report.line(line))
        }
        // Said for every module of a kernel, it would hide what matters. A fault becomes a warning
        // of the build.
        Err(unsigned) if !unsigned.fault => log::info!("modules are not signed: {}", unsigned.why),
        _ => {}
    }
    signer
}

/// A module that is not signed is no failure, unless the kernel makes it one.
fn tell_of_refusal(job: &Job<'_>, work: &workspace::Workspace, signed: &Signed) {
    if let Signed::Not(why) = signed
        && let Some(because) =
            enforced(job.layout, &job.context.kernel_config, &job.context.kernel_source_dir)
    {
        work.warn(
            job,
            format!(
                "kernel {} WILL NOT LOAD the modules of {}: they are not signed ({why}), and it loads only \
                 signed modules, because {because}",
                job.cell.kernel, job.cell.module
            ),
        );
    }
}

/// The source's own part: patches, scripts, make.
fn compile(job: &Job<'_>, work: &workspace::Workspace, llvm: bool) -> Result<(), Failure> {
    steps::patch(job, work)?;
    steps::script(job, work, "pre_build", job.conf.scripts.pre_build.as_deref())?;
    steps::make(job, work, llvm)?;
    results::check(job, work)
}

/// Our part: from what make built to the cell's directory.
fn finish(
    job: &Job<'_>,
    work: &workspace::Workspace,
    signer: Result<&Signer, &Unsigned>,
    dependencies: &[(String, String)],
) -> Result<(Vec<BuiltModule>, Signed, Option<Uses>), Failure> {
    let uses = uses::of(job, &results::built(job, work));
    let target = job.layout.cell(job.cell);
    let kind = compression(job.context, job.layout, &job.cell.kernel);
    let staging = publish::Staging::new(job.layout, job.cell)
        .map_err(|e| Failure::io(job, "create a directory for", &target, &e))?;
    let signed = results::stage(job, work, &staging, signer, kind)?;
    if job.conf.build_depends_rebuild && !job.force {
        for (name, version) in dependencies {
            let note = staging.modules().with_file_name(format!(".dep_{name}"));
            std::fs::write(&note, format!("{version}\n"))
                .map_err(|e| Failure::io(job, "write", &note, &e))?;
        }
    }
    let log = |to: &Path| copy_file(&work.log, to).map_err(|e| Failure::io(job, e.doing, &e.path, &e.source));
    // A kill during POST_BUILD shall leave a build with its log.
    log(&staging.log())?;
    let published =
        staging.publish(job.layout, job.cell).map_err(|e| Failure::io(job, "put in place", &target, &e))?;

    // POST_BUILD may read and change the modules in their final place.
    let after = steps::script(job, work, "post_build", job.conf.scripts.post_build.as_deref())
        .and_then(|()| log(&published.dir().join("log/make.log")))
        .and_then(|()| results::list(job, published.dir(), kind));
    let modules = match after {
        Ok(modules) => modules,
        Err(failure) => {
            if let Err(error) = published.undo() {
                job.report
                    .warning(&format!("cannot restore {}: {error}", job.layout.shown(&target).display()));
            }
            return Err(failure);
        }
    };
    if let Err(error) = published.keep() {
        work.warn(job, format!("a part of the earlier build could not be removed: {error}"));
    }
    if let Err(error) = remove_tree(&work.dir) {
        work.warn(job, format!("{} could not be removed: {error}", work.show(&work.dir)));
    }
    Ok((modules, signed, uses))
}
