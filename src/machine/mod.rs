//! Observe, plan, apply: one run from request to result, under the lock.

mod essential;
mod keys;
mod locking;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use crate::apply::post_transaction;
use crate::apply::run::{Done, Executor, Flags};
use crate::boot;
use crate::fs::directories::Memory;
use crate::fs::root::Root;
use crate::kernel;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleName};
use crate::model::record::{Overrides, Provenance, Record};
use crate::model::request::{Goal, Request};
use crate::model::settings::Settings;
use crate::model::system::{CellView, Signature, System};
use crate::observe::distribution::Distribution;
use crate::observe::endless::Endless;
use crate::observe::holdings::Holdings;
use crate::observe::left::concerned;
use crate::observe::{Asked, Observer};
use crate::plan::{self, Options, Plan};
use crate::progress::Report;
use crate::settings::{self, Environment, Given};
use crate::tree::layout::Layout;
use crate::tree::left::Left;
use crate::tree::lock;
use crate::tree::notes;

pub use nested::not_of_itself;

use older::{Call, Went};

mod nested;
mod older;
mod refresh;
mod secure_boot;
mod sources;
mod stopped;
mod trial;

/// A root with its settings: where every run starts.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Where things are.
    pub layout: Layout,
    /// The settings.
    pub settings: Settings,
    /// The distribution's rules.
    pub distribution: Distribution,
    /// Architecture of new cells.
    pub arch: Arch,
    /// A person typed the command: every dkms.conf that needs bash is asked again, whatever it said last.
    pub anew: bool,
    /// What earlier runs remember of directories.
    pub memory: Arc<OnceLock<Memory>>,
    /// With which dkms.conf files bash did not come to an end.
    pub endless: Arc<Endless>,
}

/// A finished run.
#[derive(Debug, Clone)]
pub struct Ran {
    /// What was found.
    pub system: System,
    /// What was decided.
    pub plan: Plan,
    /// What became of each step.
    pub done: Vec<Done>,
    /// A build should be signed and is not; that was told.
    pub unsigned: bool,
}

impl Ran {
    /// Errors of steps that failed. What was left out for want of another step is not repeated.
    pub fn errors(&self) -> impl Iterator<Item = (&plan::Action, &Error)> {
        self.plan.steps.iter().zip(&self.done).filter_map(|(step, done)| match done {
            Done::Failed(error) => Some((&step.action, error)),
            _ => None,
        })
    }

    /// Exit status of a run over everything: 11 when something that should be there is not.
    pub fn code(&self) -> u8 {
        let failed = self.unsigned
            || self.errors().next().is_some()
            || self.plan.notes.iter().any(plan::Note::is_failure);
        if failed { Kind::ModulesFailed.exit_status() } else { 0 }
    }
}

impl Machine {
    /// Reads the settings of a root. Settings that cannot be read are a warning, not a stop: a
    /// hook has to do its work with the defaults.
    ///
    /// # Errors
    /// When the architecture cannot be told.
    pub fn open(root: Root, given: &Given, report: &dyn Report) -> Result<Self> {
        let mut layout = Layout::new(root);
        let (settings, problem) = settings::load(&layout, &Environment::here(), given);
        if let Some(error) = problem {
            report.warning(&format!("{error}\nthe default settings are used"));
        }
        layout.dkms_tree.clone_from(&settings.dkms_tree);
        layout.source_tree.clone_from(&settings.source_tree);
        layout.install_tree.clone_from(&settings.install_tree);
        let distribution = Distribution::of(&layout.root, settings.addon_modules_dir.as_deref());
        let machine =
            nix::sys::utsname::uname().map_err(|e| Error::new(Kind::UnknownArchitecture, e.to_string()))?;
        let arch = Arch::new(machine.machine().to_string_lossy())
            .map_err(|e| Error::new(Kind::UnknownArchitecture, e.to_string()))?;
        Ok(Self {
            layout,
            settings,
            distribution,
            arch,
            anew: false,
            memory: Arc::default(),
            endless: Arc::default(),
        })
    }

    /// An observer of this machine.
    pub fn observer<'a>(&'a self, overrides: &'a Overrides) -> Observer<'a> {
        Observer {
            layout: &self.layout,
            settings: &self.settings,
            distribution: &self.distribution,
            arch: &self.arch,
            overrides,
            asked: None,
            anew: self.anew,
            memory: self.memory(),
            endless: &self.endless,
        }
    }

    fn memory(&self) -> &Memory {
        self.memory.get_or_init(|| Memory::read(&self.layout.directories()))
    }

    /// As it is for somebody to whom every dkms.conf has just been read.
    fn as_asked(&self) -> Self {
        Self { anew: false, ..self.clone() }
    }

