//! A build as a step: prepared and committed by whoever holds the lock, and worked on where there is time for it.

use std::time::Instant;

use super::Executor;
use crate::apply::apport;
use crate::apply::build::phases::{self, Made, Prepared, Unmade};
use crate::apply::build::place::Place;
use crate::apply::build::restore::Kept;
use crate::apply::build::{Failure, Job, Signed};
use crate::apply::own_writes::{Command, Watch};
use crate::cache::{Cache, Key, Surroundings};
use crate::conf::model::{Conf, Context};
use crate::fs::{atomic, look};
use crate::model::blind::Cause;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::Cell;
use crate::model::inputs::Inputs;
use crate::model::record::{Facts, Overrides, Record};
use crate::observe::Observer;
use crate::process::jobserver::Server;
use crate::progress::Report;
use crate::tree::layout::Layout;
use crate::tree::state;

/// A build of one cell. It owns what it needs, so it may move from one thread to another.
pub(super) struct Building<'r> {
    observer: Observer<'r>,
    cell: &'r Cell,
    force: bool,
    may_ask: bool,
    /// Where its makes get their jobs.
    server: Server,
    overrides: Overrides,
    /// The record of the build that it replaces.
    old: Option<Record>,
    /// Or what stands in its place and cannot be understood.
    damaged: Option<Vec<u8>>,
    watch: Watch<'r>,
    conf: Conf,
    context: Context,
    facts: Facts,
    /// From before the build.
    inputs: Inputs,
    /// What stat(2) said of them.
    stamp: String,
    /// Where it may be found, or is kept afterwards.
    cache: Option<(Cache, Surroundings, Key)>,
    /// The plan said that it is there.
    told: bool,
    /// When they were read.
    read: Instant,
}

/// What became of the work.
pub(super) type Worked = std::result::Result<Made, Unmade>;

impl<'r> Building<'r> {
    /// Reads the inputs, and gets ready for the build. The second part says whether it is worth its work; what speaks
    /// against it is then told by [`Executor::commit_build`].
    ///
    /// # Errors
    /// When the inputs cannot be read.
    pub(super) fn prepare(
        executor: &'r Executor<'_>,
        cell: &'r Cell,
        force: bool,
        server: &Server,
        report: &dyn Report,
    ) -> Result<(Self, std::result::Result<Prepared, Failure>)> {
        let layout = executor.observer.layout;
        let (old, damaged) = match state::record(layout, cell) {
            // The new build gets one that is understood.
            Err(blind) if matches!(blind.cause, Cause::Damaged(_)) => {
                (None, look::read(&layout.record(cell)).unwrap_or_default())
            }
            seen => (seen?, None),
        };
        let overrides = executor.observer.overrides_of(cell, old.as_ref()).into_owned();
        let observer = executor.observer.with(&overrides);
        let mut watch = Watch::begin(layout, &cell.module, &observer.source_dir(&cell.module));
        let known = executor.system.cell(cell).map(|view| &view.now);
        let (conf, context, facts, inputs, stamp) = observer.fresh(cell, known)?;
        let read = Instant::now();
        for warning in &conf.warnings {
            report.warning(warning);
        }
        watch.before();
        let around = || Some((observer.build_cache()?, observer.surroundings(cell, &inputs)?));
        let cache = around().map(|(cache, around)| {
            let key = Key::of(cell, &inputs, &around);
            (cache, around, key)
        });
        let told = executor.system.cells.get(cell).is_some_and(|view| view.cached);
        let (observer, may_ask) = (executor.observer, executor.flags.may_ask());
        let building = Self {
            observer,
            cell,
            force,
            may_ask,
            server: server.clone(),
            overrides,
            old,
            damaged,
            watch,
            conf,
            context,
            facts,
            inputs,
            stamp,
            cache,
            told,
            read,
        };
        let prepared = phases::prepare(&building.job(report));
        Ok((building, prepared))
    }

    /// Builds, and finishes the modules in a directory that nobody looks into. May run on any thread.
    pub(super) fn work(&mut self, prepared: Prepared, place: &Place, report: &dyn Report) -> Worked {
        let worked = phases::work(&self.job(report), prepared, place);
        if worked.as_ref().is_ok_and(Made::is_restored) {
            // Its key has the values of the dkms.conf: they were the same when it was built.
            return worked;
        }
        let observer = self.observer.with(&self.overrides);
        let steady = observer.find_unsteady(self.cell, &self.conf, self.read, &mut self.facts);
        match steady.and_then(|()| observer.conf_digest(&self.conf, &self.facts)) {
            Ok(digest) => self.inputs.conf = digest,
            // It has gone: so much the next run sees.
            Err(error) => log::info!("{error}"),
        }
        worked
    }

    fn job<'j>(&'j self, report: &'j dyn Report) -> Job<'j> {
        let own = self.overrides.build_environment.as_deref();
        Job {
            layout: self.observer.layout,
            cell: self.cell,
            conf: &self.conf,
            context: &self.context,
            settings: self.observer.settings,
            build_environment: own.or(self.observer.settings.build_environment.as_deref()),
            distro: &self.observer.distribution.id,
            server: &self.server,
            force: self.force,
            verbose: *self.observer.settings.verbose,
            may_ask: self.may_ask,
            kept: self.cache.as_ref().map(|(cache, _, key)| Kept { cache, key, told: self.told }),
            report,
        }
    }
}

impl Executor<'_> {
    /// Puts a build in place and writes down what it was made from, or why there is none.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn commit_build(
        &self,
        building: Building<'_>,
        worked: Worked,
        report: &dyn Report,
    ) -> Result<()> {
        let layout = self.observer.layout;
        let result = phases::commit(&building.job(report), worked);
        let Building { cell, overrides, old, damaged, mut watch, conf, facts, inputs, stamp, cache, .. } =
            building;
        watch.after(Command::Build);
        watch.settle();
        if conf.scripts.pre_build.is_some() || conf.scripts.post_build.is_some() {
            // They may have had other modules installed.
            self.holdings.forget();
        }
        match result {
            Ok(built) => {
                let observer = self.observer.with(&overrides);
                // First, as what has a record is finished.
                self.record_directives(&observer, cell, &conf);
                self.record_uses(cell, built.uses.as_ref());
                let verdict = (facts.clone(), inputs.clone());
                let record = self.record_build(&observer, cell, (facts, inputs, stamp), old, &built)?;
                if let Signed::Failed(why) = &built.signed {
                    self.record_no_signature(cell, verdict, why);
                }
                if let Some((cache, around, _)) = cache {
                    self.keep_in_cache(&cache, &around, cell, &record, &built);
                }
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
                if failure.is_of_the_source() {
                    self.falls_behind(cell);
                }
                if !self.flags.trial {
                    apport::tell(layout, cell, failure.kind);
                }
                Err(error_of(layout, cell, &failure))
            }
        }
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
