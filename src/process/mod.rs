//! The one place where child processes are started.
//!
//! A child gets a known state whoever started us: standard input is empty, and of the rest it sees what
//! [`inheritance`] leaves. It ends with this process, and where it has a time limit, it is ended with all that it
//! started when the time is over ([`group`], [`family`]). A signal to the run is passed on to it ([`interrupt`]).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::fs::regular;
use crate::model::settings::Limit;

pub mod ancestors;
pub mod chroot;
mod family;
mod group;
mod heard;
mod inheritance;
pub mod interrupt;
pub mod jobserver;
mod logged;
mod memory;
mod outcome;
pub mod overlay;
pub mod parallel;
pub mod sandbox;
mod search;
mod seeing;
pub mod shortage;

use family::Family;
use memory::{content, memory_file, with_text};
use outcome::status_number;

pub use family::{MARK_VARIABLE, started_by};
pub use outcome::{Captured, ProcessError, more_time, took_longer};
pub use search::{find_program, not_found, search_path};
pub use seeing::can_see;

pub use inheritance::{
    PARENT_VARIABLE, WORK_VARIABLE, find_temporary_directory, forget_variables, prepare, set_lock_holder,
};

/// How long a program may take that only answers a question (a version, the owner of a file). Such programs
/// end within a second; one that takes this long hangs, and must not hang a package manager.
pub const QUERY_LIMIT: Duration = Duration::from_secs(60);

/// Where a child's output goes.
#[derive(Debug, Clone, Copy)]
pub enum Output<'a> {
    /// Where ours goes.
    Inherit,
    /// Nowhere.
    Null,
    /// Both streams into this file, at its position.
    File(&'a File),
}

/// The process group that a child is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    /// Ours, which the terminal's Ctrl-C reaches: it may ask for something there.
    Ours,
    /// One of its own, to which signals are passed on.
    OfAStep,
    /// One of its own, which is let alone: it ends soon.
    OfAQuestion,
}

/// A child process to be started.
#[derive(Debug, Clone)]
pub struct Process {
    program: OsString,
    args: Vec<OsString>,
    dir: Option<PathBuf>,
    env: Vec<(OsString, Option<OsString>)>,
    stdin: Option<PathBuf>,
    input: Option<String>,
    shown: Option<String>,
    no_terminal: bool,
    bare: bool,
    clean: bool,
    limit: Option<Limit>,
    group: Group,
    may_leave: bool,
    kept: Vec<Arc<OwnedFd>>,
    many_files: bool,
    views: Vec<seeing::View>,
    sandbox: Option<sandbox::Sandbox>,
}

