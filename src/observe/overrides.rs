//! Options of a command line that change a result: for what they count, and how long.

use std::borrow::Cow;
use std::path::Path;

use super::{Observer, Overrides};
use crate::conf::model::Context;
use crate::model::ids::{Cell, ModuleId};
use crate::model::record::Record;
use crate::tree::state;

/// The module version that a person asks for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Which.
    pub module: &'a ModuleId,
    /// It is to be built whatever there is (`build --force`), with the options of this call alone.
    pub anew: bool,
}

impl Observer<'_> {
    /// The options that a cell is judged and built with. A build keeps those that it was made with,
    /// so that a hook does not undo what a person asked for.
    pub fn overrides_of(&self, cell: &Cell, record: Option<&Record>) -> Cow<'_, Overrides> {
        let asked = self.asked.filter(|asked| *asked.module == cell.module);
        let kept = record.map(|r| &r.overrides);
        match (asked, kept) {
            (Some(_), _) if !self.overrides.is_plain() => Cow::Borrowed(self.overrides),
            (Some(Asked { anew: true, .. }), _) | (_, None) => Cow::Borrowed(self.overrides),
            (_, Some(kept)) if kept.is_plain() && self.overrides.is_plain() => Cow::Borrowed(self.overrides),
            (_, Some(kept)) => Cow::Owned(kept.clone()),
        }
    }

    /// The same observer with other options.
    #[must_use]
    pub fn with<'b>(&'b self, overrides: &'b Overrides) -> Observer<'b> {
        Observer { overrides, ..*self }
    }

    /// What the conf of a cell is read with, given the options that its build was made with.
    pub fn kept_context(&self, cell: &Cell) -> Context {
        let record = state::known(state::record(self.layout, cell));
        let overrides = self.overrides_of(cell, record.as_ref());
        self.with(&overrides).context(cell)
    }

    /// The file that is sourced before a build.
    pub fn build_environment(&self) -> Option<&Path> {
        self.overrides.build_environment.as_deref().or(self.settings.build_environment.as_deref())
    }
}
