//! What a dkms.conf said when a build was made, and what it says now.

use super::Observer;
use crate::conf::Strictness;
use crate::conf::model::Conf;
use crate::model::directive::{DirectiveChange, Directives};
use crate::model::ids::Cell;
use crate::model::system::{CellView, Now};
use crate::tree::state;

impl Observer<'_> {
    /// Which directive changed, if that is the first thing that did.
    pub(super) fn directive_change(&self, cell: &Cell, view: &CellView) -> Option<DirectiveChange> {
        let (Now::Judged { inputs, .. }, Some(record)) = (&view.now, &view.record) else { return None };
        if !inputs.change_since(&record.inputs).is_some_and(|change| change.is_conf()) {
            return None;
        }
        let mut old = state::known(state::directives(self.layout, cell))?;
        let conf = self.conf(cell, &self.context(cell), Strictness::Other).ok()?;
        let mut new = self.directives(&conf);
        for name in &record.facts.unsteady {
            old.remove(name);
            new.remove(name);
        }
        DirectiveChange::between(&old, &new)
    }

    /// The directives of a conf as they are compared.
    pub fn directives(&self, conf: &Conf) -> Directives {
        let all = conf.values.iter().flat_map(|(name, elements)| {
            elements.iter().map(move |(index, value)| (format!("{name}[{index}]"), self.without_jobs(value)))
        });
        all.collect()
    }
}
