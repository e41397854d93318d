//! What dpkg says of packages, and how it is told to call us again.

use crate::fs::root::Root;
use crate::model::ids::KernelRelease;
use crate::process::{Output, Process, QUERY_LIMIT};

/// True while a package's maintainer script runs (dpkg(1), DPKG_MAINTSCRIPT_NAME).
pub fn in_maintainer_script() -> bool {
    std::env::var_os("DPKG_MAINTSCRIPT_NAME").is_some()
}

/// True when a package manager with hooks of its own drives dpkg: apt and what is built on it set
/// this, so that dpkg does not take the lock that they hold (dpkg(1), DPKG_FRONTEND_LOCKED).
pub fn under_frontend() -> bool {
    std::env::var_os("DPKG_FRONTEND_LOCKED").is_some()
}

/// True when a package that brings this kernel's image is wanted and at least partly on disk. A
/// release may come from a signed and from an unsigned package; while dpkg replaces one by the
/// other, the removal of the first does not mean that the kernel goes.
pub fn image_package_present(root: &Root, kernel: &KernelRelease) -> bool {
    let names = [
        format!("linux-image-{kernel}"),
        format!("linux-image-{kernel}-unsigned"),
        format!("linux-image-unsigned-{kernel}"),
    ];
    let query = of_root("dpkg-query", root).args(["-W", "-f", "${db:Status-Want} ${db:Status-Status}\\n"]);
    let Ok(found) = query.args(names).capture() else { return false };
    String::from_utf8_lossy(&found.stdout).lines().any(|line| {
        matches!(
            line.split_once(' '),
            Some((
                "install" | "hold",
                "installed"
                    | "unpacked"
                    | "half-configured"
                    | "half-installed"
                    | "triggers-pending"
                    | "triggers-awaited"
            ))
        )
    })
}

/// True when our package, and with it our trigger, is known to dpkg.
pub fn has_trigger(root: &Root) -> bool {
    root.path("/var/lib/dpkg/info/dkms-hook.triggers").exists()
}

/// Has our trigger run at the end of this dpkg run (dpkg-trigger(1)). Best effort: without it, the
/// next run finishes the work.
pub fn activate_trigger(root: &Root) {
    let process = of_root("dpkg-trigger", root).args(["--no-await", "dkms-hook"]).limit(QUERY_LIMIT);
    match process.run(Output::Null) {
        Ok(0) => {}
        other => log::info!("dpkg-trigger dkms-hook: {other:?}"),
    }
}

/// A tool of dpkg that works on the database of this root.
fn of_root(tool: &str, root: &Root) -> Process {
    let process = Process::new(tool);
    if root.is_slash() {
        return process;
    }
    process.arg(format!("--admindir={}", root.path("/var/lib/dpkg").display()))
}
