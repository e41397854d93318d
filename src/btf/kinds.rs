//! What a table of types is made of.

/// What a name can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `struct`.
    Struct,
    /// `union`.
    Union,
    /// `enum`.
    Enum,
    /// `typedef`.
    Typedef,
    /// A function.
    Function,
    /// A variable. Only those are listed of which each processor has its own.
    Variable,
}

/// One type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type<'a> {
    /// `void`.
    Void,
    /// A number.
    Int {
        /// Its name.
        name: &'a [u8],
        /// In bytes.
        size: u32,
        /// Signed, character, truth value.
        encoding: u32,
        /// In front of it, in bits; only in old tables, for a bit-field.
        offset: u32,
        /// How many bits it has; other than its size only in old tables.
        bits: u32,
    },
    /// A number with a fraction.
    Float {
        /// Its name.
        name: &'a [u8],
        /// In bytes.
        size: u32,
    },
    /// A pointer to this type.
    Pointer(u32),
    /// An array.
    Array {
        /// Of what.
        element: u32,
        /// Of how many.
        length: u32,
    },
    /// A struct or union.
    Composite {
        /// Which of them.
        kind: Kind,
        /// Its name; none where it is empty.
        name: &'a [u8],
        /// In bytes.
        size: u32,
        /// What it is made of.
        members: Members<'a>,
    },
    /// An enumeration.
    Enum {
        /// Its name; none where it is empty.
        name: &'a [u8],
        /// In bytes.
        size: u32,
        /// Its names and their values.
        values: Values<'a>,
    },
    /// A struct or union of which nothing is known but the name.
    Forward {
        /// Which of them.
        kind: Kind,
        /// Its name.
        name: &'a [u8],
    },
    /// Another name for a type.
    Typedef {
        /// The name.
        name: &'a [u8],
        /// The type.
        of: u32,
    },
    /// `const`, `volatile` or `restrict` of a type: bits 1, 2 and 4.
    Qualified {
        /// Which.
        qualifier: u32,
        /// Of what.
        of: u32,
    },
    /// A mark that changes nothing.
    Tagged(u32),
    /// A function.
    Function {
        /// Its name.
        name: &'a [u8],
        /// Its prototype.
        prototype: u32,
    },
    /// A prototype.
    Prototype {
        /// What it returns.
        returns: u32,
        /// Its parameters: name, type. The last has type 0 where there may be more.
        parameters: &'a [u32],
    },
    /// A variable.
    Variable {
        /// Its name.
        name: &'a [u8],
        /// Its type.
        of: u32,
    },
    /// Something that is no type: a section of variables, a mark of a declaration.
    Other,
}

/// The members of a struct or union.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Members<'a> {
    pub(super) words: &'a [u32],
    /// Offsets hold the size of a bit-field, too.
    pub(super) packed: bool,
}

/// A member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The place of its name.
    pub name: u32,
    /// Its type.
    pub of: u32,
    /// Where it is, in bits.
    pub offset: u32,
    /// How many bits a bit-field has; 0 of anything else.
    pub bits: u32,
}

/// The values of an enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Values<'a> {
    pub(super) words: &'a [u32],
    pub(super) wide: bool,
}

impl Members<'_> {
    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = Member> {
        let packed = self.packed;
        self.words.chunks_exact(3).map(move |m| match packed {
            true => Member { name: m[0], of: m[1], offset: m[2] & 0xff_ffff, bits: m[2] >> 24 },
            false => Member { name: m[0], of: m[1], offset: m[2], bits: 0 },
        })
    }
}

impl Values<'_> {
    /// The place of each name, with its value: as many bits as a value has, without a sign.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u64)> {
        let wide = self.wide;
        self.words.chunks_exact(if wide { 3 } else { 2 }).map(move |v| {
            let high = if wide { u64::from(v[2]) << 32 } else { 0 };
            (v[0], high | u64::from(v[1]))
        })
    }

    /// There are none: it is declared and no more.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}
