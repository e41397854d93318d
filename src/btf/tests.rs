use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::sample::TypeTable;
use super::*;
use crate::model::uses::{ChangeOfType, Export, ModuleUses};

fn parsed(table: &TypeTable) -> Btf {
    Btf::parse(&table.bytes(), None).unwrap()
}

/// The digest of the last type of a table.
fn last(table: &TypeTable) -> u64 {
    let btf = Arc::new(parsed(table));
    let id = btf.end() - 1;
    Digests::of(btf).by_value(id).unwrap()
}

/// As `last`, of a function.
fn prototype(table: &TypeTable) -> u64 {
    let btf = Arc::new(parsed(table));
    let id = btf.end() - 1;
    Digests::of(btf).prototype(id).unwrap()
}

/// A struct of one member, made by `member`.
fn holding(member: impl Fn(&mut TypeTable) -> u32) -> u64 {
    let mut table = TypeTable::new(true);
    let member = member(&mut table);
    table.structure("holder", 64, &[("it", member, 0, 0)]);
    last(&table)
}

/// A function of one parameter.
fn taking(parameter: impl Fn(&mut TypeTable) -> u32) -> u64 {
    let mut table = TypeTable::new(true);
    let parameter = parameter(&mut table);
    table.function("f", 0, &[parameter]);
    prototype(&table)
}

/// `struct device { struct kobject kobj; struct bus *bus; unsigned int flags:3; }`, and a function of it.
fn kernel(little: bool, extra: bool) -> TypeTable {
    let mut table = TypeTable::new(little);
    let int = table.int("int", 4);
    let bus = table.structure("bus", if extra { 8 } else { 4 }, &[("n", int, 0, 0)]);
    let to_bus = table.pointer(bus);
    let kobject = table.structure("kobject", 4, &[("refs", int, 0, 0)]);
    let members =
        [("kobj", kobject, 0, 0), ("bus", to_bus, 64, 0), ("flags", int, 128, 3), ("", int, 160, 0)];
    let device = table.structure("device", 24, &members[..3 + usize::from(extra)]);
    let to_device = table.pointer(device);
    table.enumeration("state", &[("OFF", 0), ("ON", u32::MAX)]);
    table.enumeration("declared", &[]);
    table.function("device_add", int, &[to_device]);
    table
}

#[test]
fn both_byte_orders_say_the_same() {
    let (little, big) = (Arc::new(parsed(&kernel(true, false))), Arc::new(parsed(&kernel(false, false))));
    assert_eq!(little.end(), big.end());
    let (of_little, of_big) = (Digests::of(Arc::clone(&little)), Digests::of(Arc::clone(&big)));
    for id in little.own() {
        assert_eq!(little.get(id).is_ok(), big.get(id).is_ok());
        assert_eq!(of_little.by_value(id), of_big.by_value(id), "{:?}", little.get(id));
    }
}

#[test]
fn names_are_found_and_a_declaration_is_no_definition() {
    let table = parsed(&kernel(true, false));
    let names = |kind, name: &str| table.find(kind, name.as_bytes()).count();
    assert_eq!((names(Kind::Struct, "device"), names(Kind::Union, "device")), (1, 0));
    assert_eq!((names(Kind::Enum, "state"), names(Kind::Enum, "declared")), (1, 0));
    assert_eq!(names(Kind::Function, "device_add"), 1);
    assert_eq!(names(Kind::Struct, "devic"), 0);
}

#[test]
fn a_layout_is_told_as_in_c() {
    let table = parsed(&kernel(true, false));
    let id = table.find(Kind::Struct, b"device").next().unwrap();
    assert_eq!(
        layout(&table, id).unwrap(),
        ["24", "0 struct kobject kobj", "8 struct bus *bus", "16.0:3 int flags"]
    );
    let id = table.find(Kind::Enum, b"state").next().unwrap();
    assert_eq!(layout(&table, id).unwrap(), ["4", "OFF = 0", "ON = 4294967295"]);
    let mut table = TypeTable::new(true);
    let int = table.int("int", 4);
    let constant = table.constant(int);
    let to_constant = table.pointer(constant);
    let array = table.array(to_constant, 3);
    let prototype = table.prototype(0, &[array, 0]);
    let call = table.pointer(prototype);
    let inner = table.structure("", 8, &[("call", call, 0, 0)]);
    table.union("u", 24, &[("a", array, 0, 0), ("", inner, 64, 0)]);
    let table = parsed(&table);
    assert_eq!(
        layout(&table, table.end() - 1).unwrap(),
        ["24", "0 const int *a[3]", "8 void (*call)(const int *[3], ...)"]
    );
}

