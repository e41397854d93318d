//! `--rpm_safe_upgrade`: an rpm transaction that replaces a package by another release of the same
//! module version adds before it removes, and the removal would take away what was just added.
//!
//! So the adding leaves a note with the process that called the script, rpm, and a removal of the same
//! module version by the same process does nothing. The note is in our own directory and not in `/tmp`
//! as DKMS's is, where anybody could leave one.

use serde::{Deserialize, Serialize};

use crate::fs::store;
use crate::model::error::Result;
use crate::model::ids::ModuleId;
use crate::process::ancestors;
use crate::tree::layout::Layout;

/// A package manager's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    pid: u32,
    /// In clock ticks since the system started (proc_pid_stat(5), field 22): process ids are used again.
    started: u64,
}

/// An adding under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    module: ModuleId,
    by: Process,
}

/// Notes that this module version is being added, if it is known who is behind that.
///
/// # Errors
/// When the note cannot be written.
pub fn begin(layout: &Layout, module: &ModuleId) -> Result<()> {
    grandparent().map_or(Ok(()), |by| begin_by(layout, module, by))
}

/// Whether a removal of this module version is the other half of an upgrade. The note is used up.
///
/// # Errors
/// When the note cannot be taken away.
pub fn ends_one(layout: &Layout, module: &ModuleId) -> Result<bool> {
    grandparent().map_or(Ok(false), |by| ends_one_by(layout, module, &by))
}

fn begin_by(layout: &Layout, module: &ModuleId, by: Process) -> Result<()> {
    let mut notes = notes(layout);
    // A transaction that was broken off leaves its own behind.
    notes.retain(|note| process(note.by.pid).as_ref() == Some(&note.by));
    let note = Note { module: module.clone(), by };
    if !notes.contains(&note) {
        notes.push(note);
    }
    save(layout, &notes)
}

fn ends_one_by(layout: &Layout, module: &ModuleId, by: &Process) -> Result<bool> {
    let mut notes = notes(layout);
    let before = notes.len();
    notes.retain(|note| note.module != *module || note.by != *by);
    if notes.len() == before {
        return Ok(false);
    }
    save(layout, &notes)?;
    Ok(true)
}

fn file(layout: &Layout) -> std::path::PathBuf {
    layout.state().join("rpm-upgrades.json")
}

fn notes(layout: &Layout) -> Vec<Note> {
    store::load(&file(layout)).unwrap_or_default()
}

fn save(layout: &Layout, notes: &[Note]) -> Result<()> {
    match notes {
        [] => store::remove(&file(layout), &layout.state()),
        notes => store::save(&file(layout), &notes),
    }
}

/// Our parent is the shell of a package's script; its parent is rpm.
fn grandparent() -> Option<Process> {
    let parent = ancestors::find(ancestors::own()?.parent)?;
    process(parent.parent)
}

fn process(pid: u32) -> Option<Process> {
    ancestors::find(pid).map(|found| Process { pid, started: found.started })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;

    #[test]
    fn a_note_is_for_one_module_version_and_one_process_and_used_once() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let id = |version: &str| ModuleId::new("m", version).unwrap();
        let this = process(std::process::id()).unwrap();
        let first = process(1).unwrap();
        begin_by(&layout, &id("1"), this.clone()).unwrap();
        begin_by(&layout, &id("1"), this.clone()).unwrap();
        assert!(!ends_one_by(&layout, &id("2"), &this).unwrap());
        assert!(!ends_one_by(&layout, &id("1"), &first).unwrap());
        assert!(ends_one_by(&layout, &id("1"), &this).unwrap());
        assert!(!ends_one_by(&layout, &id("1"), &this).unwrap());
        assert!(!file(&layout).exists());

        // Left by a process whose number another one has now.
        let gone = Process { started: this.started + 1, ..this.clone() };
        begin_by(&layout, &id("1"), gone.clone()).unwrap();
        begin_by(&layout, &id("2"), this).unwrap();
        assert!(!ends_one_by(&layout, &id("1"), &gone).unwrap());
        assert!(grandparent().is_some());
    }
}
