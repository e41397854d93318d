//! Carries a plan out. A step whose need failed is left out; nothing else stops.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::apply::depmod;
use crate::apply::guard;
use crate::apply::initramfs;
use crate::apply::install::Installer;
use crate::apply::modprobe;
use crate::apply::own_writes::{Command, Watch};
use crate::apply::script;
use crate::apply::tree;
use crate::apply::weak_modules::{Changed, Sharing};
use crate::conf::Strictness;
use crate::conf::model::{Conf, Context};
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{Cell, KernelRelease, ModuleId};
use crate::model::rival::Rival;
use crate::model::settings::Limit;
use crate::model::system::{InstallTree, System};
use crate::observe::Observer;
use crate::observe::holdings::Holdings;
use crate::plan::{Action, Condition, Duty, Options, Plan, Step};
use crate::process::jobserver::Server;
use crate::process::{interrupt, more_time, took_longer};
use crate::progress::Report;
use crate::tree::notes;
use crate::tree::state;

mod at_once;
mod behind;
mod building;
mod builds;
mod long;
mod order;
mod places;
mod prospect;
mod resigning;
mod schedule;
mod trace;

use trace::Trace;

/// What a run may be told beside the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// A person reads our errors at once: a failure needs no summary later.
    pub interactive: bool,
    /// It is only to be known whether builds succeed: no script of an installation runs, and nobody is told.
    pub trial: bool,
}

impl Flags {
    /// True when somebody sits at the terminal who can be asked.
    pub fn may_ask(&self) -> bool {
        use std::io::IsTerminal;
        self.interactive && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Carried out.
    Yes,
    /// It failed.
    Failed(Error),
    /// Left out because this step, which it needs, did not succeed.
    Without(usize),
    /// Not wanted: its condition does not hold.
    Unmet,
    /// Not begun, or given up and cleaned up: a signal asked the run to end.
    Stopped,
}

/// Carries plans out.
pub struct Executor<'a> {
    /// Reads inputs again where a build needs them.
    pub observer: Observer<'a>,
    /// What the plan was made from.
    pub system: &'a System,
    /// As the plan was made.
    pub options: &'a Options,
    /// See [`Flags`].
    pub flags: &'a Flags,
    /// Progress.
    pub report: &'a dyn Report,
    /// An older version of a module is tried after this plan, where the newest does not compile.
    pub tries_older: bool,
    /// Builds that failed by their source although an older version of the module is registered.
    behind: RefCell<BTreeSet<Cell>>,
    /// A build was to be signed and could not be.
    unsigned: std::cell::Cell<bool>,
    /// What was installed or uninstalled so far, with its files.
    shared: RefCell<BTreeMap<KernelRelease, Vec<Changed>>>,
    /// What is installed: as the plan found it, and as this run changes it.
    pub(super) holdings: &'a Holdings<'a>,
    trace: Option<Trace>,
    /// Made when something is built.
    server: OnceCell<Server>,
}

impl<'a> Executor<'a> {
    /// One that has done nothing yet.
    pub fn new(
        observer: Observer<'a>,
        system: &'a System,
        options: &'a Options,
        flags: &'a Flags,
        holdings: &'a Holdings<'a>,
        report: &'a dyn Report,
    ) -> Self {
        let (shared, behind) = (RefCell::default(), RefCell::default());
        let trace = if flags.trial { None } else { Trace::open(observer.layout) };
        holdings.learn(system);
        let server = OnceCell::new();
        let tries_older = false;
        Self {
            observer,
            system,
            options,
            flags,
            report,
            tries_older,
            behind,
            unsigned: std::cell::Cell::new(false),
            shared,
            holdings,
            trace,
            server,
        }
    }
}

