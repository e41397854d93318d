//! Whether the cache has what would be built now.

use crate::cache::{Cache, Key, Surroundings, surroundings};
use crate::model::ids::Cell;
use crate::model::inputs::Inputs;
use crate::model::system::{CellView, Now};
use crate::observe::Observer;

impl Observer<'_> {
    /// The cache of builds, if it is not switched off. What a person has built with options of their own is not kept
    /// in it, nor taken from it.
    pub fn build_cache(&self) -> Option<Cache> {
        let plain = self.overrides.is_plain() && self.settings.named.directives.is_empty();
        plain.then(|| Cache::of(self.layout, self.settings.build_cache.0)).flatten()
    }

    /// What surrounds a build of this cell from these inputs.
    pub fn surroundings(&self, cell: &Cell, inputs: &Inputs) -> Option<Surroundings> {
        surroundings(self.layout, self.settings, &self.kernel_source(&cell.kernel).0, inputs)
    }

    /// Where there is no fresh build, whether the cache has one.
    pub(super) fn is_cached(&self, cell: &Cell, view: &CellView) -> bool {
        let Now::Judged { facts, inputs, .. } = &view.now else { return false };
        let fresh = || view.record.as_ref().is_some_and(|r| inputs.change_since(&r.judged()).is_none());
        if facts.exclusion.is_some() || (view.built && fresh()) {
            return false;
        }
        let Some(cache) = self.build_cache().filter(|cache| cache.may_have(cell)) else { return false };
        let around = self.surroundings(cell, inputs);
        around.is_some_and(|around| cache.has(cell, &Key::of(cell, inputs, &around)))
    }
}
