//! From a kernel's directory to the files of its index.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::config::Config;
use super::facts::Adding;
use super::index::{self, File, Kernel};
use super::kmod::Kmod;
use super::known::{self, Known};
use super::odd::{Odd, odd};
use super::search::Candidate;
use super::{read, search};
use crate::fs::look;

/// Where an index is made.
#[derive(Debug, Clone)]
pub struct Place {
    /// The kernel's directory.
    pub dir: PathBuf,
    /// What depmod.d says.
    pub config: Config,
    /// Whose index it is to be.
    pub kmod: Kmod,
    /// The file that keeps what modules say. Without one, all of them are read.
    pub known: Option<PathBuf>,
}

/// How much was to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Modules in the index.
    pub modules: usize,
    /// Of these, files that were read.
    pub read: usize,
}

/// To write what is known costs as much processor time (9 ms for a kernel of 4,000 modules) as to read so many bytes of
/// modules again, compressed or not.
const WORTH: u64 = 128 << 10;

/// So many modules that are no more make the file worth writing without them.
const GONE: usize = 64;

/// The files of the index.
///
/// # Errors
/// When something is not as usual: depmod(8) has to make it.
pub fn compute(place: &Place) -> Result<(Vec<File>, Effort), Odd> {
    let begun = SystemTime::now();
    let found = search::files(&place.dir, &place.config, place.kmod)?;
    let chosen: Vec<&Candidate> =
        search::choose(&found, &place.config).into_iter().map(|at| &found[at]).collect();
    let mut known = place.known.as_deref().map(Known::load).unwrap_or_default();
    let mut modules: Vec<Option<u32>> = chosen.iter().map(|file| known.module(file)).collect();
    let unknown = |at: &usize| modules[*at].is_none();
    let unknown: Vec<usize> = (0..chosen.len()).filter(unknown).collect();
    let mut first_odd = None;
    if !unknown.is_empty() {
        let files: Vec<&Candidate> = unknown.iter().map(|at| chosen[*at]).collect();
        let mut adding = Adding::to(&mut known.facts);
        for (at, said) in unknown.iter().zip(read::all(&place.dir, &files, place.kmod)) {
            match said {
                Ok(said) => modules[*at] = Some(adding.add(&said)),
                Err(odd) => _ = first_odd.get_or_insert(odd),
            }
        }
    }
    if modules.contains(&None) {
        first_odd.get_or_insert_with(|| odd("not all modules could be read"));
    }
    let files: Vec<(&Candidate, u32)> =
        chosen.iter().zip(&modules).filter_map(|(file, module)| Some((*file, (*module)?))).collect();
    // What has gone does no harm in the file.
    let read_now: u64 = unknown.iter().map(|at| chosen[*at].stamp.size).sum();
    let gone = known.files.len().saturating_sub(chosen.len() - unknown.len());
    let first = known.files.is_empty() && !unknown.is_empty();
    let worth_keeping = first || read_now > WORTH || gone > GONE;
    let effort = Effort { modules: chosen.len(), read: unknown.len() };
    let facts = &known.facts;
    std::thread::scope(|scope| {
        if let Some(path) = place.known.as_deref().filter(|_| worth_keeping) {
            // What was written just now could be written again without a new time.
            let settled: Vec<_> =
                files.iter().filter(|(file, _)| file.stamp.is_older_than(begun)).copied().collect();
            scope.spawn(move || known::save(path, facts, &settled));
        }
        if let Some(odd) = first_odd {
            return Err(odd);
        }
        let read = |name: &str| of_kernel(&place.dir, name);
        let (order, builtin) = (read("modules.order")?, read("modules.builtin")?);
        let modinfo = read("modules.builtin.modinfo")?;
        let files: Vec<(&[u8], u32)> =
            files.iter().map(|(file, module)| (file.path.as_slice(), *module)).collect();
        let kernel = Kernel {
            facts,
            files: &files,
            order: order.as_deref(),
            builtin: builtin.as_deref(),
            builtin_modinfo: modinfo.as_deref(),
        };
        Ok((index::compute(&kernel, place.kmod)?, effort))
    })
}

/// A file that the kernel's build made.
fn of_kernel(dir: &Path, name: &str) -> Result<Option<Vec<u8>>, Odd> {
    Ok(look::read(&dir.join(name))?)
}

/// Times of files are those of the last tick of a clock; those of some file systems have seconds only.
const TICK: Duration = Duration::from_millis(50);
const SECONDS: Duration = Duration::from_secs(2);

impl search::Stamp {
    /// Whether both times are so old that a later change would show.
    fn is_older_than(self, moment: SystemTime) -> bool {
        let Ok(moment) = moment.duration_since(SystemTime::UNIX_EPOCH) else { return false };
        let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        [self.modified, self.changed].into_iter().all(|time| {
            let tick = if time % 1_000_000_000 == 0 { SECONDS } else { TICK };
            time <= nanos(moment).saturating_sub(nanos(tick))
        })
    }
}
