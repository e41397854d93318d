//! The tasks under way, and the thread that shows them.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use super::bars::Bars;
use super::boot_screen::BootScreen;
use super::follow::Follower;
use super::how::How;
use super::text::{Characters, Progress};
use crate::progress::{Console, Outcome, Report, Said, Task};

/// Between two looks at the tasks, where lines move.
const MOVING: Duration = Duration::from_millis(250);

/// The same, where there are only lines for a log.
const STILL: Duration = Duration::from_secs(1);

/// A task gets a line that moves when it has taken this long: before that it would only flicker.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two lines about one task in a log.
const LOGGED: Duration = Duration::from_secs(30);

/// What the display and its thread share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    ended: Condvar,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct State {
    console: Console,
    characters: Characters,
    tasks: BTreeMap<usize, Running>,
    /// The heading of a step of a task, which is told when it ends.
    heading: Option<String>,
    /// `None` where nothing moves.
    bars: Option<Bars>,
    /// How many use the terminal themselves now.
    held: usize,
    watched: bool,
}

/// A task under way.
#[derive(Debug)]
struct Running {
    task: Task,
    how: How,
    since: Instant,
    follower: Follower,
    /// When the log gets its next line about it.
    next: Instant,
}

impl Running {
    fn progress(&self, took: Duration) -> Progress<'_> {
        Progress { task: &self.task, files: self.follower.files(), took }
    }
}

impl Shared {
    pub fn new(quiet: bool) -> Self {
        let state = State {
            console: Console::new(quiet),
            characters: Characters::Ascii,
            tasks: BTreeMap::new(),
            heading: None,
            bars: None,
            held: 0,
            watched: false,
        };
        Self { state: Mutex::new(state), ended: Condvar::new(), thread: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub fn say(&self, said: &[Said]) {
        self.lock().say(said);
    }

    /// Writes something above the lines that move.
    pub fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.lock().bars {
            Some(bars) => bars.above(write),
            None => write(),
        }
    }

    /// Reads the logs now.
    pub fn look(&self) {
        self.lock().look();
    }

    /// Nothing moves from now on.
    pub fn hold(&self) {
        let mut state = self.lock();
        state.held += 1;
        if let Some(bars) = &mut state.bars {
            bars.hide();
        }
    }

    /// Who called [`Self::hold`] is done.
    pub fn release(&self) {
        let mut state = self.lock();
        state.held = state.held.saturating_sub(1);
    }

    pub fn begin(shared: &Arc<Self>, task: &Task, how: How, verbose: bool, now: Instant) {
        let mut state = shared.lock();
        if state.tasks.is_empty() {
            state.characters = Characters::of(|name| std::env::var(name).ok());
            if how == How::Moving {
                state.bars.get_or_insert_with(Bars::new);
            }
        }
        let follower = Follower::new(&task.log, SystemTime::now(), verbose);
        let running = Running { task: task.clone(), how, since: now, follower, next: now + LOGGED };
        if how == How::Log && task.of > 1 {
            state.say(&[Said::Line(running.progress(Duration::ZERO).logged_begin())]);
        }
        state.tasks.insert(task.number, running);
        if !std::mem::replace(&mut state.watched, true) {
            let watching = Arc::clone(shared);
            let thread =
                std::thread::Builder::new().name("progress".to_owned()).spawn(move || watching.watch());
            // Without it there is nothing to see, which stops nothing.
            state.watched = thread.is_ok();
            *shared.thread.lock().unwrap_or_else(|e| e.into_inner()) = thread.ok();
        }
    }

    pub fn end(&self, number: usize, outcome: Outcome, took: Duration) {
        let mut state = self.lock();
        state.look();
        state.tell_lines(true, Some(number));
        let Some(running) = state.tasks.remove(&number) else { return };
        if let Some(bars) = &mut state.bars {
            bars.remove(number);
        }
        let progress = running.progress(took);
        let line = match running.how {
            How::Moving => progress.ended(state.characters, outcome),
            How::Plain | How::Log => progress.logged_end(outcome),
        };
        state.say(&[Said::Line(line)]);
        self.ended.notify_all();
    }

    /// Forgets the tasks, and waits for the thread.
    pub fn rest(&self) {
        let mut state = self.lock();
        state.tasks.clear();
        if let Some(bars) = &mut state.bars {
            bars.hide();
        }
        drop(state);
        self.ended.notify_all();
        let thread = self.thread.lock().unwrap_or_else(|e| e.into_inner()).take();
        thread.map(JoinHandle::join);
    }

    /// Shows how far the tasks are until there are none.
    fn watch(&self) {
        let mut screen = BootScreen::here();
        loop {
            let mut state = self.lock();
            if state.tasks.is_empty() {
                state.watched = false;
                drop(state);
                screen.hide();
                return;
            }
            let message = state.tick(Instant::now());
            let pause = if state.bars.is_some() { MOVING } else { STILL };
            drop(state);
            // It starts a program, which nobody is to wait for.
            if let Some(message) = message {
                screen.show(&message);
            }
            let state = self.lock();
            if !state.tasks.is_empty() {
                let _ = self.ended.wait_timeout(state, pause);
            }
        }
    }
}

impl State {
    /// While tasks are under way, a heading waits for its end, so that each is a line.
    fn say(&mut self, said: &[Said]) {
        if self.tasks.is_empty() && self.heading.is_none() {
            return self.console.together(said);
        }
        let mut out = Vec::with_capacity(said.len());
        for said in said {
            match (said, self.heading.take()) {
                (Said::Begin(what), _) => self.heading = Some(what.clone()),
                (Said::End(status), Some(what)) => out.extend([Said::Begin(what), Said::End(*status)]),
                (said, heading) => {
                    self.heading = heading;
                    out.push(said.clone());
                }
            }
        }
        self.write(&out);
    }

