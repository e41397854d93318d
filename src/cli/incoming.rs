//! `dkms-hook incoming`: what a package manager asks before it installs packages.

use std::path::PathBuf;

use clap::Args;

use crate::adapters::incoming;
use crate::cli::root;
use crate::cli::screen::{print, to_json};
use crate::machine::Machine;
use crate::model::error::Result;
use crate::progress::Report;
use crate::report::json;

/// Look into packages that are about to be installed
///
/// Says which modules will be built for the kernels in them, and warns of kernels that come without the
/// headers that modules need. Ignores packages that have nothing to do with kernels.
#[derive(Debug, Args)]
pub(super) struct Incoming {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    /// Package files (.rpm, .deb, .pkg.tar.*), all of one transaction
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
}

impl Incoming {
    /// Looks and tells. The status is 3 when the packages must not be installed, and otherwise 0.
    pub(super) fn run(&self, machine: &Machine, report: &dyn Report) -> Result<u8> {
        let paths: Vec<PathBuf> = self.paths.iter().map(|path| root::as_opened(path)).collect();
        let transaction = incoming::transaction(&paths, report);
        if !self.json {
            return Ok(incoming::before(machine, &transaction, &paths, report).exit_status());
        }
        let kernels =
            if transaction.is_empty() { Vec::new() } else { incoming::kernels(machine, &transaction) };
        print(&to_json(&json::incoming(&kernels, &transaction.sources))?);
        Ok(0)
    }
}
