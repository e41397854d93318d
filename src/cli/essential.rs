//! `dkms-hook essential`: which modules this machine should start no kernel without.

use clap::Args;

use crate::cli::screen::{print, to_json};
use crate::machine::Machine;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::ModuleName;
use crate::model::record::Overrides;
use crate::report::{essential, json};

/// Show, confirm or take back which modules this machine should start no kernel without
///
/// Without names it changes nothing: it shows the modules that are essential, and those that it proposes because
/// the system's file system, the network card of the default route or the display needs them.
#[derive(Debug, Args)]
pub(super) struct Essential {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    /// This module is not essential any more; may be given several times
    #[arg(long, value_name = "NAME")]
    not: Vec<String>,
    /// Modules that are essential from now on
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

impl Essential {
    /// True when nothing is to be changed.
    pub(super) fn only_looks(&self) -> bool {
        self.not.is_empty() && self.names.is_empty()
    }

    /// Changes what is asked for, and shows what counts then.
    pub(super) fn run(&self, machine: &mut Machine) -> Result<u8> {
        if !self.only_looks() {
            if machine.layout.root.is_slash() && !nix::unistd::geteuid().is_root() {
                return Err(Error::new(
                    Kind::NotPermitted,
                    "only root may change which modules are essential",
                )
                .hint("run it again with sudo"));
            }
            machine.set_essential(&names(&self.names)?, &names(&self.not)?)?;
        }
        let overrides = Overrides::default();
        let proposals = machine.observer(&overrides).proposals();
        if self.json {
            print(&to_json(&json::essential(&machine.settings, &proposals))?);
        } else {
            print(&essential::render(&machine.settings, &proposals));
        }
        Ok(0)
    }
}

fn names(texts: &[String]) -> Result<Vec<ModuleName>> {
    let names = texts.iter().map(|text| ModuleName::new(text.as_str()));
    Ok(names.collect::<std::result::Result<_, _>>()?)
}
