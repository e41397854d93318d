//! Before a transaction: which kernels are in the packages, and what will become of the modules. That is told, and
//! [`crate::preflight`] decides whether the transaction may go on.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::apply::build;
use crate::kernel;
use crate::machine::Machine;
use crate::model::ids::{Cell, KernelRelease};
use crate::model::record::Overrides;
use crate::model::request::Request;
use crate::packages::{Brings, Package, ReadError, Transaction};
use crate::plan::{self, Options};
use crate::preflight::{self, Decision};
use crate::progress::Report;
use crate::report::incoming::{Here, Kernel, Known, Leaving, Look, Source, directory, look_ahead};
use crate::tree::registry;

/// Looks into packages, all of one transaction; with the files of those that concern kernels. One that cannot be read is
/// told, and may hold anything: whether it is installed is for the package manager to say.
pub fn transaction(paths: &[PathBuf], report: &dyn Report) -> (Transaction, Vec<PathBuf>) {
    let (mut seen, mut files, mut unseen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for path in paths {
        match Package::read(path) {
            Ok(package) => {
                if concerns_kernels(&package) {
                    files.push(path.clone());
                }
                seen.push(package);
            }
            Err(error) => {
                unread(path, &error, report);
                unseen.insert(path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned());
            }
        }
    }
    (Transaction { unseen, ..Transaction::of(&seen) }, files)
}

/// Whether a package brings a kernel, headers, sources or a compiler, or is called as what headers are used with.
pub(super) fn concerns_kernels(package: &Package) -> bool {
    package.brings != Brings::default() || sounds_like_a_kernel(&package.name)
}

/// Names of packages with kernels, their headers, what these are used with, and sources of modules. Only for what is
/// said of packages that cannot be read, and for what is unpacked beside the headers.
pub(super) fn sounds_like_a_kernel(name: &str) -> bool {
    name.starts_with("linux-") || ["kernel", "headers", "dkms"].iter().any(|part| name.contains(part))
}

/// Tells that a package cannot be looked into.
pub(super) fn unread(path: &Path, error: &ReadError, report: &dyn Report) {
    // What is damaged may be quoted in it.
    let text = format!("{}: {error}", path.display()).replace(|c: char| c.is_control(), "?");
    report.warning(&format!("dkms-hook: {text}; ignored."));
}

/// Looks what a transaction will mean on this machine. Reads nothing where it has nothing to do with kernels.
pub fn look(machine: &Machine, transaction: &Transaction) -> Look {
    let new = |source: &&String| !is_registered(machine, source);
    Look {
        kernels: if transaction.releases().is_empty() { Vec::new() } else { kernels(machine, transaction) },
        leaving: transaction.leaving.iter().map(|release| leaving(machine, release)).collect(),
        sources: transaction
            .sources
            .iter()
            .filter(new)
            .map(|dir| source(machine, transaction, dir))
            .collect(),
    }
}

fn kernels(machine: &Machine, transaction: &Transaction) -> Vec<Kernel> {
    let releases: Vec<_> = transaction.releases().into_iter().collect();
    let overrides = Overrides::default();
    let system = machine.observer(&overrides).expect(&releases);
    let request = Request::Reconcile { kernels: Some(releases), retry: false };
    let plan = plan::plan(&system, &request, &Options::default());
    let known = Known {
        here: &|release| here(machine, release),
        headers_package: &|release, base| machine.distribution.headers_package(release.as_str(), base),
        took: &|cell: &Cell| build::expected(&machine.layout, cell).map(|effort| effort.took),
    };
    look_ahead(transaction, &plan, &known)
}

fn here(machine: &Machine, release: &KernelRelease) -> Here {
    // Fedora's headers can be there before the package of modules that has the link to them.
    let places = ["kernels/", "linux-headers-"].map(|prefix| format!("/usr/src/{prefix}{release}/include"));
    let generated = |dir: &String| machine.layout.root.look_for_dir(Path::new(dir).join("generated"));
    Here {
        kernel: machine.layout.kernel(release).join("kernel").is_dir(),
        headers: kernel::look_for_headers(&machine.layout, release) != Ok(false)
            || places.iter().any(|dir| generated(dir) != Ok(false)),
    }
}

fn leaving(machine: &Machine, release: &KernelRelease) -> Leaving {
    let built = |id: &crate::model::ids::ModuleId| {
        let mut cells = registry::cells(&machine.layout, id).into_iter();
        cells.any(|cell| cell.kernel == *release && registry::is_built(&machine.layout, &cell))
    };
    let modules = registry::registered(&machine.layout).into_iter().map(|(id, _)| id).filter(built);
    Leaving { release: release.clone(), modules: modules.map(|id| id.to_string()).collect() }
}

fn is_registered(machine: &Machine, source: &str) -> bool {
    registry::registered(&machine.layout).iter().any(|(id, _)| directory(id) == source)
}

/// A source for the kernels that are here and stay. What it will be built for of those that come is told with them.
fn source(machine: &Machine, transaction: &Transaction, dir: &str) -> Source {
    let mut source = Source { directory: dir.to_owned(), kernels: Vec::new(), waiting: Vec::new() };
    if machine.observer(&Overrides::default()).expect(&[]).autoinstall_disabled {
        return source;
    }
    for release in kernel::releases(&machine.layout, []) {
        let here = here(machine, &release);
        if !here.kernel
            || transaction.leaving.contains(&release)
            || transaction.kernels.contains_key(&release)
        {
            continue;
        }
        if here.headers || transaction.headers.contains(&release) {
            source.kernels.push(release);
        } else if transaction.unseen.is_empty() {
            let package = machine.distribution.headers_package(release.as_str(), None);
            source.waiting.push((release, package));
        }
    }
    source
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
    tell(&look(machine, transaction), report);
    preflight::decide(machine, transaction, packages, report)
}

/// Tells a person what a transaction means for modules; nothing when no module is concerned.
fn tell(look: &Look, report: &dyn Report) {
    let line = |text: Option<String>| text.iter().for_each(|text| report.line(&format!("dkms-hook: {text}")));
    let warning =
        |text: Option<String>| text.iter().for_each(|text| report.warning(&format!("dkms-hook: {text}.")));
    for kernel in &look.kernels {
        line(kernel.news.clone());
        warning(kernel.warning.clone());
    }
    for source in &look.sources {
        line(source.news());
        warning(source.warning());
    }
    for leaving in &look.leaving {
        line(leaving.news());
    }
}
