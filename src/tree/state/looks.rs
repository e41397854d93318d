//! `.dkms-hook/indexes/K.json`: which builds the index of a kernel's modules was found to name.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{FORMAT, first};
use crate::model::indexed::IndexLooks;

/// [`IndexLooks`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct OnDisk {
    #[serde(default = "first")]
    format: u64,
    index: String,
    #[serde(default)]
    ours: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    left_out: BTreeSet<String>,
}

impl super::OnDisk for OnDisk {
    type Model = IndexLooks;

    fn format(&self) -> u64 {
        self.format
    }

    fn into_model(self) -> Result<IndexLooks, String> {
        let Self { format: _, index, ours, left_out } = self;
        Ok(IndexLooks { index, ours, left_out })
    }
}

impl From<&IndexLooks> for OnDisk {
    fn from(looks: &IndexLooks) -> Self {
        let IndexLooks { index, ours, left_out } = looks.clone();
        Self { format: FORMAT, index, ours, left_out }
    }
}
