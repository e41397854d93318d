//! What the index of a kernel's modules says of an installed build: which file modprobe(8) takes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

/// A look into the index (`modules.dep`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexed {
    /// Digest of what stat(2) said of the index.
    pub index: Arc<str>,
    /// Digest of the paths of the installed files.
    pub files: String,
    /// This very look was written down already: the index was made after depmod had seen these files.
    pub known: bool,
    /// What was found.
    pub found: Found,
}

/// What modprobe finds under the names of a build's modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The installed files.
    Ours,
    /// Another file instead of one of them.
    Another {
        /// That file, inside the root.
        by: PathBuf,
        /// Why it is not set aside.
        kept: Option<String>,
    },
    /// Nothing, or a file that is not there.
    Nothing {
        /// The installed file, inside the root.
        file: PathBuf,
    },
}

/// What is known of the index of a kernel's modules: it is read again when stat(2) says that it is another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexLooks {
    /// Digest of what stat(2) said of it.
    pub index: String,
    /// Builds that it names, by the digests of the paths of their installed files.
    pub ours: BTreeSet<String>,
    /// Builds that it does not name, although it was made after depmod had seen their files.
    pub left_out: BTreeSet<String>,
}
