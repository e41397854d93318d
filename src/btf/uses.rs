//! What a module uses of a kernel, and whether another kernel has it unchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::digest::Digests;
use super::kernel::{KernelTypes, VMLINUX};
use super::kinds::{Kind, Type};
use super::layout::layout;
use super::table::{Btf, Damaged};
use crate::model::uses::{
    ChangeOfType, Export, ModuleUses, TypeChange, TypeKind, UsedSymbol, UsedType, most_telling_first,
};

/// What a kernel has of what a module uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// All of it, unchanged.
    Same,
    /// This is not what it was, the most telling first.
    Changed(Vec<TypeChange>),
    /// It cannot be said: why.
    Unknown(String),
}

/// What a module uses of the kernel that it was just built for. `types` are all that it knows, without the
/// kernel's in front; `imports`, how what it imports is exported.
///
/// A type counts as the kernel's where the kernel describes one of that name. If no layout of the kernel's is that
/// of the module, the name means two things; then all of the kernel's have to stay.
///
/// Beside it: the names of the types that neither the kernel nor such a module describes.
///
/// # Errors
/// When a table is damaged.
pub fn uses(
    module: &str,
    types: Btf,
    imports: &BTreeMap<String, Export>,
    kernel: &KernelTypes,
) -> Result<(ModuleUses, BTreeSet<String>), Damaged> {
    let own = Digests::of(Arc::new(types));
    let owners: BTreeSet<&str> = imports.values().map(|export| export.owner.as_str()).collect();
    let modules = owners.into_iter().filter(|owner| *owner != VMLINUX);
    let owners: Vec<_> =
        [VMLINUX].into_iter().chain(modules).filter_map(|o| Some((o, kernel.of(o)?))).collect();
    let mut found: BTreeMap<(TypeKind, String, u64), UsedType> = BTreeMap::new();
    let mut unknown = BTreeSet::new();
    for id in own.btf().own() {
        let Some((kind, bytes)) = own.btf().named(id)? else { continue };
        let Some(kind) = listed(own.btf(), kind, id)? else { continue };
        let (name, digest) = (String::from_utf8_lossy(bytes).into_owned(), own.by_value(id)?);
        let mut of_kernel = Vec::new();
        for (owner, table) in &owners {
            for (digest, id) in KernelTypes::layouts(table, kind.into(), &name)? {
                of_kernel.push((*owner, table, digest, id));
            }
        }
        let same = of_kernel.iter().position(|(.., of_kernel, _)| *of_kernel == digest);
        if of_kernel.is_empty() {
            unknown.insert(name.clone());
        }
        let kept = same.map_or(&of_kernel[..], |at| &of_kernel[at..=at]);
        for (owner, table, digest, id) in kept {
            let used = UsedType {
                kind,
                name: name.clone(),
                owner: (*owner).to_owned(),
                digest: *digest,
                layout: layout(table.btf(), *id)?,
            };
            found.insert((kind, name.clone(), *digest), used);
        }
    }
    let mut symbols = Vec::new();
    for (name, export) in imports {
        let owner = owners.iter().find(|(owner, _)| *owner == export.owner);
        let prototype = owner.map_or(Ok(None), |(_, table)| KernelTypes::prototype(table, name))?;
        symbols.push(UsedSymbol { name: name.clone(), export: export.clone(), prototype });
    }
    let types = found.into_values().collect();
    Ok((ModuleUses { module: module.to_owned(), types, symbols, headers: Vec::new() }, unknown))
}

/// As what a type is listed. Another name of a struct with a name is not: that struct is.
fn listed(btf: &Btf, kind: Kind, id: u32) -> Result<Option<TypeKind>, Damaged> {
    Ok(match kind {
        Kind::Struct => Some(TypeKind::Struct),
        Kind::Union => Some(TypeKind::Union),
        Kind::Enum => Some(TypeKind::Enum),
        Kind::Typedef => stands_alone(btf, id)?.then_some(TypeKind::Typedef),
        Kind::Function | Kind::Variable => None,
    })
}

