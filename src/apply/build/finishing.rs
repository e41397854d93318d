//! From the modules that make left to those that are installed: stripped, signed and compressed in the staging area.
//!
//! A package may have dozens of them, and compressing takes longer than compiling some. So others help with them where
//! the job server has jobs to spare.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::compress::pack_file;
use super::last_look;
use super::publish::Staging;
use super::readable::why_not_read;
use super::results::{built_name, built_path, wanted};
use super::workspace::Workspace;
use super::{Failure, Job};
use crate::apply::sign::{Environment, NotSigned, Signed, Signer};
use crate::conf::model::Record;
use crate::elf::{Compression, check_same_load};
use crate::fs::beneath::open_file;
use crate::fs::copy::copy_open_file;
use crate::fs::regular;
use crate::fs::workbench::Workbench;
use crate::kernel::Unsigned;
use crate::model::error::Kind;
use crate::process::{Output, Process};
use crate::progress::Aside;

/// What is done with every module of a build.
struct Finishing<'a> {
    job: &'a Job<'a>,
    environment: &'a Environment,
    signer: Option<&'a Signer>,
    kind: Compression,
    /// One could not be signed: the rest need not be.
    unsigned: AtomicBool,
    /// Held while something is signed that may ask at the terminal.
    terminal: Mutex<()>,
}

/// One module.
struct Module {
    /// The build directory.
    dir: PathBuf,
    /// Its path in there.
    path: PathBuf,
    built: PathBuf,
    target: PathBuf,
    strip: bool,
}

/// What is to be told of one.
#[derive(Debug, Default)]
struct Told {
    /// It was signed, or that was tried.
    signing: bool,
    unsigned: Option<String>,
    warnings: Vec<String>,
}

