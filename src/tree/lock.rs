//! One run changes the tree at a time.
//!
//! The lock is flock(2) on `T/.dkms-hook/lock`: the kernel drops it when the holder ends, however
//! it ends. A script that a run started (PRE_BUILD, an initramfs hook) may call this program again;
//! it finds the holder's process id in its environment and works under its ancestor's lock.
//!
//! The file holds the holder's process id and is empty when nobody does: an id in a file that
//! nobody has locked is of a run that was killed.
//!
//! Only root may open the file: whoever can open a file can lock it, reading is enough for that (flock(2)),
//! and a user who holds this lock stops every package manager.

use std::fs::{File, Metadata, Permissions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::fs::look::mtime;
use crate::fs::temporary;
use crate::model::blind::{Blind, Cause};
use crate::model::error::{Error, Result};
use crate::model::settings::Limit;
use crate::process::{PARENT_VARIABLE, set_lock_holder};
use crate::progress::Report;
use crate::tree::layout::Layout;
use crate::tree::left;
use crate::tree::recover;
use crate::tree::turn;
use crate::tree::waiting::{self, written_in};

/// Held while in scope.
#[derive(Debug)]
pub struct Lock {
    /// `None` when an ancestor holds it.
    file: Option<File>,
    /// Where an ancestor holds it and others work under it, too: our turn.
    _turn: Option<turn::Guest>,
    /// What stat(2) said of the file before this run wrote to it.
    found: Option<Used>,
}

/// What stat(2) says of the lock file: each run that takes the lock changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used([i64; 4]);

impl Used {
    /// `None` when somebody holds the lock, or was killed with it.
    fn of(meta: &Metadata) -> Option<Self> {
        let changed = meta.ctime().saturating_mul(1_000_000_000).saturating_add(meta.ctime_nsec());
        (meta.len() == 0).then(|| Self([meta.dev() as i64, meta.ino() as i64, mtime(meta), changed]))
    }
}

/// When the lock was taken last; `None` when nobody has taken it yet, when somebody holds it, and when its last
/// holder was killed.
pub fn last_use(layout: &Layout) -> Option<Used> {
    Used::of(&std::fs::metadata(layout.state().join("lock")).ok()?)
}

impl Lock {
    /// True when an ancestor of this process holds it: a script of its run called us.
    pub fn is_nested(&self) -> bool {
        self.file.is_none()
    }

    /// Brings to the disk that this run holds it: after a power cut the next one clears away what it left.
    pub fn note_on_disk(&self) {
        if let Some(error) = self.file.as_ref().and_then(|file| file.sync_all().err()) {
            log::info!("the lock is not on the disk: {error}");
        }
    }

    /// True when no other run has changed anything since a look at [`last_use`], and this one did not wait.
    pub fn is_first_since(&self, look: Option<Used>) -> bool {
        look.is_some() && self.found == look
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // With the id in it, the next run clears away what this one could not remove.
        if let Some(file) = &self.file
            && !temporary::take_left()
        {
            let _ = file.set_len(0);
        }
    }
}

/// True when the run that held the lock last was killed, as far as can be told without waiting
/// for it.
pub fn was_killed(layout: &Layout) -> bool {
    written_in(&layout.state().join("lock")).is_some_and(|pid| !is_alive(pid))
}

fn is_alive(pid: u32) -> bool {
    let Ok(pid) = pid.try_into() else { return false };
    // EPERM: somebody else's process, but one that lives.
    !matches!(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None), Err(nix::errno::Errno::ESRCH))
}

/// Takes the lock, waiting for another run to finish: as long as `patience` says.
///
/// # Errors
/// When the lock file cannot be made; [`Kind::Locked`] when the other run has not finished until then.
///
/// [`Kind::Locked`]: crate::model::error::Kind::Locked
pub fn take(layout: &Layout, patience: Limit, report: &dyn Report) -> Result<Lock> {
    let dir = layout.state();
    std::fs::create_dir_all(&dir).map_err(|e| Error::io("create", &dir, &e))?;
    let path = dir.join("lock");
    let mut file = open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let other = written_in(&path);
            if let Some(ancestor) = ancestor().filter(|ancestor| other == Some(*ancestor)) {
                set_lock_holder(ancestor);
                return Ok(Lock { file: None, _turn: turn::of_a_guest(layout), found: None });
            }
            waiting::wait(&file, &path, patience, left::since(layout), report)?;
        }
        // A file system without locks: two runs at once are unlikely there, and refusing to work
        // would be worse.
        Err(TryLockError::Error(err)) => {
            report.warning(&format!("cannot lock {}: {err}; continuing without the lock", path.display()));
        }
    }
    if let Some(killed) = written_in(&path) {
        recover::after(layout, killed);
    }
    let found = file.metadata().ok().as_ref().and_then(Used::of);
    let _ = file.set_len(0);
    let _ = writeln!(file, "{}", std::process::id());
    let found = if left::since(layout).is_some() && left::settle(layout) { None } else { found };
    Ok(Lock { file: Some(file), _turn: None, found })
}

