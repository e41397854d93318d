//! The inputs of a build, and the one that changed.
//!
//! A build is *fresh* while none of its inputs changed. The struct holds digests and short texts, so that it
//! can be stored beside the build and compared later.
//!
//! **A new input is a field of [`Inputs`] and a row of [`INPUTS`].** The fingerprint, the comparison with an
//! earlier build, the reason that a person reads, what `dkms-hook why` lists, the record on disk and the JSON
//! all walk over the rows; the compiler then asks for the place that finds the value (`observe`), and the tests
//! for the description in docs/plan.schema.json. A new row is a [`Field::Maybe`]: builds that were made before
//! have no value, and keep their fingerprint.

use std::collections::BTreeMap;
use std::fmt;

mod change;
mod hasher;
#[cfg(test)]
mod tests;

pub use change::Change;
pub use hasher::Hasher;

use change::{compression_name, short_digest};

/// Everything a build is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// What they say of their kernel's version (`UTS_VERSION`), for people. Not taken from the
    /// package manager: its database lags behind the files while it runs our hooks.
    pub version: Option<String>,
    /// Digest of what a build reads from them: `Module.symvers`, `include/generated`,
    /// `include/config/auto.conf`, `.config`.
    pub content: String,
}

/// The inputs, in the order in which they are compared: coarse before fine.
pub static INPUTS: [Input; 9] = [
    Input {
        name: "source",
        field: Field::Text(|i| &i.source, |i| &mut i.source),
        counts: Counts::Always,
        words: Words { listed: "source", changed: "its source changed", as_: As::Digest },
        change: "source",
    },
    Input {
        name: "conf",
        field: Field::Text(|i| &i.conf, |i| &mut i.conf),
        counts: Counts::Always,
        words: Words {
            listed: "dkms.conf",
            changed: "its dkms.conf or an override of it changed",
            as_: As::Digest,
        },
        change: "conf",
    },
    Input {
        name: "overrides",
        field: Field::Text(|i| &i.overrides, |i| &mut i.overrides),
        counts: Counts::Always,
        words: Words {
            listed: "files of /etc/dkms",
            changed: "patches or scripts in /etc/dkms changed",
            as_: As::Digest,
        },
        change: "overrides",
    },
    Input {
        name: "headers",
        field: Field::Headers(|i| &i.headers, |i| &mut i.headers),
        counts: Counts::Always,
        words: Words { listed: "headers", changed: "the kernel headers changed", as_: As::Digest },
        change: "headers",
    },
    Input {
        name: "compiler",
        field: Field::Text(|i| &i.compiler, |i| &mut i.compiler),
        counts: Counts::Installed,
        words: Words { listed: "compiler", changed: "the compiler changed", as_: As::Name },
        change: "compiler",
    },
    Input {
        name: "rustc",
        field: Field::Maybe(|i| &i.rustc, |i| &mut i.rustc),
        counts: Counts::Installed,
        words: Words { listed: "", changed: "the compiler changed", as_: As::Name },
        change: "compiler",
    },
    Input {
        name: "compression",
        field: Field::Text(|i| &i.compression, |i| &mut i.compression),
        counts: Counts::Always,
        words: Words { listed: "compression", changed: "module compression changed", as_: As::Compression },
        change: "compression",
    },
    Input {
        name: "signing",
        field: Field::Maybe(|i| &i.signing, |i| &mut i.signing),
        counts: Counts::Signature,
        words: Words { listed: "signed by", changed: "the signing key changed", as_: As::Digest },
        change: "signing",
    },
    Input {
        name: "depends",
        field: Field::Builds(|i| &i.depends, |i| &mut i.depends),
        counts: Counts::Always,
        words: Words { listed: "", changed: "", as_: As::Digest },
        change: "dependency",
    },
];

/// One input: all that the program knows of it.
#[derive(Debug)]
pub struct Input {
    /// Its name in records and in the JSON of inputs. Never changes.
    pub name: &'static str,
    /// Where its value is.
    pub field: Field,
    /// When another value makes a build stale.
    counts: Counts,
    /// What people read.
    words: Words,
    /// The `input` of a change of it in the JSON. Never changes.
    pub change: &'static str,
}

/// The field of an input, to be read and to be written.
#[derive(Debug)]
pub enum Field {
    /// A text that every build has.
    Text(fn(&Inputs) -> &String, fn(&mut Inputs) -> &mut String),
    /// A text that some builds have.
    Maybe(fn(&Inputs) -> &Option<String>, fn(&mut Inputs) -> &mut Option<String>),
    /// The headers.
    Headers(fn(&Inputs) -> &Headers, fn(&mut Inputs) -> &mut Headers),
    /// Fingerprints of other builds by the names of their modules.
    Builds(fn(&Inputs) -> &BTreeMap<String, String>, fn(&mut Inputs) -> &mut BTreeMap<String, String>),
}

/// The value of an input.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// This build has none.
    None,
    /// The headers.
    Headers(&'a Headers),
    /// Builds.
    Builds(&'a BTreeMap<String, String>),
}

/// When another value of an input makes a build stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    /// Whenever it differs. A dependency that is there now and was not then counts, one that has gone
    /// does not: nothing could be built without it.
    Always,
    /// A tool: when the one of now has a version. Otherwise it is not installed: nothing can be built, and what
    /// was built is still right.
    Installed,
    /// Where both were signed: a module built unsigned in a chroot is not rebuilt for that alone when the image
    /// boots. Looked at last, as signing anew is enough; and to dependents it is the same build.
    Signature,
}

