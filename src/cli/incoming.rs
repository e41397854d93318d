//! `dkms-hook incoming`: what a package manager asks before it installs packages.

use std::path::PathBuf;

use clap::Args;

use crate::adapters::{in_line, incoming};
use crate::cli::root;
use crate::cli::screen::{print, to_json};
use crate::machine::Machine;
use crate::model::error::Result;
use crate::progress::Report;
use crate::report::json;

/// Look into packages that are about to be installed
///
/// Says which modules will be built for the kernels in them, and how long that took before, warns of kernels that
/// come without the headers that modules need, and names module sources that come. Ignores packages that have nothing
/// to do with kernels. The exit status is 3 when the packages should not be installed.
#[derive(Debug, Args)]
pub(super) struct Incoming {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    /// A kernel that the same transaction removes; may be given several times
    #[arg(long, value_name = "RELEASE")]
    leaving: Vec<String>,
    /// Package files (.rpm, .deb, .pkg.tar.*), all of one transaction
    #[arg(value_name = "PATH", required_unless_present = "leaving")]
    paths: Vec<PathBuf>,
}

impl Incoming {
    /// Looks and tells. The status is 3 when the packages should not be installed, and otherwise 0.
    pub(super) fn run(&self, machine: &Machine, report: &dyn Report) -> Result<u8> {
        let paths: Vec<PathBuf> = self.paths.iter().map(|path| root::as_opened(path)).collect();
        let leaving = self.leaving.iter().map(|text| in_line::release(text)).collect::<Result<Vec<_>>>()?;
        let (transaction, files) = incoming::transaction(&paths, report);
        let transaction = transaction.without(leaving);
        if !self.json {
            return Ok(incoming::before(machine, &transaction, &files, report).exit_status());
        }
        print(&to_json(&json::incoming(&incoming::look(machine, &transaction), &transaction))?);
        Ok(0)
    }
}
