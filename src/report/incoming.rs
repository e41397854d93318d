//! What packages that are about to be installed together will mean for modules, once they are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::ids::{Cell, KernelRelease, ModuleId};
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
    /// How long earlier builds of these took, where that is known.
    pub took: BTreeMap<String, Duration>,
    /// What a person should know before the transaction.
    pub warning: Option<String>,
    /// What will be done after it.
    pub news: Option<String>,
}

/// What a transaction means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Kernels of which something comes.
    pub kernels: Vec<Kernel>,
    /// Kernels that go.
    pub leaving: Vec<Leaving>,
    /// Sources that come, without those that are registered already.
    pub sources: Vec<Source>,
}

/// A kernel that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// The release.
    pub release: KernelRelease,
    /// Modules that were built for it, and go with it.
    pub modules: Vec<String>,
}

/// A source that comes, which is not registered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its directory below `/usr/src`.
    pub directory: String,
    /// Kernels on disk that have headers: it may be built for these.
    pub kernels: Vec<KernelRelease>,
    /// Kernels on disk without headers, each with the package that has them.
    pub waiting: Vec<(KernelRelease, String)>,
}

impl Leaving {
    /// What a person should know; nothing where no module was built for it.
    pub fn news(&self) -> Option<String> {
        let modules = (!self.modules.is_empty()).then(|| self.modules.join(", "))?;
        Some(format!("Kernel {} goes, with the modules that were built for it: {modules}.", self.release))
    }
}

impl Source {
    /// What a person should know; nothing where no kernel is on disk.
    pub fn news(&self) -> Option<String> {
        let kernels: Vec<&str> = self.kernels.iter().map(KernelRelease::as_str).collect();
        (!kernels.is_empty()).then(|| {
            format!(
                "Module source {} comes, to be built for {} where its dkms.conf allows it.",
                self.directory,
                kernels.join(", ")
            )
        })
    }

    /// What a person should do.
    pub fn warning(&self) -> Option<String> {
        let list = |texts: Vec<&str>| (!texts.is_empty()).then(|| texts.join(", "));
        let kernels = list(self.waiting.iter().map(|(kernel, _)| kernel.as_str()).collect())?;
        let packages = list(self.waiting.iter().map(|(_, package)| package.as_str()).collect())?;
        Some(format!(
            "{} comes, and there are no headers of kernel {kernels} to build it with. Install {packages}",
            self.directory
        ))
    }
}

/// What is known beside the transaction.
pub struct Known<'a> {
    /// What of a kernel is on disk.
    pub here: &'a dyn Fn(&KernelRelease) -> Here,
    /// The package that has a kernel's headers, by the name of the kernel's package where that matters.
    pub headers_package: &'a dyn Fn(&KernelRelease, Option<&str>) -> String,
    /// How long the last build of a module took.
    pub took: &'a dyn Fn(&Cell) -> Option<Duration>,
}

/// What a transaction means, kernel by kernel. `plan` is what a machine would do where all these kernels
/// are there with their headers and nothing is built yet.
pub fn look_ahead(transaction: &Transaction, plan: &Plan, known: &Known<'_>) -> Vec<Kernel> {
    let registered: BTreeSet<String> =
        plan.steps.iter().filter_map(|step| step.action.cell()).map(|cell| directory(&cell.module)).collect();
    let mut builds: BTreeMap<&KernelRelease, Vec<&Cell>> = BTreeMap::new();
    for step in &plan.steps {
        if let Action::Build { cell, .. } = &step.action {
            builds.entry(&cell.kernel).or_default().push(cell);
        }
    }
    let about = |release: KernelRelease| {
        let on_disk = (known.here)(&release);
        let headers = match (transaction.headers.contains(&release), on_disk.headers) {
            (true, _) => Headers::Coming,
            (false, true) => Headers::Here,
            (false, false) if transaction.unseen.is_empty() => Headers::Missing,
            (false, false) => Headers::Unknown,
        };
        let cells = || builds.get(&release).into_iter().flatten();
        let built = cells().map(|cell| cell.module.to_string());
        let took = cells().filter_map(|cell| Some((cell.module.to_string(), (known.took)(cell)?))).collect();
        let coming = transaction.sources.iter().filter(|dir| !registered.contains(*dir)).cloned();
        let base = transaction.kernels.get(&release);
        let mut kernel = Kernel {
            comes: base.is_some(),
            here: on_disk.kernel,
            headers,
            headers_package: (known.headers_package)(&release, base.and_then(Option::as_deref)),
            modules: built.chain(coming).collect(),
            took,
            warning: None,
            news: None,
            release,
        };
        kernel.tell(on_disk, &transaction.unseen);
        kernel
    };
    transaction.releases().into_iter().map(about).collect()
}

/// Builds that are quicker are not worth a word.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// A duration as people say it: `12 s`, `3 min 5 s`, `1 h 20 min`.
fn spelled(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// The directory that a module's source has by convention.
pub fn directory(id: &ModuleId) -> String {
    format!("{}-{}", id.name, id.version)
}

impl Kernel {
    /// How long earlier builds took, in words that follow the names of the modules; nothing where that was quick.
    fn earlier(&self) -> String {
        let all: Duration = self.took.values().sum();
        if all < WORTH_TELLING {
            return String::new();
        }
        let whose = if self.took.len() == self.modules.len() {
            String::new()
        } else {
            format!(" of {}", self.took.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
        };
        format!("; earlier builds{whose} took {}", spelled(all))
    }

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
                self.news =
                    Some(format!("Modules to build for kernel {release}: {modules}{}.", self.earlier()));
            }
            (_, true, Headers::Here | Headers::Missing | Headers::Unknown) => {}
        }
    }
}
