//! What is written down about builds: records, verdicts on failures.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Executor;
use crate::apply::build::{Built, Failure};
use crate::apply::sign::Signed;
use crate::apply::tree;
use crate::cache::{Cache, Entry, Key, Surroundings};
use crate::conf::model::Conf;
use crate::fs::atomic;
use crate::kernel;
use crate::model::error::Result;
use crate::model::fit::Fit;
use crate::model::ids::Cell;
use crate::model::inputs::Inputs;
use crate::model::record::{Facts, FailureNote, Kept, Overrides, Provenance, Record, Verdict};
use crate::model::system::{CellView, Kernel, Now, Signature};
use crate::model::uses::Uses;
use crate::observe::Observer;
use crate::observe::installing::derive_installed;
use crate::tree::notes;
use crate::tree::state;

impl Executor<'_> {
    /// Writes down what a build was made from. Inputs that changed while it ran leave no stamp, so
    /// that the next run looks again.
    pub(super) fn record_build(
        &self,
        observer: &Observer<'_>,
        cell: &Cell,
        (facts, before, stamp): (Facts, Inputs, String),
        old: Option<Record>,
        built: &Built,
    ) -> Result<Record> {
        let layout = self.observer.layout;
        let mut record = Record {
            inputs: before.into(),
            provenance: if built.from_cache { Provenance::Cache } else { Provenance::BuiltHere },
            kept: None,
            stamp: String::new(),
            facts,
            installed: old.map(|r| r.installed).unwrap_or_default(),
            refused: None,
            without_image: !kernel::image(layout, &cell.kernel).unwrap_or(true),
            overrides: observer.overrides.clone(),
            effort: Some(built.effort),
        };
        // What the cache has was made from these inputs, whatever becomes of them now.
        if built.from_cache || observer.is_as_before(cell, &record.facts, &record.inputs, &stamp) {
            record.stamp = stamp;
        } else if let Ok((conf, _, _, mut after, stamp)) = observer.fresh(cell, None)
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
            Signed::Not(_) | Signed::Failed(_) => None,
        };
        state::save_record(layout, cell, &record)?;
        tree::drop_verdict(layout, cell)?;
        Ok(record)
    }

    /// Keeps a build in the cache. One whose inputs changed while it was made is not what its record says.
    pub(super) fn keep_in_cache(
        &self,
        cache: &Cache,
        around: &Surroundings,
        cell: &Cell,
        record: &Record,
        built: &Built,
    ) {
        if built.from_cache || record.stamp.is_empty() {
            return;
        }
        let layout = self.observer.layout;
        let signed = match &built.signed {
            Signed::With { certificate } => Ok(certificate.clone()),
            Signed::Not(why) => Err(why.clone()),
            // Another machine, or this one when it can sign again, would get it without a signature.
            Signed::Failed(_) => return,
        };
        let entry = Entry { signed, effort: built.effort };
        let own = [layout.record(cell), layout.loaded_mark(cell)];
        let own = own.iter().filter_map(|path| path.file_name()?.to_str());
        let key = Key::of(cell, &record.inputs, around);
        let stored = cache.store(cell, &key, &layout.cell(cell), &own.collect::<Vec<_>>(), &entry);
        if let Err(error) = stored {
            log::info!("{} for {} is not kept in the cache: {error}", cell.module, cell.kernel);
        }
    }

    /// Writes down the directives, to say later which of them changed. Without them that cannot be said.
    pub(super) fn record_directives(&self, observer: &Observer<'_>, cell: &Cell, conf: &Conf) {
        let saved = state::save_directives(self.observer.layout, cell, &observer.directives(conf));
        if let Err(error) = saved {
            log::info!("{error}");
        }
    }

    /// Writes down what a build uses of its kernel. Without it, nothing is known of the build when headers change.
    pub(super) fn record_uses(&self, cell: &Cell, uses: Option<&Uses>) {
        let saved = uses.map_or(Ok(()), |uses| state::save_uses(self.observer.layout, cell, uses));
        if let Err(error) = saved {
            log::info!("{error}");
        }
    }

    pub(super) fn record_failure(
        &self,
        cell: &Cell,
        facts: Facts,
        inputs: Inputs,
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
            by_source: failure.is_of_the_source(),
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

    /// Writes down that a build is there without the signature that it should have: a module that may not load is a
    /// failure of the run. What is there is signed by `dkms-hook resign`, and made again with a new source.
    pub(super) fn record_no_signature(&self, cell: &Cell, (facts, inputs): (Facts, Inputs), why: &str) {
        self.unsigned.set(true);
        let failure = Failure::of_signing(why);
        if let Err(error) = self.record_failure(cell, facts, inputs, &failure) {
            log::warn!("{error}");
        }
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
            effort: None,
        };
        if let Some(conf) = &conf {
            self.record_directives(&self.observer, cell, conf);
        }
        // Of an earlier build: who made this one wrote nothing down.
        atomic::delete(&layout.uses(cell))?;
        state::save_record(layout, cell, &record)?;
        self.holdings.has_installed(cell, &record.installed);
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