fn stands_alone(btf: &Btf, mut id: u32) -> Result<bool, Damaged> {
    // More names for one type than this are a circle.
    for _ in 0..100 {
        match btf.get(id)? {
            Type::Typedef { of, .. } | Type::Qualified { of, .. } | Type::Tagged(of) => id = of,
            Type::Array { element, .. } => id = element,
            Type::Composite { name, .. } | Type::Enum { name, .. } => return Ok(name.is_empty()),
            Type::Int { .. } | Type::Float { .. } | Type::Pointer(_) => return Ok(true),
            _ => return Ok(false),
        }
    }
    Err(Damaged(format!("type {id} has no end")))
}

/// Whether a kernel has what a module uses. `exports` says how the kernel exports a symbol, if it does.
pub fn compare(
    uses: &ModuleUses,
    kernel: &KernelTypes,
    exports: impl Fn(&str) -> Option<Export>,
) -> Comparison {
    match changes(uses, kernel, exports) {
        Err(why) => Comparison::Unknown(why),
        Ok(changes) if changes.is_empty() => Comparison::Same,
        Ok(mut changes) => {
            most_telling_first(&mut changes);
            Comparison::Changed(changes)
        }
    }
}

fn changes(
    uses: &ModuleUses,
    kernel: &KernelTypes,
    exports: impl Fn(&str) -> Option<Export>,
) -> Result<Vec<TypeChange>, String> {
    let mut out = Vec::new();
    let damaged = |error: Damaged| error.to_string();
    let of = |owner: &str| kernel.of(owner).ok_or_else(|| format!("the types of {owner} cannot be read"));
    for used in &uses.types {
        let owner = of(&used.owner)?;
        let now = KernelTypes::layouts(&owner, used.kind.into(), &used.name).map_err(damaged)?;
        if now.iter().any(|(digest, _)| *digest == used.digest) {
            continue;
        }
        let change = match now.first() {
            None => ChangeOfType::Gone,
            Some((_, id)) => {
                ChangeOfType::of_layouts(&used.layout, &layout(owner.btf(), *id).map_err(damaged)?)
            }
        };
        out.push(TypeChange { name: format!("{} {}", used.kind.word(), used.name), change });
    }
    for used in &uses.symbols {
        let change = match exports(&used.name) {
            None => ChangeOfType::Gone,
            Some(now) if now != used.export => {
                ChangeOfType::Export { old: used.export.to_string(), new: now.to_string() }
            }
            Some(_) => match used.prototype {
                None => continue,
                Some(old) => {
                    match KernelTypes::prototype(&*of(&used.export.owner)?, &used.name).map_err(damaged)? {
                        Some(new) if new != old => ChangeOfType::Prototype,
                        _ => continue,
                    }
                }
            },
        };
        out.push(TypeChange { name: used.name.clone(), change });
    }
    Ok(out)
}

/// The types of the kernel that a module names in its own types, where the kernel has none of that name and size:
/// it refuses such a module, or the module was made for another layout. Source: btf_relocate() in the kernel's
/// tools/lib/bpf/btf_relocate.c.
///
/// # Errors
/// When a table is damaged.
pub fn refused(names: &Btf, kernel: &KernelTypes) -> Result<Vec<TypeChange>, Damaged> {
    let Some(table) = kernel.of(VMLINUX) else { return Ok(Vec::new()) };
    let btf = table.btf();
    let mut out = Vec::new();
    for id in names.own() {
        let (kind, name, size) = match names.get(id)? {
            Type::Composite { kind, name, size, .. } => (kind, name, size),
            _ => continue,
        };
        let mut sizes = btf.find(kind, name).filter_map(|id| match btf.get(id) {
            Ok(Type::Composite { size, .. }) => Some(size),
            _ => None,
        });
        let word = if kind == Kind::Union { "union" } else { "struct" };
        let name = format!("{word} {}", String::from_utf8_lossy(name));
        let change = match sizes.next() {
            None => ChangeOfType::Gone,
            Some(now) if now == size || sizes.any(|now| now == size) => continue,
            Some(now) => ChangeOfType::Layout {
                old: vec![format!("size {size}")],
                new: vec![format!("size {now}")],
                more: 0,
            },
        };
        out.push(TypeChange { name, change });
    }
    Ok(out)
}
