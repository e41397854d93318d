//! The table of types itself: header, types and names, in either byte order, alone or on top of another.
//!
//! Nothing is believed: places, numbers and names are checked where they are used, and what is kept is never
//! larger than what was read. Source: Documentation/bpf/btf.rst and include/uapi/linux/btf.h of the kernel.

use std::sync::Arc;

use super::kinds::{Kind, Members, Type, Values};

/// The types that a file describes. Types have numbers; 0 is `void`. Those of a table on top of another go on
/// counting where that one ends, and so do the places of their names.
#[derive(Debug)]
pub struct Btf {
    base: Option<Arc<Btf>>,
    /// The number of the first type in here.
    first: u32,
    /// Everything in a type is 32 bits wide.
    words: Vec<u32>,
    /// Where each type begins in `words`.
    begins: Vec<u32>,
    /// The place of the first name in here.
    first_name: u32,
    names: Vec<u8>,
    /// Types with a name that can be asked for: hash of the name, number.
    index: Vec<(u64, u32)>,
}

/// The table says something that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its types cannot be read: {0}")]
pub struct Damaged(pub String);

const MAGIC: u16 = 0xeb9f;
/// Size of the header of the first version; others may add to it.
const HEADER: usize = 24;

fn damaged<T>(what: impl Into<String>) -> Result<T, Damaged> {
    Err(Damaged(what.into()))
}

/// The number of words after a type's first three.
fn more(kind: u32, length: usize) -> Option<usize> {
    Some(match kind {
        1 | 14 | 17 => 1,
        2 | 7..=12 | 16 | 18 => 0,
        3 => 3,
        4 | 5 | 15 | 19 => 3 * length,
        6 | 13 => 2 * length,
        _ => return None,
    })
}

