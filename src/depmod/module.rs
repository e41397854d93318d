//! What one module file says that has to do with the index.
//!
//! The rules are those of kmod's library, found out by comparing (tests/corpus/depmod): which section it takes
//! exports from, in which order it sees imports.

use std::collections::HashSet;

use super::odd::{Odd, odd};
use super::sections::{Elf, text_at};

/// The longest text that is used, in bytes. depmod(8) has buffers of its own; no real text is near that.
const LONGEST: usize = 1000;

/// Size of a record of `__versions`: a CRC as wide as an address, then the name, filled up with NUL.
const RECORD: usize = 64;

/// Machines whose tables have symbols that stand for registers (`EM_SPARC`, `EM_SPARCV9`), and the type of these.
const SPARC: [u16; 2] = [2, 43];
const REGISTER: u8 = 13;

/// Texts, each followed by NUL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts(Vec<u8>);

impl Texts {
    /// Adds one.
    fn push(&mut self, text: &[u8]) {
        self.0.extend_from_slice(text);
        self.0.push(0);
    }

    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        each(&self.0)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> FromIterator<&'a [u8]> for Texts {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(texts: I) -> Self {
        let mut all = Self::default();
        texts.into_iter().for_each(|text| all.push(text));
        all
    }
}

/// The texts in a part of a table in which each is followed by NUL.
pub(super) fn each(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let bytes = bytes.strip_suffix(b"\0");
    bytes.into_iter().flat_map(|bytes| bytes.split(|&byte| byte == 0))
}

/// What a module file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Symbols that other modules may use.
    pub exports: Texts,
    /// Symbols that it uses, in the order in which depmod(8) sees them.
    pub imports: Texts,
    /// `alias=` of `.modinfo`.
    pub aliases: Texts,
    /// `softdep=`.
    pub softdeps: Texts,
    /// `weakdep=`.
    pub weakdeps: Texts,
}

impl Said {
    /// Reads the uncompressed content of a module file.
    ///
    /// # Errors
    /// When it is damaged, or unlike any module that a kernel's build makes.
    pub fn of(bytes: &[u8]) -> Result<Self, Odd> {
        let elf = Elf::of(bytes)?;
        let wanted: [&[u8]; 5] = [b".modinfo", b".symtab", b".strtab", b"__ksymtab_strings", b"__versions"];
        let [modinfo, table, names, strings, versions] = elf.sections(wanted)?;
        let mut said = Self::default();
        for text in terminated(modinfo.unwrap_or_default())? {
            // Without `=`, all of it is the key.
            let equals = text.iter().position(|&byte| byte == b'=').unwrap_or(text.len());
            let texts = match &text[..equals] {
                b"alias" => &mut said.aliases,
                b"softdep" => &mut said.softdeps,
                b"weakdep" => &mut said.weakdeps,
                _ => continue,
            };
            texts.push(fit(text.get(equals + 1..).unwrap_or_default())?);
        }
        let mut undefined: HashSet<&[u8]> = HashSet::new();
        let (Some(table), Some(names)) = (table, names) else { return Err(odd("it has no symbol table")) };
        said.symbols(elf, table, names, &mut undefined)?;
        if said.exports.0.is_empty() {
            for name in terminated(strings.unwrap_or_default())? {
                said.exports.push(fit(name)?);
            }
        }
        let versions = versions.unwrap_or_default();
        if !versions.len().is_multiple_of(RECORD) {
            return Err(odd("its table of symbol versions is cut short"));
        }
        for record in versions.chunks_exact(RECORD) {
            let name = text_at(record, if elf.wide { 8 } else { 4 })?;
            if !undefined.contains(name) {
                said.imports.push(without_dot(fit(name)?));
            }
        }
        Ok(said)
    }

    /// Reads the symbol table: what is undefined is imported, and the names of CRCs tell what is exported.
    fn symbols<'a>(
        &mut self,
        elf: Elf<'_>,
        table: &[u8],
        names: &'a [u8],
        undefined: &mut HashSet<&'a [u8]>,
    ) -> Result<(), Odd> {
        let (entry, info, section) = if elf.wide { (24, 4, 6) } else { (16, 12, 14) };
        if table.is_empty() || !table.len().is_multiple_of(entry) || names.last() != Some(&0) {
            return Err(odd("its symbol table is cut short"));
        }
        for symbol in table.chunks_exact(entry).skip(1) {
            let name = text_at(names, elf.whole(symbol, 0)? as usize)?;
            if let Some(exported) = name.strip_prefix(b"__crc_") {
                self.exports.push(fit(exported)?);
            }
            let register = SPARC.contains(&elf.machine) && symbol[info] & 0xf == REGISTER;
            if elf.half(symbol, section)? == 0 && !name.is_empty() && !register {
                undefined.insert(name);
                self.imports.push(without_dot(fit(name)?));
            }
        }
        Ok(())
    }
}

/// On ppc64 the name of a function may begin with a dot; the symbol is that without it.
fn without_dot(name: &[u8]) -> &[u8] {
    name.strip_prefix(b".").unwrap_or(name)
}

/// The texts of a section that consists of texts; empty ones are only padding.
fn terminated(section: &[u8]) -> Result<impl Iterator<Item = &[u8]>, Odd> {
    if section.last().is_some_and(|&last| last != 0) {
        return Err(odd("a section of texts is cut short"));
    }
    Ok(each(section).filter(|text| !text.is_empty()))
}

/// A text that depmod(8) writes as it is: no longer than its buffers, and without what would end a line or is
/// not ASCII, which its index files cannot have.
fn fit(text: &[u8]) -> Result<&[u8], Odd> {
    if text.len() > LONGEST {
        return Err(odd(format!("it has a text of {} bytes", text.len())));
    }
    match text.iter().all(|byte| byte.is_ascii() && !matches!(byte, b'\n' | b'\r')) {
        true => Ok(text),
        false => Err(odd("it has a text that is not ASCII, or of several lines")),
    }
}
