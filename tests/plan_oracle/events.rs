//! What happens to a machine, beside us and through us.

use dkms_hook::abi::Rebuild;
use dkms_hook::plan::{InitramfsDuty, Options};
use dkms_hook::request::Goal;

use crate::apply::{UNUSABLE, signer};
use crate::machine::{Active, Build, Conf, K, KERNELS, M, Machine, Made, Registered, VERSIONS, Written};
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
            rebuild: if bit(6) { Rebuild::Abi } else { Rebuild::Inputs },
            depmod_follows: if bit(5) && bit(7) { first() } else { Default::default() },
            heed_failures: bit(8),
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
        token,
    };
    edit(&mut build);
    // What was installed of another build is another's.
    machine.builds.insert((m, k), build);
    machine.verdicts.remove(&(m, k));
    if install && !machine.kernel_has.contains(&(m.0, k)) {
        machine.active.insert((m.0, k), Active { m, token, whole: true });
    } else if let Some(written) = machine.builds.get_mut(&(m, k)).and_then(|b| b.written.as_mut()) {
        written.files &= machine.active.get(&(m.0, k)).is_some_and(|a| a.m == m);
    }
}

/// Random numbers: SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// True once in `n` times.
    pub fn rarely(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn small(&mut self, n: usize) -> u8 {
        self.below(n) as u8
    }

    fn k(&mut self) -> K {
        self.small(KERNELS.len())
    }

    fn m(&mut self) -> M {
        M(self.small(4), self.small(VERSIONS.len()))
    }

    /// Mostly a conf like most are.
    pub fn conf(&mut self, m: M) -> Conf {
        let mut needs: Vec<u8> = Vec::new();
        while needs.len() < 3 && self.rarely(2) {
            // Mostly those before it, so that cycles are rare.
            let on = if self.rarely(6) { self.small(5) } else { self.small(usize::from(m.0) + 1) };
            if (on != m.0 || self.rarely(8)) && !needs.contains(&on) {
                needs.push(on);
            }
        }
        Conf {
            manual: self.rarely(8),
            needs,
            refuses: if self.rarely(5) { self.small(8) } else { 0 },
            broken: self.rarely(16),
            rebuilds: false,
            text: self.small(2),
        }
    }

    /// A sequence that begins with a machine as most are.
    pub fn sequence(&mut self) -> Vec<Event> {
        let mut out = self.machine();
        if self.rarely(3) {
            out.push(Event::Failing(Some(self.below(5) as u64)));
        }
        if self.rarely(2) {
            out.push(Event::Key(Some(1)));
        }
        for _ in 0..1 + self.below(9) {
            let event = self.event();
            // An event is told twice.
            if self.rarely(12) {
                out.push(event.clone());
            }
            out.push(event);
            if self.rarely(2) {
                out.push(Event::Run(self.run()));
            }
        }
        out.push(Event::Run(self.run()));
        out
    }

    /// A sequence in which persons ask for things by name, and modules want to follow others.
    pub fn asking(&mut self) -> Vec<Event> {
        let mut out = self.machine();
        let added = |event: &Event| if let Event::Add(m, ..) = event { Some(*m) } else { None };
        if self.rarely(3) {
            out.push(Event::Failing(Some(self.below(5) as u64)));
        }
        if self.rarely(2) {
            out.push(Event::Key(Some(1)));
        }
        for _ in 0..self.below(4) {
            let m = self.m();
            out.push(Event::Add(m, 0, self.conf(m)));
        }
        if self.rarely(2) {
            out.push(Event::Run(self.run()));
        }
        for _ in 0..1 + self.below(9) {
            if !self.rarely(3) {
                out.push(self.event());
            }
            let known: Vec<M> = out.iter().filter_map(added).collect();
            match self.below(4) {
                0 => out.push(Event::Run(self.run())),
                1 | 2 => out.push(Event::Run(self.person(&known))),
                _ => {}
            }
            if self.rarely(16) {
                out.push(Event::Signed(known[self.below(known.len())], self.k()));
            }
        }
        let known: Vec<M> = out.iter().filter_map(added).collect();
        out.push(Event::Run(self.person(&known)));
        for event in &mut out {
            if let Event::Add(_, _, conf) | Event::Edit(_, conf) = event {
                conf.rebuilds = !conf.needs.is_empty() && !self.rarely(3);
            }
        }
        out
    }

    /// A call that names what it is about: mostly one of those that are known.
    fn person(&mut self, known: &[M]) -> Run {
        let m = if self.rarely(8) { self.m() } else { known[self.below(known.len())] };
        let k = self.k();
        let to = match self.below(10) {
            0 => Goal::Added,
            1 | 2 => Goal::Built,
            3 => Goal::Uninstalled,
            4 => Goal::Unbuilt,
            _ => Goal::Installed,
        };
        let ask = if self.rarely(6) {
            let version = (!self.rarely(3)).then_some(m.1);
            let module = self.rarely(2).then_some((m.0, version));
            Ask::Resign { k: (!self.rarely(3)).then_some(k), module }
        } else {
            Ask::Bring { m, k, to, force: self.rarely(4) }
        };
        let cut = self.rarely(4).then(|| self.small(8));
        Run { ask, bits: self.next() as u16 & 0x1ff, cut }
    }

    /// Kernels and modules as most machines have them.
    pub fn machine(&mut self) -> Vec<Event> {
        let mut out = Vec::new();
        for k in 0..KERNELS.len() as K {
            if !self.rarely(3) {
                out.push(Event::Image(k, true));
                if !self.rarely(5) {
                    out.push(Event::Headers(k, Some(0)));
                }
            }
        }
        for _ in 0..1 + self.below(4) {
            let m = self.m();
            out.push(Event::Add(m, 0, self.conf(m)));
        }
        out
    }

    /// A hook's call, killed perhaps.
    pub fn hook(&mut self) -> Run {
        let ask = Ask::Reconcile(self.rarely(3).then(|| self.k()), false);
        Run { ask, bits: 0, cut: self.rarely(3).then(|| self.small(6)) }
    }

    /// A call, mostly of the usual kind.
    pub fn run(&mut self) -> Run {
        let ask = match self.below(12) {
            0 => Ask::Autoinstall(self.k()),
            1 => Ask::KernelLeft(self.k()),
            2 => Ask::Remove(self.m()),
            3 => Ask::Reconcile(None, true),
            4 | 5 => Ask::Reconcile(Some(self.k()), self.rarely(4)),
            _ => Ask::Reconcile(None, false),
        };
        let cut = self.rarely(4).then(|| self.small(8));
        Run { ask, bits: u16::from(self.next() as u8), cut }
    }

    /// Anything that happens to a machine.
    pub fn event(&mut self) -> Event {
        let (m, k, yes) = (self.m(), self.k(), self.rarely(2));
        match self.below(30) {
            0 | 1 => Event::Image(k, yes),
            2 => Event::Wipe(k),
            3 => Event::Removed(k, yes),
            4 => Event::BootEntry(k, yes),
            5..=7 => Event::Headers(k, (!self.rarely(4)).then(|| self.small(4))),
            8 => Event::Initramfs(k, yes),
            9 => Event::Index(k, yes),
            10..=12 => Event::Add(m, self.small(2), self.conf(m)),
            13 => Event::Source(m, self.small(3)),
            14 | 15 => Event::Edit(m, self.conf(m)),
            16 => Event::Present(m, yes),
            17 => Event::Patches(m, self.small(2)),
            18 => Event::Compiler(self.small(2)),
            19 => match self.below(3) {
                0 => Event::CompilerGone(yes),
                1 => Event::Toolchain(yes),
                _ => Event::Compression(self.small(2)),
            },
            20 => Event::Key((!self.rarely(3)).then(|| self.small(usize::from(UNUSABLE) + 1))),
            21 => Event::NoAutoinstall(yes && self.rarely(2)),
            22 => Event::KernelHas(m, k, yes),
            23 => Event::Failing((!self.rarely(3)).then(|| self.below(5) as u64)),
            24 | 25 => Event::Foreign { m, k, fits: !self.rarely(4), loaded: self.rarely(4), install: yes },
            26 => Event::Asked { m, k, install: yes },
            27 => Event::Uninstalled(m, k),
            28 => Event::Tampered(m, k),
            _ => Event::Forgotten(m, k),
        }
    }
}
