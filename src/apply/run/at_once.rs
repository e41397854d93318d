//! Carries the steps of a plan out, several at once where that can be done.
//!
//! The thread that holds the lock prepares steps, puts their results in place and does whatever takes no time. Work
//! that takes long is done by threads of its own, at most as many as the job server has slots. They hand back what
//! they made, and touch nothing that another step looks at.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use super::long::{Begun, Long, Work, Worked};
use super::order;
use super::places::Places;
use super::prospect::Prospect;
use super::schedule::{Next, Schedule, State};
use super::{Done, Executor, stays_linked};
use crate::apply::build::place::Place;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::Cell;
use crate::plan::{Action, Plan, Step};
use crate::process::interrupt;
use crate::process::jobserver::Server;
use crate::progress::{Expected, Kept, Outcome, Report, Task};
use crate::tree::layout::MAKE_LOG;
use crate::tree::turn::Turn;

/// A plan on its way.
struct Run<'r> {
    executor: &'r Executor<'r>,
    plan: &'r Plan,
    prospect: Prospect<'r>,
    schedule: Schedule,
    /// Of each step that is over, how it ended.
    done: Vec<Option<Done>>,
    places: Places<'r>,
    under_way: BTreeMap<usize, UnderWay>,
    /// Results that are to be put in place.
    waiting: VecDeque<Ended<'r>>,
    begun: usize,
}

/// A step that is worked on.
struct UnderWay {
    cell: Cell,
    place: Place,
    number: usize,
    since: Instant,
}

/// Where a step's words go.
enum Voice<'r> {
    /// At once to whoever listens.
    Direct(&'r dyn Report),
    /// To them when the step is over, as others speak as well.
    Kept(Kept<'r>),
}

impl Voice<'_> {
    fn report(&self) -> &dyn Report {
        match self {
            Self::Direct(report) => *report,
            Self::Kept(kept) => kept,
        }
    }
}

/// The end of some work.
struct Ended<'r> {
    step: usize,
    /// An error when the program itself is at fault.
    worked: Result<Worked<'r>>,
    voice: Voice<'r>,
}

/// Work that is to be done.
struct Job<'r> {
    step: usize,
    work: Work<'r>,
    voice: Voice<'r>,
    server: Server,
}

impl<'r> Job<'r> {
    /// Does it as soon as one more job may run.
    fn run(self) -> Ended<'r> {
        let Self { step, work, voice, server } = self;
        // What is begun after a request to end is ended at once.
        let _slot = server.slot_unless(&|| interrupt::requested().is_some());
        let worked = catch_unwind(AssertUnwindSafe(|| work.run(voice.report())));
        let worked = worked.map_err(|panic| {
            let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
            at_fault(&said.unwrap_or_default())
        });
        Ended { step, worked, voice }
    }
}

/// The program itself is at fault.
fn at_fault(what: &str) -> Error {
    let text = format!("dkms-hook itself failed: {what}");
    Error::new(Kind::Io, text).hint("run it again; if it fails again, please report it with this message")
}

impl<'a> Executor<'a> {
    /// Runs every step that can be run; the result has one entry per step.
    pub fn run(&self, plan: &Plan) -> Vec<Done> {
        debug_assert!(plan.questions.is_empty(), "nobody looked: {:?}", plan.questions);
        if let Some(trace) = &self.trace {
            trace.plan(self.system, plan);
        }
        if !plan.is_empty() {
            interrupt::install();
        }
        let prospect = Prospect::of(self, plan);
        let waits = match prospect.at_once {
            1 => vec![Vec::new(); plan.steps.len()],
            _ => order::waits(self.system, plan),
        };
        let mut run = Run {
            executor: self,
            plan,
            schedule: Schedule::new(prospect.nodes(waits), prospect.at_once),
            done: vec![None; plan.steps.len()],
            places: Places::new(self.observer.layout, prospect.side_by_side.clone()),
            prospect,
            under_way: BTreeMap::new(),
            waiting: VecDeque::new(),
            begun: 0,
        };
        std::thread::scope(|scope| run.all(scope));
        let done: Vec<Done> = run.done.into_iter().map(|done| done.unwrap_or(Done::Stopped)).collect();
        // Of a run that was stopped, the next one settles what is fulfilled.
        if !done.contains(&Done::Stopped) {
            self.settle(plan);
        }
        done
    }
}

