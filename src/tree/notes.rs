//! Changes to what we remember of kernels: the journal that lets a later run finish this one's work.

use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};

use crate::fs::look;
use crate::fs::store;
use crate::model::error::Result;
use crate::model::ids::KernelRelease;
use crate::model::record::{InitramfsDue, KernelNote};
use crate::tree::layout::Layout;

/// The note on a kernel; empty when there is none.
pub fn kernel_note(layout: &Layout, kernel: &KernelRelease) -> KernelNote {
    store::load(&layout.kernel_note(kernel)).unwrap_or_default()
}

/// Changes the note on a kernel. An empty note is no file.
///
/// # Errors
/// When it cannot be written.
pub fn update(layout: &Layout, kernel: &KernelRelease, change: impl FnOnce(&mut KernelNote)) -> Result<()> {
    let old = kernel_note(layout, kernel);
    let mut new = old.clone();
    change(&mut new);
    let path = layout.kernel_note(kernel);
    if new.is_empty() {
        return store::remove(&path, &layout.state());
    }
    if new == old && path.exists() { Ok(()) } else { store::save(&path, &new) }
}

/// Writes down, *before* files below `/lib/modules` change, that depmod and the initramfs have to
/// follow: a run that is killed half-way leaves the duty behind. `modules` are the names of the
/// module files, without `.ko`.
///
/// # Errors
/// When it cannot be written; nothing may be changed then.
pub fn modules_change(layout: &Layout, kernel: &KernelRelease, modules: &[&str], always: bool) -> Result<()> {
    depmod_lags(layout, kernel)?;
    initramfs_lags(layout, kernel, modules, always)
}

/// Writes down that the index is older than the modules.
///
/// # Errors
/// When it cannot be written.
pub fn depmod_lags(layout: &Layout, kernel: &KernelRelease) -> Result<()> {
    update(layout, kernel, |note| (note.depmod_due, note.depmod_left_at) = (true, None))
}

/// Writes down that whoever called this run makes an index that is due from now on: with the time
/// of the one that is there, by which the new one is told. (Not the time of day: a quick depmod's
/// index may bear the same.)
///
/// # Errors
/// When it cannot be written.
pub fn depmod_follows(layout: &Layout, kernel: &KernelRelease) -> Result<()> {
    let index = || std::fs::metadata(layout.kernel(kernel).join("modules.dep"));
    let made = || index().map_or(0, |file| look::mtime(&file));
    update(layout, kernel, |note| note.depmod_left_at = note.depmod_due.then(made))
}

/// Writes down that the index is up to date.
///
/// # Errors
/// When it cannot be written.
pub fn depmod_done(layout: &Layout, kernel: &KernelRelease) -> Result<()> {
    update(layout, kernel, |note| (note.depmod_due, note.depmod_left_at) = (false, None))
}

/// Writes down that the initramfs is older than these modules.
///
/// # Errors
/// When it cannot be written.
pub fn initramfs_lags(layout: &Layout, kernel: &KernelRelease, modules: &[&str], always: bool) -> Result<()> {
    update(layout, kernel, |note| {
        let due =
            note.initramfs_due.get_or_insert(InitramfsDue { since: 0, always: false, modules: Vec::new() });
        due.since = now_nanos();
        due.always |= always;
        due.modules.extend(modules.iter().map(|m| (*m).to_owned()));
        due.modules.sort();
        due.modules.dedup();
    })
}

/// Nanoseconds since the epoch, by the clock of files' timestamps: it lags behind the precise one
/// by up to a tick, so a file made after this moment is never older than it.
pub fn now_nanos() -> i64 {
    let clock = ClockId::CLOCK_REALTIME_COARSE;
    clock_gettime(clock).map_or(0, |now| now.num_nanoseconds())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;

    #[test]
    fn duties_accumulate_and_an_empty_note_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let k = KernelRelease::new("6.1").unwrap();
        modules_change(&layout, &k, &["zfs"], false).unwrap();
        modules_change(&layout, &k, &["spl"], true).unwrap();
        modules_change(&layout, &k, &["zfs"], false).unwrap();
        let note = kernel_note(&layout, &k);
        let due = note.initramfs_due.unwrap();
        assert!(note.depmod_due && due.always && due.since > 0);
        assert_eq!(due.modules, ["spl", "zfs"]);
        update(&layout, &k, |n| *n = KernelNote::default()).unwrap();
        assert!(!layout.kernel_note(&k).exists());
    }
}
