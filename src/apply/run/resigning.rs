//! Signing a build anew as a step.

use super::Executor;
use crate::apply::build::Failure;
use crate::apply::build::diagnose::is_of_the_machine;
use crate::apply::resign::{Resigned, Resigning};
use crate::apply::sign::Signer;
use crate::apply::tree;
use crate::conf::model::Context;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::Cell;
use crate::model::system::Now;
use crate::observe::Observer;
use crate::progress::Report;

/// It owns what it needs, so it may move from one thread to another.
pub(super) struct Signing<'r> {
    observer: Observer<'r>,
    cell: &'r Cell,
    context: Context,
    may_ask: bool,
    /// The installed files follow.
    reinstall: bool,
}

impl<'r> Signing<'r> {
    /// Gets ready to sign. The second part says whether that can be done; why not is then told by
    /// [`Executor::commit_resign`].
    pub(super) fn prepare(
        executor: &'r Executor<'_>,
        cell: &'r Cell,
        reinstall: bool,
        report: &dyn Report,
    ) -> (Self, Result<Signer>) {
        let context = executor.observer.kept_context(cell);
        let may_ask = executor.flags.may_ask();
        let signing = Self { observer: executor.observer, cell, context, may_ask, reinstall };
        let signer = signing.job(report).prepare();
        (signing, signer)
    }

    /// Signs a copy of the build. May run on any thread.
    ///
    /// # Errors
    /// When a module cannot be signed.
    pub(super) fn work(&self, signer: &Signer, report: &dyn Report) -> Result<Resigned> {
        self.job(report).work(signer)
    }

    fn job<'j>(&'j self, report: &'j dyn Report) -> Resigning<'j> {
        Resigning {
            layout: self.observer.layout,
            cell: self.cell,
            context: &self.context,
            settings: self.observer.settings,
            distro: &self.observer.distribution.id,
            may_ask: self.may_ask,
            report,
        }
    }
}

impl Executor<'_> {
    /// Puts the build with the new signatures in place. What keeps that from being done is written down like a failed
    /// build: the build that is there stays as it is, and hooks do not try again until something changes.
    ///
    /// # Errors
    /// What keeps it from being done.
    pub(super) fn commit_resign(
        &self,
        signing: &Signing<'_>,
        resigned: Result<Resigned>,
        report: &dyn Report,
    ) -> Result<()> {
        let cell = signing.cell;
        match resigned.and_then(|resigned| signing.job(report).commit(resigned)) {
            Ok(()) => tree::drop_verdict(self.observer.layout, cell)?,
            Err(error) => {
                self.record_unsigned(cell, &error);
                return Err(error);
            }
        }
        if signing.reinstall { self.installer(cell, &[]).renew(cell) } else { Ok(()) }
    }

    fn record_unsigned(&self, cell: &Cell, error: &Error) {
        let Some(Now::Judged { facts, inputs, .. }) = self.system.cell(cell).map(|view| &view.now) else {
            return;
        };
        let failure = Failure {
            kind: error.kind,
            what: error.sentence(),
            log: None,
            first_errors: Vec::new(),
            // A tool that was killed says nothing about the module.
            toolchain_trouble: error.kind == Kind::Io || is_of_the_machine(&error.what),
            out_of_memory: false,
            disk_full: false,
            took_too_long: false,
            held_back: false,
            hint: error.hint.clone(),
        };
        if let Err(error) = self.record_failure(cell, facts.clone(), (**inputs).clone(), &failure) {
            log::warn!("{error}");
        }
    }
}