    fn write(&self, said: &[Said]) {
        match &self.bars {
            _ if said.is_empty() => {}
            Some(bars) => bars.above(|| self.console.together(said)),
            None => self.console.together(said),
        }
    }

    fn look(&mut self) {
        self.tasks.values_mut().for_each(|running| running.follower.look());
        self.tell_lines(false, None);
    }

    /// Shows what make printed, where that is wanted. While several tasks are under way, each line says whose it is.
    fn tell_lines(&mut self, end: bool, only: Option<usize>) {
        let several = self.tasks.len() > 1;
        let mut said = Vec::new();
        for (number, running) in &mut self.tasks {
            if only.is_none_or(|only| only == *number) {
                let lines = running.follower.take_lines(end).into_iter();
                let name = &running.task.name;
                said.extend(
                    lines.map(|line| Said::Line(if several { format!("{name}: {line}") } else { line })),
                );
            }
        }
        self.write(&said);
    }

    /// Shows what is new. Returns what a boot screen would say.
    fn tick(&mut self, now: Instant) -> Option<String> {
        self.look();
        let said = self.due(now);
        self.write(&said);
        if let Some(bars) = &mut self.bars
            && (self.held > 0 || !Bars::may_be_seen())
        {
            bars.hide();
        } else if let Some(bars) = &mut self.bars {
            let columns = Bars::columns();
            for (number, running) in &self.tasks {
                let took = now.saturating_duration_since(running.since);
                if took >= PATIENCE {
                    bars.set(*number, running.progress(took).moving(self.characters, columns));
                }
            }
        }
        let first = self.tasks.values().next()?;
        let took = now.saturating_duration_since(first.since);
        (took >= 2 * PATIENCE).then(|| first.progress(took).message())
    }

    /// The lines that a log gets now.
    fn due(&mut self, now: Instant) -> Vec<Said> {
        let mut said = Vec::new();
        for running in
            self.tasks.values_mut().filter(|running| running.how == How::Log && now >= running.next)
        {
            running.next += LOGGED;
            let took = now.saturating_duration_since(running.since);
            said.push(Said::Line(running.progress(took).logged()));
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(number: usize, name: &str) -> Task {
        Task {
            number,
            of: 2,
            doing: "Building".to_owned(),
            name: name.to_owned(),
            kernel: "6.1".to_owned(),
            expected: None,
            log: "/nonexistent".into(),
        }
    }

    #[test]
    fn a_log_gets_a_line_every_thirty_seconds() {
        let shared = Arc::new(Shared::new(true));
        let begin = Instant::now();
        Shared::begin(&shared, &task(1, "zfs/2.3"), How::Log, false, begin);
        Shared::begin(&shared, &task(2, "v4l/1"), How::Log, false, begin + Duration::from_secs(10));
        let mut state = shared.lock();
        let mut due = |seconds| state.due(begin + Duration::from_secs(seconds));
        assert_eq!(due(29), []);
        assert_eq!(due(30), [Said::Line("zfs/2.3 for 6.1: 0:30".to_owned())]);
        assert_eq!(due(31), []);
        assert_eq!(due(41), [Said::Line("v4l/1 for 6.1: 0:31".to_owned())]);
        assert_eq!(due(70).len(), 2);
        drop(state);
        shared.end(1, Outcome::Done, Duration::ZERO);
        assert!(shared.lock().watched);
        shared.end(2, Outcome::Done, Duration::ZERO);
        // The thread goes when there is nothing to watch.
        while shared.lock().watched {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
