//! One function for each fuzz target. Each gives bytes to a reader, and asserts what holds of any bytes: beside that
//! nothing panics, that what is read can be read again, that two readers agree, that nothing grows without end, and
//! that nothing is written outside of where it belongs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use dkms_hook::adapters::{debian, dnf5, in_line, pacman};
use dkms_hook::archive;
use dkms_hook::btf::{Btf, Digests};
use dkms_hook::conf::evaluation::{Question, Source, with_own_reader};
use dkms_hook::conf::{DKMS_CONF, FRAMEWORK_CONF, USUAL_LIMIT};
use dkms_hook::depmod::{self, Kmod};
use dkms_hook::elf::{self, Compression};
use dkms_hook::fs::directories::{Directories, Memory};
use dkms_hook::fs::root::Root;
use dkms_hook::kernel::{self, Exports, Symvers};
use dkms_hook::machine::Machine;
use dkms_hook::model::ids::{Arch, Cell, KernelRelease, ModuleId, is_component};
use dkms_hook::observe::distribution::Distribution;
use dkms_hook::packages::Package;
use dkms_hook::progress::Memory as Listener;
use dkms_hook::settings::Given;
use dkms_hook::tree::layout::Layout;
use dkms_hook::tree::state;
use dkms_hook::trust::firmware::Firmware;
use dkms_hook::trust::pki::{Certificate, SignedData};

/// A directory in memory, kept from one input to the next.
fn place<T>(use_it: impl FnOnce(&Path) -> T) -> T {
    thread_local!(static PLACE: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) });
    PLACE.with_borrow_mut(|place| {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        let dir =
            place.get_or_insert_with(|| tempfile::tempdir_in(parent).expect("there is a place for files"));
        use_it(dir.path())
    })
}

/// These bytes as a file of this name.
fn with_file<T>(name: &str, bytes: &[u8], use_it: impl FnOnce(&Path) -> T) -> T {
    place(|dir| {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("it is in a directory")).expect("it can be made");
        std::fs::write(&path, bytes).expect("it can be written");
        use_it(&path)
    })
}

/// The first byte, which chooses, and the rest.
fn choice(bytes: &[u8]) -> (u8, &[u8]) {
    bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest))
}

/// dkms.conf and framework.conf, read by our own reader.
pub fn conf(bytes: &[u8]) {
    let (first, text) = choice(bytes);
    let exported = if first % 2 == 0 { DKMS_CONF } else { FRAMEWORK_CONF };
    let given = [
        ("kernelver", Some("6.1.0-toy")),
        ("arch", Some("x86_64")),
        ("dkms_tree", Some("/var/lib/dkms")),
        ("module", None),
    ];
    let given = given.map(|(name, value)| (name.to_owned(), value.map(|value| value.as_bytes().to_vec())));
    let question = Question { exported, given: given.to_vec(), limit: USUAL_LIMIT, foreign: true };
    // The second stands on top of the first, as overrides do.
    let parts = text.splitn(2, |byte| *byte == 0);
    let files: Vec<Source> =
        parts.map(|text| Source { path: "/usr/src/m-1/dkms.conf".into(), text: text.to_vec() }).collect();
    let said = with_own_reader(&question, &files);
    assert_eq!(said, with_own_reader(&question, &files), "it says the same again");
    if let Ok(values) = said {
        assert!(values.keys().all(|name| exported.contains(&name.as_str())), "{values:?}");
        let size: usize = values.values().flat_map(|elements| elements.values()).map(String::len).sum();
        assert!(size <= 64 << 20, "{size} bytes out of {}", text.len());
    }
}

/// A module file: what it says of itself, its signature, the symbols that it imports, the types in it.
pub fn module(bytes: &[u8]) {
    let without = elf::without_signature(bytes);
    assert!(bytes.starts_with(without), "a signature is at the end");
    assert_eq!(elf::has_signature(bytes), without.len() != bytes.len() || elf::has_signature(bytes));
    if let Ok(Some(appended)) = elf::appended(bytes) {
        assert!(appended.body.len() + appended.signature.len() <= bytes.len());
        let _ = SignedData::parse(appended.signature);
    }
    let info = elf::modinfo_of_bytes(bytes);
    if let Ok(info) = &info {
        // What a signature adds changes nothing that the module says.
        let again = elf::modinfo_of_bytes(without).expect("it is a module without its signature, too");
        assert_eq!(again.vermagic, info.vermagic);
        assert_eq!(again.depends, info.depends);
    }
    let versions = elf::imported_versions(bytes);
    with_file("m.ko", bytes, |path| {
        if let Ok(imports) = elf::imports(path) {
            assert_eq!(Ok(imports.versions), versions);
            assert!(info.is_ok());
        }
        let _ = dkms_hook::btf::based_on(path);
        let _ = dkms_hook::btf::read(path);
    });
}

