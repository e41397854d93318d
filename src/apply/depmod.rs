//! depmod(8): once per kernel and run.

use crate::apply::notes;
use crate::error::{Error, Result, exit};
use crate::ids::KernelRelease;
use crate::layout::Layout;
use crate::process::{NotStarted, Output, Process};
use crate::report::Report;

/// Runs depmod for a kernel and forgets that it was due.
///
/// # Errors
/// When depmod is missing or fails; it stays due.
pub fn run(layout: &Layout, kernel: &KernelRelease, report: &dyn Report) -> Result<()> {
    let mut process = Process::new("depmod").arg("-a");
    if !layout.root.is_slash() {
        process = process.arg("-b").arg(layout.root.dir());
    }
    let map = layout.root.path(format!("/boot/System.map-{kernel}"));
    if map.is_file() {
        process = process.arg("-F").arg(map);
    }
    report.begin(&format!("Running depmod for {kernel}"));
    let status = process.arg(kernel.as_str()).run(Output::Null);
    report.end(*status.as_ref().unwrap_or(&127));
    match status {
        Ok(0) => notes::update(layout, kernel, |note| note.depmod_due = false),
        Ok(n) => Err(Error::new(exit::INSTALL, format!("depmod for {kernel} ended with status {n}"))
            .hint(format!("run `depmod -a {kernel}` to see what it says"))),
        Err(err @ NotStarted::Missing { .. }) => {
            Err(Error::new(exit::INSTALL, err.to_string()).hint("install the package kmod"))
        }
        Err(err) => Err(Error::new(exit::INSTALL, err.to_string())),
    }
}
