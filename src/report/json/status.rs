//! `dkms-hook status --json`: docs/status.schema.json.

use serde::Serialize;
use serde_json::Value;

use super::parts::{Cell, Danger, Failure};
use super::plan::{Step, Told, notes, steps};
use super::{FORMAT, value};
use crate::model::system::{self, System};
use crate::model::{guard, ids, record};
use crate::plan::{Note, Plan};
use crate::report::overview::{failures, problems};
use crate::report::signing;
use crate::trust::firmware;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Status<'a> {
    format: u32,
    kernels: Vec<Kernel<'a>>,
    /// The builds.
    modules: Vec<Build<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_guard: Option<Guarded<'a>>,
    signing: Signing<'a>,
    to_do: Vec<Step<'a>>,
    notes: Vec<Told<'a>>,
    failures: Vec<Failed<'a>>,
    problems: Vec<String>,
    failed: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Kernel<'a> {
    release: &'a str,
    state: &'static str,
    image: bool,
    headers: bool,
    removed: bool,
    boot_entry_removed: bool,
    waiting_for: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Build<'a> {
    module: &'a str,
    version: &'a str,
    kernel: &'a str,
    arch: &'a str,
    installed: bool,
    intact: bool,
    provenance: Option<Provenance>,
    kept: bool,
    signed_with: Option<&'a str>,
}

/// [`record::Provenance`].
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Provenance {
    BuiltHere,
    Dkms,
    Archive,
    Package,
    Cache,
}

#[derive(Serialize)]
struct Failed<'a> {
    cell: Cell<'a>,
    failure: Failure<'a>,
}

/// [`guard::Active`].
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Guarded<'a> {
    danger: Danger<'a>,
    said: &'a [String],
    unfinished: bool,
}

impl<'a> From<&'a guard::Active> for Guarded<'a> {
    fn from(active: &'a guard::Active) -> Self {
        Self { danger: (&active.verdict).into(), said: &active.said, unfinished: active.unfinished }
    }
}

/// [`signing::Signing`].
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Signing<'a> {
    secure_boot: SecureBoot,
    keys: Vec<Key<'a>>,
    unsigned: Vec<(&'a str, &'a str)>,
}

/// [`signing::Key`].
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Key<'a> {
    certificate: &'a str,
    exists: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    enrolment: Option<Enrolment>,
    kernels_own: bool,
    kernels: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

/// [`firmware::SecureBoot`].
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SecureBoot {
    On,
    Off,
    OffInShim,
    NoEfi,
    Unknown,
}

/// [`firmware::Enrolment`].
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Enrolment {
    Enrolled,
    InFirmware,
    Pending,
    Missing,
    Blocked,
}

/// What the text says, for programs.
///
/// `held`: what was told of a transaction that was held.
pub fn status(
    system: &System,
    plan: &Plan,
    signing: &signing::Signing,
    held: Option<&str>,
    failed: bool,
) -> Value {
    let kernels = system.kernels.iter().map(|(release, kernel)| Kernel {
        release: release.as_str(),
        state: state(kernel),
        image: kernel.image,
        headers: kernel.headers,
        removed: kernel.note.removed,
        boot_entry_removed: kernel.note.boot_entry_removed,
        waiting_for: waiting_for(plan, release),
    });
    let built = system.cells.iter().filter(|(_, view)| view.built);
    let failures = failures(system, plan);
    value(Status {
        format: FORMAT,
        kernels: kernels.collect(),
        modules: built.map(|(cell, view)| build(cell, view)).collect(),
        boot_guard: system.guard.as_ref().and_then(|guard| Some(guard.before.active.as_ref()?.into())),
        signing: signing.into(),
        to_do: steps(system, plan),
        notes: notes(plan),
        failures: failures
            .map(|(cell, failure): (_, &record::FailureNote)| Failed {
                cell: cell.into(),
                failure: failure.into(),
            })
            .collect(),
        problems: problems(plan).map(Note::text).chain(held.map(str::to_owned)).collect(),
        failed,
    })
}

/// What is there of a kernel, in words that programs may have come to know.
fn state(kernel: &system::Kernel) -> &'static str {
    match (kernel.image, kernel.headers) {
        (true, _) if kernel.note.removed => "its image package was removed",
        (true, _) if kernel.note.boot_entry_removed => "its boot entry was removed",
        (true, true) => "kernel and headers installed",
        (true, false) => "headers missing",
        (false, true) => "headers without a kernel",
        (false, false) => "gone",
    }
}

fn waiting_for<'a>(plan: &'a Plan, release: &ids::KernelRelease) -> Option<&'a str> {
    plan.notes.iter().find_map(|note| match note {
        Note::Waiting { kernel, package } if kernel == release => Some(package.as_str()),
        _ => None,
    })
}

fn build<'a>(cell: &'a ids::Cell, view: &'a system::CellView) -> Build<'a> {
    let record = view.record.as_ref();
    Build {
        module: cell.module.name.as_str(),
        version: cell.module.version.as_str(),
        kernel: cell.kernel.as_str(),
        arch: cell.arch.as_str(),
        installed: view.installed,
        intact: view.intact,
        provenance: view.provenance.map(Into::into),
        kept: record.is_some_and(|record| record.kept.is_some()),
        signed_with: record.and_then(|record| record.inputs.signing.as_deref()),
    }
}

impl<'a> From<&'a signing::Signing> for Signing<'a> {
    fn from(signing: &'a signing::Signing) -> Self {
        let unsigned = signing.unsigned.iter().map(|bare| (bare.kernel.as_str(), bare.why.as_str()));
        Self {
            secure_boot: signing.secure_boot.into(),
            keys: signing.keys.iter().map(Into::into).collect(),
            unsigned: unsigned.collect(),
        }
    }
}

impl<'a> From<&'a signing::Key> for Key<'a> {
    fn from(key: &'a signing::Key) -> Self {
        Self {
            certificate: &key.certificate,
            exists: key.exists,
            enrolment: key.enrolment.map(Into::into),
            kernels_own: key.kernels_own,
            kernels: key.kernels.iter().map(|(kernel, _)| kernel.as_str()).collect(),
            next: key.next.as_deref(),
        }
    }
}

impl From<record::Provenance> for Provenance {
    fn from(provenance: record::Provenance) -> Self {
        match provenance {
            record::Provenance::BuiltHere => Self::BuiltHere,
            record::Provenance::Dkms => Self::Dkms,
            record::Provenance::Archive => Self::Archive,
            record::Provenance::Package => Self::Package,
            record::Provenance::Cache => Self::Cache,
        }
    }
}

impl From<firmware::SecureBoot> for SecureBoot {
    fn from(state: firmware::SecureBoot) -> Self {
        match state {
            firmware::SecureBoot::On => Self::On,
            firmware::SecureBoot::Off => Self::Off,
            firmware::SecureBoot::OffInShim => Self::OffInShim,
            firmware::SecureBoot::NoEfi => Self::NoEfi,
            firmware::SecureBoot::Unknown => Self::Unknown,
        }
    }
}

impl From<firmware::Enrolment> for Enrolment {
    fn from(enrolment: firmware::Enrolment) -> Self {
        match enrolment {
            firmware::Enrolment::Enrolled => Self::Enrolled,
            firmware::Enrolment::InFirmware => Self::InFirmware,
            firmware::Enrolment::Pending => Self::Pending,
            firmware::Enrolment::Missing => Self::Missing,
            firmware::Enrolment::Blocked => Self::Blocked,
        }
    }
}
