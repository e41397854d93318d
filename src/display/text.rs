//! The words of a task under way, and how they fit into a terminal.

use std::time::Duration;

use console::{measure_text_width, truncate_str};

use crate::progress::{Outcome, Task};

/// What separates the parts of a line: a middle dot, where the terminal has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Characters {
    Unicode,
    Ascii,
}

impl Characters {
    /// By the locale: the first of these variables that is set decides (locale(7)).
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set =
            ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|name| variable(name)).find(|v| !v.is_empty());
        let set = set.unwrap_or_default().to_ascii_lowercase();
        if set.contains("utf-8") || set.contains("utf8") { Self::Unicode } else { Self::Ascii }
    }

    fn separator(self) -> &'static str {
        match self {
            Self::Unicode => " · ",
            Self::Ascii => " - ",
        }
    }

    fn ellipsis(self) -> &'static str {
        match self {
            Self::Unicode => "…",
            Self::Ascii => "~",
        }
    }
}

/// How far a task is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress<'a> {
    pub task: &'a Task,
    pub files: usize,
    pub took: Duration,
}

impl Progress<'_> {
    /// The moving line, in at most this many columns. What matters least is left out first: how many files, then a
    /// part of the kernel's release.
    pub fn moving(self, characters: Characters, columns: usize) -> String {
        let (time, short) = (self.time(), clock(self.took));
        let kernel = self.task.kernel.as_str();
        let wide = [
            self.line(characters, Some(kernel), true, &time),
            self.line(characters, Some(kernel), false, &time),
        ];
        if let Some(line) = wide.into_iter().find(|line| measure_text_width(line) <= columns) {
            return line;
        }
        // The kernel's release gets what the rest leaves.
        let rest = self.line(characters, Some(""), false, &time);
        let room = columns.saturating_sub(measure_text_width(&rest));
        let kernel = truncate_str(kernel, room, characters.ellipsis());
        let narrow = [
            (room >= 5).then(|| self.line(characters, Some(&kernel), false, &time)),
            Some(self.line(characters, None, false, &time)),
            Some(self.line(characters, None, false, &short)),
            Some(self.shortest(Some(characters), &short)),
        ];
        let narrow = narrow.into_iter().flatten().find(|line| measure_text_width(line) <= columns);
        narrow.unwrap_or_else(|| match columns {
            // What says that something is left out takes a column itself.
            0 => String::new(),
            _ => truncate_str(&self.shortest(None, &short), columns, characters.ellipsis()).into_owned(),
        })
    }

    /// The line that stays when the task has ended.
    pub fn ended(self, characters: Characters, outcome: Outcome) -> String {
        self.line(characters, Some(&self.task.kernel), true, &self.outcome(outcome))
    }

    /// The first line for a log, where several tasks say at the end what they did.
    pub fn logged_begin(self) -> String {
        let Task { number, of, doing, expected, .. } = self.task;
        let expected = expected.map(|expected| clock(expected.takes)).filter(|takes| takes != "0:00");
        let about = expected.map(|takes| format!(", about {takes}")).unwrap_or_default();
        format!("{}: {} ({number} of {of}){about}", self.subject(), doing.to_lowercase())
    }

    /// A line for a log.
    pub fn logged(self) -> String {
        format!("{}: {}{}", self.subject(), self.time(), self.files_after_comma())
    }

    /// The last line for a log.
    pub fn logged_end(self, outcome: Outcome) -> String {
        format!("{}: {}{}", self.subject(), self.outcome(outcome), self.files_after_comma())
    }

    /// One line for a screen that has nothing else to show.
    pub fn message(self) -> String {
        format!("{} {}: {}", self.task.doing, self.subject(), self.time())
    }

    fn subject(self) -> String {
        format!("{} for {}", self.task.name, self.task.kernel)
    }

    fn line(self, characters: Characters, kernel: Option<&str>, files: bool, time: &str) -> String {
        let Task { number, of, name, .. } = self.task;
        let mut line = format!("[{number}/{of}] {}", name.replace('/', " "));
        let files = (files && self.files > 0).then(|| count(self.files));
        for part in [kernel, files.as_deref(), Some(time)].into_iter().flatten() {
            line.push_str(characters.separator());
            line.push_str(part);
        }
        line
    }

    /// Its number and time; with characters to separate them, also its name without the version.
    fn shortest(self, named: Option<Characters>, time: &str) -> String {
        let Task { number, of, name, .. } = self.task;
        let named = named.map(|characters| {
            let name = name.split('/').next().unwrap_or_default();
            format!("{name}{}", characters.separator())
        });
        format!("[{number}/{of}] {}{time}", named.unwrap_or_default())
    }

    fn time(self) -> String {
        let took = clock(self.took);
        match self.task.expected {
            Some(expected) if expected.takes.as_secs() > 0 => {
                format!("{took} of about {}", clock(expected.takes))
            }
            _ => took,
        }
    }

    fn files_after_comma(self) -> String {
        if self.files == 0 { String::new() } else { format!(", {}", count(self.files)) }
    }

    fn outcome(self, outcome: Outcome) -> String {
        let took = match self.took.as_secs() {
            0..10 => format!("{:.1} s", self.took.as_secs_f64()),
            _ => clock(self.took),
        };
        match (outcome, self.task.doing.as_str()) {
            (Outcome::Done, "Building") => format!("built in {took}"),
            (Outcome::Done, "Signing") => format!("signed in {took}"),
            (Outcome::Done, _) => format!("done in {took}"),
            (Outcome::Failed, _) => format!("failed after {took}"),
            (Outcome::Stopped, _) => format!("stopped after {took}"),
        }
    }
}