#[test]
fn a_digest_by_value_is_of_what_code_depends_on() {
    let int = |t: &mut TypeTable| t.int("int", 4);
    let plain = holding(int);
    assert_eq!(plain, holding(int));
    assert_ne!(plain, holding(|t| t.int("int", 8)));
    assert_ne!(plain, holding(|t| t.int("long", 4)));
    // What is embedded counts with all that is in it.
    let embedded = |name: &'static str, place: u32| {
        holding(move |t| {
            let int = t.int("int", 4);
            t.structure("inner", 8, &[(name, int, place, 0)])
        })
    };
    assert_eq!(embedded("a", 0), embedded("a", 0));
    assert_ne!(embedded("a", 0), embedded("b", 0));
    assert_ne!(embedded("a", 0), embedded("a", 32));
    // What is pointed to counts by its name only, whether it is known or just declared.
    let pointed = |size: u32| {
        holding(move |t| {
            let inner = t.structure("inner", size, &[]);
            t.pointer(inner)
        })
    };
    assert_eq!(pointed(4), pointed(8));
    let declared = holding(|t| {
        let inner = t.forward("inner");
        t.pointer(inner)
    });
    assert_eq!(pointed(4), declared);
    // One without a name cannot be asked for by its name.
    let nameless = |size: u32| {
        holding(move |t| {
            let inner = t.structure("", size, &[]);
            let known_as = t.typedef("inner_t", inner);
            t.pointer(known_as)
        })
    };
    assert_ne!(nameless(4), nameless(8));
    let values = |value: u32| holding(move |t| t.enumeration("e", &[("A", value)]));
    assert_ne!(values(1), values(2));
}

#[test]
fn a_prototype_is_told_by_names() {
    let pointer = |of: &'static str| {
        taking(move |t| {
            let of = t.structure(of, 4, &[]);
            t.pointer(of)
        })
    };
    assert_ne!(pointer("a"), pointer("b"));
    assert_ne!(taking(|t| t.int("int", 4)), taking(|t| t.int("long", 8)));
    let mut more = TypeTable::new(true);
    let int = more.int("int", 4);
    more.function("f", 0, &[int, 0]);
    assert_ne!(prototype(&more), taking(|t| t.int("int", 4)));
}

/// What compilers and makers of tables say of one source in several ways.
#[test]
fn several_ways_to_say_the_same_have_one_digest() {
    // pahole 1.30 writes [3][2] as [6], 1.32 as it is.
    let flat = holding(|t| {
        let int = t.int("int", 4);
        t.array(int, 6)
    });
    let nested = holding(|t| {
        let int = t.int("int", 4);
        let inner = t.array(int, 2);
        t.array(inner, 3)
    });
    assert_eq!(flat, nested);
    // `char *const p` or `char *p` of a parameter: gcc records one of several declarations.
    let constant = taking(|t| {
        let int = t.int("int", 4);
        let pointer = t.pointer(int);
        t.constant(pointer)
    });
    let plain = taking(|t| {
        let int = t.int("int", 4);
        t.pointer(int)
    });
    assert_eq!(constant, plain);
    // Tags of types, which gcc 16 writes.
    let tagged = holding(|t| {
        let int = t.int("int", 4);
        let tag = t.add("user", 18 << 24, int, &[]);
        t.pointer(tag)
    });
    let untagged = holding(|t| {
        let int = t.int("int", 4);
        t.pointer(int)
    });
    assert_eq!(tagged, untagged);
    // Enumerations of one and of two words.
    let narrow = holding(|t| t.enumeration("e", &[("A", u32::MAX)]));
    let wide = holding(|t| {
        let name = t.add("A", 8 << 24, 0, &[]);
        let _ = name;
        // The name of the value is that of the typedef in front: its place is 1.
        t.add("e", (1 << 31) | (19 << 24) | 1, 4, &[1, u32::MAX, u32::MAX])
    });
    assert_eq!(narrow, wide);
    // A bit-field in a struct of the old form keeps its size with the type.
    let mut old = TypeTable::new(true);
    let bits = old.add("unsigned int", 1 << 24, 4, &[(1 << 24) | 3]);
    old.add("s", (4 << 24) | 1, 4, &[0, bits, 5]);
    let mut new = TypeTable::new(true);
    let int = new.add("unsigned int", 1 << 24, 4, &[(1 << 24) | 32]);
    new.structure("s", 4, &[("", int, 5, 3)]);
    assert_eq!(last(&old), last(&new));
    // The name of a function's type stays or goes with its attributes.
    let known_as = holding(|t| {
        let prototype = t.prototype(0, &[]);
        let pointer = t.pointer(prototype);
        t.typedef("call_t", pointer)
    });
    let bare = holding(|t| {
        let prototype = t.prototype(0, &[]);
        t.pointer(prototype)
    });
    assert_eq!(known_as, bare);
    let int = |t: &mut TypeTable| t.int("int", 4);
    let known_as = holding(|t| {
        let int = int(t);
        t.typedef("number_t", int)
    });
    assert_ne!(known_as, holding(int), "of other types the name counts");
}

