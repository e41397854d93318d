//! kernel-install(8): our plugin runs before those that make an index, an initramfs and a boot entry.
//!
//! What it does must not depend on how often it is called, or in which order: an rpm that is reinstalled
//! removes its kernel after the new files are in place, and then adds it.

use crate::adapters::{dpkg, in_line};
use crate::apply::tell;
use crate::boot;
use crate::boot::plugins::Plugins;
use crate::kernel::image;
use crate::machine::Machine;
use crate::model::error::Result;
use crate::model::ids::KernelRelease;
use crate::plan::{InitramfsDuty, Options};
use crate::progress::Report;
use crate::tree::lock;

/// What kernel-install wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// A kernel and its boot entry come.
    Add,
    /// The boot entry goes, and the kernel perhaps after it.
    Remove,
}

/// What the environment says of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// KERNEL_INSTALL_BOOT_ENTRY_TYPE: `type1`, `type2` (a unified kernel image), or nothing for both.
    pub entry_type: Option<String>,
    /// KERNEL_INSTALL_PLUGINS.
    pub plugins: Option<String>,
}

impl Surroundings {
    /// Those of this process.
    pub fn here() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            entry_type: variable("KERNEL_INSTALL_BOOT_ENTRY_TYPE"),
            plugins: variable("KERNEL_INSTALL_PLUGINS"),
        }
    }
}

/// True when a call can be answered without looking at anything: Debian's kernel hooks have done the
/// work before they call kernel-install, and a run of ours that has it make an initramfs is doing it.
pub fn is_none_of_ours() -> bool {
    dpkg::in_maintainer_script() || lock::inside_a_run()
}

/// True when one of two boot entries goes, and the kernel is booted by the other. Kernel packages that
/// ask for one kind ask for `type1` when the kernel goes; a unified image that stays is told by its file.
fn other_entry_stays(machine: &Machine, kernel: &KernelRelease, around: &Surroundings) -> bool {
    match around.entry_type.as_deref() {
        Some("type1") => boot::files(&machine.layout, kernel).iter().any(|f| f.kind == boot::Kind::Unified),
        Some("type2") => true,
        _ => false,
    }
}

/// One call of the plugin.
///
/// # Errors
/// For the caller to show; it must not become an exit status.
pub fn event(
    machine: &Machine,
    verb: Verb,
    kernel: &KernelRelease,
    around: &Surroundings,
    report: &dyn Report,
) -> Result<()> {
    if verb == Verb::Remove && other_entry_stays(machine, kernel, around) {
        return Ok(());
    }
    // Where that cannot be looked at, what was said is kept for later.
    let image = image(&machine.layout, kernel).unwrap_or(true);
    let gone = verb == Verb::Remove && image;
    in_line::or_warn(machine.mark_boot_entry(kernel, gone, report), report);
    let plugins = Plugins::of(&machine.layout.root, around.plugins.as_deref());
    let mut options = Options {
        kernel_event: true,
        kernel_left: verb == Verb::Remove,
        initramfs: if plugins.make_initramfs() || verb == Verb::Remove {
            InitramfsDuty::Later
        } else {
            InitramfsDuty::Now
        },
        ..Options::default()
    };
    // An initramfs of our own needs an index of our own.
    if options.initramfs == InitramfsDuty::Later && plugins.has("50-depmod.install") {
        options.depmod_follows.insert(kernel.clone());
    }
    in_line::bring(machine, Some(vec![kernel.clone()]), &options, report)?;
    tell::print_unreported(&machine.layout, machine.patience(), report)
}
