//! What a build is made from, and what dkms.conf said: parts of records and verdicts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::inputs as model;
use crate::model::record as facts;

/// [`model::Inputs`].
#[derive(Serialize, Deserialize)]
pub(super) struct Inputs {
    source: String,
    conf: String,
    overrides: String,
    headers: Headers,
    compiler: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rustc: Option<String>,
    compression: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signing: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    depends: BTreeMap<String, String>,
}

/// [`model::Headers`].
#[derive(Serialize, Deserialize)]
pub(super) struct Headers {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    content: String,
}

/// [`facts::Facts`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Facts {
    autoinstall: bool,
    #[serde(default)]
    depends: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    depends_rebuild: bool,
    #[serde(default)]
    exclusion: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    modules: Vec<String>,
}

impl From<&model::Inputs> for Inputs {
    fn from(inputs: &model::Inputs) -> Self {
        let model::Inputs {
            source,
            conf,
            overrides,
            headers,
            compiler,
            rustc,
            compression,
            signing,
            depends,
        } = inputs.clone();
        let headers = Headers::from(&headers);
        Self { source, conf, overrides, headers, compiler, rustc, compression, signing, depends }
    }
}

impl From<Inputs> for model::Inputs {
    fn from(inputs: Inputs) -> Self {
        let Inputs { source, conf, overrides, headers, compiler, rustc, compression, signing, depends } =
            inputs;
        let headers = headers.into();
        Self { source, conf, overrides, headers, compiler, rustc, compression, signing, depends }
    }
}

impl From<&model::Headers> for Headers {
    fn from(headers: &model::Headers) -> Self {
        Self { version: headers.version.clone(), content: headers.content.clone() }
    }
}

impl From<Headers> for model::Headers {
    fn from(headers: Headers) -> Self {
        Self { version: headers.version, content: headers.content }
    }
}

impl From<&facts::Facts> for Facts {
    fn from(facts: &facts::Facts) -> Self {
        let facts::Facts { autoinstall, depends, depends_rebuild, exclusion, modules } = facts.clone();
        Self { autoinstall, depends, depends_rebuild, exclusion, modules }
    }
}

impl From<Facts> for facts::Facts {
    fn from(facts: Facts) -> Self {
        let Facts { autoinstall, depends, depends_rebuild, exclusion, modules } = facts;
        Self { autoinstall, depends, depends_rebuild, exclusion, modules }
    }
}
