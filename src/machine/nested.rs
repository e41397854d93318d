//! Calls of this program by scripts of a run under way.

use crate::model::error::{Error, Kind, Result};
use crate::model::ids::ModuleId;
use crate::model::request::Request;
use crate::plan::{Action, Plan};
use crate::tree::layout::Layout;
use crate::tree::turn;

/// Whether a script of a run under way may have this done. What is about everything is that run's
/// own business; the module that the script belongs to is being worked on.
///
/// # Errors
/// When it is about that very module.
pub(super) fn may_nest(request: &Request) -> Result<bool> {
    let module = match request {
        Request::Bring { module, .. } | Request::Remove { module, .. } => module,
        Request::Reconcile { .. }
        | Request::Autoinstall { .. }
        | Request::Resign { .. }
        | Request::KernelRemoved { .. } => return Ok(false),
    };
    not_of_itself(module)?;
    Ok(true)
}

/// A script of a run under way must not touch the module that it belongs to.
///
/// # Errors
/// When it would.
pub fn not_of_itself(module: &ModuleId) -> Result<()> {
    // Every script of a module is told whose it is.
    if std::env::var("module").is_ok_and(|name| name == module.name.as_str()) {
        let text =
            format!("a script of {} runs this command while that module is being changed", module.name);
        return Err(Error::new(Kind::ModuleBusy, text).hint("remove the call from the script"));
    }
    Ok(())
}

/// What the run is building at the moment is left alone.
///
/// # Errors
/// When a step is about such a module version.
pub(super) fn may_change(layout: &Layout, plan: &Plan) -> Result<()> {
    let modules = plan.steps.iter().filter_map(|step| match &step.action {
        Action::Add { module } | Action::Forget { module } => Some(module),
        action => action.cell().map(|cell| &cell.module),
    });
    let mut busy = modules.filter(|module| turn::is_being_built(layout, module));
    busy.next().map_or(Ok(()), |module| {
        let text = format!("{module} is being built by the run that this command was called from");
        Err(Error::new(Kind::ModuleBusy, text)
            .hint("name it in BUILD_DEPENDS of the module whose script calls this: then it is built before"))
    })
}
