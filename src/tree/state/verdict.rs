//! `.dkms-hook/verdicts/NAME/VERSION/KERNEL-ARCH.json`: why there is no build.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::inputs::{Facts, Inputs};
use super::{FORMAT, first};
use crate::model::error::Kind;
use crate::model::record as model;

/// [`model::Verdict`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct OnDisk {
    #[serde(default = "first")]
    format: u64,
    inputs: Inputs,
    #[serde(default)]
    stamp: String,
    facts: Facts,
    #[serde(default)]
    failure: Option<Failure>,
}

/// [`model::FailureNote`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Failure {
    code: u8,
    what: String,
    #[serde(default)]
    first_errors: Vec<String>,
    #[serde(default)]
    log: Option<PathBuf>,
    #[serde(default)]
    hint: Option<String>,
    when: u64,
    #[serde(default)]
    provisional: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    by_source: bool,
    #[serde(default)]
    reported: bool,
}

impl super::OnDisk for OnDisk {
    type Model = model::Verdict;

    fn format(&self) -> u64 {
        self.format
    }

    fn into_model(self) -> Result<model::Verdict, String> {
        Ok(model::Verdict {
            inputs: self.inputs.0,
            stamp: self.stamp,
            facts: self.facts.into(),
            failure: self.failure.map(Into::into),
        })
    }
}

impl From<&model::Verdict> for OnDisk {
    fn from(verdict: &model::Verdict) -> Self {
        Self {
            format: FORMAT,
            inputs: Inputs(verdict.inputs.clone()),
            stamp: verdict.stamp.clone(),
            facts: Facts::from(&verdict.facts),
            failure: verdict.failure.clone().map(Into::into),
        }
    }
}

impl From<model::FailureNote> for Failure {
    fn from(failure: model::FailureNote) -> Self {
        let model::FailureNote {
            kind,
            what,
            first_errors,
            log,
            hint,
            when,
            provisional,
            by_source,
            reported,
        } = failure;
        let code = kind.exit_status();
        Self { code, what, first_errors, log, hint, when, provisional, by_source, reported }
    }
}

impl From<Failure> for model::FailureNote {
    fn from(failure: Failure) -> Self {
        let Failure { code, what, first_errors, log, hint, when, provisional, by_source, reported } = failure;
        let kind = Kind::of_failure(code);
        Self { kind, what, first_errors, log, hint, when, provisional, by_source, reported }
    }
}
