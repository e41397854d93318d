//! What we write down beside DKMS's own state: records of builds, verdicts on cells that have none,
//! notes on kernels. Plain data; `tree::state` reads and writes it, in types of its own.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::error::Kind;
use crate::model::fit::Compared;
use crate::model::inputs::{Headers, Inputs};

/// A build: what it was made from and what of it was installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it came from.
    pub provenance: Provenance,
    /// What it was made from. Shared with what is observed while nothing changes.
    pub inputs: Arc<Inputs>,
    /// Headers that came after it and that it was found to fit.
    pub kept: Option<Kept>,
    /// Digest over size, times and mode of every input file: while it is the same, the inputs
    /// need not be read again. Empty when it must be computed anew.
    pub stamp: String,
    /// What dkms.conf said beside the inputs.
    pub facts: Facts,
    /// The files that install put below `/lib/modules`: uninstall removes these and no others.
    pub installed: Vec<InstalledFile>,
    /// Why its installation was refused (the kernel has a newer module of that name); tried again
    /// when an input changes or a person asks.
    pub refused: Option<String>,
    /// Made on request for a kernel that had no image; not purged for the lack of one.
    pub without_image: bool,
    /// The options of a command line that it was made with: it is judged by them, and made again
    /// with them, until a person asks for it with others.
    pub overrides: Overrides,
    /// What it cost to build it here, where that is known: the next build of this module will cost about as much.
    pub effort: Option<Effort>,
}

/// What a build cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// How long its commands took (patches, PRE_BUILD, make, POST_BUILD), to the millisecond.
    pub took: Duration,
    /// How many files they compiled and linked; 0 where their output does not tell.
    pub files: usize,
}

/// Where a build came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Provenance {
    /// This program built it on this machine.
    #[default]
    BuiltHere,
    /// DKMS built it.
    Dkms,
    /// `dkms ldtarball`, or a package's archive.
    Archive,
    /// A package brought it, built.
    Package,
    /// A cache of builds had it.
    Cache,
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BuiltHere => "built here",
            Self::Dkms => "built by DKMS",
            Self::Archive => "loaded from an archive",
            Self::Package => "installed by a package",
            Self::Cache => "taken from a cache",
        })
    }
}

/// A build was kept although the headers changed: everything that it imports is what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Those headers. The inputs still say what the build was made from.
    pub headers: Headers,
    /// What was compared.
    pub compared: Compared,
}

impl Record {
    /// The inputs as they were when the build was last looked at: what it was made from, or, where it was
    /// kept since, the same with the headers that it fits.
    pub fn judged(&self) -> Arc<Inputs> {
        match &self.kept {
            None => Arc::clone(&self.inputs),
            Some(kept) => Arc::new(Inputs { headers: kept.headers.clone(), ..(*self.inputs).clone() }),
        }
    }
}

/// What a person says instead of the files when asking for a build: it changes the result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `-c`: this dkms.conf instead of the source's.
    pub conf: Option<PathBuf>,
    /// `--config`: this kernel configuration.
    pub kernel_config: Option<PathBuf>,
    /// `--kernelsourcedir`: these headers.
    pub kernel_source_dir: Option<PathBuf>,
    /// `build_environment` in the environment of the caller: the file sourced before the build.
    pub build_environment: Option<PathBuf>,
    /// `--directive`.
    pub directives: Vec<(String, String)>,
}

impl Overrides {
    /// True when nothing in it changes the result of a build.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

impl InstalledFile {
    /// The name of the module, without `.ko`.
    pub fn module(&self) -> &str {
        self.built.split_once(".ko").map_or(&self.built, |(name, _)| name)
    }

    /// A file that is about to be installed: never taken for one that is there.
    pub fn planned(path: PathBuf, built: &str) -> Self {
        Self { path, built: built.to_owned(), size: 0, mtime: 0, built_mtime: 0, original: None }
    }