impl Process {
    /// A program by name (looked up in [`search_path`]) or path.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            dir: None,
            env: Vec::new(),
            stdin: None,
            input: None,
            shown: None,
            no_terminal: false,
            bare: false,
            clean: false,
            limit: None,
            group: Group::Ours,
            may_leave: false,
            kept: Vec::new(),
            many_files: false,
            views: Vec::new(),
            sandbox: None,
        }
    }

    /// A text for bash, which is what evaluates the commands of a dkms.conf.
    pub fn bash(text: &str) -> Self {
        Self::new("bash").arg("-c").arg(text).shown(text)
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Starts it in this directory.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Starts it in this directory when no other was named.
    #[must_use]
    pub fn in_dir_unless_set(mut self, dir: &Path) -> Self {
        self.dir.get_or_insert_with(|| dir.to_path_buf());
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Sets variables; one without a value is removed.
    #[must_use]
    pub fn envs<'a>(mut self, vars: impl IntoIterator<Item = &'a (OsString, Option<OsString>)>) -> Self {
        self.env.extend(vars.into_iter().cloned());
        self
    }

    /// Reads its standard input from this file.
    #[must_use]
    pub fn stdin(mut self, path: impl Into<PathBuf>) -> Self {
        self.stdin = Some(path.into());
        self
    }

    /// Gives it this text on its standard input. The text is kept in memory: there need not be a place
    /// for temporary files.
    #[must_use]
    pub fn input(mut self, text: impl Into<String>) -> Self {
        self.input = Some(text.into());
        self
    }

    /// Starts it in a session of its own, so that it finds no terminal to ask anybody at: what
    /// would wait for an answer fails.
    #[must_use]
    pub fn without_terminal(mut self) -> Self {
        self.no_terminal = true;
        self
    }

    /// Gives it the variables named with [`Self::env`] and no others.
    #[must_use]
    pub fn with_bare_environment(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Gives it the variables that every build gets, and none of the caller's but a few that are meant for builds.
    #[must_use]
    pub fn with_clean_environment(mut self) -> Self {
        self.clean = true;
        self
    }

    /// For a program that only answers a question: ends it, with everything that it started, when it takes longer
    /// than this. It leads a process group of its own, and no signal to this process is passed on to it.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(Limit { time: Some(limit), setting: "" });
        self.group = Group::OfAQuestion;
        self
    }

    /// Ends it, with everything that it started, when it takes longer than a setting says.
    #[must_use]
    pub fn within(mut self, limit: Limit) -> Self {
        self.limit = limit.time.is_some().then_some(limit);
        self
    }

    /// Lets it lead a process group of its own once signals are passed on ([`interrupt`]). It cannot ask at the
    /// terminal.
    #[must_use]
    pub fn in_own_group(mut self) -> Self {
        self.group = Group::OfAStep;
        self
    }

    /// It may leave processes behind that stay, such as a service that it starts: when this run is killed, the next
    /// one leaves them alone.
    #[must_use]
    pub fn may_leave_processes(mut self) -> Self {
        self.may_leave = true;
        self
    }

    /// Lets it open as many files as it may: a linker of a large module needs more than the usual 1,024.
    #[must_use]
    pub fn with_many_files(mut self) -> Self {
        self.many_files = true;
        self
    }

    /// Leaves these files open in it, under their own numbers.
    #[must_use]
    fn keeping(mut self, files: impl IntoIterator<Item = Arc<OwnedFd>>) -> Self {
        self.kept.extend(files);
        self
    }

    /// What was said about a variable: a value, or that it is removed.
    fn said_of(&self, name: &str) -> Option<Option<&OsStr>> {
        self.env.iter().rev().find(|(said, _)| said == name).map(|(_, value)| value.as_deref())
    }

    /// Lets it and what it starts see this directory in the place of another, which has to be there. Nobody else
    /// sees that. It starts there when no directory was named.
    #[must_use]
    pub fn seeing(mut self, dir: impl Into<PathBuf>, at: impl Into<PathBuf>) -> Self {
        self.views.push(seeing::View { dir: dir.into(), at: at.into() });
        self
    }

    /// How logs show the command, when not as its words.
    #[must_use]
    pub fn shown(mut self, text: impl Into<String>) -> Self {
        self.shown = Some(text.into());
        self
    }

    /// The command as logs show it.
    pub fn text(&self) -> String {
        self.shown.clone().unwrap_or_else(|| {
            let words = std::iter::once(&self.program).chain(&self.args);
            words.map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ")
        })
    }

    /// Runs it to its end. The status is as a shell counts it: 128 + n when signal n ended it.
    ///
    /// # Errors
    /// When it cannot be started, or its time is over.
    pub fn run(&self, output: Output<'_>) -> Result<i32, ProcessError> {
        let mut command = self.command()?;
        let mut heard = None;
        match output {
            Output::Inherit => heard = Some(heard::listen(&mut command)),
            Output::Null => {
                command.stdout(Stdio::null()).stderr(Stdio::null());
            }
            Output::File(file) => {
                let copy = || file.try_clone().map_err(|e| self.failed(e));
                command.stdout(copy()?).stderr(copy()?);
            }
        }
        let ended = self.wait(&mut command);
        drop(heard);
        ended
    }

    /// Runs it to its end and keeps what it printed: at most 16 MiB of each stream.
    ///
    /// Files in memory take the output, not pipes: a process that it leaves in the background cannot keep us
    /// waiting.
    ///
    /// # Errors
    /// When it cannot be started, its time is over, or it printed more.
    pub fn capture(&self) -> Result<Captured, ProcessError> {
        let file = || memory_file(c"output").map_err(|e| self.failed(e));
        let (stdout, stderr) = (file()?, file()?);
        let copy = |file: &File| file.try_clone().map_err(|e| self.failed(e));
        let mut command = self.command()?;
        command.stdout(copy(&stdout)?).stderr(copy(&stderr)?);
        let status = self.wait(&mut command)?;
        let text = |file| content(file).map_err(|e| self.failed(e));
        Ok(Captured { status, stdout: text(stdout)?, stderr: text(stderr)? })
    }

    fn wait(&self, command: &mut std::process::Command) -> Result<i32, ProcessError> {
        let child = command.spawn();
        heard::begun(command);
        let mut child = child.map_err(|e| self.failed(e))?;
        let family = Family::of(command, child.id(), self.leads_group());
        let _told = match &family {
            Some(family) if self.group != Group::OfAQuestion => interrupt::Told::of(family),
            _ => None,
        };
        let limit = self.limit.and_then(|limit| Some((limit, limit.time?)));
        let (Some((limit, time)), Some(family)) = (limit, &family) else {
            return Ok(status_number(child.wait().map_err(|e| self.failed(e))?));
        };
        match group::wait(child, time, family).map_err(|e| self.failed(e))? {
            Some(status) => Ok(status_number(status)),
            None => Err(ProcessError::TimedOut { program: self.program.clone(), limit }),
        }
    }

    /// Starts it as a filter that reads `input`; its output is for the caller to read. What it says on
    /// standard error is dropped: the caller sees how it ended.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn reading(&self, input: File) -> Result<(Child, ChildStdout), ProcessError> {
        let mut command = self.command()?;
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|e| self.failed(e))?;
        let output = child.stdout.take().ok_or_else(|| self.failed(io::ErrorKind::BrokenPipe.into()))?;
        Ok((child, output))
    }

    /// Starts it as a filter that writes to `output`; its input is for the caller to write.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn writing(&self, output: File) -> Result<(Child, ChildStdin), ProcessError> {
        let mut command = self.command()?;
        command.stdin(Stdio::piped()).stdout(output).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|e| self.failed(e))?;
        let input = child.stdin.take().ok_or_else(|| self.failed(io::ErrorKind::BrokenPipe.into()))?;
        Ok((child, input))
    }

    fn command(&self) -> Result<std::process::Command, ProcessError> {
        prepare();
        let mut command = std::process::Command::new(&self.program);
        command.args(&self.args);
        if self.bare {
            command.env_clear();
        } else {
            match self.clean {
                true => inheritance::set_clean_variables(&mut command),
                false => inheritance::set_variables(&mut command),
            }
            family::mark(&mut command, self.may_leave);
        }
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let inside = self.dir.as_ref().or_else(|| self.views.first().map(|view| &view.at));
        if self.sandbox.is_some() {
            // It goes there by itself, as late as it can.
        } else if let (Some(inside), false) = (inside, self.views.is_empty()) {
            for view in &self.views {
                seeing::give(&mut command, view, inside).map_err(|source| self.failed(source))?;
            }
        } else if let Some(dir) = &self.dir {
            // Otherwise a missing directory would look like a missing program.
            if let Err(source) = std::fs::metadata(dir) {
                let source = io::Error::new(source.kind(), format!("{}: {source}", dir.display()));
                return Err(ProcessError::Failed { program: self.program.clone(), source });
            }
            command.current_dir(dir);
        }
        if self.no_terminal {
            // SAFETY: between fork and exec only setsid(2) is called, which is async-signal-safe; it
            // allocates nothing and takes no lock.
            #[allow(unsafe_code)]
            unsafe {
                command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(io::Error::from));
            }
        }
        // The leader of a session leads a group already.
        if self.leads_group() && !self.no_terminal {
            command.process_group(0);
        }
        if self.many_files {
            inheritance::raise_open_files(&mut command);
        }
        if !self.kept.is_empty() {
            inheritance::keep_open(&mut command, self.kept.clone());
        }
        match (&self.input, &self.stdin) {
            (None, None) => command.stdin(Stdio::null()),
            (Some(text), _) => command.stdin(with_text(text).map_err(|source| self.failed(source))?),
            (None, Some(path)) => {
                command.stdin(regular::open(path).map_err(|source| ProcessError::Failed {
                    program: self.program.clone(),
                    source: io::Error::new(source.kind(), format!("{}: {source}", path.display())),
                })?)
            }
        };
        match &self.sandbox {
            // It ends with us, too.
            Some(sandbox) => {
                let inside = inside.map_or(Path::new("/"), PathBuf::as_path);
                sandbox.confine(&mut command, &self.views, inside).map_err(|source| self.failed(source))?;
            }
            None => group::end_with_us(&mut command),
        }
        Ok(command)
    }

    /// True when it leads a process group, or the session that it leads makes it lead one.
    fn leads_group(&self) -> bool {
        match self.group {
            _ if self.no_terminal => true,
            Group::Ours => false,
            Group::OfAStep => interrupt::is_installed(),
            Group::OfAQuestion => true,
        }
    }

    fn failed(&self, source: io::Error) -> ProcessError {
        let program = self.program.clone();
        match source.kind() {
            io::ErrorKind::NotFound => ProcessError::Missing { program },
            _ => ProcessError::Failed { program, source },
        }
    }
}

#[cfg(test)]
mod tests;
