//! The input that makes a build stale, with what a person needs to recognise it.

use std::fmt;

use super::{As, Counts, Headers, Input};

/// The first input that differs, coarse before fine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// One whose value is a text.
    Value {
        /// Which.
        input: &'static Input,
        /// At build time; empty or "none" where there was none.
        old: String,
        /// Now.
        new: String,
    },
    /// The kernel's headers.
    Headers {
        /// At build time.
        old: Headers,
        /// Now.
        new: Headers,
    },
    /// A module it depends on.
    Dependency {
        /// Its name.
        name: String,
    },
}

impl Change {
    /// The evaluated dkms.conf changed.
    pub fn is_conf(&self) -> bool {
        matches!(self, Self::Value { input, .. } if input.name == "conf")
    }

    /// The signing key changed, and nothing else: signing anew is enough.
    pub fn is_signature(&self) -> bool {
        matches!(self, Self::Value { input, .. } if input.counts == Counts::Signature)
    }

    /// What the module itself is compiled from is what it was.
    pub fn keeps_code(&self) -> bool {
        matches!(self, Self::Dependency { .. }) || self.is_signature()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { input, old, new } => {
                let words = &input.words;
                f.write_str(words.changed)?;
                let (old, new) = (words.as_.shown(old), words.as_.shown(new));
                match words.as_ {
                    As::Digest => write!(f, " (from {old} to {new})"),
                    As::Name | As::Compression => write!(f, " from {old} to {new}"),
                }
            }
            Self::Headers { old, new } => match (&old.version, &new.version) {
                (Some(old), Some(new)) if old != new => {
                    write!(f, "the kernel headers changed from {old} to {new}")
                }
                _ => {
                    let (old, new) = (short_digest(&old.content), short_digest(&new.content));
                    write!(f, "the kernel headers changed (from {old} to {new})")
                }
            },
            Self::Dependency { name } => write!(f, "{name}, which it depends on, was rebuilt"),
        }
    }
}

/// The beginning of a digest: enough to compare by eye.
pub(super) fn short_digest(digest: &str) -> &str {
    if digest.is_empty() { "none" } else { digest.get(..8).unwrap_or(digest) }
}

/// What a person calls a compression that is noted by the suffix of its files (`ko.xz`).
pub(super) fn compression_name(suffix: &str) -> &str {
    match suffix {
        "ko" | "" => "none",
        other => other.strip_prefix("ko.").unwrap_or(other),
    }
}
