//! What hooks had to leave to the next run, as they could not have the lock: `T/.dkms-hook/left`.
//!
//! What is on disk the next run sees by itself. Written down is what only the hook was told: that a package of a kernel
//! came or went, that a package brought a source to be registered; and that a run over everything is due, whatever the
//! next hook is called for. Whoever writes here has no lock, so each note is a file of its own.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::fs::atomic;
use crate::fs::look;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{KernelRelease, ModuleId};
use crate::tree::layout::Layout;
use crate::tree::notes;

/// One thing that is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// Everything is to be brought in line.
    Everything,
    /// The image package of a kernel was removed, or it is back.
    Removed(KernelRelease, bool),
    /// The boot entry of a kernel was removed, or it is back.
    BootEntry(KernelRelease, bool),
    /// The source of a module version is to be registered.
    Add(ModuleId),
}

/// As it is on disk. A note of a later version that is not understood is left to that one.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Note {
    Everything,
    Removed { kernel: String, gone: bool },
    BootEntry { kernel: String, gone: bool },
    Add { name: String, version: String },
}

impl From<&Left> for Note {
    fn from(left: &Left) -> Self {
        match left {
            Left::Everything => Self::Everything,
            Left::Removed(kernel, gone) => Self::Removed { kernel: kernel.to_string(), gone: *gone },
            Left::BootEntry(kernel, gone) => Self::BootEntry { kernel: kernel.to_string(), gone: *gone },
            Left::Add(id) => Self::Add { name: id.name.to_string(), version: id.version.to_string() },
        }
    }
}

impl Note {
    fn left(self) -> Option<Left> {
        let kernel = |kernel: String| KernelRelease::new(kernel).ok();
        Some(match self {
            Self::Everything => Left::Everything,
            Self::Removed { kernel: release, gone } => Left::Removed(kernel(release)?, gone),
            Self::BootEntry { kernel: release, gone } => Left::BootEntry(kernel(release)?, gone),
            Self::Add { name, version } => Left::Add(ModuleId::new(name, version).ok()?),
        })
    }
}

fn place(layout: &Layout) -> PathBuf {
    layout.state().join("left")
}

/// Leaves something to the next run.
///
/// # Errors
/// When it cannot be written down.
pub fn leave(layout: &Layout, left: &Left) -> Result<()> {
    let dir = place(layout);
    std::fs::create_dir_all(&dir).map_err(|error| Error::io("create", &dir, &error))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let text = serde_json::to_vec(&Note::from(left)).map_err(|e| Error::new(Kind::Io, e.to_string()))?;
    // By their names they are in the order in which they were written.
    atomic::write(&dir.join(format!("{now:020}-{}.json", std::process::id())), &text)
}

/// When something was left last; `None` where nothing is left.
pub fn since(layout: &Layout) -> Option<SystemTime> {
    std::fs::metadata(place(layout)).and_then(|meta| meta.modified()).ok()
}

/// What is left, in the order in which it was, each with its file.
pub fn all(layout: &Layout) -> Vec<(PathBuf, Left)> {
    let mut files: Vec<PathBuf> = look::read_dir(&place(layout)).map(|entry| entry.path()).collect();
    files.sort();
    let understood = |path: PathBuf| {
        let note: Note = serde_json::from_slice(&look::read(&path).ok()??).ok()?;
        Some((path, note.left()?))
    };
    files.into_iter().filter_map(understood).collect()
}

/// Brings notes on kernels up to date, for whoever holds the lock. True when something was.
pub fn settle(layout: &Layout) -> bool {
    let mut settled = false;
    for (path, left) in all(layout) {
        let noted = match &left {
            Left::Removed(kernel, gone) => notes::update(layout, kernel, |note| note.removed = *gone),
            Left::BootEntry(kernel, gone) => {
                notes::update(layout, kernel, |note| note.boot_entry_removed = *gone)
            }
            Left::Everything | Left::Add(_) => continue,
        };
        match noted.and_then(|()| done(layout, &path)) {
            Ok(()) => settled = true,
            Err(error) => log::warn!("{error}"),
        }
    }
    settled
}

/// Forgets what has been done.
///
/// # Errors
/// When its file cannot be removed.
pub fn done(layout: &Layout, file: &Path) -> Result<()> {
    atomic::remove(file, &layout.state())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;

    #[test]
    fn what_is_left_comes_back_in_its_order_and_is_done_once() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        assert_eq!((since(&layout), all(&layout), settle(&layout)), (None, Vec::new(), false));
        let kernel = KernelRelease::new("6.1").unwrap();
        let add = Left::Add(ModuleId::new("m", "1").unwrap());
        let order = [
            Left::Removed(kernel.clone(), true),
            Left::Everything,
            Left::BootEntry(kernel.clone(), true),
            add.clone(),
            Left::Removed(kernel.clone(), false),
        ];
        order.iter().for_each(|left| leave(&layout, left).unwrap());
        assert_eq!(all(&layout).into_iter().map(|(_, left)| left).collect::<Vec<_>>(), order);
        assert!(since(&layout).is_some());
        // A later version's.
        std::fs::write(place(&layout).join("9.json"), "{\"other\":1}").unwrap();
        assert!(settle(&layout));
        let note = notes::kernel_note(&layout, &kernel);
        assert!(!note.removed && note.boot_entry_removed);
        let rest = all(&layout);
        assert_eq!(rest.iter().map(|(_, left)| left.clone()).collect::<Vec<_>>(), [Left::Everything, add]);
        rest.iter().for_each(|(path, _)| done(&layout, path).unwrap());
        std::fs::remove_file(place(&layout).join("9.json")).unwrap();
    }
}
