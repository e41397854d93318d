//! `dkms-hook boot-check`: whether a kernel that was started has every essential module.

use clap::Args;

use crate::cli::screen::print;
use crate::machine::Machine;
use crate::model::error::Result;
use crate::model::ids::{KernelRelease, ModuleName};
use crate::model::record::Overrides;
use crate::tree::state;

/// Check that the running kernel has every essential module
///
/// The exit status is 1 when one is missing: systemd then does not take this start for a good one. Nothing else makes
/// it fail.
#[derive(Debug, Args)]
pub(super) struct BootCheck {
    /// Only say so: the status is 0
    #[arg(long)]
    report: bool,
    /// Another kernel than the running one
    #[arg(value_name = "RELEASE")]
    kernel: Option<String>,
}

impl BootCheck {
    /// Looks and tells.
    pub(super) fn run(&self, machine: &Machine) -> Result<u8> {
        let named = self.kernel.as_deref().map(KernelRelease::new).transpose()?;
        let Some(kernel) = named.or_else(|| machine.running_kernel()) else { return Ok(0) };
        let overrides = Overrides::default();
        let observer = machine.observer(&overrides);
        if observer.essential().is_empty() {
            return Ok(0);
        }
        let missing = observer.lacks(&kernel);
        if !missing.is_empty() {
            let names: Vec<&str> = missing.iter().map(ModuleName::as_str).collect();
            print(&format!("{kernel} lacks {}, which is essential\n", names.join(" and ")));
        }
        if self.report
            && let Some(active) =
                state::known(state::boot_guard(&machine.layout)).and_then(|known| known.active)
        {
            print(&format!("{}\n", active.verdict));
            active.said.iter().for_each(|line| print(&format!("  {line}\n")));
        }
        Ok(u8::from(!missing.is_empty() && !self.report))
    }
}
