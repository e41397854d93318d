//! Steps that take long: prepared and committed by whoever holds the lock, with the work between them.

use super::Executor;
use super::building::{self, Building};
use super::resigning::Signing;
use crate::apply::build::phases::Prepared;
use crate::apply::build::place::Place;
use crate::apply::resign::Resigned;
use crate::apply::sign::Signer;
use crate::model::error::Result;
use crate::model::ids::Cell;
use crate::plan::Action;
use crate::process::jobserver::Server;
use crate::progress::Report;

/// A step that takes long.
#[derive(Debug, Clone, Copy)]
pub(super) enum Long<'r> {
    Build { cell: &'r Cell, force: bool },
    Resign { cell: &'r Cell, reinstall: bool },
}

impl<'r> Long<'r> {
    /// `None` for an action that is carried out at once.
    pub(super) fn of(action: &'r Action) -> Option<Self> {
        match action {
            Action::Build { cell, force, .. } => Some(Self::Build { cell, force: *force }),
            Action::Resign { cell, reinstall } => Some(Self::Resign { cell, reinstall: *reinstall }),
            _ => None,
        }
    }

    /// Where it is done.
    pub(super) fn cell(self) -> &'r Cell {
        match self {
            Self::Build { cell, .. } | Self::Resign { cell, .. } => cell,
        }
    }
}

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
    /// Gets ready for a step.
    ///
    /// # Errors
    /// When there is nothing to begin with.
    pub(super) fn begin<'r>(
        &'r self,
        step: Long<'r>,
        place: &Place,
        server: &Server,
        report: &dyn Report,
    ) -> Result<Begun<'r>> {
        match step {
            Long::Build { cell, force } => {
                let (building, prepared) = Building::prepare(self, cell, force, server, report)?;
                let building = Box::new(building);
                Ok(match prepared {
                    Ok(prepared) => Begun::Work(Work::Build(building, Box::new(prepared), place.clone())),
                    Err(failure) => Begun::Over(Worked::Build(building, Box::new(Err(failure.into())))),
                })
            }
            Long::Resign { cell, reinstall } => {
                let (signing, signer) = Signing::prepare(self, cell, reinstall, report);
                let signing = Box::new(signing);
                Ok(match signer {
                    Ok(signer) => Begun::Work(Work::Resign(signing, Box::new(signer))),
                    Err(error) => Begun::Over(Worked::Resign(signing, Err(error))),
                })
            }
        }
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
}
