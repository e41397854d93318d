//! The initramfs of a kernel, made again by the distribution's own generator.

use crate::boot::generator::{Environment, Order};
use crate::boot::{self, BootFile};
use crate::model::blind::Blind;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::KernelRelease;
use crate::observe::distribution::Distribution;
use crate::process::{Output, Process};
use crate::progress::Report;
use crate::tree::layout::Layout;
use crate::tree::notes;

/// Makes the initramfs of a kernel again. Forgets the duty once done.
///
/// A generator that ends well may have made another file than the one that is old (kernel-install does
/// not keep an initramfs in every layout). So the file is looked at, and the next generator is asked.
///
/// # Errors
/// When a generator fails and none mends it; it stays due, and the old initramfs is still there.
pub fn make(
    layout: &Layout,
    distribution: &Distribution,
    kernel: &KernelRelease,
    report: &dyn Report,
) -> Result<()> {
    let Some(due) = notes::kernel_note(layout, kernel).initramfs_due else { return Ok(()) };
    let environment = Environment::here();
    let mut failed = None;
    let mut told = false;
    for order in distribution.generators().iter().filter_map(|g| g.order(layout, kernel, &environment)) {
        if !told {
            report.line(&format!("Rebuilding the initramfs of {kernel}: its modules changed"));
            told = true;
        }
        match run(&order) {
            Ok(()) => {
                let found = boot::look_for_files(layout, kernel);
                let made = if order.beside { found.newest() } else { found.oldest() };
                if made.is_none_or(|made| made > due.since) {
                    return forget(layout, kernel);
                }
            }
            Err(error) => failed = Some(error),
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    let found = boot::look_for_files(layout, kernel);
    if let Some(blind) = found.unseen.filter(|_| found.files.is_empty()) {
        return Err(Error::from(Blind { path: layout.shown(&blind.path), ..blind }));
    }
    let old = oldest_name(layout, kernel);
    report.warning(&format!("modules of {kernel} changed: rebuild its initramfs{old}"));
    forget(layout, kernel)
}

fn run(order: &Order) -> Result<()> {
    // Scripts of pacman's hooks read paths that are relative to the root.
    let mut process = Process::new(&order.program).args(&order.args).dir("/");
    if let Some(text) = &order.input {
        process = process.input(text.as_str());
    }
    let failed = |text: String| {
        Error::new(Kind::InitramfsFailed, text)
            .hint("the old one is unchanged; see the messages above, then repeat the command")
    };
    match process.run(Output::Inherit) {
        Ok(0) => Ok(()),
        Ok(status) => {
            Err(failed(format!("making the initramfs: {} ended with status {status}", process.text())))
        }
        Err(error) => Err(failed(format!("making the initramfs: {error}"))),
    }
}

/// The oldest of several files, for a message.
fn oldest_name(layout: &Layout, kernel: &KernelRelease) -> String {
    let time = |file: &BootFile| std::fs::metadata(&file.path).and_then(|m| m.modified()).ok();
    let oldest = boot::files(layout, kernel).into_iter().min_by_key(time);
    oldest.map(|file| format!(" {}", layout.shown(&file.path).display())).unwrap_or_default()
}

/// Forgets that an initramfs is due.
///
/// # Errors
/// When that cannot be written.
pub fn forget(layout: &Layout, kernel: &KernelRelease) -> Result<()> {
    notes::update(layout, kernel, |note| note.initramfs_due = None)
}
