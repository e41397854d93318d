//! The boot screen: Plymouth's, while a machine starts, or updates itself before it does (systemd.offline-updates(7)).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::process::{Output, Process, find_program};

/// plymouth(1) answers at once, or not at all.
const LIMIT: Duration = Duration::from_secs(2);

/// Between two messages: the screen redraws all of itself.
const PAUSE: Duration = Duration::from_secs(5);

/// What the boot screen shows of a run.
#[derive(Debug)]
pub(super) struct BootScreen {
    /// Its daemon runs where this directory is.
    running: PathBuf,
    /// The program that tells the daemon.
    program: String,
    /// Whether there is one; `None` while nobody has asked.
    there: Option<bool>,
    shown: Option<(String, Instant)>,
}

impl BootScreen {
    /// That of this machine, if it shows one.
    pub fn here() -> Self {
        Self::of("/run/plymouth".into(), "plymouth".to_owned())
    }

    fn of(running: PathBuf, program: String) -> Self {
        Self { running, program, there: None, shown: None }
    }

    /// Shows a message in place of the last one. Does nothing where there is no boot screen, and too soon.
    pub fn show(&mut self, text: &str) {
        if self.shown.as_ref().is_some_and(|(_, when)| when.elapsed() < PAUSE) {
            return;
        }
        if self.there.is_none() {
            self.there = Some(self.is_there());
        }
        if self.there == Some(true) {
            // One that does not answer any more is not asked again.
            self.there = Some(self.tell(&["display-message", &format!("--text={text}")]));
            self.hide();
            self.shown = Some((text.to_owned(), Instant::now()));
        }
    }

    /// Takes the last message away.
    pub fn hide(&mut self) {
        if let Some((text, _)) = self.shown.take() {
            self.tell(&["hide-message", &format!("--text={text}")]);
        }
    }

    fn is_there(&self) -> bool {
        self.running.is_dir() && find_program(&self.program).is_some() && self.tell(&["--ping"])
    }

    /// True when the program succeeded.
    fn tell(&self, words: &[&str]) -> bool {
        let process = Process::new(&self.program).args(words).limit(LIMIT);
        process.run(Output::Null).is_ok_and(|status| status == 0)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_a_boot_screen_that_is_there_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (program, told) = (dir.path().join("plymouth"), dir.path().join("told"));
        let text = |status: u8| format!("#!/bin/sh\necho \"$@\" >> {}\nexit {status}\n", told.display());
        let write = |status| {
            std::fs::write(&program, text(status)).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        let screen = |running: &str| BootScreen::of(dir.path().join(running), program.display().to_string());
        let told = || {
            let text = std::fs::read_to_string(&told).unwrap_or_default();
            let _ = std::fs::remove_file(&told);
            text
        };
        write(0);
        let mut absent = screen("absent");
        absent.show("Building a");
        absent.hide();
        assert_eq!(told(), "");

        let mut there = screen(".");
        there.show("Building a");
        // Too soon.
        there.show("Building b");
        there.hide();
        assert_eq!(told(), "--ping\ndisplay-message --text=Building a\nhide-message --text=Building a\n");

        write(1);
        let mut silent = screen(".");
        silent.show("Building a");
        silent.show("Building b");
        silent.hide();
        assert_eq!(told(), "--ping\n");
    }
}