/// Compressed modules. What another reader makes of xz is what ours makes.
pub fn compression(bytes: &[u8]) {
    let (first, packed) = choice(bytes);
    let kind = [Compression::Gzip, Compression::Xz, Compression::Zstd][usize::from(first) % 3];
    let ours = kind.unpack(packed.to_vec());
    if kind == Compression::Xz {
        let mut theirs = Vec::new();
        let reader = lzma_rust2::XzReader::new_mem_limit(packed, true, 640 << 10);
        // Theirs may believe a sum that nobody can compute; ours may not read less than theirs.
        if reader.take(64 << 20).read_to_end(&mut theirs).is_ok() && theirs.len() < 64 << 20 {
            if let Ok(ours) = &ours {
                assert_eq!(*ours, theirs);
            }
        }
    }
    if let Ok(ours) = ours {
        assert!(ours.len() as u64 <= 2 << 30);
    }
}

/// Module.symvers: what both of its readers make of it.
pub fn symvers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let symbols = Symvers::parse(&text);
    assert_eq!(symbols.refuses(&BTreeMap::new()), None, "who imports nothing fits everywhere");
    with_file("Module.symvers", bytes, |path| {
        let exports = Exports::read(path).expect("it can be read");
        for line in text.lines() {
            let mut fields = line.split('\t');
            if let (Some(crc), Some(name)) = (fields.next(), fields.next())
                && let Some(crc) = crc.strip_prefix("0x").and_then(|crc| u32::from_str_radix(crc, 16).ok())
            {
                let alone = BTreeMap::from([(name.to_owned(), crc)]);
                let _ = (exports.get(name), symbols.refuses(&alone));
            }
        }
    });
}

const K: &str = "6.1.0-toy";

fn kernel_release() -> KernelRelease {
    KernelRelease::new(K).expect("it is a release")
}

/// The index of modules: the files that a kernel's package brings, depmod's configuration, what we keep of modules,
/// modules.dep as depmod wrote it.
pub fn index(bytes: &[u8]) {
    const NAMES: [&str; 6] = [
        "lib/modules/6.1.0-toy/modules.order",
        "lib/modules/6.1.0-toy/modules.builtin",
        "lib/modules/6.1.0-toy/modules.builtin.modinfo",
        "lib/modules/6.1.0-toy/modules.dep",
        "etc/depmod.d/a.conf",
        "known.zst",
    ];
    let (first, bytes) = choice(bytes);
    let name = NAMES[usize::from(first) % NAMES.len()];
    place(|dir| {
        for name in NAMES {
            let _ = std::fs::remove_file(dir.join(name));
        }
        let module = dir.join("lib/modules/6.1.0-toy/kernel/m.ko");
        std::fs::create_dir_all(module.parent().expect("it is in a directory")).expect("it can be made");
        std::fs::write(&module, include_bytes!("../toy.ko")).expect("it can be written");
    });
    with_file(name, bytes, |_| ());
    place(|dir| {
        let layout = Layout::new(Root::at(dir));
        if let Ok(Some(files)) = kernel::indexed_files(&layout, &kernel_release()) {
            assert!(files.len() <= bytes.len());
        }
        let Ok(config) = depmod::Config::read(&[dir.join("etc/depmod.d")], K) else { return };
        for text in ["kmod version 30\n+XZ -ZSTD +ZLIB", "kmod version 34.2\n+XZ +ZSTD +ZLIB"] {
            let kmod = Kmod::of(text).expect("it is known");
            let compute = |known: Option<PathBuf>| {
                let dir = dir.join("lib/modules").join(K);
                depmod::compute(&depmod::Place { dir, config: config.clone(), kmod, known })
            };
            // What is kept of earlier runs saves time, and changes nothing.
            let anew = compute(None).map(|(files, _)| files);
            let known = compute(Some(dir.join("known.zst"))).map(|(files, _)| files);
            assert_eq!(anew.is_ok(), known.is_ok());
            if let (Ok(anew), Ok(known)) = (anew, known) {
                assert_eq!(anew, known);
            }
        }
    });
}

