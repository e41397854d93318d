//! `dkms build`, `install`, `uninstall` and `unbuild`: one module version, some kernels.

use super::add::ensure_added;
use super::archive;
use super::session::{Session, broken, shown};
use crate::cli::engine::{Need, Outcome, Target};
use crate::model::error::Result;
use crate::model::ids::ModuleId;
use crate::model::request::{Goal, Request};
use crate::model::system::Source;
use crate::process::interrupt;
use crate::tree::registry;

/// Brings the module version asked for to `goal` for every kernel asked for.
pub(super) fn bring(session: &mut Session<'_, '_>, goal: Goal) -> Result<u8> {
    let (id, targets) = match goal {
        Goal::Added | Goal::Built | Goal::Installed => {
            let targets = session.targets()?;
            // A broken entry is told before a missing privilege.
            if let Ok(id) = session.module()
                && let Some(Source::Dangling(_)) = registry::source(session.engine.layout(), &id)
            {
                return Err(broken(session.engine, &id));
            }
            let need = if goal == Goal::Installed { Need::Root } else { Need::Tree };
            session.engine.permit(need)?;
            refuse_other_architectures(session, &targets)?;
            (ensure_added(session, targets.first())?, targets)
        }
        Goal::Uninstalled | Goal::Unbuilt => {
            let id = session.module_to_take_away()?;
            let need = if goal == Goal::Uninstalled { Need::Root } else { Need::Tree };
            session.engine.permit(need)?;
            let targets = match session.asked.all {
                true => every_build(session, &id),
                false => session.targets()?,
            };
            if session.asked.all {
                session.finish_cut_off(&id, &targets);
            }
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
        // Building and installing are told on the way, with what is built and where it goes.
        if goal == Goal::Unbuilt && outcome.code == 0 && outcome.changed.contains(&target.cell(&id)) {
            let at = shown(&target.cell(&id));
            session.screen.line(format_args!("The build of module {id} for {at} was deleted."));
        }
        if code == 0 {
            code = outcome.code;
        }
        if interrupt::requested().is_some() {
            break;
        }
    }
    Ok(code)
}

/// Where nothing of what is asked for could be built, nothing is done at all: not even the source is
/// registered. A build of another architecture that is there can be installed, and an archive may bring
/// one.
fn refuse_other_architectures(session: &Session<'_, '_>, targets: &[Target]) -> Result<()> {
    if archive::named(session).is_some() {
        return Ok(());
    }
    let id = session.module().ok();
    let mut errors = Vec::new();
    for target in targets {
        let built = |id: &ModuleId| registry::is_built(session.engine.layout(), &target.cell(id));
        match session.own_architecture(target) {
            Err(error) if !id.as_ref().is_some_and(built) => errors.push(error),
            _ => return Ok(()),
        }
    }
    errors.into_iter().next().map_or(Ok(()), Err)
}

/// What `--all` stands for.
pub(super) fn every_build(session: &Session<'_, '_>, id: &ModuleId) -> Vec<Target> {
    let cells = registry::builds(session.engine.layout(), id);
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
                "Module {id} already built for {at}: nothing changed since then. --force rebuilds it."
            ));
        }
        Goal::Installed => {
            session.screen.line(format_args!(
                "Module {id} already installed on {at}: nothing changed since then. --force reinstalls it."
            ));
        }
        Goal::Uninstalled => {
            session.screen.line(format_args!("Module {id} is not installed for {at}. Skipping..."));
        }
        Goal::Unbuilt => session.screen.line(format_args!("Module {id} is not built for {at}. Skipping...")),
    }
}
