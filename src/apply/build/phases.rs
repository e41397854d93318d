//! The three parts of a build: what is done before it by whoever holds the lock, the work itself, and putting its
//! result in place.

use std::path::{Path, PathBuf};

use super::place::Place;
use super::publish::{self, Staging};
use super::restore::Restored;
use super::stand_ins::StandIns;
use super::workspace::Workspace;
use super::{
    Built, BuiltModule, Failure, Job, checks, disk, effort, finishing, memory, post_build, restore, results,
    serial, stand_ins, steps, uses,
};
use crate::apply::environment::environment;
use crate::apply::sign::{Environment, Signed, Signer};
use crate::elf::Compression;
use crate::fs::copy::{copy_file, remove_tree};
use crate::fs::regular;
use crate::kernel::{KernelFiles, Unsigned, compression, recipe, toolchain};
use crate::model::error::Kind;
use crate::model::record::Effort;
use crate::model::uses::Uses;
use crate::process::interrupt;
use crate::progress::Aside;

/// A build that can begin.
#[derive(Debug)]
pub struct Prepared {
    source: PathBuf,
    environment: Environment,
    signer: Result<Signer, Unsigned>,
    dependencies: Vec<(String, String)>,
    /// The kernel was built with clang and its tools.
    llvm: bool,
    /// The compiler is not quite the kernel's.
    mismatch: Option<String>,
}

/// A build whose result nobody sees yet.
#[derive(Debug)]
pub struct Made(Result<Box<Fresh>, Restored>);

impl Made {
    /// It came from the cache: nothing was built.
    pub fn is_restored(&self) -> bool {
        self.0.is_err()
    }
}

/// One that was made just now.
#[derive(Debug)]
struct Fresh {
    work: Workspace,
    staging: Staging,
    kind: Compression,
    signed: Signed,
    uses: Option<Uses>,
    /// What POST_BUILD sees before everything else in the search path.
    stand_ins: StandIns,
}

/// A build that failed.
#[derive(Debug)]
pub struct Unmade {
    failure: Failure,
    /// Where it failed, if it came that far.
    work: Option<Box<Workspace>>,
}

impl From<Failure> for Unmade {
    fn from(failure: Failure) -> Self {
        Self { failure, work: None }
    }
}

/// Looks whether a build is worth starting, and gets ready for it: makes the signing key where there is none, asks
/// for its passphrase, and removes what killed runs left of this cell.
///
/// # Errors
/// Why it is not worth it.
pub fn prepare(job: &Job<'_>) -> Result<Prepared, Failure> {
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
    let environment = environment(job.layout, job.build_environment, job.cell, toolchain.environment())
        .map_err(|e| Failure::new(e.kind, e.sentence()).trouble())?;
    let signer = signer(job, &environment);
    publish::remove_leftovers(job.layout, job.cell)
        .map_err(|e| Failure::io(job, "clean up", &job.layout.cell(job.cell), &e))?;
    let mismatch = toolchain.mismatch();
    Ok(Prepared { source, environment, signer, dependencies, llvm: toolchain.llvm, mismatch })
}

/// Runs the source's own steps and finishes the modules in a staging directory. Writes nowhere else. Where memory ran
/// out, it is tried once more, alone; where its makefiles may not be made for several jobs, with one.
///
/// # Errors
/// What failed. The build directory stays as it is.
pub fn work(job: &Job<'_>, prepared: Prepared, place: &Place) -> Result<Made, Unmade> {
    if let Some(restored) = restore::restore(job) {
        // Of an earlier one that failed.
        if !place.is_own() {
            let _ = remove_tree(&place.dir);
        }
        return Ok(Made(Err(restored)));
    }
    let worked = attempt(job, &prepared, place, false);
    let Err(Unmade { failure, work: Some(work) }) = &worked else { return worked };
    if failure.out_of_memory {
        return match memory::try_again(job) {
            Some(_alone) => attempt(job, &prepared, place, false),
            None => worked,
        };
    }
    if serial::needs_another_try(job, work, failure) { attempt(job, &prepared, place, true) } else { worked }
}

fn attempt(job: &Job<'_>, prepared: &Prepared, place: &Place, one_job: bool) -> Result<Made, Unmade> {
    let mut environment = prepared.environment.clone();
    let stand_ins = stand_ins::put_first(job, &mut environment);
    let mut work = Workspace::prepare(job, &prepared.source, environment, place)?;
    work.one_job = one_job;
    if let Err(Unsigned { why, fault: true }) = &prepared.signer {
        work.warn(job, format!("modules are not signed: {why}"));
    }
    if let Some(mismatch) = &prepared.mismatch {
        work.warn(job, mismatch);
    }
    work.confine(job);
    let compiled = compile(job, &work, &stand_ins, prepared.llvm);
    match compiled.and_then(|()| finish(job, &work, prepared.signer.as_ref(), &prepared.dependencies)) {
        Ok((staging, kind, signed, uses)) => {
            Ok(Made(Ok(Box::new(Fresh { work, staging, kind, signed, uses, stand_ins }))))
        }
        Err(failure) => Err(Unmade { failure, work: Some(Box::new(work)) }),
    }
}

