//! Packages whose modules have the same name (dahdi and osmocom-dahdi do): the kernel can have one of them.
//!
//! The one that was installed last has the name. The other is set aside, and comes back when that one is
//! uninstalled; until then it counts as intact, or the two would take turns for ever.

use std::collections::BTreeMap;

use super::Observer;
use crate::elf::module_name;
use crate::model::ids::Cell;
use crate::model::record::InstalledFile;
use crate::model::system::System;
use crate::tree::installed;

/// A package's claim to a name.
struct Claim<'a> {
    cell: &'a Cell,
    file: &'a InstalledFile,
    /// Its file is in its place.
    placed: bool,
}

impl Observer<'_> {
    /// Finds out who has the names that several packages have installed a module under.
    pub(super) fn settle_shared_names(&self, system: &mut System) {
        let mut claims: BTreeMap<_, Vec<(&Cell, &InstalledFile)>> = BTreeMap::new();
        for (cell, view) in system.cells.iter().filter(|(_, view)| view.installed) {
            for file in view.record.iter().flat_map(|record| &record.installed) {
                let name = module_name(&file.built);
                claims.entry((&cell.kernel, &cell.arch, name)).or_default().push((cell, file));
            }
        }
        let mut held = BTreeMap::new();
        for claims in claims.into_values().filter(|claims| claims.len() > 1) {
            let placed = |cell: &Cell, file: &InstalledFile| {
                installed::by_record(self.layout, cell, std::slice::from_ref(file)).next().is_none()
            };
            let claims: Vec<Claim<'_>> = claims
                .into_iter()
                .map(|(cell, file)| Claim { cell, file, placed: placed(cell, file) })
                .collect();
            let Some(holder) = holder(&claims) else { continue };
            for claim in claims.iter().filter(|claim| claim.cell != holder && !claim.placed) {
                held.insert(claim.cell.clone(), holder.clone());
            }
        }
        for (cell, holder) in held {
            // What else is wrong with it, if anything, is to be mended.
            let names_of_holder = self.names_of(system, &holder);
            let Some(view) = system.cells.get_mut(&cell) else { continue };
            let files: Vec<InstalledFile> = view.record.iter().flat_map(|r| &r.installed).cloned().collect();
            let mut own = files.iter().filter(|file| !names_of_holder.contains(&module_name(&file.built)));
            let sound = |file: &InstalledFile| {
                let files = std::slice::from_ref(file);
                !file.is_planned() && installed::by_record(self.layout, &cell, files).next().is_none()
            };
            view.intact |= view.blind.is_none() && own.all(sound);
            system.held.insert(cell, holder);
        }
    }

    fn names_of(&self, system: &System, cell: &Cell) -> Vec<String> {
        let record = system.cell(cell).and_then(|view| view.record.as_ref());
        record.iter().flat_map(|r| &r.installed).map(|file| module_name(&file.built)).collect()
    }
}

/// The one of several packages that has the name: the only one whose file is in its place; otherwise the one that
/// set the file of another aside. `None` where nobody has it, and where that cannot be told.
fn holder<'a>(claims: &[Claim<'a>]) -> Option<&'a Cell> {
    let set_aside = |claim: &Claim<'_>| {
        let original = claim.file.original.as_ref();
        claims.iter().any(|other| other.cell != claim.cell && original == Some(&other.file.path))
    };
    let placed: Vec<&Claim<'_>> = claims.iter().filter(|claim| claim.placed).collect();
    match placed.as_slice() {
        [only] => Some(only.cell),
        [] => claims.iter().find(|claim| set_aside(claim)).map(|claim| claim.cell),
        several => several.iter().find(|claim| set_aside(claim)).map(|claim| claim.cell),
    }
}
