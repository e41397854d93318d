//! Carries a plan out, step by step. A step whose need failed is left out; nothing else stops.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::apply::build::{self, Failure, Job};
use crate::apply::install::Installer;
use crate::apply::resign::Resigning;
use crate::apply::sign::Signed;
use crate::apply::{depmod, initramfs, notes, script, tree};
use crate::conf::Strictness;
use crate::conf::model::{Conf, Context};
use crate::error::{Error, Result, exit};
use crate::ids::{Cell, ModuleId};
use crate::layout::Layout;
use crate::plan::{Action, Duty, Options, Plan};
use crate::record::{FORMAT, Facts, FailureNote, Record, Verdict};
use crate::report::Report;
use crate::store;
use crate::system::kernels;
use crate::system::observe::{Observer, module_stem};
use crate::system::{Now, Signature, System};

/// What a run may be told beside the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// Install links instead of copies.
    pub symlink_modules: bool,
    /// Install whatever MODULE_VERSION the present module has.
    pub ignore_version: bool,
    /// Show commands.
    pub verbose: bool,
    /// A person reads our errors at once: a failure needs no summary later.
    pub interactive: bool,
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
}

impl Executor<'_> {
    /// Runs every step that can be run; the result has one entry per step.
    pub fn run(&self, plan: &Plan) -> Vec<Done> {
        let mut done: Vec<Done> = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            let missing = step.needs.iter().find(|n| done.get(**n) != Some(&Done::Yes));
            let result = match missing {
                Some(need) => Done::Without(*need),
                None => {
                    let doing = match &step.action {
                        Action::Build { cell, .. } => Some(("Building", cell)),
                        Action::Resign { cell, .. } => Some(("Signing", cell)),
                        _ => None,
                    };
                    if let Some((doing, Cell { module, kernel, arch })) = doing {
                        let reason = &step.reason;
                        self.report.line(&format!("{doing} {module} for kernel {kernel} ({arch}): {reason}"));
                    }
                    log::info!("{}: {}", step.action, step.reason);
                    self.step(&step.action).map_or_else(Done::Failed, |()| Done::Yes)
                }
            };
            done.push(result);
        }
        self.settle(plan);
        done
    }

    /// Forgets fulfilled duties. A failure costs another look next time, nothing more.
    fn settle(&self, plan: &Plan) {
        for (kernel, duty) in &plan.settled {
            let forgotten = notes::update(self.observer.layout, kernel, |note| match duty {
                Duty::Headers => note.waiting = None,
                Duty::Initramfs => note.initramfs_due = None,
            });
            if let Err(error) = forgotten {
                log::warn!("{error}");
            }
        }
    }

    fn step(&self, action: &Action) -> Result<()> {
        let layout = self.observer.layout;
        match action {
            Action::Add { module } => self.add(module),
            Action::Build { cell, force } => self.build(cell, *force),
            Action::Adopt { cell } => self.adopt(cell),
            Action::Resign { cell, reinstall } => self.resign(cell, *reinstall),
            Action::Install { cell, force } => self.install(cell, *force),
            Action::Uninstall { cell } => self.uninstall(cell),
            Action::Unbuild { cell } => {
                self.installer(false).clear_unfinished(cell)?;
                tree::unbuild(layout, cell)
            }
            Action::Forget { module } => tree::forget(layout, module),
            Action::Wait { kernel, package } => {
                notes::update(layout, kernel, |note| note.waiting = Some(package.clone()))
            }
            // Every step that changed files left the duty behind; if all of them failed before
            // they changed anything, there is none.
            Action::Depmod { kernel }
                if notes::kernel_note(layout, kernel).depmod_due
                    || !layout.kernel(kernel).join("modules.dep").exists() =>
            {
                depmod::run(layout, kernel, self.report)
            }
            Action::Depmod { .. } => Ok(()),
            // Which modules changed is in the journal, also for those of an earlier run.
            Action::Initramfs { kernel, always, .. } => initramfs::mend(layout, kernel, *always, self.report),
            Action::Sweep { kernel } => {
                let cells: Vec<Cell> = self.system.cells.keys().cloned().collect();
                tree::sweep(layout, kernel, &cells)
            }
        }
    }

    fn add(&self, module: &ModuleId) -> Result<()> {
        tree::add(self.observer.layout, module)
    }

    fn build(&self, cell: &Cell, force: bool) -> Result<()> {
        let layout = self.observer.layout;
        let (conf, context, facts, inputs, _) = self.observer.fresh(cell)?;
        for warning in &conf.warnings {
            self.report.warning(warning);
        }
        let old: Option<Record> = store::load(&layout.record(cell));
        let job = Job {
            layout,
            cell,
            conf: &conf,
            context: &context,
            framework: self.observer.framework,
            distro: &self.observer.distribution.id,
            jobs: self.observer.jobs(),
            force,
            verbose: self.flags.verbose,
            may_ask: self.flags.may_ask(),
            report: self.report,
        };
        match build::build(&job) {
            Ok(built) => self.record_build(cell, facts, inputs, old, &built.signed),
            Err(failure) => {
                if let Err(error) = self.record_failure(cell, facts, inputs, &failure) {
                    // The build's own failure matters more.
                    log::warn!("{error}");
                }
                Err(error_of(layout, cell, &failure))
            }
        }
    }

    /// Writes down what a build was made from. Inputs that changed while it ran leave no stamp, so
    /// that the next run looks again.
    fn record_build(
        &self,
        cell: &Cell,
        facts: Facts,
        before: crate::inputs::Inputs,
        old: Option<Record>,
        signed: &Signed,
    ) -> Result<()> {
        let layout = self.observer.layout;
        let mut record = Record {
            format: FORMAT,
            inputs: before,
            stamp: String::new(),
            facts,
            installed: old.map(|r| r.installed).unwrap_or_default(),
            refused: None,
            without_image: !layout.kernel(&cell.kernel).join("kernel").is_dir(),
        };
        if let Ok((_, _, _, after, stamp)) = self.observer.fresh(cell)
            && after.change_since(&record.inputs).is_none()
        {
            record.stamp = stamp;
        }
        // What was done, not what was wanted: the first signing makes the key, and it may fail.
        record.inputs.signing = match signed {
            Signed::With { certificate } => Some(certificate.clone()),
            Signed::Not(_) => None,
        };
        store::save(&layout.record(cell), &record)?;
        tree::drop_verdict(layout, cell)
    }

    fn record_failure(
        &self,
        cell: &Cell,
        facts: Facts,
        inputs: crate::inputs::Inputs,
        failure: &Failure,
    ) -> Result<()> {
        let layout = self.observer.layout;
        let note = FailureNote {
            code: failure.code,
            what: failure.what.clone(),
            first_errors: failure.first_errors.clone(),
            log: failure.log.as_ref().map(|p| layout.shown(p)),
            hint: failure.hint.clone(),
            when: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            provisional: failure.toolchain_trouble,
            reported: self.flags.interactive,
        };
        let verdict = Verdict { format: FORMAT, inputs, stamp: String::new(), facts, failure: Some(note) };
        store::save(&layout.verdict(cell), &verdict)?;
        if !self.flags.interactive {
            store::write_atomic(&layout.unreported(), b"")?;
        }
        Ok(())
    }

    /// Signs a build anew. What keeps that from being done is written down like a failed build: the
    /// build that is there stays as it is, and hooks do not try again until something changes.
    fn resign(&self, cell: &Cell, reinstall: bool) -> Result<()> {
        let layout = self.observer.layout;
        let context = self.observer.context(cell);
        let work = Resigning {
            layout,
            cell,
            context: &context,
            framework: self.observer.framework,
            distro: &self.observer.distribution.id,
            may_ask: self.flags.may_ask(),
            report: self.report,
        };
        match work.run() {
            Ok(()) => tree::drop_verdict(layout, cell)?,
            Err(error) => {
                if let Some(Now::Judged { facts, inputs, .. }) = self.system.cell(cell).map(|view| &view.now)
                {
                    let failure = Failure {
                        code: error.code,
                        what: error.message.clone(),
                        log: None,
                        first_errors: Vec::new(),
                        toolchain_trouble: false,
                        hint: error.hint.clone(),
                    };
                    if let Err(error) = self.record_failure(cell, facts.clone(), (**inputs).clone(), &failure)
                    {
                        log::warn!("{error}");
                    }
                }
                return Err(error);
            }
        }
        if reinstall { self.installer(false).renew(cell) } else { Ok(()) }
    }

    fn adopt(&self, cell: &Cell) -> Result<()> {
        let layout = self.observer.layout;
        let Some(view) = self.system.cell(cell) else { return Ok(()) };
        let Now::Judged { facts, inputs, stamp } = &view.now else { return Ok(()) };
        let installer = self.installer(false);
        let mut inputs = (**inputs).clone();
        // DKMS may have signed with a key that has gone since, or not at all.
        inputs.signing = match self.observer.signature(cell) {
            Signature::Ours { certificate } => Some(certificate),
            Signature::Other | Signature::Impossible(_) => None,
        };
        // Those that it depends on may have been taken over a step before.
        inputs.depends = self.observer.dependencies(cell, &facts.depends);
        let record = Record {
            format: FORMAT,
            inputs,
            stamp: stamp.clone(),
            facts: facts.clone(),
            installed: if view.installed {
                installer.derive_installed(cell, self.conf(cell).as_ref())
            } else {
                Vec::new()
            },
            refused: None,
            without_image: !layout.kernel(&cell.kernel).join("kernel").is_dir(),
        };
        store::save(&layout.record(cell), &record)?;
        // DKMS makes no initramfs after an install: one that is older may lack the module.
        let made = kernels::initramfs(layout, &cell.kernel).and_then(|p| std::fs::metadata(p).ok());
        let newest = record.installed.iter().map(|f| f.mtime.max(f.built_mtime)).max();
        if let (Some(made), Some(newest)) = (made, newest)
            && kernels::mtime(&made) <= newest
        {
            let names: Vec<&str> = record.installed.iter().filter_map(|f| module_stem(&f.built)).collect();
            notes::initramfs_lags(layout, &cell.kernel, &names, false)?;
        }
        Ok(())
    }

    fn installer(&self, force: bool) -> Installer<'_> {
        Installer {
            layout: self.observer.layout,
            distribution: self.observer.distribution,
            symlink_modules: self.flags.symlink_modules || self.observer.framework.symlink_modules,
            force,
            ignore_version: self.flags.ignore_version,
            kernel_event: self.options.kernel_event,
            report: self.report,
        }
    }

    /// The conf, where it can be had: installing and uninstalling a build must not depend on it.
    fn conf(&self, cell: &Cell) -> Option<Conf> {
        let context = self.observer.context(cell);
        self.observer.conf(cell, &context, Strictness::Other).ok()
    }

    fn install(&self, cell: &Cell, force: bool) -> Result<()> {
        let context = self.observer.context(cell);
        let conf = self.conf(cell);
        let scripts = conf.as_ref().map(|c| c.scripts.clone()).unwrap_or_default();
        if let Some(text) = &scripts.pre_install {
            let status = self.script("PRE_INSTALL", text, cell, &context);
            if status != 0 && !force {
                let text = format!("PRE_INSTALL of {} ended with status {status}", cell.module);
                return Err(Error::new(exit::PRE_INSTALL, text)
                    .hint("its messages are above; --force installs the modules all the same"));
            }
        }
        self.installer(force).install(cell, conf.as_ref())?;
        if let Some(text) = &scripts.post_install {
            self.script("POST_INSTALL", text, cell, &context);
        }
        Ok(())
    }

    fn uninstall(&self, cell: &Cell) -> Result<()> {
        self.installer(false).uninstall(cell)?;
        if let Some(text) = self.conf(cell).and_then(|c| c.scripts.post_remove) {
            let context = self.observer.context(cell);
            self.script("POST_REMOVE", &text, cell, &context);
        }
        Ok(())
    }

    /// Runs a script of the module's source; a script that cannot be run is a warning.
    fn script(&self, kind: &str, text: &str, cell: &Cell, context: &Context) -> i32 {
        let dir: PathBuf = self.observer.source_dir(&cell.module);
        script::run(self.observer.layout, &cell.module, kind, text, &dir, context, self.report)
    }
}

/// The error of a failed build, for somebody who waits for it.
fn error_of(layout: &Layout, cell: &Cell, failure: &Failure) -> Error {
    let mut text = format!("{} for {}: {}", cell.module, cell.kernel, failure.what);
    for line in &failure.first_errors {
        text.push_str("\n    ");
        text.push_str(line);
    }
    let log = failure.log.as_ref().map(|log| format!("log: {}", layout.shown(log).display()));
    let parts: Vec<String> = failure.hint.iter().cloned().chain(log).collect();
    let hint = (!parts.is_empty()).then(|| parts.join("\n"));
    Error { code: failure.code, message: text, hint }
}