/// Opens the lock file, or makes it. One that an earlier version left open to others is closed to them.
fn open(path: &Path) -> Result<File> {
    // Neither a link to another file is emptied, nor a pipe waited for.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = File::options()
        .create(true)
        .append(true)
        .read(true)
        .mode(0o600)
        .custom_flags(flags.bits())
        .open(path)
        .map_err(|e| match std::fs::symlink_metadata(path) {
            Ok(meta) if !meta.is_file() => not_a_file(path),
            _ => Error::io("open", path, &e),
        })?;
    let meta = file.metadata().map_err(|e| Error::io("read", path, &e))?;
    if !meta.is_file() {
        return Err(not_a_file(path));
    }
    if meta.permissions().mode() & 0o077 != 0
        && let Err(error) = file.set_permissions(Permissions::from_mode(0o600))
    {
        log::warn!("{} stays open to other users: {error}", path.display());
    }
    Ok(file)
}

fn not_a_file(path: &Path) -> Error {
    Error::from(Blind::new(path, Cause::NotAFile))
        .hint(format!("remove {}: the next run makes the lock anew", path.display()))
}

/// True when a run that is still at work started this process: a script of it, or a program that it
/// had make something.
pub fn inside_a_run() -> bool {
    ancestor().is_some()
}

/// The process id in our environment, if that process lives.
fn ancestor() -> Option<u32> {
    let pid: u32 = std::env::var(PARENT_VARIABLE).ok()?.parse().ok()?;
    is_alive(pid).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;
    use crate::model::ids::KernelRelease;
    use crate::progress::Memory;

    const ENDLESS: Limit = Limit::seconds("", 0);

    #[test]
    fn only_root_can_open_it() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let path = layout.state().join("lock");
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        drop(take(&layout, ENDLESS, &Memory::default()).unwrap());
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        drop(take(&layout, ENDLESS, &Memory::default()).unwrap());
        assert_eq!(mode(), 0o600, "one of an earlier version");
    }

    #[test]
    fn what_is_no_file_is_neither_emptied_nor_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let (path, victim) = (layout.state().join("lock"), dir.path().join("victim"));
        std::fs::create_dir_all(layout.state()).unwrap();
        std::fs::write(&victim, "1").unwrap();
        let refused = || {
            assert!(!was_killed(&layout));
            let error = take(&layout, ENDLESS, &Memory::default()).unwrap_err();
            assert!(error.to_string().contains("lock") && error.hint.is_some(), "{error}");
            std::fs::remove_file(&path).unwrap();
        };
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        refused();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "1");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        refused();
        drop(take(&layout, ENDLESS, &Memory::default()).unwrap());
    }

    #[test]
    fn the_second_waits_for_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let first = take(&layout, ENDLESS, &Memory::default()).unwrap();
        let (sent, got) = std::sync::mpsc::channel();
        let report = Memory::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let second = take(&layout, ENDLESS, &report).unwrap();
                sent.send(()).unwrap();
                drop(second);
            });
            // It says that it waits before it does; a busy machine may take its time to get there.
            while report.lines().is_empty() && got.try_recv().is_err() {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            assert!(
                report.lines().iter().any(|l| l.starts_with("Waiting for another run")),
                "it was taken twice"
            );
            assert!(got.try_recv().is_err(), "the lock was taken twice");
            drop(first);
            got.recv().unwrap();
        });
    }

    #[test]
    fn a_hook_waits_so_long_and_no_longer_and_the_lock_stays_whose_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let first = take(&layout, ENDLESS, &Memory::default()).unwrap();
        let report = Memory::default();
        let error = take(&layout, Limit::seconds("time_limit_lock", 1), &report).unwrap_err();
        assert_eq!(error.kind, crate::model::error::Kind::Locked);
        let own = std::process::id();
        for part in
            [format!("process {own}, `"), " ago)".to_owned(), "waited 1s (time_limit_lock)".to_owned()]
        {
            assert!(error.what.contains(&part), "{part} is missing in {error}");
        }
        assert!(report.lines()[0].contains(&format!("(process {own}, `")), "{:?}", report.lines());
        assert!(last_use(&layout).is_none() && written_in(&layout.state().join("lock")) == Some(own));
        drop(first);
        let lock = take(&layout, Limit::seconds("time_limit_lock", 1), &report).unwrap();
        left::leave(&layout, &left::Left::Removed(KernelRelease::new("6.1").unwrap(), true)).unwrap();
        drop(lock);
        let before = last_use(&layout);
        let lock = take(&layout, ENDLESS, &report).unwrap();
        assert!(!lock.is_first_since(before), "a note came that the look did not see");
        assert!(crate::tree::notes::kernel_note(&layout, &KernelRelease::new("6.1").unwrap()).removed);
    }
}
