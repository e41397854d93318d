//! The engine behind the `dkms` commands: requests to a [`Machine`], results to an [`Outcome`].

use std::path::{Path, PathBuf};

use crate::adapters::{dpkg, rpm};
use crate::apply::run::{Done, Flags};
use crate::apply::tarball::{self, Loaded, Pack, Unpacked};
use crate::apply::tree;
use crate::cli::engine::{Engine, Failure, KeyPair, Need, Options, Outcome, Target, already_added};
use crate::conf::model::{Conf, ConfError};
use crate::conf::{self, Strictness};
use crate::display::Display;
use crate::fs::atomic::TEMPORARY;
use crate::fs::copy::copy_tree;
use crate::fs::same::same_place;
use crate::fs::temporary;
use crate::kernel;
use crate::kernel::PairState;
use crate::machine::{Machine, Ran};
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId};
use crate::model::record::Overrides;
use crate::model::request::{Goal, Request};
use crate::model::settings::Settings;
use crate::model::system::Now;
use crate::model::version;
use crate::plan::{Action, InitramfsDuty, Note};
use crate::progress::Report;
use crate::tree::layout::Layout;
use crate::tree::left::{self, Left};
use crate::tree::notes;
use crate::tree::registry;

mod archives;

/// See [`Engine`].
#[derive(Debug)]
pub struct Worker {
    machine: Machine,
    report: Display,
    caller: Caller,
}

/// Who runs the command. In a package's script failures are told at the end, are not tried twice, and the
/// initramfs is left to our trigger, where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Person,
    Dpkg,
    Rpm,
}

impl Caller {
    fn here() -> Self {
        match () {
            () if dpkg::in_maintainer_script() => Self::Dpkg,
            () if rpm::in_scriptlet() => Self::Rpm,
            () => Self::Person,
        }
    }
}

/// Whether a person runs the command, and no package's script.
pub(super) fn is_a_person() -> bool {
    Caller::here() == Caller::Person
}

impl Worker {
    /// Works on a machine, telling progress to `report`.
    pub fn new(machine: Machine, report: Display) -> Self {
        let caller = Caller::here();
        Self { machine: Machine { anew: caller == Caller::Person, ..machine }, report, caller }
    }

    /// What the command line and the environment say instead of the files. Paths become absolute: they
    /// are kept with the build, and a hook runs in another directory.
    fn overrides(&self, options: &Options) -> Overrides {
        let absolute = |path: &Option<PathBuf>| {
            path.as_ref().map(|p| std::path::absolute(p).unwrap_or_else(|_| p.clone()))
        };
        let named = &self.machine.settings.named;
        let directives = named.directives.iter().map(|directive| &directive.value);
        Overrides {
            conf: absolute(&options.conf),
            kernel_config: absolute(&options.kernel_config),
            kernel_source_dir: absolute(&options.kernel_source_dir),
            build_environment: named.build_environment.value.clone(),
            directives: directives.chain(&options.directives).cloned().collect(),
        }
    }

    /// Whether the kernel is one that is leaving: who asks for modules for it says it is not.
    fn tombstone(&self, request: &Request) -> Result<()> {
        match request {
            Request::KernelRemoved { kernel } => {
                let image = kernel::image(&self.machine.layout, kernel).unwrap_or(true);
                self.machine.mark_removed(kernel, image, &self.report)
            }
            Request::Autoinstall { kernel, .. }
            | Request::Bring { kernel, to: Goal::Built | Goal::Installed, .. } => {
                self.machine.mark_removed(kernel, false, &self.report)?;
                self.machine.mark_boot_entry(kernel, false, &self.report)
            }
            _ => Ok(()),
        }
    }