/// What people read of an input.
#[derive(Debug)]
struct Words {
    /// Before its value in a list; empty where the value says what it is.
    listed: &'static str,
    /// That it changed.
    changed: &'static str,
    /// How its value is shown.
    as_: As,
}

/// How a value is shown.
#[derive(Debug, Clone, Copy)]
enum As {
    /// A digest, by its beginning.
    Digest,
    /// As it is.
    Name,
    /// As people call a compression.
    Compression,
}

impl As {
    fn shown(self, text: &str) -> &str {
        match self {
            Self::Digest => short_digest(text),
            Self::Name => text,
            Self::Compression => compression_name(text),
        }
    }
}

impl PartialEq for Input {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Input {}

impl Input {
    /// Its value in these inputs.
    pub fn value<'a>(&self, inputs: &'a Inputs) -> Value<'a> {
        match self.field {
            Field::Text(get, _) => Value::Text(get(inputs)),
            Field::Maybe(get, _) => get(inputs).as_deref().map_or(Value::None, Value::Text),
            Field::Headers(get, _) => Value::Headers(get(inputs)),
            Field::Builds(get, _) => Value::Builds(get(inputs)),
        }
    }

    /// The change of it from `old` to `new`, if that makes a build from `old` stale.
    fn change(&'static self, new: &Inputs, old: &Inputs) -> Option<Change> {
        let (old, new) = match (self.value(old), self.value(new)) {
            (Value::Headers(old), Value::Headers(new)) => {
                return (new != old).then(|| new.change_since(old));
            }
            (Value::Builds(old), Value::Builds(new)) => {
                let mut others = new.iter().filter(|(name, print)| old.get(*name) != Some(*print));
                return others.next().map(|(name, _)| Change::Dependency { name: name.clone() });
            }
            (Value::Text(old), Value::Text(new)) if old != new => (Some(old), Some(new)),
            (Value::None, Value::Text(new)) => (None, Some(new)),
            (Value::Text(old), Value::None) => (Some(old), None),
            _ => return None,
        };
        let counts = match self.counts {
            Counts::Always => true,
            Counts::Installed => new.is_some_and(|new| new.contains(' ')),
            Counts::Signature => old.is_some() && new.is_some(),
        };
        let text = |value: Option<&str>| value.unwrap_or("none").to_owned();
        counts.then(|| Change::Value { input: self, old: text(old), new: text(new) })
    }
}

impl Headers {
    /// The change from `old` to these headers, which are others.
    pub fn change_since(&self, old: &Self) -> Change {
        Change::Headers { old: old.clone(), new: self.clone() }
    }
}

impl Inputs {
    /// What changed between `old` and these inputs; `None` means a build from `old` is fresh.
    pub fn change_since(&self, old: &Self) -> Option<Change> {
        // What nobody changed is shared between the record and what was observed.
        if std::ptr::eq(self, old) {
            return None;
        }
        let mut made_from = INPUTS.iter().filter(|input| input.counts != Counts::Signature);
        made_from.find_map(|input| input.change(self, old)).or_else(|| self.signing_change(old))
    }

    /// As [`Self::change_since`], but for the kernel's headers.
    pub fn change_beside_headers(&self, old: &Self) -> Option<Change> {
        Self { headers: old.headers.clone(), ..self.clone() }.change_since(old)
    }

    /// True when of what a module is compiled from nothing but the kernel's headers changed.
    pub fn only_headers_changed(&self, old: &Self) -> bool {
        let beside = || self.change_beside_headers(old);
        self.headers != old.headers && beside().is_none_or(|change| change.keeps_code())
    }

    /// The change of key, where a build from `old` bears the signature of another than the present one.
    pub fn signing_change(&self, old: &Self) -> Option<Change> {
        if std::ptr::eq(self, old) {
            return None;
        }
        let mut signatures = INPUTS.iter().filter(|input| input.counts == Counts::Signature);
        signatures.find_map(|input| input.change(self, old))
    }

    /// One digest over all inputs but the signature: the cell's fingerprint.
    pub fn fingerprint(&self) -> String {
        let mut hash = Hasher::new();
        for input in INPUTS.iter().filter(|input| input.counts != Counts::Signature) {
            match input.value(self) {
                Value::Text(text) => hash.part(text),
                Value::None => {}
                Value::Headers(Headers { version, content }) => {
                    hash.part(version.as_deref().unwrap_or(""));
                    hash.part(content);
                }
                Value::Builds(builds) => {
                    for (name, print) in builds {
                        hash.part(name);
                        hash.part(print);
                    }
                }
            }
        }
        hash.finish()
    }
}

/// As a person compares them: by name where they have one, by the beginning of a digest otherwise.
impl fmt::Display for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for input in &INPUTS {
            let Words { listed, as_, .. } = &input.words;
            let space = if listed.is_empty() { "" } else { " " };
            match input.value(self) {
                Value::None | Value::Text("") => continue,
                Value::Text(text) => write!(f, "{comma}{listed}{space}{}", as_.shown(text))?,
                Value::Headers(Headers { version: Some(version), content }) => {
                    write!(f, "{comma}{listed} {version} ({})", short_digest(content))?;
                }
                Value::Headers(Headers { version: None, content }) => {
                    write!(f, "{comma}{listed} {}", short_digest(content))?;
                }
                Value::Builds(builds) => {
                    for (name, print) in builds {
                        write!(f, "{comma}{name} {}", short_digest(print))?;
                    }
                }
            }
            comma = ", ";
        }
        Ok(())
    }
}