/// Puts the finished modules into the staging area. Says whether they are signed.
pub(super) fn stage(
    job: &Job<'_>,
    work: &Workspace,
    staging: &Staging,
    signer: Result<&Signer, &Unsigned>,
    kind: Compression,
) -> Result<Signed, Failure> {
    let symvers = Path::new("Module.symvers");
    match open_file(&work.dir, symvers) {
        Ok(file) => {
            let target = staging.modules().join(symvers);
            copy_open_file(file, &work.dir.join(symvers), &target)
                .map_err(|e| Failure::io(job, e.doing, &e.path, &e.source))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => work.warn(job, format!("Module.symvers of the build is not kept: {error}")),
    }
    if let Some(why) = why_not_read(kind) {
        work.warn(job, why);
    }
    let module = |record: &Record| Module {
        dir: work.dir.clone(),
        path: built_name(record).into(),
        built: built_path(work, record),
        target: staging.modules().join(format!("{}.ko", record.dest_name)),
        strip: record.strip,
    };
    let modules: Vec<Module> = wanted(job).map(|(_, record)| module(record)).collect();
    let finishing = Finishing {
        job,
        environment: &work.environment,
        signer: signer.ok(),
        kind,
        unsigned: AtomicBool::new(false),
        terminal: Mutex::new(()),
    };
    let mut signed = match &signer {
        Ok(signer) => Signed::With { certificate: signer.certificate().to_owned() },
        Err(unsigned) if unsigned.fault => Signed::Failed(unsigned.why.clone()),
        Err(unsigned) => Signed::Not(unsigned.why.clone()),
    };
    for (module, told) in modules.iter().zip(finishing.all(&modules)) {
        let Told { signing, unsigned, warnings } = told?;
        if signing {
            job.report.line(&format!("Signing module {}", module.name()));
        }
        if let Some(why) = unsigned {
            work.warn(job, format!("{} could not be signed: {why}", module.name()));
            signed = Signed::Failed(why);
        }
        for warning in warnings {
            work.warn(job, warning);
        }
    }
    Ok(signed)
}

impl Module {
    fn name(&self) -> String {
        self.target.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Finishing<'_> {
    /// Finishes all of them, with a helper for each job that is to be had meanwhile. What is to be told is in their
    /// order.
    fn all(&self, modules: &[Module]) -> Vec<Result<Told, Failure>> {
        let next = AtomicUsize::new(0);
        let told: Vec<Mutex<Option<Result<Told, Failure>>>> =
            modules.iter().map(|_| Mutex::default()).collect();
        let take = || {
            let at = next.fetch_add(1, Ordering::Relaxed);
            Some((modules.get(at)?, told.get(at)?))
        };
        let finish = |(module, told): (&Module, &Mutex<_>)| {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.one(module));
        };
        std::thread::scope(|scope| {
            while let Some(mine) = take() {
                let more = next.load(Ordering::Relaxed) < modules.len();
                if let Some(slot) = more.then(|| self.job.server.try_slot()).flatten() {
                    scope.spawn(move || {
                        let _slot = slot;
                        while let Some(another) = take() {
                            finish(another);
                        }
                    });
                }
                finish(mine);
            }
        });
        let all = told.into_iter().map(|told| told.into_inner().unwrap_or_else(PoisonError::into_inner));
        all.flatten().collect()
    }

    fn one(&self, module: &Module) -> Result<Told, Failure> {
        let (job, target) = (self.job, &module.target);
        let mut told = Told::default();
        let file =
            open_file(&module.dir, &module.path).map_err(|e| Failure::io(job, "read", &module.built, &e))?;
        copy_open_file(file, &module.built, target)
            .map_err(|e| Failure::io(job, e.doing, &e.path, &e.source))?;
        fs::set_permissions(target, fs::Permissions::from_mode(0o644))
            .map_err(|e| Failure::io(job, "write", target, &e))?;
        let made = regular::read_module(target).map_err(|e| Failure::io(job, "read", target, &e))?;
        if module.strip {
            told.warnings.extend(self.strip(target, &made)?);
        }
        if let Some(signer) = self.signer.filter(|_| !self.unsigned.load(Ordering::Relaxed)) {
            told.signing = true;
            let terminal = || self.terminal.lock().unwrap_or_else(PoisonError::into_inner);
            let _asks_alone = job.may_ask.then(terminal);
            let _asking = signer.asks().then(|| Aside::begin(job.report));
            match signer.sign(target) {
                Ok(()) => {}
                Err(NotSigned::Disk(error)) => return Err(Failure::io(job, "sign", target, &error)),
                Err(NotSigned::Tool(why)) => {
                    self.unsigned.store(true, Ordering::Relaxed);
                    told.unsigned = Some(why);
                }
            }
        }
        let packed = pack_file(target, self.kind, job.settings, &mut told.warnings)
            .map_err(|e| Failure::io(job, "compress", target, &e))?;
        let signed = told.signing && told.unsigned.is_none();
        last_look::finished(&packed, self.kind, &made, signed).map_err(|why| {
            let what =
                format!("{} was spoilt after make had ended: it is no whole module: {why}", module.name());
            Failure::new(Kind::ModuleNotBuilt, what)
                .trouble()
                .hint("look for errors of the disk in the kernel's log (`dmesg`); the next run tries again")
        })?;
        Ok(told)
    }

    /// Removes debug information. A module with it still works, so a failure stops nothing: it is what to warn of. With
    /// `-g`, every program called strip keeps the module's BTF; without it, one of them does not
    /// (findings/eu-strip-drops-btf.sh). That of binutils writes into the file that it is given, and may be stopped half
    /// way: so it is given a copy.
    ///
    /// # Errors
    /// When the disk does not do as it should: then the next run can do better.
    fn strip(&self, module: &Path, made: &[u8]) -> Result<Option<String>, Failure> {
        let cc = self.environment.iter().rev().find(|(name, _)| name == "CC");
        let clang = cc.is_some_and(|(_, value)| value.as_deref().is_some_and(|cc| cc == "clang"));
        let program = if clang { "llvm-strip" } else { "strip" };
        let failed = |error: std::io::Error| Failure::io(self.job, "strip", module, &error);
        let bench = Workbench::beside(module).map_err(failed)?;
        let copy = bench.fill().map_err(failed)?;
        let stripped = || -> Result<(), String> {
            let process = Process::new(program).arg("-g").arg(&copy).envs(self.environment);
            match process.within(*self.job.settings.limits.tool).run(Output::Null) {
                Ok(0) => {}
                Ok(status) => {
                    return Err(format!("{program} failed with exit status {status}; not stripped"));
                }
                Err(error) => return Err(format!("not stripped: {error}")),
            }
            let left = regular::read_module(&copy).map_err(|error| format!("not stripped: {error}"))?;
            check_same_load(made, &left)
                .map_err(|why| format!("{program} left no whole module: {why}; not stripped"))
        };
        if let Err(why) = stripped() {
            return Ok(Some(why));
        }
        bench.take(&copy, module).map_err(failed)?;
        Ok(None)
    }
}
