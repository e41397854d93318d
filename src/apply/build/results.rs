//! What make left behind: checked, stripped, signed, compressed and put into the staging area.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::compress::pack_file;
use super::publish::Staging;
use super::readable::why_not_read;
use super::workspace::Workspace;
use super::{Failure, Job};
use crate::apply::sign::{Signed, Signer};
use crate::conf::model::Record;
use crate::elf::{self, Compression};
use crate::fs::copy::copy_file;
use crate::kernel::Unsigned;
use crate::model::error::Kind;
use crate::process::{Output, Process};

/// The records that this kernel gets, with their indices.
fn wanted<'a>(job: &Job<'a>) -> impl Iterator<Item = (usize, &'a Record)> {
    job.conf.records.iter().enumerate().filter(|(_, record)| record.excluded.is_none())
}

fn built_path(work: &Workspace, record: &Record) -> PathBuf {
    work.dir.join(format!("{}{}.ko", record.built_location, record.built_name))
}

/// The modules as make left them, each with the name that it gets.
pub(super) fn built(job: &Job<'_>, work: &Workspace) -> Vec<(String, PathBuf)> {
    wanted(job).map(|(_, record)| (record.dest_name.clone(), built_path(work, record))).collect()
}

/// Every module that dkms.conf names must have been built, and for this kernel.
pub(super) fn check(job: &Job<'_>, work: &Workspace) -> Result<(), Failure> {
    for (_, record) in wanted(job) {
        let path = built_path(work, record);
        let name = format!("{}{}.ko", record.built_location, record.built_name);
        if !path.is_file() {
            let what = format!("make succeeded, but built no {name}");
            let hint = "check BUILT_MODULE_NAME and BUILT_MODULE_LOCATION in dkms.conf against the log";
            return Err(Failure::new(Kind::ModuleNotBuilt, what).hint(hint));
        }
        if record.dest_name.is_empty() || record.dest_name.contains('/') {
            let what = format!("DEST_MODULE_NAME {:?} of {name} is not a file name", record.dest_name);
            return Err(Failure::new(Kind::ConfInvalid, what));
        }
        let info = match elf::modinfo(&path) {
            Ok(info) => info,
            Err(error) => {
                return Err(Failure::new(
                    Kind::ModuleNotBuilt,
                    format!("{name}, as built by make, cannot be used: {error}"),
                ));
            }
        };
        let kernel = job.cell.kernel.as_str();
        if info.kernel() != Some(kernel) {
            let found = info.kernel().map_or("no kernel at all".to_owned(), |k| format!("kernel {k}"));
            let what = format!("{name} was built for {found}, not for {kernel}; the kernel would refuse it");
            let hint = "the module's Makefile probably reads the release of the running kernel from /proc \
                        instead of using KERNELRELEASE or $kernel_source_dir (during a build, \
                        `uname -r` gives the right one)";
            return Err(Failure::new(Kind::ModuleNotBuilt, what).hint(hint));
        }
    }
    Ok(())
}

/// Puts the finished modules into the staging area. Says whether they are signed.
pub(super) fn stage(
    job: &Job<'_>,
    work: &Workspace,
    staging: &Staging,
    signer: Result<&Signer, &Unsigned>,
    kind: Compression,
) -> Result<Signed, Failure> {
    let mut signed = match &signer {
        Ok(signer) => Signed::With { certificate: signer.certificate().to_owned() },
        Err(unsigned) => Signed::Not(unsigned.why.clone()),
    };
    let symvers = work.dir.join("Module.symvers");
    if symvers.is_file() {
        let target = staging.modules().join("Module.symvers");
        copy_file(&symvers, &target).map_err(|e| Failure::io(job, e.doing, &e.path, &e.source))?;
    }
    if let Some(why) = why_not_read(kind) {
        work.warn(job, why);
    }
    for (_, record) in wanted(job) {
        let target = staging.modules().join(format!("{}.ko", record.dest_name));
        copy_file(&built_path(work, record), &target)
            .map_err(|e| Failure::io(job, e.doing, &e.path, &e.source))?;
        fs::set_permissions(&target, fs::Permissions::from_mode(0o644))
            .map_err(|e| Failure::io(job, "write", &target, &e))?;
        if record.strip {
            strip(job, work, &target);
        }
        if let (Ok(signer), Signed::With { .. }) = (&signer, &signed) {
            let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
            job.report.line(&format!("Signing module {name}"));
            if let Err(why) = signer.sign(&target) {
                let warning = format!("{name} could not be signed: {why}");
                work.warn(job, warning);
                signed = Signed::Not(why);
            }
        }
        let mut warnings = Vec::new();
        pack_file(&target, kind, job.settings, &mut warnings)
            .map_err(|e| Failure::io(job, "compress", &target, &e))?;
        for warning in warnings {
            work.warn(job, warning);
        }
    }
    Ok(signed)
}

/// Removes debug information. A module with it still works, so a failure stops nothing. With `-g`, every program called
/// strip keeps the module's BTF; without it, one of them does not (findings/eu-strip-drops-btf.sh).
fn strip(job: &Job<'_>, work: &Workspace, module: &Path) {
    let cc = work.environment.iter().rev().find(|(name, _)| name == "CC");
    let clang = cc.is_some_and(|(_, value)| value.as_deref().is_some_and(|cc| cc == "clang"));
    let program = if clang { "llvm-strip" } else { "strip" };
    let process = Process::new(program).arg("-g").arg(module).envs(&work.environment);
    match process.run(Output::Null) {
        Ok(0) => {}
        Ok(status) => work.warn(job, format!("{program} failed with exit status {status}; not stripped")),
        Err(error) => work.warn(job, format!("not stripped: {error}")),
    }
}

/// The finished modules in the cell, in record order.
pub(super) fn list(job: &Job<'_>, dir: &Path, kind: Compression) -> Result<Vec<super::BuiltModule>, Failure> {
    let modules = wanted(job).map(|(record, wanted)| {
        let file = format!("{}{}", wanted.dest_name, kind.suffix());
        let path = dir.join("module").join(&file);
        // POST_BUILD may have taken it away.
        std::fs::metadata(&path).map_err(|e| Failure::io(job, "read", &path, &e))?;
        Ok(super::BuiltModule { record, file })
    });
    modules.collect()
}
