//! By what a build is found.

use super::entry::hex;
use super::surroundings::Surroundings;
use crate::model::ids::Cell;
use crate::model::inputs::{INPUTS, Inputs, Value};

/// A digest over everything that a build is made from: all 256 bits of SHA-256. (Records have 128: they only have
/// to tell what changed since.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Of a build of this cell from these inputs, the certificate that signs it among them. Another version of this
    /// program finishes builds in another way.
    pub fn of(cell: &Cell, inputs: &Inputs, surroundings: &Surroundings) -> Self {
        let mut text = String::new();
        // Each part with its length: no two lists of parts give one text.
        let mut part = |part: &str| text.push_str(&format!("{} {part}\n", part.len()));
        part(env!("CARGO_PKG_VERSION"));
        let Cell { module, kernel, arch } = cell;
        [module.name.as_str(), module.version.as_str(), kernel.as_str(), arch.as_str()]
            .into_iter()
            .for_each(&mut part);
        for input in &INPUTS {
            part(input.name);
            match input.value(inputs) {
                Value::Text(value) => part(value),
                Value::None => part(""),
                Value::Headers(headers) => {
                    part(headers.version.as_deref().unwrap_or_default());
                    part(&headers.content);
                }
                Value::Builds(builds) => {
                    for (name, print) in builds {
                        part(name);
                        part(print);
                    }
                }
            }
        }
        part(surroundings.as_str());
        Self(hex(text.as_bytes()))
    }

    /// As a file name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
