//! What the index of a kernel's modules says of an installed build: which file modprobe(8) takes.

use std::path::PathBuf;

/// A look into the index (`modules.dep`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexed {
    /// Digest of what was compared: stat(2) of the index, and the paths of the installed files.
    pub seen: String,
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
