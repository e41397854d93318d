//! What carrying out a plan does to a machine. A run can end after any step.

use std::collections::BTreeSet;

use dkms_hook::plan::{self, Action, Condition, Options, Plan, Step};

use crate::machine::{
    Active, Build, Conf, Due, K, Kernel, M, Machine, Made, Name, Note, Registered, Thing, Verdict, Written,
    every_duty, has_debug_information,
};
use crate::observe::{headers_package, k_of, learn, m_of, name_of};

/// How a run went.
#[derive(Debug, Default)]
pub struct Went {
    /// Steps that failed, or were left out for one that did.
    pub failed: BTreeSet<usize>,
}

/// Carries out the first `cut` steps of a plan, all when `None`.
pub fn carry_out(machine: &mut Machine, plan: &Plan, options: &Options, cut: Option<usize>) -> Went {
    let mut went = Went::default();
    for (index, step) in plan.steps.iter().enumerate().take(cut.unwrap_or(usize::MAX)) {
        let possible = step.needs.iter().all(|need| !went.failed.contains(need));
        if possible && !(Doing { machine, options }).holds(step) {
            continue;
        }
        if !possible || !(Doing { machine, options }).step(&step.action) {
            went.failed.insert(index);
        }
    }
    if cut.is_some_and(|cut| cut < plan.steps.len()) {
        return went;
    }
    for (cell, _) in &plan.refused {
        let at = (m_of(&cell.module), k_of(&cell.kernel));
        if let Some(written) = machine.builds.get_mut(&at).and_then(|b| b.written.as_mut()) {
            written.refused = true;
        }
    }
    for (release, duty) in &plan.settled {
        let note = note(machine, k_of(release));
        match duty {
            plan::Duty::Headers => note.waiting = None,
            plan::Duty::Depmod => (note.depmod_due, note.depmod_left) = (false, None),
            plan::Duty::Initramfs => note.initramfs = None,
        }
    }
    for release in &options.depmod_follows {
        let clock = machine.clock;
        let note = note(machine, k_of(release));
        note.depmod_left = note.depmod_due.then_some(clock);
    }
    went
}

/// What is remembered of a kernel, to be changed. One that cannot be read is replaced by every duty that it
/// can have held.
fn note(machine: &mut Machine, k: K) -> &mut Note {
    let note = &mut machine.kernels[usize::from(k)].note;
    if machine.unseen.remove(&Thing::Note(k)) {
        *note = every_duty(machine.clock);
    }
    note
}

struct Doing<'a> {
    machine: &'a mut Machine,
    options: &'a Options,
}

