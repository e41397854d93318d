//! One GNU make job server for everything that a run builds at once.
//!
//! A job server is a pipe with one byte (a *token*) for each job that may run. A make may always run one job;
//! for each further one it takes a token, and puts it back afterwards. So all makes of a run together never
//! start more jobs than there are tokens, however many of them there are.
//!
//! What this program itself does for a step counts as a job, too: it holds a [`Slot`], and that is the job
//! which the make that it starts may always run. So the pipe begins with as many tokens as the limit says.
//!
//! A make that is killed keeps the tokens that it had (GNU make 4.4), and so does one whose own makes were
//! killed. Nobody can say how many they were while others run. So the tokens are counted anew whenever
//! nothing runs: then the pipe is emptied, and filled with as many as the limit says. Until then there are
//! fewer jobs at once, and never more; and as each step's slot comes back to the pipe, nothing waits for ever.
//!
//! Where a make runs this program and has a job server, that one is used; then the first slot is the job that
//! this program is.

use std::fs::{OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Process, inheritance};
use crate::fs::temporary;
use flags::Auth;
use pool::{MOST, Pool};

mod flags;
mod governor;
mod outer;
mod pool;
mod stand_in;
mod style;

pub use stand_in::{StandIn, by_name};
pub use style::Style;

/// The longest pause between two looks at what a waiting thread waits for.
const PAUSE: Duration = Duration::from_millis(50);

/// The variable in which a make finds its flags.
const FLAGS: &str = "MAKEFLAGS";

/// A variable that is set where makes shall have one job, whatever their command lines say.
const ONE_JOB: &str = "DKMS_HOOK_ONE_JOB";

