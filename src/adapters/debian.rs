//! Debian's and Ubuntu's kernel hooks and our own dpkg trigger.
//!
//! The same kernel event reaches us two to four times, in orders that differ between releases
//! (image before headers, headers before image, a trigger between them). So every call does the
//! same: look at the state of that kernel and bring it in line. What the caller says only decides
//! two things: whether an image package is gone although its files are still there, and who makes
//! the initramfs. Every call ends with status 0: a hook that fails leaves a kernel without
//! initramfs, or a package half-installed.

use std::collections::BTreeSet;

use crate::adapters::{dpkg, in_line};
use crate::apply::tell;
use crate::kernel::image;
use crate::machine::Machine;
use crate::model::error::{Kind, Result};
use crate::model::ids::KernelRelease;
use crate::plan::{InitramfsDuty, Options};
use crate::progress::Report;

/// Which hook file called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// `/etc/kernel/postinst.d`: an image package is being configured. Its initramfs is made after
    /// this, by the next hook.
    KernelPostinst,
    /// `/etc/kernel/prerm.d`: about to be removed, or not: another hook may still refuse.
    KernelPrerm,
    /// `/etc/kernel/postrm.d`: removed, purged, or an upgrade that was taken back.
    KernelPostrm,
    /// `/etc/kernel/header_postinst.d`.
    HeaderPostinst,
}

/// The maintainer script's arguments, from DEB_MAINT_PARAMS. Debian quotes them for a shell;
/// bookworm's headers set nothing, which means `configure`.
pub fn maintainer_params(raw: Option<&str>) -> Vec<String> {
    let words = raw.unwrap_or("").split_whitespace();
    words.map(|w| w.trim_matches(|c| c == '\'' || c == '"').to_owned()).filter(|w| !w.is_empty()).collect()
}

/// One kernel hook call.
///
/// # Errors
/// For the caller to show; it must not become an exit status.
pub fn kernel_event(
    machine: &Machine,
    event: Event,
    kernel: &KernelRelease,
    params: &[String],
    report: &dyn Report,
) -> Result<()> {
    let word = params.first().map(String::as_str);
    match event {
        Event::KernelPostinst => {
            mark_removed(machine, kernel, false, report);
            reconcile(machine, event, kernel, false, report)
        }
        Event::HeaderPostinst => reconcile(machine, event, kernel, false, report),
        // Nothing may be deleted here: dpkg can still be refused by another hook, and would then
        // leave a kernel without its modules.
        Event::KernelPrerm => Ok(()),
        Event::KernelPostrm => match word {
            // The new version is about to be configured.
            Some("upgrade" | "failed-upgrade") => Ok(()),
            Some("remove" | "purge" | "disappear") | None => {
                // Where that cannot be looked at, dpkg's word is kept for later.
                let image = image(&machine.layout, kernel).unwrap_or(true);
                if image
                    && word != Some("purge")
                    && !dpkg::image_package_present(&machine.layout.root, kernel)
                {
                    mark_removed(machine, kernel, true, report);
                }
                // The purge of one of two packages of the same release deletes modules.dep next,
                // after this hook; the trigger makes it again.
                if image {
                    dpkg::activate_trigger(&machine.layout.root);
                }
                reconcile(machine, event, kernel, true, report)
            }
            Some(_) => reconcile(machine, event, kernel, false, report),
        },
    }
}

fn mark_removed(machine: &Machine, kernel: &KernelRelease, removed: bool, report: &dyn Report) {
    in_line::or_warn(machine.mark_removed(kernel, removed, report), report);
}

fn reconcile(
    machine: &Machine,
    event: Event,
    kernel: &KernelRelease,
    kernel_left: bool,
    report: &dyn Report,
) -> Result<()> {
    // The trigger at the end of the dpkg run sees whether an initramfs was made after the modules,
    // and mends it if not. Installed without the package there is none; then only the hook of an
    // image is followed by one that makes the initramfs.
    let root = &machine.layout.root;
    let later = dpkg::has_trigger(root) || event != Event::HeaderPostinst;
    let options = Options {
        initramfs: if later { InitramfsDuty::Later } else { InitramfsDuty::Now },
        kernel_event: true,
        kernel_left,
        // A compiler that is only unpacked yet is configured by the time the trigger runs.
        retry_provisional: !dpkg::has_trigger(root),
        ..Options::default()
    };
    let brought = in_line::bring(machine, Some(vec![kernel.clone()]), &options, report);
    let left = brought.as_ref().is_err_and(|error| error.kind == Kind::Locked);
    if left || machine.initramfs_is_due(kernel) {
        dpkg::activate_trigger(root);
    }
    brought
}

/// Our postinst, triggered or configured: everything in line, initramfs included.
///
/// # Errors
/// For the caller to show; it must not become an exit status.
pub fn trigger(machine: &Machine, report: &dyn Report) -> Result<()> {
    let options =
        Options { kernel_event: true, initramfs_follows: deferred_hooks(machine), ..Options::default() };
    in_line::bring(machine, None, &options, report)?;
    if !dpkg::under_frontend() {
        tell::print_unreported(&machine.layout, machine.patience(), report)?;
    }
    Ok(())
}

/// Ubuntu's images put their postinst.d hooks, the initramfs among them, off to a trigger of their
/// own, which dpkg runs after ours; these files hold what is still to come.
fn deferred_hooks(machine: &Machine) -> BTreeSet<KernelRelease> {
    let dir = machine.layout.root.path("/usr/lib/linux/triggers");
    std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| KernelRelease::new(e.file_name().to_str()?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_quoted_bare_or_not_at_all() {
        assert_eq!(maintainer_params(Some("configure ")), ["configure"]);
        assert_eq!(
            maintainer_params(Some("'upgrade' '6.12.1-1' '6.12.2-1'")),
            ["upgrade", "6.12.1-1", "6.12.2-1"]
        );
        assert_eq!(maintainer_params(Some("configure ''")), ["configure"]);
        assert!(maintainer_params(None).is_empty());
    }
}