impl Btf {
    /// Understands the content of a `.BTF` section, or of a file of that format.
    ///
    /// # Errors
    /// When it is damaged, or of a format that is not known.
    pub fn parse(bytes: &[u8], base: Option<Arc<Self>>) -> Result<Self, Damaged> {
        let Some(header) = bytes.get(..HEADER) else { return damaged("there is no whole header") };
        let little = match (&header[..2], MAGIC) {
            (magic, known) if magic == known.to_le_bytes() => true,
            (magic, known) if magic == known.to_be_bytes() => false,
            _ => return damaged("it does not begin as such a file does"),
        };
        if header[2] != 1 {
            return damaged(format!("version {} is not known", header[2]));
        }
        let word = |four: &[u8]| {
            let four = four.try_into().unwrap_or_default();
            if little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) }
        };
        let field = |n: usize| word(&header[4 * n..4 * n + 4]) as usize;
        let part = |offset: usize, length: usize| {
            let begin = field(1).checked_add(offset)?;
            bytes.get(begin..begin.checked_add(length)?)
        };
        let types = part(field(2), field(3)).ok_or(Damaged("types end after the file".into()))?;
        let names = part(field(4), field(5)).ok_or(Damaged("names end after the file".into()))?;
        if names.last().is_some_and(|last| *last != 0) {
            return damaged("the last name has no end");
        }
        let first = base.as_ref().map_or(1, |base| base.end());
        let first_name = base.as_ref().map_or(0, |base| base.first_name + base.names.len() as u32);
        let words: Vec<u32> = types.chunks_exact(4).map(word).collect();
        let mut begins = Vec::with_capacity(words.len() / 4);
        let mut at = 0;
        while let Some(head) = words.get(at..at + 3) {
            begins.push(at as u32);
            let kind = head[1] >> 24 & 0x1f;
            let Some(more) = more(kind, (head[1] & 0xffff) as usize) else {
                return damaged(format!("a type of kind {kind}, which is not known"));
            };
            at += 3 + more;
        }
        if at != words.len() {
            return damaged("the last type has no end");
        }
        let names = names.to_vec();
        let mut table = Self { base, first, words, begins, first_name, names, index: Vec::new() };
        table.index = table.make_index()?;
        Ok(table)
    }

    /// The number after that of the last type.
    pub fn end(&self) -> u32 {
        self.first + self.begins.len() as u32
    }

    /// The numbers of the types in here, without those of the table below.
    pub fn own(&self) -> std::ops::Range<u32> {
        self.first..self.end()
    }

    /// The table below this one.
    pub fn base(&self) -> Option<&Arc<Self>> {
        self.base.as_ref()
    }

    /// The name at a place.
    ///
    /// # Errors
    /// When there is none.
    pub fn name(&self, place: u32) -> Result<&[u8], Damaged> {
        let Some(place) = place.checked_sub(self.first_name) else {
            return self.base.as_ref().map_or_else(|| damaged("a name is missing"), |base| base.name(place));
        };
        let rest = self.names.get(place as usize..).filter(|rest| !rest.is_empty() || place == 0);
        let rest = rest.ok_or(Damaged("a name is missing".into()))?;
        Ok(rest.split(|byte| *byte == 0).next().unwrap_or_default())
    }

    /// A name at a place in the table below begins in the middle of one, which none does. Where that is so, the
    /// table was made for another one.
    fn splits_a_name(&self, place: u32) -> bool {
        match (place.checked_sub(self.first_name), &self.base) {
            (None, Some(base)) => base.splits_a_name(place),
            (Some(place), _) => place > 0 && self.names.get(place as usize - 1).is_none_or(|byte| *byte != 0),
            (None, None) => true,
        }
    }

    /// True when all names of this table's own types are whole names.
    pub fn is_of_its_base(&self) -> bool {
        self.own().all(|id| {
            let Some(words) = self.words_of(id) else { return false };
            let (kind, length) = (words[1] >> 24 & 0x1f, (words[1] & 0xffff) as usize);
            let step = match kind {
                4 | 5 | 19 => 3,
                6 | 13 => 2,
                _ => 0,
            };
            !self.splits_a_name(words[0])
                && (step == 0
                    || words[3..].chunks(step).take(length).all(|part| !self.splits_a_name(part[0])))
        })
    }

    fn words_of(&self, id: u32) -> Option<&[u32]> {
        let at = id.checked_sub(self.first)? as usize;
        let begin = *self.begins.get(at)? as usize;
        let end = self.begins.get(at + 1).map_or(self.words.len(), |next| *next as usize);
        self.words.get(begin..end)
    }

    /// The type of a number.
    ///
    /// # Errors
    /// When there is none, or its name is missing.
    pub fn get(&self, id: u32) -> Result<Type<'_>, Damaged> {
        if id == 0 {
            return Ok(Type::Void);
        }
        if let (true, Some(base)) = (id < self.first, &self.base) {
            return base.get(id);
        }
        let Some(words) = self.words_of(id) else { return damaged(format!("there is no type {id}")) };
        let (info, last) = (words[1], words[2]);
        let name = || self.name(words[0]);
        let flag = info >> 31 == 1;
        Ok(match info >> 24 & 0x1f {
            1 => {
                let data = words[3];
                let (encoding, offset, bits) = (data >> 24 & 0xf, data >> 16 & 0xff, data & 0xff);
                Type::Int { name: name()?, size: last, encoding, offset, bits }
            }
            2 => Type::Pointer(last),
            3 => Type::Array { element: words[3], length: words[5] },
            kind @ (4 | 5) => Type::Composite {
                kind: if kind == 4 { Kind::Struct } else { Kind::Union },
                name: name()?,
                size: last,
                members: Members { words: &words[3..], packed: flag },
            },
            kind @ (6 | 19) => Type::Enum {
                name: name()?,
                size: last,
                values: Values { words: &words[3..], wide: kind == 19 },
            },
            7 => Type::Forward { kind: if flag { Kind::Union } else { Kind::Struct }, name: name()? },
            8 => Type::Typedef { name: name()?, of: last },
            9 => Type::Qualified { qualifier: 2, of: last },
            10 => Type::Qualified { qualifier: 1, of: last },
            11 => Type::Qualified { qualifier: 4, of: last },
            12 => Type::Function { name: name()?, prototype: last },
            13 => Type::Prototype { returns: last, parameters: &words[3..] },
            14 => Type::Variable { name: name()?, of: last },
            16 => Type::Float { name: name()?, size: last },
            18 => Type::Tagged(last),
            _ => Type::Other,
        })
    }

    /// What can be asked for by its name. A declaration is no definition.
    pub fn named(&self, id: u32) -> Result<Option<(Kind, &[u8])>, Damaged> {
        let named = match self.get(id)? {
            Type::Composite { kind, name, .. } => (kind, name),
            Type::Enum { name, values, .. } if !values.is_empty() => (Kind::Enum, name),
            Type::Typedef { name, .. } => (Kind::Typedef, name),
            Type::Function { name, .. } => (Kind::Function, name),
            Type::Variable { name, .. } => (Kind::Variable, name),
            _ => return Ok(None),
        };
        Ok((!named.1.is_empty()).then_some(named))
    }

    fn make_index(&self) -> Result<Vec<(u64, u32)>, Damaged> {
        let mut index = Vec::with_capacity(self.begins.len() / 2);
        for id in self.own() {
            if let Some((kind, name)) = self.named(id)? {
                index.push((hash(kind, name), id));
            }
        }
        index.sort_unstable();
        Ok(index)
    }

    /// The types of this table's own that have this name.
    pub fn find(&self, kind: Kind, name: &[u8]) -> impl Iterator<Item = u32> {
        let wanted = hash(kind, name);
        let from = self.index.partition_point(|(hash, _)| *hash < wanted);
        let same = self.index[from..].iter().take_while(move |(hash, _)| *hash == wanted);
        same.map(|(_, id)| *id).filter(move |id| self.named(*id) == Ok(Some((kind, name))))
    }
}

/// Only for the index of one run (FNV-1a: it is made of fifty thousand names at once).
fn hash(kind: Kind, name: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    name.iter().fold(step(0xcbf2_9ce4_8422_2325, &(kind as u8)), step)
}
