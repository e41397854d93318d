//! What a module depends on, and which builds of it will be there.

use std::collections::BTreeSet;

use super::Note;
use super::index::Place;
use super::planner::{Planner, Standing};
use super::provision::{BuildOf, Dependency, Provision};
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleName};
use crate::model::inputs::Inputs;
use crate::model::record::Facts;

/// What a cell's dependencies will be when it is built.
#[derive(Debug, Default)]
pub(super) struct Dependencies<'a> {
    /// The steps that bring them.
    pub(super) steps: Vec<usize>,
    /// Which builds of them will be there.
    pub(super) builds: Vec<Dependency<'a>>,
}

impl<'a> Planner<'a> {
    /// What a cell's dependencies will be.
    ///
    /// # Errors
    /// The note that says which of them cannot be had.
    pub(super) fn depends(
        &mut self,
        cell: &Cell,
        facts: &Facts,
        retry: bool,
    ) -> Result<Dependencies<'a>, Box<Note>> {
        let mut found = Dependencies::default();
        let (mut missing, mut known) = (Vec::new(), false);
        for name in &facts.depends {
            let module = ModuleName::new(name.clone()).ok();
            let place = module.and_then(|module| self.index.place(&module, &cell.kernel));
            let round =
                place.is_some_and(|it| self.stands_on(it, &cell.module.name, &cell.kernel, &cell.arch));
            if place.is_some_and(|it| round && self.is_held(it, &cell.arch)) {
                // A dependency cycle: use the installed build as it is.
                continue;
            }
            let provision = match place {
                Some(place) => self.provide(place, &cell.arch, retry),
                None => Provision::Unregistered,
            };
            let mut depends_on = |build, counts| {
                found.builds.push(Dependency { name: name.clone(), build, counts });
            };
            match provision {
                Provision::Excluded => depends_on(BuildOf::default(), false),
                Provision::Ready { after, build } => {
                    depends_on(build, !round);
                    found.steps.extend(after);
                }
                Provision::Visiting | Provision::Unavailable => {
                    known = true;
                    missing.push(name.clone());
                }
                Provision::Unregistered => missing.push(name.clone()),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        Err(Box::new(Note::MissingDepends { cell: cell.clone(), names: missing, known }))
    }

    /// True when the module at `place` depends on `on` in turn, at any remove.
    fn stands_on(&self, place: Place, on: &ModuleName, kernel: &KernelRelease, arch: &Arch) -> bool {
        let mut seen = BTreeSet::new();
        let mut places = vec![place];
        while let Some(place) = places.pop() {
            if self.index.name(place) == on {
                return true;
            }
            let depends = self.chosen(place, arch).into_iter().flat_map(|(_, facts)| &facts.depends);
            let named = depends.filter_map(|name| ModuleName::new(name.clone()).ok());
            let further = named.filter_map(|name| self.index.place(&name, kernel));
            places.extend(further.filter(|place| seen.insert(place.name)));
        }
        false
    }

    /// True when a module is installed as it should be, whatever becomes of what it depends on.
    fn is_held(&self, place: Place, arch: &Arch) -> bool {
        self.chosen(place, arch).is_some_and(|(view, _)| {
            let sound = match self.standing(view) {
                Standing::Fresh | Standing::Adoptable => true,
                Standing::Stale(change) => change.keeps_code(),
                _ => false,
            };
            view.installed && view.intact && sound
        })
    }
}

/// The first dependency that will be another build than the one in `inputs`.
pub(super) fn other_build(builds: &[Dependency<'_>], inputs: Option<&Inputs>) -> Option<String> {
    let mut counting = builds.iter().filter(|d| d.counts);
    counting.find(|d| d.build.is_other(&d.name, inputs)).map(|d| d.name.clone())
}