impl Executor<'_> {
    /// The job server of this run.
    pub(super) fn server(&self) -> &Server {
        self.server.get_or_init(|| Server::open(self.observer.jobs(), &self.observer.layout.state()))
    }

    /// Whether the condition of a step holds now: nothing else is asked before a step is carried out.
    fn holds(&self, step: &Step) -> bool {
        let note = || step.action.kernel().map(|kernel| notes::kernel_note(self.observer.layout, kernel));
        match (&step.when, &step.action) {
            // Of each module, the installation asks itself.
            (Condition::Always | Condition::NotOlder { .. }, _) => true,
            // Whatever changes files writes that down before.
            (Condition::Changed { .. }, Action::Depmod { .. }) => note().is_some_and(|note| note.depmod_due),
            (Condition::Changed { .. }, Action::Initramfs { kernel, .. }) if self.is_to_change(kernel) => {
                false
            }
            (Condition::Changed { modules }, Action::Initramfs { .. }) => {
                let due = note().and_then(|note| note.initramfs_due);
                due.is_some_and(|due| {
                    modules.is_empty() || due.modules.iter().any(|module| modules.contains(module))
                })
            }
            (Condition::Changed { .. }, action) => {
                let changed = self.shared.borrow();
                action.kernel().is_some_and(|kernel| changed.contains_key(kernel))
            }
            (Condition::LinkMisfit, Action::Unlink { cell, other, .. }) => {
                self.sharing().misfit(&cell.kernel, &self.changed_files(cell), other).is_some()
            }
            (Condition::LinkMisfit, _) => false,
            // Such a plan is none to be carried out.
            (Condition::InInitramfs { .. }, _) => true,
        }
    }

    /// What becomes of a step whose condition does not hold.
    fn unmet(&self, action: &Action) -> Done {
        let forgotten = match action {
            // Another plan of this run makes it, once for all.
            Action::Initramfs { kernel, .. } if self.is_to_change(kernel) => Ok(()),
            Action::Initramfs { kernel, .. } => initramfs::forget(self.observer.layout, kernel),
            _ => Ok(()),
        };
        forgotten.map_or_else(Done::Failed, |()| Done::Unmet)
    }

    fn sharing(&self) -> Sharing<'_> {
        let Observer { layout, distribution, .. } = self.observer;
        let limit = *self.observer.settings.limits.tool;
        Sharing { layout, distribution, limit, report: self.report }
    }

    /// Lets other kernels use what was installed for this one.
    fn share(&self, kernel: &KernelRelease) {
        let changed = self.shared.borrow();
        let allowed = |cell: &Cell| self.system.installs.get(cell).is_some_and(|found| found.shared);
        let mut of_kernel: Vec<&Changed> = changed.get(kernel).into_iter().flatten().collect();
        // In whatever order they were installed.
        of_kernel.sort_by(|(one, _), (other, _)| one.cmp(other));
        let added: Vec<PathBuf> = of_kernel
            .into_iter()
            .filter(|(cell, _)| allowed(cell))
            .flat_map(|(_, paths)| paths.iter())
            .filter(|path| self.observer.layout.root.path(path).exists())
            .cloned()
            .collect();
        self.sharing().add(kernel, &added);
    }

    /// The files of a cell that this run installed or uninstalled.
    fn changed_files(&self, cell: &Cell) -> Vec<PathBuf> {
        let changed = self.shared.borrow();
        let of_kernel = changed.get(&cell.kernel).into_iter().flatten();
        of_kernel.filter(|(of, _)| of == cell).flat_map(|(_, paths)| paths.clone()).collect()
    }

    fn is_shared(&self, cell: &Cell) -> bool {
        !*self.observer.settings.no_weak_modules
            && !self.conf(cell).1.is_ok_and(|conf| conf.is_some_and(|conf| conf.no_weak_modules))
    }

    fn changed(&self, cell: &Cell, paths: Vec<PathBuf>) {
        let mut shared = self.shared.borrow_mut();
        shared.entry(cell.kernel.clone()).or_default().push((cell.clone(), paths));
    }

    /// Forgets fulfilled duties. A failure costs another look next time, nothing more.
    fn settle(&self, plan: &Plan) {
        for (kernel, duty) in &plan.settled {
            let layout = self.observer.layout;
            let forgotten = match duty {
                Duty::Headers => notes::update(layout, kernel, |note| note.waiting = None),
                Duty::Depmod => notes::depmod_done(layout, kernel),
                Duty::Initramfs => initramfs::forget(layout, kernel),
            };
            if let Err(error) = forgotten {
                log::warn!("{error}");
            }
        }
        for (cell, why) in &plan.refused {
            if let Err(error) = self.installer(cell, &[]).write_refusal(cell, why) {
                log::warn!("{error}");
            }
        }
        for kernel in &self.options.depmod_follows {
            if let Err(error) = notes::depmod_follows(self.observer.layout, kernel) {
                log::warn!("{error}");
            }
        }
    }

    fn step(&self, Step { action, when, .. }: &Step) -> Result<()> {
        let layout = self.observer.layout;
        match action {
            Action::Add { module } => self.add(module),
            // They have work to be done, which is not done here.
            Action::Build { .. } | Action::Resign { .. } => Ok(()),
            Action::Adopt { cell } => self.adopt(cell),
            Action::Keep { cell } => self.keep(cell),
            Action::Install { cell, force, .. } => {
                let rivals = match when {
                    Condition::NotOlder { than } => than.as_slice(),
                    _ => &[],
                };
                self.install(cell, *force, rivals)
            }
            Action::Uninstall { cell } => self.uninstall(cell),
            Action::Unbuild { cell } => {
                self.installer(cell, &[]).clear_unfinished(cell)?;
                tree::unbuild(layout, cell)
            }
            Action::Forget { module } => tree::forget(layout, module),
            Action::Wait { kernel, package } => {
                notes::update(layout, kernel, |note| note.waiting = Some(package.clone()))
            }
            Action::Depmod { kernel } => self.depmod(kernel),
            Action::Initramfs { kernel, .. } => {
                let limit = *self.observer.settings.limits.initramfs;
                initramfs::make(layout, self.observer.distribution, kernel, limit, self.report)
            }
            Action::Share { kernel } => {
                self.share(kernel);
                Ok(())
            }
            Action::Unlink { cell, other, replaced } => {
                self.sharing().unlink(cell, &self.changed_files(cell), other, *replaced)
            }
            Action::Modprobe { .. } => {
                modprobe::run(layout, *self.observer.settings.limits.tool, self.report);
                Ok(())
            }
            Action::Guard => guard::run(&self.observer, self.report),
            Action::Sweep { kernel } => {
                let cells: Vec<Cell> = self.system.cells.keys().cloned().collect();
                tree::sweep(layout, kernel, &cells)
            }
        }
    }

    fn depmod(&self, kernel: &KernelRelease) -> Result<()> {
        let settings = self.observer.settings;
        let how = depmod::How { always_real: *settings.always_depmod, limit: *settings.limits.depmod };
        depmod::run(self.observer.layout, kernel, how, self.report)
    }

    fn add(&self, module: &ModuleId) -> Result<()> {
        tree::add(self.observer.layout, module)
    }

    fn installer<'s>(&'s self, cell: &Cell, rivals: &'s [Rival]) -> Installer<'s> {
        Installer {
            layout: self.observer.layout,
            distribution: self.observer.distribution,
            symlink_modules: *self.observer.settings.symlink_modules,
            rivals,
            found: self.system.indexed.get(cell).map(|indexed| &indexed.found),
            held_by: self.system.held.get(cell),
            force: false,
            kernel_event: self.options.kernel_event,
            gone: self.is_gone(&cell.kernel),
            holdings: self.holdings,
            report: self.report,
        }
    }

    /// Whether a kernel that is not on disk can be taken to be gone. A person may have something removed
    /// although that is not certain.
    fn is_gone(&self, kernel: &KernelRelease) -> bool {
        let known = self.system.kernels.get(kernel);
        let sound = self.system.install_tree == InstallTree::Sound && known.is_none_or(|k| k.blind.is_none());
        sound || self.options.purge_missing || self.options.kernel_left
    }

    /// What a conf is read with and, where there is one, what it says: a build whose source is gone can be
    /// installed and uninstalled. One that is there and cannot be read is not the same as none: it may
    /// have scripts.
    fn conf(&self, cell: &Cell) -> (Context, Result<Option<Conf>>) {
        let record = state::known(state::record(self.observer.layout, cell));
        let overrides = self.observer.overrides_of(cell, record.as_ref());
        let observer = self.observer.with(&overrides);
        let context = observer.context(cell);
        let conf = match observer.conf(cell, &context, Strictness::Other) {
            Ok(conf) => Ok(Some(conf)),
            Err(_) if observer.is_without_conf(&cell.module) => Ok(None),
            Err(error) => Err(error.into()),
        };
        (context, conf)
    }

    fn install(&self, cell: &Cell, force: bool, rivals: &[Rival]) -> Result<()> {
        let (context, conf) = self.conf(cell);
        let conf = match conf {
            Ok(conf) => conf,
            Err(error) if force => {
                let text =
                    format!("{error}\nPRE_INSTALL and POST_INSTALL of {}, if any, are not run", cell.module);
                self.report.warning(&text);
                None
            }
            // PRE_INSTALL can refuse the installation.
            Err(error) => {
                let hint = error.hint.clone();
                let why = format!("{} is not installed, as it may have a PRE_INSTALL", cell.module);
                let hint = hint.unwrap_or_else(|| "--force installs it without its scripts".to_owned());
                return Err(error.context(why).hint(hint));
            }
        };
        let scripts =
            conf.as_ref().filter(|_| !self.flags.trial).map(|c| c.scripts.clone()).unwrap_or_default();
        if let Some(text) = &scripts.pre_install {
            let ended = self.script("PRE_INSTALL", text, cell, &context);
            if !force {
                self.heed(ended, cell)?;
            }
        }
        let installer = Installer { force, ..self.installer(cell, rivals) };
        installer.install(cell, conf.as_ref()).map_err(of_installation)?;
        self.changed(cell, installer.installed_paths(cell, conf.as_ref()));
        match &scripts.post_install {
            Some(text) => self.post_install(text, cell, &context),
            None => Ok(()),
        }
    }

    /// Whether PRE_INSTALL lets a module be installed. One that does not end is remembered: every hook would wait for it
    /// again.
    fn heed(&self, ended: std::result::Result<i32, Limit>, cell: &Cell) -> Result<()> {
        match ended {
            Ok(0) => Ok(()),
            Ok(status) => {
                let text = format!("PRE_INSTALL of {} ended with status {status}", cell.module);
                let hint = "its messages are above; --force installs the modules anyway";
                Err(Error::new(Kind::PreInstall, text).hint(hint))
            }
            Err(limit) => {
                let why = format!("its PRE_INSTALL {}", took_longer(&limit));
                // Of a run that was stopped nothing is remembered.
                if interrupt::requested().is_none() {
                    self.installer(cell, &[]).write_refusal(cell, &why)?;
                }
                let text = format!("{} is not installed for {}: {why}", cell.module, cell.kernel);
                Err(Error::new(Kind::PreInstall, text).hint(more_time(&limit)))
            }
        }
    }

    /// A script that loads its module needs the index, one that adds files makes it out of date: so
    /// depmod runs before it and, at the end of the run, after it.
    fn post_install(&self, text: &str, cell: &Cell, context: &Context) -> Result<()> {
        let layout = self.observer.layout;
        let dir = layout.kernel(&cell.kernel);
        if self.options.depmod && (dir.join("kernel").is_dir() || dir.join("modules.dep").exists()) {
            // The one at the end fails as well, and says so.
            let _ = self.depmod(&cell.kernel);
            notes::depmod_lags(layout, &cell.kernel)?;
        }
        self.unheeded("POST_INSTALL", text, cell, context);
        Ok(())
    }

    fn uninstall(&self, cell: &Cell) -> Result<()> {
        let (context, conf) = self.conf(cell);
        let conf = conf.unwrap_or_else(|error| {
            let text = format!("{error}\nPOST_REMOVE of {}, if it has one, is not run", cell.module);
            self.report.warning(&text);
            None
        });
        let installer = self.installer(cell, &[]);
        let paths = installer.installed_paths(cell, conf.as_ref());
        if self.is_shared(cell) {
            self.sharing().remove(&cell.kernel, &paths);
        }
        installer.uninstall(cell, conf.as_ref())?;
        self.changed(cell, paths);
        if let Some(text) = conf.and_then(|c| c.scripts.post_remove) {
            self.unheeded("POST_REMOVE", &text, cell, &context);
        }
        Ok(())
    }

    /// Runs a script that can stop nothing any more.
    fn unheeded(&self, kind: &str, text: &str, cell: &Cell, context: &Context) {
        match self.script(kind, text, cell, context) {
            // One that took too long has been told.
            Ok(0) | Err(_) => {}
            Ok(status) => {
                self.report.warning(&format!("{kind} of {} ended with status {status}", cell.module));
            }
        }
    }

    /// Runs a script of the module's source; a script that cannot be run is a warning.
    fn script(
        &self,
        kind: &str,
        text: &str,
        cell: &Cell,
        context: &Context,
    ) -> std::result::Result<i32, Limit> {
        let dir: PathBuf = self.observer.source_dir(&cell.module);
        let mut watch = Watch::begin(self.observer.layout, &cell.module, &dir);
        let status = watch.during(Command::Script, || {
            let Observer { layout, settings, .. } = self.observer;
            script::run(layout, settings, &cell.module, (kind, text), &dir, context, self.report)
        });
        watch.settle();
        // It may have had other modules installed, and put files anywhere.
        self.holdings.forget();
        status
    }
}

/// What the file system refuses to an installation is a failure of the installation, as in DKMS.
fn of_installation(error: Error) -> Error {
    match error.kind {
        Kind::Io | Kind::Unseen => error.of_kind(Kind::NotInstallable),
        _ => error,
    }
}

/// True when a step was to take a link away and the link fits: nothing takes its place.
fn stays_linked(plan: &Plan, step: usize, done: &[Option<Done>]) -> bool {
    matches!(plan.steps[step].action, Action::Unlink { .. }) && done.get(step) == Some(&Some(Done::Unmet))
}
