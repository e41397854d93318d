//! One run changes the tree at a time.
//!
//! The lock is flock(2) on `T/.dkms-hook/lock`: the kernel drops it when the holder ends, however
//! it ends. A script that a run started (PRE_BUILD, an initramfs hook) may call this program again;
//! it finds the holder's process id in its environment and works under its ancestor's lock.
//!
//! The file holds the holder's process id and is empty when nobody does: an id in a file that
//! nobody has locked is of a run that was killed.

use std::fs::{File, TryLockError};
use std::io::Write;

use crate::model::error::{Error, Result};
use crate::process::{PARENT_VARIABLE, set_lock_holder};
use crate::progress::Report;
use crate::tree::layout::Layout;
use crate::tree::recover;

/// Held while in scope.
#[derive(Debug)]
pub struct Lock {
    /// `None` when an ancestor holds it.
    file: Option<File>,
}

impl Lock {
    /// True when an ancestor of this process holds it: a script of its run called us.
    pub fn is_nested(&self) -> bool {
        self.file.is_none()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            let _ = file.set_len(0);
        }
    }
}

/// True when the run that held the lock last was killed, as far as can be told without waiting
/// for it.
pub fn was_killed(layout: &Layout) -> bool {
    let Ok(text) = std::fs::read_to_string(layout.state().join("lock")) else { return false };
    holder(&text).is_some_and(|pid| !is_alive(pid))
}

fn holder(text: &str) -> Option<u32> {
    text.trim().parse().ok()
}

fn is_alive(pid: u32) -> bool {
    let Ok(pid) = pid.try_into() else { return false };
    // EPERM: somebody else's process, but one that lives.
    !matches!(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None), Err(nix::errno::Errno::ESRCH))
}

/// Takes the lock, waiting for another run to finish.
///
/// # Errors
/// When the lock file cannot be made.
pub fn take(layout: &Layout, report: &dyn Report) -> Result<Lock> {
    let dir = layout.state();
    std::fs::create_dir_all(&dir).map_err(|e| Error::io("create", &dir, &e))?;
    let path = dir.join("lock");
    let mut file = File::options()
        .create(true)
        .append(true)
        .read(true)
        .open(&path)
        .map_err(|e| Error::io("open", &path, &e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            if let Some(ancestor) = ancestor().filter(|a| holder(&text) == Some(*a)) {
                set_lock_holder(ancestor);
                return Ok(Lock { file: None });
            }
            report.line(&format!("Waiting for another run (process {}) to finish.", text.trim()));
            file.lock().map_err(|e| Error::io("lock", &path, &e))?;
        }
        // A file system without locks: two runs at once are unlikely there, and refusing to work
        // would be worse.
        Err(TryLockError::Error(err)) => {
            report.warning(&format!("cannot lock {}: {err}; continuing without the lock", path.display()));
        }
    }
    if let Some(killed) = std::fs::read_to_string(&path).ok().as_deref().and_then(holder) {
        recover::after(layout, killed);
    }
    let _ = file.set_len(0);
    let _ = writeln!(file, "{}", std::process::id());
    Ok(Lock { file: Some(file) })
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
    use crate::progress::Memory;

    #[test]
    fn the_second_waits_for_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let first = take(&layout, &Memory::default()).unwrap();
        let (sent, got) = std::sync::mpsc::channel();
        let report = Memory::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let second = take(&layout, &report).unwrap();
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
}
