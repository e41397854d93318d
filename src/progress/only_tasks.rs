//! The listener that hears of tasks alone.

use std::path::PathBuf;
use std::time::Duration;

use super::{Memory, Outcome, Report, Task};

/// Passes on which tasks are under way, so that nobody waits in silence, and keeps all that is said of them: where work
/// is done for the sake of an answer, the answer says it.
pub struct OnlyTasks<'r> {
    report: &'r dyn Report,
    said: Memory,
}

impl<'r> OnlyTasks<'r> {
    /// Tells `report` of tasks.
    pub fn to(report: &'r dyn Report) -> Self {
        Self { report, said: Memory::default() }
    }

    /// What was said besides, one entry per call.
    pub fn said(&self) -> Vec<String> {
        self.said.lines()
    }
}

impl Report for OnlyTasks<'_> {
    fn line(&self, text: &str) {
        self.said.line(text);
    }
    fn warning(&self, text: &str) {
        self.said.warning(text);
    }
    fn begin(&self, what: &str) {
        self.said.begin(what);
    }
    fn end(&self, status: i32) {
        self.said.end(status);
    }
    fn hold(&self) {
        self.report.hold();
    }
    fn release(&self) {
        self.report.release();
    }
    fn task_begins(&self, task: &Task) {
        // Its log may be where only the work is seen.
        self.report.task_begins(&Task { log: PathBuf::new(), ..task.clone() });
    }
    fn task_ends(&self, number: usize, outcome: Outcome, took: Duration) {
        self.report.task_ends(number, outcome, took);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Heard {
        fn push(&self, text: String) {
            self.0.lock().unwrap().push(text);
        }
    }

    impl Report for Heard {
        fn line(&self, text: &str) {
            self.push(text.to_owned());
        }
        fn warning(&self, text: &str) {
            self.push(text.to_owned());
        }
        fn begin(&self, what: &str) {
            self.push(what.to_owned());
        }
        fn end(&self, status: i32) {
            self.push(status.to_string());
        }
        fn task_begins(&self, task: &Task) {
            self.push(format!("{} {} {}", task.doing, task.name, task.log.display()));
        }
        fn task_ends(&self, number: usize, outcome: Outcome, _: Duration) {
            self.push(format!("{number} {outcome:?}"));
        }
    }

    #[test]
    fn tasks_are_passed_on_and_words_are_kept() {
        let heard = Heard::default();
        let only = OnlyTasks::to(&heard);
        only.line("Building hello/1");
        only.warning("it failed");
        let task = Task {
            number: 1,
            of: 1,
            doing: "Building".to_owned(),
            name: "hello/1".to_owned(),
            kernel: "6.12".to_owned(),
            expected: None,
            log: PathBuf::from("/var/lib/dkms/hello/1/build/make.log"),
        };
        only.task_begins(&task);
        only.task_ends(1, Outcome::Failed, Duration::from_secs(1));
        assert_eq!(*heard.0.lock().unwrap(), ["Building hello/1 ", "1 Failed"]);
        assert_eq!(only.said(), ["Building hello/1", "Warning: it failed"]);
    }
}
