//! A machine as observed: kernels, headers, registered modules, and the cells where they meet.
//!
//! [`System`] is plain data. `crate::system` reads it from disk; the planner sees nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::blind::Blind;
use crate::model::directive::DirectiveChange;
use crate::model::error::Error;
use crate::model::fit::{Fit, Rebuild};
use crate::model::guard::Guard;
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId, ModuleName};
use crate::model::indexed::Indexed;
use crate::model::inputs::Inputs;
use crate::model::record::{Facts, KernelNote, Provenance, Record, Verdict};
use crate::model::rival::{Labels, Rival};

/// Everything a plan is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct System {
    /// The kernels in scope.
    pub kernels: BTreeMap<KernelRelease, Kernel>,
    /// Every registered module version.
    pub modules: BTreeMap<ModuleId, Source>,
    /// Cells in scope: every registered module version with every kernel in scope, and whatever
    /// else has a build on disk.
    pub cells: BTreeMap<Cell, CellView>,
    /// How built modules are signed: looked at only for a request that is about it.
    pub signatures: BTreeMap<Cell, Signature>,
    /// What installations meet. Looked at only when a plan asks for it: [`Question::Install`].
    pub installs: BTreeMap<Cell, Installing>,
    /// Builds that are installed and whose module another package, this one, has set aside: modules of one name.
    pub held: BTreeMap<Cell, Cell>,
    /// What the indexes of kernels say of builds that are installed. None where nothing changed since the
    /// last look, and that one found our files.
    pub indexed: BTreeMap<Cell, Indexed>,
    /// What kernels load at boot. Looked at only when a plan asks for it: [`Question::Initramfs`].
    pub contents: BTreeMap<KernelRelease, Contents>,
    /// What installed builds of DKMS left. Looked at only when a plan asks for it: [`Question::Adopt`].
    pub adoptions: BTreeMap<Cell, Adopting>,
    /// The administrator wants no older version of a module where the newest does not compile.
    pub only_newest: bool,
    /// The distribution links modules of one kernel for others, by a program that is here.
    pub shares: bool,
    /// The tree that modules are installed to, when depmod cannot be led to it.
    pub without_index: Option<PathBuf>,
    /// `/etc/dkms/no-autoinstall` exists.
    pub autoinstall_disabled: bool,
    /// The distribution installs every registered module by itself, AUTOINSTALL or not.
    pub every_module: bool,
    /// The administrator's word on builds of which only the kernel's headers changed.
    pub rebuild: Rebuild,
    /// The running kernel, where modules are to be loaded as soon as they are installed for it.
    pub load_into: Option<KernelRelease>,
    /// The modules that no kernel should be started without.
    pub essential: Vec<ModuleName>,
    /// Which kernels have them. `None` where nothing is essential and nothing was done about it before.
    pub guard: Option<Guard>,
    /// The architecture of new cells.
    pub arch: Option<Arch>,
    /// What could be seen of the directory that holds the kernels.
    pub install_tree: InstallTree,
    /// What could not be looked at in the module tree: of one module where it is named, of any where it
    /// is not.
    pub blind: Vec<(Option<ModuleName>, Blind)>,
}

/// What could be seen of the directory that holds the kernels (`/lib/modules`): whether a kernel that is
/// not in it can be taken to be gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum InstallTree {
    /// It holds a kernel and, as far as anybody can tell, is the one of the last run: a kernel that is not
    /// in it is gone.
    #[default]
    Sound,
    /// It holds no kernel at all.
    NoKernel {
        /// The directory, inside the root.
        dir: PathBuf,
        /// It is known to be the one of the last run, which had kernels.
        same: bool,
    },
    /// It is not the one of the last run: at another path, or on another file system.
    Other {
        /// The one of the last run.
        was: TreePlace,
        /// The one of this run.
        is: TreePlace,
    },
    /// It could not be looked at.
    Blind(Blind),
}

