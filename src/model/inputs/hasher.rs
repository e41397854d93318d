//! Digests of several parts.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// SHA-256 over parts, each with its length, so that no two lists of parts collide.
#[derive(Debug, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// An empty hash.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one part.
    pub fn part(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// Lower-case hexadecimal digest, cut to 32 digits (128 bits): identity, not security.
    pub fn finish(self) -> String {
        let mut text = String::with_capacity(32);
        for byte in self.0.finalize().iter().take(16) {
            use fmt::Write as _;
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}
