//! `.dkms-hook/own-writes/NAME/VERSION.json`: what a package's own commands wrote into its source.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{FORMAT, first};
use crate::model::own_writes as model;

/// [`model::OwnWrites`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct OnDisk {
    #[serde(default = "first")]
    format: u64,
    #[serde(default)]
    source: Tree,
    #[serde(default)]
    overrides: Tree,
}

/// [`model::Tree`].
#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Tree {
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Left>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    files: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    doubtful: BTreeSet<String>,
}

/// [`model::Left`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Left {
    content: String,
    counts_as: String,
}

impl super::OnDisk for OnDisk {
    type Model = model::OwnWrites;

    fn format(&self) -> u64 {
        self.format
    }

    fn into_model(self) -> Result<model::OwnWrites, String> {
        Ok(model::OwnWrites { source: self.source.into(), overrides: self.overrides.into() })
    }
}

impl From<&model::OwnWrites> for OnDisk {
    fn from(writes: &model::OwnWrites) -> Self {
        let model::OwnWrites { source, overrides } = writes.clone();
        Self { format: FORMAT, source: source.into(), overrides: overrides.into() }
    }
}

impl From<Tree> for model::Tree {
    fn from(tree: Tree) -> Self {
        let Tree { left, files, doubtful } = tree;
        let left = left.map(|Left { content, counts_as }| model::Left { content, counts_as });
        Self { left, files, doubtful }
    }
}

impl From<model::Tree> for Tree {
    fn from(tree: model::Tree) -> Self {
        let model::Tree { left, files, doubtful } = tree;
        let left = left.map(|model::Left { content, counts_as }| Left { content, counts_as });
        Self { left, files, doubtful }
    }
}
