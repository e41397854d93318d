//! `Module.symvers`: the symbols that a kernel or a module exports, with the CRCs of their types.
//!
//! One line per symbol: CRC, name, where it is defined, how it is exported and, since 5.4, its
//! namespace, divided by tabs. Distributions put a compressed copy beside the kernel.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::elf::{Compression, Imports};
use crate::fs::regular;
use crate::model::fit::SymbolChange;
use crate::model::ids::KernelRelease;
use crate::model::uses::Export;
use crate::tree::layout::Layout;

/// Exported symbols by name, with their CRCs. 0 where the symbol has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Symvers(HashMap<String, u32>);

impl Symvers {
    /// Reads a file; `.gz`, `.xz` and `.zst` are unpacked.
    ///
    /// # Errors
    /// When it cannot be read or unpacked.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        Ok(Self::parse(&text(path)?))
    }

    /// Understands the text. Lines that are something else are left out.
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let mut fields = line.split('\t');
            let crc = fields.next()?.trim().strip_prefix("0x")?;
            let name = fields.next()?.trim();
            Some((name.to_owned(), u32::from_str_radix(crc, 16).ok()?))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// What a kernel exports, its own modules included; `None` when no file says so.
    pub fn of_kernel(layout: &Layout, kernel: &KernelRelease) -> Option<Self> {
        let found = candidates(layout, kernel).into_iter().find(|path| path.is_file())?;
        match Self::read(&found) {
            Ok(symvers) => Some(symvers),
            Err(error) => {
                log::warn!("cannot read {}: {error}", found.display());
                None
            }
        }
    }

    /// Adds the symbols of another file; what is known already stays.
    pub fn extend(&mut self, other: Self) {
        for (name, crc) in other.0 {
            self.0.entry(name).or_insert(crc);
        }
    }

    /// The first imported symbol that is not exported here, or with another CRC; why, in words that
    /// follow "because". A symbol that is exported without a CRC fits all.
    pub fn refuses(&self, imported: &BTreeMap<String, u32>) -> Option<String> {
        imported.iter().find_map(|(name, wanted)| match self.0.get(name) {
            None => Some(format!("{name} is not exported there")),
            Some(0) => None,
            Some(crc) if crc == wanted => None,
            Some(crc) => Some(format!(
                "{name} has CRC {crc:#010x} there, but the module needs \
                                       {wanted:#010x}"
            )),
        })
    }
}

impl Symvers {
    /// The symbols that a module imports and that are not exported here as it was built for: with another
    /// CRC, or not at all.
    pub fn changes(&self, imports: &Imports) -> Vec<SymbolChange> {
        let versions = imports.versions.iter().flatten();
        let others = versions.filter_map(|(name, old)| match self.0.get(name) {
            // Exported without a CRC, it fits all.
            Some(new) if *new == 0 || new == old => None,
            new => Some(SymbolChange { symbol: name.clone(), old: Some(*old), new: new.copied() }),
        });
        let known = |name: &&String| imports.versions.as_ref().is_some_and(|v| v.contains_key(*name));
        let gone = imports.undefined.iter().filter(|name| !known(name) && !self.0.contains_key(*name));
        let gone = gone.map(|name| SymbolChange { symbol: name.clone(), old: None, new: None });
        others.chain(gone).collect()
    }
}

/// How a kernel exports each symbol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exports(HashMap<String, Export>);

impl Exports {
    /// Reads a file, compressed or not.
    ///
    /// # Errors
    /// When it cannot be read or unpacked.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        let line = |line: &str| {
            let mut fields = line.split('\t').map(str::trim);
            let _crc = fields.next()?.strip_prefix("0x")?;
            let name = fields.next()?.to_owned();
            let (owner, kind) = (fields.next()?.to_owned(), fields.next()?.to_owned());
            let namespace = fields.next().unwrap_or_default().to_owned();
            Some((name, Export { owner, kind, namespace }))
        };
        Ok(Self(text(path)?.lines().filter_map(line).collect()))
    }

    /// How a symbol is exported, if it is.
    pub fn get(&self, symbol: &str) -> Option<&Export> {
        self.0.get(symbol)
    }
}

