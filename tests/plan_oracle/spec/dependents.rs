//! BUILD_DEPENDS_REBUILD: what follows a module that a person installs.

use std::collections::BTreeSet;

use super::choice::Choice;
use super::serve::{Serving, Servings};
use super::{Act, Expected, Spec};
use crate::machine::{M, NAMES, Name};

impl Spec<'_> {
    /// What was made with another build of what is installed now is made again, if it asks for that; then
    /// what was made with those. `state` is what is brought before; nobody asked for anything else.
    pub(super) fn dependents(&self, asked: M, mut state: Servings, out: &mut Expected) {
        for name in self.names() {
            let there = || match self.machine.installed(name, self.k) {
                Some(m) => self.as_it_is(m),
                None if self.choice(name) == Choice::Refused => Serving::Excused,
                None => Serving::Missing,
            };
            state.entry(name).or_insert_with(there);
        }
        let before = self.before(asked.0);
        let wants = |m: &M| {
            let known = &self.machine.modules[m];
            let able = known.present && !known.conf.broken && !known.conf.refuses(self.k);
            able && known.conf.rebuilds
                && self.build(*m).is_some()
                && !self.unseen(*m)
                && !before.contains(&m.0)
        };
        let candidates: Vec<M> = self.machine.modules.keys().copied().filter(wants).collect();
        let mut follow: BTreeSet<M> = BTreeSet::new();
        for _ in 0..=candidates.len() {
            let again: Vec<(M, Serving)> = candidates
                .iter()
                .filter_map(|m| Some((*m, self.follows(*m, asked, &state, &follow)?)))
                .collect();
            follow = again.iter().map(|(m, _)| *m).collect();
            // What others depend on is the installed version.
            state.extend(again.into_iter().filter(|(m, _)| self.installed(*m)).map(|(m, it)| (m.0, it)));
        }
        for m in follow {
            out.acts.insert(Act::Build(m, self.k, false));
            if self.installed(m) {
                out.acts.insert(Act::Install(m, self.k, false));
            }
            if let Some(found) = self.found(m, &state).filter(|_| !self.reach(m.0).contains(&m.0)) {
                out.made.insert((m, self.k), found.made);
            }
        }
    }

    /// What a dependent will be, if it is made again.
    fn follows(&self, m: M, asked: M, state: &Servings, follow: &BTreeSet<M>) -> Option<Serving> {
        let needs = &self.machine.modules[&m].conf.needs;
        let moved = |d: &Name| *d == asked.0 || follow.iter().any(|f| f.0 == *d && self.installed(*f));
        // It is there for others, not for itself.
        let state: Servings =
            state.iter().filter(|(name, _)| **name != m.0).map(|(n, s)| (*n, s.clone())).collect();
        let found = self.found(m, &state).filter(|found| !found.missing && needs.iter().any(moved))?;
        let build = self.build(m)?;
        let other = found.others_than(build.written.as_ref().map(|_| &build.made));
        let tried = self.heeds(self.failed(m, &found)) || self.untold(m);
        (other && !tried).then(|| Serving::There { print: Some(found.made.print()), anew: true })
    }

    /// A module, and everything that it depends on in any version, at any remove: that cannot follow it.
    fn before(&self, name: Name) -> BTreeSet<Name> {
        let mut found = BTreeSet::from([name]);
        for _ in NAMES {
            let versions = |name: &Name| self.machine.versions(*name).collect::<Vec<_>>();
            let confs = found.iter().flat_map(versions).map(|(_, known)| known);
            let readable = confs.filter(|known| known.present && !known.conf.broken);
            let further: Vec<Name> = readable.flat_map(|known| known.conf.needs.clone()).collect();
            found.extend(further);
        }
        found
    }
}
