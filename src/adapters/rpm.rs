//! File triggers of our rpm: rpm(8) calls them once per transaction, after everything else in it, for
//! whatever program drives it (dnf, PackageKit, zypper, rpm itself).
//!
//! kernel-install, which the kernel package's own scriptlets call before that, has done the work in most
//! cases. What is left for the triggers: headers that came without their kernel, kernels whose files are
//! gone, packages that do not use kernel-install, and image builders that switch it off.

use crate::adapters::in_line;
use crate::apply::tell;
use crate::fs::root::Root;
use crate::machine::Machine;
use crate::model::error::Result;
use crate::plan::Options;
use crate::process::ancestors;
use crate::progress::Report;

/// True while a package's scriptlet runs. rpm sets no variable that says so; it gives the script to the
/// interpreter in a file of this name, and that is what there is.
pub fn in_scriptlet() -> bool {
    ancestors::run_script_named("rpm-tmp.")
}

/// True when our package, and with it its file triggers, is installed: it brings this file, which an
/// installation without a package does not have.
pub fn has_triggers(root: &Root) -> bool {
    root.path("/usr/lib/dkms/rpm-triggers").is_file()
}

/// `%transfiletriggerin`: files came. `paths` are those below the trigger's prefixes.
///
/// # Errors
/// For the caller to show; it must not become an exit status.
pub fn files_came(machine: &Machine, paths: &[String], report: &dyn Report) -> Result<()> {
    // Its image was installed: whoever removed its boot entry before that meant another one.
    for kernel in in_line::releases_with(paths.iter().map(String::as_str), "vmlinuz") {
        in_line::or_warn(machine.mark_boot_entry(&kernel, false, report), report);
    }
    everything(machine, report)
}

/// `%transfiletriggerpostun`: files went.
///
/// # Errors
/// For the caller to show; it must not become an exit status.
pub fn files_went(machine: &Machine, report: &dyn Report) -> Result<()> {
    everything(machine, report)
}

/// Everything in line, initramfs included: kernel-install has been called for every kernel of the
/// transaction by now.
fn everything(machine: &Machine, report: &dyn Report) -> Result<()> {
    let options = Options { kernel_event: true, ..Options::default() };
    in_line::bring(machine, None, &options, report)?;
    tell::print_unreported(&machine.layout, machine.patience(), report)
}
