//! The plan while it is being made: steps so far, and what they change.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::mem::{Discriminant, discriminant};
use std::rc::Rc;

use super::index::{Index, Known, Place};
use super::names::NamesToCome;
use super::provision::Provision;
use super::{Action, Condition, Duty, Note, Options, Plan, Reason, Step, Subject};
use crate::model::fit::{Fit, Misfit, Rebuild};
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId, ModuleName};
use crate::model::indexed::{Found, Indexed};
use crate::model::inputs::Change;
use crate::model::request::Request;
use crate::model::system::{CellView, InstallTree, Now, Source, System};

/// How one cell stands against its inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// No build.
    Absent,
    /// Built; nothing changed since, or nothing can be said (no headers to compare with).
    Fresh,
    /// Built; this changed since.
    Stale(Change),
    /// Built by DKMS: fits this kernel.
    Adoptable,
    /// Built by DKMS, but for another kernel.
    WrongKernel,
    /// Built by DKMS for this kernel, and does not fit what is there.
    Unfit(Misfit),
}

pub(super) struct Planner<'a> {
    pub(super) system: &'a System,
    pub(super) options: &'a Options,
    pub(super) plan: Plan,
    pub(super) index: Rc<Index<'a>>,
    /// Module versions whose source is gone, as far as they were told.
    broken: BTreeSet<&'a ModuleId>,
    /// What was noted of cells.
    noted: HashSet<(Discriminant<Note>, Cell)>,
    /// Modules without AUTOINSTALL are installed by themselves, too.
    pub(super) every_module: bool,
    /// By kernel and module.
    provisions: Vec<Vec<Option<Provision<'a>>>>,
    /// A person asks for one module by name.
    pub(super) by_name: bool,
    /// Kernels that this request is about.
    pub(super) scope: BTreeSet<KernelRelease>,
    pub(super) sweep: BTreeMap<KernelRelease, Reason>,
    /// The names of modules that steps so far install.
    pub(super) names_to_come: NamesToCome,
    /// Kernels that are not on disk, and yet cannot be taken to be gone.
    pub(super) doubtful: BTreeSet<KernelRelease>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(system: &'a System, options: &'a Options) -> Self {
        Self {
            system,
            options,
            plan: Plan::default(),
            index: Rc::new(Index::new(system)),
            broken: BTreeSet::new(),
            noted: HashSet::new(),
            every_module: false,
            by_name: false,
            provisions: Vec::new(),
            scope: BTreeSet::new(),
            sweep: BTreeMap::new(),
            names_to_come: NamesToCome::default(),
            doubtful: BTreeSet::new(),
        }
    }

    pub(super) fn note(&mut self, note: Note) {
        let new = match note.cell() {
            // There may be one for every cell.
            Some(cell) => self.noted.insert((discriminant(&note), cell.clone())),
            None => matches!(note, Note::Broken { .. }) || !self.plan.notes.contains(&note),
        };
        if new {
            self.plan.notes.push(note);
        }
    }

    /// Adds a step and returns its index.
    pub(super) fn step(&mut self, action: Action, reason: Reason, needs: Vec<usize>) -> usize {
        self.step_if(action, reason, needs, Condition::Always)
    }

    /// As [`Self::step`], for a step that depends on more than its needs.
    pub(super) fn step_if(
        &mut self,
        action: Action,
        reason: Reason,
        needs: Vec<usize>,
        when: Condition,
    ) -> usize {
        self.plan.steps.push(Step { action, reason, needs, when });
        self.plan.steps.len() - 1
    }

    /// Plans with `work`, and takes back all steps of it when it says that they lead nowhere.
    pub(super) fn all_or_none<T, E>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        let steps = self.plan.steps.len();
        let result = work(self);
        if result.is_err() {
            self.forget_names_from(steps);
            self.plan.steps.truncate(steps);
        }
        result
    }

    /// A remembered duty is done with.
    pub(super) fn settle(&mut self, kernel: &KernelRelease, duty: Duty) {
        self.plan.settled.insert((kernel.clone(), duty));
    }

    /// Indices of the steps that delete builds.
    pub(super) fn unbuild_steps(&self) -> Vec<usize> {
        let steps = self.plan.steps.iter().enumerate();
        steps.filter(|(_, s)| matches!(s.action, Action::Unbuild { .. })).map(|(i, _)| i).collect()
    }

    pub(super) fn view(&self, cell: &Cell) -> Option<&'a CellView> {
        self.system.cells.get(cell)
    }

    /// What a module was found to be worth.
    pub(super) fn provision(&mut self, place: Place) -> &mut Option<Provision<'a>> {
        if self.provisions.len() <= place.kernel {
            self.provisions.resize_with(place.kernel + 1, Vec::new);
        }
        let of_kernel = &mut self.provisions[place.kernel];
        if of_kernel.is_empty() {
            of_kernel.resize_with(self.index.modules(), || None);
        }
        &mut of_kernel[place.name]
    }

    /// The version of a module that is installed for a kernel.
    pub(super) fn installed(
        &self,
        name: &ModuleName,
        kernel: &KernelRelease,
        arch: &Arch,
    ) -> Option<Known<'a>> {
        self.index.installed(self.index.place(name, kernel)?, arch)
    }

    /// How a cell stands, given what is planned for the modules it depends on.
    pub(super) fn standing(&self, view: &CellView) -> Standing {
        if !view.built {
            return Standing::Absent;
        }
        let Some(record) = &view.record else {
            return match &view.fit {
                _ if !view.vermagic_matches => Standing::WrongKernel,
                Some(Fit::Not(misfit)) => Standing::Unfit(misfit.clone()),
                _ => Standing::Adoptable,
            };
        };
        let Now::Judged { inputs, .. } = &view.now else { return Standing::Fresh };
        let change = match self.fits_headers(view) {
            true => inputs.change_beside_headers(&record.inputs),
            false => inputs.change_since(&record.inputs),
        };
        change.map_or(Standing::Fresh, Standing::Stale)
    }

    /// True when headers that changed do not make a build stale: the administrator wants it so, and all
    /// that it imports is what it was.
    fn fits_headers(&self, view: &CellView) -> bool {
        self.system.rebuild == Rebuild::Abi && matches!(view.fit, Some(Fit::Fits(_)))
    }

    /// Plans to write down that a build fits headers that changed, unless that is done (false).
    pub(super) fn keep_step(&mut self, cell: &Cell, view: &CellView) -> bool {
        let (Now::Judged { inputs, .. }, Some(record), Some(Fit::Fits(compared))) =
            (&view.now, &view.record, &view.fit)
        else {
            return false;
        };
        if !self.fits_headers(view) || inputs.headers == record.judged().headers {
            return false;
        }
        let change = inputs.headers.change_since(&record.judged().headers);
        let reason = Reason::AbiKept { change, compared: *compared };
        self.step(Action::Keep { cell: cell.clone() }, reason, Vec::new());
        true
    }

    /// Notes for which kernels `rebuild=abi` could keep nothing: without versions of symbols, and without a list
    /// of the types that it uses, nobody can say whether a build fits headers that changed.
    pub(super) fn note_unversioned(&mut self) {
        if self.system.rebuild != Rebuild::Abi {
            return;
        }
        let unknown = |cell: &Cell| self.view(cell).is_some_and(|view| view.fit == Some(Fit::Unknown));
        let for_headers = self.plan.steps.iter().filter_map(|step| match (&step.action, &step.reason) {
            (Action::Build { cell, .. }, Reason::Stale { change: Change::Headers { .. } }) => Some(cell),
            _ => None,
        });
        let kernels: BTreeSet<KernelRelease> =
            for_headers.filter(|cell| unknown(cell)).map(|cell| cell.kernel.clone()).collect();
        for kernel in kernels {
            if self.system.kernels.get(&kernel).is_some_and(|known| known.unversioned) {
                self.note(Note::Unversioned { kernel });
            }
        }
    }

    /// Why a build is stale, with what is known beside the input that changed.
    pub(super) fn stale(view: &CellView, change: &Change) -> Reason {
        if let (true, Some(change)) = (change.is_conf(), &view.directive) {
            return Reason::Directive { change: change.clone() };
        }
        match (change, &view.fit) {
            (Change::Headers { .. }, Some(Fit::Not(misfit))) => {
                Reason::Misfit { change: change.clone(), misfit: misfit.clone() }
            }
            _ => Reason::Stale { change: change.clone() },
        }
    }

    /// The change of key, where a build bears the signature of another than the present one.
    pub(super) fn signing_change(view: &CellView) -> Option<Change> {
        match (&view.now, &view.record) {
            (Now::Judged { inputs, .. }, Some(record)) => inputs.signing_change(&record.inputs),
            _ => None,
        }
    }

    /// Plans to sign a build anew. Its installed files follow at once where they are those of the
    /// build; otherwise (true) an installation has to bring them.
    pub(super) fn resign_step(&mut self, cell: &Cell, view: &CellView, reason: Reason) -> (usize, bool) {
        let recorded = view.record.as_ref().is_some_and(|r| !r.installed.is_empty());
        let reinstall = view.installed && view.intact && recorded;
        let step = self.step(Action::Resign { cell: cell.clone(), reinstall }, reason, Vec::new());
        (step, view.installed && !reinstall)
    }

    /// Why an installed build is to be installed again.
    pub(super) fn why_mended(&self, cell: &Cell) -> Reason {
        match self.system.indexed.get(cell).map(|indexed| &indexed.found) {
            Some(Found::Another { by, kept: None }) => Reason::Displaced { by: by.clone() },
            _ => Reason::FilesMissing,
        }
    }

    /// Notes what the index of a kernel's modules says of an installed build that nothing is done about.
    pub(super) fn note_index(&mut self, cell: &Cell) {
        let Some(Indexed { known, found, .. }) = self.system.indexed.get(cell) else { return };
        match found {
            Found::Another { by, kept: Some(why) } => {
                self.note(Note::Displaced { cell: cell.clone(), by: by.clone(), why: why.clone() });
            }
            Found::Nothing { file } if *known => {
                self.note(Note::NotIndexed { cell: cell.clone(), file: file.clone() });
            }
            _ => {}
        }
    }

    /// Notes once that a source is missing, or could not be looked at.
    pub(super) fn note_broken(&mut self, id: &'a ModuleId, source: Option<&Source>) {
        let module = id.clone();
        let note = match source {
            Some(Source::Dangling(target)) => Note::Broken { module, target: target.clone() },
            Some(Source::Blind(blind)) => {
                Note::Blind { about: Subject::Module { module }, blind: blind.clone() }
            }
            Some(Source::Added | Source::BinariesOnly) | None => return,
        };
        if self.broken.insert(id) {
            self.note(note);
        }
    }

    /// Notes what could not be looked at in the module tree and may concern the request.
    pub(super) fn note_blind_modules(&mut self, request: &Request) {
        let named = match request {
            Request::Bring { module, .. } | Request::Remove { module, .. } => Some(&module.name),
            _ => None,
        };
        for (name, blind) in &self.system.blind {
            if name.as_ref().is_none_or(|name| named.is_none_or(|named| named == name)) {
                self.note(Note::Blind { about: Subject::Modules, blind: blind.clone() });
            }
        }
    }

    /// Notes that a build could not be looked at, if that is so.
    pub(super) fn is_blind(&mut self, cell: &Cell, view: &CellView) -> bool {
        if let Some(blind) = &view.blind {
            let about = Subject::Build { cell: cell.clone() };
            self.note(Note::Blind { about, blind: blind.clone() });
        }
        view.blind.is_some()
    }

    /// Notes that a verdict could not be read, if that is so: it may say that the build failed.
    pub(super) fn has_unread_verdict(&mut self, cell: &Cell, view: &CellView) -> bool {
        if let Some(blind) = &view.unread_verdict {
            let about = Subject::Verdict { cell: cell.clone() };
            self.note(Note::Blind { about, blind: blind.clone() });
        }
        view.unread_verdict.is_some()
    }

    /// Notes what of a kernel could not be looked at. True when nothing can be decided for it.
    pub(super) fn is_blind_kernel(&mut self, kernel: &KernelRelease) -> bool {
        let Some(known) = self.system.kernels.get(kernel) else { return false };
        let undecided = self.is_undecided(kernel);
        // Where none of them can be read, that was said of all of them.
        if let Some(blind) = known.unread_note.as_ref().filter(|_| !undecided || known.blind.is_some()) {
            let about = Subject::KernelNote { kernel: kernel.clone() };
            self.note(Note::Blind { about, blind: blind.clone() });
        }
        match (&known.blind, &self.system.install_tree) {
            // The whole directory cannot be looked at: one message for all kernels.
            (Some(_), InstallTree::Blind(_)) => drop(self.doubtful.insert(kernel.clone())),
            (Some(blind), _) => {
                let about = Subject::Kernel { kernel: kernel.clone() };
                self.note(Note::Blind { about, blind: blind.clone() });
            }
            (None, _) => {}
        }
        undecided
    }

    /// True when nothing can be decided for a kernel: it could not be looked at, or nothing that is kept of
    /// any kernel could.
    pub(super) fn is_undecided(&self, kernel: &KernelRelease) -> bool {
        let Some(known) = self.system.kernels.get(kernel) else { return false };
        let all = || self.system.blind.iter().any(|(module, _)| module.is_none());
        known.blind.is_some() || known.unread_note.is_some() && all()
    }
}

/// Kernels that a request needs observed; `None` means all.
pub fn kernels_of(request: &Request) -> Option<Vec<KernelRelease>> {
    match request {
        Request::Reconcile { kernels, .. } | Request::Resign { kernels, .. } => kernels.clone(),
        Request::Autoinstall { kernel, .. }
        | Request::Bring { kernel, .. }
        | Request::KernelRemoved { kernel } => Some(vec![kernel.clone()]),
        Request::Remove { cells, .. } => Some(cells.iter().map(|(k, _)| k.clone()).collect()),
    }
}
