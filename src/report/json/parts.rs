//! Parts of actions, reasons and notes.

use std::path::Path;
use std::slice::from_ref;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::model::inputs::{INPUTS, Value};
use crate::model::{directive, fit, guard, ids, inputs, record, uses};

/// [`ids::Cell`].
#[derive(Serialize)]
pub(super) struct Cell<'a> {
    module: Module<'a>,
    kernel: &'a str,
    arch: &'a str,
}

impl<'a> From<&'a ids::Cell> for Cell<'a> {
    fn from(cell: &'a ids::Cell) -> Self {
        Self { module: (&cell.module).into(), kernel: cell.kernel.as_str(), arch: cell.arch.as_str() }
    }
}

/// [`ids::ModuleId`].
#[derive(Serialize)]
pub(super) struct Module<'a> {
    name: &'a str,
    version: &'a str,
}

impl<'a> From<&'a ids::ModuleId> for Module<'a> {
    fn from(module: &'a ids::ModuleId) -> Self {
        Self { name: module.name.as_str(), version: module.version.as_str() }
    }
}

/// [`inputs::Inputs`]: a name and a value for each row of [`INPUTS`] that has one.
pub(super) struct Inputs<'a>(pub(super) &'a inputs::Inputs);

impl Serialize for Inputs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for input in &INPUTS {
            match input.value(self.0) {
                Value::Text(text) => map.serialize_entry(input.name, text)?,
                Value::Headers(headers) => map.serialize_entry(input.name, &Headers::from(headers))?,
                Value::Builds(builds) if !builds.is_empty() => map.serialize_entry(input.name, builds)?,
                Value::None | Value::Builds(_) => {}
            }
        }
        map.end()
    }
}

/// [`inputs::Headers`].
#[derive(Serialize)]
pub(super) struct Headers<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    content: &'a str,
}

impl<'a> From<&'a inputs::Headers> for Headers<'a> {
    fn from(headers: &'a inputs::Headers) -> Self {
        Self { version: headers.version.as_deref(), content: &headers.content }
    }
}

/// [`inputs::Change`].
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Change<'a> {
    Value { input: &'static str, old: &'a str, new: &'a str },
    Headers { input: &'static str, old: Headers<'a>, new: Headers<'a> },
    Dependency { input: &'static str, name: &'a str },
}

impl<'a> From<&'a inputs::Change> for Change<'a> {
    fn from(change: &'a inputs::Change) -> Self {
        match change {
            inputs::Change::Value { input, old, new } => Self::Value { input: input.change, old, new },
            inputs::Change::Headers { old, new } => {
                Self::Headers { input: "headers", old: old.into(), new: new.into() }
            }
            inputs::Change::Dependency { name } => Self::Dependency { input: "dependency", name },
        }
    }
}

/// [`directive::DirectiveChange`].
#[derive(Serialize)]
pub(super) struct Directive<'a> {
    directive: &'a str,
    old: Option<&'a str>,
    new: Option<&'a str>,
    more: usize,
}

impl<'a> From<&'a directive::DirectiveChange> for Directive<'a> {
    fn from(change: &'a directive::DirectiveChange) -> Self {
        let (old, new) = (change.old.as_deref(), change.new.as_deref());
        Self { directive: &change.directive, old, new, more: change.more }
    }
}

/// [`fit::Misfit`].
#[derive(Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(super) enum Misfit<'a> {
    Vermagic { word: &'a str, missing: bool },
    Unversioned { module: &'a str },
    Symbols { first: Vec<Symbol<'a>>, more: usize },
    Uses { first: Vec<Use<'a>>, more: usize },
    Configuration,
    SourceIsNewer { file: &'a Path },
}

impl<'a> From<&'a fit::Misfit> for Misfit<'a> {
    fn from(value: &'a fit::Misfit) -> Self {
        match value {
            fit::Misfit::Vermagic { word, missing } => Self::Vermagic { word, missing: *missing },
            fit::Misfit::Unversioned { module } => Self::Unversioned { module },
            fit::Misfit::Symbols { first, more } => {
                Self::Symbols { first: first.iter().map(Into::into).collect(), more: *more }
            }
            fit::Misfit::Uses { first, more } => {
                Self::Uses { first: first.iter().map(Into::into).collect(), more: *more }
            }
            fit::Misfit::Configuration => Self::Configuration,
            fit::Misfit::SourceIsNewer { file } => Self::SourceIsNewer { file },
        }
    }
}

/// [`fit::SymbolChange`].
#[derive(Serialize)]
pub(super) struct Symbol<'a> {
    symbol: &'a str,
    old: Option<String>,
    new: Option<String>,
}

impl<'a> From<&'a fit::SymbolChange> for Symbol<'a> {
    fn from(change: &'a fit::SymbolChange) -> Self {
        // As `Module.symvers` writes it.
        let crc = |crc: Option<u32>| crc.map(|crc| format!("{crc:#010x}"));
        Self { symbol: &change.symbol, old: crc(change.old), new: crc(change.new) }
    }
}

/// [`uses::TypeChange`].
#[derive(Serialize)]
pub(super) struct Use<'a> {
    name: &'a str,
    became: &'static str,
    old: &'a [String],
    new: &'a [String],
}

impl<'a> From<&'a uses::TypeChange> for Use<'a> {
    fn from(change: &'a uses::TypeChange) -> Self {
        let (became, old, new): (_, &[_], &[_]) = match &change.change {
            uses::ChangeOfType::Gone => ("gone", &[], &[]),
            uses::ChangeOfType::Prototype => ("prototype", &[], &[]),
            uses::ChangeOfType::Export { old, new } => ("export", from_ref(old), from_ref(new)),
            uses::ChangeOfType::Header { file } => ("header", from_ref(file), &[]),
            uses::ChangeOfType::Layout { old, new, .. } => ("layout", old, new),
        };
        Self { name: &change.name, became, old, new }
    }
}

/// [`record::FailureNote`].
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Failure<'a> {
    code: u8,
    what: &'a str,
    first_errors: &'a [String],
    log: Option<&'a Path>,
    hint: Option<&'a str>,
    when: u64,
    provisional: bool,
    reported: bool,
}

impl<'a> From<&'a record::FailureNote> for Failure<'a> {
    fn from(failure: &'a record::FailureNote) -> Self {
        Self {
            code: failure.kind.exit_status(),
            what: &failure.what,
            first_errors: &failure.first_errors,
            log: failure.log.as_deref(),
            hint: failure.hint.as_deref(),
            when: failure.when,
            provisional: failure.provisional,
            reported: failure.reported,
        }
    }
}

/// [`guard::Danger`].
#[derive(Serialize)]
pub(super) struct Danger<'a> {
    newest: &'a str,
    missing: Vec<&'a str>,
    keep: Option<&'a str>,
}

impl<'a> From<&'a guard::Danger> for Danger<'a> {
    fn from(danger: &'a guard::Danger) -> Self {
        Self {
            newest: danger.newest.as_str(),
            missing: danger.missing.iter().map(|name| name.as_str()).collect(),
            keep: danger.keep.as_ref().map(|kernel| kernel.as_str()),
        }
    }
}
