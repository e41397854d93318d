//! Which version of a module a kernel is to have: the newest that supports it. Where that one does not compile for the
//! kernel, the next older one that does.

use std::rc::Rc;

use super::index::{Known, Place};
use super::planner::{Planner, Standing};
use super::provision::{BuildOf, Provision, as_it_is, ready};
use super::{Action, Note, Reason};
use crate::model::error::Error;
use crate::model::fit::Fit;
use crate::model::ids::{Arch, Cell, ModuleId};
use crate::model::record::{Facts, FailureNote};
use crate::model::system::{CellView, Now, Source};

/// What one version of a module is to a kernel, what it depends on left aside.
enum Suits<'a> {
    /// Not at all: nothing is to be said of it.
    Not,
    /// What is installed of it stays as it is.
    Stays,
    /// Its conf cannot be read. No older version is a cure for that.
    Broken(&'a Error),
    /// Its build could not be looked at. What there is stays as it is.
    Blind,
    /// There are no headers to judge by.
    Unjudged,
    /// It does not support the kernel.
    Refuses(&'a str),
    /// It is the one that the kernel is to have.
    Well(&'a Facts),
}

/// Versions that were passed over on the way to an older one.
#[derive(Debug, Default)]
pub(super) struct Passed<'a> {
    /// The newest of those that do not support the kernel, and why.
    excluded: Option<(&'a ModuleId, &'a str)>,
    /// The newest that is to be there and does not compile.
    failed: Option<Failed<'a>>,
}

/// A version that does not compile for a kernel.
#[derive(Debug)]
struct Failed<'a> {
    cell: &'a Cell,
    facts: &'a Facts,
    failure: &'a FailureNote,
}

impl<'a> Passed<'a> {
    /// Why an older version is the one that a kernel is to have.
    pub(super) fn reason(&self) -> Option<Reason> {
        match (&self.failed, self.excluded) {
            (Some(failed), _) => Some(Reason::NewestFailed { newest: failed.cell.module.version.clone() }),
            (None, Some((newest, why))) => {
                Some(Reason::NewestExcluded { newest: newest.version.clone(), why: why.to_owned() })
            }
            (None, None) => None,
        }
    }

    /// Whether a version may take the place of one that does not compile: it needs no modules that the newest does
    /// not, so that who depends on whom stays the same.
    fn allows(&self, facts: &Facts) -> bool {
        let newest = self.failed.as_ref().map(|failed| &failed.facts.depends);
        newest.is_none_or(|newest| facts.depends.iter().all(|name| newest.contains(name)))
    }

    /// What is said of an older version that is there, or will be, in the place of the newest.
    fn note(&self, older: &Cell) -> Option<Note> {
        let Failed { cell, failure, .. } = self.failed.as_ref()?;
        Some(Note::OlderInstead {
            cell: (*cell).clone(),
            older: older.module.version.clone(),
            log: failure.log.clone(),
        })
    }
}

