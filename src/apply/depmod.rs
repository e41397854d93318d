//! depmod(8): once per kernel and run.

use crate::apply::tree;
use crate::kernel::depmod_base;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::KernelRelease;
use crate::process::{Output, Process, ProcessError};
use crate::progress::Report;
use crate::tree::layout::Layout;
use crate::tree::notes;

/// Runs depmod for a kernel and forgets that it was due.
///
/// # Errors
/// When depmod is missing or fails; it stays due.
pub fn run(layout: &Layout, kernel: &KernelRelease, report: &dyn Report) -> Result<()> {
    let done = || notes::depmod_done(layout, kernel);
    let mut process = Process::new("depmod").arg("-a");
    match depmod_base(layout) {
        Ok(None) => {}
        Ok(Some(base)) => process = process.arg("-b").arg(base),
        Err(tree) => {
            report.warning(&format!(
                "no depmod for {kernel}: depmod needs a directory lib/modules, not {}",
                tree.display()
            ));
            return done();
        }
    }
    let map = layout.root.path(format!("/boot/System.map-{kernel}"));
    if map.is_file() {
        process = process.arg("-F").arg(map);
    }
    report.begin(&format!("Running depmod for {kernel}"));
    let status = process.arg(kernel.as_str()).run(Output::Null);
    report.end(*status.as_ref().unwrap_or(&127));
    match status {
        Ok(0) => {
            tree::drop_empty_index(layout, kernel)?;
            done()
        }
        Ok(n) => Err(Error::new(Kind::DepmodFailed, format!("depmod for {kernel} ended with status {n}"))
            .hint(format!("run `depmod -a {kernel}` to see what it says"))),
        Err(err @ ProcessError::Missing { .. }) => {
            Err(Error::new(Kind::DepmodFailed, err.to_string()).hint("install the package kmod"))
        }
        Err(err) => Err(Error::new(Kind::DepmodFailed, err.to_string())),
    }
}