/// A table of types, and the digests over it.
pub fn btf(bytes: &[u8]) {
    let Ok(table) = Btf::parse(bytes, None) else { return };
    let table = Arc::new(table);
    let digests = Digests::of(Arc::clone(&table));
    let again = Digests::of(Arc::clone(&table));
    for id in table.own().take(4_096) {
        assert_eq!(digests.by_value(id).ok(), again.by_value(id).ok());
        let _ = digests.prototype(id);
        if let Ok(Some((kind, name))) = table.named(id) {
            assert!(table.find(kind, name).any(|found| found == id), "what has a name is found by it");
        }
    }
    let _ = Btf::parse(bytes, Some(table)).map(|split| split.is_of_its_base());
}

/// A package of any of the three kinds.
pub fn package(bytes: &[u8]) {
    with_file("package", bytes, |path| {
        if let Ok(package) = Package::read(path) {
            assert!(format!("{package:?}").len() < 64 << 20);
        }
    });
}

/// An archive of a module: nothing of it is outside of where it is unpacked.
pub fn archive(bytes: &[u8]) {
    with_file("archive", bytes, |path| {
        let into = path.with_file_name("unpacked");
        let _ = std::fs::remove_dir_all(&into);
        std::fs::create_dir(&into).expect("it can be made");
        let before = names(path.parent().expect("it is in a directory"));
        let file = std::fs::File::open(path).expect("it can be opened");
        let unpacked = archive::unpack(file, &into, SystemTime::now());
        assert_eq!(names(path.parent().expect("it is in a directory")), before, "nothing appears beside it");
        if unpacked.is_ok() {
            archive::check_links(&into).expect("no link leads out");
            let file = std::fs::File::open(path).expect("it can be opened");
            let input = archive::open(file).expect("it was opened before");
            archive::list(input, &mut |_, _| Ok(ControlFlow::Continue(())))
                .expect("what is unpacked can be listed");
        }
    });
}

fn names(dir: &Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .expect("it can be listed")
        .map(|entry| entry.expect("it is there").file_name())
        .collect();
    names.sort();
    names
}

/// Everything that is kept as JSON. What is understood is written and understood again, as the same.
pub fn state(bytes: &[u8]) {
    let (first, text) = choice(bytes);
    place(|dir| {
        let layout = Layout::new(Root::at(dir));
        let cell = Cell {
            module: ModuleId::new("m", "1").expect("a name"),
            kernel: kernel_release(),
            arch: Arch::new("x86_64").expect("a name"),
        };
        let put = |path: PathBuf| {
            std::fs::create_dir_all(path.parent().expect("it is in a directory")).expect("it can be made");
            std::fs::write(path, text).expect("it can be written");
        };
        macro_rules! round_trip {
            ($path:expr, $load:expr, $save:expr) => {{
                put($path);
                if let Ok(read) = $load {
                    $save(&read).expect("it can be written");
                    assert_eq!(Ok(read), $load);
                }
            }};
        }
        match first % 7 {
            0 => round_trip!(layout.record(&cell), state::record(&layout, &cell), |read: &Option<_>| {
                state::save_record(&layout, &cell, read.as_ref().expect("there is one"))
            }),
            1 => round_trip!(layout.verdict(&cell), state::verdict(&layout, &cell), |read: &Option<_>| {
                state::save_verdict(&layout, &cell, read.as_ref().expect("there is one"))
            }),
            2 => round_trip!(layout.kernel_note(&cell.kernel), state::note(&layout, &cell.kernel), |read| {
                state::save_note(&layout, &cell.kernel, read)
            }),
            3 => round_trip!(layout.directives(&cell), state::directives(&layout, &cell), |read: &Option<
                _,
            >| {
                state::save_directives(&layout, &cell, read.as_ref().expect("there is one"))
            }),
            4 => round_trip!(
                layout.own_writes(&cell.module),
                state::own_writes(&layout, &cell.module),
                |read: &Option<_>| {
                    state::save_own_writes(&layout, &cell.module, read.as_ref().expect("there is one"))
                }
            ),
            5 => round_trip!(layout.upgrades(), state::upgrades(&layout), |read: &Vec<_>| {
                state::save_upgrades(&layout, read)
            }),
            _ => round_trip!(layout.install_tree_file(), state::install_tree(&layout), |read: &Option<_>| {
                state::save_install_tree(&layout, read.as_ref().expect("there is one"))
            }),
        }
        put(layout.uses(&cell));
        let _ = state::uses(&layout, &cell);
        put(layout.index_looks(&cell.kernel));
        let _ = state::index_looks(&layout, &cell.kernel);
    });
}

