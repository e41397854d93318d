//! Programs without root's power: everything that comes out of a module's source runs like this.
//!
//! A confined program is a user of its own without any capability. It sees the machine read-only, without the files of
//! persons and without keys, writes only where it is told, has no network and its own processes, and leaves nothing
//! behind. There are several layers, none of which is to be had everywhere; [`Sandbox::layers`] says which there were.
//! docs/design/sandbox.md has the reasons.

mod enter;
mod filter;
mod limits;
mod machine;
pub(super) mod mounts;
mod rules;
pub(super) mod sys;
mod text;
mod user;

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Uid, fork, getegid, geteuid};
use tempfile::TempDir;
use walkdir::WalkDir;

use super::seeing::View;
use enter::{Entry, UserMaps};
use machine::Machine;
use mounts::{Mounts, Sight};
use rules::Allowed;
use user::User;

pub use limits::Limits;
pub use user::NAME as USER;

/// What confined programs may do, beside reading what everybody may read.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// Directories that they may change. Who makes them hands them over ([`Sandbox::hand_over`]).
    pub writable: Vec<PathBuf>,
    /// What they have to read, even where it lies in a directory that is hidden from them: /home, /root, /run, /tmp.
    pub readable: Vec<PathBuf>,
    /// Files that they are not to read, whatever their mode.
    pub secrets: Vec<PathBuf>,
    /// Named pipes that they may use.
    pub pipes: Vec<PathBuf>,
    /// What they may take.
    pub limits: Limits,
    /// They stay the user that runs this program, for want of files that another could read. Without capabilities, that
    /// user is bound by what files say of it, even root.
    pub same_user: bool,
}

/// A place to run confined programs in, one after another or at once. Copies are the same place.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bounds: Bounds,
    user: Option<User>,
    private: TempDir,
}

/// Why a program cannot be confined like this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The user could not read this file.
    #[error("{} cannot be read by the user of builds", .0.display())]
    Unreadable(PathBuf),
    /// A layer that was to be had before is refused.
    #[error("{0}")]
    Refused(Errno),
}

impl Sandbox {
    /// Makes one, with private directories for temporary files and as a home in `place`; they disappear with it.
    ///
    /// # Errors
    /// When these cannot be made.
    pub fn new(place: &Path, bounds: Bounds) -> io::Result<Self> {
        let private = tempfile::Builder::new().prefix(".tmp-").tempdir_in(place)?;
        fs::set_permissions(private.path(), fs::Permissions::from_mode(0o755))?;
        let may_change = Machine::here().user.is_ok() && !bounds.same_user;
        let user = if may_change { User::choose() } else { None };
        let sandbox = Self(Arc::new(Inner { bounds, user, private }));
        for (dir, mode) in [(sandbox.temporary(), 0o1777), (sandbox.home(), 0o700)] {
            fs::create_dir(&dir)?;
            fs::set_permissions(&dir, fs::Permissions::from_mode(mode))?;
            sandbox.hand_over(&dir)?;
        }
        Ok(sandbox)
    }