    /// True when the run that was to install it ended before it wrote down that it had.
    pub fn is_planned(&self) -> bool {
        self.size == 0 && self.mtime == 0
    }
}

/// What the planner needs of a conf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// AUTOINSTALL.
    pub autoinstall: bool,
    /// BUILD_DEPENDS.
    pub depends: Vec<String>,
    /// BUILD_DEPENDS_REBUILD: it is built again as soon as one of those is.
    pub depends_rebuild: bool,
    /// Why the whole package is left out for this kernel.
    pub exclusion: Option<String>,
    /// DEST_MODULE_NAME of the modules that are built for this kernel; empty where an earlier version of
    /// this program wrote it down.
    pub modules: Vec<String>,
    /// bash evaluated it. It may have asked the machine (another file, a tool, `dkms status`), so the answer may
    /// change although none of its files does.
    pub by_shell: bool,
    /// Directives (as `MAKE[0]`) to which bash gave another value each time (`$(date)`): they are no input, or
    /// the module would be built again for ever.
    pub unsteady: Vec<String>,
}

/// One installed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledFile {
    /// Where, as seen from inside the root.
    pub path: PathBuf,
    /// File name in `B/module`.
    pub built: String,
    /// Size in bytes.
    pub size: u64,
    /// Modification time, nanoseconds since the epoch.
    pub mtime: i64,
    /// Modification time of the built file when it was installed, nanoseconds since the epoch.
    pub built_mtime: i64,
    /// The module of the same name that was set aside for it, or that stays because depmod takes this one: its place,
    /// inside the root. It has the former place where there are both.
    pub original: Option<PathBuf>,
}

/// Why a cell has no build, judged on these inputs: it is excluded, its build failed, or nobody
/// wanted one (then it only says what was judged, so that it need not be read again).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What was judged.
    pub inputs: Inputs,
    /// As in [`Record::stamp`].
    pub stamp: String,
    /// What dkms.conf said.
    pub facts: Facts,
    /// A failed build, if one was tried.
    pub failure: Option<FailureNote>,
}

/// A failed build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureNote {
    /// What sort of failure.
    pub kind: Kind,
    /// One line: what failed.
    pub what: String,
    /// The first lines of compiler output that say why.
    pub first_errors: Vec<String>,
    /// Where the log is, inside the root.
    pub log: Option<PathBuf>,
    /// What to do next.
    pub hint: Option<String>,
    /// Seconds since the epoch.
    pub when: u64,
    /// The toolchain could not run (half-unpacked, missing): tried again at the next opportunity.
    pub provisional: bool,
    /// The source is at fault: it does not compile for this kernel. Neither the machine, a limit nor somebody who ended
    /// the build had a part in it. False where an earlier version of this program wrote it down.
    pub by_source: bool,
    /// The person has been told in a summary.
    pub reported: bool,
}

/// What we know of a kernel beyond its files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelNote {
    /// Modules wait for its headers; holds what to install.
    pub waiting: Option<String>,
    /// Its image package was removed although its modules are still on disk.
    pub removed: bool,
    /// Its boot entry was removed (`kernel-install remove`) although its files are still on disk:
    /// nothing is installed for it, what is built stays.
    pub boot_entry_removed: bool,
    /// Files below `/lib/modules/K` changed and depmod has not run since.
    pub depmod_due: bool,
    /// Who called that run runs depmod right after it: an index newer than the one of then is up to
    /// date. That one's modification time in nanoseconds since the epoch, 0 where there was none.
    pub depmod_left_at: Option<i64>,
    /// Modules changed and the initramfs may still hold the old ones.
    pub initramfs_due: Option<InitramfsDue>,
}

impl KernelNote {
    /// True when there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Since when an initramfs is out of date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitramfsDue {
    /// Modification times of the initramfs before this are too old; nanoseconds since the epoch. See
    /// [`Self::UNFINISHED`].
    pub since: i64,
    /// A kernel or its headers changed: the initramfs may lack modules it should have, so it is
    /// made again whatever it holds. Otherwise only if it holds a module of the names below.
    pub always: bool,
    /// Names of the modules that changed.
    pub modules: Vec<String>,
}

impl InitramfsDue {
    /// [`Self::since`] while a generator works, and after one that failed or was killed: it may have left half a
    /// file, or none, so no file is new enough until a generator has ended well.
    pub const UNFINISHED: i64 = i64::MAX;

    /// True when a generator began and did not end well.
    pub fn is_unfinished(&self) -> bool {
        self.since == Self::UNFINISHED
    }
}
