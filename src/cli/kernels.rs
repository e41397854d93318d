//! `dkms-hook kernels`: which installed kernel everything supports.

use clap::Args;

use crate::cli::screen::{print, to_json};
use crate::machine::Machine;
use crate::model::error::Result;
use crate::model::ids::KernelRelease;
use crate::model::record::Overrides;
use crate::model::request::Request;
use crate::plan::Options;
use crate::report::json;
use crate::report::kernels::Kernels as Table;

/// Show the installed kernels, and whether every registered module supports each
///
/// The exit status is 0 when every module supports the newest kernel, and 1 otherwise.
#[derive(Debug, Args)]
pub(super) struct Kernels {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Kernels {
    /// Tells. Changes nothing.
    pub(super) fn run(&self, machine: &Machine) -> Result<u8> {
        let all = Request::Reconcile { kernels: None, retry: false };
        let (system, plan) = machine.glance(&all, &Options::default(), &Overrides::default());
        let installed: Vec<&KernelRelease> =
            system.kernels.iter().filter(|(_, kernel)| kernel.image).map(|(release, _)| release).collect();
        let started = machine.started_kernel(&installed);
        let kernels = Table::of(&system, &plan, machine.running_kernel().as_ref(), started);
        if self.json {
            print(&to_json(&json::kernels(&kernels))?);
        } else {
            print(&kernels.render());
        }
        Ok(u8::from(!kernels.is_newest_supported()))
    }
}
