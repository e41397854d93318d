//! What a confined program sees of the files: everything, read-only, but for what it may write to and what is nobody's
//! business.
//!
//! Directories of persons and of running services are covered with empty ones, and what the build needs of them (a
//! kernel's sources in somebody's home, a module tree in /tmp) is put back in its place. /tmp and /var/tmp are
//! directories of its own.
//!
//! The steps are worked out before the fork; after it, they are only carried out.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;
use nix::unistd::{chroot, fchdir, mkdir, symlinkat};

use super::sys;
use crate::process::seeing::View;

/// Covered with an empty directory.
const HIDDEN: [&str; 6] = ["/root", "/home", "/run", "/mnt", "/media", "/srv"];

/// Directories for temporary files. The last is memory, and so is what covers it.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
const SHARED_MEMORY: &str = "/dev/shm";

/// Links that may lead to links, as for the kernel (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// What `/` is to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::process) enum RootKind {
    /// A mount of its own.
    Mount,
    /// A directory somewhere in a mount, as after chroot(8): no mount can be changed there before there is one.
    Directory,
}

#[derive(Debug)]
enum Step {
    /// Takes hold of what is at a path, for a later [`Step::Put`].
    Keep(CString),
    /// An empty directory in memory over another.
    Cover {
        at: CString,
        options: &'static CStr,
    },
    Directory(CString),
    File(CString),
    Link {
        target: CString,
        at: CString,
    },
    /// Puts what was kept, by its number in the order of keeping.
    Put {
        kept: usize,
        at: CString,
    },
    /// The same over a file that may not be there.
    Replace {
        kept: usize,
        at: CString,
    },
    /// Everything is read-only from here on.
    ReadOnly,
    Writable(CString),
}

/// All steps.
#[derive(Debug)]
pub(super) struct Mounts {
    root: RootKind,
    steps: Vec<Step>,
    /// As long as it has to be, so that nothing is allocated later.
    kept: Vec<RawFd>,
}

/// What is to be seen of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight<'a> {
    /// What has to be there, whatever covers it.
    pub readable: &'a [PathBuf],
    /// Directories that may be written to.
    pub writable: &'a [PathBuf],
    /// Directories that lie over others, and may be written to.
    pub views: &'a [View],
    /// The directory that is /tmp.
    pub temporary: &'a Path,
    /// Files that are not to be read.
    pub secrets: &'a [PathBuf],
}

/// The directories of persons and services that are there, with links followed.
pub(super) fn hidden() -> Vec<PathBuf> {
    real(HIDDEN.iter().map(Path::new))
}

/// The directories for everybody's files.
pub(super) fn temporary() -> Vec<PathBuf> {
    real(TEMPORARY.iter().chain([&SHARED_MEMORY]).map(Path::new))
}

fn real<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<PathBuf> {
    let found = paths.filter_map(|path| path.canonicalize().ok());
    let mut found: Vec<PathBuf> = found.filter(|path| path.is_dir() && path.parent().is_some()).collect();
    found.sort();
    found.dedup();
    found
}

/// Whether a path is one of these, or below one.
pub(super) fn is_below(path: &Path, dirs: &[PathBuf]) -> bool {
    dirs.iter().any(|dir| path.starts_with(dir))
}

impl Mounts {
    pub(super) fn plan(root: RootKind, sight: Sight<'_>) -> Self {
        let mut plan = Plan { covered: hidden(), ..Plan::default() };
        let temporary = temporary();
        plan.covered.extend(temporary.iter().cloned());
        for path in sight.readable {
            if is_below(path, &plan.covered) || path.canonicalize().is_ok_and(|p| is_below(&p, &plan.covered))
            {
                plan.place(path, path, false);
            }
        }
        for path in sight.writable {
            plan.place(path, path, true);
        }
        for view in sight.views {
            plan.place(&view.dir, &view.at, true);
        }
        for secret in sight.secrets.iter().filter_map(|secret| secret.canonicalize().ok()) {
            plan.steps.push(Step::Keep(c"/dev/null".to_owned()));
            plan.last.push(Step::Replace { kept: plan.kept, at: text(&secret) });
            plan.kept += 1;
        }
        let mut covers = Vec::new();
        for dir in hidden() {
            covers.push(Step::Cover { at: text(&dir), options: c"mode=0755,size=1m" });
        }
        for dir in &temporary {
            if dir.starts_with("/dev") {
                covers.push(Step::Cover { at: text(dir), options: c"mode=1777,size=64m" });
            } else {
                // Each by itself: what was put somewhere is moved when it is put again.
                plan.steps.push(Step::Keep(text(sight.temporary)));
                covers.push(Step::Put { kept: plan.kept, at: text(dir) });
                plan.kept += 1;
            }
            plan.writable.push(text(dir));
        }
        let mut steps = plan.steps;
        steps.extend(covers);
        steps.extend(plan.made);
        plan.put.sort_by_key(|(at, _)| at.components().count());
        steps.extend(plan.put.into_iter().map(|(at, kept)| Step::Put { kept, at: text(&at) }));
        steps.extend(plan.last);
        steps.push(Step::ReadOnly);
        steps.extend(plan.writable.into_iter().map(Step::Writable));
        Self { root, steps, kept: Vec::with_capacity(plan.kept) }
    }

