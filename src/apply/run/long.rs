//! Steps that take long: prepared and committed by whoever holds the lock, with the work between them.

use super::Executor;
use super::building::{self, Building};
use super::resigning::Signing;
use crate::apply::build::phases::Prepared;
use crate::apply::build::place::Place;
use crate::apply::resign::Resigned;
use crate::apply::sign::Signer;
use crate::model::error::Result;
use crate::plan::Action;
use crate::process::jobserver::Server;
use crate::progress::Report;

/// A step that can be worked on.
pub(super) enum Work<'r> {
    Build(Box<Building<'r>>, Box<Prepared>, Place),
    Resign(Box<Signing<'r>>, Box<Signer>),
}

/// A step whose work is done, or failed.
pub(super) enum Worked<'r> {
    Build(Box<Building<'r>>, Box<building::Worked>),
    Resign(Box<Signing<'r>>, Result<Resigned>),
}

/// What follows from getting ready.
pub(super) enum Begun<'r> {
    /// Its work.
    Work(Work<'r>),
    /// It is over before it began.
    Over(Worked<'r>),
}

impl<'r> Work<'r> {
    /// Does it, on any thread: it writes into directories of its own, and nowhere else.
    pub(super) fn run(self, report: &dyn Report) -> Worked<'r> {
        match self {
            Self::Build(mut building, prepared, place) => {
                let worked = building.work(*prepared, &place, report);
                Worked::Build(building, Box::new(worked))
            }
            Self::Resign(signing, signer) => {
                let resigned = signing.work(&signer, report);
                Worked::Resign(signing, resigned)
            }
        }
    }
}

impl Executor<'_> {
    /// Gets ready for a step; `None` for one that does not take long.
    pub(super) fn begin<'r>(
        &'r self,
        action: &'r Action,
        place: &Place,
        server: &Server,
        report: &dyn Report,
    ) -> Option<Result<Begun<'r>>> {
        let begun = match action {
            Action::Build { cell, force } => match Building::prepare(self, cell, *force, server, report) {
                Ok((building, Ok(prepared))) => {
                    Begun::Work(Work::Build(Box::new(building), Box::new(prepared), place.clone()))
                }
                Ok((building, Err(failure))) => {
                    Begun::Over(Worked::Build(Box::new(building), Box::new(Err(failure.into()))))
                }
                Err(error) => return Some(Err(error)),
            },
            Action::Resign { cell, reinstall } => match Signing::prepare(self, cell, *reinstall, report) {
                (signing, Ok(signer)) => Begun::Work(Work::Resign(Box::new(signing), Box::new(signer))),
                (signing, Err(error)) => Begun::Over(Worked::Resign(Box::new(signing), Err(error))),
            },
            _ => return None,
        };
        Some(Ok(begun))
    }

    /// Puts the result of a step in place, or writes down why there is none.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn commit(&self, worked: Worked<'_>, report: &dyn Report) -> Result<()> {
        match worked {
            Worked::Build(building, worked) => self.commit_build(*building, *worked, report),
            Worked::Resign(signing, resigned) => self.commit_resign(&signing, resigned, report),
        }
    }

    /// A step with all its parts, one after another.
    pub(super) fn long(&self, action: &Action) -> Result<()> {
        let Some(cell) = action.cell() else { return Ok(()) };
        let place = Place::usual(self.observer.layout, &cell.module);
        let server = self.server();
        let _slot = server.slot();
        let worked = match self.begin(action, &place, server, self.report) {
            Some(begun) => match begun? {
                Begun::Work(work) => work.run(self.report),
                Begun::Over(worked) => worked,
            },
            None => return Ok(()),
        };
        self.commit(worked, self.report)
    }
}
