//! `dkms-hook settings --json`: docs/settings.schema.json.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::{FORMAT, value};
use crate::model::settings;

#[derive(Serialize)]
struct Settings<'a> {
    format: u32,
    settings: Vec<Setting<'a>>,
}

#[derive(Serialize)]
struct Setting<'a> {
    name: &'a str,
    value: Option<&'a str>,
    from: Origin<'a>,
}

/// [`settings::Origin`].
#[derive(Serialize)]
#[serde(tag = "origin", rename_all = "kebab-case")]
pub(super) enum Origin<'a> {
    Default,
    File { path: &'a Path, line: Option<usize> },
    Environment { variable: &'a str },
    CommandLine { option: &'a str },
}

/// Each setting with its value and where that comes from.
pub fn settings(all: &settings::Settings) -> Value {
    let rows = all.rows();
    value(Settings { format: FORMAT, settings: rows.iter().map(Setting::from).collect() })
}

impl<'a> From<&'a settings::Row<'_>> for Setting<'a> {
    fn from(row: &'a settings::Row<'_>) -> Self {
        Self { name: row.name, value: row.value.as_deref(), from: Origin::from(row.origin) }
    }
}

impl<'a> From<&'a settings::Origin> for Origin<'a> {
    fn from(origin: &'a settings::Origin) -> Self {
        match origin {
            settings::Origin::Default => Self::Default,
            settings::Origin::File { path, line } => Self::File { path, line: *line },
            settings::Origin::Environment(variable) => Self::Environment { variable },
            settings::Origin::CommandLine(option) => Self::CommandLine { option },
        }
    }
}