impl<'r> Run<'r> {
    fn all<'s>(&mut self, scope: &'s Scope<'s, '_>)
    where
        'r: 's,
    {
        let (sender, ended) = channel();
        // In here: whoever waits for it is not to wait for the end of this scope.
        let mut turn = self.take_turn();
        loop {
            while let Ok(ended) = ended.try_recv() {
                self.worked(ended);
            }
            let next = self.schedule.next();
            if let Some(ended) = self.first_worked(next) {
                self.commit(ended);
                self.list(turn.as_mut());
                continue;
            }
            match next {
                Next::End => break,
                Next::Here(step) | Next::Begin(step) => match Long::of(&self.plan.steps[step].action) {
                    Some(long) => self.begin(step, long, scope, &sender),
                    None => self.here(step),
                },
                Next::Wait => match self.wait(&ended, turn.as_mut()) {
                    Some(ended) => self.worked(ended),
                    // This thread can send itself.
                    None => break,
                },
            }
            self.list(turn.as_mut());
        }
    }

    fn worked(&mut self, ended: Ended<'r>) {
        self.schedule.set(ended.step, State::Worked);
        self.waiting.push_back(ended);
    }

    /// The result that is to be put in place now. What can begin begins before that: it has a job already.
    fn first_worked(&mut self, next: Next) -> Option<Ended<'r>> {
        let first = self.waiting.front()?;
        match next {
            Next::Begin(step) if self.schedule.comes_before(step, first.step) => None,
            _ => self.waiting.pop_front(),
        }
    }

    /// Whoever is called by a build while others are under way waits for its turn.
    fn take_turn(&self) -> Option<Turn> {
        if self.prospect.at_once == 1 {
            return None;
        }
        let turn = Turn::begin(self.executor.observer.layout);
        turn.inspect_err(|error| log::warn!("scripts of builds may disturb each other: {error}")).ok()
    }

    /// Waits for the end of some work. Meanwhile what is called by builds has its turn.
    fn wait(&self, ended: &Receiver<Ended<'r>>, turn: Option<&mut Turn>) -> Option<Ended<'r>> {
        let Some(turn) = turn else { return ended.recv().ok() };
        turn.give();
        let ended = ended.recv().ok();
        if turn.take_back() {
            // It may have installed something.
            self.executor.holdings.forget();
        }
        ended
    }

    /// Lists what is being built.
    fn list(&self, turn: Option<&mut Turn>) {
        let modules = self.under_way.values().map(|under_way| &under_way.cell.module);
        if let Some(Err(error)) = turn.map(|turn| turn.list(modules)) {
            log::warn!("{error}");
        }
    }

    /// How a step ends whose turn has come and that is not carried out.
    fn left_out(&self, step: &Step) -> Option<Done> {
        let succeeded = |need: &usize| matches!(self.done.get(*need), Some(Some(Done::Yes | Done::Unmet)));
        match step.needs.iter().find(|need| !succeeded(need)) {
            _ if interrupt::requested().is_some() => Some(Done::Stopped),
            Some(need) => Some(Done::Without(*need)),
            None if step.needs.iter().any(|need| stays_linked(self.plan, *need, &self.done)) => {
                Some(Done::Unmet)
            }
            None if !self.executor.holds(step) => Some(self.executor.unmet(&step.action)),
            None => None,
        }
    }

    /// Carries out a step that takes no time.
    fn here(&mut self, index: usize) {
        let step = &self.plan.steps[index];
        let done = self.left_out(step).unwrap_or_else(|| {
            announce(step, self.executor.report);
            outcome(self.executor.step(step))
        });
        self.over(index, done);
    }

    /// Gets ready for a step that takes long, and has it worked on.
    fn begin<'s>(
        &mut self,
        index: usize,
        long: Long<'r>,
        scope: &'s Scope<'s, '_>,
        sender: &Sender<Ended<'r>>,
    ) where
        'r: 's,
    {
        let step = &self.plan.steps[index];
        if let Some(done) = self.left_out(step) {
            return self.over(index, done);
        }
        let report = self.executor.report;
        let voice = if self.prospect.alone { Voice::Direct(report) } else { Voice::Kept(Kept::new(report)) };
        announce(step, voice.report());
        let cell = long.cell();
        let place = match self.places.enter(cell) {
            Ok(place) => place,
            Err(error) => {
                let layout = self.executor.observer.layout;
                let dir = layout.shown(&layout.build_dir(&cell.module));
                return self.over(index, Done::Failed(Error::io("make", &dir, &error)));
            }
        };
        let server = self.prospect.server.clone();
        self.schedule.set(index, State::Working);
        self.note_begin(index, long, &place, voice.report());
        match self.executor.begin(long, &place, &server, voice.report()) {
            Ok(Begun::Work(work)) => {
                let (sender, job) = (sender.clone(), Job { step: index, work, voice, server });
                let name = format!("build {}", self.begun);
                let spawned = Builder::new().name(name).spawn_scoped(scope, move || {
                    // Nobody listens when this program is about to end.
                    let _ = sender.send(job.run());
                });
                if let Err(error) = spawned {
                    self.over(index, Done::Failed(at_fault(&format!("no thread: {error}"))));
                }
            }
            Ok(Begun::Over(worked)) => self.commit(Ended { step: index, worked: Ok(worked), voice }),
            Err(error) => {
                drop(voice);
                self.over(index, Done::Failed(error));
            }
        }
    }

    fn note_begin(&mut self, index: usize, long: Long<'_>, place: &Place, report: &dyn Report) {
        self.begun += 1;
        let number = self.begun;
        let expected = self.prospect.effort(index);
        let cell = long.cell();
        let (doing, log) = match long {
            Long::Resign { .. } => {
                ("Signing", self.executor.observer.layout.cell(cell).join("log").join(MAKE_LOG))
            }
            Long::Build { .. } => ("Building", place.dir.join(MAKE_LOG)),
        };
        report.task_begins(&Task {
            number,
            of: self.prospect.long,
            doing: doing.to_owned(),
            name: cell.module.to_string(),
            kernel: cell.kernel.to_string(),
            expected: expected.map(|effort| Expected { takes: effort.took, files: effort.files }),
            log,
        });
        let under_way = UnderWay { cell: cell.clone(), place: place.clone(), number, since: Instant::now() };
        self.under_way.insert(index, under_way);
    }

    /// Puts the result of some work in place.
    fn commit(&mut self, Ended { step, worked, voice }: Ended<'r>) {
        let result = worked.and_then(|worked| self.executor.commit(worked, voice.report()));
        drop(voice);
        self.over(step, outcome(result));
    }

    /// Writes down how a step ended.
    fn over(&mut self, step: usize, done: Done) {
        if let Some(UnderWay { cell, place, number, since }) = self.under_way.remove(&step) {
            if let Err(error) = self.places.leave(&cell, &place) {
                let layout = self.executor.observer.layout;
                let dir = layout.shown(&place.dir);
                self.executor
                    .report
                    .warning(&format!("{} could not be cleared away: {error}", dir.display()));
            }
            let how = match &done {
                Done::Yes | Done::Unmet => Outcome::Done,
                Done::Failed(_) | Done::Without(_) => Outcome::Failed,
                Done::Stopped => Outcome::Stopped,
            };
            let took: Duration = since.elapsed();
            self.executor.report.task_ends(number, how, took);
        }
        if let Some(trace) = &self.executor.trace {
            trace.step(step, &done);
        }
        self.done[step] = Some(done);
        self.schedule.set(step, State::Over);
    }
}

/// Says what begins, where that takes long.
fn announce(Step { action, reason, .. }: &Step, report: &dyn Report) {
    let doing = match action {
        Action::Build { cell, .. } => Some(("Building", cell)),
        Action::Resign { cell, .. } => Some(("Signing", cell)),
        Action::Keep { cell } => Some(("Keeping", cell)),
        _ => None,
    };
    if let Some((doing, Cell { module, kernel, arch })) = doing {
        let from = if matches!(action, Action::Build { cached: true, .. }) { " from the cache" } else { "" };
        report.line(&format!("{doing} {module} for kernel {kernel} ({arch}){from}: {reason}"));
    }
    log::info!("{action}: {reason}");
}

fn outcome(result: Result<()>) -> Done {
    match result {
        Ok(()) => Done::Yes,
        Err(Error { kind: Kind::Interrupted(_), .. }) => Done::Stopped,
        // The terminal's Ctrl-C reaches the programs of a step as well: it would have gone on.
        Err(error) if interrupt::requested().is_some() => {
            log::warn!("{error}");
            Done::Stopped
        }
        Err(error) => Done::Failed(error),
    }
}
