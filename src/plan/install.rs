//! An installation, and the kernel's own modules that may stand in its way.

use super::condition::Condition;
use super::planner::Planner;
use super::{Action, Note, Reason};
use crate::model::ids::Cell;
use crate::model::rival::Rival;
use crate::model::system::{Installing, Question};

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
        let mut when = Condition::Always;
        let mut post_install = false;
        match self.system.installs.get(cell) {
            None => {
                self.plan.questions.insert(Question::Install(cell.clone()));
            }
            Some(found) => {
                force |= found.force;
                post_install = found.post_install;
                if !force && !self.options.any_version && !found.any_version {
                    let than = match build {
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
                    if !than.is_empty() {
                        when = Condition::NotOlder { than };
                    }
                }
            }
        }
        let needs = needs.into_iter().chain(build).collect();
        Some(self.step_if(Action::Install { cell: cell.clone(), force, post_install }, reason, needs, when))
    }
}

/// The modules of the kernel that are kept although a build has ones of their names; an error when that
/// leaves nothing of the build.
fn kept(found: &Installing) -> Result<Vec<Rival>, String> {
    let mut kept = Vec::new();
    let mut last = None;
    for (module, labels) in &found.built {
        let rival = found.rivals.iter().find(|rival| rival.module == *module);
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
