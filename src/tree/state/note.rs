//! `.dkms-hook/kernels/KERNEL.json`: what is remembered of a kernel.

use serde::{Deserialize, Serialize};

use super::{FORMAT, first};
use crate::model::record as model;

/// [`model::KernelNote`]. Notes of the first versions have no number.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct OnDisk {
    #[serde(default = "first")]
    format: u64,
    #[serde(default)]
    waiting: Option<String>,
    #[serde(default)]
    removed: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    boot_entry_removed: bool,
    #[serde(default)]
    depmod_due: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    depmod_left_at: Option<i64>,
    #[serde(default)]
    initramfs_due: Option<InitramfsDue>,
}

/// [`model::InitramfsDue`].
#[derive(Serialize, Deserialize)]
struct InitramfsDue {
    since: i64,
    #[serde(default)]
    always: bool,
    #[serde(default)]
    modules: Vec<String>,
}

impl super::OnDisk for OnDisk {
    type Model = model::KernelNote;

    fn format(&self) -> u64 {
        self.format
    }

    fn into_model(self) -> Result<model::KernelNote, String> {
        let Self {
            format: _,
            waiting,
            removed,
            boot_entry_removed,
            depmod_due,
            depmod_left_at,
            initramfs_due,
        } = self;
        let initramfs_due = initramfs_due.map(|due| {
            let InitramfsDue { since, always, modules } = due;
            model::InitramfsDue { since, always, modules }
        });
        Ok(model::KernelNote {
            waiting,
            removed,
            boot_entry_removed,
            depmod_due,
            depmod_left_at,
            initramfs_due,
        })
    }
}

impl From<&model::KernelNote> for OnDisk {
    fn from(note: &model::KernelNote) -> Self {
        let model::KernelNote {
            waiting,
            removed,
            boot_entry_removed,
            depmod_due,
            depmod_left_at,
            initramfs_due,
        } = note.clone();
        let initramfs_due = initramfs_due.map(|due| {
            let model::InitramfsDue { since, always, modules } = due;
            InitramfsDue { since, always, modules }
        });
        Self {
            format: FORMAT,
            waiting,
            removed,
            boot_entry_removed,
            depmod_due,
            depmod_left_at,
            initramfs_due,
        }
    }
}
