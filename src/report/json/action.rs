//! Actions of a plan.

use std::path::PathBuf;

use serde::Serialize;

use super::parts::{Cell, Module};
use crate::plan;

/// [`plan::Action`].
#[derive(Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(super) enum Action<'a> {
    Add {
        module: Module<'a>,
    },
    Build {
        cell: Cell<'a>,
        force: bool,
        cached: bool,
    },
    Adopt {
        cell: Cell<'a>,
    },
    Keep {
        cell: Cell<'a>,
    },
    Resign {
        cell: Cell<'a>,
        reinstall: bool,
    },
    Install {
        cell: Cell<'a>,
        force: bool,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        post_install: bool,
        #[serde(skip_serializing_if = "<[PathBuf]>::is_empty")]
        aside: &'a [PathBuf],
    },
    Uninstall {
        cell: Cell<'a>,
    },
    Unbuild {
        cell: Cell<'a>,
    },
    Forget {
        module: Module<'a>,
    },
    Wait {
        kernel: &'a str,
        package: &'a str,
    },
    Depmod {
        kernel: &'a str,
    },
    Initramfs {
        kernel: &'a str,
        always: bool,
        modules: &'a [String],
    },
    Modprobe {
        kernel: &'a str,
    },
    Share {
        kernel: &'a str,
    },
    Unlink {
        cell: Cell<'a>,
        other: &'a str,
        replaced: bool,
    },
    Guard,
    Sweep {
        kernel: &'a str,
    },
}

impl<'a> From<&'a plan::Action> for Action<'a> {
    fn from(value: &'a plan::Action) -> Self {
        match value {
            plan::Action::Add { module } => Self::Add { module: module.into() },
            plan::Action::Build { cell, force, cached } => {
                Self::Build { cell: cell.into(), force: *force, cached: *cached }
            }
            plan::Action::Adopt { cell } => Self::Adopt { cell: cell.into() },
            plan::Action::Keep { cell } => Self::Keep { cell: cell.into() },
            plan::Action::Resign { cell, reinstall } => {
                Self::Resign { cell: cell.into(), reinstall: *reinstall }
            }
            plan::Action::Install { cell, force, post_install, aside } => {
                Self::Install { cell: cell.into(), force: *force, post_install: *post_install, aside }
            }
            plan::Action::Uninstall { cell } => Self::Uninstall { cell: cell.into() },
            plan::Action::Unbuild { cell } => Self::Unbuild { cell: cell.into() },
            plan::Action::Forget { module } => Self::Forget { module: module.into() },
            plan::Action::Wait { kernel, package } => Self::Wait { kernel: kernel.as_str(), package },
            plan::Action::Depmod { kernel } => Self::Depmod { kernel: kernel.as_str() },
            plan::Action::Initramfs { kernel, always, modules } => {
                Self::Initramfs { kernel: kernel.as_str(), always: *always, modules }
            }
            plan::Action::Modprobe { kernel } => Self::Modprobe { kernel: kernel.as_str() },
            plan::Action::Share { kernel } => Self::Share { kernel: kernel.as_str() },
            plan::Action::Unlink { cell, other, replaced } => {
                Self::Unlink { cell: cell.into(), other: other.as_str(), replaced: *replaced }
            }
            plan::Action::Guard => Self::Guard,
            plan::Action::Sweep { kernel } => Self::Sweep { kernel: kernel.as_str() },
        }
    }
}
