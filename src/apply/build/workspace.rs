//! The build directory `T/m/v/build`: a fresh copy of the source, its log, and the environment of
//! everything that runs in it.

use std::cell::{Cell, OnceCell, RefCell};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{getegid, geteuid};

use super::confine::{Confinement, Site, without_ccache};
use super::place::Place;
use super::{Failure, Job, disk};
use crate::apply::sign::Environment;
use crate::fs::atomic;
use crate::fs::copy::{CopyError, copy_file, copy_tree, remove_tree};
use crate::fs::root::Root;
use crate::process::sandbox::Sandbox;
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
    /// How they run.
    confinement: OnceCell<Confinement>,
    /// How they run for the time being.
    other: RefCell<Option<Confinement>>,
    /// The log as it was made: a build may put something else in its place.
    log_file: RefCell<Option<File>>,
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
        let (confinement, other, log_file) = (OnceCell::new(), RefCell::default(), RefCell::default());
        let work = Self {
            dir,
            seen,
            log,
            environment,
            warnings,
            took,
            beside,
            one_job: false,
            confinement,
            other,
            log_file,
            kills,
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
            "{OWN_LOG}{}) make.log for {} for kernel {} ({})\n{}\n",
            env!("CARGO_PKG_VERSION"),
            job.cell.module,
            job.cell.kernel,
            job.cell.arch,
            now(),
        );
        self.start_log(text.as_bytes()).map_err(|e| Failure::io(job, "write", &self.log, &e))
    }

    /// Begins the log anew with this text. The source may bring a log of its author's last build.
    fn start_log(&self, text: &[u8]) -> io::Result<()> {
        remove_tree(&self.log)?;
        let mut file = File::options().append(true).read(true).create_new(true).open(&self.log)?;
        file.write_all(text)?;
        self.log_file.replace(Some(file));
        Ok(())
    }

    /// The log stays ours when the directory is handed over.
    pub fn keep_own_log(&self) -> io::Result<()> {
        lchown(&self.log, Some(geteuid().as_raw()), Some(getegid().as_raw()))
    }

    /// Decides how the commands run, and says so in the log; the first call does. Everything in the directory is the
    /// user's who runs them then.
    pub fn confine(&self, job: &Job<'_>) -> &Confinement {
        self.confinement.get_or_init(|| {
            let confinement = self.confinement(job, &[]);
            let text = confinement.text();
            log::info!("{} for kernel {}: {text}", job.cell.module, job.cell.kernel);
            match confinement.sandbox() {
                _ if !confinement.is_told() => {}
                // Whoever relies on it reads what is missing.
                Some(_) => job.report.line(&text),
                None => job.report.warning(&text),
            }
            if let Some(file) = &*self.log_file.borrow() {
                let mut file = file;
                let _ = writeln!(file, "{text}");
            }
            confinement
        })
    }

    /// A new one, in which `more` directories may be written to, too.
    pub fn confinement(&self, job: &Job<'_>, more: &[PathBuf]) -> Confinement {
        let site = Site {
            dir: &self.dir,
            seen: &self.seen,
            environment: &self.environment,
            keep_log: &|| self.keep_own_log(),
            warn: &|text| self.warn(job, text),
        };
        Confinement::of(job, &site, more)
    }

    /// Runs something with another confinement than the build had.
    pub fn confined_by<T>(&self, confinement: Confinement, run: impl FnOnce() -> T) -> T {
        self.other.replace(Some(confinement));
        let result = run();
        if let Some(sandbox) = self.other.take().as_ref().and_then(Confinement::sandbox) {
            sandbox.end_all();
        }
        result
    }

    /// The sandbox of the next command.
    fn sandbox(&self) -> Option<Sandbox> {
        let other = self.other.borrow();
        other.as_ref().or_else(|| self.confinement.get()).and_then(Confinement::sandbox).cloned()
    }

    /// The commands have ended: what they left is ours now, and nothing of them runs.
    pub fn settle(&self) -> io::Result<()> {
        let Some(sandbox) = self.confinement.get().and_then(Confinement::sandbox) else { return Ok(()) };
        sandbox.end_all();
        sandbox.take_back(&self.dir)
    }

    /// Another command may begin: the directory is the user's again.
    pub fn resume(&self) -> io::Result<()> {
        let Some(sandbox) = self.confinement.get().and_then(Confinement::sandbox) else { return Ok(()) };
        sandbox.hand_over(&self.dir)?;
        self.keep_own_log()
    }

    /// Runs something with the log; then what lies in its place is the log, whatever was put there meanwhile. Nothing
    /// writes to the directory when this is called.
    pub fn with_log<T>(&self, run: impl FnOnce(&File) -> T) -> io::Result<T> {
        if self.log_file.borrow().is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let result = self.log_file.borrow().as_ref().map(run);
        if let Some(sandbox) = self.sandbox() {
            sandbox.end_all();
        }
        let mut lost = None;
        if let Some(file) = &*self.log_file.borrow() {
            let (own, there) = (file.metadata()?, fs::symlink_metadata(&self.log).ok());
            if there.is_none_or(|there| (there.dev(), there.ino()) != (own.dev(), own.ino())) {
                let (mut text, mut file) = (Vec::new(), file);
                file.rewind()?;
                file.read_to_end(&mut text)?;
                lost = Some(text);
            }
        }
        if let Some(text) = lost {
            self.start_log(&text)?;
        }
        result.ok_or_else(|| io::ErrorKind::NotFound.into())
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
        let process = process.in_dir_unless_set(&self.seen).with_clean_environment();
        let process = if self.beside.get() { process.env(WORK_VARIABLE, "1") } else { process };
        let process = if self.dir == self.seen { process } else { process.seeing(&self.dir, &self.seen) };
        let process = process.envs(&self.environment);
        match self.sandbox() {
            Some(sandbox) if without_ccache(&self.environment, &sandbox) => {
                process.env("CCACHE_DISABLE", "1").confined(&sandbox)
            }
            Some(sandbox) => process.confined(&sandbox),
            None => process,
        }
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
            true => write(&kept, &disk::end_of(&self.log, disk::LARGE_LOG)),
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
        let written = kept.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| write(&kept, &end));
        if let Err(error) = written {
            self.warn(job, format!("{} could not be written: {error}", job.layout.shown(&kept).display()));
        }
        kept
    }
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    atomic::write_unsynced(path, bytes).map_err(std::io::Error::other)
}

/// The time as date(1) writes it in the person's language: what DKMS's logs have.
fn now() -> String {
    let date = Process::new("date").limit(QUERY_LIMIT).capture().ok().filter(|got| got.status == 0);
    date.map(|got| String::from_utf8_lossy(&got.stdout).trim_end().to_owned()).unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        format!("@{}", since.map_or(0, |d| d.as_secs()))
    })
}
