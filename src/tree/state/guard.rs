//! `.dkms-hook/boot-guard.json`: which essential modules were asked for, and what the boot guard has done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FORMAT, first};
use crate::model::guard::{self, Asked, Undo};
use crate::model::ids::{KernelRelease, ModuleName};

/// [`guard::Remembered`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct OnDisk {
    #[serde(default = "first")]
    format: u64,
    #[serde(default)]
    asked: BTreeMap<String, Asked>,
    #[serde(default)]
    active: Option<Active>,
}

/// [`guard::Active`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Active {
    newest: String,
    missing: Vec<String>,
    keep: Option<String>,
    #[serde(default)]
    said: Vec<String>,
    #[serde(default)]
    unfinished: bool,
    #[serde(default)]
    undo: Option<Undo>,
}

impl super::OnDisk for OnDisk {
    type Model = guard::Remembered;

    fn format(&self) -> u64 {
        self.format
    }

    fn into_model(self) -> Result<guard::Remembered, String> {
        let kernel = |name: String| KernelRelease::new(name).map_err(|error| error.to_string());
        let mut asked = BTreeMap::new();
        for (release, of_kernel) in self.asked {
            asked.insert(kernel(release)?, of_kernel);
        }
        let active = match self.active {
            None => None,
            Some(Active { newest, missing, keep, said, unfinished, undo }) => {
                let missing = missing.into_iter().map(ModuleName::new).collect::<Result<_, _>>();
                let verdict = guard::Danger {
                    newest: kernel(newest)?,
                    missing: missing.map_err(|error| error.to_string())?,
                    keep: keep.map(kernel).transpose()?,
                };
                Some(guard::Active { verdict, said, unfinished, undo })
            }
        };
        Ok(guard::Remembered { asked, active })
    }
}

impl From<&guard::Remembered> for OnDisk {
    fn from(remembered: &guard::Remembered) -> Self {
        let guard::Remembered { asked, active } = remembered.clone();
        Self {
            format: FORMAT,
            asked: asked.into_iter().map(|(kernel, asked)| (kernel.into(), asked)).collect(),
            active: active.map(|guard::Active { verdict, said, unfinished, undo }| Active {
                newest: verdict.newest.into(),
                missing: verdict.missing.into_iter().map(Into::into).collect(),
                keep: verdict.keep.map(Into::into),
                said,
                unfinished,
                undo,
            }),
        }
    }
}
