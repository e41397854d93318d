//! `dkms match`: one kernel gets what another has.

use super::session::Session;
use crate::cli::engine::{Need, Target};
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{Cell, ModuleName};
use crate::model::request::{Goal, Request};
use crate::model::status::StatusLine;
use crate::observe::status::Filter;

/// Installs for the kernel asked for whatever is installed for `--templatekernel`.
pub(super) fn matching(session: &mut Session<'_, '_>) -> Result<u8> {
    session.engine.permit(Need::Root)?;
    let Some(template) = session.asked.template.clone() else {
        return Err(Error::new(Kind::Misuse(1), "match needs the kernel to copy from")
            .hint("dkms match --templatekernel=KERNEL -k OTHER [MODULE]"));
    };
    let Some(Target { kernel, arch }) = session.targets()?.into_iter().next() else { return Ok(0) };
    if kernel.as_str() == template {
        return Err(Error::new(
            Kind::Misuse(2),
            format!("{template} is both the template and the target kernel"),
        ));
    }
    if let Some(module) = &session.asked.module {
        let known =
            ModuleName::new(module.as_str()).is_ok_and(|name| session.engine.layout().module(&name).is_dir());
        if !known {
            return Err(Error::new(Kind::NotRegistered, format!("{module} is not in the DKMS tree"))
                .hint("`dkms status` lists the modules there"));
        }
    }
    let filter = Filter {
        module: session.asked.module.clone(),
        version: session.asked.version.clone(),
        kernel: Some(template.clone()),
        arch: Some(arch.to_string()),
    };
    let cells: Vec<Cell> = session
        .engine
        .status(&filter)
        .lines
        .into_iter()
        .filter_map(|line| match line {
            StatusLine::Built { cell, installed: true, .. } => Some(cell),
            _ => None,
        })
        .collect();
    if cells.is_empty() {
        session.screen.line(format_args!("Kernel {template} has no installed module to match for {kernel}."));
        return Ok(0);
    }
    let mut code = 0;
    for cell in cells {
        let outcome = session.carry_out(&Request::Bring {
            module: cell.module,
            kernel: kernel.clone(),
            arch: arch.clone(),
            to: Goal::Installed,
            force: session.asked.options.force,
        });
        if code == 0 {
            code = outcome.code;
        }
    }
    Ok(code)
}