/// The kernel of `kernel` with a module `toys/ring` on top, as files.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new(vmlinux: &TypeTable) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("vmlinux"), vmlinux.bytes()).unwrap();
        Self { dir }
    }

    fn types(&self) -> KernelTypes {
        KernelTypes::read(&self.dir.path().join("vmlinux"), self.dir.path().join("modules")).unwrap()
    }
}

fn imports(names: &[&str]) -> BTreeMap<String, Export> {
    let export = Export { owner: VMLINUX.into(), kind: "EXPORT_SYMBOL".into(), namespace: String::new() };
    names.iter().map(|name| ((*name).to_owned(), export.clone())).collect()
}

/// What a module uses that knows the types of `kernel`, one of its own, and a `bus` that is not the kernel's.
fn module() -> ModuleUses {
    let mut own = TypeTable::new(true);
    let int = own.int("int", 4);
    let bus = own.forward("bus");
    let to_bus = own.pointer(bus);
    let kobject = own.structure("kobject", 4, &[("refs", int, 0, 0)]);
    own.structure("device", 24, &[("kobj", kobject, 0, 0), ("bus", to_bus, 64, 0), ("flags", int, 128, 3)]);
    own.structure("mine", 4, &[("x", int, 0, 0)]);
    let place = Place::new(&kernel(true, false));
    let (uses, unknown) =
        uses("m", parsed(&own), &imports(&["device_add", "untyped"]), &place.types()).unwrap();
    assert_eq!(unknown, ["mine".to_owned()].into());
    uses
}

#[test]
fn what_a_module_uses_is_what_the_kernel_describes_too() {
    let uses = module();
    let names: Vec<&str> = uses.types.iter().map(|used| used.name.as_str()).collect();
    assert_eq!(names, ["device", "kobject"], "neither what is declared only nor what is its own");
    let typed: Vec<bool> = uses.symbols.iter().map(|used| used.prototype.is_some()).collect();
    assert_eq!(typed, [true, false]);
}

#[test]
fn a_kernel_is_compared_by_types_prototypes_and_exports() {
    let uses = module();
    let all = imports(&["device_add", "untyped"]);
    let against = |table: &TypeTable, exports: &BTreeMap<String, Export>| {
        compare(&uses, &Place::new(table).types(), |name| exports.get(name).cloned())
    };
    assert_eq!(against(&kernel(true, false), &all), Comparison::Same);
    // `bus` is another, which this module cannot see into; so is `device`.
    let Comparison::Changed(changes) = against(&kernel(true, true), &all) else { panic!("it is another") };
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(changes[0].to_string(), "struct device (nothing -> `20 int`)");
    let Comparison::Changed(changes) = against(&TypeTable::new(true), &all) else {
        panic!("nothing is left")
    };
    assert!(changes.iter().any(|c| c.to_string() == "struct kobject (gone)"), "{changes:?}");
    let Comparison::Changed(changes) = against(&kernel(true, false), &imports(&["untyped"])) else {
        panic!("a symbol is gone")
    };
    assert_eq!(changes[0].to_string(), "device_add (gone)");
    let mut for_others = all.clone();
    for_others.get_mut("untyped").unwrap().kind = "EXPORT_SYMBOL_GPL".into();
    let Comparison::Changed(changes) = against(&kernel(true, false), &for_others) else {
        panic!("it is exported otherwise")
    };
    assert_eq!(changes[0].to_string(), "untyped (EXPORT_SYMBOL of vmlinux -> EXPORT_SYMBOL_GPL of vmlinux)");
    let mut other = kernel(true, false);
    let long = other.int("long", 8);
    let mut renamed = TypeTable::new(true);
    std::mem::swap(&mut renamed, &mut other);
    // Two functions of a name: nobody knows which is exported, so only its existence counts.
    renamed.function("device_add", long, &[]);
    assert_eq!(against(&renamed, &all), Comparison::Same);
}

