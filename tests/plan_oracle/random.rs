//! Sequences of events at random.

use dkms_hook::model::request::Goal;

use crate::apply::UNUSABLE;
use crate::events::{Event, Run};
use crate::machine::{Away, Conf, K, KERNELS, M, Thing, VERSIONS};
use crate::spec::Ask;

/// The same, with the names of modules in the other order.
fn turned(event: Event) -> Event {
    let name = |name: u8| if name < 4 { 3 - name } else { name };
    let conf = |conf: Conf| Conf { needs: conf.needs.iter().map(|d| name(*d)).collect(), ..conf };
    match event {
        Event::Add(m, source, of) => Event::Add(M(name(m.0), m.1), source, conf(of)),
        Event::Edit(m, of) => Event::Edit(M(name(m.0), m.1), conf(of)),
        other => other,
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
        // Names in the order in which modules need each other, or the other way round.
        let turn = self.rarely(2);
        let turned = |event: Event| if turn { turned(event) } else { event };
        let mut out: Vec<Event> = self.machine().into_iter().map(turned).collect();
        let added = |event: &Event| if let Event::Add(m, ..) = event { Some(*m) } else { None };
        if self.rarely(3) {
            out.push(Event::Failing(Some(self.below(5) as u64)));
        }
        if self.rarely(2) {
            out.push(Event::Key(Some(1)));
        }
        for _ in 0..self.below(4) {
            let m = self.m();
            out.push(turned(Event::Add(m, 0, self.conf(m))));
        }
        if self.rarely(2) {
            out.push(Event::Run(self.run()));
        }
        for _ in 0..1 + self.below(9) {
            if !self.rarely(3) {
                out.push(turned(self.event()));
            }
            let known: Vec<M> = out.iter().filter_map(added).collect();
            match self.below(4) {
                0 => out.push(Event::Run(self.run())),
                1 | 2 => out.push(Event::Run(self.person(&known))),
                _ => {}
            }
            if self.rarely(8) {
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
        Run { ask, bits: self.next() as u16 & 0x1ff | self.word(), cut }
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
        Run { ask, bits: u16::from(self.next() as u8) | self.word(), cut }
    }

    /// A person says that what is missing is gone for good, or wants no older versions, now and then.
    fn word(&mut self) -> u16 {
        u16::from(self.rarely(8)) << 9 | u16::from(self.rarely(6)) << 10
    }

    fn thing(&mut self) -> Thing {
        let (m, k) = (self.m(), self.k());
        match self.below(9) {
            0 | 1 => Thing::Kernel(k),
            8 => Thing::Boot(k),
            2 => Thing::Note(k),
            3..=5 => Thing::Build(m, k),
            6 => Thing::Verdict(m, k),
            _ => Thing::Source(m),
        }
    }

    /// Anything that happens to a machine.
    pub fn event(&mut self) -> Event {
        let (m, k, yes) = (self.m(), self.k(), self.rarely(2));
        match self.below(38) {
            37 => Event::HalfInitramfs(k, yes),
            36 => Event::Early(m, yes),
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
            30 | 31 => Event::Unseen(self.thing()),
            32 => Event::Seen,
            33 => Event::Away(Some(Away::Other(self.small(8)))),
            34 => Event::Away(if yes { Some(Away::Unreadable(self.small(8))) } else { None }),
            35 => Event::TreeKnown(yes),
            _ => Event::Forgotten(m, k),
        }
    }
}