/// What is remembered of directories: whatever it says, it is not believed beyond what stat(2) confirms.
pub fn directories(bytes: &[u8]) {
    with_file("directories", bytes, |path| {
        let dir = path.with_file_name("listed");
        std::fs::create_dir_all(dir.join("sub")).expect("it can be made");
        let memory = Memory::read(path);
        let dirs = Directories::new(&memory);
        let listing = dirs.look(&dir).expect("it can be looked at").expect("it is there");
        let names: Vec<_> = listing.entries().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, ["sub"]);
        let _ = memory.renewed();
    });
}

/// Certificates, and signatures of modules.
pub fn certificate(bytes: &[u8]) {
    if let Ok(certificate) = Certificate::parse(bytes) {
        let again = Certificate::parse(certificate.to_pem().as_bytes()).expect("its PEM is one");
        assert_eq!(
            (again.issuer, again.serial, again.key_id),
            (certificate.issuer, certificate.serial, certificate.key_id)
        );
    }
    if let Ok(signed) = SignedData::parse(bytes) {
        let _ = signed.signers.iter().map(|signer| signer.signs_a_digest()).count();
    }
}

/// Variables of the firmware and what shim hands over.
pub fn efi(bytes: &[u8]) {
    let (first, content) = choice(bytes);
    const NAMES: [&str; 4] = [
        "sys/firmware/efi/efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23",
        "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
        "sys/firmware/efi/efivars/db-d719b2cb-3d3a-4596-a3bc-dad00e67656f",
        "sys/firmware/efi/mok-variables/MokListRT",
    ];
    place(|dir| NAMES.map(|name| std::fs::remove_file(dir.join(name)).ok()));
    with_file(NAMES[usize::from(first) % NAMES.len()], content, |_| ());
    place(|dir| {
        let firmware = Firmware::of(&Root::at(dir));
        let _ = firmware.state();
        let certificate = Certificate::parse(include_bytes!("../toy.der")).expect("it is one");
        let _ = firmware.enrolment(&certificate);
    });
}

/// os-release. The place of modules is always below the kernel's directory.
pub fn os_release(bytes: &[u8]) {
    with_file("etc/os-release", bytes, |_| ());
    place(|dir| {
        let root = Root::at(dir);
        let text = String::from_utf8_lossy(bytes);
        let distribution = Distribution::of(&root, text.lines().next());
        let place = distribution.destination("/updates");
        assert!(!place.split('/').any(|part| part == ".."), "{place}");
        assert!(!distribution.headers_package(K, None).is_empty());
    });
}

/// What package managers say to their hooks: dnf5's dialogue, pacman's targets, dpkg's parameters, releases.
pub fn hooks(bytes: &[u8]) {
    let (first, text) = choice(bytes);
    let words = String::from_utf8_lossy(text);
    if let Ok(release) = in_line::release(&words) {
        assert!(is_component(release.as_str()), "{release}");
    }
    for word in debian::maintainer_params(Some(&words)) {
        assert!(!word.is_empty() && !word.contains(char::is_whitespace));
    }
    let lines: Vec<String> = words.lines().map(str::to_owned).collect();
    place(|dir| {
        let listener = Listener::default();
        let machine = Machine::open(Root::at(dir), &Given::default(), &listener).expect("it can be opened");
        match first % 2 {
            0 => {
                let (mut replies, mut requests) = (text, Vec::new());
                let _ = dnf5::announce(&machine, &mut replies, &mut requests, &listener);
                assert!(requests.len() < 64 << 10, "a dialogue ends");
            }
            _ => {
                let _ = pacman::incoming(&machine, &lines, &listener);
            }
        }
        assert!(!dir.join("var").exists(), "to announce is not to write");
    });
}
