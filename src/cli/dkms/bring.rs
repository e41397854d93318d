//! `dkms build`, `install`, `uninstall` and `unbuild`: one module version, some kernels.

use super::add::ensure_added;
use super::session::{Session, broken, shown};
use crate::cli::engine::{Need, Outcome, Target};
use crate::error::Result;
use crate::ids::ModuleId;
use crate::report::status::{Registration, built_cells, registration};
use crate::request::{Goal, Request};

/// Brings the module version asked for to `goal` for every kernel asked for.
pub(super) fn bring(session: &mut Session<'_, '_>, goal: Goal) -> Result<u8> {
    let (id, targets) = match goal {
        Goal::Added | Goal::Built | Goal::Installed => {
            let targets = session.targets()?;
            // A broken entry is told before a missing privilege.
            if let Ok(id) = session.module()
                && registration(session.engine.layout(), &id) == Registration::Broken
            {
                return Err(broken(session.engine, &id));
            }
            let need = if goal == Goal::Installed { Need::Root } else { Need::Tree };
            session.engine.permit(need)?;
            (ensure_added(session, targets.first())?, targets)
        }
        Goal::Uninstalled | Goal::Unbuilt => {
            let id = session.registered_module()?;
            let need = if goal == Goal::Uninstalled { Need::Root } else { Need::Tree };
            session.engine.permit(need)?;
            let targets = match session.asked.all {
                true => every_build(session, &id),
                false => session.targets()?,
            };
            (id, targets)
        }
    };
    let mut code = 0;
    for target in targets {
        let outcome = session.carry_out(&Request::Bring {
            module: id.clone(),
            kernel: target.kernel.clone(),
            arch: target.arch.clone(),
            to: goal,
            force: session.asked.options.force,
        });
        tell_unchanged(session, &id, &target, goal, &outcome);
        if code == 0 {
            code = outcome.code;
        }
    }
    Ok(code)
}

/// What `--all` stands for.
pub(super) fn every_build(session: &Session<'_, '_>, id: &ModuleId) -> Vec<Target> {
    let cells = built_cells(session.engine.layout(), id);
    cells.into_iter().map(|cell| Target { kernel: cell.kernel, arch: cell.arch }).collect()
}

/// A command that found nothing to do says so; what was done has been reported on the way.
fn tell_unchanged(
    session: &mut Session<'_, '_>,
    id: &ModuleId,
    target: &Target,
    goal: Goal,
    outcome: &Outcome,
) {
    let cell = target.cell(id);
    if outcome.code != 0 || outcome.changed.contains(&cell) || !outcome.reached.contains(&cell) {
        return;
    }
    let at = shown(&cell);
    match goal {
        Goal::Added => session.screen.line(format_args!("Module {id} already added.")),
        Goal::Built => {
            session.screen.line(format_args!(
                "Module {id} already built for {at}: nothing has changed since. --force builds it again."
            ));
        }
        Goal::Installed => {
            session.screen.line(format_args!(
                "Module {id} already installed on {at}: nothing has changed since. --force installs it again."
            ));
        }
        Goal::Uninstalled => {
            session.screen.line(format_args!("Module {id} is not installed for {at}. Skipping..."));
        }
        Goal::Unbuilt => session.screen.line(format_args!("Module {id} is not built for {at}. Skipping...")),
    }
}
