//! The lock as a run takes it: a person waits for another run as long as that takes, a hook for a while. What a hook
//! could not do then, the next run takes up.

use std::path::PathBuf;

use super::Machine;
use crate::model::error::{Error, Kind, Result};
use crate::model::request::Request;
use crate::model::settings::Limit;
use crate::progress::Report;
use crate::tree::left::{self, Left};
use crate::tree::lock::{self, Lock};
use crate::tree::registry;

impl Machine {
    /// How long another run is waited for.
    pub fn patience(&self) -> Limit {
        let limit = *self.settings.limits.lock;
        // A person sees whom the run waits for, and can end either.
        if self.anew { Limit { time: None, ..limit } } else { limit }
    }

    /// Takes the lock.
    ///
    /// # Errors
    /// When it cannot be had; [`Kind::Locked`] when a hook has waited long enough.
    pub fn lock(&self, report: &dyn Report) -> Result<Lock> {
        lock::take(&self.layout, self.patience(), report)
    }

    /// Whether an earlier hook left something: what notes on kernels say may be out of date.
    pub(super) fn has_left(&self) -> bool {
        left::since(&self.layout).is_some()
    }

    /// As [`Self::lock`], for something that the next run cannot see by itself.
    pub(super) fn lock_or_leave(&self, left: Left, report: &dyn Report) -> Result<Lock> {
        self.lock(report).inspect_err(|error| self.leave(left, error, report))
    }

    /// Leaves something to the next run, if another one has the lock.
    pub(super) fn leave(&self, left: Left, why: &Error, report: &dyn Report) {
        if why.kind == Kind::Locked
            && let Err(error) = left::leave(&self.layout, &left)
        {
            report.warning(&error.to_string());
        }
    }

    /// What earlier hooks left to a run like this one, each with its file, and the request with that in it. Sources
    /// that they could not register are registered.
    pub(super) fn take_up(&self, request: &Request, report: &dyn Report) -> (Vec<PathBuf>, Option<Request>) {
        let Request::Reconcile { kernels, retry } = request else { return Default::default() };
        if !self.has_left() || lock::inside_a_run() {
            return Default::default();
        }
        let all = left::all(&self.layout);
        for (file, id) in all.iter().filter_map(|(file, left)| match left {
            Left::Add(id) => Some((file, id)),
            _ => None,
        }) {
            // A package that has gone meanwhile took its source along.
            let wanted = self.layout.source(id).is_dir() && !registry::is_added(&self.layout, id);
            let source = self.layout.source_inside(id);
            let added = if wanted { self.register(&source, report) } else { Ok(()) };
            match added {
                Err(error) if error.kind == Kind::Locked => log::info!("{error}"),
                added => {
                    if let Err(error) = added.and_then(|()| left::done(&self.layout, file)) {
                        report.warning(&error.to_string());
                        let _ = left::done(&self.layout, file);
                    }
                }
            }
        }
        let rest = all.into_iter().filter(|(_, left)| !matches!(left, Left::Add(_)));
        let files: Vec<PathBuf> = rest.map(|(file, _)| file).collect();
        let widened = kernels.is_some() && !files.is_empty();
        (files, widened.then_some(Request::Reconcile { kernels: None, retry: *retry }))
    }

    /// What was left has been done.
    pub(super) fn is_made_up_for(&self, left: &[PathBuf]) {
        for file in left {
            if let Err(error) = left::done(&self.layout, file) {
                log::warn!("{error}");
            }
        }
    }
}
