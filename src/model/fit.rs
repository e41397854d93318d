//! Whether a module that is built already fits headers that changed since.
//!
//! With CONFIG_MODVERSIONS a kernel exports every symbol with a CRC over the types that it is made of, and
//! a module carries the CRCs of those that it imports. While they are equal, the kernel takes the module.
//! What no CRC covers is what headers bring into the module itself: inline functions, macros, constants.
//!
//! Without CONFIG_MODVERSIONS, what a build was written down to use of its kernel ([`super::uses`]) is compared.

use std::fmt;

use crate::model::uses::{TypeChange, most_telling_first};

/// What happens to a build when nothing but the kernel's headers changed (`rebuild` in framework.conf).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rebuild {
    /// It is built again: any input that changed makes it stale.
    #[default]
    Inputs,
    /// It is kept while everything that it imports is what it was.
    Abi,
}

impl Rebuild {
    /// Understands the value of the setting.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "inputs" => Some(Self::Inputs),
            "abi" => Some(Self::Abi),
            _ => None,
        }
    }
}

impl fmt::Display for Rebuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inputs => "inputs",
            Self::Abi => "abi",
        })
    }
}

/// How a build stands to the headers that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// Its vermagic is this kernel's, and so is all that it uses of the kernel.
    Fits(Compared),
    /// Nobody can say: the kernel has no symbol versions and it is not known what the build uses, or a file of either
    /// side cannot be read.
    Unknown,
    /// It does not.
    Not(Misfit),
}

/// What was compared, and is the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// Imported symbols: with their CRCs, or, where the kernel has none, with their prototypes.
    pub symbols: usize,
    /// Types, by which it is judged where the kernel has no symbol versions.
    pub types: Option<usize>,
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { symbols, types: None } => write!(f, "all {symbols} imported symbols"),
            Self { symbols, types: Some(types) } => {
                write!(f, "all {types} types and {symbols} symbols that it uses of the kernel")
            }
        }
    }
}

/// Why a build does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// The kernel would refuse it for a word of its vermagic.
    Vermagic {
        /// The word.
        word: String,
        /// The headers ask for it; otherwise the module has it and they do not.
        missing: bool,
    },
    /// The kernel has symbol versions, and a module that imports something has none.
    Unversioned {
        /// The module file.
        module: String,
    },
    /// Symbols that it imports are others, or gone.
    Symbols {
        /// The first of them, in the order of their names.
        first: Vec<SymbolChange>,
        /// How many there are beside those.
        more: usize,
    },
    /// What it uses of the kernel is not what it was. Of kernels without symbol versions.
    Uses {
        /// The first of it, the most telling in front.
        first: Vec<TypeChange>,
        /// How many more there are.
        more: usize,
    },
    /// The kernel is configured otherwise than when it was built. Of kernels without symbol versions.
    Configuration,
    /// Its source was put there or changed after the build.
    SourceIsNewer {
        /// A file that is, below the source.
        file: std::path::PathBuf,
    },
}

/// A symbol that a module imports and its kernel now exports otherwise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SymbolChange {
    /// Its name.
    pub symbol: String,
    /// The CRC that the module was built with, if it has one.
    pub old: Option<u32>,
    /// The CRC that it is exported with now; none when it is not exported.
    pub new: Option<u32>,
}

/// How many symbols a message names.
const NAMED: usize = 3;

impl Misfit {
    /// Of all symbols that changed, in the order of their names; `None` when there are none.
    pub fn of_symbols(mut changed: Vec<SymbolChange>) -> Option<Self> {
        changed.sort();
        changed.dedup_by(|a, b| a.symbol == b.symbol);
        let more = changed.len().saturating_sub(NAMED);
        changed.truncate(NAMED);
        (!changed.is_empty()).then_some(Self::Symbols { first: changed, more })
    }
}

impl Misfit {
    /// Of all that is not what it was; `None` when there is nothing.
    pub fn of_uses(mut changed: Vec<TypeChange>) -> Option<Self> {
        most_telling_first(&mut changed);
        let more = changed.len().saturating_sub(NAMED);
        changed.truncate(NAMED);
        (!changed.is_empty()).then_some(Self::Uses { first: changed, more })
    }
}

impl fmt::Display for SymbolChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.old, self.new) {
            (Some(old), Some(new)) => write!(f, "{} ({old:#010x} -> {new:#010x})", self.symbol),
            (None, Some(new)) => write!(f, "{} (no CRC -> {new:#010x})", self.symbol),
            (_, None) => write!(f, "{} (no longer exported)", self.symbol),
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vermagic { word, missing: true } => {
                write!(f, "its vermagic lacks `{word}`, which the kernel requires")
            }
            Self::Vermagic { word, missing: false } => {
                write!(f, "its vermagic has `{word}`, which the kernel lacks")
            }
            Self::Unversioned { module } => write!(f, "{module} has no symbol versions"),
            Self::Symbols { first, more } => {
                let names: Vec<String> = first.iter().map(ToString::to_string).collect();
                write!(f, "imported symbols changed: {}", names.join(", "))?;
                if *more > 0 { write!(f, " and {more} more") } else { Ok(()) }
            }
            // Only the first with all that changed in it.
            Self::Uses { first, more } => {
                let others = first.iter().skip(1).map(|change| change.name.clone());
                let names: Vec<String> =
                    first.iter().take(1).map(ToString::to_string).chain(others).collect();
                write!(f, "what it uses of the kernel changed: {}", names.join(", "))?;
                if *more > 0 { write!(f, " and {more} more") } else { Ok(()) }
            }
            Self::Configuration => f.write_str("the kernel's configuration changed"),
            Self::SourceIsNewer { file } => {
                write!(f, "its source changed after the build ({})", file.display())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_symbols_are_named_in_order_and_the_others_counted() {
        let change = |symbol: &str, old, new| SymbolChange { symbol: symbol.to_owned(), old, new };
        let changed = vec![
            change("z", Some(1), Some(2)),
            change("a", Some(0x1234_5678), Some(0x0bad_cafe)),
            change("a", Some(0x1234_5678), Some(0x0bad_cafe)),
            change("c", Some(3), None),
            change("b", None, Some(7)),
        ];
        assert_eq!(
            Misfit::of_symbols(changed).unwrap().to_string(),
            "imported symbols changed: a (0x12345678 -> 0x0badcafe), b (no CRC -> 0x00000007), \
             c (no longer exported) and 1 more"
        );
        assert_eq!(Misfit::of_symbols(Vec::new()), None);
    }

    #[test]
    fn the_first_change_of_what_is_used_is_told_whole_and_others_by_name() {
        use crate::model::uses::ChangeOfType;
        let change = |name: &str| {
            let (old, new) = (vec!["8 int a".to_owned()], vec!["8 long a".to_owned()]);
            TypeChange { name: name.to_owned(), change: ChangeOfType::Layout { old, new, more: 0 } }
        };
        let changed = ["struct b", "struct a", "c", "d"].map(change).to_vec();
        assert_eq!(
            Misfit::of_uses(changed).unwrap().to_string(),
            "what it uses of the kernel changed: c (`8 int a` -> `8 long a`), d, struct a and 1 more"
        );
        assert_eq!(Misfit::of_uses(Vec::new()), None);
    }

    #[test]
    fn the_setting_has_two_values() {
        assert_eq!(Rebuild::parse("abi"), Some(Rebuild::Abi));
        assert_eq!(Rebuild::parse(" inputs "), Some(Rebuild::Inputs));
        assert_eq!(Rebuild::parse("ABI"), None);
    }
}
