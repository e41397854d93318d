//! What happens to a machine, beside us and through us.

use dkms_hook::model::record::InitramfsDue;
use dkms_hook::plan::{InitramfsDuty, Options};

use crate::apply::signer;
use crate::machine::{Active, Away, Build, Conf, K, M, Machine, Made, Registered, Thing, Written};
use crate::observe::{learn, release};
use crate::spec::Ask;

/// Something that happens. Where it cannot (what is to change is not there), nothing does: so any part
/// of a sequence, in any order, is a sequence, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A kernel's image comes or goes with its package.
    Image(K, bool),
    /// Somebody deletes `/lib/modules/K`.
    Wipe(K),
    /// The image package is removed (and its files stay), or comes back.
    Removed(K, bool),
    /// `kernel-install remove`, `add`.
    BootEntry(K, bool),
    Headers(K, Option<u8>),
    /// Somebody makes the initramfs, or deletes it.
    Initramfs(K, bool),
    /// A generator that a run of ours started dies. It leaves half a file, or none.
    HalfInitramfs(K, bool),
    /// Somebody runs depmod, or deletes the index.
    Index(K, bool),
    /// A module package is configured.
    Add(M, u8, Conf),
    Source(M, u8),
    Edit(M, Conf),
    /// The source goes, or comes back.
    Present(M, bool),
    Patches(M, u8),
    Compiler(u8),
    CompilerGone(bool),
    Toolchain(bool),
    Compression(u8),
    Key(Option<u8>),
    NoAutoinstall(bool),
    /// The kernel gets a newer module of that name of its own.
    KernelHas(M, K, bool),
    Failing(Option<u64>),
    /// A module is to be in every initramfs, or no longer.
    Early(M, bool),
    /// DKMS builds it, and installs it perhaps.
    Foreign {
        m: M,
        k: K,
        fits: bool,
        loaded: bool,
        install: bool,
    },
    /// A person has it built, and installed perhaps.
    Asked {
        m: M,
        k: K,
        install: bool,
    },
    /// A person has it uninstalled.
    Uninstalled(M, K),
    /// Somebody changes installed files.
    Tampered(M, K),
    /// What was written down of a build is lost.
    Forgotten(M, K),
    /// Somebody signs a build with the present key.
    Signed(M, K),
    /// Something cannot be looked at any more.
    Unseen(Thing),
    /// Everything can be looked at again.
    Seen,
    /// The directory that holds the kernels becomes another, or unreadable, or is what it was.
    Away(Option<Away>),
    /// It is written down which directory that is, or not.
    TreeKnown(bool),
    /// A hook is called.
    Run(Run),
}

/// A call of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub ask: Ask,
    /// A bit for each option.
    pub bits: u16,
    /// It is killed after so many steps.
    pub cut: Option<u8>,
}

impl Run {
    /// Whether framework.conf says `rebuild=abi` when this runs.
    pub fn abi(&self) -> bool {
        self.bits >> 6 & 1 == 1
    }

    /// Whether framework.conf says `older_versions=no` when this runs.
    pub fn only_newest(&self) -> bool {
        self.bits >> 10 & 1 == 1
    }

    /// With these options.
    pub fn options(&self) -> Options {
        let bit = |n: u8| self.bits >> n & 1 == 1;
        let first = || [release(0)].into();
        Options {
            depmod: !bit(0) || !bit(1),
            initramfs: if bit(1) { InitramfsDuty::Later } else { InitramfsDuty::Now },
            kernel_event: bit(2),
            retry_provisional: bit(3),
            kernel_left: matches!(self.ask, Ask::KernelLeft(_)) || bit(4) && bit(5),
            depmod_follows: if bit(5) && bit(7) { first() } else { Default::default() },
            heed_failures: bit(8),
            purge_missing: bit(9),
            initramfs_follows: if bit(4) && bit(7) { first() } else { Default::default() },
            ..Options::default()
        }
    }
}

