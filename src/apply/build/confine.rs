//! The sandbox of a build: what it may write to, what it has to read, and whether it can at all.
//!
//! docs/design/sandbox.md has the reasons.

use std::num::NonZero;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Job;
use crate::apply::sign::Environment;
use crate::kernel::{self, KernelFiles};
use crate::model::settings::Bytes;
use crate::process::sandbox::{Bounds, Limits, Refusal, Sandbox};
use crate::process::{search_path, shortage};

/// Files of the headers that every build reads. If one cannot be read, the build fails, and what it says hides why.
const READ_BY_ALL: [&str; 6] = [
    "Makefile",
    "include/config/auto.conf",
    "include/generated/autoconf.h",
    "Module.symvers",
    "scripts/mod/modpost",
    "vmlinux",
];

/// The least that a process may have where the setting does not say, in bytes: compilers of other languages ask for
/// more address space than they use.
const LEAST_MEMORY: u64 = 4 << 30;
/// The largest file, in bytes.
const FILE_SIZE: Bytes = Bytes(4 << 30);
/// Processes: at least, and for each processor. One job of make is up to five.
const PROCESSES: (u64, u64) = (1024, 32);

/// How the commands of a build run.
#[derive(Debug)]
pub(super) enum Confinement {
    /// In this sandbox.
    Sandbox(Sandbox),
    /// With all power: why.
    None {
        /// In one sentence.
        why: String,
        /// Whether a person has to be told, who may have forgotten it or never known.
        told: bool,
    },
}

/// The build that is to be confined.
pub(super) struct Site<'a> {
    /// Its directory.
    pub dir: &'a Path,
    /// Where its commands see that.
    pub seen: &'a Path,
    /// Their variables.
    pub environment: &'a Environment,
    /// Keeps the log when the directory has been handed over.
    pub keep_log: &'a dyn Fn() -> std::io::Result<()>,
    /// Says something that a person has to know.
    pub warn: &'a dyn Fn(String),
}

impl Confinement {
    /// The sandbox for a build that has been copied to its directory, which is its user's from now on. `more` are
    /// further directories that it may write to.
    pub fn of(job: &Job<'_>, work: &Site<'_>, more: &[PathBuf]) -> Self {
        let (settings, module) = (job.settings, &job.cell.module);
        if let Some((reason, origin, told)) = settings.unconfined_because(module) {
            let why = format!("{module} is built with root's power, because {origin} says: {reason}");
            return Self::None { why, told };
        }
        let mut why = String::new();
        for same_user in [false, true] {
            match attempt(job, work, more, same_user) {
                Ok(sandbox) => {
                    if !why.is_empty() {
                        (work.warn)(format!("{why}; the build runs as the caller, without capabilities"));
                    }
                    return Self::Sandbox(sandbox);
                }
                Err(refusal) => why = refusal,
            }
        }
        let why = format!("{module} is built with root's power, as it cannot be confined: {why}");
        Self::None { why, told: true }
    }

    /// What a log says of it.
    pub fn text(&self) -> String {
        match self {
            Self::Sandbox(sandbox) => sandbox.layers(),
            Self::None { why, .. } => why.clone(),
        }
    }

    /// Whether more is to be said than a log says.
    pub fn is_told(&self) -> bool {
        match self {
            Self::Sandbox(sandbox) => !sandbox.is_whole(),
            Self::None { told, .. } => *told,
        }
    }

    pub fn sandbox(&self) -> Option<&Sandbox> {
        match self {
            Self::Sandbox(sandbox) => Some(sandbox),
            Self::None { .. } => None,
        }
    }
}

fn attempt(job: &Job<'_>, work: &Site<'_>, more: &[PathBuf], same_user: bool) -> Result<Sandbox, String> {
    let mut writable = more.to_vec();
    if work.dir == work.seen {
        writable.push(work.dir.to_path_buf());
    }
    writable.extend(ccache(work.environment, None));
    let bounds = Bounds {
        writable,
        readable: readable(job),
        secrets: secrets(job),
        pipes: Vec::new(),
        limits: limits(job),
        same_user,
    };
    let said = |error: std::io::Error| error.to_string();
    let sandbox = Sandbox::new(&job.layout.state(), bounds).map_err(said)?;
    let pipe = job.server.lend(sandbox.user().map(|(_, group)| group)).map_err(said)?;
    let sandbox = sandbox.with_pipe(pipe);
    prepare(job, work, more, &sandbox).inspect_err(|_| {
        // Whoever builds instead may be root without the power to write into what is another user's.
        for dir in more.iter().map(PathBuf::as_path).chain([work.dir]) {
            let _ = sandbox.take_back(dir);
        }
    })?;
    Ok(sandbox)
}

/// Gives a sandbox's user what it writes to, and finds out whether it can read what it needs.
fn prepare(job: &Job<'_>, work: &Site<'_>, more: &[PathBuf], sandbox: &Sandbox) -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    for dir in more.iter().map(PathBuf::as_path).chain([work.dir]) {
        sandbox.hand_over(dir).map_err(said)?;
    }
    (work.keep_log)().map_err(said)?;
    let headers = &job.context.kernel_source_dir;
    let mut files: Vec<PathBuf> = READ_BY_ALL.iter().map(|name| headers.join(name)).collect();
    files.push(work.seen.to_path_buf());
    sandbox.check(work.dir, work.seen, &files).map_err(|refusal| match refusal {
        Refusal::Unreadable(file) => {
            format!("{} cannot be read by others than its owner", job.layout.shown(&file).display())
        }
        Refusal::Refused(_) => refusal.to_string(),
    })
}