/// A name that means one thing to the module and another to the kernel: all of the kernel's have to stay.
#[test]
fn a_name_with_two_meanings_is_watched_at_the_kernels_side() {
    let mut own = TypeTable::new(true);
    let int = own.int("int", 4);
    own.structure("kobject", 8, &[("other", int, 0, 0)]);
    let place = Place::new(&kernel(true, false));
    let (uses, unknown) = uses("m", parsed(&own), &imports(&[]), &place.types()).unwrap();
    assert_eq!((uses.types.len(), unknown.len()), (1, 0));
    assert_eq!(compare(&uses, &place.types(), |_| None), Comparison::Same);
    let mut changed = TypeTable::new(true);
    let int = changed.int("int", 4);
    changed.structure("kobject", 12, &[("refs", int, 0, 0)]);
    let Comparison::Changed(changes) = compare(&uses, &Place::new(&changed).types(), |_| None) else {
        panic!("it changed")
    };
    assert_eq!(changes[0].to_string(), "struct kobject (`size 4` -> `size 12`)");
}

#[test]
fn the_types_of_a_module_that_cannot_be_read_are_no_change() {
    let mut uses = module();
    uses.types[0].owner = "toys/ring".into();
    let all = imports(&["device_add", "untyped"]);
    let answer = compare(&uses, &Place::new(&kernel(true, false)).types(), |name| all.get(name).cloned());
    assert_eq!(answer, Comparison::Unknown("the types of toys/ring cannot be read".into()));
    uses.types[0].owner = "../../../vmlinux".into();
    let answer = compare(&uses, &Place::new(&kernel(true, false)).types(), |name| all.get(name).cloned());
    assert!(matches!(answer, Comparison::Unknown(_)));
}

#[test]
fn a_table_on_top_of_another_goes_on_where_that_ends() {
    let base = kernel(true, false);
    let parsed_base = Arc::new(parsed(&base));
    let device = parsed_base.find(Kind::Struct, b"device").next().unwrap();
    let mut top = base.on_top();
    top.structure("ring", 24, &[("dev", device, 0, 0)]);
    let split = Btf::parse(&top.bytes(), Some(Arc::clone(&parsed_base))).unwrap();
    assert!(split.is_of_its_base());
    let ring = split.find(Kind::Struct, b"ring").next().unwrap();
    assert_eq!(ring, parsed_base.end());
    assert_eq!(layout(&split, ring).unwrap(), ["24", "0 struct device dev"]);
    assert_eq!(split.find(Kind::Struct, b"device").count(), 0, "that one is in the other table");
    // On top of another one, it names the middle of words.
    let mut longer = TypeTable::new(true);
    longer.int(&"x".repeat(500), 4);
    let longer = Arc::new(parsed(&longer));
    let strange = Btf::parse(&top.bytes(), Some(longer)).unwrap();
    assert!(!strange.is_of_its_base());
}

#[test]
fn what_the_kernel_would_refuse_is_found_by_names_and_sizes() {
    let place = Place::new(&kernel(true, false));
    let mut names = TypeTable::new(true);
    names.int("int", 4);
    names.structure("device", 24, &[]);
    assert_eq!(refused(&parsed(&names), &place.types()).unwrap(), []);
    names.structure("kobject", 8, &[]);
    names.structure("lost", 8, &[]);
    let found: Vec<String> =
        refused(&parsed(&names), &place.types()).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(found, ["struct kobject (`size 8` -> `size 4`)", "struct lost (gone)"]);
}

