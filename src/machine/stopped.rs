//! What a run that a signal ended tells: what was left as it was, and how to go on.

use std::collections::BTreeSet;

use super::Ran;
use crate::apply::run::Done;
use crate::model::error::{Error, Kind};
use crate::model::ids::{Cell, KernelRelease};
use crate::model::system::System;
use crate::plan::Action;
use crate::process::interrupt::{self, Interrupt};

/// As many steps are told one by one; of more, their number.
const TOLD: usize = 8;

impl Ran {
    /// The signal that ended the run before its end, if one did.
    pub fn stopped(&self) -> Option<Interrupt> {
        interrupt::requested().filter(|_| self.done.contains(&Done::Stopped))
    }

    /// Tells, where a signal ended the run, what was left as it was and what to do to go on.
    pub fn stop(&self) -> Option<Error> {
        let stopped = self.stopped()?;
        Some(tell(stopped, self))
    }
}

fn tell(stopped: Interrupt, ran: &Ran) -> Error {
    let left = || ran.plan.steps.iter().zip(&ran.done).filter(|(_, done)| **done == Done::Stopped);
    let mut lines: Vec<String> = left().filter_map(|(step, _)| left_out(ran, &step.action)).collect();
    let more = lines.len().saturating_sub(TOLD);
    if more > 0 {
        lines.truncate(TOLD);
        lines.push(format!("and {more} more"));
    }
    let text = match lines.as_slice() {
        [] => " the run ended early".to_owned(),
        [line] => format!(" {line}"),
        lines => lines.iter().map(|line| format!("\n  {line}")).collect(),
    };
    let kernels: BTreeSet<&KernelRelease> = left().filter_map(|(step, _)| step.action.kernel()).collect();
    let named: String = kernels.iter().map(|kernel| format!(" --kernel {kernel}")).collect();
    Error::new(Kind::Interrupted(stopped.exit_status()), format!("stopped by {}:{text}", stopped.name()))
        .hint(format!("run the same command again, or `dkms-hook{named}`, to go on"))
}

/// What a step that was left out means to a person; `None` where another line says it.
fn left_out(ran: &Ran, action: &Action) -> Option<String> {
    let system = &ran.system;
    match action {
        Action::Build { cell, .. } => {
            let what = format!("{} for {} was not built", cell.module, cell.kernel);
            Some(match system.cell(cell).is_some_and(|view| view.built) {
                true => {
                    format!("{what}; the build that was there is unchanged, and {}", installed(ran, cell))
                }
                false => format!("{what}, and {}", installed(ran, cell)),
            })
        }
        Action::Install { cell, .. } => {
            let builds = |step: &Action| matches!(step, Action::Build { cell: built, .. } if built == cell);
            let told = ran.plan.steps.iter().zip(&ran.done);
            let told = told.filter(|(step, _)| builds(&step.action)).any(|(_, done)| *done != Done::Yes);
            let what = format!("{} is built for {} and was not installed", cell.module, cell.kernel);
            (!told).then(|| format!("{what}; {}", installed(ran, cell)))
        }
        Action::Resign { cell, .. } => Some(format!(
            "{} for {} was not signed anew; its modules are unchanged",
            cell.module, cell.kernel
        )),
        Action::Uninstall { cell } => Some(format!("{} is still installed for {}", cell.module, cell.kernel)),
        Action::Depmod { kernel } if has_changed(ran, kernel) => {
            Some(format!("the index of {kernel} was not made anew (depmod)"))
        }
        Action::Initramfs { kernel, .. } if has_changed(ran, kernel) => {
            Some(format!("the initramfs of {kernel} was not rebuilt"))
        }
        _ => None,
    }
}

/// Whether the run changed modules of a kernel before it was stopped.
fn has_changed(ran: &Ran, kernel: &KernelRelease) -> bool {
    let mut steps = ran.plan.steps.iter().zip(&ran.done);
    steps.any(|(step, done)| {
        let changes =
            matches!(step.action, Action::Install { .. } | Action::Uninstall { .. } | Action::Resign { .. });
        changes && *done == Done::Yes && step.action.kernel() == Some(kernel)
    })
}

/// Which module of a cell's name is installed now, in words that follow "and".
fn installed(ran: &Ran, cell: &Cell) -> String {
    let uninstalled = ran.plan.steps.iter().zip(&ran.done).any(|(step, done)| {
        *done == Done::Yes
            && matches!(&step.action, Action::Uninstall { cell: gone } if is_of_the_same_name(gone, cell))
    });
    match installed_before(&ran.system, cell).filter(|_| !uninstalled) {
        Some(before) => format!("{} is still installed", before.module),
        None => format!("no {} is installed", cell.module.name),
    }
}

fn installed_before<'a>(system: &'a System, cell: &Cell) -> Option<&'a Cell> {
    let mut of_name = system.cells.iter().filter(|(other, _)| is_of_the_same_name(other, cell));
    of_name.find(|(_, view)| view.installed).map(|(cell, _)| cell)
}

fn is_of_the_same_name(one: &Cell, other: &Cell) -> bool {
    one.module.name == other.module.name && one.kernel == other.kernel && one.arch == other.arch
}
