//! `dkms autoinstall`, and the actions that package managers call around a kernel.

use super::session::Session;
use crate::cli::engine::{Need, Outcome, Target};
use crate::model::error::{Kind, Result};
use crate::model::ids::{Cell, KernelRelease};
use crate::model::request::Request;
use crate::process::interrupt;

/// Every module with AUTOINSTALL, for one kernel. The summary lines are read by scripts.
pub(super) fn autoinstall(session: &mut Session<'_, '_>) -> Result<u8> {
    session.engine.permit(Need::Root)?;
    if session.engine.layout().etc().join("no-autoinstall").exists() {
        session.screen.line(DISABLED);
        return Ok(0);
    }
    let mut code = 0;
    for target in session.targets()? {
        session.own_architecture(&target)?;
        let Target { kernel, arch } = target;
        let outcome = session.carry_out(&Request::Autoinstall { kernel: kernel.clone(), arch });
        for line in summary(&kernel, &outcome) {
            session.screen.line(line);
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

/// What is said when `/etc/dkms/no-autoinstall` exists.
pub(super) const DISABLED: &str = "Automatic installation of modules has been disabled.";

/// One line each for what succeeded, was skipped and failed, and one for every module that lacks what it
/// depends on; none at all when there was nothing to do.
fn summary(kernel: &KernelRelease, outcome: &Outcome) -> Vec<String> {
    let mut lines = Vec::new();
    let failed = outcome.failures.iter().filter_map(|failure| {
        failure.module.as_ref().map(|module| format!("{}({})", module.name, failure.error.kind.exit_status()))
    });
    let failed: Vec<String> = failed.collect();
    let excluded = names(outcome.excluded.iter().map(|(cell, _)| cell));
    let quiet = outcome.changed.is_empty() && failed.is_empty() && excluded.is_empty();
    if quiet && outcome.unresolved.is_empty() && outcome.deferred.is_empty() {
        return lines;
    }
    let mut add = |what: &str, names: &[String]| {
        if !names.is_empty() {
            lines.push(format!("Autoinstall on {kernel} {what} for module(s) {}.", names.join(" ")));
        }
    };
    // As in DKMS what was there before comes first, then the others in the order of their installation.
    let before = outcome.reached.iter().filter(|cell| !outcome.changed.contains(cell));
    let now = outcome.changed.iter().filter(|cell| outcome.reached.contains(cell));
    add("succeeded", &names(before.chain(now)));
    add("was skipped", &excluded);
    add("failed", &failed);
    for (cell, missing) in &outcome.unresolved {
        let missing = missing.join(" ");
        lines.push(format!("{} autoinstall failed due to missing dependencies: {missing}.", cell.module));
    }
    for (cell, missing) in &outcome.deferred {
        let missing = missing.join(" ");
        let text = format!(
            "{} autoinstall deferred: BUILD_DEPENDS not registered with DKMS: {missing}.",
            cell.module
        );
        lines.push(text);
    }
    if !outcome.deferred.is_empty() {
        lines.push(
            "The deferred modules are built when the packages of those modules are installed.".to_owned(),
        );
    }
    lines
}

fn names<'a>(cells: impl Iterator<Item = &'a Cell>) -> Vec<String> {
    cells.map(|cell| cell.module.name.to_string()).collect()
}

/// A kernel is being removed: what is ours for it goes.
pub(super) fn kernel_prerm(session: &mut Session<'_, '_>) -> Result<u8> {
    session.engine.permit(Need::Root)?;
    let mut code = 0;
    for Target { kernel, .. } in session.targets()? {
        let outcome = session.carry_out(&Request::KernelRemoved { kernel });
        if outcome.code != 0 {
            code = Kind::KernelNotCleared.exit_status();
        }
    }
    Ok(code)
}
