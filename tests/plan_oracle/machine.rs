//! A machine that is only data: what is on its disk, in terms of its own and not of the program.
//!
//! Kernels, modules and their versions are numbers. What a build was made from is written out in
//! full, so that the specification compares facts where the program compares digests.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The version of a compiler that is not installed.
pub const GONE: u8 = u8::MAX;

/// A kernel: its place in [`KERNELS`].
pub type K = u8;
/// A module: its place in [`NAMES`].
pub type Name = u8;

/// Kernel releases.
pub const KERNELS: [&str; 3] = ["6.1.0-9-amd64", "6.1.0-10-amd64", "6.12.1"];
/// Module names; the last one is never registered.
pub const NAMES: [&str; 5] = ["alpha", "beta", "gamma", "delta", "stranger"];
/// Module versions, older before newer. As text they would be in another order.
pub const VERSIONS: [&str; 3] = ["9", "10", "10.1"];

/// A module version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct M(pub Name, pub u8);

/// What a dkms.conf says.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conf {
    /// AUTOINSTALL is not set.
    pub manual: bool,
    /// BUILD_DEPENDS.
    pub needs: Vec<Name>,
    /// Kernels that it leaves out, a bit for each.
    pub refuses: u8,
    /// It cannot be read.
    pub broken: bool,
    /// BUILD_DEPENDS_REBUILD.
    pub rebuilds: bool,
    /// Anything else in it.
    pub text: u8,
}

impl Conf {
    pub fn refuses(&self, k: K) -> bool {
        self.refuses >> k & 1 == 1
    }
}

/// What a build is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub m: M,
    pub source: u8,
    pub conf: Conf,
    /// `/etc/dkms/NAME/`.
    pub patches: u8,
    pub headers: u8,
    pub compiler: u8,
    pub compression: u8,
    /// Who signed it.
    pub key: Option<u8>,
    /// Which builds of the modules that it depends on.
    pub deps: BTreeMap<Name, u64>,
}

impl Made {
    /// Everything but the key, and what the deps are: the identity of a build to those that depend on it.
    pub fn print(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        let own = (self.m, self.source, &self.conf, self.patches);
        (own, self.headers, self.compiler, self.compression, &self.deps).hash(&mut hash);
        hash.finish()
    }
}

/// What is written down of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// Headers that it was kept for.
    pub kept: Option<u8>,
    /// The installed files are listed.
    pub files: bool,
    /// Installing it was refused: the kernel's own module is newer.
    pub refused: bool,
    /// Made for a kernel without an image.
    pub without_image: bool,
}

/// A build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// What it was made from, or (of a foreign build) is taken to be made from.
    pub made: Made,
    /// None for a build of DKMS that nobody took over.
    pub written: Option<Written>,
    /// Its vermagic is of its kernel.
    pub fits_kernel: bool,
    /// Out of an archive.
    pub loaded: bool,
    /// The source changed after a foreign build.
    pub outdated: bool,
    /// It is written down what it uses of its kernel.
    pub uses: bool,
    /// Whose signature its modules bear, whatever is written down.
    pub bears: Option<u8>,
    /// Tells it from other builds of the same cell.
    pub token: u64,
}

/// What is installed for a module and a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    pub m: M,
    /// Which build of it.
    pub token: u64,
    /// Nobody touched the files since.
    pub whole: bool,
    /// When the files were put there.
    pub since: i64,
}

/// Why there is no build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub made: Made,
    /// The failure may have been the toolchain's.
    pub provisional: bool,
}

/// Since when an initramfs is too old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub since: i64,
    pub always: bool,
    pub modules: BTreeSet<Name>,
}

/// What is remembered of a kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    pub waiting: Option<String>,
    pub removed: bool,
    pub no_boot_entry: bool,
    pub depmod_due: bool,
    pub depmod_left: Option<i64>,
    pub initramfs: Option<Due>,
}

/// A kernel's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kernel {
    /// `/lib/modules/K` is there.
    pub dir: bool,
    pub image: bool,
    pub headers: Option<u8>,
    /// When depmod ran.
    pub indexed: Option<i64>,
    /// When its initramfs was made.
    pub initramfs: Option<i64>,
    pub note: Note,
}

/// A registered module version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    pub source: u8,
    pub conf: Conf,
    /// The source is there.
    pub present: bool,
}