/// Which directory tree it is, as far as that stays the same from boot to boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TreePlace {
    /// Its path, inside the root.
    pub path: PathBuf,
    /// Where the file system that it is on is mounted, inside the root.
    pub mounted: PathBuf,
    /// What file system that is.
    pub kind: String,
    /// Which one, where that kind keeps an identity of its own on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl TreePlace {
    /// True when this and another are certainly two trees. An identity that only one of them has says
    /// nothing.
    pub fn is_another(&self, other: &Self) -> bool {
        let place = |tree: &Self| (tree.path.clone(), tree.mounted.clone(), tree.kind.clone());
        place(self) != place(other) || matches!((&self.id, &other.id), (Some(a), Some(b)) if a != b)
    }
}

/// A kernel release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kernel {
    /// Its modules are on disk: `/lib/modules/K/kernel` is a directory. A headers package alone
    /// makes `/lib/modules/K` too, so that directory says nothing.
    pub image: bool,
    /// `/lib/modules/K/build/include` resolves.
    pub headers: bool,
    /// Modules of other kernels are linked for it: it has a directory `weak-updates`.
    pub linked: bool,
    /// depmod has run for it: `modules.dep` is there.
    pub indexed: bool,
    /// Modification time of `modules.dep`, nanoseconds since the epoch. Looked at only where
    /// somebody else was to make it.
    pub indexed_at: Option<i64>,
    /// What package brings the headers, for messages.
    pub headers_package: String,
    /// Its symbols have no versions (CONFIG_MODVERSIONS). Looked at only where it is asked whether a build fits
    /// its headers, and nobody can say.
    pub unversioned: bool,
    /// What we remember. Where that could not be read: every duty that it can hold.
    pub note: KernelNote,
    /// Why what we remember could not be read.
    pub unread_note: Option<Blind>,
    /// Something of its directory could not be looked at: whether it has an image and headers is not known.
    pub blind: Option<Blind>,
    /// There is no image, and all that `/lib/modules/K` holds was left there by us or by depmod.
    pub residue: bool,
    /// Modification time of its initramfs (of the oldest where there are several, see [`boot`]),
    /// nanoseconds since the epoch.
    pub initramfs: Option<i64>,
    /// None was found, and this could not be looked at: there may be one, however old.
    pub unseen_initramfs: Option<Blind>,
}

impl Kernel {
    /// The time since which modules may have changed that its initramfs does not hold: its modification time, or
    /// the beginning of time where it could not be looked at; `None` when it has none.
    pub fn initramfs_at_the_earliest(&self) -> Option<i64> {
        self.initramfs.or(self.unseen_initramfs.as_ref().map(|_| i64::MIN))
    }
}

/// The source of a registered module version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The `source` link leads to a directory.
    Added,
    /// Broken, in the words of `dkms status`: what is missing, inside the root. That is the directory that
    /// the link leads to, or the link itself.
    Dangling(PathBuf),
    /// It, or the module version's own directory, could not be looked at.
    Blind(Blind),
    /// There is neither a `source` link nor a source that it could lead to: what DKMS leaves after loading
    /// an archive of binaries, and what a removal by hand leaves. DKMS does not list it; builds may be there.
    BinariesOnly,
}

/// One cell as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellView {
    /// `B/module` exists.
    pub built: bool,
    /// The active link leads here.
    pub installed: bool,
    /// Every file that install recorded is still there, unchanged, and so is the build that it
    /// came from. Without a record: what is installed is what was built.
    pub intact: bool,
    /// What the build was made from, if we made or adopted it.
    pub record: Option<Record>,
    /// Why there is no build.
    pub verdict: Option<Verdict>,
    /// Why the verdict that is on file could not be read.
    pub unread_verdict: Option<Blind>,
    /// Something of the build could not be looked at: what is said of it here may be wrong.
    pub blind: Option<Blind>,
    /// Where the build came from; `None` where there is none, or its record cannot be read. Without a record,
    /// only somebody else can have made it.
    pub provenance: Option<Provenance>,
    /// AUTOINSTALL of its source. Looked at only where a build out of an archive was not taken over and there
    /// are no headers; elsewhere the record has it, or the cell is judged.
    pub autoinstall: bool,
    /// What it would be made from now.
    pub now: Now,
    /// Every built module was made for this kernel (vermagic). Looked at only where there is a
    /// build without a record.
    pub vermagic_matches: bool,
    /// How the build stands to the headers that are there. Looked at only where it counts: a build without
    /// a record, made for this kernel; and one of ours, installed or asked for, when of all that it was
    /// compiled from only the headers changed.
    pub fit: Option<Fit>,
    /// Which directive changed, where the evaluated dkms.conf is the first input of a build of ours that did.
    pub directive: Option<DirectiveChange>,
    /// The cache of builds has what would be built now. Looked at where something would be.
    pub cached: bool,
}

