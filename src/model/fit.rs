//! Whether a module that is built already fits headers that changed since.
//!
//! With CONFIG_MODVERSIONS a kernel exports every symbol with a CRC over the types that it is made of, and
//! a module carries the CRCs of those that it imports. While they are equal, the kernel takes the module.
//! What no CRC covers is what headers bring into the module itself: inline functions, macros, constants.

use std::fmt;

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
    /// Its vermagic is this kernel's, and so are all symbols that it imports.
    Fits {
        /// How many symbols those are.
        symbols: usize,
    },
    /// Nobody can say: the kernel has no symbol versions, or a file of either side cannot be read.
    Unknown,
    /// It does not.
    Not(Misfit),
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
    fn the_setting_has_two_values() {
        assert_eq!(Rebuild::parse("abi"), Some(Rebuild::Abi));
        assert_eq!(Rebuild::parse(" inputs "), Some(Rebuild::Inputs));
        assert_eq!(Rebuild::parse("ABI"), None);
    }
}
