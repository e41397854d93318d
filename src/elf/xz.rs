//! `.xz` as kernels' builds and distributions write it: one stream of one block, LZMA2 alone, CRC32.
//!
//! A module's sum is a fifth of what the general reader of lzma-rust2 does; here it is a fiftieth. Whatever has
//! another shape is for that reader.

use std::io::{self, Read};

/// What a stream begins with, its flags (CRC32) and their sum included.
const HEAD: [u8; 12] = [0xfd, b'7', b'z', b'X', b'Z', 0, 0, 1, 0x69, 0x22, 0xde, 0x36];

/// The largest dictionary that is not left to the general reader, in bytes.
const DICTIONARY: u32 = 64 << 20;

/// What a file of this shape consists of.
struct Plain<'a> {
    /// In LZMA2.
    data: &'a [u8],
    dictionary: u32,
    /// Length in bytes, unpacked.
    length: u64,
    /// Sum of the unpacked bytes.
    sum: u32,
}

/// Adds the content of a file of this shape; `None` where it has another one.
///
/// # Errors
/// When it is damaged, or unpacks to more than `largest` bytes.
pub(super) fn unpack(bytes: &[u8], largest: u64, out: &mut Vec<u8>) -> Option<io::Result<()>> {
    let plain = Plain::of(bytes)?;
    if plain.length > largest {
        return None;
    }
    Some(plain.unpack(out))
}

impl<'a> Plain<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        // The footer: a sum, the size of the index, the flags, and two letters.
        let (rest, footer) = bytes.strip_prefix(&HEAD)?.split_last_chunk::<12>()?;
        let summed = |part: &[u8], sum: &[u8]| crc32fast::hash(part).to_le_bytes() == *sum;
        if footer[8..] != [0, 1, b'Y', b'Z'] || !summed(&footer[4..10], &footer[..4]) {
            return None;
        }
        let words = u32::from_le_bytes(*footer[4..].first_chunk()?);
        let index = 4 * (usize::try_from(words).ok()? + 1);
        let (block, index) = rest.split_at_checked(rest.len().checked_sub(index)?)?;
        let (index, sum) = index.split_last_chunk::<4>()?;
        let mut rest = index.strip_prefix(&[0, 1]).filter(|_| summed(index, sum))?;
        let unpadded = number(&mut rest)?;
        let length = number(&mut rest)?;
        if rest.iter().any(|&byte| byte != 0) || unpadded.next_multiple_of(4) != block.len() as u64 {
            return None;
        }
        // The header of the block: its size, flags, sizes that need not be there, and the filter.
        let header = 4 * (usize::from(*block.first()?) + 1);
        let (header, body) = block.split_at_checked(header)?;
        let (header, _) = header.split_last_chunk::<4>().filter(|(header, sum)| summed(header, *sum))?;
        let (flags, mut rest) = header.get(1..)?.split_first()?;
        for size in [0x40, 0x80] {
            if flags & size != 0 {
                number(&mut rest)?;
            }
        }
        let [0x21, 1, dictionary, padding @ ..] = rest else { return None };
        if flags & 0x3f != 0 || *dictionary > 28 || padding.iter().any(|&byte| byte != 0) {
            return None;
        }
        let dictionary = (2 | u32::from(dictionary & 1)) << (dictionary / 2 + 11);
        let sum_at = usize::try_from(unpadded).ok()?.checked_sub(header.len() + 4 + 4)?.next_multiple_of(4);
        let (data, sum) = body.split_at_checked(sum_at)?;
        let sum = u32::from_le_bytes(sum.try_into().ok()?);
        (dictionary <= DICTIONARY).then_some(Self { data, dictionary, length, sum })
    }

    fn unpack(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let start = out.len();
        out.reserve_exact(usize::try_from(self.length).unwrap_or_default());
        let mut reader = lzma_rust2::Lzma2Reader::new(self.data, self.dictionary, None).take(self.length + 1);
        reader.read_to_end(out)?;
        let rest = reader.into_inner().into_inner();
        let whole = out.len() as u64 - start as u64 == self.length && rest.iter().all(|&byte| byte == 0);
        if whole && crc32fast::hash(&out[start..]) == self.sum {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "it is damaged: its sum is another one"))
    }
}

/// A number of seven bits a byte, the lowest first.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn packed(bytes: &[u8], check: lzma_rust2::CheckType) -> Vec<u8> {
        let mut options = lzma_rust2::XzOptions::with_preset(1);
        options.set_check_sum_type(check);
        options.lzma_options.dict_size = 1 << 20;
        let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn the_usual_shape_is_read_and_no_other() {
        let text: Vec<u8> = (0..300_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let usual = packed(&text, lzma_rust2::CheckType::Crc32);
        let mut out = b"before".to_vec();
        unpack(&usual, 1 << 30, &mut out).unwrap().unwrap();
        assert!(out.starts_with(b"before") && out[6..] == text);
        assert!(unpack(&usual, 1000, &mut out).is_none(), "larger than what is allowed");
        let others = [packed(&text, lzma_rust2::CheckType::Crc64), [&usual[..], &usual].concat(), text];
        for other in others {
            assert!(unpack(&other, 1 << 30, &mut out).is_none());
        }
    }

    proptest! {
        /// Damage anywhere: an error, another shape, or (in what stands for nothing) the same bytes.
        #[test]
        fn no_damage_goes_unnoticed(
            text in proptest::collection::vec(any::<u8>(), 0..300),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = packed(&text, lzma_rust2::CheckType::Crc32);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let mut out = Vec::new();
            if let Some(Ok(())) = unpack(&bytes, 1 << 20, &mut out) {
                prop_assert_eq!(out, text);
            }
        }
    }
}
