//! What packages that are about to be installed together will mean for modules, once they are.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::ids::{KernelRelease, ModuleId};
use crate::packages::Transaction;
use crate::plan::{Action, Plan};

/// What of a kernel is on disk before the transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Here {
    /// The kernel.
    pub kernel: bool,
    /// Its headers, also where nothing leads to them yet.
    pub headers: bool,
}

/// Where headers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headers {
    /// In one of the packages.
    Coming,
    /// On disk, and in none of the packages.
    Here,
    /// Neither.
    Missing,
    /// In none of the packages that could be looked into, and not on disk.
    Unknown,
}

/// What a transaction means for one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// The release.
    pub release: KernelRelease,
    /// It is in one of the packages.
    pub comes: bool,
    /// It is on disk already: another revision of it comes, or only its headers.
    pub here: bool,
    /// Its headers.
    pub headers: Headers,
    /// The package that has its headers.
    pub headers_package: String,
    /// What should be built for it: registered modules, in the order of the builds, and what comes.
    pub modules: Vec<String>,
    /// What a person should know before the transaction.
    pub warning: Option<String>,
    /// What will be done after it.
    pub news: Option<String>,
}

/// What a transaction means, kernel by kernel. `plan` is what a machine would do where all these kernels
/// are there with their headers and nothing is built yet.
pub fn look_ahead(
    transaction: &Transaction,
    here: &dyn Fn(&KernelRelease) -> Here,
    plan: &Plan,
    headers_package: &dyn Fn(&KernelRelease, Option<&str>) -> String,
) -> Vec<Kernel> {
    let registered: BTreeSet<String> =
        plan.steps.iter().filter_map(|step| step.action.cell()).map(|cell| directory(&cell.module)).collect();
    let mut builds: BTreeMap<&KernelRelease, Vec<String>> = BTreeMap::new();
    for step in &plan.steps {
        if let Action::Build { cell, .. } = &step.action {
            builds.entry(&cell.kernel).or_default().push(cell.module.to_string());
        }
    }
    let about = |release: KernelRelease| {
        let on_disk = here(&release);
        let headers = match (transaction.headers.contains(&release), on_disk.headers) {
            (true, _) => Headers::Coming,
            (false, true) => Headers::Here,
            (false, false) if transaction.unseen.is_empty() => Headers::Missing,
            (false, false) => Headers::Unknown,
        };
        let built = builds.get(&release).into_iter().flatten().cloned();
        let coming = transaction.sources.iter().filter(|dir| !registered.contains(*dir)).cloned();
        let base = transaction.kernels.get(&release);
        let mut kernel = Kernel {
            comes: base.is_some(),
            here: on_disk.kernel,
            headers,
            headers_package: headers_package(&release, base.and_then(Option::as_deref)),
            modules: built.chain(coming).collect(),
            warning: None,
            news: None,
            release,
        };
        kernel.tell(on_disk, &transaction.unseen);
        kernel
    };
    transaction.releases().into_iter().map(about).collect()
}

fn directory(id: &ModuleId) -> String {
    format!("{}-{}", id.name, id.version)
}

impl Kernel {
    fn tell(&mut self, before: Here, unseen: &BTreeSet<String>) {
        if self.modules.is_empty() {
            return;
        }
        let (release, package, modules) = (&self.release, &self.headers_package, self.modules.join(", "));
        let unseen: Vec<&str> = unseen.iter().map(String::as_str).collect();
        let only_if = |what: &str| {
            // Others chose these names.
            let unseen = unseen.join(", ").replace(|c: char| c.is_control(), "?");
            format!(
                "Modules to build for kernel {release}, if {what}: {modules}. (Not looked into: {unseen}.)"
            )
        };
        match (self.comes, self.here, self.headers) {
            (false, false, _) if !unseen.is_empty() => self.news = Some(only_if("it comes, too")),
            (false, false, _) => {
                self.warning = Some(format!(
                    "the headers of kernel {release} come without the kernel: they build nothing ({modules})"
                ));
            }
            // A kernel that is there without headers is no news.
            (true, false, Headers::Missing) => {
                self.warning = Some(format!(
                    "kernel {release} comes without its headers, and {modules} cannot be built for it. \
                     Install {package} in the same transaction, or the first boot will lack these modules"
                ));
            }
            (true, false, Headers::Unknown) => self.news = Some(only_if("its headers come, too")),
            (_, true, Headers::Coming) if before.headers => {
                self.news = Some(format!(
                    "Headers of kernel {release} are replaced: {modules} will be rebuilt if they changed."
                ));
            }
            (true, false, _) | (_, true, Headers::Coming) => {
                self.news = Some(format!("Modules to build for kernel {release}: {modules}."));
            }
            (_, true, Headers::Here | Headers::Missing | Headers::Unknown) => {}
        }
    }
}
