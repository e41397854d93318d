//! Before a transaction: which kernels are in the packages, and what will become of the modules. That is told, and
//! [`crate::preflight`] decides whether the transaction may go on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::kernel;
use crate::machine::Machine;
use crate::model::record::Overrides;
use crate::model::request::Request;
use crate::packages::{Package, ReadError, Transaction};
use crate::plan::{self, Options};
use crate::preflight::{self, Decision};
use crate::progress::Report;
use crate::report::incoming::{Here, Kernel, look_ahead};

/// Looks into packages, all of one transaction. One that cannot be read is told, and may hold anything:
/// whether it is installed is for the package manager to say.
pub fn transaction(paths: &[PathBuf], report: &dyn Report) -> Transaction {
    let mut unseen = BTreeSet::new();
    let read = |path: &PathBuf| {
        let told = |error: &ReadError| {
            // What is damaged may be quoted in it.
            let text = format!("{}: {error}", path.display()).replace(|c: char| c.is_control(), "?");
            report.warning(&format!("dkms-hook: {text}; ignored."));
            unseen.insert(path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned());
        };
        Package::read(path).inspect_err(told).ok()
    };
    let seen: Vec<_> = paths.iter().filter_map(read).collect();
    Transaction { unseen, ..Transaction::of(&seen) }
}

/// What a transaction will mean on this machine.
pub fn kernels(machine: &Machine, transaction: &Transaction) -> Vec<Kernel> {
    let releases: Vec<_> = transaction.releases().into_iter().collect();
    let overrides = Overrides::default();
    let system = machine.observer(&overrides).expect(&releases);
    let request = Request::Reconcile { kernels: Some(releases), retry: false };
    let plan = plan::plan(&system, &request, &Options::default());
    let root = &machine.layout.root;
    let here = |release: &_| {
        // Fedora's headers can be there before the package of modules that has the link to them.
        let places =
            ["kernels/", "linux-headers-"].map(|prefix| format!("/usr/src/{prefix}{release}/include"));
        Here {
            kernel: machine.layout.kernel(release).join("kernel").is_dir(),
            headers: kernel::look_for_headers(&machine.layout, release) != Ok(false)
                || places.iter().any(|dir| root.look_for_dir(Path::new(dir).join("generated")) != Ok(false)),
        }
    };
    let package = |release: &crate::model::ids::KernelRelease, base: Option<&str>| {
        machine.distribution.headers_package(release.as_str(), base)
    };
    look_ahead(transaction, &here, &plan, &package)
}

/// What every package manager's hook comes to before a transaction: it is told what it means, and whether it may go
/// on is decided. `packages` are its files, as far as they were found.
pub fn before(
    machine: &Machine,
    transaction: &Transaction,
    packages: &[PathBuf],
    report: &dyn Report,
) -> Decision {
    if transaction.is_empty() {
        return Decision::GoOn;
    }
    tell(machine, transaction, report);
    preflight::decide(machine, transaction, packages, report)
}

/// Tells a person what a transaction means for modules; nothing when no module is concerned.
fn tell(machine: &Machine, transaction: &Transaction, report: &dyn Report) {
    for kernel in kernels(machine, transaction) {
        if let Some(news) = &kernel.news {
            report.line(&format!("dkms-hook: {news}"));
        }
        if let Some(warning) = &kernel.warning {
            report.warning(&format!("dkms-hook: {warning}."));
        }
    }
}
