//! The symbols that a module imports, with the CRCs of their types as the module was built against
//! them (CONFIG_MODVERSIONS). The kernel refuses a module when one of them differs from its own.
//!
//! Two forms are in use (kernel/module/version.c): `__versions`, records of a fixed size, in all
//! kernels; and since 6.14 also `__version_ext_crcs` with `__version_ext_names`, which holds names of
//! any length. A module may have either or both.

use std::collections::BTreeMap;

use object::{Endian, Object, ObjectSection};

use super::without_signature;

/// Size of one record of `__versions` (`struct modversion_info`): a CRC as wide as a pointer, then the
/// name, filled up with zeros.
const RECORD: usize = 64;

/// The CRC of every imported symbol by its name; `None` when the module was built without symbol
/// versions.
///
/// `bytes` is the uncompressed content of a module file; a signature at its end is fine.
///
/// # Errors
/// Says what is wrong with the content, in words that follow "it is not a module:".
pub fn imported_versions(bytes: &[u8]) -> Result<Option<BTreeMap<String, u32>>, String> {
    let elf = object::File::parse(without_signature(bytes)).map_err(|_| "not an ELF file".to_owned())?;
    let section = |name: &str| match elf.section_by_name(name) {
        None => Ok(None),
        Some(section) => section.data().map(Some).map_err(|e| format!("its {name} section: {e}")),
    };
    let endian = elf.endianness();
    let mut found = BTreeMap::new();
    let records = section("__versions")?;
    let width = if elf.is_64() { 8 } else { 4 };
    for record in records.unwrap_or_default().chunks_exact(RECORD) {
        let (crc, name) = record.split_at(width);
        // The CRC is in the lower half of a 64-bit number.
        let low = if elf.is_64() && !elf.is_little_endian() { &crc[4..] } else { &crc[..4] };
        insert(&mut found, name, endian.read_u32(four(low)));
    }
    let (crcs, names) = (section("__version_ext_crcs")?, section("__version_ext_names")?);
    let names = names.unwrap_or_default().split(|&b| b == 0);
    for (crc, name) in crcs.unwrap_or_default().chunks_exact(4).zip(names) {
        insert(&mut found, name, endian.read_u32(four(crc)));
    }
    Ok((records.is_some() || crcs.is_some()).then_some(found))
}

fn four(bytes: &[u8]) -> [u8; 4] {
    bytes.try_into().unwrap_or_default()
}

