//! Makes tables of types (BTF), of either byte order, alone or on top of another: what pahole would make of a source.

/// A table under construction. Its types are numbered from 1, or from where the one below ends.
#[derive(Clone)]
pub struct TypeTable {
    little: bool,
    words: Vec<u32>,
    names: Vec<u8>,
    first: u32,
    first_name: u32,
    count: u32,
}

/// A member: name, type, place in bits, and bits of a bit-field (0 for others).
pub type TypeMember<'a> = (&'a str, u32, u32, u32);

impl TypeTable {
    /// An empty one of this machine's byte order, or of the other.
    pub fn new(little: bool) -> Self {
        Self { little, words: Vec::new(), names: vec![0], first: 1, first_name: 0, count: 0 }
    }

    /// An empty one on top of this.
    pub fn on_top(&self) -> Self {
        let first_name = self.first_name + self.names.len() as u32;
        let (first, names) = (self.first + self.count, Vec::new());
        Self { little: self.little, words: Vec::new(), names, first, first_name, count: 0 }
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        self.names.extend(name.as_bytes());
        self.names.push(0);
        self.first_name + (self.names.len() - name.len() - 1) as u32
    }

    /// Any type; its number. `info` is kind, flag and length as the format has them.
    pub fn add(&mut self, name: &str, info: u32, last: u32, more: &[u32]) -> u32 {
        let name = self.name(name);
        self.words.extend([name, info, last]);
        self.words.extend(more);
        self.count += 1;
        self.first + self.count - 1
    }

    /// A number of so many bytes.
    pub fn int(&mut self, name: &str, size: u32) -> u32 {
        self.add(name, 1 << 24, size, &[(1 << 24) | (size * 8)])
    }

    /// A pointer.
    pub fn pointer(&mut self, to: u32) -> u32 {
        self.add("", 2 << 24, to, &[])
    }

    /// An array.
    pub fn array(&mut self, of: u32, length: u32) -> u32 {
        self.add("", 3 << 24, 0, &[of, of, length])
    }

    /// A struct.
    pub fn structure(&mut self, name: &str, size: u32, members: &[TypeMember<'_>]) -> u32 {
        self.composite(4, name, size, members)
    }

    /// A union.
    pub fn union(&mut self, name: &str, size: u32, members: &[TypeMember<'_>]) -> u32 {
        self.composite(5, name, size, members)
    }

    fn composite(&mut self, kind: u32, name: &str, size: u32, members: &[TypeMember<'_>]) -> u32 {
        let mut more = Vec::new();
        for (name, of, offset, bits) in members {
            more.extend([self.name(name), *of, (bits << 24) | offset]);
        }
        self.add(name, (1 << 31) | (kind << 24) | members.len() as u32, size, &more)
    }

    /// An enumeration of four bytes.
    pub fn enumeration(&mut self, name: &str, values: &[(&str, u32)]) -> u32 {
        let mut more = Vec::new();
        for (name, value) in values {
            more.extend([self.name(name), *value]);
        }
        self.add(name, (6 << 24) | values.len() as u32, 4, &more)
    }

    /// A declaration of a struct.
    pub fn forward(&mut self, name: &str) -> u32 {
        self.add(name, 7 << 24, 0, &[])
    }

    /// Another name.
    pub fn typedef(&mut self, name: &str, of: u32) -> u32 {
        self.add(name, 8 << 24, of, &[])
    }

    /// `const`.
    pub fn constant(&mut self, of: u32) -> u32 {
        self.add("", 10 << 24, of, &[])
    }

    /// A prototype.
    pub fn prototype(&mut self, returns: u32, parameters: &[u32]) -> u32 {
        let more: Vec<u32> = parameters.iter().flat_map(|of| [0, *of]).collect();
        self.add("", (13 << 24) | parameters.len() as u32, returns, &more)
    }

    /// A function.
    pub fn function(&mut self, name: &str, returns: u32, parameters: &[u32]) -> u32 {
        let prototype = self.prototype(returns, parameters);
        self.add(name, (12 << 24) | 1, prototype, &[])
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let word = |word: u32| if self.little { word.to_le_bytes() } else { word.to_be_bytes() };
        let magic = 0xeb9f_u16;
        out.extend(if self.little { magic.to_le_bytes() } else { magic.to_be_bytes() });
        out.extend([1, 0]);
        let types = 4 * self.words.len() as u32;
        for field in [24, 0, types, types, self.names.len() as u32] {
            out.extend(word(field));
        }
        self.words.iter().for_each(|field| out.extend(word(*field)));
        out.extend(&self.names);
        out
    }
}
