//! The section table of an ELF file: only what the index needs, and only where it is plain.

use super::odd::{Odd, odd};

/// Sections whose content is not in the file (`SHT_NOBITS`).
const NOBITS: u32 = 8;

/// The number that stands for "too many sections to count here" (`SHN_XINDEX`).
const ELSEWHERE: u16 = 0xffff;

/// An ELF file, as far as it is laid out as every kernel's build lays out modules.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elf<'a> {
    bytes: &'a [u8],
    /// 64-bit; otherwise 32-bit.
    pub(super) wide: bool,
    big_endian: bool,
    /// `e_machine`.
    pub(super) machine: u16,
}

impl<'a> Elf<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is no ELF file, or no plain one.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self, Odd> {
        let ident = bytes.first_chunk::<6>().ok_or_else(|| odd("it is no ELF file"))?;
        let [b'\x7f', b'E', b'L', b'F', class, data] = *ident else { return Err(odd("it is no ELF file")) };
        if !matches!(class, 1 | 2) || !matches!(data, 1 | 2) {
            return Err(odd("its ELF header is damaged"));
        }
        let mut elf = Self { bytes, wide: class == 2, big_endian: data == 2, machine: 0 };
        elf.machine = elf.half(bytes, 18)?;
        Ok(elf)
    }

    /// The content of the first section of each of these names, `None` where there is none.
    ///
    /// # Errors
    /// When the table is not plain, or a section reaches beyond the end of the file.
    pub(super) fn sections<const N: usize>(&self, wanted: [&[u8]; N]) -> Result<[Option<&'a [u8]>; N], Odd> {
        let (table_at, sizes_at, entry) = if self.wide { (0x28, 0x3a, 64) } else { (0x20, 0x2e, 40) };
        let table = self.word(self.bytes, table_at)?;
        let [size, count, names] = [0, 2, 4].map(|at| self.half(self.bytes, sizes_at + at));
        let (count, names) = (usize::from(count?), names?);
        if usize::from(size?) != entry || count == 0 || names == ELSEWHERE || usize::from(names) >= count {
            return Err(odd("its section table is unusual"));
        }
        let table = self.part(table, count * entry)?;
        let names = self.content(&table[usize::from(names) * entry..][..entry])?;
        let mut found = [None; N];
        for header in table.chunks_exact(entry) {
            let content = self.content(header)?;
            let name = text_at(names, self.whole(header, 0)? as usize)?;
            if let Some(at) = wanted.iter().position(|wanted| *wanted == name)
                && found[at].is_none()
            {
                if self.whole(header, 4)? == NOBITS {
                    return Err(odd("a section that has to be read has no content"));
                }
                found[at] = Some(content);
            }
        }
        Ok(found)
    }

    /// The content of a section, by its header.
    fn content(&self, header: &[u8]) -> Result<&'a [u8], Odd> {
        if self.whole(header, 4)? == NOBITS {
            return Ok(&[]);
        }
        let (offset, size) = if self.wide { (0x18, 0x20) } else { (0x10, 0x14) };
        self.part(self.word(header, offset)?, self.word(header, size)?)
    }

    fn part(&self, at: usize, length: usize) -> Result<&'a [u8], Odd> {
        let end = at.checked_add(length);
        let part = end.and_then(|end| self.bytes.get(at..end));
        part.ok_or_else(|| odd("a section reaches beyond its end"))
    }

    /// 16 bits.
    pub(super) fn half(&self, bytes: &[u8], at: usize) -> Result<u16, Odd> {
        let of = if self.big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
        bytes.get(at..).and_then(<[u8]>::first_chunk).map(|bytes| of(*bytes)).ok_or_else(cut)
    }

    /// 32 bits.
    pub(super) fn whole(&self, bytes: &[u8], at: usize) -> Result<u32, Odd> {
        let of = if self.big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        bytes.get(at..).and_then(<[u8]>::first_chunk).map(|bytes| of(*bytes)).ok_or_else(cut)
    }

    /// As wide as an address.
    fn word(&self, bytes: &[u8], at: usize) -> Result<usize, Odd> {
        if !self.wide {
            return self.whole(bytes, at).map(|number| number as usize);
        }
        let of = if self.big_endian { u64::from_be_bytes } else { u64::from_le_bytes };
        let number = bytes.get(at..).and_then(<[u8]>::first_chunk).map(|bytes| of(*bytes)).ok_or_else(cut)?;
        usize::try_from(number).map_err(|_| cut())
    }
}

fn cut() -> Odd {
    odd("its ELF header is cut short")
}

/// The text that begins at a place of a table of texts that end with NUL.
pub(super) fn text_at(table: &[u8], at: usize) -> Result<&[u8], Odd> {
    let rest = table.get(at..).ok_or_else(|| odd("a name lies beyond its table"))?;
    let end = rest.iter().position(|&byte| byte == 0).ok_or_else(|| odd("a name has no end"))?;
    Ok(&rest[..end])
}
