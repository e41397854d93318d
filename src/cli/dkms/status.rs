//! `dkms status`.

use super::session::Session;
use crate::model::error::{Error, Result};
use crate::observe::status::Filter;
use crate::report::status::render;

/// Lists; with several kernels the whole listing once for each. Scripts ask it whether something is
/// there, and it always succeeds, except where it could not look: an empty listing would say that nothing is.
pub(super) fn status(session: &mut Session<'_, '_>) -> Result<u8> {
    let asked = session.asked;
    let base = Filter { module: asked.module.clone(), version: asked.version.clone(), ..Filter::default() };
    let arch = |i: usize| asked.arches.get(i).or(asked.arches.first()).cloned();
    let filters: Vec<Filter> = match asked.kernels.as_slice() {
        [] => vec![Filter { arch: arch(0), ..base }],
        kernels => {
            let each = kernels.iter().enumerate();
            each.map(|(i, k)| Filter { kernel: Some(k.clone()), arch: arch(i), ..base.clone() }).collect()
        }
    };
    let mut status = 0;
    for filter in filters {
        let listing = session.engine.status(&filter);
        let (out, err) = session.screen.streams();
        let read = render(&listing.lines, out, err);
        for blind in listing.unseen {
            let error = Error::from(blind);
            status = error.kind.exit_status();
            session.screen.error(&error);
        }
        if read.is_err() {
            // Whoever read has seen enough (`dkms status | head -1`).
            break;
        }
    }
    Ok(status)
}
