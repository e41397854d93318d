//! Digests of types, by which two kernels are compared.
//!
//! *By value*: what code depends on that reads or writes something of the type. What is embedded is expanded;
//! of what is pointed to, only the spelling counts. *Prototype*: what a caller depends on.
//!
//! Compilers and makers of tables differ in how they describe one source. So what says nothing about the machine
//! code is left out, and what can be said in several ways is said in one; [`RULES`] counts the changes of that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::kinds::Type;
use super::table::{Btf, Damaged};

/// The number of the rules in here. Digests of other rules cannot be compared.
pub const RULES: u32 = 1;

/// How deep types may be nested: real ones stay below thirty.
const DEPTH: usize = 200;

/// Digests of the types of one table, each computed once.
#[derive(Debug)]
pub struct Digests {
    btf: Arc<Btf>,
    known: Mutex<HashMap<(u32, bool), u64>>,
}

/// What goes into a digest.
struct Text(Sha256);

impl Text {
    fn new(what: &str) -> Self {
        Self(Sha256::new()).with(what.as_bytes())
    }

    fn with(mut self, part: &[u8]) -> Self {
        self.add(part);
        self
    }

    fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    fn number(mut self, number: u64) -> Self {
        self.0.update(number.to_le_bytes());
        self
    }

    fn finish(self) -> u64 {
        let all = self.0.finalize();
        all.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

impl Digests {
    /// None is computed yet.
    pub fn of(btf: Arc<Btf>) -> Self {
        Self { btf, known: Mutex::default() }
    }

    /// The table.
    pub fn btf(&self) -> &Btf {
        &self.btf
    }

    /// Of a type as a part of something else, or as what code touches.
    ///
    /// # Errors
    /// When a type that it consists of cannot be read.
    pub fn by_value(&self, id: u32) -> Result<u64, Damaged> {
        self.digest(id, true, 0)
    }

    /// Of a function's prototype, or of a variable's type.
    ///
    /// # Errors
    /// When a type in it cannot be read.
    pub fn prototype(&self, id: u32) -> Result<u64, Damaged> {
        match self.btf.get(id)? {
            Type::Function { prototype, .. } => self.digest(prototype, false, 0),
            Type::Variable { of, .. } => self.digest(of, true, 0),
            _ => Err(Damaged(format!("type {id} is no function"))),
        }
    }

    /// `expand`: by value; otherwise as it is spelled.
    fn digest(&self, id: u32, expand: bool, depth: usize) -> Result<u64, Damaged> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known().get(&(id, expand)) {
            return Ok(*known);
        }
        if depth > DEPTH {
            return Err(Damaged(format!("type {id} is nested too deeply")));
        }
        let digest = self.compute(id, expand, depth + 1)?;
        known().insert((id, expand), digest);
        Ok(digest)
    }

    fn compute(&self, id: u32, expand: bool, depth: usize) -> Result<u64, Damaged> {
        let of = |id, expand| self.digest(id, expand, depth);
        Ok(match self.btf.get(id)? {
            Type::Void => Text::new("void").finish(),
            // Bits and offset of old tables are those of the member.
            Type::Int { name, size, encoding, .. } => {
                Text::new("int").with(name).number(size.into()).number(encoding.into()).finish()
            }
            Type::Float { name, size } => Text::new("float").with(name).number(size.into()).finish(),
            Type::Pointer(to) => Text::new("pointer").number(of(to, false)?).finish(),
            Type::Array { .. } => return self.array(id, expand, 0, depth),
            Type::Composite { kind, name, .. } if !expand && !name.is_empty() => spelled(kind as u64, name),
            // Nothing in here can depend on what it is made of.
            Type::Forward { kind, name } => spelled(kind as u64, name),
            Type::Composite { kind, name, size, members } => {
                let mut text = Text::new("members").number(kind as u64).with(name).number(size.into());
                for member in members.iter() {
                    let (offset, bits) = self.place(member.of, member.offset, member.bits)?;
                    text.add(self.btf.name(member.name)?);
                    text = text.number(offset.into()).number(bits.into()).number(of(member.of, true)?);
                }
                text.finish()
            }
            Type::Enum { name, values, .. } if !name.is_empty() && (!expand || values.is_empty()) => {
                spelled(2, name)
            }
            Type::Enum { name, size, values } => {
                let mut text = Text::new("values").with(name).number(size.into());
                for (place, value) in values.iter() {
                    text.add(self.btf.name(place)?);
                    // Without the sign, which one of the two forms writes down as further bits.
                    text = text
                        .number(value & u64::MAX >> 64_u32.saturating_sub(size.saturating_mul(8)).min(63));
                }
                text.finish()
            }
            // Compilers keep or leave out the name of a function's type, as its attributes are.
            Type::Typedef { of: target, .. } if self.is_function(target, 0)? => of(target, expand)?,
            Type::Typedef { name, of: target } => {
                Text::new("typedef").with(name).number(of(target, expand)?).finish()
            }
            Type::Qualified { .. } => return self.array(id, expand, 0, depth),
            Type::Tagged(target) => of(target, expand)?,
            Type::Prototype { returns, parameters } => {
                let mut text = Text::new("function").number(of(returns, false)?);
                for parameter in parameters.chunks_exact(2) {
                    text = text.number(of(self.bare(parameter[1])?, false)?);
                }
                // How many there are, and whether there may be more: that one is `void`.
                text.number(parameters.len() as u64).finish()
            }
            Type::Function { .. } | Type::Variable { .. } | Type::Other => {
                return Err(Damaged(format!("type {id} is no type of anything")));
            }
        })
    }

    /// Of an array, or of something with qualifiers. An array in an array is one of as many elements, and the
    /// qualifiers of an array are those of its elements.
    fn array(&self, id: u32, expand: bool, qualifiers: u32, depth: usize) -> Result<u64, Damaged> {
        let (mut at, mut qualifiers, mut length) = (id, qualifiers, None::<u64>);
        for _ in 0..DEPTH {
            match self.btf.get(at)? {
                Type::Array { element, length: times } => {
                    length = Some(length.unwrap_or(1).wrapping_mul(times.into()));
                    at = element;
                }
                Type::Qualified { qualifier, of } => {
                    qualifiers |= qualifier;
                    at = of;
                }
                Type::Tagged(of) => at = of,
                _ => {
                    let element = self.digest(at, expand, depth)?;
                    let element = match qualifiers {
                        0 => element,
                        _ => Text::new("qualified").number(qualifiers.into()).number(element).finish(),
                    };
                    return Ok(match length {
                        None => element,
                        Some(length) => Text::new("array").number(length).number(element).finish(),
                    });
                }
            }
        }
        Err(Damaged(format!("type {id} is nested too deeply")))
    }

    /// Where a member is, and how many bits it has where it is a bit-field. Old tables keep that with the type.
    fn place(&self, of: u32, offset: u32, bits: u32) -> Result<(u32, u32), Damaged> {
        place(&self.btf, of, offset, bits)
    }

    /// Without what counts inside the called function only.
    fn bare(&self, mut id: u32) -> Result<u32, Damaged> {
        for _ in 0..DEPTH {
            match self.btf.get(id)? {
                Type::Qualified { of, .. } | Type::Tagged(of) => id = of,
                _ => return Ok(id),
            }
        }
        Err(Damaged(format!("type {id} is nested too deeply")))
    }

    /// A function, or a pointer to one.
    fn is_function(&self, mut id: u32, depth: usize) -> Result<bool, Damaged> {
        for _ in depth..DEPTH {
            match self.btf.get(id)? {
                Type::Prototype { .. } => return Ok(true),
                Type::Qualified { of, .. } | Type::Tagged(of) | Type::Pointer(of) => id = of,
                _ => return Ok(false),
            }
        }
        Err(Damaged(format!("type {id} is nested too deeply")))
    }
}

/// Only the name of a struct, union or enum.
fn spelled(kind: u64, name: &[u8]) -> u64 {
    Text::new("named").number(kind).with(name).finish()
}

/// Where a member is, and how many bits it has where it is a bit-field.
pub(super) fn place(btf: &Btf, of: u32, offset: u32, bits: u32) -> Result<(u32, u32), Damaged> {
    match btf.get(of)? {
        Type::Int { size, offset: before, bits: own, .. } if bits == 0 && own != size.wrapping_mul(8) => {
            Ok((offset.wrapping_add(before), own))
        }
        _ => Ok((offset, bits)),
    }
}
