//! An installation, and the kernel's own modules that may stand in its way.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::condition::Condition;
use super::planner::Planner;
use super::{Action, Note, Reason};
use crate::model::ids::Cell;
use crate::model::rival::{Labels, Rival};
use crate::model::system::{Contents, Installing, Question};

impl Planner<'_> {
    /// Plans an installation. `None` when it is known already that nothing of the build would be installed;
    /// a note says why. `build` is the step that makes the build, where this run makes it.
    pub(super) fn install_step(
        &mut self,
        cell: &Cell,
        force: bool,
        reason: Reason,
        needs: Vec<usize>,
        build: Option<usize>,
    ) -> Option<usize> {
        let mut force = force || self.options.force_install;
        // Whose module it is, is decided: only a person decides anew.
        if let Some(by) = self.system.held.get(cell).filter(|_| !force && !self.by_name) {
            self.note(Note::Held { cell: cell.clone(), by: by.clone() });
            return None;
        }
        let mut when = Condition::Always;
        let mut post_install = false;
        let mut aside = Vec::new();
        match self.system.installs.get(cell) {
            None => {
                self.plan.questions.insert(Question::Install(cell.clone()));
            }
            Some(found) => {
                force |= found.force;
                post_install = found.post_install;
                let goes = found.aside.iter().filter(|aside| force || !aside.by_force);
                aside = goes.map(|aside| aside.file.clone()).collect();
                if !force && !self.options.any_version && !found.any_version {
                    let mut than = match build {
                        // What it says about itself is known when it is built.
                        Some(_) => found.rivals.clone(),
                        None => match kept(found) {
                            Ok(kept) => kept,
                            Err(why) => {
                                self.plan.refused.push((cell.clone(), why.clone()));
                                self.note(Note::Refused { cell: cell.clone(), why });
                                return None;
                            }
                        },
                    };
                    than.extend(self.rivals_to_come(cell));
                    if !than.is_empty() {
                        when = Condition::NotOlder { than };
                    }
                }
            }
        }
        let needs = needs.into_iter().chain(build).collect();
        let action = Action::Install { cell: cell.clone(), force, post_install, aside };
        Some(self.step_if(action, reason, needs, when))
    }
}

impl Planner<'_> {
    /// Steps from this one on are taken back.
    pub(super) fn forget_names_from(&mut self, first: usize) {
        while self.names_to_come.steps > first {
            self.names_to_come.steps -= 1;
            let Some(Action::Install { cell, .. }) =
                self.plan.steps.get(self.names_to_come.steps).map(|step| &step.action)
            else {
                continue;
            };
            let cell = cell.clone();
            for name in self.names_of(&cell) {
                let place = (cell.kernel.clone(), cell.arch.clone(), Contents::normal(&name));
                if let Some(cells) = self.names_to_come.of.get_mut(&place) {
                    cells.retain(|(at, _)| *at < first);
                }
            }
        }
    }

    /// Modules of the same names that earlier steps install for other packages: the newer one is to stay, as
    /// if they were there already.
    fn rivals_to_come(&mut self, cell: &Cell) -> Vec<Rival> {
        while let Some(step) = self.plan.steps.get(self.names_to_come.steps) {
            if let Action::Install { cell: other, .. } = &step.action {
                let (other, at) = (other.clone(), self.names_to_come.steps);
                for name in self.names_of(&other) {
                    let place = (other.kernel.clone(), other.arch.clone(), Contents::normal(&name));
                    self.names_to_come.of.entry(place).or_default().push((at, other.clone()));
                }
            }
            self.names_to_come.steps += 1;
        }
        let mut found: BTreeSet<(usize, String, Cell)> = BTreeSet::new();
        for name in self.names_of(cell) {
            let place = (cell.kernel.clone(), cell.arch.clone(), Contents::normal(&name));
            let others = self.names_to_come.of.get(&place).into_iter().flatten();
            let others = others.filter(|(_, other)| other.module.name != cell.module.name);
            found.extend(others.map(|(at, other)| (*at, place.2.clone(), other.clone())));
        }
        let rival = |(_, module, of): (usize, String, Cell)| Rival {
            module,
            path: PathBuf::new(),
            labels: Labels::default(),
            unread: None,
            of: Some(of),
        };
        found.into_iter().map(rival).collect()
    }
}

/// The modules of the kernel that are kept although a build has ones of their names; an error when that
/// leaves nothing of the build.
fn kept(found: &Installing) -> Result<Vec<Rival>, String> {
    let mut kept = Vec::new();
    let mut last = None;
    for (module, labels) in &found.built {
        let rival =
            found.rivals.iter().find(|rival| Contents::normal(&rival.module) == Contents::normal(module));
        if let Some((rival, labels)) = rival.zip(labels.as_ref())
            && let Some(why) = rival.beats(labels)
        {
            kept.push(rival.clone());
            last = Some(why);
        }
    }
    match last {
        Some(why) if kept.len() == found.built.len() => Err(why),
        _ => Ok(kept),
    }
}