/// The text of a file, compressed or not.
fn text(path: &Path) -> std::io::Result<String> {
    let kind = match path.extension().and_then(|e| e.to_str()) {
        Some("gz") => Compression::Gzip,
        Some("xz") => Compression::Xz,
        Some("zst") => Compression::Zstd,
        _ => Compression::None,
    };
    Ok(String::from_utf8_lossy(&kind.unpack(regular::read(path)?)?).into_owned())
}

/// Where the symbols of a kernel may be listed, best first.
fn candidates(layout: &Layout, kernel: &KernelRelease) -> Vec<PathBuf> {
    const SUFFIXES: [&str; 4] = ["", ".gz", ".xz", ".zst"];
    let beside = SUFFIXES.map(|suffix| layout.kernel(kernel).join(format!("symvers{suffix}")));
    let boot = SUFFIXES.map(|suffix| layout.root.path(format!("/boot/symvers-{kernel}{suffix}")));
    let headers = layout.headers(kernel).join("Module.symvers");
    beside.into_iter().chain(boot).chain([headers]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;

    const TEXT: &str = "0x12345678\tprintk\tvmlinux\tEXPORT_SYMBOL\n\
                        0x00000000\tmemcpy\tvmlinux\tEXPORT_SYMBOL\t\n\
                        0xfedcba98\tusb_x\tdrivers/usb/x\tEXPORT_SYMBOL_GPL\tUSB\nnonsense\n";

    fn imports(pairs: &[(&str, u32)]) -> BTreeMap<String, u32> {
        pairs.iter().map(|(name, crc)| ((*name).to_owned(), *crc)).collect()
    }

    #[test]
    fn symbols_fit_by_name_and_crc() {
        let symvers = Symvers::parse(TEXT);
        assert_eq!(symvers.0.len(), 3);
        assert_eq!(symvers.refuses(&imports(&[("printk", 0x1234_5678), ("memcpy", 7)])), None);
        let other = symvers.refuses(&imports(&[("usb_x", 1)])).unwrap();
        assert_eq!(other, "usb_x has CRC 0xfedcba98 there, but the module needs 0x00000001");
        assert_eq!(symvers.refuses(&imports(&[("gone", 1)])).unwrap(), "gone is not exported there");
        let mut more = symvers.clone();
        more.extend(Symvers::parse("0x1\tgone\tm\tEXPORT_SYMBOL\n0x2\tprintk\tm\tEXPORT_SYMBOL\n"));
        assert_eq!(more.refuses(&imports(&[("gone", 1), ("printk", 0x1234_5678)])), None);
    }

    #[test]
    fn what_changed_is_named_with_both_crcs() {
        let symvers = Symvers::parse(TEXT);
        let module = |versions: &[(&str, u32)], undefined: &[&str]| Imports {
            versions: Some(imports(versions)),
            undefined: undefined.iter().map(|name| (*name).to_owned()).collect(),
            ..Imports::default()
        };
        let fits = module(&[("printk", 0x1234_5678), ("memcpy", 7)], &["printk", "memcpy", "usb_x"]);
        assert_eq!(symvers.changes(&fits), []);
        let other = module(&[("printk", 1), ("gone", 2)], &["printk", "gone", "lost"]);
        let said: Vec<String> = symvers.changes(&other).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            ["gone (no longer exported)", "printk (0x00000001 -> 0x12345678)", "lost (no longer exported)"]
        );
    }

    #[test]
    fn a_kernels_list_is_found_where_distributions_put_it() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let kernel = KernelRelease::new("6.1").unwrap();
        assert_eq!(Symvers::of_kernel(&layout, &kernel), None);
        let write = |path: PathBuf, bytes: Vec<u8>| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        let packed = |text: &str| {
            use std::io::Write;
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        };
        write(layout.kernel(&kernel).join("build/Module.symvers"), b"0x1\tbuild\tv\tE\n".to_vec());
        let has = |name: &str| Symvers::of_kernel(&layout, &kernel).unwrap().0.contains_key(name);
        assert!(has("build"));
        write(layout.root.path("/boot/symvers-6.1.gz"), packed("0x1\tboot\tv\tE\n"));
        assert!(has("boot"));
        let zstd = zstd::encode_all(&b"0x1\tbeside\tv\tE\n"[..], 1).unwrap();
        write(layout.kernel(&kernel).join("symvers.zst"), zstd);
        assert!(has("beside"));
        write(layout.kernel(&kernel).join("symvers.zst"), b"damaged".to_vec());
        assert_eq!(Symvers::of_kernel(&layout, &kernel), None);
    }
}
