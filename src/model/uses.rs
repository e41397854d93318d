//! What a built module uses of its kernel: types, and imported symbols. Written down at the build, and compared
//! with kernels that have no symbol versions.

use std::collections::BTreeSet;
use std::fmt;

/// What the modules of a build use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    /// The rules by which the digests were made: those of other rules cannot be compared.
    pub rules: u32,
    /// Digest of the kernel's configuration: constants come of it, which no type shows.
    pub configuration: String,
    /// Each module of the build.
    pub modules: Vec<ModuleUses>,
}

/// What one module uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleUses {
    /// Its file, without `.ko`.
    pub module: String,
    /// Types of the kernel, or of modules that came with it.
    pub types: Vec<UsedType>,
    /// What it imports.
    pub symbols: Vec<UsedSymbol>,
    /// Headers of types that stand in headers only.
    pub headers: Vec<UsedHeader>,
}

/// A type that a module uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedType {
    /// What it is.
    pub kind: TypeKind,
    /// Its name.
    pub name: String,
    /// Who describes it: `vmlinux`, or the path of a module below the kernel's modules, without `.ko`.
    pub owner: String,
    /// The digest of its layout, with all that is embedded in it.
    pub digest: u64,
    /// Its size, and a line for each member.
    pub layout: Vec<String>,
}

/// A header that declares types which a module uses and nobody describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedHeader {
    /// Its path, inside the root.
    pub file: String,
    /// Digest of its text.
    pub digest: String,
    /// The types.
    pub types: Vec<String>,
}

/// What a type is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TypeKind {
    /// `struct`.
    Struct,
    /// `union`.
    Union,
    /// `enum`.
    Enum,
    /// `typedef`.
    Typedef,
}

/// A symbol that a module imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedSymbol {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub export: Export,
    /// The digest of its prototype; `None` where nobody describes it.
    pub prototype: Option<u64>,
}

/// How a symbol is exported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Export {
    /// By whom: `vmlinux`, or the path of a module.
    pub owner: String,
    /// To whom: `EXPORT_SYMBOL` or `EXPORT_SYMBOL_GPL`.
    pub kind: String,
    /// Its namespace; mostly empty.
    pub namespace: String,
}

/// Something that a module uses and that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeChange {
    /// What it is called, as in C: `struct power_supply`, `enum x`, `power_supply_get()`.
    pub name: String,
    /// What became of it.
    pub change: ChangeOfType,
}

/// What became of a type or a symbol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeOfType {
    /// The kernel has none of that name any more.
    Gone,
    /// The prototype of a function is another.
    Prototype,
    /// A symbol is exported by somebody else, or to others.
    Export {
        /// As it was.
        old: String,
        /// As it is.
        new: String,
    },
    /// The header that declares it, of which nobody else says more, has another text.
    Header {
        /// The header.
        file: String,
    },
    /// Lines of its layout; none where they are not known.
    Layout {
        /// Those that are gone.
        old: Vec<String>,
        /// Those that are new.
        new: Vec<String>,
        /// How many more there are of both.
        more: usize,
    },
}

impl TypeKind {
    /// Its word in C.
    pub fn word(self) -> &'static str {
        match self {
            Self::Struct => "struct",
            Self::Union => "union",
            Self::Enum => "enum",
            Self::Typedef => "typedef",
        }
    }
}

impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.kind, self.owner)?;
        if self.namespace.is_empty() { Ok(()) } else { write!(f, " in {}", self.namespace) }
    }
}

/// How many lines of a layout a message names, of each side.
const LINES: usize = 4;

impl ChangeOfType {
    /// Between two layouts: what only one of them has; where both have the same, what moved.
    pub fn of_layouts(old: &[String], new: &[String]) -> Self {
        let (Some((old_size, old)), Some((new_size, new))) = (old.split_first(), new.split_first()) else {
            return Self::Layout { old: Vec::new(), new: Vec::new(), more: 0 };
        };
        // Each line begins with a place, which changes with whatever is in front.
        let without_place =
            |line: &String| line.split_once(' ').map_or(line.clone(), |(_, rest)| rest.to_owned());
        let names = |lines: &[String]| lines.iter().map(without_place).collect::<BTreeSet<String>>();
        let (old_names, new_names) = (names(old), names(new));
        let only = |lines: &[String], others: &BTreeSet<String>| -> Vec<String> {
            lines.iter().filter(|line| !others.contains(&without_place(line))).cloned().collect()
        };
        let (mut gone, mut come) = (only(old, &new_names), only(new, &old_names));
        if gone.is_empty() && come.is_empty() {
            let moved = old.iter().zip(new).filter(|(old, new)| old != new);
            (gone, come) = moved.map(|(old, new)| (old.clone(), new.clone())).unzip();
        }
        let more = gone.len().saturating_sub(LINES) + come.len().saturating_sub(LINES);
        gone.truncate(LINES);
        come.truncate(LINES);
        if old_size != new_size {
            gone.push(format!("size {old_size}"));
            come.push(format!("size {new_size}"));
        }
        Self::Layout { old: gone, new: come, more }
    }

    /// How much a person learns from it; less is better. A type that only holds another one that changed says least.
    pub fn rank(&self) -> usize {
        match self {
            Self::Layout { old, new, .. } if old.is_empty() && new.is_empty() => 3,
            // Nothing came or went: something in it has another size.
            Self::Layout { old, new, .. } if old.len() == new.len() => 1,
            Self::Layout { .. } | Self::Gone => 0,
            Self::Prototype | Self::Export { .. } | Self::Header { .. } => 2,
        }
    }
}

/// Puts what tells a person most in front, and each change once.
pub fn most_telling_first(changes: &mut Vec<TypeChange>) {
    changes.sort_by(|a, b| (a.change.rank(), a).cmp(&(b.change.rank(), b)));
    changes.dedup();
}

impl fmt::Display for TypeChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.change {
            ChangeOfType::Gone => write!(f, "{name} (gone)"),
            ChangeOfType::Prototype => write!(f, "{name} (another prototype)"),
            ChangeOfType::Header { file } => write!(f, "{name} ({file}, which declares it, changed)"),
            ChangeOfType::Export { old, new } => write!(f, "{name} ({old} -> {new})"),
            ChangeOfType::Layout { old, new, .. } if old.is_empty() && new.is_empty() => f.write_str(name),
            ChangeOfType::Layout { old, new, more } => {
                write!(f, "{name} ({} -> {}", side(old), side(new))?;
                if *more > 0 { write!(f, ", and {more} more lines)") } else { f.write_str(")") }
            }
        }
    }
}

fn side(lines: &[String]) -> String {
    match lines {
        [] => "nothing".to_owned(),
        lines => lines.iter().map(|line| format!("`{line}`")).collect::<Vec<_>>().join(", "),
    }
}
