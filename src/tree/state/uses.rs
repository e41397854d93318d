//! `.dkms-hook-uses.json.zst`: what a build uses of its kernel. Compressed, as most of it are names.

use serde::{Deserialize, Serialize};

use super::{FORMAT, first};
use crate::model::uses as model;

/// [`model::Uses`].
#[derive(Serialize, Deserialize)]
pub(super) struct OnDisk {
    #[serde(default = "first")]
    format: u64,
    rules: u32,
    configuration: String,
    modules: Vec<Module>,
}

/// [`model::ModuleUses`].
#[derive(Serialize, Deserialize)]
struct Module {
    module: String,
    types: Vec<Type>,
    symbols: Vec<Symbol>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<Header>,
}

/// [`model::UsedHeader`].
#[derive(Serialize, Deserialize)]
struct Header {
    file: String,
    digest: String,
    types: Vec<String>,
}

/// [`model::UsedType`].
#[derive(Serialize, Deserialize)]
struct Type {
    kind: Kind,
    name: String,
    owner: String,
    digest: String,
    layout: Vec<String>,
}

/// [`model::TypeKind`].
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Struct,
    Union,
    Enum,
    Typedef,
}

/// [`model::UsedSymbol`].
#[derive(Serialize, Deserialize)]
struct Symbol {
    name: String,
    owner: String,
    export: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prototype: Option<String>,
}

/// As JSON has no whole numbers of 64 bits.
fn digits(digest: u64) -> String {
    format!("{digest:016x}")
}

fn number(digits: &str) -> Result<u64, String> {
    u64::from_str_radix(digits, 16).map_err(|error| format!("{digits}: {error}"))
}

impl super::OnDisk for OnDisk {
    type Model = model::Uses;

    fn format(&self) -> u64 {
        self.format
    }

    fn into_model(self) -> Result<model::Uses, String> {
        let modules = self.modules.into_iter().map(Module::into_model).collect::<Result<_, _>>()?;
        Ok(model::Uses { rules: self.rules, configuration: self.configuration, modules })
    }
}

impl Module {
    fn into_model(self) -> Result<model::ModuleUses, String> {
        let used = |used: Type| {
            Ok::<_, String>(model::UsedType {
                kind: used.kind.into(),
                name: used.name,
                owner: used.owner,
                digest: number(&used.digest)?,
                layout: used.layout,
            })
        };
        let symbol = |used: Symbol| {
            let export = model::Export { owner: used.owner, kind: used.export, namespace: used.namespace };
            let prototype = used.prototype.as_deref().map(number).transpose()?;
            Ok::<_, String>(model::UsedSymbol { name: used.name, export, prototype })
        };
        Ok(model::ModuleUses {
            module: self.module,
            types: self.types.into_iter().map(used).collect::<Result<_, _>>()?,
            symbols: self.symbols.into_iter().map(symbol).collect::<Result<_, _>>()?,
            headers: self.headers.into_iter().map(Into::into).collect(),
        })
    }
}

impl From<&model::Uses> for OnDisk {
    fn from(uses: &model::Uses) -> Self {
        Self {
            format: FORMAT,
            rules: uses.rules,
            configuration: uses.configuration.clone(),
            modules: uses.modules.iter().map(Into::into).collect(),
        }
    }
}

impl From<&model::ModuleUses> for Module {
    fn from(uses: &model::ModuleUses) -> Self {
        let used = |used: &model::UsedType| Type {
            kind: used.kind.into(),
            name: used.name.clone(),
            owner: used.owner.clone(),
            digest: digits(used.digest),
            layout: used.layout.clone(),
        };
        let symbol = |used: &model::UsedSymbol| Symbol {
            name: used.name.clone(),
            owner: used.export.owner.clone(),
            export: used.export.kind.clone(),
            namespace: used.export.namespace.clone(),
            prototype: used.prototype.map(digits),
        };
        Self {
            module: uses.module.clone(),
            types: uses.types.iter().map(used).collect(),
            symbols: uses.symbols.iter().map(symbol).collect(),
            headers: uses.headers.iter().cloned().map(Into::into).collect(),
        }
    }
}

impl From<Header> for model::UsedHeader {
    fn from(header: Header) -> Self {
        let Header { file, digest, types } = header;
        Self { file, digest, types }
    }
}

impl From<model::UsedHeader> for Header {
    fn from(header: model::UsedHeader) -> Self {
        let model::UsedHeader { file, digest, types } = header;
        Self { file, digest, types }
    }
}

impl From<Kind> for model::TypeKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Struct => Self::Struct,
            Kind::Union => Self::Union,
            Kind::Enum => Self::Enum,
            Kind::Typedef => Self::Typedef,
        }
    }
}

impl From<model::TypeKind> for Kind {
    fn from(kind: model::TypeKind) -> Self {
        match kind {
            model::TypeKind::Struct => Self::Struct,
            model::TypeKind::Union => Self::Union,
            model::TypeKind::Enum => Self::Enum,
            model::TypeKind::Typedef => Self::Typedef,
        }
    }
}
