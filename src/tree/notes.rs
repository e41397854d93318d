//! Changes to what we remember of kernels: the journal that lets a later run finish this one's work.

use std::path::{Path, PathBuf};

use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};

use crate::fs::look;
use crate::fs::sync;
use crate::model::blind::Cause;
use crate::model::error::{Error, Result};
use crate::model::ids::KernelRelease;
use crate::model::record::{InitramfsDue, KernelNote};
use crate::tree::layout::Layout;
use crate::tree::state;

/// The note on a kernel; empty when there is none. Where it cannot be read, every duty counts as due.
pub fn kernel_note(layout: &Layout, kernel: &KernelRelease) -> KernelNote {
    state::note(layout, kernel).unwrap_or_else(|_| every_duty())
}

/// Kernels whose index or initramfs is due.
pub fn kernels_with_duties(layout: &Layout) -> Vec<KernelRelease> {
    let notes = look::read_dir(&layout.state().join("kernels"));
    let names = notes.filter_map(|entry| entry.file_name().into_string().ok());
    let kernels = names.filter_map(|name| KernelRelease::new(name.strip_suffix(".json")?).ok());
    let is_due = |kernel: &KernelRelease| {
        let note = kernel_note(layout, kernel);
        note.depmod_due || note.initramfs_due.is_some()
    };
    let mut due: Vec<KernelRelease> = kernels.filter(is_due).collect();
    due.sort();
    due
}

/// What a note that nobody can read may have said.
pub fn every_duty() -> KernelNote {
    let initramfs = InitramfsDue { since: now_nanos(), always: true, modules: Vec::new() };
    KernelNote { depmod_due: true, initramfs_due: Some(initramfs), ..KernelNote::default() }
}

/// Changes the note on a kernel. An empty note is no file. A damaged one is kept beside it.
///
/// # Errors
/// When it cannot be written, or what is there cannot be read.
pub fn update(layout: &Layout, kernel: &KernelRelease, change: impl FnOnce(&mut KernelNote)) -> Result<()> {
    let path = layout.kernel_note(kernel);
    let old = match state::note(layout, kernel) {
        // A directory, say, can be set aside as well.
        Err(blind) if matches!(blind.cause, Cause::Damaged(_) | Cause::NotAFile) => {
            state::set_aside(&path)?;
            every_duty()
        }
        seen => seen?,
    };
    let mut new = old.clone();
    change(&mut new);
    if new == old && path.exists() { Ok(()) } else { state::save_note(layout, kernel, &new) }
}

/// Writes down, *before* files below `/lib/modules` change, that depmod and the initramfs have to
/// follow: a run that is killed half-way leaves the duty behind. `modules` are the names of the
/// module files, without `.ko`.
///
/// # Errors
/// When it cannot be written; nothing may be changed then.
pub fn modules_change(layout: &Layout, kernel: &KernelRelease, modules: &[&str], always: bool) -> Result<()> {
    update(layout, kernel, |note| {
        (note.depmod_due, note.depmod_left_at) = (true, None);
        add_to_initramfs(note, modules, always);
    })
}

fn add_to_initramfs(note: &mut KernelNote, modules: &[&str], always: bool) {
    let due = note.initramfs_due.get_or_insert(InitramfsDue { since: 0, always: false, modules: Vec::new() });
    due.since = due.since.max(now_nanos());
    due.always |= always;
    due.modules.extend(modules.iter().map(|m| (*m).to_owned()));
    due.modules.sort();
    due.modules.dedup();
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

/// Writes down that the index is up to date, once it and the modules that it names are on the disk.
///
/// # Errors
/// When they are not, or it cannot be written.
pub fn depmod_done(layout: &Layout, kernel: &KernelRelease) -> Result<()> {
    if kernel_note(layout, kernel).depmod_due {
        bring_to_disk(&[layout.kernel(kernel)])?;
    }
    update(layout, kernel, |note| (note.depmod_due, note.depmod_left_at) = (false, None))
}

/// Writes down that no initramfs is due, once those that there are, in `dirs`, are on the disk.
///
/// # Errors
/// When they are not, or it cannot be written.
pub fn initramfs_done(layout: &Layout, kernel: &KernelRelease, dirs: &[PathBuf]) -> Result<()> {
    if kernel_note(layout, kernel).initramfs_due.is_some() {
        bring_to_disk(dirs)?;
    }
    update(layout, kernel, |note| note.initramfs_due = None)
}

/// The programs that make an index or an initramfs leave it to the file system when that is on the disk. A duty that is
/// forgotten before would be lost in a power cut.
fn bring_to_disk(dirs: &[PathBuf]) -> Result<()> {
    sync::file_systems(dirs.iter().map(PathBuf::as_path)).map_err(|error| {
        let dir = dirs.first().map_or(Path::new("/"), PathBuf::as_path);
        Error::io("write to the disk", dir, &error)
    })
}

/// Writes down that the initramfs is older than these modules.
///
/// # Errors
/// When it cannot be written.
pub fn initramfs_lags(layout: &Layout, kernel: &KernelRelease, modules: &[&str], always: bool) -> Result<()> {
    update(layout, kernel, |note| add_to_initramfs(note, modules, always))
}

/// Writes down, *before* a generator starts, that no file that it leaves is good unless it ends well.
///
/// # Errors
/// When it cannot be written; no generator may be started then.
pub fn initramfs_begins(layout: &Layout, kernel: &KernelRelease) -> Result<()> {
    update(layout, kernel, |note| {
        if let Some(due) = &mut note.initramfs_due {
            (due.since, due.always) = (InitramfsDue::UNFINISHED, true);
        }
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
    fn a_damaged_note_has_every_duty_and_is_kept_beside_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let k = KernelRelease::new("6.1").unwrap();
        let path = layout.kernel_note(&k);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "{ \"waiting\": tr").unwrap();
        assert!(kernel_note(&layout, &k).depmod_due && kernel_note(&layout, &k).initramfs_due.is_some());
        depmod_done(&layout, &k).unwrap();
        let note = kernel_note(&layout, &k);
        assert!(!note.depmod_due && note.initramfs_due.unwrap().always);
        assert!(path.with_extension("json.damaged").exists());

        // What a newer version wrote is no damage.
        std::fs::write(&path, "{ \"format\": 2 }").unwrap();
        assert!(kernel_note(&layout, &k).depmod_due);
        assert!(depmod_done(&layout, &k).unwrap_err().what.contains("format 2"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{ \"format\": 2 }");
    }

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

    #[test]
    fn a_damaged_note_holds_every_duty_and_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let k = KernelRelease::new("6.1").unwrap();
        let path = layout.kernel_note(&k);
        for damage in ["", "{\"depmod-due\": tr", "null"] {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, damage).unwrap();
            assert!(kernel_note(&layout, &k).depmod_due);
            depmod_done(&layout, &k).unwrap();
            let note = kernel_note(&layout, &k);
            assert!(!note.depmod_due && note.initramfs_due.is_some_and(|due| due.always));
            assert_eq!(std::fs::read_to_string(state::aside(&path)).unwrap(), damage);
        }
        // A directory in its place.
        std::fs::remove_file(&path).unwrap();
        std::fs::remove_file(state::aside(&path)).unwrap();
        std::fs::create_dir(&path).unwrap();
        depmod_lags(&layout, &k).unwrap();
        assert!(kernel_note(&layout, &k).depmod_due && state::aside(&path).is_dir());
    }
}
