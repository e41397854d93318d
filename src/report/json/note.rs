//! Why nothing is done.

use std::path::Path;

use serde::Serialize;

use super::parts::{Cell, Danger, Failure, Module};
use crate::model::blind;
use crate::model::ids::{Arch, KernelRelease};
use crate::model::system::TreePlace;
use crate::plan;

/// [`plan::Note`].
#[derive(Serialize)]
#[serde(tag = "note", rename_all = "kebab-case")]
pub(super) enum Note<'a> {
    Excluded {
        cell: Cell<'a>,
        why: &'a str,
    },
    FailedBefore {
        cell: Cell<'a>,
        failure: Failure<'a>,
    },
    OlderInstead {
        cell: Cell<'a>,
        older: &'a str,
        log: Option<&'a Path>,
    },
    Refused {
        cell: Cell<'a>,
        why: &'a str,
    },
    Unreadable {
        cell: Cell<'a>,
    },
    OtherArchitecture {
        cell: Cell<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        own: Option<&'a str>,
    },
    Broken {
        module: Module<'a>,
        target: &'a Path,
    },
    NotAdded {
        module: Module<'a>,
    },
    Waiting {
        kernel: &'a str,
        package: &'a str,
    },
    UnknownKernel {
        kernel: &'a str,
    },
    Removed {
        kernel: &'a str,
    },
    NoBootEntry {
        kernel: &'a str,
    },
    Unversioned {
        kernel: &'a str,
    },
    MissingDepends {
        cell: Cell<'a>,
        names: &'a [String],
        known: bool,
    },
    NothingBuilt {
        name: &'a str,
    },
    CannotSign {
        cell: Cell<'a>,
        why: &'a str,
    },
    NoIndex {
        kernel: &'a str,
        tree: &'a Path,
    },
    Displaced {
        cell: Cell<'a>,
        by: &'a Path,
        why: &'a str,
    },
    Held {
        cell: Cell<'a>,
        by: Cell<'a>,
    },
    NotIndexed {
        cell: Cell<'a>,
        file: &'a Path,
    },
    Guarded {
        danger: Danger<'a>,
    },
    AutoinstallDisabled,
    AlreadyBuilt {
        cell: Cell<'a>,
    },
    AlreadyInstalled {
        cell: Cell<'a>,
    },
    NotInstalled {
        cell: Cell<'a>,
    },
    NotBuilt {
        cell: Cell<'a>,
    },
    AlreadyAdded {
        module: Module<'a>,
    },
    Blind {
        about: Subject<'a>,
        #[serde(flatten)]
        blind: Blind<'a>,
    },
    NoKernel {
        dir: &'a Path,
        kernels: Vec<&'a str>,
    },
    OtherTree {
        was: Place<'a>,
        is: Place<'a>,
        kernels: Vec<&'a str>,
    },
}

