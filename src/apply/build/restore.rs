//! A build that the cache has: copied instead of made, and put in place like one.

use super::publish::Staging;
use super::{Built, Failure, Job, checks, results};
use crate::apply::sign::Signed;
use crate::cache::{Cache, Entry, Key};
use crate::elf::Compression;
use crate::kernel::compression;
use crate::model::ids::Cell;

/// Where a build may be found.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    /// The cache.
    pub cache: &'a Cache,
    /// What it is found by.
    pub key: &'a Key,
    /// It was said before that it is there.
    pub told: bool,
}

/// A build out of the cache that nobody sees yet.
#[derive(Debug)]
pub(super) struct Restored {
    staging: Staging,
    kind: Compression,
    entry: Entry,
}

/// Copies the build, if the cache has it. Whatever is wrong with it, it can be built instead.
pub(super) fn restore(job: &Job<'_>) -> Option<Restored> {
    let Kept { cache, key, told } =
        job.kept.filter(|kept| !job.force && kept.cache.has(job.cell, kept.key))?;
    let mut staging = Staging::new(job.layout, job.cell).inspect_err(|error| log::info!("{error}")).ok()?;
    let entry = cache.take(job.cell, key, staging.dir())?;
    staging.sync().inspect_err(|error| log::info!("{error}")).ok()?;
    if !told {
        let Cell { module, kernel, .. } = job.cell;
        job.report.line(&format!("{module} for kernel {kernel}: taken from the cache"));
    }
    Some(Restored { staging, kind: compression(job.context, job.layout, &job.cell.kernel), entry })
}

/// Makes it the build of the cell.
pub(super) fn put_in_place(job: &Job<'_>, restored: Restored) -> Result<Built, Failure> {
    let Restored { staging, kind, entry } = restored;
    let target = job.layout.cell(job.cell);
    let failed = |error: std::io::Error| Failure::io(job, "put in place", &target, &error);
    let published = staging.publish(job.layout, job.cell).map_err(failed)?;
    let modules = match results::list(job, published.dir(), kind) {
        Ok(modules) => modules,
        Err(failure) => {
            published.undo().map_err(failed)?;
            return Err(failure);
        }
    };
    let mut warnings = Vec::new();
    if let Err(error) = published.keep() {
        warnings.push(format!("a part of the earlier build could not be removed: {error}"));
    }
    let _ = std::fs::remove_file(job.layout.failed_log(job.cell));
    let signed = match entry.signed {
        Ok(certificate) => Signed::With { certificate },
        Err(why) => Signed::Not(why),
    };
    warnings.extend(checks::refusal(job, &signed));
    warnings.iter().for_each(|warning| job.report.warning(warning));
    let log = job.layout.cell(job.cell).join("log/make.log");
    // What it uses of its kernel came with it.
    Ok(Built { modules, log, signed, uses: None, effort: entry.effort, warnings, from_cache: true })
}
