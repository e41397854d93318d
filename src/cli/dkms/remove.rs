//! `dkms remove`: unbuild for some kernels, and forget the module version when no build is left.

use super::bring::every_build;
use super::session::Session;
use crate::apply::rpm_upgrade;
use crate::cli::engine::Need;
use crate::model::error::{Error, Kind, Result};
use crate::model::request::Request;
use crate::tree::registry;

/// Without `-k` and `--all` it is about the default kernel. Where there is no kernel at all, only the
/// registration can go.
pub(super) fn remove(session: &mut Session<'_, '_>) -> Result<u8> {
    let id = session.module_to_take_away()?;
    session.engine.permit(Need::Tree)?;
    if session.asked.options.rpm_safe_upgrade && rpm_upgrade::ends_one(session.engine.layout(), &id)? {
        session.screen.warning(format_args!(
            "{id} is not removed: the same transaction just added it (--rpm_safe_upgrade)."
        ));
        return Ok(0);
    }
    let targets = if session.asked.all {
        every_build(session, &id)
    } else {
        match session.targets() {
            Ok(targets) => targets,
            Err(Error { kind: Kind::HeadersMissing, .. }) => Vec::new(),
            Err(error) => return Err(error),
        }
    };
    let cells = targets.iter().map(|target| (target.kernel.clone(), target.arch.clone())).collect();
    let outcome = session.carry_out(&Request::Remove { module: id.clone(), cells });
    session.finish_cut_off(&id, &targets);
    if outcome.code == 0 && registry::source(session.engine.layout(), &id).is_none() {
        session.screen.line(format_args!("Module {id} removed from the DKMS tree."));
    }
    Ok(outcome.code)
}
