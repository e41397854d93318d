//! `dkms-hook secure-boot`: what each kernel makes of each module, and asking for the enrolment of the certificate.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::root;
use crate::cli::screen::{print, to_json};
use crate::machine::Machine;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::KernelRelease;
use crate::model::record::Overrides;
use crate::model::request::Request;
use crate::plan::{Note, Options};
use crate::progress::Report;
use crate::report::json;

/// Show which modules each kernel will load, and which it refuses and why
///
/// Looks at that kernel's configuration and parameters, at the firmware, and at what each installed file
/// bears. The exit status is 1 when a module is refused; 4 when none is, and of one it cannot be told.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct SecureBoot {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    /// Only for this kernel release; may be given several times
    #[arg(short, long, value_name = "RELEASE")]
    kernel: Vec<String>,
    /// Module files to judge in place of those that are installed
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask shim to enroll the certificate at the next start, with a password that is made and shown
    ///
    /// Says so where that would be of no use. The exit status is 1 when nothing was asked for that is needed.
    #[command(alias = "enroll")]
    Enrol,
}

impl SecureBoot {
    /// True for what changes nothing.
    pub(super) fn only_looks(&self) -> bool {
        self.command.is_none()
    }

    /// Shows the table, or asks for the enrolment.
    pub(super) fn run(&self, machine: &Machine, report: &dyn Report) -> Result<u8> {
        match self.command {
            Some(Command::Enrol) => enrol(machine, report),
            None => self.table(machine),
        }
    }

    fn table(&self, machine: &Machine) -> Result<u8> {
        let named: Vec<KernelRelease> =
            self.kernel.iter().map(|name| KernelRelease::new(name.as_str())).collect::<Result<_, _>>()?;
        let request = Request::Reconcile { kernels: None, retry: false };
        let (system, _) = machine.glance(&request, &Options::default(), &Overrides::default());
        let unknown = named.iter().find(|kernel| !system.kernels.contains_key(kernel)).cloned();
        if let Some(error) = unknown.and_then(|kernel| Note::UnknownKernel { kernel }.error()) {
            return Err(error);
        }
        let running = || machine.running_kernel().filter(|kernel| system.kernels.contains_key(kernel));
        let files: Vec<PathBuf> = self.files.iter().map(|file| root::as_opened(file)).collect();
        let kernels = match (named.is_empty(), files.is_empty()) {
            (false, _) => Some(named),
            // A file is asked about for one kernel, unless more are named.
            (true, false) => running().map(|kernel| vec![kernel]),
            (true, true) => None,
        };
        let table = machine.secure_boot(&system, kernels.as_deref(), &files);
        if self.json {
            print(&to_json(&json::secure_boot(&table))?);
        } else {
            print(&table.text());
        }
        Ok(table.status())
    }
}

fn enrol(machine: &Machine, report: &dyn Report) -> Result<u8> {
    let pair = machine.pair(machine.running_kernel().as_ref())?;
    if let Some(pointless) = machine.pointless(&pair) {
        print(&format!("{}\n", pointless.text()));
        return Ok(u8::from(!pointless.is_well()));
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::new(Kind::NotPermitted, "only root may ask for the enrolment of a key")
            .hint("run it again with sudo"));
    }
    let password = machine.enrol(&pair, report)?;
    print(&format!(
        "{} is to be enrolled. Password, for this once: {password}\n\
         Write it down, and restart. Before the system starts, a blue screen waits some seconds for a key: press one, \
         choose \"Enroll MOK\", \"Continue\", \"Yes\", type the password, and choose \"Reboot\". If the screen was \
         missed, run this command again.\n",
        pair.shown.1
    ));
    Ok(0)
}
