//! `post_transaction` of framework.conf: a shell command after modules came or went.

use crate::model::request::Request;
use crate::model::settings::Limit;
use crate::process::Process;
use crate::progress::Report;
use crate::tree::layout::Layout;

/// Runs it. Its output goes to `T/post_transaction.log`, which is written anew each time. What a script of
/// the module would be told, it is told, too, where the request is about one module. A failure stops
/// nothing: what it follows is done; nor does it when it is ended because its time is over.
pub fn run(layout: &Layout, command: &str, request: &Request, limit: Limit, report: &dyn Report) {
    let log = layout.tree().join("post_transaction.log");
    let _ = std::fs::remove_file(&log);
    let mut process = Process::bash(command).within(limit).may_leave_processes();
    if let Request::Bring { module, kernel, arch, .. } = request {
        process = process
            .env("module", module.name.as_str())
            .env("module_version", module.version.as_str())
            .env("kernelver", kernel.as_str())
            .env("arch", arch.as_str());
    }
    report.begin("Running the post_transaction command");
    let result = process.run_logged("Running the post_transaction command", &log);
    report.end(*result.as_ref().unwrap_or(&127));
    let shown = layout.shown(&log);
    match result {
        Ok(0) => {}
        Ok(status) => report.warning(&format!(
            "post_transaction (framework.conf) ended with status {status}; see {}",
            shown.display()
        )),
        Err(error) => report.warning(&format!("post_transaction (framework.conf): {error}")),
    }
}
