//! `dkms status`.

use super::session::Session;
use crate::model::error::Result;
use crate::observe::status::Filter;
use crate::report::status::render;

/// Lists; with several kernels the whole listing once for each. Always succeeds: scripts ask it whether
/// something is there and take any other status for a defect of dkms itself.
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
    for filter in filters {
        let lines = session.engine.status(&filter);
        let (out, err) = session.screen.streams();
        if render(&lines, out, err).is_err() {
            // Whoever read has seen enough (`dkms status | head -1`).
            break;
        }
    }
    Ok(0)
}
