//! What a build is made from, and what dkms.conf said: parts of records and verdicts.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::inputs as model;
use crate::model::inputs::{Field, INPUTS, Value};
use crate::model::record as facts;

/// [`model::Inputs`]: a name and a value for each row of [`INPUTS`] that has one.
pub(super) struct Inputs(pub(super) model::Inputs);

impl Serialize for Inputs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for input in &INPUTS {
            match input.value(&self.0) {
                Value::Text(text) => map.serialize_entry(input.name, text)?,
                Value::Headers(headers) => map.serialize_entry(input.name, &Headers::from(headers))?,
                Value::Builds(builds) if !builds.is_empty() => map.serialize_entry(input.name, builds)?,
                Value::None | Value::Builds(_) => {}
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Inputs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the inputs of a build")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Inputs, A::Error> {
        let mut inputs = model::Inputs::default();
        let mut found = [false; INPUTS.len()];
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            let Some(row) = INPUTS.iter().position(|input| input.name == name) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            found[row] = true;
            match INPUTS[row].field {
                Field::Text(_, field) => *field(&mut inputs) = map.next_value()?,
                Field::Maybe(_, field) => *field(&mut inputs) = map.next_value()?,
                Field::Headers(_, field) => *field(&mut inputs) = map.next_value::<Headers>()?.into(),
                Field::Builds(_, field) => *field(&mut inputs) = map.next_value()?,
            }
        }
        for (input, found) in INPUTS.iter().zip(found) {
            if !found && matches!(input.field, Field::Text(..) | Field::Headers(..)) {
                return Err(A::Error::missing_field(input.name));
            }
        }
        Ok(Inputs(inputs))
    }
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
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    by_shell: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unsteady: Vec<String>,
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
        let facts::Facts { autoinstall, depends, depends_rebuild, exclusion, modules, by_shell, unsteady } =
            facts.clone();
        Self { autoinstall, depends, depends_rebuild, exclusion, modules, by_shell, unsteady }
    }
}

impl From<Facts> for facts::Facts {
    fn from(facts: Facts) -> Self {
        let Facts { autoinstall, depends, depends_rebuild, exclusion, modules, by_shell, unsteady } = facts;
        Self { autoinstall, depends, depends_rebuild, exclusion, modules, by_shell, unsteady }
    }
}
