//! The inputs of a build, and the one that changed.
//!
//! A build is *fresh* while none of its inputs changed. The struct holds digests and short texts,
//! so that it can be stored beside the build and compared later; [`Inputs::change_since`] is the
//! only place that decides what counts as a change.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest as _, Sha256};

/// Everything a build is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// Digest of names, modes and content of the source tree.
    pub source: String,
    /// Digest of the evaluated dkms.conf for this kernel and architecture.
    pub conf: String,
    /// Digest of `/etc/dkms/NAME/` (patches and scripts that replace the source's own).
    pub overrides: String,
    /// The kernel's headers.
    pub headers: Headers,
    /// The compiler, as `gcc-14 14.2.0`.
    pub compiler: String,
    /// The Rust compiler, as `rustc 1.85.0`: of modules with Rust in them for a kernel that supports it.
    pub rustc: Option<String>,
    /// How the result is compressed.
    pub compression: String,
    /// Digest of the certificate that signs the result; `None` where nothing is signed.
    pub signing: Option<String>,
    /// For each module it depends on: the fingerprint of that module's build for this kernel.
    pub depends: BTreeMap<String, String>,
}

/// What identifies the headers of a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// What they say of their kernel's version (`UTS_VERSION`), for people. Not taken from the
    /// package manager: its database lags behind the files while it runs our hooks.
    pub version: Option<String>,
    /// Digest of what a build reads from them: `Module.symvers`, `include/generated`,
    /// `include/config/auto.conf`, `.config`.
    pub content: String,
}

impl Headers {
    /// The change from `old` to these headers, which are others.
    pub fn change_since(&self, old: &Self) -> Change {
        Change::Headers { old: old.clone(), new: self.clone() }
    }
}

/// The first input that differs, coarse before fine, with what a person needs to recognise it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The module's source tree.
    Source {
        /// Digest at build time.
        old: String,
        /// Now.
        new: String,
    },
    /// The evaluated dkms.conf.
    Conf {
        /// Digest at build time.
        old: String,
        /// Now.
        new: String,
    },
    /// Patches or scripts in `/etc/dkms/NAME/`; the digest is empty where there are none.
    Overrides {
        /// Digest at build time.
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
    /// The compiler.
    Compiler {
        /// At build time.
        old: String,
        /// Now.
        new: String,
    },
    /// The compression.
    Compression {
        /// At build time.
        old: String,
        /// Now.
        new: String,
    },
    /// The signing key.
    Signing {
        /// Digest of the certificate that it was signed with.
        old: String,
        /// Of the one that signs now.
        new: String,
    },
    /// A module it depends on.
    Dependency {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source { old, new } => write!(f, "its source changed{}", Digests(old, new)),
            Self::Conf { old, new } => {
                write!(f, "its dkms.conf or an override of it changed{}", Digests(old, new))
            }
            Self::Overrides { old, new } => {
                write!(f, "patches or scripts in /etc/dkms changed{}", Digests(old, new))
            }
            Self::Headers { old, new } => match (&old.version, &new.version) {
                (Some(old), Some(new)) if old != new => {
                    write!(f, "the kernel headers changed from {old} to {new}")
                }
                _ => write!(f, "the kernel headers changed{}", Digests(&old.content, &new.content)),
            },
            Self::Compiler { old, new } => write!(f, "the compiler changed from {old} to {new}"),
            Self::Compression { old, new } => {
                let (old, new) = (compression_name(old), compression_name(new));
                write!(f, "module compression changed from {old} to {new}")
            }
            Self::Signing { old, new } => write!(f, "the signing key changed{}", Digests(old, new)),
            Self::Dependency { name } => write!(f, "{name}, which it depends on, was rebuilt"),
        }
    }
}

/// An old and a new digest, as far as `dkms-hook why` shows them, too.
struct Digests<'a>(&'a str, &'a str);

impl fmt::Display for Digests<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " (from {} to {})", short_digest(self.0), short_digest(self.1))
    }
}

/// The beginning of a digest: enough to compare by eye.
pub fn short_digest(digest: &str) -> &str {
    if digest.is_empty() { "none" } else { digest.get(..8).unwrap_or(digest) }
}