impl<'a> From<&'a plan::Note> for Note<'a> {
    fn from(value: &'a plan::Note) -> Self {
        match value {
            plan::Note::Excluded { cell, why } => Self::Excluded { cell: cell.into(), why },
            plan::Note::FailedBefore { cell, failure } => {
                Self::FailedBefore { cell: cell.into(), failure: (&**failure).into() }
            }
            plan::Note::OlderInstead { cell, older, log } => {
                Self::OlderInstead { cell: cell.into(), older: older.as_str(), log: log.as_deref() }
            }
            plan::Note::Refused { cell, why } => Self::Refused { cell: cell.into(), why },
            plan::Note::Unreadable { cell, .. } => Self::Unreadable { cell: cell.into() },
            plan::Note::OtherArchitecture { cell, own } => {
                Self::OtherArchitecture { cell: cell.into(), own: own.as_ref().map(Arch::as_str) }
            }
            plan::Note::Broken { module, target } => Self::Broken { module: module.into(), target },
            plan::Note::NotAdded { module } => Self::NotAdded { module: module.into() },
            plan::Note::Waiting { kernel, package } => Self::Waiting { kernel: kernel.as_str(), package },
            plan::Note::UnknownKernel { kernel } => Self::UnknownKernel { kernel: kernel.as_str() },
            plan::Note::Removed { kernel } => Self::Removed { kernel: kernel.as_str() },
            plan::Note::Unversioned { kernel } => Self::Unversioned { kernel: kernel.as_str() },
            plan::Note::NoBootEntry { kernel } => Self::NoBootEntry { kernel: kernel.as_str() },
            plan::Note::MissingDepends { cell, names, known } => {
                Self::MissingDepends { cell: cell.into(), names, known: *known }
            }
            plan::Note::NothingBuilt { name } => Self::NothingBuilt { name },
            plan::Note::CannotSign { cell, why } => Self::CannotSign { cell: cell.into(), why },
            plan::Note::NoIndex { kernel, tree } => Self::NoIndex { kernel: kernel.as_str(), tree },
            plan::Note::Displaced { cell, by, why } => Self::Displaced { cell: cell.into(), by, why },
            plan::Note::Held { cell, by } => Self::Held { cell: cell.into(), by: by.into() },
            plan::Note::NotIndexed { cell, file } => Self::NotIndexed { cell: cell.into(), file },
            plan::Note::Guarded { danger } => Self::Guarded { danger: danger.into() },
            plan::Note::AutoinstallDisabled => Self::AutoinstallDisabled,
            plan::Note::AlreadyBuilt { cell } => Self::AlreadyBuilt { cell: cell.into() },
            plan::Note::AlreadyInstalled { cell } => Self::AlreadyInstalled { cell: cell.into() },
            plan::Note::NotInstalled { cell } => Self::NotInstalled { cell: cell.into() },
            plan::Note::NotBuilt { cell } => Self::NotBuilt { cell: cell.into() },
            plan::Note::AlreadyAdded { module } => Self::AlreadyAdded { module: module.into() },
            plan::Note::Blind { about, blind } => Self::Blind { about: about.into(), blind: blind.into() },
            plan::Note::NoKernel { dir, kernels } => {
                Self::NoKernel { dir, kernels: kernels.iter().map(KernelRelease::as_str).collect() }
            }
            plan::Note::OtherTree { was, is, kernels } => Self::OtherTree {
                was: was.into(),
                is: is.into(),
                kernels: kernels.iter().map(KernelRelease::as_str).collect(),
            },
        }
    }
}

/// [`plan::Subject`].
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Subject<'a> {
    Kernels { kernels: Vec<&'a str> },
    Kernel { kernel: &'a str },
    KernelNote { kernel: &'a str },
    Initramfs { kernel: &'a str },
    Modules,
    Module { module: Module<'a> },
    Build { cell: Cell<'a> },
    Verdict { cell: Cell<'a> },
}

impl<'a> From<&'a plan::Subject> for Subject<'a> {
    fn from(value: &'a plan::Subject) -> Self {
        match value {
            plan::Subject::Kernels { kernels } => {
                Self::Kernels { kernels: kernels.iter().map(KernelRelease::as_str).collect() }
            }
            plan::Subject::Kernel { kernel } => Self::Kernel { kernel: kernel.as_str() },
            plan::Subject::KernelNote { kernel } => Self::KernelNote { kernel: kernel.as_str() },
            plan::Subject::Initramfs { kernel } => Self::Initramfs { kernel: kernel.as_str() },
            plan::Subject::Modules => Self::Modules,
            plan::Subject::Module { module } => Self::Module { module: module.into() },
            plan::Subject::Build { cell } => Self::Build { cell: cell.into() },
            plan::Subject::Verdict { cell } => Self::Verdict { cell: cell.into() },
        }
    }
}

/// [`blind::Blind`].
#[derive(Serialize)]
pub(super) struct Blind<'a> {
    path: &'a Path,
    cause: String,
}

impl<'a> From<&'a blind::Blind> for Blind<'a> {
    fn from(blind: &'a blind::Blind) -> Self {
        Self { path: &blind.path, cause: blind.cause.to_string() }
    }
}

/// [`TreePlace`].
#[derive(Serialize)]
pub(super) struct Place<'a> {
    path: &'a Path,
    mounted: &'a Path,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
}

impl<'a> From<&'a TreePlace> for Place<'a> {
    fn from(place: &'a TreePlace) -> Self {
        Self { path: &place.path, mounted: &place.mounted, kind: &place.kind, id: place.id.as_deref() }
    }
}
