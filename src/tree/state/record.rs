//! `.dkms-hook.json`: what a build was made from, and what of it was installed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::inputs::{Facts, Headers, Inputs};
use super::{FORMAT, first};
use crate::model::fit::Compared;
use crate::model::record as model;

/// [`model::Record`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct OnDisk {
    #[serde(default = "first")]
    format: u64,
    /// Without it: built here, or written by a version that did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provenance: Option<Provenance>,
    inputs: Inputs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kept: Option<Kept>,
    #[serde(default)]
    stamp: String,
    facts: Facts,
    #[serde(default)]
    installed: Vec<InstalledFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(default)]
    without_image: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    overrides: Option<Overrides>,
    /// Milliseconds; [`model::Effort::took`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    took: Option<u64>,
    /// [`model::Effort::files`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<usize>,
}

/// [`model::Provenance`], of a build from elsewhere.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Provenance {
    Dkms,
    Archive,
    Package,
    Cache,
}

/// [`model::Kept`].
#[derive(Serialize, Deserialize)]
struct Kept {
    headers: Headers,
    symbols: usize,
    /// Without it: the symbols had versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    types: Option<usize>,
}

/// [`model::Overrides`].
#[derive(Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
#[derive(Default)]
struct Overrides {
    conf: Option<PathBuf>,
    kernel_config: Option<PathBuf>,
    kernel_source_dir: Option<PathBuf>,
    build_environment: Option<PathBuf>,
    directives: Vec<(String, String)>,
}

/// [`model::InstalledFile`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct InstalledFile {
    path: PathBuf,
    built: String,
    size: u64,
    mtime: i64,
    #[serde(default)]
    built_mtime: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original: Option<PathBuf>,
}

impl super::OnDisk for OnDisk {
    type Model = model::Record;

    fn format(&self) -> u64 {
        self.format
    }

    fn into_model(self) -> Result<model::Record, String> {
        Ok(model::Record {
            provenance: match self.provenance {
                None => model::Provenance::BuiltHere,
                Some(Provenance::Dkms) => model::Provenance::Dkms,
                Some(Provenance::Archive) => model::Provenance::Archive,
                Some(Provenance::Package) => model::Provenance::Package,
                Some(Provenance::Cache) => model::Provenance::Cache,
            },
            inputs: Arc::new(self.inputs.0),
            kept: self.kept.map(|kept| model::Kept {
                headers: kept.headers.into(),
                compared: Compared { symbols: kept.symbols, types: kept.types },
            }),
            stamp: self.stamp,
            facts: self.facts.into(),
            installed: self.installed.into_iter().map(Into::into).collect(),
            refused: self.refused,
            without_image: self.without_image,
            overrides: self.overrides.unwrap_or_default().into(),
            effort: self.took.map(|took| model::Effort {
                took: Duration::from_millis(took),
                files: self.files.unwrap_or_default(),
            }),
        })
    }
}

impl From<&model::Record> for OnDisk {
    fn from(record: &model::Record) -> Self {
        let kept = record.kept.as_ref();
        let plain = record.overrides.is_plain();
        Self {
            format: FORMAT,
            provenance: match record.provenance {
                model::Provenance::BuiltHere => None,
                model::Provenance::Dkms => Some(Provenance::Dkms),
                model::Provenance::Archive => Some(Provenance::Archive),
                model::Provenance::Package => Some(Provenance::Package),
                model::Provenance::Cache => Some(Provenance::Cache),
            },
            inputs: Inputs((*record.inputs).clone()),
            kept: kept.map(|kept| Kept {
                headers: Headers::from(&kept.headers),
                symbols: kept.compared.symbols,
                types: kept.compared.types,
            }),
            stamp: record.stamp.clone(),
            facts: Facts::from(&record.facts),
            installed: record.installed.iter().cloned().map(Into::into).collect(),
            refused: record.refused.clone(),
            without_image: record.without_image,
            overrides: (!plain).then(|| record.overrides.clone().into()),
            took: record.effort.map(|effort| u64::try_from(effort.took.as_millis()).unwrap_or(u64::MAX)),
            files: record.effort.map(|effort| effort.files).filter(|files| *files > 0),
        }
    }
}

impl From<model::Overrides> for Overrides {
    fn from(overrides: model::Overrides) -> Self {
        let model::Overrides { conf, kernel_config, kernel_source_dir, build_environment, directives } =
            overrides;
        Self { conf, kernel_config, kernel_source_dir, build_environment, directives }
    }
}

impl From<Overrides> for model::Overrides {
    fn from(overrides: Overrides) -> Self {
        let Overrides { conf, kernel_config, kernel_source_dir, build_environment, directives } = overrides;
        Self { conf, kernel_config, kernel_source_dir, build_environment, directives }
    }
}

impl From<model::InstalledFile> for InstalledFile {
    fn from(file: model::InstalledFile) -> Self {
        let model::InstalledFile { path, built, size, mtime, built_mtime, original } = file;
        Self { path, built, size, mtime, built_mtime, original }
    }
}

impl From<InstalledFile> for model::InstalledFile {
    fn from(file: InstalledFile) -> Self {
        let InstalledFile { path, built, size, mtime, built_mtime, original } = file;
        Self { path, built, size, mtime, built_mtime, original }
    }
}