/// What a person calls a compression that is noted by the suffix of its files (`ko.xz`).
pub fn compression_name(suffix: &str) -> &str {
    match suffix {
        "ko" | "" => "none",
        other => other.strip_prefix("ko.").unwrap_or(other),
    }
}

impl Inputs {
    /// What changed between `old` and these inputs; `None` means a build from `old` is fresh.
    ///
    /// Signing counts only where both were signed: a module built unsigned in a chroot is not
    /// rebuilt for that alone when the image boots. A dependency that is there now and was not
    /// then counts, one that has gone does not: nothing could be built without it.
    pub fn change_since(&self, old: &Self) -> Option<Change> {
        // What nobody changed is shared between the record and what was observed.
        if std::ptr::eq(self, old) {
            return None;
        }
        if self.source != old.source {
            return Some(Change::Source { old: old.source.clone(), new: self.source.clone() });
        }
        if self.conf != old.conf {
            return Some(Change::Conf { old: old.conf.clone(), new: self.conf.clone() });
        }
        if self.overrides != old.overrides {
            return Some(Change::Overrides { old: old.overrides.clone(), new: self.overrides.clone() });
        }
        if self.headers != old.headers {
            return Some(self.headers.change_since(&old.headers));
        }
        // Without a version the compiler is not installed now: nothing can be built, and what was
        // built is still right.
        if self.compiler != old.compiler && self.compiler.contains(' ') {
            return Some(Change::Compiler { old: old.compiler.clone(), new: self.compiler.clone() });
        }
        if let Some(new) = &self.rustc
            && old.rustc.as_ref() != Some(new)
            && new.contains(' ')
        {
            let old = old.rustc.clone().unwrap_or_else(|| "none".to_owned());
            return Some(Change::Compiler { old, new: new.clone() });
        }
        if self.compression != old.compression {
            return Some(Change::Compression { old: old.compression.clone(), new: self.compression.clone() });
        }
        let other = self.depends.iter().find(|(name, print)| old.depends.get(*name) != Some(*print));
        if let Some((name, _)) = other {
            return Some(Change::Dependency { name: name.clone() });
        }
        // Last: where nothing else changed, signing anew is enough.
        self.signing_change(old)
    }

    /// As [`Self::change_since`], but for the kernel's headers.
    pub fn change_beside_headers(&self, old: &Self) -> Option<Change> {
        Self { headers: old.headers.clone(), ..self.clone() }.change_since(old)
    }

    /// True when of what a module is compiled from nothing but the kernel's headers changed.
    pub fn only_headers_changed(&self, old: &Self) -> bool {
        self.headers != old.headers
            && matches!(
                self.change_beside_headers(old),
                None | Some(Change::Signing { .. } | Change::Dependency { .. })
            )
    }

    /// The change of key, where a build from `old` bears the signature of another than the present one.
    pub fn signing_change(&self, old: &Self) -> Option<Change> {
        if std::ptr::eq(self, old) {
            return None;
        }
        match (&old.signing, &self.signing) {
            (Some(then), Some(now)) if now != then => {
                Some(Change::Signing { old: then.clone(), new: now.clone() })
            }
            _ => None,
        }
    }