/// The job server of a run. Copies of it are the same server.
#[derive(Debug, Clone)]
pub struct Server(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// `None` where makes do not take part.
    tokens: Option<Tokens>,
    limit: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct Tokens {
    pool: Pool,
    /// True when it is ours and no other's: it may be counted.
    own: bool,
    auth: Auth,
    /// What a child has to have open.
    kept: Vec<Arc<OwnedFd>>,
    /// Where the pipe is.
    _dir: Option<temporary::Dir>,
}

#[derive(Debug, Default)]
struct State {
    /// Slots that somebody holds.
    out: usize,
    /// Whether one of them is the job that this program is to the make that runs it.
    implicit: bool,
    /// Those of them whose holders wait to be alone, and run nothing meanwhile.
    resting: usize,
    /// Whether somebody is alone.
    alone: bool,
    /// Tokens that are kept back, because memory is short.
    withheld: usize,
}

/// The permission to run one job. It is given back when it is dropped.
#[derive(Debug)]
#[must_use = "it is given back when it is dropped"]
pub struct Slot {
    server: Arc<Shared>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A token that was taken.
    Token,
    /// The job that this program is.
    Implicit,
    /// The only one of a server without tokens.
    Only,
}

/// The permission to run alone. Others go on when it is dropped.
#[derive(Debug)]
#[must_use = "others go on when it is dropped"]
pub struct Alone(Arc<Shared>);

impl Server {
    /// The server for a run with at most so many jobs at once (0: no limit). It joins that of the make that
    /// runs this program, or makes one of its own, in `dir` or the directory for temporary files.
    ///
    /// Where neither can be had (no make, an unknown one, no limit), makes do not take part
    /// ([`Self::is_shared`]), and there is one slot.
    pub fn open(limit: usize, dir: &Path) -> Self {
        let flags = inheritance::is_run_by_make().then(|| std::env::var(FLAGS).ok()).flatten();
        let server = match Style::of_installed_make() {
            Some(style) => Self::with(limit, style, dir, flags.as_deref()),
            None => Self::without(limit),
        };
        governor::start(&server);
        server
    }

    fn with(limit: usize, style: Style, dir: &Path, flags: Option<&str>) -> Self {
        if let Some((pool, jobs)) = flags.and_then(outer::join)
            && let Ok(tokens) = Tokens::of(pool, false, style, None)
        {
            return Self::new(jobs.unwrap_or(limit).max(1), Some(tokens));
        }
        if limit == 0 {
            return Self::without(limit);
        }
        let limit = limit.min(MOST);
        let temporary = std::env::temp_dir();
        let made = [dir, &temporary].into_iter().filter(|dir| flags::can_name(dir)).find_map(|dir| {
            let own = Tokens::own(dir, limit, style);
            own.inspect_err(|error| log::info!("no job server in {}: {error}", dir.display())).ok()
        });
        Self::new(limit, made)
    }

    /// One in which makes do not take part.
    pub fn without(limit: usize) -> Self {
        Self::new(limit, None)
    }

    fn new(limit: usize, tokens: Option<Tokens>) -> Self {
        Self(Arc::new(Shared { tokens, limit, state: Mutex::default(), changed: Condvar::new() }))
    }

    /// How many jobs run at once, at most; 0 when there is no limit.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// How many jobs one that begins now may run, at most; 0 when there is no limit.
    pub fn jobs_now(&self) -> usize {
        if self.0.state().alone { 1 } else { self.limit() }
    }

    /// Whether makes take their jobs from it. Where they do, none of them needs a number of jobs.
    pub fn is_shared(&self) -> bool {
        self.0.tokens.is_some()
    }

    /// Waits until one more job may run.
    pub fn slot(&self) -> Slot {
        loop {
            if let Some(slot) = self.slot_unless(&|| false) {
                return slot;
            }
        }
    }

    /// The permission for one more job beside one that the caller has, if it is to be had at once.
    pub fn try_slot(&self) -> Option<Slot> {
        if !self.is_shared() {
            return None;
        }
        let mut state = self.0.state();
        let kind = self.0.take(&mut state)?;
        state.out += 1;
        Some(Slot { server: self.0.clone(), kind })
    }

    /// The same as [`Self::slot`], and gives up (`None`) soon after `stopped` says so.
    pub fn slot_unless(&self, stopped: &dyn Fn() -> bool) -> Option<Slot> {
        loop {
            let mut state = self.0.state();
            if let Some(kind) = self.0.take(&mut state) {
                state.out += 1;
                return Some(Slot { server: self.0.clone(), kind });
            }
            match &self.0.tokens {
                Some(tokens) => {
                    drop(state);
                    tokens.pool.wait(PAUSE);
                }
                None => drop(self.0.pause(state)),
            }
            if stopped() {
                return None;
            }
        }
    }

    /// For the holder of a slot who runs nothing just now: waits until nobody else runs anything, and lets nobody
    /// begin meanwhile. A make that is attached then has one job. `None` soon after `stopped` says so.
    pub fn alone_unless(&self, stopped: &dyn Fn() -> bool) -> Option<Alone> {
        let mut state = self.0.state();
        state.resting += 1;
        self.0.changed.notify_all();
        while state.alone || state.out > state.resting {
            state = self.0.pause(state);
            if stopped() {
                state.resting -= 1;
                return None;
            }
        }
        state.resting -= 1;
        state.alone = true;
        self.0.count(0);
        Some(Alone(self.0.clone()))
    }

    /// Has a child, and all makes that it starts, take their jobs from this server. It is unchanged where makes
    /// do not take part.
    #[must_use]
    pub fn attach(&self, process: Process) -> Process {
        self.attach_with(process, true)
    }

    /// Gives a child, and all makes that it starts, one job, whatever their command lines say. It is unchanged where
    /// makes do not take part.
    #[must_use]
    pub fn attach_one(&self, process: Process) -> Process {
        self.attach_with(process, false)
    }

    fn attach_with(&self, process: Process, shared: bool) -> Process {
        let Some(tokens) = &self.0.tokens else { return process };
        let flags = match process.said_of(FLAGS) {
            Some(said) => said.map(|text| text.to_string_lossy().into_owned()),
            // What a make told this program, its own children are not told.
            None if inheritance::is_run_by_make() || process.clean => None,
            None => std::env::var(FLAGS).ok(),
        };
        // Of another's server, tokens cannot all be taken for one who is to be alone.
        let server = (shared && (tokens.own || !self.0.state().alone)).then_some(&tokens.auth);
        let jobs = if server.is_some() { self.0.limit } else { 1 };
        let flags = flags::with_jobs(&flags.unwrap_or_default(), jobs, server);
        let process = if server.is_none() { process.env(ONE_JOB, "1") } else { process };
        process.env(FLAGS, flags).keeping(tokens.kept.iter().cloned())
    }

    /// Lets the members of a group, if one is named, take jobs from it. Returns the named pipe that they need; `None` where there is none, or
    /// it is another's.
    ///
    /// # Errors
    /// When the pipe cannot be given to the group.
    pub fn lend(&self, group: Option<u32>) -> io::Result<Option<PathBuf>> {
        let Some(Tokens { pool, own: true, _dir: Some(dir), .. }) = &self.0.tokens else { return Ok(None) };
        if let Some(group) = group {
            std::os::unix::fs::chown(&pool.path, None, Some(group))?;
            std::fs::set_permissions(&pool.path, Permissions::from_mode(0o660))?;
            // Nobody can list it, and who is not of the group can open nothing in it.
            std::fs::set_permissions(dir.path(), Permissions::from_mode(0o711))?;
        }
        Ok(Some(pool.path.clone()))
    }

    /// Whether it is the server of a make that runs this program, which may have no name that another user can open.
    pub fn is_anothers(&self) -> bool {
        self.0.tokens.as_ref().is_some_and(|tokens| !tokens.own)
    }

    /// Whether somebody holds a slot.
    fn is_busy(&self) -> bool {
        self.0.state().out > 0
    }

    /// How many tokens are kept back.
    fn withheld(&self) -> usize {
        self.0.state().withheld
    }

    /// Keeps one token back, if there is one to be had now; the last one never.
    fn withhold(&self) -> bool {
        let mut state = self.0.state();
        let Some(tokens) = self.0.tokens.as_ref().filter(|_| state.withheld + 1 < self.0.limit) else {
            return false;
        };
        let taken = tokens.pool.take().unwrap_or(false);
        state.withheld += usize::from(taken);
        taken
    }

    /// Puts one such token back. False when none is kept back.
    fn give_back(&self) -> bool {
        let mut state = self.0.state();
        if state.withheld == 0 {
            return false;
        }
        state.withheld -= 1;
        // Who is alone puts all of them back.
        if !state.alone || !self.0.is_own() {
            self.0.put_one();
        }
        true
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_own(&self) -> bool {
        self.tokens.as_ref().is_some_and(|tokens| tokens.own)
    }

    /// A slot, if there is one now.
    fn take(&self, state: &mut State) -> Option<Kind> {
        if state.alone {
            return None;
        }
        let Some(tokens) = &self.tokens else { return (state.out == 0).then_some(Kind::Only) };
        if !tokens.own && !state.implicit {
            state.implicit = true;
            return Some(Kind::Implicit);
        }
        if state.out == 0 {
            self.count(self.limit - state.withheld);
        }
        match tokens.pool.take() {
            Ok(taken) => taken.then_some(Kind::Token),
            Err(error) => {
                log::warn!("{}: {error}", tokens.pool.path.display());
                None
            }
        }
    }

    /// With nothing running: so many tokens are left in the pipe, whatever was in it.
    fn count(&self, tokens: usize) {
        let Some(own) = self.tokens.as_ref().filter(|t| t.own) else { return };
        if let Err(error) = own.pool.refill(tokens) {
            log::warn!("{}: {error}", own.pool.path.display());
        }
    }

    fn put_one(&self) {
        let Some(tokens) = &self.tokens else { return };
        if let Err(error) = tokens.pool.put(1) {
            log::warn!("{}: {error}", tokens.pool.path.display());
        }
    }

    /// Waits for a change, or a while: whoever waits looks again.
    fn pause<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, PAUSE).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.server.state();
        state.out -= 1;
        match self.kind {
            Kind::Token => self.server.put_one(),
            Kind::Implicit => state.implicit = false,
            Kind::Only => {}
        }
        self.server.changed.notify_all();
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.alone = false;
        self.0.count(self.0.limit.saturating_sub(state.withheld + state.out));
        self.0.changed.notify_all();
    }
}

impl Tokens {
    fn own(dir: &Path, limit: usize, style: Style) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let dir = temporary::Dir::new(dir, ".tmp-")?;
        let pool = Pool::create(dir.path())?;
        pool.put(limit)?;
        Self::of(pool, true, style, Some(dir))
    }

    fn of(pool: Pool, own: bool, style: Style, dir: Option<temporary::Dir>) -> io::Result<Self> {
        let (auth, kept) = match style {
            Style::Fifo => (Auth::Fifo(pool.path.clone()), Vec::new()),
            Style::Pipe => {
                // This process has the pipe open at both ends, so neither waits.
                let read = OwnedFd::from(OpenOptions::new().read(true).open(&pool.path)?);
                let write = OwnedFd::from(OpenOptions::new().write(true).open(&pool.path)?);
                let auth = Auth::Descriptors(read.as_raw_fd(), write.as_raw_fd());
                (auth, vec![Arc::new(read), Arc::new(write)])
            }
        };
        Ok(Self { pool, own, auth, kept, _dir: dir })
    }
}

#[cfg(test)]
mod tests;
