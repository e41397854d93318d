//! Parts of actions, reasons and notes.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::model::{directive, fit, ids, inputs, record};

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

/// [`inputs::Inputs`].
#[derive(Serialize)]
pub(super) struct Inputs<'a> {
    source: &'a str,
    conf: &'a str,
    overrides: &'a str,
    headers: Headers<'a>,
    compiler: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rustc: Option<&'a str>,
    compression: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    depends: &'a BTreeMap<String, String>,
}

impl<'a> From<&'a inputs::Inputs> for Inputs<'a> {
    fn from(inputs: &'a inputs::Inputs) -> Self {
        Self {
            source: &inputs.source,
            conf: &inputs.conf,
            overrides: &inputs.overrides,
            headers: (&inputs.headers).into(),
            compiler: &inputs.compiler,
            rustc: inputs.rustc.as_deref(),
            compression: &inputs.compression,
            signing: inputs.signing.as_deref(),
            depends: &inputs.depends,
        }
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
#[serde(tag = "input", rename_all = "kebab-case")]
pub(super) enum Change<'a> {
    Source { old: &'a str, new: &'a str },
    Conf { old: &'a str, new: &'a str },
    Overrides { old: &'a str, new: &'a str },
    Headers { old: Headers<'a>, new: Headers<'a> },
    Compiler { old: &'a str, new: &'a str },
    Compression { old: &'a str, new: &'a str },
    Signing { old: &'a str, new: &'a str },
    Dependency { name: &'a str },
}

impl<'a> From<&'a inputs::Change> for Change<'a> {
    fn from(value: &'a inputs::Change) -> Self {
        match value {
            inputs::Change::Source { old, new } => Self::Source { old, new },
            inputs::Change::Conf { old, new } => Self::Conf { old, new },
            inputs::Change::Overrides { old, new } => Self::Overrides { old, new },
            inputs::Change::Headers { old, new } => Self::Headers { old: old.into(), new: new.into() },
            inputs::Change::Compiler { old, new } => Self::Compiler { old, new },
            inputs::Change::Compression { old, new } => Self::Compression { old, new },
            inputs::Change::Signing { old, new } => Self::Signing { old, new },
            inputs::Change::Dependency { name } => Self::Dependency { name },
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