/// Something on the disk that cannot be looked at: it is as it is, and nobody knows how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A kernel's directory.
    Kernel(K),
    /// What is remembered of a kernel.
    Note(K),
    /// A build, or what is written down of it.
    Build(M, K),
    /// Why there is no build.
    Verdict(M, K),
    /// A source.
    Source(M),
    /// What its boot loader loads.
    Boot(K),
}

/// The directory that holds the kernels is not what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// It is another one, in which only these kernels are, a bit for each.
    Other(u8),
    /// It cannot be listed; these kernels can be reached.
    Unreadable(u8),
}

/// What a kernel that is not seen proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tree {
    /// That it is gone.
    Sound,
    /// Nothing: there is no kernel at all. Whether the directory is the one of the last run.
    Empty(bool),
    /// Nothing: it is another directory.
    Other,
    /// Nothing: the directory cannot be looked at.
    Unreadable,
}

/// The machine.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    pub kernels: [Kernel; KERNELS.len()],
    pub modules: BTreeMap<M, Registered>,
    pub patches: BTreeMap<Name, u8>,
    pub builds: BTreeMap<(M, K), Build>,
    pub active: BTreeMap<(Name, K), Active>,
    pub verdicts: BTreeMap<(M, K), Verdict>,
    pub compiler: u8,
    /// The compiler's package is not there at the moment.
    pub compiler_gone: bool,
    /// The compiler does not run.
    pub toolchain_broken: bool,
    pub compression: u8,
    pub key: Option<u8>,
    pub no_autoinstall: bool,
    /// framework.conf keeps builds that fit headers which changed (`rebuild=abi`).
    pub abi: bool,
    /// It wants no older version where the newest does not compile (`older_versions=no`).
    pub only_newest: bool,
    /// Kernels with a newer module of that name of their own.
    pub kernel_has: BTreeSet<(Name, K)>,
    /// Modules that belong into every initramfs, or are in it.
    pub early: BTreeSet<Name>,
    /// Which builds fail: those whose print has this remainder.
    pub failing: Option<u64>,
    /// The program's fingerprint of each build, by ours.
    pub fingerprints: BTreeMap<u64, String>,
    pub unseen: BTreeSet<Thing>,
    pub away: Option<Away>,
    /// It was written down which directory held the kernels.
    pub tree_known: bool,
    pub clock: i64,
    pub tokens: u64,
}

/// All duties that a note can hold, from now on.
pub fn every_duty(now: i64) -> Note {
    let due = Due { since: now, always: true, modules: BTreeSet::new() };
    Note { depmod_due: true, initramfs: Some(due), ..Note::default() }
}

