//! Calls of this program by the builds of a run, while several builds are under way.
//!
//! A script of a build may call this program again, and works under the lock of the run ([`super::lock`]). Where several
//! builds are under way, two such calls could come at the same time, or one while the run itself changes the tree. So
//! whoever changes something holds flock(2) on a file in `T/.dkms-hook`, and the run gives it away only while it waits for its
//! builds. The file lists the module versions that are being built, which such a call has to leave alone.
//!
//! Nobody waits for himself: only what is worked on beside the run takes turns ([`WORK_VARIABLE`] tells). A script that
//! the run itself waits for is called while the run has the turn, and does not ask for it.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use crate::fs::regular;
use crate::model::ids::ModuleId;
use crate::process::WORK_VARIABLE;
use crate::tree::layout::Layout;

/// The turn of a run that has several builds under way. The file is there as long as this is.
#[derive(Debug)]
pub struct Turn {
    path: PathBuf,
    file: File,
    /// The list that stands in the file; `None` when somebody else wrote into it.
    listed: Option<String>,
}

/// The turn of a call by one of its builds. It ends when this is dropped.
#[derive(Debug)]
pub struct Guest {
    _file: File,
}

fn place(layout: &Layout) -> PathBuf {
    // One that a killed run leaves goes with its other temporary files.
    layout.state().join(".tmp-turn")
}

impl Turn {
    /// Begins with it, for whoever holds the lock.
    ///
    /// # Errors
    /// When the file cannot be made or locked.
    pub fn begin(layout: &Layout) -> io::Result<Self> {
        let path = place(layout);
        let file = regular::append(&path, 0o600)?;
        file.lock()?;
        file.set_len(0)?;
        Ok(Self { path, file, listed: Some(String::new()) })
    }

    /// Lists what is being built.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn list<'m>(&mut self, modules: impl Iterator<Item = &'m ModuleId>) -> io::Result<()> {
        let mut text = String::new();
        for module in modules {
            text.push_str(&module.to_string());
            text.push('\n');
        }
        if self.listed.as_ref() == Some(&text) {
            return Ok(());
        }
        self.listed = None;
        self.file.set_len(0)?;
        io::Write::write_all(&mut self.file, text.as_bytes())?;
        self.listed = Some(text);
        Ok(())
    }

    /// Lets others have their turn.
    pub fn give(&self) {
        let _ = self.file.unlock();
    }

    /// Takes it back, which waits for whoever has it. True when somebody had it.
    pub fn take_back(&mut self) -> bool {
        // A file system without locks has nobody wait.
        let _ = self.file.lock();
        let length = self.file.metadata().map_or(0, |meta| meta.len());
        let known = self.listed.as_ref().is_some_and(|listed| listed.len() as u64 == length);
        if !known {
            self.listed = None;
        }
        !known
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Waits for the turn of a call by a build of a run; `None` where there is none to wait for.
pub fn of_a_guest(layout: &Layout) -> Option<Guest> {
    std::env::var_os(WORK_VARIABLE)?;
    let file = regular::append_to(&place(layout)).ok()?;
    file.lock().ok()?;
    // The run is to see that somebody was here.
    let _ = io::Write::write_all(&mut &file, b"\n");
    Some(Guest { _file: file })
}

/// Whether the run under whose lock this process works is building a module version just now.
pub fn is_being_built(layout: &Layout, module: &ModuleId) -> bool {
    let listed = regular::read_to_string(&place(layout)).unwrap_or_default();
    listed.lines().any(|line| line == module.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;

    #[test]
    fn what_is_being_built_is_listed_and_a_guest_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        std::fs::create_dir_all(layout.state()).unwrap();
        let (one, two) = (ModuleId::new("one", "1").unwrap(), ModuleId::new("two", "1").unwrap());
        assert!(!is_being_built(&layout, &one));
        let mut turn = Turn::begin(&layout).unwrap();
        turn.list([&one, &two].into_iter()).unwrap();
        turn.list([&two].into_iter()).unwrap();
        assert!(is_being_built(&layout, &two) && !is_being_built(&layout, &one));
        turn.give();
        assert!(!turn.take_back());
        turn.give();
        let mut guest = File::options().append(true).open(place(&layout)).unwrap();
        guest.lock().unwrap();
        io::Write::write_all(&mut guest, b"\n").unwrap();
        guest.unlock().unwrap();
        assert!(turn.take_back());
        turn.list([&two].into_iter()).unwrap();
        turn.give();
        assert!(!turn.take_back());
        drop(turn);
        assert!(!place(&layout).exists());
    }
}