/// Puts a result in place, and runs POST_BUILD. Of a build that failed it keeps the log.
///
/// # Errors
/// What failed: here or before. What the cell had before is unchanged then.
pub fn commit(job: &Job<'_>, worked: Result<Made, Unmade>) -> Result<Built, Failure> {
    let Fresh { work, staging, kind, signed, uses, stand_ins: _stand_ins } = match worked {
        Ok(Made(Ok(fresh))) => *fresh,
        Ok(Made(Err(restored))) => return restore::put_in_place(job, restored),
        Err(Unmade { failure, work }) => return Err(keep_log(job, work.as_deref(), failure)),
    };
    let modules = match put_in_place(job, &work, staging, kind) {
        Ok(modules) => modules,
        Err(failure) => return Err(keep_log(job, Some(&work), failure)),
    };
    let _ = std::fs::remove_file(job.layout.failed_log(job.cell));
    if let Some(refusal) = checks::refusal(job, &signed) {
        work.warn(job, refusal);
    }
    let log = job.layout.cell(job.cell).join("log/make.log");
    let effort = Effort { took: work.took.get(), files: effort::files_made(&log) };
    Ok(Built { modules, log, signed, uses, effort, warnings: work.warnings.into_inner(), from_cache: false })
}

/// A failure with its log, if it came so far that there is one. Of a build that was interrupted nothing is kept.
fn keep_log(job: &Job<'_>, work: Option<&Workspace>, mut failure: Failure) -> Failure {
    let Some(work) = work else { return failure };
    publish::remove_kernel_dir_if_empty(job.layout, job.cell);
    match interrupt::requested() {
        // The commands were ended, and would have gone on.
        Some(stop) => {
            let _ = remove_tree(&work.dir);
            failure = Failure::new(Kind::Interrupted(stop.exit_status()), failure.what);
        }
        None => {
            if !failure.took_too_long && (failure.disk_full || disk::is_full(&work.dir)) {
                disk::blame(&mut failure);
                failure.log = Some(work.give_back(job));
            } else {
                failure.log = Some(work.keep_log(job));
            }
        }
    }
    failure
}

/// Decides about signing, and gets ready for it.
fn signer(job: &Job<'_>, environment: &Environment) -> Result<Signer, Unsigned> {
    let kernel = KernelFiles::of(&job.cell.kernel, job.context);
    let recipe = recipe(job.layout, job.settings, &kernel, job.distro);
    // For a passphrase.
    let asking = job.may_ask.then(|| Aside::begin(job.report));
    let signer = recipe
        .and_then(|recipe| Signer::new(recipe, environment.clone(), job.may_ask, *job.settings.limits.tool));
    drop(asking);
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

/// The source's own part: patches, scripts, make.
fn compile(job: &Job<'_>, work: &Workspace, stand_ins: &StandIns, llvm: bool) -> Result<(), Failure> {
    let made = steps::patch(job, work)
        .and_then(|()| steps::script(job, work, "pre_build", job.conf.scripts.pre_build.as_deref(), None))
        .and_then(|()| steps::make(job, work, stand_ins, llvm));
    let settled = work.settle().map_err(|e| Failure::io(job, "take back", &work.dir, &e));
    made.and(settled)?;
    results::check(job, work)
}

/// Our part: from what make built to a directory that can take the cell's place.
fn finish(
    job: &Job<'_>,
    work: &Workspace,
    signer: Result<&Signer, &Unsigned>,
    dependencies: &[(String, String)],
) -> Result<(Staging, Compression, Signed, Option<Uses>), Failure> {
    let uses = uses::of(job, work, &results::built(job, work));
    let target = job.layout.cell(job.cell);
    let kind = compression(job.context, job.layout, &job.cell.kernel);
    let mut staging = Staging::new(job.layout, job.cell)
        .map_err(|e| Failure::io(job, "create a directory for", &target, &e))?;
    let signed = finishing::stage(job, work, &staging, signer, kind)?;
    if job.conf.build_depends_rebuild && !job.force {
        for (name, version) in dependencies {
            let note = staging.modules().with_file_name(format!(".dep_{name}"));
            regular::write(&note, format!("{version}\n").as_bytes())
                .map_err(|e| Failure::io(job, "write", &note, &e))?;
        }
    }
    // A kill during POST_BUILD shall leave a build with its log.
    copy_log(job, work, &staging.log())?;
    staging.sync().map_err(|e| Failure::io(job, "put in place", &target, &e))?;
    Ok((staging, kind, signed, uses))
}

/// A reader sees the old log or the new one; by it a later run knows whose build this is.
fn copy_log(job: &Job<'_>, work: &Workspace, to: &Path) -> Result<(), Failure> {
    let new = to.with_file_name(".tmp-make.log");
    copy_file(&work.log, &new).map_err(|e| Failure::io(job, e.doing, &e.path, &e.source))?;
    std::fs::rename(&new, to).map_err(|e| Failure::io(job, "write", to, &e))
}

/// Makes the result the build of the cell, and runs POST_BUILD, which may read and change the modules in their
/// final place.
fn put_in_place(
    job: &Job<'_>,
    work: &Workspace,
    staging: Staging,
    kind: Compression,
) -> Result<Vec<BuiltModule>, Failure> {
    let target = job.layout.cell(job.cell);
    work.beside.set(false);
    let published =
        staging.publish(job.layout, job.cell).map_err(|e| Failure::io(job, "put in place", &target, &e))?;
    let after = post_build::run(job, work, &published)
        .and_then(|()| copy_log(job, work, &published.dir().join("log/make.log")))
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
        work.warn(job, format!("{} could not be removed: {error}", work.show(&work.seen)));
    }
    Ok(modules)
}
