//! The build directory `T/m/v/build`: a fresh copy of the source, its log, and the environment of
//! everything that runs in it.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::tree_copy::{CopyError, copy_tree, remove_tree};
use super::{Failure, Job};
use crate::apply::sign::Environment;
use crate::error::exit;
use crate::kbuild::toolchain::Toolchain;
use crate::process::Process;
use crate::root::Root;

/// Variables of the shell that evaluates `build_environment` which say nothing about builds.
const SHELL_OWN: [&str; 5] = ["_", "PWD", "OLDPWD", "SHLVL", crate::process::PARENT_VARIABLE];

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

/// The environment of a build: what DKMS exports, the toolchain, and `build_environment`.
pub(super) fn environment(job: &Job<'_>, toolchain: &Toolchain) -> Result<Environment, Failure> {
    let cell = job.cell;
    let mut vars: Environment = [
        ("module", cell.module.name.as_str()),
        ("module_version", cell.module.version.as_str()),
        ("kernelver", cell.kernel.as_str()),
        ("arch", cell.arch.as_str()),
    ]
    .map(|(name, value)| (name.into(), Some(value.into())))
    .into();
    vars.extend(toolchain.environment());
    if let Some(file) = &job.framework.build_environment {
        let file = job.layout.root.path(file);
        if file.is_file() {
            vars = sourced(job, &file, vars)?;
        }
    }
    Ok(vars)
}

/// Everything that is exported after bash has sourced `file`.
fn sourced(job: &Job<'_>, file: &Path, mut vars: Environment) -> Result<Environment, Failure> {
    let process =
        Process::bash("source \"$1\" >/dev/null 2>&1; exec env -0").arg("bash").arg(file).envs(&vars);
    let got = process.capture().map_err(|e| Failure::new(exit::USAGE, e.to_string()).trouble())?;
    if got.status != 0 {
        let what = format!(
            "bash could not evaluate {} (build_environment in framework.conf): exit status {}",
            job.layout.shown(file).display(),
            got.status
        );
        return Err(Failure::new(exit::USAGE, what).trouble());
    }
    for entry in got.stdout.split(|&b| b == 0) {
        let Some(equals) = entry.iter().position(|&b| b == b'=') else { continue };
        let name = OsStr::from_bytes(&entry[..equals]);
        if !SHELL_OWN.iter().any(|own| name == *own) {
            vars.push((name.to_owned(), Some(OsStr::from_bytes(&entry[equals + 1..]).to_owned())));
        }
    }
    Ok(vars)
}

/// The time as date(1) writes it in the person's language: what DKMS's logs have.
fn now() -> String {
    let date = Process::new("date").capture().ok().filter(|got| got.status == 0);
    date.map(|got| String::from_utf8_lossy(&got.stdout).trim_end().to_owned()).unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        format!("@{}", since.map_or(0, |d| d.as_secs()))
    })
}
