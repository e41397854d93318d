//! One module version for one kernel, as a person asks for it.

use std::collections::BTreeSet;

use dkms_hook::model::request::Goal;

use super::choice::{Choice, Own};
use super::serve::{Serving, Servings};
use super::{Act, Expected, Spec};
use crate::machine::{M, NAMES, Name};

/// What is to become of the build that is there.
enum Build {
    /// It cannot be made: nothing is done.
    No,
    /// It is as it should be, or cannot be judged. Taken over, when true.
    There(bool),
    /// It is made, and will be that to others.
    Made(Serving),
}

impl Spec<'_> {
    /// Brings one cell to a state.
    pub(super) fn named(&self, m: M, to: Goal, force: bool, out: &mut Expected) {
        match to {
            Goal::Added => {}
            Goal::Built | Goal::Installed => self.up(m, to == Goal::Installed, force, out),
            // Whatever its source is.
            Goal::Uninstalled if self.installed(m) => drop(out.acts.insert(Act::Uninstall(m, self.k))),
            Goal::Uninstalled => {}
            Goal::Unbuilt => self.drop_build(m, out),
        }
    }

    fn up(&self, m: M, install: bool, force: bool, out: &mut Expected) {
        if !self.machine.modules.get(&m).is_some_and(|known| known.present) {
            return;
        }
        // Building it by force replaces whatever there is.
        let again = !install && force;
        let replaced = again && self.build(m).is_some();
        if self.unseen(m) && !replaced || self.untold(m) && !again {
            return;
        }
        let mut others = Servings::new();
        let serving = match self.make(m, !install && force, force, &mut others, out) {
            Build::No => return,
            Build::Made(serving) => serving,
            Build::There(adopt) => {
                if adopt {
                    out.acts.insert(Act::Adopt(m, self.k));
                }
                let moved = self.keep_and_sign(m, out);
                if !install || self.installed(m) && self.machine.intact(m, self.k) && !moved && !force {
                    return;
                }
                // It says so itself.
                if self.machine.keeps_its_own(m.0, self.k) && !force {
                    return;
                }
                match self.machine.now(m, self.k).filter(|_| adopt) {
                    Some(now) => Serving::There { print: Some(now.print()), anew: false },
                    None => self.as_it_is(m),
                }
            }
        };
        if install {
            out.acts.insert(Act::Install(m, self.k, force));
            if !force {
                others.insert(m.0, serving);
                self.dependents(m, others, out);
            }
        }
    }

    /// What is done to a build that stays; true when an installation has to follow.
    fn keep_and_sign(&self, m: M, out: &mut Expected) -> bool {
        let Some((build, now)) = self.build(m).zip(self.machine.now(m, self.k)) else { return false };
        let Some(written) = &build.written else { return false };
        let keep = self.fits_headers(m) && written.kept.unwrap_or(build.made.headers) != now.headers;
        if keep {
            out.acts.insert(Act::Keep(m, self.k));
        }
        let changed = super::choice::key_changed(&now, &build.made);
        // That a build for these headers failed is forgotten with it.
        changed && (self.retry || keep || !self.failed_with(m, &now)) && self.sign(m, out)
    }

    /// True when a build is there that nothing speaks against.
    fn sound(&self, m: M) -> bool {
        let Some(build) = self.build(m) else { return false };
        let Some(now) = self.machine.now(m, self.k) else {
            return build.written.is_some() || build.fits_kernel;
        };
        let same = || now.deps.iter().all(|(d, print)| build.made.deps.get(d) == Some(print));
        match self.own(m) {
            Own::Foreign => true,
            Own::Sound => same(),
            Own::Absent | Own::Wrong | Own::Unfit | Own::Stale => false,
        }
    }

    /// `again` makes what is sound, too.
    fn make(&self, m: M, again: bool, force: bool, others: &mut Servings, out: &mut Expected) -> Build {
        let sound = self.sound(m) && !again;
        let Some(now) = self.machine.now(m, self.k) else {
            return if sound { Build::There(false) } else { Build::No };
        };
        if sound {
            let build = self.build(m).expect("it is sound");
            // One out of an archive is told which builds of its dependencies it goes with: not before
            // they are there.
            let mut others = now.conf.needs.iter().copied().filter(|d| *d != m.0);
            let told = others.all(|d| self.machine.installed(d, self.k).is_some());
            return Build::There(build.written.is_none() && (!build.loaded || told));
        }
        if now.conf.refuses(self.k) {
            return Build::No;
        }
        // `install --force` is about files in the way; who wants another try asks for a build.
        if !again && self.heeds(self.verdict(m).filter(|_| self.failed_with(m, &now))) {
            return Build::No;
        }
        // All that it stands on is brought in line first, if it can be had then; nothing of that with the
        // module itself.
        let state = self.servings(Some(m.0));
        let Some(found) = self.found(m, &state).filter(|found| force || !found.missing) else {
            return Build::No;
        };
        for name in self.stands_on(m) {
            let serving = self.one(name, &state, out);
            others.insert(name, serving);
        }
        out.acts.insert(Act::Build(m, self.k, force));
        if !found.missing && !self.reach(m.0).contains(&m.0) && !self.stands_on(m).contains(&m.0) {
            out.made.insert((m, self.k), found.made.clone());
        }
        Build::Made(Serving::There { print: Some(found.made.print()), anew: true })
    }

    /// What has to be there for it, at any remove, without the module itself.
    pub(super) fn stands_on(&self, m: M) -> BTreeSet<Name> {
        let (mut found, mut whole) = (BTreeSet::new(), vec![m]);
        for _ in 0..=NAMES.len() {
            let further = |m: M| {
                let needs = self.machine.modules[&m].conf.needs.clone().into_iter();
                needs.filter(move |d| !self.round_and_held(m, *d))
            };
            found.extend(whole.iter().flat_map(|m| further(*m)));
            found.retain(|name| *name != m.0 && self.names().contains(name));
            let chosen = found.iter().filter_map(|name| match self.choice(*name) {
                Choice::This(m) if !self.untold(m) => Some(m),
                _ => None,
            });
            whole.extend(chosen.collect::<Vec<_>>());
        }
        found
    }
}