/// What a build reads, wherever it lies: the trees, the headers (with what they are a part of), what programs there are.
fn readable(job: &Job<'_>) -> Vec<PathBuf> {
    let (layout, headers) = (job.layout, &job.context.kernel_source_dir);
    let mut paths = vec![
        layout.tree(),
        layout.etc(),
        layout.root.path(&layout.source_tree),
        layout.root.path(&layout.install_tree),
        layout.source_link(&job.cell.module),
        headers.clone(),
        // Of a kernel that was built in another directory than its source.
        headers.join("source"),
    ];
    if !layout.root.is_slash() {
        paths.push(layout.root.dir().to_path_buf());
    }
    paths.extend(std::env::split_paths(search_path()));
    paths.retain(|path| path.is_absolute() && path.exists());
    paths
}

/// Keys: that of the settings, and those of the places where distributions have them.
fn secrets(job: &Job<'_>) -> Vec<PathBuf> {
    let usual = ["/var/lib/dkms/mok.key", "/var/lib/shim-signed/mok/MOK.priv"];
    let mut files: Vec<PathBuf> = usual.iter().map(|path| job.layout.root.path(path)).collect();
    let kernel = KernelFiles::of(&job.cell.kernel, job.context);
    let pair = kernel::pair(job.layout, job.settings, Some(&kernel), job.distro);
    files.extend(pair.ok().and_then(|pair| pair.key_file()));
    files.push(job.context.kernel_source_dir.join("certs/signing_key.pem"));
    files.retain(|file| file.is_file());
    files
}

fn limits(job: &Job<'_>) -> Limits {
    let settings = job.settings;
    let unless_zero = |limit: u64| (limit > 0).then_some(limit);
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get) as u64;
    let processes = settings.build_processes.map_or(PROCESSES.0.max(PROCESSES.1 * processors), |n| n as u64);
    let memory = || shortage::Watch::begin().look().map_or(LEAST_MEMORY, |look| look.total.max(LEAST_MEMORY));
    Limits {
        processes: unless_zero(processes),
        memory: unless_zero(settings.build_memory.map_or_else(memory, |bytes| bytes.0)),
        file: unless_zero(settings.build_file_size.unwrap_or(FILE_SIZE).0),
    }
}

/// A compiler cache that the file `build_environment` sets up, where the user of builds may write to it.
fn ccache(environment: &Environment, user: Option<(u32, u32)>) -> Option<PathBuf> {
    let said = environment.iter().rev().find(|(name, _)| name == "CCACHE_DIR")?;
    let dir = PathBuf::from(said.1.as_ref()?);
    let meta = dir.metadata().ok().filter(|meta| meta.is_dir())?;
    let may = match user {
        Some((uid, gid)) => {
            meta.uid() == uid || (meta.gid() == gid && meta.mode() & 0o020 != 0) || meta.mode() & 0o002 != 0
        }
        None => true,
    };
    may.then_some(dir)
}

/// What a build is told of its compiler cache: to do without one that it cannot write to.
pub(super) fn without_ccache(environment: &Environment, sandbox: &Sandbox) -> bool {
    let said = environment.iter().any(|(name, value)| name == "CCACHE_DIR" && value.is_some());
    said && ccache(environment, sandbox.user()).is_none()
}

/// What to do where a command wanted more than builds may, by what it printed.
pub(super) fn needs_more(printed: &str) -> Option<&'static str> {
    let signs =
        ["Read-only file system", "Operation not permitted", "Permission denied", "Network is unreachable"];
    signs.iter().any(|sign| printed.contains(sign)).then_some(
        "builds write only into their own directory and have no network; if this package needs more, name it with \
         the reason in `unconfined` in /etc/dkms/framework.conf, and build it again by name",
    )
}

/// Which limit ended a command, by what it printed.
pub(super) fn limit_that_struck(printed: &str, job: &Job<'_>) -> Option<String> {
    let limits = limits(job);
    let says = |signs: &[&str]| signs.iter().any(|sign| printed.contains(sign));
    let size = |bytes: Option<u64>| bytes.map(|bytes| Bytes(bytes).to_string());
    if let Some(size) = size(limits.file)
        && says(&["File size limit exceeded", "File too large"])
    {
        return Some(format!("a build may write files of {size} at most: build_file_size in framework.conf"));
    }
    if let Some(processes) = limits.processes
        && says(&["fork: retry", "fork: Resource temporarily unavailable", "vfork: Resource temporarily"])
    {
        return Some(format!(
            "a build may have {processes} processes at most: build_processes in framework.conf"
        ));
    }
    if let Some(size) = size(limits.memory)
        && says(&["Cannot allocate memory", "out of memory", "memory exhausted", "libbpf error -12"])
    {
        return Some(format!(
            "a process of a build may have {size} of memory at most: build_memory in framework.conf"
        ));
    }
    None
}

/// Whether a path is one that only links and special files make of it: what POST_BUILD left that is neither file nor
/// directory is taken away.
pub(super) fn keep_files_only(dir: &Path) -> std::io::Result<()> {
    for entry in walkdir::WalkDir::new(dir).follow_links(false).contents_first(true) {
        let entry = entry?;
        if !entry.file_type().is_file() && !entry.file_type().is_dir() {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
