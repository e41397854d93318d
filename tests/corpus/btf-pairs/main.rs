//! How well a built module can be judged against the headers of another kernel, with the truth beside it: what the
//! same source becomes when it is built with those headers. tests/corpus/btf-pairs/run makes the builds; README.md
//! says what is compared.
//!
//! `btf-pairs OLD NEW`, each a directory with `headers`, `modules` (of the kernel) and `built`; the modules in
//! `built` have their debugging information. Without arguments: how long the types of kernels take to be read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use dkms_hook::btf::{self, Comparison};
use dkms_hook::elf::{self, Compression};
use dkms_hook::fs::root::Root;
use dkms_hook::kernel::{self, Exports, Symvers};
use dkms_hook::model::ids::{Arch, Cell, KernelRelease, ModuleId};
use dkms_hook::model::uses::{ModuleUses, Uses};
use dkms_hook::tree::layout::Layout;
use dkms_hook::tree::state;
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};

fn main() {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let arguments: Vec<&PathBuf> = arguments.iter().filter(|word| !word.starts_with("--bench")).collect();
    match arguments[..] {
        [old, new] => pair(old, new),
        [vmlinux] => time(vmlinux),
        _ => time(Path::new("/sys/kernel/btf/vmlinux")),
    }
}

/// What is asked of a kernel whose types nobody has read yet: all of them are read, and every one that has a name is
/// digested, which is more than any module uses.
fn time(vmlinux: &Path) {
    for _ in 0..5 {
        let begun = Instant::now();
        let Ok(types) = btf::read(vmlinux) else { return println!("no types at {}", vmlinux.display()) };
        let read = begun.elapsed();
        let digests = btf::Digests::of(types.into());
        let mut count = 0;
        for id in digests.btf().own() {
            if matches!(digests.btf().named(id), Ok(Some(_))) {
                count += usize::from(digests.by_value(id).or_else(|_| digests.prototype(id)).is_ok());
            }
        }
        println!("read {read:?}; with digests of all {count} names {:?}", begun.elapsed());
    }
}

/// One kernel, and what was built for it.
struct Side {
    types: Arc<btf::KernelTypes>,
    exports: Exports,
    symvers: Symvers,
    built: BTreeMap<String, PathBuf>,
}

fn side(dir: &Path) -> Side {
    let headers = dir.join("headers");
    let symvers = headers.join("Module.symvers");
    let files =
        walkdir::WalkDir::new(dir.join("built")).into_iter().flatten().map(walkdir::DirEntry::into_path);
    let modules = files.filter(|path| path.extension().is_some_and(|suffix| suffix == "ko"));
    let built = dir.join("built");
    Side {
        types: kernel::kernel_types(&headers, &dir.join("modules")).expect("a vmlinux in the headers"),
        exports: Exports::read(&symvers).expect("Module.symvers"),
        symvers: Symvers::read(&symvers).expect("Module.symvers"),
        built: modules
            .map(|path| (path.strip_prefix(&built).expect("it is in there").display().to_string(), path))
            .collect(),
    }
}

fn pair(old: &Path, new: &Path) {
    let (old, new) = (side(old), side(new));
    let mut sums: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let mut sizes = Vec::new();
    let (mut same_code, mut modules) = (0, 0);
    println!("{:<58} {:<9} {:<8} {:<8} first change", "module", "code", "CRC", "types");
    for (name, path) in &old.built {
        let Some(other) = new.built.get(name) else { continue };
        let same = code(path) == code(other);
        modules += 1;
        same_code += usize::from(same);
        let imports = elf::imports(path).expect("a module");
        // What another module of the package exports is none of the kernel's: all of a package is built at once.
        let changes = new.symvers.changes(&imports);
        let by_crc = changes.iter().all(|change| old.exports.get(&change.symbol).is_none());
        let Some(uses) = uses_of(&old, path, &imports) else {
            println!("{name:<58} pahole says nothing of it");
            continue;
        };
        sizes.push((uses.types.len(), stored(&uses)));
        let answer = btf::compare(&uses, &new.types, |symbol| new.exports.get(symbol).cloned());
        let (by_types, first) = match answer {
            Comparison::Same => (true, String::new()),
            Comparison::Changed(changes) => (false, format!("{} (of {})", changes[0], changes.len())),
            Comparison::Unknown(why) => (false, why),
        };
        for (judge, keeps) in [("CRC", by_crc), ("types", by_types)] {
            let sum = sums.entry(judge).or_default();
            sum[match (keeps, same) {
                (true, true) => 0,
                (true, false) => 1,
                (false, true) => 2,
                (false, false) => continue,
            }] += 1;
        }
        let word = |yes: bool| if yes { "keeps" } else { "builds" };
        let code = if same { "same" } else { "differs" };
        println!("{name:<58} {code:<9} {:<8} {:<8} {first}", word(by_crc), word(by_types));
    }
    println!("\n{modules} modules, {same_code} with the same code");
    println!("{:<8} {:>12} {:>14} {:>10}", "judge", "kept right", "kept wrongly", "needless");
    for (judge, [right, wrong, needless]) in &sums {
        println!("{judge:<8} {right:>12} {wrong:>14} {needless:>10}");
    }
    sizes.sort_unstable();
    let (types, bytes) = sizes.get(sizes.len() / 2).copied().unwrap_or_default();
    println!("the module in the middle uses {types} types, which are written down in {bytes} bytes");
    if sums.get("types").is_some_and(|[_, wrong, _]| *wrong > 0) {
        println!("FAILED: a build was kept that is not what would be built");
        std::process::exit(1);
    }
}