impl Event {
    /// Lets it happen. Runs of ours are carried out elsewhere.
    pub fn happen(&self, machine: &mut Machine) {
        machine.clock += 1;
        let clock = machine.clock;
        match self {
            Self::Image(k, there) => {
                let kernel = &mut machine.kernels[usize::from(*k)];
                kernel.image = *there;
                if *there {
                    kernel.dir = true;
                    kernel.indexed.get_or_insert(clock);
                    kernel.initramfs.get_or_insert(clock);
                } else {
                    kernel.initramfs = None;
                    empty(machine, *k);
                }
            }
            Self::Wipe(k) => {
                let kernel = &mut machine.kernels[usize::from(*k)];
                (kernel.dir, kernel.image, kernel.headers, kernel.indexed) = (false, false, None, None);
                for (_, active) in machine.active.iter_mut().filter(|((_, at), _)| at == k) {
                    active.whole = false;
                }
            }
            Self::Removed(k, gone) if machine.knows(*k) => {
                machine.kernels[usize::from(*k)].note.removed = *gone;
            }
            Self::BootEntry(k, there) if machine.knows(*k) => {
                machine.kernels[usize::from(*k)].note.no_boot_entry = !there;
            }
            Self::Headers(k, revision) => {
                let kernel = &mut machine.kernels[usize::from(*k)];
                kernel.headers = *revision;
                kernel.dir |= revision.is_some();
                empty(machine, *k);
            }
            Self::Initramfs(k, there) => {
                let kernel = &mut machine.kernels[usize::from(*k)];
                kernel.initramfs = (*there && kernel.image).then_some(clock);
            }
            Self::HalfInitramfs(k, there) => {
                let kernel = &mut machine.kernels[usize::from(*k)];
                if let Some(due) = kernel.note.initramfs.as_mut().filter(|_| kernel.image) {
                    (due.since, due.always) = (InitramfsDue::UNFINISHED, true);
                    kernel.initramfs = there.then_some(clock);
                }
            }
            Self::Index(k, there) if machine.kernels[usize::from(*k)].dir => {
                machine.kernels[usize::from(*k)].indexed = there.then_some(clock);
                empty(machine, *k);
            }
            Self::Add(m, source, conf) => {
                let known = Registered { source: *source, conf: conf.clone(), present: true };
                machine.modules.entry(*m).or_insert(known);
            }
            Self::Source(m, source) => change(machine, *m, |known| known.source = *source),
            Self::Edit(m, conf) => change(machine, *m, |known| known.conf = conf.clone()),
            Self::Present(m, there) => {
                if let Some(known) = machine.modules.get_mut(m) {
                    known.present = *there;
                }
            }
            Self::Patches(m, revision) => drop(machine.patches.insert(m.0, *revision)),
            Self::Compiler(version) => machine.compiler = *version,
            Self::CompilerGone(gone) => machine.compiler_gone = *gone,
            Self::Toolchain(broken) => machine.toolchain_broken = *broken,
            Self::Compression(how) => machine.compression = *how,
            Self::Key(key) => machine.key = *key,
            Self::NoAutoinstall(there) => machine.no_autoinstall = *there,
            Self::KernelHas(m, k, newer) => {
                if *newer {
                    machine.kernel_has.insert((m.0, *k));
                } else {
                    machine.kernel_has.remove(&(m.0, *k));
                }
            }
            Self::Failing(which) => machine.failing = *which,
            Self::Early(m, true) => drop(machine.early.insert(m.0)),
            Self::Early(m, false) => drop(machine.early.remove(&m.0)),
            Self::Foreign { m, k, fits, loaded, install } => {
                build(machine, *m, *k, *install && *fits, |build| {
                    (build.fits_kernel, build.loaded, build.written) = (*fits, *loaded, None);
                });
            }
            Self::Asked { m, k, install } => build(machine, *m, *k, *install, |_| {}),
            Self::Uninstalled(m, k) if machine.installed(m.0, *k) == Some(*m) => {
                machine.active.remove(&(m.0, *k));
                if let Some(written) = machine.builds.get_mut(&(*m, *k)).and_then(|b| b.written.as_mut()) {
                    written.files = false;
                }
                empty(machine, *k);
            }
            Self::Tampered(m, k) => {
                if let Some(active) = machine.active.get_mut(&(m.0, *k)) {
                    active.whole = false;
                }
            }
            Self::Forgotten(m, k) => {
                machine.unseen.remove(&Thing::Build(*m, *k));
                if let Some(build) = machine.builds.get_mut(&(*m, *k)) {
                    build.written = None;
                }
            }
            Self::Signed(m, k) => {
                machine.tokens += 1;
                let (key, token) = (signer(machine.key), machine.tokens);
                if let Some(build) = machine.builds.get_mut(&(*m, *k)).filter(|_| key.is_some()) {
                    (build.bears, build.token) = (key, token);
                }
            }
            Self::Unseen(thing) => drop(machine.unseen.insert(*thing)),
            Self::Seen => machine.unseen.clear(),
            Self::Away(away) => machine.away = *away,
            Self::TreeKnown(known) => machine.tree_known = *known,
            Self::Removed(..)
            | Self::BootEntry(..)
            | Self::Index(..)
            | Self::Uninstalled(..)
            | Self::Run(_) => {}
        }
    }
}

/// A directory that holds nothing goes with the last package that had something in it.
fn empty(machine: &mut Machine, k: K) {
    let kernel = &machine.kernels[usize::from(k)];
    if machine.residue(k) && kernel.indexed.is_none() {
        machine.kernels[usize::from(k)].dir = false;
    }
}

fn change(machine: &mut Machine, m: M, edit: impl FnOnce(&mut Registered)) {
    if let Some(known) = machine.modules.get_mut(&m) {
        edit(known);
        for (_, build) in machine.builds.iter_mut().filter(|((of, _), _)| *of == m) {
            build.outdated = true;
        }
    }
}

/// A build that somebody makes from what is there.
fn build(machine: &mut Machine, m: M, k: K, install: bool, edit: impl FnOnce(&mut Build)) {
    let Some(made) = machine.now(m, k).filter(|made| !made.conf.refuses(k)) else { return };
    if machine.toolchain_broken || machine.compiler_gone || machine.fails(&made) {
        return;
    }
    learn(machine, &made);
    let made = Made { key: signer(made.key), ..made };
    machine.tokens += 1;
    let token = machine.tokens;
    let kernel = &mut machine.kernels[usize::from(k)];
    let old = machine.builds.get(&(m, k)).and_then(|b| b.written.as_ref());
    let written = Written {
        without_image: !kernel.image,
        files: install || old.is_some_and(|w| w.files),
        ..Written::default()
    };
    let mut build = Build {
        bears: made.key,
        made,
        written: Some(written),
        fits_kernel: true,
        loaded: false,
        outdated: false,
        uses: false,
        token,
    };
    edit(&mut build);
    // What was installed of another build is another's.
    machine.builds.insert((m, k), build);
    machine.verdicts.remove(&(m, k));
    machine.unseen.remove(&Thing::Build(m, k));
    machine.unseen.remove(&Thing::Verdict(m, k));
    if install && !machine.kernel_has.contains(&(m.0, k)) {
        machine.active.insert((m.0, k), Active { m, token, whole: true, since: machine.clock });
    } else if let Some(written) = machine.builds.get_mut(&(m, k)).and_then(|b| b.written.as_mut()) {
        written.files &= machine.active.get(&(m.0, k)).is_some_and(|a| a.m == m);
    }
}
