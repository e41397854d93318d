//! What decides, when the turn of a step comes, whether it is carried out.

use std::path::Path;

use serde::Serialize;

use super::parts::Cell;
use crate::model::rival;
use crate::plan;

/// [`plan::Condition`], with its words.
#[derive(Serialize)]
pub(super) struct When<'a> {
    #[serde(flatten)]
    condition: Condition<'a>,
    text: String,
}

#[derive(Serialize)]
#[serde(tag = "if", rename_all = "kebab-case")]
enum Condition<'a> {
    NotOlder { than: Vec<Rival<'a>> },
    Changed { modules: &'a [String] },
    InInitramfs { modules: &'a [String] },
    LinkMisfit,
}

/// [`rival::Rival`].
#[derive(Serialize)]
struct Rival<'a> {
    module: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    srcversion: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<Cell<'a>>,
}

impl<'a> When<'a> {
    /// Nothing where the step is carried out whatever happens.
    pub(super) fn of(when: &'a plan::Condition) -> Option<Self> {
        let condition = match when {
            plan::Condition::Always => return None,
            plan::Condition::NotOlder { than } => {
                Condition::NotOlder { than: than.iter().map(Into::into).collect() }
            }
            plan::Condition::Changed { modules } => Condition::Changed { modules },
            plan::Condition::LinkMisfit => Condition::LinkMisfit,
            plan::Condition::InInitramfs { modules } => Condition::InInitramfs { modules },
        };
        Some(Self { condition, text: when.to_string() })
    }
}

impl<'a> From<&'a rival::Rival> for Rival<'a> {
    fn from(rival: &'a rival::Rival) -> Self {
        Self {
            module: &rival.module,
            path: rival.of.is_none().then_some(&*rival.path),
            version: rival.of.is_none().then_some(&*rival.labels.version),
            srcversion: rival.labels.srcversion.as_deref(),
            of: rival.of.as_ref().map(Into::into),
        }
    }
}