/// The size of the file in which that is written down.
fn stored(uses: &ModuleUses) -> u64 {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let layout = Layout::new(Root::at(dir.path()));
    let cell = Cell {
        module: ModuleId::new("m", "1").expect("a name"),
        kernel: KernelRelease::new("1").expect("a name"),
        arch: Arch::new("x86_64").expect("a name"),
    };
    std::fs::create_dir_all(layout.cell(&cell)).expect("a directory");
    let uses = Uses { rules: btf::RULES, configuration: String::new(), modules: vec![uses.clone()] };
    state::save_uses(&layout, &cell, &uses).expect("a file");
    std::fs::metadata(layout.uses(&cell)).expect("a file").len()
}

fn uses_of(old: &Side, path: &Path, imports: &elf::Imports) -> Option<ModuleUses> {
    let types = kernel::types_of_build(path)?;
    let exported = |name: &String| Some((name.clone(), old.exports.get(name)?.clone()));
    let imports = imports.undefined.iter().filter_map(exported).collect();
    btf::uses("module", types, &imports, &old.types).ok().map(|(uses, _)| uses)
}

/// What of a module is its code: sections with their relocations, except those that say how and for which kernel it
/// was built.
fn code(path: &Path) -> BTreeMap<String, (Vec<u8>, BTreeSet<String>)> {
    let bytes = std::fs::read(path).expect("a module");
    let bytes = Compression::of(path).expect("a module").unpack(bytes).expect("a module");
    let elf = object::File::parse(elf::without_signature(&bytes)).expect("a module");
    let named = |section: &object::Section<'_, '_>| section.name().unwrap_or_default().to_owned();
    let not_code = |name: &str| {
        let begins = [".debug", ".BTF", ".note", "__kcrctab", ".rela", ".comment", "__version"];
        let is = [".modinfo", ".symtab", ".strtab", ".shstrtab", ".gnu_debuglink", ""];
        begins.iter().any(|begin| name.starts_with(begin)) || is.contains(&name)
    };
    let mut out = BTreeMap::new();
    for section in elf.sections() {
        let name = named(&section);
        if not_code(&name) {
            continue;
        }
        let data = section.data().map(<[u8]>::to_vec).unwrap_or_default();
        let size = section.size();
        let relocations = section.relocations().map(|(at, relocation)| {
            let to = match relocation.target() {
                RelocationTarget::Symbol(index) => {
                    elf.symbol_by_index(index).map_or(String::new(), |symbol| {
                        let of = symbol.section_index().and_then(|at| elf.section_by_index(at).ok());
                        let of = of.map(|section| named(&section)).unwrap_or_default();
                        // Names that the compiler numbers change with every declaration in front.
                        match symbol.name().unwrap_or_default() {
                            "" => of,
                            _ if symbol.is_local() => format!("{of}+{:#x}", symbol.address()),
                            name => name.to_owned(),
                        }
                    })
                }
                _ => String::new(),
            };
            format!("{at:#x} {to} {:#x} {:?}", relocation.addend(), relocation.flags())
        });
        let all: BTreeSet<String> = relocations.chain([format!("size {size:#x}")]).collect();
        let entry: &mut (Vec<u8>, BTreeSet<String>) = out.entry(name).or_default();
        entry.0.extend(data);
        entry.1.extend(all);
    }
    out
}
