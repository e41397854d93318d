//! What a dkms.conf may do while bash reads it: nothing.
//!
//! It is a program of whoever wrote the module, and it is read to find out what there is to do, long before anybody
//! decides to do it. So root has bash read it as another user, without a network, and with nowhere to write
//! ([`crate::process::sandbox`]). Where the machine has no such layers, hooks and builds need the answer all the same;
//! who only looks goes without it ([`only_look`]).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd::Uid;
use tempfile::NamedTempFile;

use super::directives::DKMS_CONF;
use super::question::{Question, Source};
use crate::fs::root::Root;
use crate::model::settings::Limit;
use crate::process::Process;
use crate::process::sandbox::{Bounds, Limits, Sandbox};

/// What a conf may take: as much as a shell script with some programs needs, and no more.
const LIMITS: Limits = Limits { processes: Some(512), memory: Some(4 << 30), file: Some(64 << 20) };

/// Keys, for whoever stays root for want of files that another user could read.
const SECRETS: [&str; 3] = ["/var/lib/dkms/mok.key", "/var/lib/shim-signed/mok/MOK.priv", "/etc/shadow"];

static ONLY_LOOKING: AtomicBool = AtomicBool::new(false);

/// From now on, this process runs no program of a source with any power: it only looks.
pub fn only_look() {
    ONLY_LOOKING.store(true, Ordering::Relaxed);
}

/// Why bash gave no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    Failed(String),
    TookTooLong(Limit),
}

/// Where bash reads the files.
#[derive(Debug)]
pub(super) enum Room {
    /// Where this process is.
    Here(NamedTempFile),
    /// In a sandbox.
    Apart(Sandbox),
}

impl Room {
    /// Makes one. The administrator's own files, and those that somebody without root's power reads, need none.
    pub fn new(root: &Root, question: &Question<'_>, files: &[Source]) -> Result<Self, Unanswered> {
        let failed = |e: std::io::Error| Unanswered::Failed(format!("cannot make a temporary file: {e}"));
        let only_looks = ONLY_LOOKING.load(Ordering::Relaxed);
        let foreign = question.foreign || only_looks && question.exported == DKMS_CONF;
        if !foreign || !Uid::effective().is_root() {
            return NamedTempFile::new().map(Self::Here).map_err(failed);
        }
        let sandbox = apart(root, files).map_err(failed)?;
        if !sandbox.is_whole() {
            log::info!("dkms.conf is read {}", sandbox.layers());
        }
        if only_looks && !sandbox.keeps_files_as_they_are() {
            return Err(Unanswered::Failed(format!(
                "it needs bash, which is not started with root's power only to look ({}); a build reads it",
                sandbox.layers()
            )));
        }
        Ok(Self::Apart(sandbox))
    }

    /// The file that bash writes in between.
    pub fn between(&self) -> PathBuf {
        match self {
            Self::Here(file) => file.path().to_path_buf(),
            Self::Apart(sandbox) => sandbox.temporary().join("between"),
        }
    }

    /// Confines bash, if it is to be.
    pub fn confine(&self, bash: Process) -> Process {
        match self {
            Self::Here(_) => bash,
            Self::Apart(sandbox) => bash.confined(sandbox),
        }
    }
}

fn apart(root: &Root, files: &[Source]) -> std::io::Result<Sandbox> {
    let place = std::env::temp_dir();
    // As bash gets them, and where their links lead.
    let both = |file: &Source| [std::path::absolute(&file.path).ok(), file.path.canonicalize().ok()];
    let files: Vec<PathBuf> = files.iter().flat_map(both).flatten().collect();
    let mut readable: Vec<PathBuf> =
        files.iter().filter_map(|file| file.parent()).map(Path::to_path_buf).collect();
    if !root.is_slash() {
        readable.push(root.dir().to_path_buf());
    }
    let bounds = Bounds { readable, limits: LIMITS, ..Bounds::default() };
    let sandbox = Sandbox::new(&place, bounds.clone())?;
    if sandbox.user().is_none() || files.iter().all(|file| is_for_all(file)) {
        return Ok(sandbox);
    }
    match sandbox.check(Path::new("/"), Path::new("/"), &files) {
        Ok(()) => Ok(sandbox),
        Err(refusal) => {
            log::info!("dkms.conf is read by root, without capabilities: {refusal}");
            let secrets = SECRETS.iter().map(|file| root.path(file)).filter(|file| file.exists()).collect();
            Sandbox::new(&place, Bounds { same_user: true, secrets, ..bounds })
        }
    }
}

/// Whether everybody can read a file, as far as modes say.
fn is_for_all(file: &Path) -> bool {
    let mode = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.permissions().mode());
    mode(file) & 0o004 != 0 && file.ancestors().skip(1).all(|dir| mode(dir) & 0o001 != 0)
}
