//! Building a cell, and what is written down about it: records of builds, verdicts on failures.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::Executor;
use crate::apply::apport;
use crate::apply::build::{self, Built, Failure, Job};
use crate::apply::own_writes::{Command, Watch};
use crate::apply::resign::Resigning;
use crate::apply::sign::Signed;
use crate::apply::tree;
use crate::conf::model::Conf;
use crate::fs::atomic;
use crate::fs::look;
use crate::kernel;
use crate::model::blind::Cause;
use crate::model::error::{Error, Kind, Result};
use crate::model::fit::Fit;
use crate::model::ids::Cell;
use crate::model::record::{Facts, FailureNote, Kept, Overrides, Provenance, Record, Verdict};
use crate::model::system::{CellView, Kernel, Now, Signature};
use crate::model::uses::Uses;
use crate::observe::Observer;
use crate::observe::installing::derive_installed;
use crate::tree::layout::Layout;
use crate::tree::notes;
use crate::tree::state;

impl Executor<'_> {
    pub(super) fn build(&self, cell: &Cell, force: bool) -> Result<()> {
        let layout = self.observer.layout;
        let (old, damaged) = match state::record(layout, cell) {
            // The new build gets one that is understood.
            Err(blind) if matches!(blind.cause, Cause::Damaged(_)) => {
                (None, look::read(&layout.record(cell)).unwrap_or_default())
            }
            seen => (seen?, None),
        };
        let overrides = self.observer.overrides_of(cell, old.as_ref()).into_owned();
        let observer = self.observer.with(&overrides);
        let source = observer.source_dir(&cell.module);
        let watch = Watch::begin(layout, &cell.module, &source);
        let (conf, context, mut facts, mut inputs, _) = observer.fresh(cell)?;
        let read = Instant::now();
        for warning in &conf.warnings {
            self.report.warning(warning);
        }
        let job = Job {
            layout,
            cell,
            conf: &conf,
            context: &context,
            settings: observer.settings,
            build_environment: observer.build_environment(),
            distro: &self.observer.distribution.id,
            jobs: observer.jobs(),
            force,
            verbose: *observer.settings.verbose,
            may_ask: self.flags.may_ask(),
            report: self.report,
        };
        let result = watch.during(Command::Build, || build::build(&job));
        watch.settle();
        let steady = observer.find_unsteady(cell, &conf, read, &mut facts);
        match steady.and_then(|()| observer.conf_digest(&conf, &facts)) {
            Ok(digest) => inputs.conf = digest,
            // It has gone: so much the next run sees.
            Err(error) => log::info!("{error}"),
        }
        match result {
            Ok(built) => {
                // First, as what has a record is finished.
                self.record_directives(&observer, cell, &conf);
                self.record_uses(cell, built.uses.as_ref());
                self.record_build(&observer, cell, facts, inputs, old, &built)?;
                // The new build took the place of all that was there.
                damaged.map_or(Ok(()), |bytes| atomic::write(&state::aside(&layout.record(cell)), &bytes))
            }
            // That says nothing about the source, and nothing is kept of it.
            Err(failure) if matches!(failure.kind, Kind::Interrupted(_)) => {
                Err(Error::new(failure.kind, failure.what))
            }
            Err(failure) => {
                if let Err(error) = self.record_failure(cell, facts, inputs, &failure) {
                    // The build's own failure matters more.
                    log::warn!("{error}");
                }
                apport::tell(layout, cell, failure.kind);
                Err(error_of(layout, cell, &failure))
            }
        }
    }

    /// Writes down what a build was made from. Inputs that changed while it ran leave no stamp, so
    /// that the next run looks again.
    fn record_build(
        &self,
        observer: &Observer<'_>,
        cell: &Cell,
        facts: Facts,
        before: crate::model::inputs::Inputs,
        old: Option<Record>,
        built: &Built,
    ) -> Result<()> {
        let layout = self.observer.layout;
        let mut record = Record {
            inputs: before.into(),
            provenance: Provenance::BuiltHere,
            kept: None,
            stamp: String::new(),
            facts,
            installed: old.map(|r| r.installed).unwrap_or_default(),
            refused: None,
            without_image: !kernel::image(layout, &cell.kernel).unwrap_or(true),
            overrides: observer.overrides.clone(),
            index: None,
            effort: Some(built.effort),
        };
        if let Ok((conf, _, _, mut after, stamp)) = observer.fresh(cell)
            && let Ok(digest) = observer.conf_digest(&conf, &record.facts)
        {
            after.conf = digest;
            if after.change_since(&record.inputs).is_none() {
                record.stamp = stamp;
            }
        }
        // What was done, not what was wanted: the first signing makes the key, and it may fail.
        Arc::make_mut(&mut record.inputs).signing = match &built.signed {
            Signed::With { certificate } => Some(certificate.clone()),
            Signed::Not(_) => None,
        };
        state::save_record(layout, cell, &record)?;
        tree::drop_verdict(layout, cell)
    }

    /// Writes down the directives, to say later which of them changed. Without them that cannot be said.
    fn record_directives(&self, observer: &Observer<'_>, cell: &Cell, conf: &Conf) {
        let saved = state::save_directives(self.observer.layout, cell, &observer.directives(conf));
        if let Err(error) = saved {
            log::info!("{error}");
        }
    }

    /// Writes down what a build uses of its kernel. Without it, nothing is known of the build when headers change.
    fn record_uses(&self, cell: &Cell, uses: Option<&Uses>) {
        let saved = uses.map_or(Ok(()), |uses| state::save_uses(self.observer.layout, cell, uses));
        if let Err(error) = saved {
            log::info!("{error}");
        }
    }

    fn record_failure(
        &self,
        cell: &Cell,
        facts: Facts,
        inputs: crate::model::inputs::Inputs,
        failure: &Failure,
    ) -> Result<()> {
        let layout = self.observer.layout;
        let note = FailureNote {
            kind: failure.kind,
            what: failure.what.clone(),
            first_errors: failure.first_errors.clone(),
            log: failure.log.as_ref().map(|p| layout.shown(p)),
            hint: failure.hint.clone(),
            when: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            provisional: failure.toolchain_trouble,
            reported: self.flags.interactive,
        };
        let verdict = Verdict { inputs, stamp: String::new(), facts, failure: Some(note) };
        if state::verdict(layout, cell).is_err() {
            state::set_aside(&layout.verdict(cell))?;
        }
        state::save_verdict(layout, cell, &verdict)?;
        if !self.flags.interactive {
            atomic::write(&layout.unreported(), b"")?;
        }
        Ok(())
    }

    /// Signs a build anew. What keeps that from being done is written down like a failed build: the
    /// build that is there stays as it is, and hooks do not try again until something changes.
    pub(super) fn resign(&self, cell: &Cell, reinstall: bool) -> Result<()> {
        let layout = self.observer.layout;
        let context = self.observer.kept_context(cell);
        let work = Resigning {
            layout,
            cell,
            context: &context,
            settings: self.observer.settings,
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
                        kind: error.kind,
                        what: error.sentence(),
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
        if reinstall { self.installer(cell, &[]).renew(cell) } else { Ok(()) }
    }

    /// Writes down that a build fits the headers that are there now.
    pub(super) fn keep(&self, cell: &Cell) -> Result<()> {
        let layout = self.observer.layout;
        let Some(CellView { now: Now::Judged { inputs, stamp, .. }, fit: Some(Fit::Fits(compared)), .. }) =
            self.system.cell(cell)
        else {
            return Ok(());
        };
        let Some(mut record) = state::record(layout, cell)? else { return Ok(()) };
        record.kept = Some(Kept { headers: inputs.headers.clone(), compared: *compared });
        record.stamp.clone_from(stamp);
        state::save_record(layout, cell, &record)?;
        tree::drop_verdict(layout, cell)
    }

    pub(super) fn adopt(&self, cell: &Cell) -> Result<()> {
        let layout = self.observer.layout;
        let Some(view) = self.system.cell(cell) else { return Ok(()) };
        let Now::Judged { facts, inputs, stamp } = &view.now else { return Ok(()) };
        let mut inputs = (**inputs).clone();
        // DKMS may have signed with a key that has gone since, or not at all.
        inputs.signing = match self.observer.signature(cell) {
            Signature::Ours { certificate } => Some(certificate),
            Signature::Other | Signature::Impossible(_) => None,
        };
        // Those that it depends on may have been taken over a step before.
        inputs.depends = self.observer.dependencies(cell, &facts.depends);
        let conf = self.conf(cell).1.unwrap_or_default();
        let record = Record {
            inputs: inputs.into(),
            provenance: view.provenance.unwrap_or(Provenance::Dkms),
            kept: None,
            stamp: stamp.clone(),
            facts: facts.clone(),
            installed: if view.installed {
                derive_installed(layout, self.observer.distribution, cell, conf.as_ref())
            } else {
                Vec::new()
            },
            refused: None,
            without_image: !kernel::image(layout, &cell.kernel).unwrap_or(true),
            overrides: Overrides::default(),
            index: None,
            effort: None,
        };
        if let Some(conf) = &conf {
            self.record_directives(&self.observer, cell, conf);
        }
        // Of an earlier build: who made this one wrote nothing down.
        atomic::delete(&layout.uses(cell))?;
        state::save_record(layout, cell, &record)?;
        // As the plan found it.
        let made = self.system.kernels.get(&cell.kernel).and_then(Kernel::initramfs_at_the_earliest);
        if let (Some(made), Some(found)) = (made, self.system.adoptions.get(cell))
            && found.newest.is_some_and(|newest| made <= newest)
        {
            let names: Vec<&str> = found.modules.iter().map(String::as_str).collect();
            notes::initramfs_lags(layout, &cell.kernel, &names, false)?;
        }
        Ok(())
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
    Error::new(failure.kind, text).with_hint(hint)
}
