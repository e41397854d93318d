//! BUILD_DEPENDS_REBUILD: what is built again as soon as something that it depends on is installed.
//!
//! Hooks need none of this: they bring everything in line. It is for a person who installs one module
//! by name and would otherwise leave those that were built against its predecessor behind.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::depends::other_build;
use super::planner::Planner;
use super::provision::{BuildOf, Provision, ready};
use super::reconcile::verdict_with;
use super::{Action, Note, Reason};
use crate::model::ids::{Cell, ModuleName};
use crate::model::record::Facts;
use crate::model::system::{Now, Source};

impl<'a> Planner<'a> {
    /// Plans builds of what depends on `cell`, which `install` will have installed from `build`; and
    /// of what depends on those, and so on. What is only built stays only built.
    pub(super) fn rebuild_dependents(&mut self, cell: &Cell, install: usize, build: BuildOf<'a>) {
        self.will_be(cell, Some(ready(Some(install), build)));
        let mut changed = vec![cell.module.name.to_string()];
        let mut candidates: Vec<(Cell, Facts)> = self.candidates(cell);
        // Each goes after those candidates that it depends on itself, but for those that depend on it in
        // turn.
        while !candidates.is_empty() {
            let next = candidates.iter().position(|candidate| !waits(candidate, &candidates)).unwrap_or(0);
            let (dependent, facts) = candidates.remove(next);
            if !facts.depends.iter().any(|name| changed.contains(name)) {
                continue;
            }
            // What others depend on is the installed version, whatever else is built.
            if let Some(provision) = self.rebuild(&dependent, &facts)
                && self.view(&dependent).is_some_and(|v| v.installed)
            {
                self.will_be(&dependent, Some(provision));
                changed.push(dependent.module.name.to_string());
            }
        }
    }

    /// Builds for the same kernel that want to be built again with what they depend on.
    fn candidates(&self, cell: &Cell) -> Vec<(Cell, Facts)> {
        // What it depends on itself cannot follow it: that would go round for ever.
        let before = self.all_that_it_depends_on(cell);
        let after = |other: &Cell| other.arch == cell.arch && !before.contains(other.module.name.as_str());
        let cells = self.index.of_kernel(&cell.kernel).iter().map(|known| (known.cell, known.view));
        let built = cells.filter(|(other, view)| after(other) && view.built && view.blind.is_none());
        let wanting = built.filter_map(|(other, view)| match &view.now {
            Now::Judged { facts, .. }
                if facts.depends_rebuild
                    && facts.exclusion.is_none()
                    && self.system.modules.get(&other.module) == Some(&Source::Added) =>
            {
                Some((other.clone(), facts.clone()))
            }
            // A broken conf of another package is no reason for this command to fail.
            _ => None,
        });
        wanting.collect()
    }

    /// Its own name, and those of everything that it depends on, at any remove and in any version.
    fn all_that_it_depends_on(&self, cell: &Cell) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut names = vec![cell.module.name.to_string()];
        while let Some(name) = names.pop() {
            let known = ModuleName::new(name.clone()).ok();
            let place = known.and_then(|known| self.index.place(&known, &cell.kernel));
            for known in place.into_iter().flat_map(|place| self.index.versions(place, &cell.arch)) {
                if let Now::Judged { facts, .. } = &known.view.now {
                    names
                        .extend(facts.depends.iter().filter(|n| !found.contains(*n) && **n != name).cloned());
                }
            }
            found.insert(name);
        }
        found
    }

    /// Plans the build of one dependent if what it depends on will be another build than the one that
    /// it was made with. `None` when there is nothing to do, or nothing can be done (a note says why).
    fn rebuild(&mut self, cell: &Cell, facts: &Facts) -> Option<Provision<'a>> {
        let view = self.view(cell)?;
        let known = self.will_be(cell, Some(Provision::Visiting));
        if view.installed && matches!(known, Some(Provision::Ready { after: Some(_), .. })) {
            // Something before it needed it, and had it built.
            return known.inspect(|known| drop(self.will_be(cell, Some(known.clone()))));
        }
        self.take_as_they_are(cell, facts);
        let found = self.depends(cell, facts, !self.options.heed_failures);
        self.will_be(cell, known);
        let found = match found {
            Ok(found) => found,
            Err(missing) => {
                self.note(*missing);
                return None;
            }
        };
        let name = other_build(&found.builds, view.record.as_ref().map(|r| &*r.inputs))?;
        if self.options.heed_failures && self.has_unread_verdict(cell, view) {
            return None;
        }
        // As everywhere: a package's script does not try again what failed with the same builds.
        let failure = verdict_with(view, &found.builds).and_then(|v| v.failure.as_ref());
        if let Some(failure) = failure.filter(|failure| {
            self.options.heed_failures && !(failure.provisional && self.options.retry_provisional)
        }) {
            self.note(Note::FailedBefore { cell: cell.clone(), failure: Box::new(failure.clone()) });
            return None;
        }
        let reason = Reason::DependencyBuilt { name };
        let made = match &view.now {
            Now::Judged { inputs, .. } => BuildOf::from(inputs, found.builds, true),
            _ => BuildOf::unknown(),
        };
        // It is looked for in the cache when what it depends on is there.
        let action = Action::Build { cell: cell.clone(), force: false, cached: false };
        let build = self.step(action, reason.clone(), found.steps);
        if !view.installed {
            return Some(ready(Some(build), made));
        }
        let install = self.install_step(cell, false, reason, Vec::new(), Some(build));
        Some(ready(install, made))
    }

    /// What a dependent depends on beside what was asked for is taken as it is: nobody asked for more,
    /// and something new would make what was asked for stale in turn.
    fn take_as_they_are(&mut self, cell: &Cell, facts: &Facts) {
        let named = facts.depends.iter().filter_map(|name| ModuleName::new(name.clone()).ok());
        let index = Rc::clone(&self.index);
        for place in named.filter_map(|name| index.place(&name, &cell.kernel)) {
            let provision = match index.installed(place, &cell.arch) {
                Some(known) => ready(None, BuildOf::of(known.view)),
                None if !index.is_registered(place) => Provision::Unregistered,
                None if self.is_excused(place, &cell.arch) => Provision::Excluded,
                None => Provision::Unavailable,
            };
            self.provision(place).get_or_insert(provision);
        }
    }

    /// Sets what a module will be worth, and returns what that was before.
    fn will_be(&mut self, cell: &Cell, provision: Option<Provision<'a>>) -> Option<Provision<'a>> {
        let place = self.index.place(&cell.module.name, &cell.kernel)?;
        std::mem::replace(self.provision(place), provision)
    }
}

/// True when one of the others is to come before a candidate.
fn waits((cell, facts): &(Cell, Facts), others: &[(Cell, Facts)]) -> bool {
    let needed = |facts: &Facts, other: &Cell| facts.depends.iter().any(|d| d == other.module.name.as_str());
    let needed_by =
        |facts: &Facts| others.iter().filter(|(other, _)| needed(facts, other)).collect::<Vec<_>>();
    let in_turn = |start: &Facts| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(facts) = open.pop() {
            if needed(facts, cell) {
                return true;
            }
            open.extend(needed_by(facts).into_iter().filter(|(c, _)| seen.insert(c)).map(|(_, facts)| facts));
        }
        false
    };
    needed_by(facts).into_iter().any(|(_, theirs)| !in_turn(theirs))
}