    fn outcome(&self, request: &Request, ran: &Ran) -> Outcome {
        let mut outcome = Outcome::default();
        if let Some(error) = ran.stop() {
            outcome.failures.push(Failure { module: None, kernel: None, error });
        }
        for (action, error) in ran.errors() {
            // A failed re-signing leaves a working build, so it is a warning, not the command's failure.
            if matches!(action, Action::Resign { .. }) {
                self.report.warning(&error.to_string());
                continue;
            }
            let cell = action.cell();
            outcome.failures.push(Failure {
                module: cell.map(|c| c.module.clone()),
                kernel: action.kernel().cloned(),
                error: error.clone(),
            });
        }
        for note in &ran.plan.notes {
            self.note(request, note, &mut outcome);
        }
        outcome.changed = changed(ran);
        outcome.reached = match request {
            Request::Autoinstall { kernel, arch } => reached(ran, kernel, arch, &outcome),
            Request::Bring { module, kernel, arch, .. }
                if outcome.failures.is_empty() && outcome.excluded.is_empty() =>
            {
                vec![Cell { module: module.clone(), kernel: kernel.clone(), arch: arch.clone() }]
            }
            _ => Vec::new(),
        };
        if let Request::Autoinstall { .. } = request {
            outcome.unresolved.extend(left_out(ran));
            outcome.unresolved.sort();
            outcome.unresolved.dedup();
        }
        outcome.code = match (request, outcome.failures.first()) {
            (_, Some(first)) if matches!(first.error.kind, Kind::Interrupted(_)) => {
                first.error.kind.exit_status()
            }
            (Request::Autoinstall { .. }, None) if !outcome.unresolved.is_empty() => {
                Kind::ModulesFailed.exit_status()
            }
            (Request::Autoinstall { .. }, Some(first))
                if first.error.kind.exit_status() != Kind::HeadersMissing.exit_status() =>
            {
                Kind::ModulesFailed.exit_status()
            }
            (_, Some(first)) => first.error.kind.exit_status(),
            (Request::Bring { .. }, None) if !outcome.excluded.is_empty() => Kind::Excluded.exit_status(),
            (_, None) => 0,
        };
        outcome
    }

    fn note(&self, request: &Request, note: &Note, outcome: &mut Outcome) {
        let autoinstall = matches!(request, Request::Autoinstall { .. });
        match note {
            Note::Excluded { cell, why } => outcome.excluded.push((cell.clone(), why.clone())),
            Note::MissingDepends { cell, names, known: false } if autoinstall => {
                outcome.deferred.push((cell.clone(), names.clone()));
            }
            Note::MissingDepends { cell, names, known: true } if autoinstall => {
                outcome.unresolved.push((cell.clone(), names.clone()));
            }
            // DKMS goes on with the others; the entry is not one of those asked for.
            Note::Broken { .. } if autoinstall => {
                self.report.warning(&note.text());
            }
            Note::NoIndex { .. } => self.report.warning(&note.text()),
            Note::OlderInstead { .. } if autoinstall => self.report.line(&note.text()),
            _ => {
                if let Some(error) = note.error() {
                    let (module, kernel) = whose(note);
                    outcome.failures.push(Failure { module, kernel, error });
                }
            }
        }
    }

    /// Runs POST_ADD of a source that was just registered.
    fn post_add(&self, conf: &Conf, id: &ModuleId, target: Option<&Target>, options: &Options) -> Result<()> {
        let kernel = target.map(|target| &target.kernel);
        self.machine.post_add(conf, id, kernel, &self.overrides(options), &self.report)
    }
}

/// Cells that some step changed.
fn changed(ran: &Ran) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (step, done) in ran.plan.steps.iter().zip(&ran.done) {
        if let (Done::Yes, Some(cell)) = (done, step.action.cell())
            && !matches!(step.action, Action::Adopt { .. })
            && !cells.contains(cell)
        {
            cells.push(cell.clone());
        }
    }
    cells
}

/// Cells whose build was left out because one that they depend on failed, with the names of what they
/// depend on and did not get.
fn left_out(ran: &Ran) -> Vec<(Cell, Vec<String>)> {
    let steps = || ran.plan.steps.iter().zip(&ran.done);
    let missing = |cell: &Cell, name: &String| {
        steps().any(|(step, done)| {
            *done != Done::Yes
                && step
                    .action
                    .cell()
                    .is_some_and(|c| c.kernel == cell.kernel && c.module.name.as_str() == name)
        })
    };
    let left_out = steps().filter_map(|(step, done)| match (&step.action, done) {
        (Action::Build { cell, .. }, Done::Without(_)) => Some(cell),
        _ => None,
    });
    let with_names = left_out.filter_map(|cell| match &ran.system.cell(cell)?.now {
        Now::Judged { facts, .. } => {
            let names = facts.depends.iter().filter(|name| missing(cell, name)).cloned().collect();
            Some((cell.clone(), names))
        }
        _ => None,
    });
    with_names.collect()
}