    /// The same with a named pipe that programs may use, too.
    #[must_use]
    pub fn with_pipe(mut self, pipe: Option<PathBuf>) -> Self {
        // Nobody has a copy of it yet, or the copies stay as they are.
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.bounds.pipes.extend(pipe);
        }
        self
    }

    /// The directory for temporary files: TMPDIR.
    pub fn temporary(&self) -> PathBuf {
        self.0.private.path().join("tmp")
    }

    /// An empty directory: HOME.
    pub fn home(&self) -> PathBuf {
        self.0.private.path().join("home")
    }

    /// Number and group of its user, where it is another than that of this program.
    pub fn user(&self) -> Option<(u32, u32)> {
        self.0.user.as_ref().map(|user| (user.uid, user.gid))
    }

    /// What confines the programs, and what does not and why: one line.
    pub fn layers(&self) -> String {
        text::layers(Machine::here(), self.0.user.as_ref())
    }

    /// Whether directories can be shown in other places.
    pub fn has_mounts() -> bool {
        Machine::here().mounts.is_ok()
    }

    /// Whether everything that this program knows confines them.
    pub fn is_whole(&self) -> bool {
        self.0.user.is_some() && text::missing(Machine::here()).is_empty()
    }

    /// Whether its programs can change no file but those that they are told they may: another user cannot change root's,
    /// and nobody can where everything is read-only.
    pub fn keeps_files_as_they_are(&self) -> bool {
        let machine = Machine::here();
        self.0.user.is_some() || machine.mounts.is_ok() || machine.landlock.is_ok()
    }

    /// Gives a directory, with all in it, to the user. Links are not followed.
    ///
    /// # Errors
    /// When something in it cannot be given.
    pub fn hand_over(&self, dir: &Path) -> io::Result<()> {
        self.user().map_or(Ok(()), |(uid, gid)| chown_all(dir, uid, gid))
    }

    /// Takes it back. The kernel takes away the marks of programs that change the user meanwhile (chown(2)).
    ///
    /// # Errors
    /// When something in it cannot be taken.
    pub fn take_back(&self, dir: &Path) -> io::Result<()> {
        self.user().map_or(Ok(()), |_| chown_all(dir, geteuid().as_raw(), getegid().as_raw()))
    }

    /// Lets the user use a named pipe.
    ///
    /// # Errors
    /// When it cannot be given.
    pub fn lend(&self, pipe: &Path) -> io::Result<()> {
        self.user().map_or(Ok(()), |(uid, gid)| lchown(pipe, Some(uid), Some(gid)))
    }

    /// Ends what programs left running where they had no processes of their own, which end with them.
    pub fn end_all(&self) {
        if let Some(user) = self.0.user.as_ref().filter(|_| Machine::here().processes.is_err()) {
            machine::end_all_of(user.uid);
        }
    }

    /// Tries it: can a program be confined so, with `dir` seen as `at`, and can it read these files then?
    ///
    /// # Errors
    /// What is in the way.
    pub fn check(&self, dir: &Path, at: &Path, files: &[PathBuf]) -> Result<(), Refusal> {
        let views =
            if dir == at { Vec::new() } else { vec![View { dir: dir.to_path_buf(), at: at.to_path_buf() }] };
        let mut entry = self.entry(&views, at).map_err(|error| refused(&error))?;
        let texts: Vec<CString> = files.iter().map(|file| c_text(file)).collect();
        match status_of(|| tried(&mut entry, &texts)).map_err(Refusal::Refused)? {
            0 => Ok(()),
            status if status >= REFUSED => Err(Refusal::Refused(Errno::from_raw(status - REFUSED))),
            status => {
                let at = usize::try_from(status - 1).unwrap_or(usize::MAX);
                Err(files
                    .get(at)
                    .map_or(Refusal::Refused(Errno::ECANCELED), |f| Refusal::Unreadable(f.clone())))
            }
        }
    }

    /// Confines a command. It starts in `inside`, with each view in its place. To be called when everything else is said
    /// about the command: nothing may be done with root's power after this.
    pub(super) fn confine(&self, command: &mut Command, views: &[View], inside: &Path) -> io::Result<()> {
        if Machine::here().mounts.is_err() {
            for view in views {
                super::seeing::give(command, view, inside)?;
            }
        }
        command.env("TMPDIR", self.temporary()).env("HOME", self.home());
        let mut entry = self.entry(views, inside)?;
        // SAFETY: between fork and exec only plain system calls are made, with texts and tables that are ready. They
        // allocate nothing and take no lock.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(move || entry.enter());
        }
        Ok(())
    }

    fn entry(&self, views: &[View], inside: &Path) -> io::Result<Entry> {
        let Inner { bounds, user, private } = &*self.0;
        let machine = Machine::here();
        let mut writable = bounds.writable.clone();
        writable.extend([self.temporary(), self.home()]);
        let mut readable = bounds.readable.clone();
        readable.push(private.path().to_path_buf());
        let mounts = machine.mounts.ok().map(|root| {
            let (temporary, secrets) = (&*self.temporary(), &*bounds.secrets);
            Mounts::plan(root, Sight { readable: &readable, writable: &writable, views, temporary, secrets })
        });
        writable.extend(views.iter().map(|view| view.dir.clone()));
        let rules = match machine.landlock {
            Ok(_) => rules::make(Allowed {
                by_mounts: mounts.is_some(),
                readable: &readable,
                secrets: &bounds.secrets,
                writable: &writable,
                pipes: &bounds.pipes,
            })
            .map_err(io::Error::other)?,
            Err(_) => None,
        };
        let (uid, gid) = user.as_ref().map_or((geteuid().as_raw(), getegid().as_raw()), |u| (u.uid, u.gid));
        let mut namespaces = machine.namespaces();
        namespaces.set(nix::sched::CloneFlags::CLONE_NEWNS, mounts.is_some());
        Ok(Entry {
            inside: c_text(inside),
            namespaces,
            user_namespace: machine.in_user_namespace.then(|| UserMaps::of(uid, gid)),
            mounts,
            proc: machine.proc.is_ok(),
            user: user.is_some().then(|| (Uid::from_raw(uid), Gid::from_raw(gid))),
            limits: bounds.limits,
            rules,
            filter: filter::program().filter(|_| machine.filter.is_ok()),
        })
    }
}

impl super::Process {
    /// Confines it, and what it starts: it has no power beyond what the sandbox gives it. It leads a session of its own,
    /// so that it finds no terminal to write into.
    #[must_use]
    pub fn confined(mut self, sandbox: &Sandbox) -> Self {
        self.sandbox = Some(sandbox.clone());
        self.without_terminal()
    }
}

/// Statuses of a try from here on are errors of the kernel; below, the number of a file.
const REFUSED: i32 = 100;

/// In the child: 0, or what is in the way.
fn tried(entry: &mut Entry, files: &[CString]) -> i32 {
    if let Err(error) = entry.enter() {
        return REFUSED + error.raw_os_error().unwrap_or(Errno::ECANCELED as i32);
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let unreadable = |file: &CString| match open(file.as_c_str(), flags, Mode::empty()) {
        Ok(_) | Err(Errno::ENOENT) => false,
        Err(_) => true,
    };
    files.iter().position(unreadable).and_then(|at| i32::try_from(at + 1).ok()).unwrap_or(0)
}

/// The exit status of a child that does only this.
#[allow(unsafe_code)]
fn status_of(what: impl FnOnce() -> i32) -> Result<i32, Errno> {
    // SAFETY: the child makes plain system calls, which allocate nothing and take no lock, and ends.
    let child = match unsafe { fork() }? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let status = what();
            // SAFETY: it ends this process and touches nothing of it.
            unsafe { nix::libc::_exit(status) }
        }
    };
    loop {
        match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, status)) => return Ok(status),
            Ok(_) => return Err(Errno::ECANCELED),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn refused(error: &io::Error) -> Refusal {
    Refusal::Refused(Errno::from_raw(error.raw_os_error().unwrap_or(Errno::ECANCELED as i32)))
}

fn chown_all(dir: &Path, uid: u32, gid: u32) -> io::Result<()> {
    for entry in WalkDir::new(dir).follow_links(false) {
        lchown(entry?.path(), Some(uid), Some(gid))?;
    }
    Ok(())
}

/// A path as the kernel takes it. One with a zero in it names nothing.
fn c_text(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