impl Doing<'_> {
    fn kernel(&mut self, k: K) -> &mut Kernel {
        &mut self.machine.kernels[usize::from(k)]
    }

    fn lags(&mut self, name: Name, k: K) {
        self.machine.clock += 1;
        let (since, always) = (self.machine.clock, self.options.kernel_event);
        let empty = Due { since, always, modules: BTreeSet::new() };
        let due = note(self.machine, k).initramfs.get_or_insert(empty);
        due.since = due.since.max(since);
        due.always |= always;
        due.modules.insert(name);
    }

    fn files_change(&mut self, name: Name, k: K) {
        let note = note(self.machine, k);
        (note.depmod_due, note.depmod_left) = (true, None);
        self.lags(name, k);
    }

    /// Whether what a step depends on is so.
    fn holds(&mut self, step: &Step) -> bool {
        let k = step.action.kernel().map(k_of).unwrap_or_default();
        match (&step.when, &step.action) {
            (Condition::Always, _) => true,
            (Condition::NotOlder { .. }, Action::Install { .. }) => true,
            (Condition::Changed { .. }, Action::Depmod { .. }) => self.kernel(k).note.depmod_due,
            (Condition::Changed { modules }, Action::Initramfs { .. }) => {
                let note = &mut self.kernel(k).note;
                let named = |due: &Due| due.modules.iter().any(|n| modules.contains(&name_of(*n)));
                let holds = note.initramfs.as_ref().is_some_and(|due| modules.is_empty() || named(due));
                if !holds {
                    note.initramfs = None;
                }
                holds
            }
            (other, action) => panic!("{action} depends on {other:?}"),
        }
    }

    /// True when it worked.
    fn step(&mut self, action: &Action) -> bool {
        let cell = action.cell().map(|cell| (m_of(&cell.module), k_of(&cell.kernel)));
        let k = action.kernel().map(k_of).unwrap_or_default();
        match (action, cell) {
            (Action::Build { .. }, Some((m, k))) => self.build(m, k),
            (Action::Adopt { .. }, Some(at)) => self.adopt(at),
            (Action::Keep { .. }, Some(at)) => {
                let now = self.machine.as_seen().now(at.0, at.1).expect("it is judged");
                let written = self.machine.builds.get_mut(&at).and_then(|b| b.written.as_mut());
                written.expect("a build of ours").kept = Some(now.headers);
                self.no_verdict(at);
                true
            }
            (Action::Resign { reinstall, .. }, Some((m, k))) => self.resign(m, k, *reinstall),
            (Action::Install { force, .. }, Some((m, k))) => self.install(m, k, *force),
            (Action::Uninstall { .. }, Some((m, k))) => {
                self.files_change(m.0, k);
                let gone = self.machine.active.remove(&(m.0, k));
                assert_eq!(gone.map(|a| a.m), Some(m), "what is not installed cannot be uninstalled");
                if let Some(written) = self.machine.builds.get_mut(&(m, k)).and_then(|b| b.written.as_mut()) {
                    written.files = false;
                }
                true
            }
            (Action::Unbuild { .. }, Some((m, k))) => {
                assert_ne!(self.machine.installed(m.0, k), Some(m), "what is installed needs its build");
                assert!(self.machine.builds.remove(&(m, k)).is_some(), "there is a build");
                self.machine.unseen.remove(&Thing::Build(m, k));
                self.no_verdict((m, k));
                true
            }
            (Action::Add { module }, _) => {
                let known = Registered { source: 0, conf: Conf::default(), present: true };
                let before = self.machine.modules.insert(m_of(module), known);
                assert_eq!(before, None, "it is registered");
                true
            }
            (Action::Forget { module }, _) => {
                let gone = m_of(module);
                assert!(!self.machine.builds.keys().any(|(m, _)| *m == gone), "{module} has builds");
                self.machine.modules.remove(&gone);
                self.machine.verdicts.retain(|(m, _), _| *m != gone);
                self.machine.unseen.retain(|thing| !matches!(thing, Thing::Verdict(m, _) if *m == gone));
                true
            }
            (Action::Wait { package, .. }, _) => {
                assert_eq!(*package, headers_package(k));
                note(self.machine, k).waiting = Some(package.clone());
                true
            }
            (Action::Depmod { .. }, _) => {
                self.machine.clock += 1;
                let clock = self.machine.clock;
                let note = note(self.machine, k);
                (note.depmod_due, note.depmod_left) = (false, None);
                self.kernel(k).indexed = Some(clock);
                true
            }
            (Action::Initramfs { .. }, _) => {
                self.machine.clock += 1;
                let (clock, depmod) = (self.machine.clock, self.options.depmod);
                note(self.machine, k);
                let kernel = self.kernel(k);
                assert!(kernel.image, "an initramfs for a kernel that is not there");
                let left = kernel.note.depmod_left.is_some();
                assert!(!kernel.note.depmod_due || left || !depmod, "depmod comes first");
                if kernel.note.initramfs.take().is_some() {
                    kernel.initramfs = Some(clock);
                }
                true
            }
            (Action::Sweep { .. }, _) => {
                self.machine.verdicts.retain(|(_, at), _| *at != k);
                self.machine.unseen.retain(|thing| !matches!(thing, Thing::Verdict(_, at) if *at == k));
                let seen = self.machine.as_seen();
                let (residue, image) = (seen.residue(k), seen.kernels[usize::from(k)].image);
                note(self.machine, k);
                let kernel = self.kernel(k);
                if residue {
                    (kernel.dir, kernel.indexed) = (false, None);
                }
                let removed = kernel.note.removed && image;
                kernel.note = Note { removed, ..Note::default() };
                true
            }
            (other, _) => panic!("nobody asked for this: {other}"),
        }
    }

    fn no_verdict(&mut self, (m, k): (M, K)) {
        self.machine.verdicts.remove(&(m, k));
        self.machine.unseen.remove(&Thing::Verdict(m, k));
    }

    fn build(&mut self, m: M, k: K) -> bool {
        self.machine.unseen.remove(&Thing::Verdict(m, k));
        let made = self.machine.as_seen().now(m, k).expect("it is judged");
        let machine = &mut *self.machine;
        assert!(machine.modules[&m].present && !machine.modules[&m].conf.refuses(k), "{m:?} cannot be built");
        learn(machine, &made);
        let provisional = machine.toolchain_broken || machine.compiler_gone;
        if provisional || machine.fails(&made) {
            machine.verdicts.insert((m, k), Verdict { made, provisional });
            return false;
        }
        machine.tokens += 1;
        let old = machine.builds.get(&(m, k)).and_then(|b| b.written.clone());
        let written = Written {
            files: old.is_some_and(|w| w.files),
            without_image: !machine.kernels[usize::from(k)].image,
            ..Written::default()
        };
        let made = Made { key: signer(made.key), ..made };
        let build = Build {
            bears: made.key,
            made,
            written: Some(written),
            fits_kernel: true,
            loaded: false,
            outdated: false,
            uses: has_debug_information(m),
            token: machine.tokens,
        };
        machine.builds.insert((m, k), build);
        machine.unseen.remove(&Thing::Build(m, k));
        machine.verdicts.remove(&(m, k));
        true
    }

    fn adopt(&mut self, (m, k): (M, K)) -> bool {
        let mut made = self.machine.as_seen().now(m, k).expect("it is judged");
        let without_image = !self.machine.kernels[usize::from(k)].image;
        let files = self.machine.installed(m.0, k) == Some(m);
        let build = self.machine.builds.get_mut(&(m, k)).expect("there is a build");
        assert!(build.written.is_none() && build.fits_kernel && (build.loaded || !build.outdated));
        made.key = made.key.filter(|key| build.bears == Some(*key));
        build.made = made.clone();
        let since = self.machine.active.get(&(m.0, k)).filter(|a| files && a.m == m).map(|a| a.since);
        let build = self.machine.builds.get_mut(&(m, k)).expect("there is a build");
        build.written = Some(Written { files, without_image, ..Written::default() });
        build.uses = false;
        learn(self.machine, &made);
        let old = |made: i64| since.is_some_and(|since| made <= since);
        let seen = self.machine.as_seen();
        let kernel = &seen.kernels[usize::from(k)];
        let unseen = kernel.image && self.machine.is_unseen(Thing::Boot(k));
        if unseen && since.is_some() || kernel.initramfs.is_some_and(old) {
            self.left_behind(m.0, k);
        }
        true
    }

    /// DKMS makes no initramfs when it installs.
    fn left_behind(&mut self, name: Name, k: K) {
        self.machine.clock += 1;
        let since = self.machine.clock;
        let empty = Due { since, always: false, modules: BTreeSet::new() };
        let due = self.kernel(k).note.initramfs.get_or_insert(empty);
        due.since = due.since.max(since);
        due.modules.insert(name);
    }

    fn resign(&mut self, m: M, k: K, reinstall: bool) -> bool {
        let now = self.machine.as_seen().now(m, k);
        assert!(!reinstall || self.machine.intact(m, k));
        let key = self.machine.key;
        let build = &self.machine.builds[&(m, k)];
        let done = build.bears == key;
        if signer(key).is_none() && !done {
            if let Some(made) = now {
                learn(self.machine, &made);
                self.machine.unseen.remove(&Thing::Verdict(m, k));
                self.machine.verdicts.insert((m, k), Verdict { made, provisional: false });
            }
            return false;
        }
        self.no_verdict((m, k));
        self.machine.tokens += u64::from(!done);
        let token = self.machine.tokens;
        let build = self.machine.builds.get_mut(&(m, k)).expect("there is a build");
        (build.made.key, build.bears) = (key, key);
        if !done {
            build.token = token;
        }
        let token = build.token;
        if reinstall {
            self.machine.active.get_mut(&(m.0, k)).expect("it is installed").token = token;
            self.lags(m.0, k);
        }
        true
    }

    fn install(&mut self, m: M, k: K, force: bool) -> bool {
        if !self.machine.as_seen().kernels[usize::from(k)].dir {
            return false;
        }
        let machine = &mut *self.machine;
        if !machine.kernels[usize::from(k)].dir {
            return false;
        }
        let newer_there = machine.keeps_its_own(m.0, k) && !force;
        let build = machine.builds.get_mut(&(m, k)).expect("what is installed was built");
        assert!(build.fits_kernel, "a module of another kernel");
        if newer_there {
            if let Some(written) = &mut build.written {
                written.refused = true;
            }
            return false;
        }
        if let Some(written) = &mut build.written {
            (written.files, written.refused) = (true, false);
        }
        let token = build.token;
        self.files_change(m.0, k);
        self.machine.active.insert((m.0, k), Active { m, token, whole: true, since: self.machine.clock });
        true
    }
}

/// A key that cannot sign.
pub const UNUSABLE: u8 = 3;

/// Whose signature a module gets.
pub fn signer(key: Option<u8>) -> Option<u8> {
    key.filter(|key| *key != UNUSABLE)
}
