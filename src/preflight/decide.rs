//! Whether a transaction with a kernel may go on.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::PathBuf;

use super::choices::Manager;
use super::packages::Work;
use crate::kernel;
use crate::machine::Machine;
use crate::model::ids::KernelRelease;
use crate::model::record::Overrides;
use crate::model::request::Request;
use crate::model::settings::Preflight;
use crate::packages::Transaction;
use crate::plan::{self, Action, Options};
use crate::progress::Report;
use crate::report::fits::{Answer, Verdict, failing};
use crate::tree::held::{self, Held};

/// Lets one transaction go on whatever fails. Package managers that clean the environment have `dkms-hook go-on`.
const GO_ON: &str = "DKMS_HOOK_GO_ON";

/// What becomes of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The package manager goes on.
    GoOn,
    /// It is stopped before anything is changed. Why, and what to do, has been told.
    Hold,
}

impl Decision {
    /// The exit status that says so to a package manager's hook file: 3 holds, and nothing else does.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::GoOn => 0,
            Self::Hold => 3,
        }
    }
}

/// Decides about a transaction that concerns kernels, whose packages are in the files `packages`: those of them that
/// were found. Modules are built for the kernels that come, and what can be built is kept for the hooks afterwards.
///
/// Whatever is in the way of that, the transaction goes on.
pub fn decide(
    machine: &Machine,
    transaction: &Transaction,
    packages: &[PathBuf],
    report: &dyn Report,
) -> Decision {
    let policy = *machine.settings.preflight;
    // In a root that is reached by a prefix, whoever makes the image decides.
    let can = machine.layout.root.is_slash() && nix::unistd::geteuid().is_root();
    if policy == Preflight::Off || packages.is_empty() || !can {
        return Decision::GoOn;
    }
    let kernels = kernels(machine, transaction);
    let modules = concerned(machine, transaction, &kernels);
    if modules.is_empty() {
        return Decision::GoOn;
    }
    let names = |kernels: &[KernelRelease]| {
        kernels.iter().map(KernelRelease::as_str).collect::<Vec<_>>().join(" and ")
    };
    report.line(&format!(
        "dkms-hook: Building {} for kernel {} before it is installed",
        modules.iter().cloned().collect::<Vec<_>>().join(", "),
        names(&kernels)
    ));
    let work = Work { machine, transaction, packages, modules: &[], keeps: true };
    match work.attempt(&kernels, report) {
        Ok(answers) => Judge { machine, transaction, packages, policy, report }.judge(&answers),
        Err(hindrance) => {
            report
                .line(&format!("dkms-hook: Nothing can be built before: {}", shown(&hindrance.to_string())));
            Decision::GoOn
        }
    }
}

/// The kernels that will be there with their headers, where one of both is new.
fn kernels(machine: &Machine, transaction: &Transaction) -> Vec<KernelRelease> {
    let layout = &machine.layout;
    let wanted = |kernel: &KernelRelease| {
        let here = kernel::image(layout, kernel) == Ok(true);
        match transaction.headers.contains(kernel) {
            true => here || transaction.kernels.contains_key(kernel),
            // Another revision of the image alone changes nothing for a build.
            false => !here && kernel::headers_present(layout, kernel),
        }
    };
    transaction.releases().into_iter().filter(wanted).collect()
}

/// What should be built for them: registered modules, and what comes.
fn concerned(machine: &Machine, transaction: &Transaction, kernels: &[KernelRelease]) -> BTreeSet<String> {
    if kernels.is_empty() {
        return BTreeSet::new();
    }
    let overrides = Overrides::default();
    let system = machine.observer(&overrides).expect(kernels);
    let request = Request::Reconcile { kernels: Some(kernels.to_vec()), retry: true };
    let plan = plan::plan(&system, &request, &Options::default());
    let builds = plan.steps.iter().filter_map(|step| match &step.action {
        Action::Build { cell, .. } => Some(cell.module.to_string()),
        _ => None,
    });
    let known: BTreeSet<String> =
        system.modules.keys().map(|id| format!("{}-{}", id.name, id.version)).collect();
    let coming = transaction.sources.iter().filter(|dir| !known.contains(*dir)).cloned();
    builds.chain(coming).collect()
}

