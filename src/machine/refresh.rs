//! What a run looked at is written down, so that the next one need not look again.

use std::collections::{BTreeMap, BTreeSet};

use super::Machine;
use crate::fs::atomic;
use crate::model::ids::{Cell, KernelRelease};
use crate::model::indexed::{Found, IndexLooks, Indexed};
use crate::model::inputs::Inputs;
use crate::model::record::{Facts, Verdict};
use crate::model::request::Request;
use crate::model::settings::Origin;
use crate::model::system::{InstallTree, Kernel, TreePlace};
use crate::model::system::{Now, System};
use crate::observe::indexed::index_stat;
use crate::observe::install_tree_place;
use crate::plan::Plan;
use crate::tree::registry;
use crate::tree::state;

/// What is to be written down.
pub(super) enum Refresh {
    Record { stamp: String, facts: Facts },
    Verdict(Box<Verdict>),
}

impl Machine {
    /// Cells whose stored stamp is out of date although the inputs are the same, or which have no
    /// build and nothing written down about that (an exclusion, an older version, a module that is
    /// only built when asked for): looked at again, they would cost time at every run.
    pub(super) fn outdated<'a>(&'a self, system: &'a System) -> impl Iterator<Item = (&'a Cell, Refresh)> {
        system.cells.iter().filter_map(|(cell, view)| {
            if view.blind.is_some() || view.unread_verdict.is_some() {
                return None;
            }
            let Now::Judged { facts, inputs, stamp } = &view.now else { return None };
            let same = |old: &Inputs| inputs.change_since(old).is_none();
            // For other kernels everything is purged, what is written down too.
            let known = |k: &&Kernel| k.image && k.blind.is_none() && !k.note.removed;
            let kernel = system.kernels.get(&cell.kernel).filter(known);
            match (&view.record, &view.verdict) {
                (Some(record), _) if record.stamp != *stamp && same(&record.judged()) => {
                    Some((cell, Refresh::Record { stamp: stamp.clone(), facts: facts.clone() }))
                }
                (None, Some(verdict)) if verdict.failure.is_some() && facts.exclusion.is_none() => {
                    (verdict.stamp != *stamp && same(&verdict.inputs)).then(|| {
                        let verdict =
                            Verdict { stamp: stamp.clone(), facts: facts.clone(), ..verdict.clone() };
                        (cell, Refresh::Verdict(Box::new(verdict)))
                    })
                }
                (None, verdict) if !view.built && kernel.is_some() => {
                    let known = verdict.as_ref().is_some_and(|v| v.stamp == *stamp && v.facts == *facts);
                    let verdict = Verdict {
                        inputs: (**inputs).clone(),
                        stamp: stamp.clone(),
                        facts: facts.clone(),
                        failure: None,
                    };
                    (!known).then(|| (cell, Refresh::Verdict(Box::new(verdict))))
                }
                _ => None,
            }
        })
    }

    /// Builds that the index of a kernel's modules names, though that is not written down.
    pub(super) fn unremembered_looks<'a>(
        &self,
        system: &'a System,
    ) -> impl Iterator<Item = (&'a Cell, &'a Indexed)> {
        system.indexed.iter().filter(|(_, look)| !look.known && look.found == Found::Ours)
    }

    /// Writes down what the indexes say, so that they need not be read again. Of what an index does not name
    /// that is known only when depmod has just made it: `made` are the kernels for which it has.
    pub(super) fn remember_looks(&self, system: &System, made: &BTreeSet<&KernelRelease>) {
        let left_out = |(cell, look): &(&Cell, &Indexed)| {
            matches!(look.found, Found::Nothing { .. }) && !look.known && made.contains(&cell.kernel)
        };
        let left_out = system.indexed.iter().filter(left_out);
        let mut changed: BTreeMap<&KernelRelease, IndexLooks> = BTreeMap::new();
        for (cell, Indexed { index, files, found, .. }) in self.unremembered_looks(system).chain(left_out) {
            let stored = || state::index_looks(&self.layout, &cell.kernel);
            let looks = changed.entry(&cell.kernel).or_insert_with(stored);
            if *looks.index != **index {
                *looks = IndexLooks { index: index.to_string(), ..IndexLooks::default() };
            }
            let (named, other) = match found {
                Found::Ours => (&mut looks.ours, &mut looks.left_out),
                _ => (&mut looks.left_out, &mut looks.ours),
            };
            other.remove(files);
            named.insert(files.clone());
        }
        for kernel in made {
            changed.entry(kernel).or_insert_with(|| {
                // Of another index, and nothing of ours is in this one.
                let index = index_stat(&self.layout, kernel);
                let known = state::index_looks(&self.layout, kernel);
                if index.as_ref() == Some(&known.index) { known } else { IndexLooks::default() }
            });
        }
        for (kernel, looks) in changed {
            if let Err(error) = state::save_index_looks(&self.layout, kernel, &looks) {
                log::info!("{error}");
            }
        }
    }

    /// Which directory holds the kernels, if that is not what is written down: only where no
    /// kernel is in doubt; and another one than before only where all of them were looked at.
    pub(super) fn unremembered_tree(
        &self,
        request: &Request,
        system: &System,
        plan: &Plan,
    ) -> Option<TreePlace> {
        // One that the command line names says nothing about the next run.
        let given = matches!(self.settings.install_tree.origin, Origin::CommandLine(_));
        if system.modules.is_empty() || given {
            return None;
        }
        let certain = matches!(system.install_tree, InstallTree::Sound | InstallTree::Other { .. });
        let any = || system.kernels.values().any(|kernel| kernel.image);
        if !certain || plan.in_doubt || !any() {
            return None;
        }
        let now = install_tree_place(&self.layout).ok().flatten()?;
        let known = state::install_tree(&self.layout);
        let all = matches!(request, Request::Reconcile { kernels: None, .. });
        (known == Ok(None) || all && known != Ok(Some(now.clone()))).then_some(now)
    }

    /// Writes down what [`Self::unremembered_tree`] found. Without it, the next run has less to go by.
    pub(super) fn remember_tree(&self, request: &Request, system: &System, plan: &Plan) {
        if let Some(tree) = self.unremembered_tree(request, system, plan)
            && let Err(error) = state::save_install_tree(&self.layout, &tree)
        {
            log::info!("{error}");
        }
    }

    /// Writes down what is in directories, where that saves the next run more than it costs.
    pub(super) fn remember_directories(&self) {
        if self.memory().is_worth_saving()
            && let Err(error) = atomic::write(&self.layout.directories(), &self.memory().renewed())
        {
            log::info!("{error}");
        }
    }

    /// Writes down with which files bash did not come to an end. Without it, the next hook waits for them again.
    pub(super) fn remember_endless(&self) {
        if self.endless.is_news()
            && let Err(error) = self.endless.save(&self.layout)
        {
            log::info!("{error}");
        }
    }

    /// Writes down what [`Self::outdated`] found. Failing to is a slower next run, no more.
    pub(super) fn refresh(&self, system: &System) {
        for (cell, refresh) in self.outdated(system) {
            let saved = match refresh {
                Refresh::Record { stamp, facts } => {
                    // As it is now: the run may have written it anew.
                    match state::known(state::record(&self.layout, cell)) {
                        Some(mut record)
                            if system.cells[cell]
                                .record
                                .as_ref()
                                .is_some_and(|r| r.inputs == record.inputs) =>
                        {
                            record.stamp = stamp;
                            record.facts = facts;
                            state::save_record(&self.layout, cell, &record)
                        }
                        _ => Ok(()),
                    }
                }
                Refresh::Verdict(verdict) => {
                    // One that is not understood is left as it is.
                    let same =
                        state::verdict(&self.layout, cell).is_ok_and(|now| now == system.cells[cell].verdict);
                    if same && registry::look_for_build(&self.layout, cell) == Ok(false) {
                        state::save_verdict(&self.layout, cell, &verdict)
                    } else {
                        Ok(())
                    }
                }
            };
            if let Err(error) = saved {
                log::info!("{error}");
            }
        }
    }
}