    /// As [`Self::observer`], for what a request is about.
    fn observer_for<'a>(&'a self, request: &'a Request, overrides: &'a Overrides) -> Observer<'a> {
        let asked = match request {
            Request::Bring { module, to, force, .. } => {
                Some(Asked { module, anew: *force && *to == Goal::Built })
            }
            _ => None,
        };
        // What goes, goes whatever its dkms.conf would say now.
        let goes = match request {
            Request::Bring { to, .. } => matches!(to, Goal::Uninstalled | Goal::Added),
            Request::Remove { .. } | Request::KernelRemoved { .. } => true,
            _ => false,
        };
        Observer { asked, anew: self.anew && !goes, ..self.observer(overrides) }
    }

    /// What would be done, and what that was decided on. Changes nothing.
    pub fn plan(&self, request: &Request, options: &Options, overrides: &Overrides) -> (System, Plan) {
        let glance = self.glance(request, options, overrides);
        self.look_closer(glance, request, options, overrides, &Holdings::new(&self.layout))
    }

    /// As [`Self::plan`], but nothing is looked at that is dear: a step may be there of which a closer look
    /// would show that it is not needed. Where there is no step, there is nothing to do.
    pub fn glance(&self, request: &Request, options: &Options, overrides: &Overrides) -> (System, Plan) {
        let kernels = plan::kernels_of(request);
        // Deleting a module version needs every cell of it in view.
        let kernels = if matches!(request, Request::Remove { .. }) { None } else { kernels };
        let observer = self.observer_for(request, overrides);
        let kernels = match (kernels, request) {
            // It is about the builds of these alone.
            (named, Request::Resign { .. }) => named,
            (named, _) => named.map(|named| observer.with_borrowers(named)),
        };
        let mut system = observer.observe(kernels.as_deref());
        if let Request::Resign { modules, unsigned, .. } = request {
            let wanted = |cell: &Cell, view: &CellView| {
                let named = modules.is_empty() || modules.iter().any(|m| m.includes(&cell.module));
                named && (!unsigned || was_built_unsigned(view))
            };
            observer.look_at_signatures(&mut system, &wanted);
            if *unsigned {
                // What cannot be signed here either is nothing new.
                system.signatures.retain(|_, signature| !matches!(signature, Signature::Impossible(_)));
            }
        }
        system.essential = observer.essential();
        system.guard = observer.guard(&system, kernels.is_none());
        system.load_into = (*self.settings.modprobe_on_install).then(|| self.running_kernel()).flatten();
        let plan = plan::plan(&system, request, options);
        (system, plan)
    }

    /// Looks at what a glance left open.
    fn look_closer(
        &self,
        (mut system, mut plan): (System, Plan),
        request: &Request,
        options: &Options,
        overrides: &Overrides,
        holdings: &Holdings<'_>,
    ) -> (System, Plan) {
        let observer = self.observer_for(request, overrides);
        while !plan.questions.is_empty() {
            observer.answer(&mut system, &plan.questions, holdings);
            plan = plan::plan(&system, request, options);
        }
        (system, plan)
    }

    /// Does it. With nothing to do, no lock is taken and nothing is written.
    ///
    /// # Errors
    /// When the lock cannot be had. Everything else is in the result.
    pub fn run(
        &self,
        request: &Request,
        options: &Options,
        overrides: &Overrides,
        flags: &Flags,
        report: &dyn Report,
    ) -> Result<Ran> {
        let ran = self.run_locked(request, options, overrides, flags, report)?;
        // After the lock is given back: it may well call us.
        if let Some(command) = self
            .settings
            .post_transaction
            .as_deref()
            .filter(|_| changed_something(request, &ran) && ran.stopped().is_none())
        {
            let limit = *self.settings.limits.script;
            post_transaction::run(&self.layout, command, request, limit, report);
        }
        Ok(ran)
    }

    fn run_locked(
        &self,
        request: &Request,
        options: &Options,
        overrides: &Overrides,
        flags: &Flags,
        report: &dyn Report,
    ) -> Result<Ran> {
        let (left, widened) = self.take_up(request, report);
        let request = widened.as_ref().unwrap_or(request);
        let last_use = lock::last_use(&self.layout);
        let (system, plan) = self.glance(request, options, overrides);
        let idle = plan.is_idle() && left.is_empty() && !lock::was_killed(&self.layout);
        let remembered = || {
            self.outdated(&system).next().is_none()
                && self.unremembered_looks(&system).next().is_none()
                && self.unremembered_tree(request, &system, &plan).is_none()
                && !self.memory().is_worth_saving()
                && !self.endless.is_news()
        };
        if idle && remembered() {
            return Ok(Ran { system, plan, done: Vec::new(), unsigned: false });
        }
        let lock = match self.lock(report) {
            // What would be written down saves the next run some reading, no more.
            Err(error) if idle && !plan.notes.iter().any(plan::Note::is_blind) => {
                log::info!("{error}");
                return Ok(Ran { system, plan, done: Vec::new(), unsigned: false });
            }
            Err(error) => {
                self.leave(Left::Everything, &error, report);
                return Err(error);
            }
            Ok(lock) => lock,
        };
        if lock.is_nested() && !nested::may_nest(request)? {
            report.line("Called from within a running dkms-hook; that run will do the work.");
            return Ok(Ran { system, plan: Plan::default(), done: Vec::new(), unsigned: false });
        }
        // Another run may have done it all while this one waited.
        let glance = match lock.is_first_since(last_use) {
            true => (system, plan),
            false => self.glance(request, options, overrides),
        };
        let holdings = Holdings::new(&self.layout);
        let (system, plan) = self.look_closer(glance, request, options, overrides, &holdings);
        let observer = self.observer_for(request, overrides);
        let mut executor = Executor::new(observer, &system, options, flags, &holdings, report);
        executor.tries_older = older::may_be_older(request) && !system.only_newest && !lock.is_nested();
        if lock.is_nested() {
            nested::may_change(&self.layout, &plan)?;
        }
        if !plan.is_empty() {
            lock.note_on_disk();
        }
        let done = executor.run(&plan);
        let unsigned = executor.is_unsigned();
        let behind = executor.behind();
        let call = Call { request, options, overrides, flags, report };
        let went = Went { plan, done, behind, unsigned };
        let Went { plan, done, unsigned, .. } = self.go_on_with_older(call, went);
        self.remember_directories();
        self.remember_endless();
        if plan.is_empty() {
            self.refresh(&system);
            self.remember_looks(&system, &BTreeSet::new());
            self.remember_tree(request, &system, &plan);
        } else {
            // What the run left is looked at here, so that the next one has nothing to write down.
            let machine = self.as_asked();
            let observer = machine.observer_for(request, overrides);
            let left = observer.observe_left(&system, &concerned(&system, changed_by(&plan)));
            self.refresh(&left);
            self.remember_looks(&left, &indexed_anew(&plan, &done));
            if plan.in_doubt {
                let (left, next) = machine.glance(request, options, overrides);
                self.remember_tree(request, &left, &next);
            } else {
                self.remember_tree(request, &left, &plan);
            }
        }
        if !done.contains(&Done::Stopped) {
            self.is_made_up_for(&left);
        }
        let ran = Ran { system, plan, done, unsigned };
        self.tell_of_initramfs(&ran.plan, report);
        self.tell_of_enrolment(&ran.plan, &ran.done, flags, report);
        self.tell_of_measuring(&ran.plan, &ran.done, report);
        Ok(ran)
    }

    /// In a root that is reached by a prefix nobody can run its generator.
    fn tell_of_initramfs(&self, plan: &Plan, report: &dyn Report) {
        if self.layout.root.is_slash() {
            return;
        }
        let changed: BTreeSet<&KernelRelease> = plan
            .steps
            .iter()
            .filter(|s| {
                use plan::Action::{Install, Resign, Uninstall};
                matches!(s.action, Install { .. } | Uninstall { .. } | Resign { reinstall: true, .. })
            })
            .filter_map(|s| s.action.kernel())
            .collect();
        for kernel in changed {
            if !boot::files(&self.layout, kernel).is_empty() {
                let root = self.layout.root.dir().display();
                report.warning(&format!(
                    "the initramfs of {kernel} in {root} may contain old modules: rebuild it inside that root"
                ));
            }
        }
    }

    /// The running kernel, if it is one of this root's.
    pub fn running_kernel(&self) -> Option<KernelRelease> {
        kernel::running(&self.layout.root)
    }

    /// Which of these kernels the boot loader starts by itself, where that is known.
    pub fn started_kernel<'k>(&self, kernels: &[&'k KernelRelease]) -> Option<&'k KernelRelease> {
        boot::started(&self.layout.root, kernels)
    }

    /// Remembers that a kernel's image package was removed, or that it is back.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn mark_removed(&self, kernel: &KernelRelease, removed: bool, report: &dyn Report) -> Result<()> {
        if notes::kernel_note(&self.layout, kernel).removed == removed && !self.has_left() {
            return Ok(());
        }
        let _lock = self.lock_or_leave(Left::Removed(kernel.clone(), removed), report)?;
        notes::update(&self.layout, kernel, |note| note.removed = removed)
    }

    /// Remembers that a kernel's boot entry was removed, or that it is back.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn mark_boot_entry(&self, kernel: &KernelRelease, removed: bool, report: &dyn Report) -> Result<()> {
        if notes::kernel_note(&self.layout, kernel).boot_entry_removed == removed && !self.has_left() {
            return Ok(());
        }
        let _lock = self.lock_or_leave(Left::BootEntry(kernel.clone(), removed), report)?;
        notes::update(&self.layout, kernel, |note| note.boot_entry_removed = removed)
    }

    /// True when the initramfs of a kernel may be older than its modules.
    pub fn initramfs_is_due(&self, kernel: &KernelRelease) -> bool {
        notes::kernel_note(&self.layout, kernel).initramfs_due.is_some()
    }
}

