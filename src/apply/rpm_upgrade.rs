//! `--rpm_safe_upgrade`: an rpm transaction that replaces a package by another release of the same
//! module version adds before it removes, and the removal would take away what was just added.
//!
//! So the adding leaves a note with the process that called the script, rpm, and a removal of the same
//! module version by the same process does nothing. The note is in our own directory and not in `/tmp`
//! as DKMS's is, where anybody could leave one.

use crate::model::error::Result;
use crate::model::ids::ModuleId;
use crate::process::ancestors;
use crate::tree::layout::Layout;
use crate::tree::state::{self, Upgrade};

/// A package manager's process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: u32,
    started: u64,
}

impl Process {
    fn adds(&self, upgrade: &Upgrade) -> bool {
        (upgrade.pid, upgrade.started) == (self.pid, self.started)
    }
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
    let mut adding = state::upgrades(layout)?;
    // A transaction that was broken off leaves its own behind.
    adding.retain(|upgrade| process(upgrade.pid).is_some_and(|process| process.adds(upgrade)));
    let upgrade = Upgrade { module: module.clone(), pid: by.pid, started: by.started };
    if !adding.contains(&upgrade) {
        adding.push(upgrade);
    }
    state::save_upgrades(layout, &adding)
}

fn ends_one_by(layout: &Layout, module: &ModuleId, by: &Process) -> Result<bool> {
    let mut adding = state::upgrades(layout)?;
    let before = adding.len();
    adding.retain(|upgrade| upgrade.module != *module || !by.adds(upgrade));
    if adding.len() == before {
        return Ok(false);
    }
    state::save_upgrades(layout, &adding)?;
    Ok(true)
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
        assert!(!layout.upgrades().exists());

        // Left by a process whose number another one has now.
        let gone = Process { started: this.started + 1, ..this.clone() };
        begin_by(&layout, &id("1"), gone.clone()).unwrap();
        begin_by(&layout, &id("2"), this).unwrap();
        assert!(!ends_one_by(&layout, &id("1"), &gone).unwrap());
        // The first process of a container has no parent in there.
        let parent = ancestors::own().and_then(|own| ancestors::find(own.parent));
        assert_eq!(grandparent().is_some(), parent.is_some_and(|parent| parent.parent != 0));
    }
}
