//! A machine on which everything is installed and up to date: as many modules and kernels as one likes, with the
//! records that builds and installations would have left. The modules are modules to depmod(8), but have no code.

use std::collections::BTreeMap;
use std::path::Path;

use dkms_hook::fs::directories::Memory;
use dkms_hook::model::ids::{Arch, Cell, KernelRelease, ModuleId};
use dkms_hook::model::indexed::IndexLooks;
use dkms_hook::model::record::{InstalledFile, Overrides, Provenance, Record};
use dkms_hook::model::settings::Settings;
use dkms_hook::model::system::Now;
use dkms_hook::observe::Observer;
use dkms_hook::observe::distribution::Distribution;
use dkms_hook::observe::endless::Endless;
use dkms_hook::tree::layout::Layout;
use dkms_hook::tree::state;

/// How large the machine is.
#[derive(Debug, Clone, Copy)]
pub struct Tree {
    /// Modules, each a package of its own.
    pub modules: usize,
    /// Kernels, each with headers; every module is built and installed for each.
    pub kernels: usize,
    /// Files in each source.
    pub files: usize,
    /// Modules of each kernel's own package.
    pub own: usize,
}

/// The release of a kernel.
pub fn release(k: usize) -> KernelRelease {
    KernelRelease::new(format!("6.12.{k}+deb13-amd64")).expect("a name")
}

/// The architecture of all cells.
pub fn x86_64() -> Arch {
    Arch::new("x86_64").expect("a name")
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("it has one")).expect("a directory");
    std::fs::write(path, bytes).expect("a file");
}

fn link(target: &str, path: &Path) {
    std::os::unix::fs::symlink(target, path).expect("a link");
}

impl Tree {
    /// Makes it, in an empty root.
    pub fn make(self, layout: &Layout) {
        write(&layout.root.path("/etc/os-release"), b"ID=debian\n");
        for k in 0..self.kernels {
            self.kernel(layout, &release(k));
        }
        for m in 0..self.modules {
            self.module(layout, m);
        }
        let (settings, overrides) = (Settings::default(), Overrides::default());
        let (memory, endless) = (Memory::default(), Endless::default());
        let (distribution, arch) = (Distribution::from_id("debian"), x86_64());
        let observer = Observer {
            layout,
            settings: &settings,
            distribution: &distribution,
            arch: &arch,
            overrides: &overrides,
            asked: None,
            anew: false,
            memory: &memory,
            endless: &endless,
        };
        write_records(&observer);
    }

    fn kernel(self, layout: &Layout, release: &KernelRelease) {
        let dir = layout.kernel(release);
        std::fs::create_dir_all(dir.join("kernel")).expect("a directory");
        let own = |n: usize| format!("kernel/drivers/part{}/own{n}.ko", n / 40);
        for n in 0..self.own {
            write(&dir.join(own(n)), &module_file(&format!("own{n}"), release));
        }
        let ours = |m: usize| format!("updates/dkms/module{m}.ko");
        let index = (0..self.own).map(own).chain((0..self.modules).map(ours));
        let index: String = index.map(|file| format!("{file}:\n")).collect();
        write(&dir.join("modules.dep"), index.as_bytes());
        let headers = format!("/usr/src/linux-headers-{release}");
        for part in ["autoconf.h", "bounds.h", "compile.h", "rustc_cfg", "timeconst.h", "utsrelease.h"] {
            write(&layout.root.path(&headers).join("include/generated").join(part), part.as_bytes());
        }
        for part in ["Module.symvers", "include/config/auto.conf", ".config", "Makefile"] {
            write(&layout.root.path(&headers).join(part), part.as_bytes());
        }
        link(&headers, &dir.join("build"));
    }

    fn module(self, layout: &Layout, m: usize) {
        let id = ModuleId::new(format!("module{m}"), "1.0").expect("a name");
        let source = layout.source(&id);
        let conf = format!(
            "PACKAGE_NAME=module{m}\nPACKAGE_VERSION=1.0\nBUILT_MODULE_NAME[0]=module{m}\n\
             DEST_MODULE_LOCATION[0]=/updates\nAUTOINSTALL=yes\n"
        );
        write(&source.join("dkms.conf"), conf.as_bytes());
        for file in 0..self.files {
            write(&source.join(format!("part{}/file{file}.c", file / 20)), b"int x;\n");
        }
        for k in 0..self.kernels {
            let cell = Cell { module: id.clone(), kernel: release(k), arch: x86_64() };
            let file = module_file(id.name.as_str(), &cell.kernel);
            write(&layout.built_modules(&cell).join(format!("module{m}.ko")), &file);
            write(&layout.kernel(&cell.kernel).join(format!("updates/dkms/module{m}.ko")), &file);
            let active = layout.active_link(&id.name, &cell.kernel, &cell.arch);
            link(&format!("1.0/{}/x86_64", cell.kernel), &active);
        }
        link(&format!("/usr/src/module{m}-1.0"), &layout.source_link(&id));
    }
}