fn count(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

/// `1:47`, `1:02:03`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Expected;

    fn task(kernel: &str, expected: Option<u64>) -> Task {
        Task {
            number: 2,
            of: 7,
            doing: "Building".to_owned(),
            name: "zfs/2.3.9".to_owned(),
            kernel: kernel.to_owned(),
            expected: expected.map(|takes| Expected { takes: Duration::from_secs(takes), files: 0 }),
            log: "/nonexistent".into(),
        }
    }

    #[test]
    fn what_matters_least_is_left_out_first() {
        let task = task("6.12.117+deb13-cloud-amd64", Some(190));
        let progress = Progress { task: &task, files: 312, took: Duration::from_secs(107) };
        let rows = [
            (80, "[2/7] zfs 2.3.9 · 6.12.117+deb13-cloud-amd64 · 312 files · 1:47 of about 3:10"),
            (70, "[2/7] zfs 2.3.9 · 6.12.117+deb13-cloud-amd64 · 1:47 of about 3:10"),
            (48, "[2/7] zfs 2.3.9 · 6.12.117… · 1:47 of about 3:10"),
            (40, "[2/7] zfs 2.3.9 · 1:47 of about 3:10"),
            (24, "[2/7] zfs 2.3.9 · 1:47"),
            (18, "[2/7] zfs · 1:47"),
            (12, "[2/7] 1:47"),
            (9, "[2/7] 1:…"),
        ];
        for (columns, line) in rows {
            assert_eq!(progress.moving(Characters::Unicode, columns), line);
        }
        assert_eq!(progress.moving(Characters::Ascii, 40), "[2/7] zfs 2.3.9 - 1:47 of about 3:10");
        for columns in 0..120 {
            let line = progress.moving(Characters::Unicode, columns);
            assert!(measure_text_width(&line) <= columns, "{line} in {columns}");
        }
    }

    #[test]
    fn columns_are_counted_and_not_bytes() {
        let task = Task { name: "日本語/1".to_owned(), ..task("6.1", None) };
        let progress = Progress { task: &task, files: 0, took: Duration::from_secs(3) };
        assert_eq!(progress.moving(Characters::Unicode, 27), "[2/7] 日本語 1 · 6.1 · 0:03");
        assert_eq!(progress.moving(Characters::Unicode, 19), "[2/7] 日本語 · 0:03");
        assert_eq!(progress.moving(Characters::Unicode, 18), "[2/7] 0:03");
    }

    #[test]
    fn a_log_says_what_began_goes_on_and_ended() {
        let task = task("6.12.117", Some(190));
        let progress = |files, seconds| Progress { task: &task, files, took: Duration::from_millis(seconds) };
        assert_eq!(progress(0, 0).logged_begin(), "zfs/2.3.9 for 6.12.117: building (2 of 7), about 3:10");
        assert_eq!(progress(1, 30_000).logged(), "zfs/2.3.9 for 6.12.117: 0:30 of about 3:10, 1 file");
        let ended = progress(312, 3_725_000).logged_end(Outcome::Done);
        assert_eq!(ended, "zfs/2.3.9 for 6.12.117: built in 1:02:05, 312 files");
        let ended = progress(0, 1_240).logged_end(Outcome::Failed);
        assert_eq!(ended, "zfs/2.3.9 for 6.12.117: failed after 1.2 s");
        let ended = progress(3, 12_000).ended(Characters::Ascii, Outcome::Stopped);
        assert_eq!(ended, "[2/7] zfs 2.3.9 - 6.12.117 - 3 files - stopped after 0:12");
        assert_eq!(progress(9, 30_000).message(), "Building zfs/2.3.9 for 6.12.117: 0:30 of about 3:10");
    }

    #[test]
    fn the_locale_decides_about_characters() {
        let rows = [
            (["", "", "C.UTF-8"], Characters::Unicode),
            (["", "de_DE.utf8", "C"], Characters::Unicode),
            (["C", "", "C.UTF-8"], Characters::Ascii),
            (["", "", "de_DE@euro"], Characters::Ascii),
            (["", "", ""], Characters::Ascii),
        ];
        for (values, characters) in rows {
            let variable = |name: &str| {
                let place = ["LC_ALL", "LC_CTYPE", "LANG"].iter().position(|known| *known == name)?;
                Some(values[place].to_owned())
            };
            assert_eq!(Characters::of(variable), characters, "{values:?}");
        }
    }
}
