//! Directories of kernels, of all shapes that decide something.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::elf::Elf;

/// The kernel of every tree.
pub const KERNEL: &str = "6.1.0-9-toy";

/// How a module file is compressed, whatever its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packed {
    No,
    Xz,
    Zstd,
    /// Without its size, which some kmod cannot read.
    ZstdWithoutSize,
}

/// One module file.
#[derive(Debug, Clone)]
pub struct File {
    /// Below the kernel's directory.
    pub path: String,
    pub elf: Elf,
    pub packed: Packed,
    /// It is a link to a file elsewhere.
    pub link: bool,
    numbers: Numbers,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Tree {
    pub files: Vec<File>,
    /// Lines of modules.order; `None`: there is none.
    pub order: Option<Vec<String>>,
    /// The last line of modules.order has no end.
    pub cut: bool,
    pub builtin: Option<Vec<String>>,
    pub builtin_modinfo: Option<Vec<String>>,
    /// Files of depmod.d: directory, name, lines.
    pub config: Vec<(&'static str, &'static str, Vec<String>)>,
}

const DIRECTORIES: [&str; 14] = [
    "kernel/a",
    "kernel/b/c",
    "kernel/b",
    "updates",
    "updates/dkms",
    "extra",
    "weak-updates/x",
    "kernel/build",
    "build",
    "source",
    ".hidden",
    "updates-x",
    "",
    "updates/build",
];

const NAMES: [&str; 22] = [
    "a",
    "b",
    "c",
    "alpha",
    "beta",
    "gamma",
    "delta",
    "a-b",
    "a_b",
    "snd-hda-codec",
    "snd_hda_codec",
    "nvidia",
    "nvidia-drm",
    "wl",
    "zfs",
    "spl",
    "m.v2",
    "m",
    "x",
    "averylongnameofamodule",
    "vboxdrv",
    "Q1",
];

const ALIASES: [&str; 18] = [
    "pci:v00008086d*sv*sd*bc*sc*i*",
    "pci:v00008086d00001234sv*sd*bc*sc*i*",
    "usb:v1D6Bp*d*dc*dsc*dp*ic*isc*ip*in*",
    "usb:v1D6Bp[0-9]*d*",
    "fs-a-b",
    "net-pf-10",
    "char-major-10-200",
    "char-major-10-*",
    "block-major-9-1",
    "of:N*T*Cvendor,a-b[c-d]x-y",
    "bad]bracket",
    "bad[bracket",
    "a b c",
    "x",
    "xy",
    "xyz-1",
    "",
    "=",
];

/// Symbols: the higher ones use the lower ones, mostly.
fn symbol(number: usize) -> String {
    ["e", "exported_symbol_", ".dot", "register_thing_", "q"][number % 5].to_owned() + &number.to_string()
}

/// A module file; its symbols are numbered from those of the file's place in the list.
fn file() -> impl Strategy<Value = File> {
    let node = select(vec!["alias=devname:net/tun", "alias=devname:a-b"]);
    let numbers = select(vec!["alias=char-major-10-200", "alias=block-major-7-1*", "alias=char-major-10-*"]);
    let alias = select(&ALIASES[..]).prop_map(|alias| vec![format!("alias={alias}")]);
    let other =
        select(vec!["softdep=pre: a b post: c", "weakdep=zfs", "softdep=", "license=GPL", "noise", "alias"]);
    let line = prop_oneof![
        20 => alias,
        4 => other.prop_map(|line| vec![line.to_owned()]),
        1 => (node, numbers).prop_map(|(node, numbers)| vec![node.to_owned(), numbers.to_owned()]),
    ];
    let modinfo = vec(line, 0..5).prop_map(|lines| lines.concat());
    let exports = vec(prop_oneof![12 => 0..3usize, 1 => 3..9usize], 0..4);
    // Of other modules; rarely one that its own users export: a circle.
    let imports = vec(prop_oneof![40 => -40..0isize, 1 => 0..3isize], 0..5);
    let only = vec(-40..0isize, 0..2);
    let machine = (any::<bool>(), any::<bool>(), select(vec![62u16, 40, 2, 43]));
    let flags = (any::<bool>(), prop::bool::weighted(0.01), prop::option::weighted(0.1, -40..0isize));
    let directory =
        prop_oneof![2 => Just("kernel/a"), 1 => Just("updates/dkms"), 3 => select(&DIRECTORIES[..])];
    let suffix = select(vec![".ko", ".ko", ".ko.xz", ".ko.zst", ".ko.gz", ".ko.bak", ".v3.ko"]);
    let packed = prop_oneof![
        8 => Just(None),
        1 => select(vec![Packed::No, Packed::Xz, Packed::Zstd, Packed::ZstdWithoutSize]).prop_map(Some),
    ];
    let place = (directory, select(&NAMES[..]), suffix, packed, prop::bool::weighted(0.1));
    (modinfo, exports, imports, only, machine, flags, place).prop_map(
        |(modinfo, exports, imports, only, machine, flags, (directory, name, suffix, packed, link))| {
            let usual = match suffix {
                ".ko.xz" => Packed::Xz,
                ".ko.zst" => Packed::Zstd,
                _ => Packed::No,
            };
            let path = format!("{directory}/{name}{suffix}").trim_start_matches('/').to_owned();
            let [wide, big_endian] = [machine.0, machine.1];
            let numbers = Numbers {
                exports: exports.into_iter().map(|number| number as isize).collect(),
                imports,
                only,
                register: flags.2,
            };
            let elf = Elf {
                wide,
                big_endian,
                machine: machine.2,
                modinfo,
                versions: flags.0,
                stripped: flags.1,
                ..Elf::default()
            };
            File { path, elf, packed: packed.unwrap_or(usual), link, numbers }
        },
    )
}

/// Symbols of a file, counted from three times its place.
#[derive(Debug, Clone)]
pub struct Numbers {
    exports: Vec<isize>,
    imports: Vec<isize>,
    only: Vec<isize>,
    register: Option<isize>,
}

impl File {
    /// With its symbols, at a place of the list.
    fn at(mut self, at: usize) -> Self {
        let of = |number: &isize| symbol((3 * at as isize + number).unsigned_abs());
        let names = |numbers: &[isize]| {
            let mut names: Vec<String> = numbers.iter().map(of).collect();
            names.dedup();
            names
        };
        self.elf.exports = names(&self.numbers.exports);
        self.elf.imports = names(&self.numbers.imports);
        self.elf.versions_only = names(&self.numbers.only);
        self.elf.register = self.numbers.register.as_ref().map(of);
        self
    }
}

fn config() -> impl Strategy<Value = Vec<(&'static str, &'static str, Vec<String>)>> {
    let words = vec!["updates", "updates/dkms", "extra", "kernel", "kernel/b", "built-in", "weak-updates"];
    let search =
        subsequence(words, 0..4).prop_shuffle().prop_map(|words| format!("search {}", words.join(" ")));
    let names = select(&NAMES[..]);
    let chosen = (
        names,
        prop_oneof![8 => Just("*"), 1 => Just(KERNEL), 1 => Just("6.1")],
        select(vec!["kernel/a", "extra", "updates/dkms"]),
    )
        .prop_map(|(name, kernel, dir)| format!("override {name} {kernel} {dir}"));
    let excluded = select(vec!["b", "dkms", "extra", "a b"]).prop_map(|dirs| format!("exclude {dirs}"));
    let other =
        select(vec!["# a comment", "# another", "", "", "  # odd", "make_map_files yes", "unknown word"]);
    let line = prop_oneof![
        6 => search,
        4 => chosen,
        2 => excluded,
        1 => other.prop_map(str::to_owned),
    ];
    let place = (
        select(vec!["etc/depmod.d", "run/depmod.d", "lib/depmod.d"]),
        select(vec!["a.conf", "b.conf", ".c.conf", "d"]),
    );
    let files = vec((place, vec(line, 0..4)).prop_map(|((dir, name), lines)| (dir, name, lines)), 1..4);
    prop_oneof![3 => Just(Vec::new()), 2 => files]
}

/// Every shape.
pub fn tree() -> impl Strategy<Value = Tree> {
    let builtin = vec(
        select(vec!["kernel/a/a.ko", "kernel/x-y.ko", "kernel/x-y.ko", "kernel/a/q.v2.ko", "bare.ko"]),
        0..5,
    );
    let texts = vec![
        "x.alias=pci:v*",
        "x.alias=fs-ext",
        "y.license=GPL",
        "y-z.alias=a-[b-c]",
        "x.alias=",
        "x.alias=pci:v*",
    ];
    let modinfo = vec(select(texts), 0..5);
    let own = |lines: Vec<&str>| lines.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let builtins = (
        prop::option::weighted(0.8, builtin.prop_map(own)),
        prop::option::weighted(0.8, modinfo.prop_map(own)),
    );
    let order = prop::option::weighted(0.8, vec((0..18usize, 0..12usize), 0..12));
    let cut = prop::bool::weighted(0.02);
    (vec(file(), 1..18), builtins, config(), order, cut).prop_map(
        move |(files, (builtin, builtin_modinfo), config, order, cut)| {
            let files: Vec<File> = files.into_iter().enumerate().map(|(at, file)| file.at(at)).collect();
            let order = order.map(|lines| lines.into_iter().map(|(at, how)| line(&files, at, how)).collect());
            Tree { files, order, cut, builtin, builtin_modinfo, config }
        },
    )
}

/// A line of modules.order, mostly one that names a file.
fn line(files: &[File], at: usize, how: usize) -> String {
    let path = &files[at % files.len()].path;
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.split('.').next().unwrap_or(name);
    match how {
        0 => String::new(),
        1 => "kernel/none.ko".to_owned(),
        2 => path.clone(),
        3 => format!("{dir}/{stem}.v2"),
        _ => format!("{dir}/{stem}.ko").trim_start_matches('/').to_owned(),
    }
}

impl Tree {
    /// Writes it below a root.
    pub fn write(&self, root: &Path) {
        let dir = root.join("lib/modules").join(KERNEL);
        std::fs::create_dir_all(&dir).unwrap();
        for (at, file) in self.files.iter().enumerate() {
            let path = dir.join(&file.path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let bytes = packed(file.elf.bytes(), file.packed);
            let _ = std::fs::remove_file(&path);
            if file.link {
                std::fs::create_dir_all(root.join("elsewhere")).unwrap();
                let real = root.join(format!("elsewhere/{at}"));
                std::fs::write(&real, bytes).unwrap();
                std::os::unix::fs::symlink(real, path).unwrap();
            } else {
                std::fs::write(path, bytes).unwrap();
            }
        }
        let lines = |name: &str, lines: &Option<Vec<String>>, end: &str, cut: bool| {
            if let Some(lines) = lines {
                let mut text: String = lines.iter().map(|line| format!("{line}{end}")).collect();
                if cut {
                    text.pop();
                }
                std::fs::write(dir.join(name), text).unwrap();
            }
        };
        lines("modules.order", &self.order, "\n", self.cut);
        lines("modules.builtin", &self.builtin, "\n", false);
        lines("modules.builtin.modinfo", &self.builtin_modinfo, "\0", false);
        for (place, name, lines) in &self.config {
            std::fs::create_dir_all(root.join(place)).unwrap();
            std::fs::write(root.join(place).join(name), lines.join("\n") + "\n").unwrap();
        }
    }
}

fn packed(bytes: Vec<u8>, how: Packed) -> Vec<u8> {
    match how {
        Packed::No => bytes,
        Packed::Zstd => zstd::bulk::compress(&bytes, 1).unwrap(),
        Packed::ZstdWithoutSize => zstd::stream::encode_all(&bytes[..], 1).unwrap(),
        Packed::Xz => {
            use std::io::Write;
            let mut options = lzma_rust2::XzOptions::with_preset(0);
            options.set_check_sum_type(lzma_rust2::CheckType::Crc32);
            let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
            writer.write_all(&bytes).unwrap();
            writer.finish().unwrap()
        }
    }
}
