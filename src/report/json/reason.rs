//! Why an action is planned.

use std::path::Path;

use serde::Serialize;

use super::parts::{Change, Danger, Directive, Misfit};
use crate::plan;

/// [`plan::Reason`].
#[derive(Serialize)]
#[serde(tag = "because", rename_all = "kebab-case")]
pub(super) enum Reason<'a> {
    NotBuilt,
    NotInstalled,
    Stale { change: Change<'a> },
    Directive { change: Directive<'a> },
    Misfit { change: Change<'a>, misfit: Misfit<'a> },
    AbiKept(Kept<'a>),
    DependencyBuilt { name: &'a str },
    WrongKernel,
    Newer { than: &'a str },
    NewestExcluded { newest: &'a str, why: &'a str },
    NewestFailed { newest: &'a str },
    FilesMissing,
    Displaced { by: &'a Path },
    MadeByDkms { symbols: Option<usize> },
    FromArchive { symbols: Option<usize> },
    NotAdopted { misfit: Misfit<'a> },
    RetryToolchain,
    RetryAsked,
    Asked,
    OtherSignature,
    KernelGone,
    KernelRemoved,
    BootEntryRemoved,
    ExcludedNow { why: &'a str },
    ModulesChanged,
    DepmodDue,
    IndexMissing,
    IndexOld { file: &'a Path },
    InitramfsOld,
    EssentialChanges,
    EssentialMissing { danger: Danger<'a> },
    EssentialThere,
    EssentialLooked,
    HeadersMissing,
    LinkMisfit { of: &'a str },
}

/// [`plan::Reason::AbiKept`].
#[derive(Serialize)]
pub(super) struct Kept<'a> {
    change: Change<'a>,
    symbols: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    types: Option<usize>,
}

impl<'a> From<&'a plan::Reason> for Reason<'a> {
    fn from(value: &'a plan::Reason) -> Self {
        match value {
            plan::Reason::NotBuilt => Self::NotBuilt,
            plan::Reason::NotInstalled => Self::NotInstalled,
            plan::Reason::Stale { change } => Self::Stale { change: change.into() },
            plan::Reason::Directive { change } => Self::Directive { change: change.into() },
            plan::Reason::Misfit { change, misfit } => {
                Self::Misfit { change: change.into(), misfit: misfit.into() }
            }
            plan::Reason::AbiKept { change, compared } => {
                let (symbols, types) = (compared.symbols, compared.types);
                Self::AbiKept(Kept { change: change.into(), symbols, types })
            }
            plan::Reason::DependencyBuilt { name } => Self::DependencyBuilt { name },
            plan::Reason::WrongKernel => Self::WrongKernel,
            plan::Reason::Newer { than } => Self::Newer { than: than.as_str() },
            plan::Reason::NewestExcluded { newest, why } => {
                Self::NewestExcluded { newest: newest.as_str(), why }
            }
            plan::Reason::NewestFailed { newest } => Self::NewestFailed { newest: newest.as_str() },
            plan::Reason::FilesMissing => Self::FilesMissing,
            plan::Reason::Displaced { by } => Self::Displaced { by },
            plan::Reason::MadeByDkms { symbols } => Self::MadeByDkms { symbols: *symbols },
            plan::Reason::FromArchive { symbols } => Self::FromArchive { symbols: *symbols },
            plan::Reason::NotAdopted { misfit } => Self::NotAdopted { misfit: misfit.into() },
            plan::Reason::RetryToolchain => Self::RetryToolchain,
            plan::Reason::RetryAsked => Self::RetryAsked,
            plan::Reason::Asked => Self::Asked,
            plan::Reason::OtherSignature => Self::OtherSignature,
            plan::Reason::KernelGone => Self::KernelGone,
            plan::Reason::KernelRemoved => Self::KernelRemoved,
            plan::Reason::BootEntryRemoved => Self::BootEntryRemoved,
            plan::Reason::ExcludedNow { why } => Self::ExcludedNow { why },
            plan::Reason::ModulesChanged => Self::ModulesChanged,
            plan::Reason::DepmodDue => Self::DepmodDue,
            plan::Reason::IndexMissing => Self::IndexMissing,
            plan::Reason::IndexOld { file } => Self::IndexOld { file },
            plan::Reason::InitramfsOld => Self::InitramfsOld,
            plan::Reason::LinkMisfit { of } => Self::LinkMisfit { of: of.as_str() },
            plan::Reason::EssentialChanges => Self::EssentialChanges,
            plan::Reason::EssentialMissing { danger } => Self::EssentialMissing { danger: danger.into() },
            plan::Reason::EssentialThere => Self::EssentialThere,
            plan::Reason::EssentialLooked => Self::EssentialLooked,
            plan::Reason::HeadersMissing => Self::HeadersMissing,
        }
    }
}
