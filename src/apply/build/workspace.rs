//! The build directory `T/m/v/build`: a fresh copy of the source, its log, and the environment of
//! everything that runs in it.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::place::Place;
use super::{Failure, Job, disk};
use crate::apply::sign::Environment;
use crate::fs::copy::{CopyError, copy_file, copy_tree, remove_tree};
use crate::fs::regular;
use crate::fs::root::Root;
use crate::process::{Process, QUERY_LIMIT, WORK_VARIABLE, shortage};
use crate::tree::layout::MAKE_LOG;
use crate::tree::recover::OWN_LOG;

/// A build under way.
#[derive(Debug)]
pub(super) struct Workspace {
    /// The build directory.
    pub dir: PathBuf,
    /// `T/m/v/build`, which is what commands see of it.
    pub seen: PathBuf,
    /// `make.log` in it.
    pub log: PathBuf,
    /// What commands see.
    pub environment: Environment,
    /// What the person should know although the build goes on.
    pub warnings: RefCell<Vec<String>>,
    /// How long its commands took so far.
    pub took: Cell<Duration>,
    /// Its commands run beside whoever holds the lock, and not while that waits for them.
    pub beside: Cell<bool>,
    /// Its makes get one job.
    pub one_job: bool,
    /// How many processes the kernel had killed for want of memory when it began.
    kills: Option<u64>,
    root: Root,
}

impl Workspace {
    /// Copies the source and starts the log.
    pub fn prepare(
        job: &Job<'_>,
        source: &Path,
        environment: Environment,
        place: &Place,
    ) -> Result<Self, Failure> {
        let Place { dir, seen } = place.clone();
        let root = job.layout.root.clone();
        let log = dir.join(MAKE_LOG);
        let (warnings, took, kills) = (RefCell::default(), Cell::default(), shortage::kills());
        let beside = Cell::new(true);
        let work = Self { dir, seen, log, environment, warnings, took, beside, one_job: false, kills, root };
        remove_tree(&work.dir).map_err(|e| Failure::io(job, "remove", &work.dir, &e))?;
        if let Err(error) = work.fill(job, source) {
            // Half a copy would look like a build to inspect, and may fill the disk.
            let _ = remove_tree(&work.dir);
            return Err(error);
        }
        Ok(work)
    }

    fn fill(&self, job: &Job<'_>, source: &Path) -> Result<(), Failure> {
        let copied = |e: CopyError| Failure::io(job, e.doing, &e.path, &e.source);
        copy_tree(source, &self.dir).map_err(copied)?;
        let overlay = job.layout.etc().join(&job.cell.module.name).join("patches");
        if overlay.is_dir() {
            copy_tree(&overlay, &self.dir.join("patches")).map_err(copied)?;
        }
        let text = format!(
            "{OWN_LOG}{}) make.log for {} for kernel {} ({})\n{}\n",
            env!("CARGO_PKG_VERSION"),
            job.cell.module,
            job.cell.kernel,
            job.cell.arch,
            now(),
        );
        // The source may bring a log of its author's last build.
        regular::write(&self.log, text.as_bytes()).map_err(|e| Failure::io(job, "write", &self.log, &e))
    }

    /// Whether the kernel has killed a process for want of memory since; `None` where that is not known.
    pub fn kernel_killed(&self) -> Option<bool> {
        Some(shortage::kills()? > self.kills?)
    }

    /// A path as messages name it: from inside the root, and of the build directory as commands see it.
    pub fn show(&self, path: &Path) -> String {
        self.root.inside(&self.as_seen(path)).display().to_string()
    }

    fn as_seen(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.dir).map_or_else(|_| path.to_path_buf(), |inner| self.seen.join(inner))
    }

    /// A command that runs in the build directory, unless it names another.
    pub fn inside(&self, process: Process) -> Process {
        let process = process.in_dir_unless_set(&self.seen);
        let process = if self.beside.get() { process.env(WORK_VARIABLE, "1") } else { process };
        if self.dir == self.seen { process } else { process.seeing(&self.dir, &self.seen) }
    }

    /// Reports and notes something that stops nothing.
    pub fn warn(&self, job: &Job<'_>, text: impl Into<String>) {
        let text = text.into();
        job.report.warning(&text);
        self.warnings.borrow_mut().push(text);
    }

    /// Keeps the log of a failed build where the next build does not overwrite it. The build
    /// directory stays for inspection. Returns the log's place.
    pub fn keep_log(&self, job: &Job<'_>) -> PathBuf {
        let kept = job.layout.failed_log(job.cell);
        let large = fs::symlink_metadata(&self.log).is_ok_and(|meta| meta.len() > disk::LARGE_LOG);
        let copied = kept.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| match large {
            true => fs::write(&kept, disk::end_of(&self.log, disk::LARGE_LOG)),
            false => copy_file(&self.log, &kept).map_err(std::io::Error::other),
        });
        match copied {
            Ok(()) => kept,
            // The original is still there.
            Err(_) => {
                let _ = fs::remove_file(&kept);
                self.as_seen(&self.log)
            }
        }
    }
}

impl Workspace {
    /// Deletes the build directory, which may have filled the file system that the next build needs, and keeps the end
    /// of the log as [`Self::keep_log`] does.
    pub fn give_back(&self, job: &Job<'_>) -> PathBuf {
        let kept = job.layout.failed_log(job.cell);
        let end = disk::end_of(&self.log, disk::LOG);
        if let Err(error) = remove_tree(&self.dir) {
            self.warn(job, format!("{} could not be removed: {error}", self.show(&self.dir)));
        }
        let written = kept.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&kept, end));
        if let Err(error) = written {
            self.warn(job, format!("{} could not be written: {error}", job.layout.shown(&kept).display()));
        }
        kept
    }
}

/// The time as date(1) writes it in the person's language: what DKMS's logs have.
fn now() -> String {
    let date = Process::new("date").limit(QUERY_LIMIT).capture().ok().filter(|got| got.status == 0);
    date.map(|got| String::from_utf8_lossy(&got.stdout).trim_end().to_owned()).unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        format!("@{}", since.map_or(0, |d| d.as_secs()))
    })
}
