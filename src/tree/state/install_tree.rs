//! `.dkms-hook/install-tree.json`: which directory held the kernels.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{FORMAT, first};
use crate::model::system::TreePlace;

/// [`TreePlace`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct OnDisk {
    #[serde(default = "first")]
    format: u64,
    path: PathBuf,
    mounted: PathBuf,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

impl super::OnDisk for OnDisk {
    type Model = TreePlace;

    fn format(&self) -> u64 {
        self.format
    }

    fn into_model(self) -> Result<TreePlace, String> {
        let Self { format: _, path, mounted, kind, id } = self;
        Ok(TreePlace { path, mounted, kind, id })
    }
}

impl From<&TreePlace> for OnDisk {
    fn from(tree: &TreePlace) -> Self {
        let TreePlace { path, mounted, kind, id } = tree.clone();
        Self { format: FORMAT, path, mounted, kind, id }
    }
}
