//! Which kmod is installed: its version, and what it can read.

use super::order::Twice;
use super::trie::Layout;

/// A kmod whose index files ours were compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kmod {
    /// Its version, such as 34.
    pub version: u32,
    /// It reads modules compressed with xz.
    pub xz: bool,
    /// With zstd.
    pub zstd: bool,
    /// With gzip.
    pub gzip: bool,
}

/// The first version that writes modules.weakdep.
const WEAKDEPS: u32 = 33;

/// The first version that was seen to write nodes before their children.
const PARENTS_FIRST: u32 = 34;

/// The first version that was seen to go by the first of two equal lines of modules.order.
const FIRST_LINE: u32 = 34;

/// Versions that ours was compared with: 30 and 34.2 as Debian builds them, on real kernels too; the others built
/// from their sources with xz and zlib, on generated trees. (28 and 29 write an empty modules.builtin.alias.bin their
/// own way.)
const COMPARED: [&str; 7] = ["30", "31", "32", "33", "34", "34.1", "34.2"];

impl Kmod {
    /// From what `depmod --version` prints; `None` for one that we were not compared with.
    pub fn of(text: &str) -> Option<Self> {
        let (first, rest) = text.split_once('\n')?;
        let version = first.strip_prefix("kmod version ")?.trim();
        if !COMPARED.contains(&version) {
            return None;
        }
        let has = |feature: &str| rest.split_whitespace().any(|word| word == feature);
        let version = version.split('.').next()?.parse().ok()?;
        Some(Self { version, xz: has("+XZ"), zstd: has("+ZSTD"), gzip: has("+ZLIB") })
    }

    /// How it lays its index files out.
    pub(super) fn layout(self) -> Layout {
        if self.version >= PARENTS_FIRST { Layout::ParentsFirst } else { Layout::ChildrenFirst }
    }

    /// Which of two equal lines of modules.order counts.
    pub(super) fn twice(self) -> Twice {
        if self.version >= FIRST_LINE { Twice::First } else { Twice::Last }
    }

    /// Whether it writes modules.weakdep.
    pub(super) fn has_weakdeps(self) -> bool {
        self.version >= WEAKDEPS
    }
}