/// What builds and installations would have written down.
fn write_records(observer: &Observer<'_>) {
    for (cell, view) in observer.observe(None).cells {
        let Now::Judged { facts, inputs, stamp } = view.now else { panic!("{cell}: {:?}", view.now) };
        let name = format!("{}.ko", cell.module.name);
        let path = observer.layout.install_tree.join(&cell.kernel).join("updates/dkms").join(&name);
        let meta = std::fs::metadata(observer.layout.root.path(&path)).expect("it was written");
        let built = observer.layout.built_modules(&cell).join(&name);
        let built = std::fs::metadata(built).expect("it was written");
        let file = InstalledFile {
            path,
            built: name,
            size: meta.len(),
            mtime: dkms_hook::fs::look::mtime(&meta),
            built_mtime: dkms_hook::fs::look::mtime(&built),
            original: None,
        };
        let record = Record {
            inputs,
            provenance: Provenance::BuiltHere,
            kept: None,
            stamp,
            facts,
            installed: vec![file],
            refused: None,
            without_image: false,
            overrides: Overrides::default(),
            effort: None,
        };
        state::save_record(observer.layout, &cell, &record).expect("it can be written");
    }
    // The look into the index that a first run would have written down.
    let mut looks: BTreeMap<KernelRelease, IndexLooks> = BTreeMap::new();
    for (cell, look) in observer.observe(None).indexed {
        let known = looks.entry(cell.kernel).or_default();
        known.index = look.index.to_string();
        known.ours.insert(look.files);
    }
    for (kernel, known) in looks {
        state::save_index_looks(observer.layout, &kernel, &known).expect("it can be written");
    }
}

/// Name, type, flags, content, the section it belongs to, the first global symbol, the size of an entry.
type Section<'a> = (u32, u32, u64, &'a [u8], u32, u32, u64);

/// A relocatable ELF file with a `.modinfo` and no symbols.
fn module_file(name: &str, release: &KernelRelease) -> Vec<u8> {
    let modinfo = format!("license=GPL\0version=1.0\0name={name}\0vermagic={release} SMP mod_unload \0");
    let names = b"\0.modinfo\0.symtab\0.strtab\0.shstrtab\0";
    let sections: [Section<'_>; 5] = [
        (0, 0, 0, b"", 0, 0, 0),
        (1, 1, 2, modinfo.as_bytes(), 0, 0, 0),
        (10, 2, 0, &[0; 24], 3, 1, 24),
        (18, 3, 0, b"\0", 0, 0, 0),
        (26, 3, 0, names, 0, 0, 0),
    ];
    let mut table = Vec::new();
    let mut content = Vec::new();
    for (name, kind, flags, bytes, link, info, entry) in sections {
        let offset = 64 + content.len() as u64;
        for word in [name, kind] {
            table.extend(word.to_le_bytes());
        }
        for long in [flags, 0, if kind == 0 { 0 } else { offset }, bytes.len() as u64] {
            table.extend(long.to_le_bytes());
        }
        for word in [link, info] {
            table.extend(word.to_le_bytes());
        }
        for long in [if kind == 2 { 8 } else { 1 }, entry] {
            table.extend(long.to_le_bytes());
        }
        content.extend(bytes);
        content.resize(content.len().next_multiple_of(8), 0);
    }
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // A relocatable file for x86_64.
    for half in [1u16, 62] {
        file.extend(half.to_le_bytes());
    }
    file.extend(1u32.to_le_bytes());
    for long in [0, 0, 64 + content.len() as u64] {
        file.extend(long.to_le_bytes());
    }
    file.extend(0u32.to_le_bytes());
    for half in [64u16, 0, 0, 64, 5, 4] {
        file.extend(half.to_le_bytes());
    }
    file.extend(content);
    file.extend(table);
    file
}
