//! What a run has to do, said as a difference: what every kernel should have, against what it has.
//!
//! Written from the documentation, not from the planner: nothing is walked in an order, no step is
//! numbered. What modules have of each other is the least solution of what each says of itself.

use std::collections::{BTreeMap, BTreeSet};

use dkms_hook::abi::Rebuild;
use dkms_hook::plan::{InitramfsDuty, Options};

use crate::machine::{
    Build, GONE, K, KERNELS, M, Machine, Made, NAMES, Name, Note, Registered, Verdict, has_symbol_versions,
    same_symbols,
};
use crate::observe::{headers_package, release};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// `dkms-hook`: every kernel, or one.
    Reconcile(Option<K>, bool),
    /// `dkms autoinstall`.
    Autoinstall(K),
    /// `dkms kernel_prerm`.
    KernelLeft(K),
    /// `dkms remove --all`.
    Remove(M),
}

/// What may happen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    Build(M, K),
    Adopt(M, K),
    Keep(M, K),
    Resign(M, K, bool),
    Install(M, K),
    Uninstall(M, K),
    Unbuild(M, K),
    Forget(M),
    Wait(K),
    Depmod(K),
    /// Whether whatever it holds, and for which modules.
    Initramfs(K, bool, BTreeSet<Name>),
    Sweep(K),
}

/// A duty that is fulfilled or void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Duty {
    Headers,
    Depmod,
    Initramfs,
}

/// All that a plan must say, without any order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    pub acts: BTreeSet<Act>,
    pub settled: BTreeSet<(K, Duty)>,
    /// What will be installed where modules are brought in line and nothing fails.
    pub wanted: BTreeMap<(Name, K), Made>,
}

/// What others have of a module that they depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Serving {
    /// It does not support this kernel: nobody need have it.
    Excused,
    /// It cannot be had.
    Missing,
    /// It is there, or will be.
    There {
        /// The build as it will be written down, if it will be.
        print: Option<u64>,
        /// This run makes it.
        anew: bool,
    },
}

/// What a module wants of a kernel by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// Whatever is installed stays.
    Stays(M),
    /// This version, built from what there is now.
    This(M),
    /// None of its versions supports the kernel.
    Refused,
    /// Nothing.
    Nothing,
}

/// How a build stands against what it would be made from now; what it depends on is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    Absent,
    /// By somebody else: for another kernel.
    Wrong,
    /// By somebody else: does not fit.
    Unfit,
    /// By somebody else: can be taken over.
    Foreign,
    Stale,
    Sound,
}

/// True when two differ in what is compiled, the modules that they depend on left aside.
fn differ(now: &Made, then: &Made, headers_count: bool) -> bool {
    (now.source, &now.conf, now.patches, now.compression)
        != (then.source, &then.conf, then.patches, then.compression)
        || now.compiler != GONE && now.compiler != then.compiler
        || headers_count && now.headers != then.headers
}

/// Of what is compiled, nothing but the headers differs.
pub fn only_headers_differ(now: &Made, then: &Made) -> bool {
    now.headers != then.headers && !differ(now, then, false)
}

fn key_changed(now: &Made, then: &Made) -> bool {
    matches!((now.key, then.key), (Some(now), Some(then)) if now != then)
}

struct Spec<'a> {
    machine: &'a Machine,
    options: &'a Options,
    k: K,
    retry: bool,
    /// A person asks for something to go.
    asked: bool,
}

/// What a run has to do.
pub fn expected(machine: &Machine, ask: Ask, options: &Options) -> Expected {
    let mut out = Expected::default();
    let mut scope: Vec<K> = match ask {
        Ask::Reconcile(None, _) => (0..KERNELS.len() as K).collect(),
        Ask::Reconcile(Some(k), _) | Ask::Autoinstall(k) | Ask::KernelLeft(k) => vec![k],
        Ask::Remove(m) => (0..KERNELS.len() as K).filter(|k| machine.builds.contains_key(&(m, *k))).collect(),
    };
    scope.retain(|k| machine.knows(*k));
    let retry = matches!(ask, Ask::Reconcile(_, true) | Ask::Autoinstall(_));
    for k in scope {
        let spec = Spec { machine, options, k, retry, asked: matches!(ask, Ask::Remove(_)) };
        match ask {
            Ask::Reconcile(..) => spec.reconcile(&mut out),
            Ask::Autoinstall(_) if machine.no_autoinstall => {}
            Ask::Autoinstall(_) => match spec.kernel().headers {
                Some(_) => spec.serve(&mut out),
                None => drop(spec.without_headers(&mut out)),
            },
            Ask::KernelLeft(_) => spec.purge(&mut out),
            Ask::Remove(m) => spec.drop_build(m, &mut out),
        }
        spec.endings(&mut out);
    }
    if let Ask::Remove(m) = ask
        && machine.modules.contains_key(&m)
    {
        out.acts.insert(Act::Forget(m));
    }
    out
}