    /// One digest over all inputs: the cell's fingerprint.
    pub fn fingerprint(&self) -> String {
        let mut hash = Hasher::new();
        hash.part(&self.source);
        hash.part(&self.conf);
        hash.part(&self.overrides);
        hash.part(self.headers.version.as_deref().unwrap_or(""));
        hash.part(&self.headers.content);
        hash.part(&self.compiler);
        if let Some(rustc) = &self.rustc {
            hash.part(rustc);
        }
        hash.part(&self.compression);
        for (name, print) in &self.depends {
            hash.part(name);
            hash.part(print);
        }
        hash.finish()
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> Inputs {
        Inputs {
            source: "s".into(),
            conf: "c".into(),
            overrides: "o".into(),
            headers: Headers { version: Some("1-1".into()), content: "h".into() },
            compiler: "gcc-14 14.2.0".into(),
            rustc: Some("rustc 1.85.0".into()),
            compression: "ko.xz".into(),
            signing: None,
            depends: BTreeMap::from([("spl".into(), "f1".into())]),
        }
    }

    #[test]
    fn each_input_gives_its_own_change_and_moves_the_fingerprint() {
        type Case = (fn(&mut Inputs), &'static str);
        let cases: [Case; 9] = [
            (|i| i.source = "x".into(), "its source changed (from s to x)"),
            (|i| i.conf = "x".into(), "its dkms.conf or an override of it changed (from c to x)"),
            (|i| i.overrides = String::new(), "patches or scripts in /etc/dkms changed (from o to none)"),
            (|i| i.headers.version = Some("1-2".into()), "the kernel headers changed from 1-1 to 1-2"),
            (|i| i.headers.content = "x".into(), "the kernel headers changed (from h to x)"),
            (
                |i| i.compiler = "gcc-15 15.1.0".into(),
                "the compiler changed from gcc-14 14.2.0 to gcc-15 15.1.0",
            ),
            (|i| i.compression = "ko".into(), "module compression changed from xz to none"),
            (
                |i| i.rustc = Some("rustc 1.86.0".into()),
                "the compiler changed from rustc 1.85.0 to rustc 1.86.0",
            ),
            (
                |i| {
                    i.depends.insert("spl".into(), "f2".into());
                },
                "spl, which it depends on, was rebuilt",
            ),
        ];
        let old = inputs();
        for (edit, text) in cases {
            let mut new = inputs();
            edit(&mut new);
            assert_eq!(new.change_since(&old).map(|c| c.to_string()).as_deref(), Some(text));
            assert_ne!(new.fingerprint(), old.fingerprint(), "{text}");
        }
        assert_eq!(inputs().change_since(&old), None);
    }

    #[test]
    fn a_dependency_counts_when_it_arrives_and_not_when_it_goes() {
        let with = inputs();
        let without = Inputs { depends: BTreeMap::new(), ..inputs() };
        assert_eq!(with.change_since(&without), Some(Change::Dependency { name: "spl".into() }));
        assert_eq!(without.change_since(&with), None);
    }

    #[test]
    fn a_compiler_that_is_not_installed_now_changes_nothing() {
        let old = inputs();
        let without = Inputs { rustc: None, ..inputs() };
        assert_eq!(without.change_since(&old), None, "its last Rust file may have gone: then the source did");
        let missing = Inputs { rustc: Some("rustc".into()), compiler: "gcc-14".into(), ..inputs() };
        assert_eq!(missing.change_since(&old), None);
        assert!(old.change_since(&without).is_some());
    }

    #[test]
    fn headers_alone_are_told_from_headers_and_more() {
        let old = inputs();
        let mut new = inputs();
        assert!(!new.only_headers_changed(&old));
        new.headers.content = "x".into();
        assert!(new.only_headers_changed(&old));
        assert_eq!(new.change_beside_headers(&old), None);
        new.depends.insert("spl".into(), "f2".into());
        assert!(new.only_headers_changed(&old), "what it depends on is looked at by itself");
        new.compiler = "gcc-15 15.1.0".into();
        assert!(!new.only_headers_changed(&old));
    }

    #[test]
    fn a_module_built_unsigned_is_not_stale_for_that_alone() {
        let old = inputs();
        let mut signed = inputs();
        signed.signing = Some("k1".into());
        assert_eq!(signed.change_since(&old), None);
        let mut other = inputs();
        other.signing = Some("k2".into());
        assert_eq!(other.change_since(&signed), Some(Change::Signing { old: "k1".into(), new: "k2".into() }));
        // What calls for another build comes first.
        other.source = "x".into();
        assert!(matches!(other.change_since(&signed), Some(Change::Source { .. })));
        assert!(other.signing_change(&signed).is_some() && other.fingerprint() != signed.fingerprint());
        other.source.clone_from(&signed.source);
        assert_eq!(other.fingerprint(), signed.fingerprint(), "to dependents it is the same build");
    }
}