/// True for a build that was made here, and without a signature: in an image, where no key is made, or before there was
/// something to sign with.
fn was_built_unsigned(view: &CellView) -> bool {
    let made = |record: &Record| matches!(record.provenance, Provenance::BuiltHere | Provenance::Cache);
    view.record.as_ref().is_some_and(|record| record.inputs.signing.is_none() && made(record))
}

/// Modules that the steps of a plan are about.
fn changed_by(plan: &Plan) -> BTreeSet<ModuleName> {
    let actions = plan.steps.iter().map(|step| &step.action);
    let modules = actions.filter_map(|action| match action {
        plan::Action::Add { module } | plan::Action::Forget { module } => Some(module),
        other => other.cell().map(|cell| &cell.module),
    });
    modules.map(|module| module.name.clone()).collect()
}

/// Kernels whose index a run made.
fn indexed_anew<'a>(plan: &'a Plan, done: &[Done]) -> BTreeSet<&'a KernelRelease> {
    let steps = plan.steps.iter().zip(done).filter(|(_, done)| **done == Done::Yes);
    steps
        .filter_map(|(step, _)| match &step.action {
            plan::Action::Depmod { kernel } => Some(kernel),
            _ => None,
        })
        .collect()
}

/// Whether a run did what `post_transaction` is for: modules came or went. Asked for one thing, DKMS
/// runs it after success only; of a run over everything, one module that fails says nothing.
fn changed_something(request: &Request, ran: &Ran) -> bool {
    use plan::Action::{Forget, Install, Resign, Unbuild, Uninstall};
    let everything = matches!(request, Request::Reconcile { .. } | Request::Autoinstall { .. });
    let mut steps = ran.plan.steps.iter().zip(&ran.done);
    (everything || ran.errors().next().is_none())
        && steps.any(|(step, done)| {
            let changes = matches!(
                step.action,
                Install { .. } | Resign { .. } | Uninstall { .. } | Unbuild { .. } | Forget { .. }
            );
            changes && *done == Done::Yes
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::run::Flags;
    use crate::progress::Memory;

    fn write(root: &Root, inside: &str, text: &str) {
        let path = root.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn link(root: &Root, target: &str, inside: &str) {
        let path = root.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    #[test]
    fn a_cell_without_a_build_is_looked_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        for kernel in ["6.1", "6.2"] {
            write(&root, &format!("/usr/src/linux-headers-{kernel}/include/config/auto.conf"), "");
            link(&root, &format!("/usr/src/linux-headers-{kernel}"), &format!("/lib/modules/{kernel}/build"));
        }
        write(&root, "/lib/modules/6.1/kernel/ext4.ko", "");
        let conf = "PACKAGE_NAME=m\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME[0]=m\n\
                    DEST_MODULE_LOCATION[0]=/updates\n";
        write(&root, "/usr/src/m-1/dkms.conf", conf);
        link(&root, "/usr/src/m-1", "/var/lib/dkms/m/1/source");
        let report = Memory::default();
        let machine = Machine::open(root.clone(), &Given::default(), &report).unwrap();
        let request = Request::Reconcile { kernels: None, retry: false };
        let observe = || machine.observer(&Overrides::default()).observe(None);
        let run = || {
            let ran = machine
                .run(&request, &Options::default(), &Overrides::default(), &Flags::default(), &report)
                .unwrap();
            assert!(ran.plan.is_empty(), "{:?}", ran.plan.steps);
        };
        assert_eq!(
            machine.outdated(&observe()).count(),
            1,
            "the kernel without an image has nothing to keep"
        );
        run();
        assert_eq!(machine.outdated(&observe()).count(), 0);
        run();
        assert_eq!(machine.outdated(&observe()).count(), 0);
        // The same content with another time: read once more, and that is that.
        write(&root, "/usr/src/m-1/dkms.conf", conf);
        assert_eq!(machine.outdated(&observe()).count(), 1);
        run();
        assert_eq!(machine.outdated(&observe()).count(), 0);
    }
}