/// Cells of a kernel that are installed now. As to DKMS, an older version counts for nothing where the newest failed.
fn reached(ran: &Ran, kernel: &KernelRelease, arch: &Arch, outcome: &Outcome) -> Vec<Cell> {
    let name = |f: &Failure| f.module.as_ref().map(|id| id.name.clone());
    let failed = |c: &Cell| outcome.failures.iter().any(|f| name(f).as_ref() == Some(&c.module.name));
    let installed_now = |cell: &Cell| {
        ran.plan.steps.iter().zip(&ran.done).any(|(step, done)| {
            matches!((&step.action, done), (Action::Install { cell: c, .. }, Done::Yes) if c == cell)
        })
    };
    let here = || ran.system.cells.iter().filter(|(c, _)| c.kernel == *kernel && c.arch == *arch);
    // Another version of it took its place.
    let replaced =
        |cell: &Cell| here().any(|(c, _)| c.module.name == cell.module.name && c != cell && installed_now(c));
    here()
        .filter(|(c, v)| (installed_now(c) || v.installed && !replaced(c)) && !failed(c))
        .map(|(c, _)| c.clone())
        .collect()
}

fn whose(note: &Note) -> (Option<ModuleId>, Option<KernelRelease>) {
    if let Some(cell) = note.cell() {
        return (Some(cell.module.clone()), Some(cell.kernel.clone()));
    }
    match note {
        Note::Broken { module, .. } | Note::NotAdded { module } | Note::AlreadyAdded { module } => {
            (Some(module.clone()), None)
        }
        Note::Waiting { kernel, .. } | Note::UnknownKernel { kernel } => (None, Some(kernel.clone())),
        _ => (None, None),
    }
}

impl Engine for Worker {
    fn layout(&self) -> &Layout {
        &self.machine.layout
    }

    fn run(&mut self, request: &Request, options: &Options) -> Outcome {
        let root = &self.machine.layout.root;
        let triggered = match self.caller {
            Caller::Person => false,
            Caller::Dpkg => dpkg::has_trigger(root),
            Caller::Rpm => rpm::has_triggers(root),
        };
        let in_package = self.caller != Caller::Person;
        let plan_options = crate::plan::Options {
            depmod: !options.no_depmod,
            initramfs: if triggered { InitramfsDuty::Later } else { InitramfsDuty::Now },
            retry_provisional: !triggered,
            heed_failures: in_package,
            any_version: options.force_version_override,
            force_install: options.rpm_safe_upgrade,
            ..crate::plan::Options::default()
        };
        let flags = Flags { interactive: !in_package, ..Flags::default() };
        if let Err(error) = self.tombstone(request) {
            return error.into();
        }
        let ran =
            match self.machine.run(request, &plan_options, &self.overrides(options), &flags, &self.report) {
                Ok(ran) => ran,
                Err(error) => return error.into(),
            };
        let outcome = self.outcome(request, &ran);
        if self.caller == Caller::Dpkg && !outcome.changed.is_empty() {
            dpkg::activate_trigger(&self.machine.layout.root);
        }
        outcome
    }

    fn conf(
        &self,
        source: &Path,
        id: Option<&ModuleId>,
        target: Option<&Target>,
        options: &Options,
    ) -> Result<Conf> {
        let layout = &self.machine.layout;
        let overrides = self.overrides(options);
        let observer = self.machine.observer(&overrides);
        let kernel = target.map(|target| &target.kernel);
        let arch = target.map_or(&self.machine.arch, |target| &target.arch);
        let context = observer.context_for(id, kernel, arch);
        let file = match &options.conf {
            Some(file) => file.clone(),
            None if layout.root.is_slash() => {
                layout.root.resolve(source).unwrap_or_else(|_| source.to_path_buf()).join("dkms.conf")
            }
            // Its links are followed from inside the root.
            None if source.starts_with(layout.root.dir()) => {
                let path = layout.root.inside(source).join("dkms.conf");
                let resolved = layout.root.resolve(&path);
                resolved.map_err(|e| ConfError::Unreadable { path, why: e.to_string() })?
            }
            None => source.join("dkms.conf"),
        };
        let files = match id {
            Some(id) => conf::override_files(layout, id, kernel, arch),
            None => Vec::new(),
        };
        let all: Vec<PathBuf> = std::iter::once(&file).chain(&files).cloned().collect();
        let how = (context.limit, self.machine.anew);
        let load = || conf::load(&layout.root, &file, &files, &context, Strictness::Build);
        Ok(self.machine.endless.ask(layout, &all, how, load)?)
    }