impl<'a> Planner<'a> {
    /// What a module will be for a kernel, planning whatever is needed for it.
    pub(super) fn provide(&mut self, place: Place, arch: &Arch, retry: bool) -> Provision<'a> {
        if let Some(known) = self.provision(place) {
            return known.clone();
        }
        *self.provision(place) = Some(Provision::Visiting);
        let found = self.work_out(place, arch, retry);
        self.provision(place).insert(found).clone()
    }

    fn work_out(&mut self, place: Place, arch: &Arch, retry: bool) -> Provision<'a> {
        if !self.index.is_registered(place) {
            return Provision::Unregistered;
        }
        let index = Rc::clone(&self.index);
        let mut passed = Passed::default();
        let mut manual = false;
        for known in index.versions(place, arch) {
            self.note_broken(&known.cell.module, known.source);
            let found = match self.suits(known, &mut manual) {
                Suits::Not => continue,
                Suits::Stays => ready(None, BuildOf::of(known.view)),
                Suits::Blind => {
                    self.is_blind(known.cell, known.view);
                    return as_it_is(known.view);
                }
                Suits::Broken(error) => {
                    self.note(Note::Unreadable { cell: known.cell.clone(), error: error.clone() });
                    return as_it_is(known.view);
                }
                Suits::Unjudged => return Provision::Unavailable,
                Suits::Refuses(why) => {
                    self.excluded(known.cell, known.view, why);
                    passed.excluded.get_or_insert((&known.cell.module, why));
                    continue;
                }
                Suits::Well(facts) if !passed.allows(facts) => continue,
                Suits::Well(facts) => match self.want(place, known, facts, &passed, retry) {
                    Ok(found) => found,
                    Err(failure) => {
                        passed.failed.get_or_insert(Failed { cell: known.cell, facts, failure });
                        continue;
                    }
                },
            };
            if let (Provision::Ready { .. }, Some(note)) = (&found, passed.note(known.cell)) {
                self.note(note);
            }
            return found;
        }
        match (passed.failed, passed.excluded) {
            (None, Some(_)) => Provision::Excluded,
            _ => Provision::Unavailable,
        }
    }

    /// Whether an older version takes the place of one that does not compile for the kernel. What is installed of it
    /// and can still be loaded is better than an older one.
    pub(super) fn gives_way(&self, view: &CellView, failure: &FailureNote) -> bool {
        let misfit = matches!(view.fit, Some(Fit::Not(_)))
            || matches!(self.standing(view), Standing::WrongKernel | Standing::Unfit(_));
        failure.by_source && !self.system.only_newest && (!view.installed || misfit)
    }

    /// Looks at one version. `manual`: a newer one is not installed by itself; as in DKMS, that one says
    /// so for the package.
    fn suits(&self, known: Known<'a>, manual: &mut bool) -> Suits<'a> {
        let view = known.view;
        if known.source != Some(&Source::Added) {
            return if known.source.is_some() && view.installed { Suits::Stays } else { Suits::Not };
        }
        if view.blind.is_some() {
            return Suits::Blind;
        }
        let facts = match &view.now {
            Now::Judged { facts, .. } => facts,
            Now::Unreadable(error) => return Suits::Broken(error),
            Now::NoHeaders => return Suits::Unjudged,
        };
        if let Some(why) = &facts.exclusion {
            let standing = self.standing(view);
            if view.installed && standing != Standing::WrongKernel && !refuses_anew(&standing) {
                // Somebody got it built all the same; replacing it would undo that.
                return Suits::Stays;
            }
            return Suits::Refuses(why);
        }
        *manual |= !facts.autoinstall && !self.every_module;
        if *manual && !view.installed { Suits::Not } else { Suits::Well(facts) }
    }

    /// The version that a kernel is to have of a module, if that is to be judged at all.
    pub(super) fn chosen(&self, place: Place, arch: &Arch) -> Option<(&'a CellView, &'a Facts)> {
        let mut manual = false;
        for known in self.index.versions(place, arch) {
            match self.suits(known, &mut manual) {
                Suits::Not | Suits::Refuses(_) => {}
                Suits::Well(facts) => return Some((known.view, facts)),
                Suits::Stays | Suits::Broken(_) | Suits::Blind | Suits::Unjudged => return None,
            }
        }
        None
    }

    /// True when a kernel need not have a module: there are versions of it, and none supports the kernel.
    pub(super) fn is_excused(&self, place: Place, arch: &Arch) -> bool {
        let (mut manual, mut refused) = (false, false);
        for known in self.index.versions(place, arch) {
            match self.suits(known, &mut manual) {
                Suits::Not => {}
                Suits::Refuses(_) => refused = true,
                Suits::Stays | Suits::Broken(_) | Suits::Blind | Suits::Unjudged | Suits::Well(_) => {
                    return false;
                }
            }
        }
        refused
    }

    /// A package that was built for this kernel and now refuses it.
    fn excluded(&mut self, cell: &Cell, view: &CellView, why: &str) {
        if refuses_anew(&self.standing(view)) {
            let reason = Reason::ExcludedNow { why: why.to_owned() };
            let mut needs = Vec::new();
            if view.installed {
                needs.push(self.step(Action::Uninstall { cell: cell.clone() }, reason.clone(), Vec::new()));
            }
            self.step(Action::Unbuild { cell: cell.clone() }, reason, needs);
        } else if !view.built {
            self.note(Note::Excluded { cell: cell.clone(), why: why.to_owned() });
        }
    }
}

/// True when something changed since an excluded package was built that can have excluded it: what
/// it depends on cannot, nor can the signing key.
fn refuses_anew(standing: &Standing) -> bool {
    matches!(standing, Standing::Stale(change) if !change.keeps_code())
}