impl CellView {
    /// The build came out of an archive and was not taken over yet: perhaps its kernel is still to come.
    pub fn is_loaded(&self) -> bool {
        self.record.is_none() && self.provenance == Some(Provenance::Archive)
    }
}

/// How the modules of a build are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// All of them with the present key.
    Ours {
        /// SHA-256 of its certificate file, in hex.
        certificate: String,
    },
    /// Not all of them.
    Other,
    /// Nothing can be signed for this kernel: why.
    Impossible(String),
}

/// What a cell would be built from now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Now {
    /// As judged.
    Judged {
        /// What dkms.conf says.
        facts: Facts,
        /// The inputs: those of the record itself while nothing changes.
        inputs: Arc<Inputs>,
        /// See [`Record::stamp`].
        stamp: String,
    },
    /// The kernel's headers are not there: nothing can be judged.
    NoHeaders,
    /// The source or its dkms.conf cannot be read.
    Unreadable(Error),
}

/// Something that a plan depends on and that is dear to look at: it is looked at when a plan that was made
/// without it asks for it. Then the plan is made anew.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// What an installation of this cell meets: [`System::installs`].
    Install(Cell),
    /// Which modules are, or should be, in the initramfs of this kernel: [`System::contents`].
    Initramfs(KernelRelease),
    /// What is installed of a build without a record: [`System::adoptions`].
    Adopt(Cell),
}

/// The questions that a plan leaves open.
pub type Questions = BTreeSet<Question>;

/// What the installation of a cell meets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installing {
    /// A vendor's list says: as with `--force`.
    pub force: bool,
    /// A vendor's list says: as with `--force-version-override`.
    pub any_version: bool,
    /// Modules of the same names that the kernel has already, for each name the one that would be replaced
    /// first. None where a version of the module is installed: then that is settled.
    pub rivals: Vec<Rival>,
    /// Files of the same names that it sets aside.
    pub aside: Vec<Aside>,
    /// The modules of the build that is there, without `.ko`, and what they say about themselves; `None` for
    /// one that cannot be read.
    pub built: BTreeMap<String, Option<Labels>>,
    /// Its dkms.conf allows other kernels to use its modules.
    pub shared: bool,
    /// Its dkms.conf has a POST_INSTALL.
    pub post_install: bool,
}

/// A module file that an installation sets aside, for depmod takes one file of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// The file, inside the root.
    pub file: PathBuf,
    /// Only if the installation is forced.
    pub by_force: bool,
}

/// What is installed of a build without a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adopting {
    /// The names of the modules, without `.ko`.
    pub modules: Vec<String>,
    /// The time of the newest of them, nanoseconds since the epoch. DKMS makes no initramfs after an
    /// installation: an older one may lack the module.
    pub newest: Option<i64>,
}

/// Modules of an initramfs. In names, `-` stands for `_`, too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Those that it holds; `None` when nobody can tell.
    pub held: Option<BTreeSet<String>>,
    /// Words of the settings and hooks of its generators: a module that is one of them belongs into it.
    pub wanted: BTreeSet<String>,
}

impl Contents {
    /// A name as it stands in these sets. The kernel takes `-` and `_` in a module's name for the same.
    pub fn normal(name: &str) -> String {
        name.replace('-', "_")
    }

    /// True when the initramfs changes with a module of this name, or when nobody can tell.
    pub fn concerns(&self, name: &str) -> bool {
        let name = Self::normal(name);
        self.held.as_ref().is_none_or(|held| held.contains(&name)) || self.wanted.contains(&name)
    }
}

impl System {
    /// The cell, if it is in scope.
    pub fn cell(&self, cell: &Cell) -> Option<&CellView> {
        self.cells.get(cell)
    }
}
