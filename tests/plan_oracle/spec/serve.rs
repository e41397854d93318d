//! What there should be of modules that depend on each other.

use std::collections::{BTreeMap, BTreeSet};

use super::choice::{Choice, Own, differ, key_changed};
use super::{Act, Expected, Spec};
use crate::machine::{M, Made, Name, Verdict};

/// What modules will be to others.
pub(super) type Servings = BTreeMap<Name, Serving>;

/// What others have of a module that they depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Serving {
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

/// What a module version would be made from, with all that it depends on.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) made: Made,
    /// Of those whose builds count: which build there will be, and whether this run makes it.
    counts: BTreeMap<Name, (Option<u64>, bool)>,
    /// Something that it depends on cannot be had.
    pub(super) missing: bool,
}

impl Found {
    /// True when something made from `then` (nobody knows from what, when `None`) was made with another
    /// build of something that it depends on.
    pub(super) fn others_than(&self, then: Option<&Made>) -> bool {
        self.counts.iter().any(|(d, (print, anew))| match (then, print) {
            (Some(then), Some(print)) => then.deps.get(d) != Some(print),
            _ => *anew,
        })
    }
}

impl Spec<'_> {
    /// What there should be, of modules that are chosen.
    pub(super) fn serve(&self, out: &mut Expected) {
        let state = self.servings(None);
        for name in self.names_to_serve() {
            self.one(name, &state, out);
        }
        self.nothing_waits(out);
    }

    /// What every module will be to others: in groups that need each other, those first that others
    /// stand on. One can be left out: it is there for nobody.
    pub(super) fn servings(&self, without: Option<Name>) -> Servings {
        let mut names: Vec<(BTreeSet<Name>, Name)> =
            self.names().into_iter().map(|name| (self.reach(name), name)).collect();
        // A ring reaches the same as what stands on nothing but it.
        names.sort_by_key(|(reach, name)| (reach.len(), reach.clone(), !reach.contains(name), *name));
        let mut state: Servings = without.map(|name| (name, Serving::Missing)).into_iter().collect();
        for (reach, name) in &names {
            if state.contains_key(name) {
                continue;
            }
            // Of those that need each other, nobody is there at first; what can be had without the
            // others is, and then what can be had with those.
            let round = |n: &Name| reach.contains(name) && reach.contains(n) && self.reach(*n).contains(name);
            let group: Vec<Name> =
                self.names().into_iter().filter(|n| Some(*n) != without && (n == name || round(n))).collect();
            for n in &group {
                state.insert(*n, Serving::Missing);
            }
            for _ in 0..=group.len() {
                let next: Vec<(Name, Serving)> =
                    group.iter().map(|n| (*n, self.one(*n, &state, &mut Expected::default()))).collect();
                state.extend(next);
            }
        }
        state
    }

    /// What is there of a module to those that depend on it, as long as nobody changes it.
    pub(super) fn as_it_is(&self, m: M) -> Serving {
        let build = self.build(m).filter(|b| b.written.is_some());
        Serving::There { print: build.map(|b| b.made.print()), anew: false }
    }

    /// True when what a module stands on stands on it in turn, and is there: it cannot come before and
    /// after, so it is taken as it is.
    pub(super) fn round_and_held(&self, m: M, d: Name) -> bool {
        self.goes_round(m, d) && matches!(self.choice(d), Choice::This(held) if self.held(held))
    }

    fn goes_round(&self, m: M, d: Name) -> bool {
        d == m.0 || self.reach(d).contains(&m.0)
    }

    /// What a module version finds of those that it depends on. None where it cannot be judged.
    pub(super) fn found(&self, m: M, state: &Servings) -> Option<Found> {
        let mut found = Found { made: self.machine.now(m, self.k)?, counts: BTreeMap::new(), missing: false };
        for d in &self.machine.modules[&m].conf.needs {
            if self.round_and_held(m, *d) {
                continue;
            }
            match state.get(d).unwrap_or(&Serving::Missing) {
                Serving::Excused => drop(found.made.deps.remove(d)),
                Serving::Missing => found.missing = true,
                Serving::There { print, anew } => {
                    match print {
                        Some(print) => found.made.deps.insert(*d, *print),
                        None => found.made.deps.remove(d),
                    };
                    if !self.goes_round(m, *d) {
                        found.counts.insert(*d, (*print, *anew));
                    }
                }
            }
        }
        Some(found)
    }

    /// Exactly this failed.
    pub(super) fn failed_with(&self, m: M, now: &Made) -> bool {
        self.verdict(m).is_some_and(|v| {
            !differ(now, &v.made, true)
                && !key_changed(now, &v.made)
                && now.deps.iter().all(|(d, p)| v.made.deps.get(d) == Some(p))
        })
    }

    /// A failure that says something about what would be made now.
    pub(super) fn failed(&self, m: M, found: &Found) -> Option<&Verdict> {
        let observed = self.machine.now(m, self.k)?;
        self.verdict(m).filter(|v| {
            !differ(&observed, &v.made, true)
                && !key_changed(&observed, &v.made)
                && !found.others_than(Some(&v.made))
        })
    }

    /// What failed is not retried in this run.
    pub(super) fn heeds(&self, failed: Option<&Verdict>) -> bool {
        failed.is_some_and(|v| !(self.retry || v.provisional && self.options.retry_provisional))
    }

    /// One module, given what all others will be.
    pub(super) fn one(&self, name: Name, state: &Servings, out: &mut Expected) -> Serving {
        let choice = self.choice(name);
        let newer = match choice {
            Choice::Stays(m) | Choice::This(m) => Some(m),
            Choice::Nothing => self
                .machine
                .versions(name)
                .find(|(m, r)| r.present && (r.conf.broken || self.unseen(*m)))
                .map(|(m, _)| m),
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
            Choice::Stays(m) => self.as_it_is(m),
            Choice::This(m) => self.bring_or_older(m, state, out),
        }
    }

    /// Brings one version. `None` when it does not compile and may give way to an older one.
    pub(super) fn bring(&self, m: M, state: &Servings, out: &mut Expected) -> Option<Serving> {
        let (Some(observed), Some(found)) = (self.machine.now(m, self.k), self.found(m, state)) else {
            return Some(Serving::Missing);
        };
        if self.untold(m) {
            return Some(self.if_installed(m));
        }
        if found.missing {
            return Some(if self.held(m) { self.as_it_is(m) } else { Serving::Missing });
        }
        let wanted = &found.made;
        let build = self.build(m);
        let written = build.and_then(|b| b.written.as_ref());
        let other = found.others_than(build.filter(|_| written.is_some()).map(|b| &b.made));
        let failed = self.failed(m, &found);
        let own = self.own(m);
        let again = other
            || matches!(own, Own::Absent | Own::Wrong | Own::Unfit | Own::Stale)
            || own == Own::Foreign && failed.is_some();
        if again {
            if self.heeds(failed) {
                let gives_way = failed.is_some_and(|failed| !failed.provisional) && self.gives_way(m);
                return (!gives_way).then_some(Serving::Missing);
            }
            out.acts.extend([Act::Build(m, self.k, false), Act::Install(m, self.k, false)]);
            // Which of those that need each other is first is nobody's business.
            if !self.reach(m.0).contains(&m.0) {
                out.wanted.insert((m.0, self.k), wanted.clone());
            }
            return Some(Serving::There { print: Some(wanted.print()), anew: true });
        }
        let mut install = !self.installed(m) || !self.machine.intact(m, self.k);
        let Some((build, written)) = build.zip(written) else {
            out.acts.insert(Act::Adopt(m, self.k));
            if install && self.machine.keeps_its_own(m.0, self.k) {
                return Some(Serving::Missing);
            }
            if install {
                out.acts.insert(Act::Install(m, self.k, false));
            }
            out.wanted.insert((m.0, self.k), wanted.clone());
            return Some(Serving::There { print: Some(wanted.print()), anew: false });
        };
        let keep = self.fits_headers(m) && written.kept.unwrap_or(build.made.headers) != observed.headers;
        if keep {
            out.acts.insert(Act::Keep(m, self.k));
        }
        if key_changed(&observed, &build.made) {
            // That a build for these headers failed is forgotten with it.
            if !self.failed_with(m, &observed) || self.retry || keep {
                install |= self.sign(m, out);
            }
        }
        out.wanted.insert((m.0, self.k), build.made.clone());
        if install {
            if !self.retry && written.refused || self.machine.keeps_its_own(m.0, self.k) {
                out.wanted.remove(&(m.0, self.k));
                return Some(Serving::Missing);
            }
            out.acts.insert(Act::Install(m, self.k, false));
        }
        Some(Serving::There { print: Some(build.made.print()), anew: false })
    }
}
