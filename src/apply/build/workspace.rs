//! The build directory `T/m/v/build`: a fresh copy of the source, its log, and the environment of
//! everything that runs in it.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Failure, Job};
use crate::apply::sign::Environment;
use crate::fs::copy::{CopyError, copy_tree, remove_tree};
use crate::fs::root::Root;
use crate::process::{Process, QUERY_LIMIT};

/// A build under way.
#[derive(Debug)]
pub(super) struct Workspace {
    /// `T/m/v/build`.
    pub dir: PathBuf,
    /// `T/m/v/build/make.log`.
    pub log: PathBuf,
    /// What commands see.
    pub environment: Environment,
    /// What the person should know although the build goes on.
    pub warnings: RefCell<Vec<String>>,
    /// How long its commands took so far.
    pub took: Cell<Duration>,
    root: Root,
}

impl Workspace {
    /// Copies the source and starts the log.
    pub fn prepare(job: &Job<'_>, source: &Path, environment: Environment) -> Result<Self, Failure> {
        let dir = job.layout.build_dir(&job.cell.module);
        let root = job.layout.root.clone();
        let work = Self {
            log: job.layout.make_log(&job.cell.module),
            dir,
            environment,
            warnings: RefCell::default(),
            took: Cell::default(),
            root,
        };
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
            "DKMS (dkms-hook-{}) make.log for {} for kernel {} ({})\n{}\n",
            env!("CARGO_PKG_VERSION"),
            job.cell.module,
            job.cell.kernel,
            job.cell.arch,
            now(),
        );
        // The source may bring a log of its author's last build.
        let _ = fs::remove_file(&self.log);
        fs::write(&self.log, text).map_err(|e| Failure::io(job, "write", &self.log, &e))
    }

    /// A path as messages name it: from inside the root.
    pub fn show(&self, path: &Path) -> String {
        self.root.inside(path).display().to_string()
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
        let copied = kept
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::copy(&self.log, &kept).map(|_| ()));
        match copied {
            Ok(()) => kept,
            // A full disk: the original is still there.
            Err(_) => {
                let _ = fs::remove_file(&kept);
                self.log.clone()
            }
        }
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
