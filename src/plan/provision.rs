//! What a module is to others in a plan, and which build of it they will find.

use std::rc::Rc;

use crate::model::inputs::Inputs;
use crate::model::system::CellView;

/// What a module is worth to those that depend on it.
#[derive(Debug, Clone)]
pub(super) enum Provision<'a> {
    /// Being worked out: seen again, it is a cycle.
    Visiting,
    /// There.
    Ready {
        /// After this step; at once when `None`.
        after: Option<usize>,
        /// Which build of it.
        build: BuildOf<'a>,
    },
    /// Not for this kernel: counts as satisfied, as in DKMS.
    Excluded,
    /// Registered, but it cannot be had.
    Unavailable,
    /// Nobody knows it.
    Unregistered,
}

/// Which build of a module its dependents will find.
#[derive(Debug, Clone, Default)]
pub(super) struct BuildOf<'a> {
    /// What it is written down to be made from; nothing where it has no record.
    inputs: Option<&'a Inputs>,
    /// What it depends on will be other builds than the inputs say.
    depends: Option<Rc<[Dependency<'a>]>>,
    /// This run makes it.
    anew: bool,
}

/// A module that another depends on, as that one will find it.
#[derive(Debug, Clone)]
pub(super) struct Dependency<'a> {
    /// Its name.
    pub(super) name: String,
    /// Which build of it.
    pub(super) build: BuildOf<'a>,
    /// Another build of it makes what depends on it stale.
    pub(super) counts: bool,
}

impl<'a> BuildOf<'a> {
    /// The build that a cell has.
    pub(super) fn of(view: &'a CellView) -> Self {
        Self { inputs: view.record.as_ref().map(|r| &*r.inputs), ..Self::default() }
    }

    /// One that this run makes, of which nothing else is known: never the same as before.
    pub(super) fn unknown() -> Self {
        Self { anew: true, ..Self::default() }
    }

    /// One that will be written down as made from `inputs` with these modules to depend on.
    pub(super) fn from(inputs: &'a Inputs, depends: Vec<Dependency<'a>>, anew: bool) -> Self {
        Self { inputs: Some(inputs), depends: (!depends.is_empty()).then(|| depends.into()), anew }
    }

    /// Its fingerprint. Worked out only where somebody depends on it.
    fn fingerprint(&self) -> Option<String> {
        let inputs = self.inputs?;
        let Some(depends) = &self.depends else { return Some(inputs.fingerprint()) };
        let mut inputs = inputs.clone();
        for Dependency { name, build, .. } in depends.iter() {
            match build.fingerprint() {
                Some(print) => inputs.depends.insert(name.clone(), print),
                None => inputs.depends.remove(name),
            };
        }
        Some(inputs.fingerprint())
    }

    /// Whether something made from `inputs` (of which nothing is known when `None`) was made from
    /// another build than this.
    pub(super) fn is_other(&self, name: &str, inputs: Option<&Inputs>) -> bool {
        match (inputs, self.fingerprint()) {
            (Some(inputs), Some(print)) => inputs.depends.get(name) != Some(&print),
            _ => self.anew,
        }
    }
}

/// A module that will be there.
pub(super) fn ready(after: Option<usize>, build: BuildOf<'_>) -> Provision<'_> {
    Provision::Ready { after, build }
}

/// A module that nothing is done about.
pub(super) fn as_it_is(view: &CellView) -> Provision<'_> {
    match view.installed {
        true => ready(None, BuildOf::of(view)),
        false => Provision::Unavailable,
    }
}