impl Machine {
    /// The machine as it looks to somebody who cannot look at everything.
    pub fn as_seen(&self) -> Cow<'_, Self> {
        if self.unseen.is_empty() && self.away.is_none() {
            return Cow::Borrowed(self);
        }
        let mut seen = self.clone();
        for thing in &self.unseen {
            match thing {
                Thing::Kernel(k) => seen.hide(*k),
                Thing::Note(k) => seen.kernels[usize::from(*k)].note = every_duty(self.clock),
                Thing::Build(m, k) => {
                    if let Some(build) = seen.builds.get_mut(&(*m, *k)) {
                        (build.written, build.loaded) = (None, false);
                    }
                }
                Thing::Boot(k) => seen.kernels[usize::from(*k)].initramfs = None,
                Thing::Verdict(m, k) => drop(seen.verdicts.remove(&(*m, *k))),
                Thing::Source(m) => {
                    if let Some(known) = seen.modules.get_mut(m) {
                        known.present = false;
                    }
                }
            }
        }
        if let Some(Away::Other(there) | Away::Unreadable(there)) = self.away {
            (0..KERNELS.len() as K).filter(|k| there >> k & 1 == 0).for_each(|k| seen.hide(k));
        }
        Cow::Owned(seen)
    }

    /// A kernel's files are not there to be seen.
    fn hide(&mut self, k: K) {
        let kernel = &mut self.kernels[usize::from(k)];
        let (note, initramfs) = (std::mem::take(&mut kernel.note), kernel.initramfs);
        *kernel = Kernel { note, initramfs, ..Kernel::default() };
        for (_, active) in self.active.iter_mut().filter(|((_, at), _)| *at == k) {
            active.whole = false;
        }
    }

    /// What a kernel that is not seen proves. Of a machine as it looks.
    pub fn tree(&self) -> Tree {
        match self.away {
            Some(Away::Other(_)) => Tree::Other,
            Some(Away::Unreadable(_)) => Tree::Unreadable,
            None if self.kernels.iter().any(|kernel| kernel.image) => Tree::Sound,
            None => Tree::Empty(self.tree_known),
        }
    }

    pub fn is_unseen(&self, thing: Thing) -> bool {
        self.unseen.contains(&thing)
    }

    /// What is installed, if the build is there that the link leads to.
    pub fn installed(&self, name: Name, k: K) -> Option<M> {
        self.active.get(&(name, k)).map(|a| a.m).filter(|m| self.builds.contains_key(&(*m, k)))
    }

    /// Versions of a module, newest first.
    pub fn versions(&self, name: Name) -> impl Iterator<Item = (M, &Registered)> {
        (0..VERSIONS.len() as u8)
            .rev()
            .filter_map(move |v| Some((M(name, v), self.modules.get(&M(name, v))?)))
    }

    /// The build of an installed module that somebody who depends on it finds written down.
    pub fn print_of(&self, name: Name, k: K) -> Option<u64> {
        let build = &self.builds[&(self.installed(name, k)?, k)];
        build.written.as_ref().map(|_| build.made.print())
    }

    /// What a build would be made from now, the modules it depends on being as they are.
    pub fn now(&self, m: M, k: K) -> Option<Made> {
        let known = self.modules.get(&m).filter(|r| r.present && !r.conf.broken)?;
        let needs = known.conf.needs.iter().filter(|d| **d != m.0);
        let deps = needs.filter_map(|d| Some((*d, self.print_of(*d, k)?))).collect();
        Some(Made {
            m,
            source: known.source,
            conf: known.conf.clone(),
            patches: self.patches.get(&m.0).copied().unwrap_or_default(),
            headers: self.kernels[usize::from(k)].headers?,
            compiler: if self.compiler_gone { GONE } else { self.compiler },
            compression: self.compression,
            key: self.key,
            deps,
        })
    }

    /// The installed files are those of the build, as install left them.
    pub fn intact(&self, m: M, k: K) -> bool {
        let Some(build) = self.builds.get(&(m, k)) else { return true };
        let listed = build.written.as_ref().is_none_or(|w| w.files);
        match self.active.get(&(m.0, k)).filter(|a| a.m == m) {
            Some(active) if listed => active.whole && active.token == build.token,
            _ => true,
        }
    }

    /// A module of the kernel's own is kept, and one of ours not installed in its place. Where ours is
    /// installed in whatever version, that is settled.
    pub fn keeps_its_own(&self, name: Name, k: K) -> bool {
        self.kernel_has.contains(&(name, k)) && !self.active.contains_key(&(name, k))
    }

    /// Whether a build from this fails, whatever the compiler.
    pub fn fails(&self, made: &Made) -> bool {
        self.failing.is_some_and(|rest| made.print() % 5 == rest)
    }

    /// A kernel of which anything is there or remembered.
    pub fn knows(&self, k: K) -> bool {
        let kernel = &self.kernels[usize::from(k)];
        kernel.dir
            || self.is_unseen(Thing::Kernel(k))
            || kernel.note != Note::default()
            || self.builds.keys().any(|(_, at)| *at == k)
            || self.verdicts.keys().any(|(m, at)| *at == k && self.modules.contains_key(m))
    }

    /// Nothing is left of a kernel but what we and depmod put there.
    pub fn residue(&self, k: K) -> bool {
        let kernel = &self.kernels[usize::from(k)];
        let ours = self.active.iter().any(|((_, at), a)| *at == k && a.whole);
        kernel.dir && !kernel.image && kernel.headers.is_none() && !ours
    }
}

/// Modules and kernels whose symbols have versions: builds can be compared with other headers.
pub fn has_symbol_versions(k: K) -> bool {
    k != 2
}

/// Modules of which it can be written down what they use: they have debugging information.
pub fn has_debug_information(m: M) -> bool {
    m.0 != 1
}

/// Headers come in pairs that export the same.
pub fn same_symbols(one: u8, other: u8) -> bool {
    one / 2 == other / 2
}
