//! What a run left: its own modules are looked at once more, the others are as they were seen before it.

use std::collections::BTreeSet;

use super::Observer;
use crate::elf::module_name;
use crate::model::ids::{Cell, ModuleName};
use crate::model::indexed::Indexed;
use crate::model::system::{CellView, InstallTree, Now, System};

impl Observer<'_> {
    /// Looks again at these modules, for the kernels that were seen before. Of all others it says what was seen
    /// before, and has no cells.
    pub fn observe_left(&self, seen: &System, changed: &BTreeSet<ModuleName>) -> System {
        let kernels: Vec<_> = seen.kernels.keys().cloned().collect();
        let mut left = self.observe_modules(Some(&kernels), Some(changed));
        let others = seen.modules.iter().filter(|(id, _)| !changed.contains(&id.name));
        left.modules.extend(others.map(|(id, source)| (id.clone(), source.clone())));
        if let InstallTree::Blind(_) = seen.install_tree {
            left.install_tree.clone_from(&seen.install_tree);
        }
        let same = seen.cells.iter().filter(|(cell, _)| !changed.contains(&cell.module.name));
        let looks = self.looks(&left, seen, same);
        left.indexed.extend(looks);
        left
    }

    /// What the indexes of kernels say of builds that a run did not touch.
    fn looks<'v>(
        &self,
        left: &System,
        seen: &System,
        views: impl Iterator<Item = (&'v Cell, &'v CellView)>,
    ) -> Vec<(Cell, Indexed)> {
        let system = System {
            kernels: left.kernels.clone(),
            held: seen.held.clone(),
            without_index: left.without_index.clone(),
            ..System::default()
        };
        self.look_into_indexes_for(&system, views)
    }
}

/// The modules that a run which changes these may change something about: what depends on them, and what has a
/// module of the same name.
pub fn concerned(system: &System, changed: BTreeSet<ModuleName>) -> BTreeSet<ModuleName> {
    let files = |view: &CellView| {
        let record = view.record.iter();
        let installed = record.clone().flat_map(|record| record.installed.iter().map(|file| &file.built));
        let wanted = record.flat_map(|record| record.facts.modules.iter());
        let judged = match &view.now {
            Now::Judged { facts, .. } => facts.modules.as_slice(),
            _ => &[],
        };
        installed.chain(wanted).chain(judged).map(|file| module_name(file)).collect::<Vec<_>>()
    };
    let own = system.cells.iter().filter(|(cell, _)| changed.contains(&cell.module.name));
    let names: BTreeSet<String> = own.flat_map(|(_, view)| files(view)).collect();
    let depends = |view: &CellView| {
        let judged = match &view.now {
            Now::Judged { facts, .. } => facts.depends.as_slice(),
            _ => &[],
        };
        let recorded = view.record.iter().flat_map(|record| &record.facts.depends);
        judged.iter().chain(recorded).any(|on| changed.iter().any(|name| name.as_str() == on))
    };
    let mut found = changed.clone();
    let others = system.cells.iter().filter(|(cell, _)| !changed.contains(&cell.module.name));
    for (cell, view) in others {
        if depends(view) || files(view).iter().any(|file| names.contains(file)) {
            found.insert(cell.module.name.clone());
        }
    }
    found
}