fn insert(found: &mut BTreeMap<String, u32>, name: &[u8], crc: u32) {
    let end = name.iter().position(|&b| b == 0).unwrap_or(name.len());
    // On ppc64 a function's name may begin with a dot, which the kernel leaves out.
    let name = String::from_utf8_lossy(&name[..end]);
    let name = name.trim_start_matches('.');
    if !name.is_empty() {
        found.entry(name.to_owned()).or_insert(crc);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::elf::imports::of_bytes;
    use crate::elf::modinfo_of_bytes;

    /// An ELF file with these sections; 64-bit and little-endian, or neither.
    pub(crate) fn elf(sections: &[(&str, Vec<u8>)], little_64: bool) -> Vec<u8> {
        let number = |value: u64, size: usize| {
            let bytes = value.to_le_bytes();
            let mut out = bytes[..size].to_vec();
            if !little_64 {
                out.reverse();
            }
            out
        };
        let wide = if little_64 { 8 } else { 4 };
        let (header, entry) = if little_64 { (64, 64) } else { (52, 40) };
        let mut names = vec![0];
        let mut body: Vec<u8> = Vec::new();
        let mut table = vec![0; entry];
        let named: Vec<(&str, Vec<u8>)> =
            sections.iter().cloned().chain([(".shstrtab", Vec::new())]).collect();
        let mut offsets = Vec::new();
        for (name, _) in &named {
            offsets.push(names.len() as u64);
            names.extend(name.as_bytes());
            names.push(0);
        }
        for (i, (name, data)) in named.iter().enumerate() {
            let data = if *name == ".shstrtab" { &names } else { data };
            let kind = if *name == ".shstrtab" { 3 } else { 1 };
            for (value, size) in [
                (offsets[i], 4),
                (kind, 4),
                (0, wide),
                (0, wide),
                ((header + body.len()) as u64, wide),
                (data.len() as u64, wide),
                (0, 4),
                (0, 4),
                (1, wide),
                (0, wide),
            ] {
                table.extend(number(value, size));
            }
            body.extend(data);
        }
        let mut file = b"\x7fELF".to_vec();
        file.extend(if little_64 { [2, 1, 1] } else { [1, 2, 1] });
        file.resize(16, 0);
        for (value, size) in [
            (1, 2),
            (if little_64 { 62 } else { 20 }, 2),
            (1, 4),
            (0, wide),
            (0, wide),
            ((header + body.len()) as u64, wide),
            (0, 4),
            (header as u64, 2),
            (0, 2),
            (0, 2),
            (entry as u64, 2),
            (named.len() as u64 + 1, 2),
            (named.len() as u64, 2),
        ] {
            file.extend(number(value, size));
        }
        file.extend(body);
        file.extend(table);
        file
    }

    fn record(crc: &[u8], name: &str) -> Vec<u8> {
        let mut out = [crc, name.as_bytes()].concat();
        out.resize(RECORD, 0);
        out
    }

    fn expected(pairs: &[(&str, u32)]) -> Result<Option<BTreeMap<String, u32>>, String> {
        Ok(Some(pairs.iter().map(|(name, crc)| ((*name).to_owned(), *crc)).collect()))
    }

    #[test]
    fn both_forms_are_read() {
        let old = [
            record(&0x1234_5678_u64.to_le_bytes(), "module_layout"),
            record(&0xffff_ffff_u64.to_le_bytes(), ".printk"),
        ];
        let mut crcs = 1_u32.to_le_bytes().to_vec();
        crcs.extend(2_u32.to_le_bytes());
        let long = "a_name_of_more_than_the_fifty_six_bytes_that_fit_into_a_record";
        let names = format!("module_layout\0{long}\0").into_bytes();
        let file = elf(&[("__versions", old.concat())], true);
        assert_eq!(
            imported_versions(&file),
            expected(&[("module_layout", 0x1234_5678), ("printk", 0xffff_ffff)])
        );
        let sections = [("__version_ext_crcs", crcs), ("__version_ext_names", names)];
        let file = elf(&sections, true);
        assert_eq!(imported_versions(&file), expected(&[("module_layout", 1), (long, 2)]));
    }

    #[test]
    fn words_of_other_machines_are_read_too() {
        let old = record(&0x1234_5678_u32.to_be_bytes(), "printk");
        let file = elf(&[("__versions", old)], false);
        assert_eq!(imported_versions(&file), expected(&[("printk", 0x1234_5678)]));
    }

    #[test]
    fn a_module_without_versions_says_so_and_damage_is_no_panic() {
        assert_eq!(imported_versions(&elf(&[(".modinfo", b"name=x\0".to_vec())], true)), Ok(None));
        assert!(imported_versions(b"#!/bin/sh\n").is_err());
        let file = elf(&[("__versions", vec![1; RECORD - 1])], true);
        assert_eq!(imported_versions(&file), expected(&[]));
        let whole = elf(&[("__versions", record(&[1; 8], "printk"))], true);
        for end in 0..whole.len() {
            let _ = imported_versions(&whole[..end]);
        }
    }

    proptest! {
        /// Whatever the bytes: an answer, and none that is longer than the file.
        #[test]
        fn damage_anywhere_is_an_answer(
            little_64 in any::<bool>(),
            changes in proptest::collection::vec((0..4096usize, any::<u8>()), 0..6),
        ) {
            let sections = [
                (".modinfo", b"vermagic=6.1 SMP \0name=x\0depends=a,b\0noise\0".to_vec()),
                ("__versions", [record(&[1; 8], "printk"), record(&[2; 8], "memcpy")].concat()),
                ("__version_ext_crcs", vec![3; 8]),
                ("__version_ext_names", b"long\0name\0".to_vec()),
                (".symtab", vec![1; 48]),
            ];
            let mut bytes = elf(&sections, little_64);
            let whole = bytes.len();
            for (at, byte) in changes {
                bytes[at % whole] = byte;
            }
            if let Ok(info) = modinfo_of_bytes(&bytes) {
                prop_assert!(info.depends.concat().len() <= whole);
            }
            if let Ok(Some(versions)) = imported_versions(&bytes) {
                prop_assert!(versions.len() <= whole / 4);
            }
            let _ = of_bytes(&bytes);
        }
    }
}