    fn add_source(
        &mut self,
        from: &Path,
        id: &ModuleId,
        target: Option<&Target>,
        options: &Options,
    ) -> Result<()> {
        let layout = self.machine.layout.clone();
        let source = layout.source(id);
        let lock = match self.machine.lock(&self.report) {
            Err(error) if error.kind == Kind::Locked && same_place(from, &source) => {
                left::leave(&layout, &Left::Add(id.clone()))?;
                return Err(error);
            }
            lock => lock?,
        };
        if registry::is_added(&layout, id) {
            // By another run, while this one waited.
            return Err(already_added(id));
        }
        if !same_place(from, &source) {
            copy_source(from, &source, options.force)?;
        }
        let conf = self.conf(&source, Some(id), target, options)?;
        tree::add(&layout, id)?;
        // The script may call us.
        drop(lock);
        self.post_add(&conf, id, target, options)
    }

    fn unpack(&mut self, archive: &Path) -> Result<Unpacked> {
        tarball::unpack(&self.machine.layout, archive, self.machine.patience(), &self.report)
    }

    fn load(
        &mut self,
        unpacked: Unpacked,
        id: &ModuleId,
        target: Option<&Target>,
        options: &Options,
    ) -> Result<Loaded> {
        self.load_archive(unpacked, id, target, options)
    }

    fn pack(&mut self, order: &Pack) -> Result<()> {
        self.make_archive(order)
    }

    fn install_package(&mut self, file: &Path) -> Result<()> {
        self.install_rpm(file)
    }

    fn key_pair(&mut self, target: Option<&Target>) -> Result<KeyPair> {
        let pair = self.machine.pair(target.map(|target| &target.kernel))?;
        if pair.state(&self.machine.layout) == PairState::Missing {
            // Whoever cannot make the pair is not told where it would be.
            self.permit(Need::Root)
                .map_err(|error| error.context("there is no signing key yet, and it cannot be made"))?;
        }
        let flags = Flags { interactive: self.caller == Caller::Person, ..Flags::default() };
        let made = self.machine.make_pair(&pair, flags.may_ask(), &self.report);
        let next = self.machine.next_for(&pair);
        Ok(KeyPair { lines: pair.lines(), made, next })
    }

    fn settings(&self) -> &Settings {
        &self.machine.settings
    }

    fn running_kernel(&self) -> Option<KernelRelease> {
        self.machine.running_kernel()
    }

    fn kernels_with_headers(&self) -> Vec<KernelRelease> {
        let layout = &self.machine.layout;
        let mut found: Vec<KernelRelease> = kernel::releases(layout, [])
            .into_iter()
            .filter(|k| kernel::headers_present(layout, k))
            .filter(|k| {
                let note = notes::kernel_note(layout, k);
                !note.removed && !note.boot_entry_removed
            })
            .collect();
        found.sort_by(|a, b| version::compare(a.as_str(), b.as_str()));
        found
    }

    fn arch(&self, _kernel: &KernelRelease) -> Result<Arch> {
        Ok(self.machine.arch.clone())
    }
}

/// Copies a source directory to its place in the source tree: beside it first, then renamed, so
/// that nobody sees half of one. Without `force` what is there is written over.
fn copy_source(from: &Path, to: &Path, force: bool) -> Result<()> {
    let failed = |e: &dyn std::fmt::Display| {
        Error::new(Kind::NotCopied, format!("cannot copy {} to {}: {e}", from.display(), to.display()))
    };
    if to.is_dir() && !force {
        return copy_tree(from, to).map_err(|e| failed(&e));
    }
    let parent = to.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, &e))?;
    let place = temporary::Dir::new(parent, TEMPORARY).map_err(|e| failed(&e))?;
    let new = place.path().join("source");
    copy_tree(from, &new).map_err(|e| failed(&e))?;
    if to.exists() {
        std::fs::rename(to, place.path().join("old")).map_err(|e| failed(&e))?;
    }
    std::fs::rename(&new, to).map_err(|e| failed(&e))
}