/// What programs said, for a terminal.
fn shown(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "?")
}

struct Judge<'a> {
    machine: &'a Machine,
    transaction: &'a Transaction,
    packages: &'a [PathBuf],
    policy: Preflight,
    report: &'a dyn Report,
}

impl Judge<'_> {
    fn judge(&self, answers: &[Answer]) -> Decision {
        for answer in answers {
            if let Verdict::Untried { why } = &answer.verdict {
                let text = format!("{} was not tried for {}: {why}", answer.cell.module, answer.cell.kernel);
                log::info!("{text}");
            }
        }
        let failing: Vec<&Answer> = failing(answers).collect();
        if failing.is_empty() {
            self.forget();
            return Decision::GoOn;
        }
        let mut text: String = failing.iter().map(|answer| shown(&answer.text())).collect();
        text = text.trim_end().to_owned();
        if let Some(compilers) = self.other_compilers() {
            self.report.warning(&format!(
                "dkms-hook: {text}\nBut {compilers} is installed in the same transaction, which may make a difference."
            ));
            return Decision::GoOn;
        }
        let holding: Vec<&&Answer> = failing.iter().filter(|answer| self.holds(answer)).collect();
        if holding.is_empty() {
            self.report.warning(&format!(
                "dkms-hook: {text}\nThe kernel will be without it. (preflight=hold in /etc/dkms/framework.conf stops \
                 here; so does `dkms-hook essential NAME`, for one module.)"
            ));
            return Decision::GoOn;
        }
        if std::env::var_os(GO_ON).is_some_and(|value| value == "1") || held::take_word(&self.machine.layout)
        {
            self.report.warning(&format!("dkms-hook: {text}\nIt goes on all the same, as you said."));
            self.forget();
            return Decision::GoOn;
        }
        self.hold(&text, &holding);
        Decision::Hold
    }

    /// Whether a module that fails holds the transaction.
    fn holds(&self, answer: &Answer) -> bool {
        self.policy == Preflight::Hold || self.machine.settings.essential.contains(&answer.cell.module.name)
    }

    fn hold(&self, text: &str, holding: &[&&Answer]) {
        let kernels: BTreeSet<&KernelRelease> = holding.iter().map(|answer| &answer.cell.kernel).collect();
        let kernels: Vec<KernelRelease> = kernels.into_iter().cloned().collect();
        let essential = holding.iter().map(|answer| &answer.cell.module.name);
        let essential: BTreeSet<_> = essential
            .filter(|name| self.machine.settings.essential.contains(name))
            .map(|n| n.as_str())
            .collect();
        let why = match essential.len() {
            0 => "preflight is `hold`".to_owned(),
            1 => format!("{} is essential", essential.into_iter().collect::<String>()),
            _ => format!("{} are essential", essential.into_iter().collect::<Vec<_>>().join(", ")),
        };
        let choices = Manager::of(self.packages).choices(&kernels, holding.iter().map(|answer| &answer.cell));
        let told = format!("{text}\n{why}, so nothing was installed. {choices}");
        self.report.warning(&format!("dkms-hook: {told}"));
        let held = Held { kernels, text: told, told: std::io::stderr().is_terminal() };
        if let Err(error) = held::save(&self.machine.layout, &held) {
            log::warn!("{error}");
        }
    }

    /// Compilers that come along and are not here yet.
    fn other_compilers(&self) -> Option<String> {
        let new = |name: &&String| crate::process::find_program(name).is_none();
        let new: Vec<&str> = self.transaction.compilers.iter().filter(new).map(String::as_str).collect();
        (!new.is_empty()).then(|| new.join(", "))
    }

    fn forget(&self) {
        if let Err(error) = held::forget(&self.machine.layout) {
            log::warn!("{error}");
        }
    }
}