/// Types in ELF files: a kernel's, those of a module on top of them, and the names that a module of another build has.
#[test]
fn sections_of_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let base = kernel(true, false);
    for (little, bytes) in [(true, base.bytes()), (false, kernel(false, false).bytes())] {
        let path = write("vmlinux", &crate::elf::sample(&[(".text", vec![1; 9]), (".BTF", bytes)], little));
        assert_eq!(read(&path).unwrap().find(Kind::Struct, b"device").count(), 1);
    }
    let none = write("none.ko", &crate::elf::sample(&[(".text", vec![1])], true));
    assert!(read(&none).unwrap_err().to_string().contains("no types"));
    assert!(read(&write("text", b"#!/bin/sh")).is_err() && read(&dir.path().join("gone")).is_err());

    let whole = Arc::new(parsed(&base));
    let mut top = base.on_top();
    top.structure("ring", 4, &[("n", 1, 0, 0)]);
    let module = crate::elf::sample(&[(".BTF", top.bytes())], true);
    let split = read_split(&write("ring.ko", &module), &whole).unwrap().unwrap();
    assert_eq!(split.find(Kind::Struct, b"ring").count(), 1);
    let packed = zstd::encode_all(&module[..], 1).unwrap();
    assert!(read_split(&write("ring.ko.zst", &packed), &whole).unwrap().is_some());
    assert!(read_split(&none, &whole).unwrap().is_none());
    assert!(read_split(&write("bad.ko.zst", b"bad"), &whole).is_err());
    // One that was built elsewhere counts on types of its own.
    let mut names = TypeTable::new(true);
    names.structure("device", 24, &[]);
    let sections = [(".BTF", top.bytes()), (".BTF.base", names.bytes())];
    let foreign = write("foreign.ko", &crate::elf::sample(&sections, true));
    assert!(read_split(&foreign, &whole).is_err());
    assert_eq!(based_on(&foreign).unwrap().unwrap().find(Kind::Struct, b"device").count(), 1);
    assert!(based_on(&none).unwrap().is_none());

    // By its path below the kernel's modules.
    let place = Place::new(&base);
    let path = place.dir.path().join("modules/toys");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("ring.ko"), &module).unwrap();
    let types = place.types();
    assert!(types.of("toys/ring").is_some() && types.of("toys/none").is_none());
    assert!(types.of("../vmlinux").is_none() && types.of("/etc/passwd").is_none());
}

#[test]
fn the_first_change_is_the_one_that_tells_most() {
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let old = lines(&["16", "0 int a", "4 int b", "8 long c"]);
    let moved = ChangeOfType::of_layouts(&old, &lines(&["16", "0 int a", "8 int b", "12 long c"]));
    let ChangeOfType::Layout { old: gone, new: come, .. } = &moved else { panic!("{moved:?}") };
    assert_eq!((gone.len(), come[0].as_str()), (2, "8 int b"));
    let added = ChangeOfType::of_layouts(&old, &lines(&["24", "0 int a", "4 int b", "8 int n", "16 long c"]));
    let ChangeOfType::Layout { old: gone, new: come, .. } = &added else { panic!("{added:?}") };
    assert_eq!((gone, come), (&lines(&["size 16"]), &lines(&["8 int n", "size 24"])));
    let same = ChangeOfType::of_layouts(&old, &old);
    assert!(added.rank() < moved.rank() && moved.rank() < same.rank());
}

#[test]
fn damaged_tables_are_errors() {
    let whole = kernel(true, false).bytes();
    for end in 0..whole.len() {
        assert!(Btf::parse(&whole[..end], None).is_err(), "{end}");
    }
    // A type that holds itself.
    let mut round = TypeTable::new(true);
    round.structure("s", 4, &[("self", 1, 0, 0)]);
    assert!(Digests::of(Arc::new(parsed(&round))).by_value(1).is_err());
    for kind in [8, 10, 18] {
        let mut round = TypeTable::new(true);
        round.add("", kind << 24, 1, &[]);
        let _ = Digests::of(Arc::new(parsed(&round))).by_value(1);
        let _ = layout(&parsed(&round), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// As below, of whole files.
    #[test]
    fn damage_of_a_file_is_an_answer(
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8),
    ) {
        let base = kernel(true, false);
        let mut top = base.on_top();
        top.structure("ring", 4, &[("n", 1, 0, 0)]);
        let sections = [(".BTF", top.bytes()), (".BTF.base", base.bytes())];
        let mut bytes = crate::elf::sample(&sections, true);
        let whole = bytes.len();
        for (at, byte) in changes {
            bytes[at % whole] = byte;
        }
        let mut file = tempfile::Builder::new().suffix(".ko").tempfile().unwrap();
        std::io::Write::write_all(&mut file, &bytes).unwrap();
        let _ = (read(file.path()), based_on(file.path()), read_split(file.path(), &Arc::new(parsed(&base))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// Whatever the bytes: an answer, in bounded time, and none that is larger than what was read.
    #[test]
    fn damage_anywhere_is_an_answer(
        little in any::<bool>(),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = kernel(little, true).bytes();
        let whole = bytes.len();
        for (at, byte) in changes {
            bytes[at % whole] = byte;
        }
        if let Ok(table) = Btf::parse(&bytes, None) {
            prop_assert!(table.own().len() <= whole / 12);
            let table = Arc::new(table);
            let digests = Digests::of(Arc::clone(&table));
            for id in table.own() {
                let _ = (digests.by_value(id), digests.prototype(id), table.is_of_its_base());
                if let Ok(lines) = layout(&table, id) {
                    prop_assert!(lines.len() <= 100_001);
                }
            }
        }
    }
}