    /// Carries the steps out, in a mount namespace of its own. Between fork and exec: nothing here allocates.
    pub(super) fn carry_out(&mut self) -> nix::Result<()> {
        own_root(self.root)?;
        for step in &self.steps {
            match step {
                Step::Keep(path) => self.kept.push(sys::clone_mount(path)?),
                Step::Cover { at, options } => {
                    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
                    mount(Some(c"tmpfs"), at.as_c_str(), Some(c"tmpfs"), flags, Some(*options))?;
                }
                Step::Directory(at) => there(mkdir(at.as_c_str(), Mode::from_bits_truncate(0o755)))?,
                Step::File(at) => {
                    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
                    there(open(at.as_c_str(), flags, Mode::from_bits_truncate(0o644)).map(drop))?;
                }
                Step::Link { target, at } => {
                    there(symlinkat(target.as_c_str(), nix::fcntl::AT_FDCWD, at.as_c_str()))?;
                }
                Step::Put { kept, at } => sys::put_mount(self.taken(*kept)?, at)?,
                Step::Replace { kept, at } => match sys::put_mount(self.taken(*kept)?, at) {
                    Err(Errno::ENOENT) | Ok(()) => {}
                    Err(error) => return Err(error),
                },
                Step::ReadOnly => sys::read_only(c"/")?,
                Step::Writable(at) => sys::writable(at)?,
            }
        }
        Ok(())
    }

    fn taken(&self, kept: usize) -> nix::Result<RawFd> {
        self.kept.get(kept).copied().ok_or(Errno::EBADF)
    }
}

fn there(made: nix::Result<()>) -> nix::Result<()> {
    if made == Err(Errno::EEXIST) { Ok(()) } else { made }
}

/// Cuts this process's mounts off from the machine's: what is mounted there still shows here, and nothing the other
/// way. `/` is a mount afterwards.
///
/// After chroot(8), `/` is no mount, and what lies above it cannot be reached to be cut off. setns(2) to the namespace
/// that this process is in leads to its first directory, and from there back into the directory.
pub(in crate::process) fn own_root(kind: RootKind) -> nix::Result<()> {
    const NONE: Option<&CStr> = None;
    let cut_off = || mount(NONE, c"/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE);
    if kind == RootKind::Mount {
        return cut_off();
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open(c"/", flags, Mode::empty())?;
    setns(sys::own_handle()?, CloneFlags::CLONE_NEWNS)?;
    cut_off()?;
    fchdir(&root)?;
    chroot(c".")?;
    let tree = sys::clone_mount(c"/")?;
    sys::put_mount(tree, c"/")?;
    // SAFETY: the number is that of a file which was opened two lines ago.
    #[allow(unsafe_code)]
    let tree = unsafe { std::os::fd::BorrowedFd::borrow_raw(tree.as_raw_fd()) };
    fchdir(tree)?;
    chroot(c".")
}

/// Steps as they are found.
#[derive(Default)]
struct Plan {
    covered: Vec<PathBuf>,
    steps: Vec<Step>,
    kept: usize,
    /// What has to be made in a covering directory.
    made: Vec<Step>,
    put: Vec<(PathBuf, usize)>,
    last: Vec<Step>,
    writable: Vec<CString>,
}

impl Plan {
    /// What is at `from` shall be at `at`.
    fn place(&mut self, from: &Path, at: &Path, writable: bool) {
        let real = self.lead_to(at);
        self.steps.push(Step::Keep(text(from)));
        self.put.push((real.clone(), self.kept));
        self.kept += 1;
        if writable {
            self.writable.push(text(&real));
        }
    }

    /// Makes the way to a path as far as it is covered: its directories, and the links that it goes by. Returns the
    /// path without links.
    fn lead_to(&mut self, path: &Path) -> PathBuf {
        let mut rest = path.to_path_buf();
        for _ in 0..MOST_LINKS {
            match self.walk(&rest) {
                Ok(()) => break,
                Err(on) => rest = on,
            }
        }
        rest
    }

    /// One way without a link; else the path with the first link replaced by what it says.
    fn walk(&mut self, path: &Path) -> Result<(), PathBuf> {
        let mut now = PathBuf::from("/");
        let mut parts = path.components();
        while let Some(part) = parts.next() {
            match part {
                Component::Normal(name) => now.push(name),
                Component::ParentDir => {
                    now.pop();
                }
                _ => continue,
            }
            let covered = self.covered.iter().any(|dir| now.starts_with(dir) && now != *dir);
            if let Ok(target) = now.read_link() {
                if covered {
                    self.made.push(Step::Link { target: text(&target), at: text(&now) });
                }
                now.pop();
                return Err(now.join(target).join(parts.as_path()));
            }
            if covered && now.is_dir() {
                self.made.push(Step::Directory(text(&now)));
            } else if covered {
                self.made.push(Step::File(text(&now)));
            }
        }
        Ok(())
    }
}

/// A path as the kernel takes it. One with a zero in it names nothing: the empty text is refused where it is used.
fn text(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}