impl Spec<'_> {
    fn kernel(&self) -> &crate::machine::Kernel {
        &self.machine.kernels[usize::from(self.k)]
    }

    fn build(&self, m: M) -> Option<&Build> {
        self.machine.builds.get(&(m, self.k))
    }

    fn verdict(&self, m: M) -> Option<&Verdict> {
        self.machine.verdicts.get(&(m, self.k))
    }

    fn installed(&self, m: M) -> bool {
        self.machine.installed(m.0, self.k) == Some(m)
    }

    fn names(&self) -> BTreeSet<Name> {
        self.machine.modules.keys().map(|m| m.0).collect()
    }

    fn reconcile(&self, out: &mut Expected) {
        let kernel = self.kernel();
        let asked_for = |build: &Build| {
            build.loaded && build.written.is_none() && !self.options.kernel_left
                || kernel.headers.is_some()
                    && build.written.as_ref().map_or(!self.options.kernel_left, |w| w.without_image)
        };
        let builds = || self.machine.builds.iter().filter(|((_, k), _)| *k == self.k);
        if kernel.image && kernel.note.removed {
            self.purge(out);
        } else if !kernel.image {
            if !builds().any(|(_, build)| asked_for(build)) {
                self.purge(out);
            }
        } else if kernel.note.no_boot_entry {
            for ((m, _), _) in builds().filter(|((m, _), _)| self.installed(*m)) {
                out.acts.insert(Act::Uninstall(*m, self.k));
            }
            self.nothing_waits(out);
        } else if self.machine.no_autoinstall {
            self.nothing_waits(out);
        } else if kernel.headers.is_none() {
            if self.without_headers(out) {
                if kernel.note.waiting.as_ref() != Some(&headers_package(self.k)) {
                    out.acts.insert(Act::Wait(self.k));
                }
            } else {
                self.nothing_waits(out);
            }
        } else {
            self.serve(out);
        }
    }

    fn nothing_waits(&self, out: &mut Expected) {
        if self.kernel().note.waiting.is_some() {
            out.settled.insert((self.k, Duty::Headers));
        }
    }

    fn drop_build(&self, m: M, out: &mut Expected) {
        if self.build(m).is_some() {
            out.acts.insert(Act::Unbuild(m, self.k));
            if self.installed(m) {
                out.acts.insert(Act::Uninstall(m, self.k));
            }
        }
    }

    /// A kernel that is gone has nothing of ours.
    fn purge(&self, out: &mut Expected) {
        let all: Vec<M> = self.machine.modules.keys().copied().collect();
        let mut anything = false;
        for m in all {
            self.drop_build(m, out);
            anything |= self.build(m).is_some() || self.verdict(m).is_some();
        }
        let kernel = self.kernel();
        let tombstone = Note { removed: kernel.note.removed && kernel.image, ..Note::default() };
        if anything || kernel.note != tombstone || self.machine.residue(self.k) {
            out.acts.insert(Act::Sweep(self.k));
        }
    }

    /// Without headers, what is built already is installed. True when something needs them.
    fn without_headers(&self, out: &mut Expected) -> bool {
        let mut waits = false;
        for name in self.names() {
            if self.machine.installed(name, self.k).is_some() {
                continue;
            }
            let versions: Vec<(M, &Registered)> =
                self.machine.versions(name).filter(|(_, known)| known.present).collect();
            let good = |build: &Build| build.written.is_some() || build.fits_kernel;
            let newest =
                versions.iter().find_map(|(m, known)| Some((*m, known, self.build(*m).filter(|b| good(b))?)));
            let by_itself = |known: &Registered, build: &Build| match &build.written {
                Some(written) => {
                    let conf = &build.made.conf;
                    !conf.manual && !conf.refuses(self.k) && (self.retry || !written.refused)
                }
                None => build.loaded && !known.conf.manual && !known.conf.broken,
            };
            match newest {
                Some((m, known, build)) if by_itself(known, build) => {
                    out.acts.insert(Act::Install(m, self.k));
                }
                _ => waits |= !versions.is_empty(),
            }
        }
        waits
    }

    fn own(&self, m: M) -> Own {
        let Some(build) = self.build(m) else { return Own::Absent };
        let Some(now) = self.machine.now(m, self.k) else { return Own::Sound };
        match &build.written {
            None if !build.fits_kernel => Own::Wrong,
            None if build.outdated && !build.loaded => Own::Unfit,
            None if has_symbol_versions(self.k) && !same_symbols(now.headers, build.made.headers) => {
                Own::Unfit
            }
            None => Own::Foreign,
            Some(_) if differ(&now, &build.made, !self.fits_headers(m)) => Own::Stale,
            Some(_) => Own::Sound,
        }
    }

    /// Headers that changed do not count: the administrator wants it so, and the symbols are the same.
    fn fits_headers(&self, m: M) -> bool {
        let Some((build, now)) = self.build(m).zip(self.machine.now(m, self.k)) else { return false };
        let Some(written) = &build.written else { return false };
        let looked_at = self.installed(m) && only_headers_differ(&now, &build.made);
        let fits = written.kept == Some(now.headers)
            || looked_at && has_symbol_versions(self.k) && same_symbols(now.headers, build.made.headers);
        self.options.rebuild == Rebuild::Abi && fits
    }

    /// Installed as it should be, whatever becomes of what it depends on.
    fn held(&self, m: M) -> bool {
        let whole = self.build(m).is_some_and(|b| b.written.is_none()) || self.machine.intact(m, self.k);
        self.installed(m) && whole && matches!(self.own(m), Own::Sound | Own::Foreign)
    }

    fn choice(&self, name: Name) -> Choice {
        let readable = |known: &Registered| known.present && !known.conf.broken;
        let usable = |known: &Registered| readable(known) && !known.conf.refuses(self.k);
        let by_hand = |m: M| {
            self.machine.versions(name).any(|(other, known)| other >= m && usable(known) && known.conf.manual)
        };
        let decision = |(m, known): (M, &Registered)| {
            let refused = readable(known) && known.conf.refuses(self.k);
            // Somebody got it built all the same, from what is there now.
            let defiant = refused && !matches!(self.own(m), Own::Stale | Own::Wrong);
            if self.installed(m) && (!readable(known) || defiant) {
                Some(Choice::Stays(m))
            } else if known.present && known.conf.broken {
                // An older version is no cure for a broken conf.
                Some(Choice::Nothing)
            } else if usable(known) && (self.installed(m) || !by_hand(m)) {
                Some(Choice::This(m))
            } else {
                None
            }
        };
        let refused = self.refused_before(name, None);
        let none = if refused.is_empty() { Choice::Nothing } else { Choice::Refused };
        self.machine.versions(name).find_map(decision).unwrap_or(none)
    }

    /// Versions newer than one (all when `None`) that say they do not support this kernel.
    fn refused_before(&self, name: Name, chosen: Option<M>) -> Vec<M> {
        self.machine
            .versions(name)
            .filter(|(m, _)| chosen.is_none_or(|chosen| *m > chosen))
            .filter(|(_, known)| known.present && !known.conf.broken && known.conf.refuses(self.k))
            .map(|(m, _)| m)
            .collect()
    }

    fn needs(&self, name: Name) -> Vec<Name> {
        match self.choice(name) {
            Choice::This(m) => self.machine.modules[&m].conf.needs.clone(),
            _ => Vec::new(),
        }
    }

    /// Everything that a module depends on, at any remove.
    fn reach(&self, name: Name) -> BTreeSet<Name> {
        let mut found = BTreeSet::new();
        for _ in NAMES {
            let step: Vec<Name> = found.iter().chain([&name]).flat_map(|n| self.needs(*n)).collect();
            found.extend(step);
        }
        found
    }

    /// What there should be, of modules that are chosen: in groups that need each other, those first
    /// that others stand on.
    fn serve(&self, out: &mut Expected) {
        let mut names: Vec<(BTreeSet<Name>, Name)> =
            self.names().into_iter().map(|name| (self.reach(name), name)).collect();
        names.sort_by_key(|(reach, name)| (reach.len(), reach.clone(), *name));
        let mut state: BTreeMap<Name, Serving> = BTreeMap::new();
        for (reach, name) in &names {
            if state.contains_key(name) {
                continue;
            }
            // Of those that need each other, nobody is there at first; what can be had without the
            // others is, and then what can be had with those.
            let round = |n: &Name| reach.contains(name) && reach.contains(n) && self.reach(*n).contains(name);
            let group: Vec<Name> = self.names().into_iter().filter(|n| n == name || round(n)).collect();
            for n in &group {
                state.insert(*n, Serving::Missing);
            }
            for _ in 0..=group.len() {
                let next: Vec<(Name, Serving)> =
                    group.iter().map(|n| (*n, self.one(*n, &state, &mut Expected::default()))).collect();
                state.extend(next);
            }
        }
        for name in self.names() {
            self.one(name, &state, out);
        }
        self.nothing_waits(out);
    }

    /// One module, given what all others will be.
    fn one(&self, name: Name, state: &BTreeMap<Name, Serving>, out: &mut Expected) -> Serving {
        let choice = self.choice(name);
        let as_it_is = |m: M| {
            let build = self.build(m).filter(|b| b.written.is_some());
            Serving::There { print: build.map(|b| b.made.print()), anew: false }
        };
        let newer = match choice {
            Choice::Stays(m) | Choice::This(m) => Some(m),
            Choice::Nothing => {
                self.machine.versions(name).find(|(_, r)| r.present && r.conf.broken).map(|(m, _)| m)
            }
            Choice::Refused => None,
        };
        for m in self.refused_before(name, newer) {
            if self.own(m) == Own::Stale {
                self.drop_build(m, out);
            }
        }
        match choice {
            Choice::Nothing => Serving::Missing,
            Choice::Refused => Serving::Excused,
            Choice::Stays(m) => as_it_is(m),
            Choice::This(m) => self.bring(m, state, out, as_it_is(m)),
        }
    }

    fn bring(&self, m: M, state: &BTreeMap<Name, Serving>, out: &mut Expected, as_it_is: Serving) -> Serving {
        let Some(mut wanted) = self.machine.now(m, self.k) else { return Serving::Missing };
        let observed = wanted.clone();
        // Which builds of what it depends on it will find.
        let mut counts: BTreeMap<Name, (Option<u64>, bool)> = BTreeMap::new();
        let mut missing = false;
        for d in &self.machine.modules[&m].conf.needs {
            let round = *d == m.0 || self.reach(*d).contains(&m.0);
            if round && matches!(self.choice(*d), Choice::This(held) if self.held(held)) {
                // It cannot come before and after: it is taken as it is.
                continue;
            }
            match state.get(d).unwrap_or(&Serving::Missing) {
                Serving::Excused => drop(wanted.deps.remove(d)),
                Serving::Missing => missing = true,
                Serving::There { print, anew } => {
                    match print {
                        Some(print) => wanted.deps.insert(*d, *print),
                        None => wanted.deps.remove(d),
                    };
                    if !round {
                        counts.insert(*d, (*print, *anew));
                    }
                }
            }
        }
        if missing {
            return if self.held(m) { as_it_is } else { Serving::Missing };
        }
        let others =
            |then: &Made| counts.iter().any(|(d, (p, _))| p.is_some() && then.deps.get(d) != p.as_ref());
        let build = self.build(m);
        let written = build.and_then(|b| b.written.as_ref());
        let other = match (build, written) {
            (Some(build), Some(_)) => others(&build.made),
            _ => counts.values().any(|(_, anew)| *anew),
        };
        let failed = self.verdict(m).filter(|v| {
            !differ(&observed, &v.made, true) && !key_changed(&observed, &v.made) && !others(&v.made)
        });
        let own = self.own(m);
        let again = other
            || matches!(own, Own::Absent | Own::Wrong | Own::Unfit | Own::Stale)
            || own == Own::Foreign && failed.is_some();
        if again {
            if failed.is_some_and(|v| !(self.retry || v.provisional && self.options.retry_provisional)) {
                return Serving::Missing;
            }
            out.acts.extend([Act::Build(m, self.k), Act::Install(m, self.k)]);
            // Which of those that need each other is first is nobody's business.
            if !self.reach(m.0).contains(&m.0) {
                out.wanted.insert((m.0, self.k), wanted.clone());
            }
            return Serving::There { print: Some(wanted.print()), anew: true };
        }
        let mut install = !self.installed(m) || written.is_some() && !self.machine.intact(m, self.k);
        let Some((build, written)) = build.zip(written) else {
            out.acts.insert(Act::Adopt(m, self.k));
            if install {
                out.acts.insert(Act::Install(m, self.k));
            }
            out.wanted.insert((m.0, self.k), wanted.clone());
            return Serving::There { print: Some(wanted.print()), anew: false };
        };
        let keep = self.fits_headers(m) && written.kept.unwrap_or(build.made.headers) != observed.headers;
        if keep {
            out.acts.insert(Act::Keep(m, self.k));
        }
        if key_changed(&observed, &build.made) {
            let same = self.verdict(m).is_some_and(|v| {
                !differ(&observed, &v.made, true)
                    && !key_changed(&observed, &v.made)
                    && observed.deps.iter().all(|(d, p)| v.made.deps.get(d) == Some(p))
            });
            // That a build for these headers failed is forgotten with it.
            if !same || self.retry || keep {
                let follows = self.installed(m) && self.machine.intact(m, self.k) && written.files;
                out.acts.insert(Act::Resign(m, self.k, follows));
                install |= self.installed(m) && !follows;
            }
        }
        out.wanted.insert((m.0, self.k), build.made.clone());
        if install {
            if !self.retry && written.refused {
                out.wanted.remove(&(m.0, self.k));
                return Serving::Missing;
            }
            out.acts.insert(Act::Install(m, self.k));
        }
        Serving::There { print: Some(build.made.print()), anew: false }
    }

    /// depmod and initramfs, once for all that changes.
    fn endings(&self, out: &mut Expected) {
        let k = self.k;
        let kernel = self.kernel();
        let swept = out.acts.contains(&Act::Sweep(k));
        let indexed: BTreeSet<M> = out
            .acts
            .iter()
            .filter_map(|act| match act {
                Act::Install(m, at) | Act::Uninstall(m, at) if *at == k => Some(*m),
                _ => None,
            })
            .collect();
        let mut names: BTreeSet<Name> = indexed.iter().map(|m| m.0).collect();
        names.extend(out.acts.iter().filter_map(|act| match act {
            Act::Resign(m, at, true) if *at == k => Some(m.0),
            _ => None,
        }));
        let comes = out.acts.iter().any(|act| matches!(act, Act::Install(_, at) if *at == k));
        let ours: BTreeSet<M> = self.machine.modules.keys().copied().filter(|m| self.installed(*m)).collect();
        let stays = ours.iter().any(|m| !out.acts.contains(&Act::Uninstall(*m, k)));
        let deserted = kernel.note.no_boot_entry && kernel.indexed.is_none() && !comes && !stays;
        let left = kernel.note.depmod_left.zip(kernel.indexed).is_some_and(|(left, made)| made > left);
        let settled = if deserted {
            kernel.note.depmod_due || !indexed.is_empty()
        } else {
            kernel.note.depmod_due && indexed.is_empty() && left
        };
        if settled {
            out.settled.insert((k, Duty::Depmod));
        }
        let follows = self.options.depmod_follows.contains(&release(k));
        let stale_index =
            !indexed.is_empty() || kernel.note.depmod_due || kernel.indexed.is_none() && !ours.is_empty();
        // Without kernel/ there is nothing to index, but for what a person takes out.
        let indexes = kernel.image || self.asked && kernel.indexed.is_some() && !indexed.is_empty();
        if self.options.depmod && indexes && !follows && !swept && !settled && stale_index {
            out.acts.insert(Act::Depmod(k));
        }

        let later = self.options.initramfs == InitramfsDuty::Later
            || self.options.initramfs_follows.contains(&release(k));
        if later || follows || swept {
            return;
        }
        let due = kernel.note.initramfs.as_ref();
        let old = due.filter(|due| kernel.initramfs.is_some_and(|made| made <= due.since));
        let boots = kernel.image && kernel.initramfs.is_some() && !kernel.note.no_boot_entry;
        let changes = !names.is_empty();
        if boots && (old.is_some() || changes) {
            let always = self.options.kernel_event && changes || old.is_some_and(|due| due.always);
            names.extend(old.iter().flat_map(|due| &due.modules));
            out.acts.insert(Act::Initramfs(k, always, names));
        } else if changes || due.is_some() {
            out.settled.insert((k, Duty::Initramfs));
        }
    }
}
