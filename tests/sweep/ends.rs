//! How a machine ended: what is compared with an undisturbed run, and what must be so at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use dkms_hook::elf::{self, Compression};
use serde_json::Value;

use super::machine::{Machine, STATE};

/// Where the kernels' modules are, below a root.
const MODULES: &str = "usr/lib/modules/";
/// The program's own notes, below a root.
const NOTES: &str = "var/lib/dkms/.dkms-hook/";
/// What sign-file appends at the end of a signature.
const SIGNED: &[u8] = b"~Module signature appended~\n";

/// Everything that a run may change: names, types, modes, owners, and contents but for times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End(BTreeMap<String, Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    mode: u32,
    owner: (u32, u32),
    content: Vec<u8>,
}

impl End {
    /// The machine as it is now. `new_keys`: the keys differ each time, and with them signatures.
    pub fn of(machine: &Machine, new_keys: bool) -> Self {
        let root = machine.root.path("/");
        let mut all = BTreeMap::new();
        for dir in STATE {
            for entry in
                walkdir::WalkDir::new(root.join(dir)).into_iter().filter_entry(|e| !is_beside(e.path()))
            {
                let entry = entry.unwrap();
                let name = entry.path().strip_prefix(&root).unwrap().display().to_string();
                let meta = entry.metadata().unwrap();
                if is_kept(&name, entry.path(), &meta) {
                    let content = content(entry.path(), &name, &meta, new_keys);
                    all.insert(name, Entry { mode: meta.mode(), owner: (meta.uid(), meta.gid()), content });
                }
            }
        }
        Self(all)
    }

    /// What is not as in `other`: `+` more, `-` less, `~` another.
    pub fn differences(&self, other: &Self, whole_is_enough: bool) -> Vec<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let differs = |name: &&String| match (self.0.get(*name), other.0.get(*name)) {
            (Some(_), None) => Some(format!("+ {name}")),
            (None, _) => {
                let of_signing = whole_is_enough && name.contains("lib/dkms/mok.");
                (!of_signing).then(|| format!("- {name}"))
            }
            (Some(a), Some(b)) if a.mode != b.mode || a.owner != b.owner => Some(format!(
                "~ {name}: mode {:o} for {:o}, owner {:?} for {:?}",
                a.mode, b.mode, a.owner, b.owner
            )),
            (Some(a), Some(b)) if a.content != b.content => (!(whole_is_enough && follows_a_module(name)))
                .then(|| format!("~ {name}{}", where_they_part(a, b))),
            _ => None,
        };
        names.iter().filter_map(differs).collect()
    }

    /// The part that a person relies on: modules, their index, what boots.
    pub fn that_matters(&self) -> Self {
        let matters = |name: &str| {
            let module = name.starts_with(MODULES) && !name.contains("/build") && !name.contains("/modules.");
            let index = name.starts_with(MODULES) && name.ends_with("/modules.dep");
            module
                || index
                || name.starts_with("boot/")
                || name.ends_with("mok.key")
                || name.ends_with("mok.pub")
        };
        let of = |(name, entry): (&String, &Entry)| {
            (matters(name) && entry.mode & 0o170_000 != 0o040_000).then(|| (name.clone(), entry.clone()))
        };
        Self(self.0.iter().filter_map(of).collect())
    }
}

/// Where two notes begin to differ, for people.
fn where_they_part(a: &Entry, b: &Entry) -> String {
    let (Ok(a), Ok(b)) = (std::str::from_utf8(&a.content), std::str::from_utf8(&b.content)) else {
        return String::new();
    };
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| text.chars().skip(same.saturating_sub(30)).take(80).collect::<String>();
    format!(": {:?}, not {:?}", part(a), part(b))
}

/// What other runs may have left differently: copies of builds, and what the programs note of their calls.
fn is_beside(path: &Path) -> bool {
    // What mktemp(1) made for a script that was killed is that script's.
    let of_a_script = path.parent().is_some_and(|dir| dir.ends_with("tmp"))
        && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tmp."));
    path.ends_with("var/log") || path.ends_with(".dkms-hook/cache") || of_a_script
}

/// Not what is only remembered to save time or to explain something, and not the directories of notes. DKMS's tree
/// has an empty directory `build` of each module or not; it says nothing.
fn is_kept(name: &str, path: &Path, meta: &fs::Metadata) -> bool {
    let Some(note) = name.strip_prefix(NOTES) else {
        let empty = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        let build = name.starts_with("var/lib/dkms/") && name.ends_with("/build") && meta.is_dir() && empty();
        return !build && !name.ends_with("/.dkms-hook-conf.json");
    };
    let remembered = note.starts_with("modules/") && note.ends_with(".zst")
        || note.starts_with("indexes/") && note.ends_with(".json")
        || note.starts_with("own-writes/") && note.ends_with(".json")
        || ["depmod.json", "install-tree.json", "unreported", "lock"].contains(&note);
    !remembered && !meta.is_dir()
}

fn follows_a_module(name: &str) -> bool {
    name.contains(".ko") || name.starts_with("boot/initrd") || name.ends_with("/.dkms-hook.json")
}

fn content(path: &Path, name: &str, meta: &fs::Metadata, new_keys: bool) -> Vec<u8> {
    if meta.is_symlink() {
        return fs::read_link(path).unwrap().into_os_string().into_encoded_bytes();
    }
    if !meta.is_file() || name.ends_with("make.log") {
        return Vec::new();
    }
    let bytes = fs::read(path).unwrap();
    if name.ends_with(".json") {
        return without_times(&bytes, new_keys);
    }
    if new_keys {
        if name.ends_with("mok.key") || name.ends_with("mok.pub") {
            return vec![u8::from(!bytes.is_empty())];
        }
        if name.contains(".ko") || name.starts_with("boot/initrd") {
            return if bytes.ends_with(SIGNED) { SIGNED.to_vec() } else { vec![u8::from(!bytes.is_empty())] };
        }
    }
    bytes
}

/// A note without times and what follows from them.
fn without_times(bytes: &[u8], new_keys: bool) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else { return bytes.to_vec() };
    strip(&mut value, new_keys);
    value.to_string().into_bytes()
}

fn strip(value: &mut Value, new_keys: bool) {
    match value {
        Value::Object(map) => {
            // A build of which the record is lost is taken over like one of DKMS (docs/design/apply.md).
            for name in ["stamp", "took", "files", "mtime", "built-mtime", "since", "provenance"] {
                map.remove(name);
            }
            if new_keys {
                ["certificate", "built", "signing", "size"].iter().for_each(|name| drop(map.remove(*name)));
            }
            map.values_mut().for_each(|value| strip(value, new_keys));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| strip(value, new_keys)),
        _ => {}
    }
}

/// Modules in place that are not whole. Those of the kernels' own are named by `known`.
pub fn broken_modules(machine: &Machine, known: &BTreeSet<Vec<u8>>) -> Vec<String> {
    let root = machine.root.path("/");
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(root.join(MODULES)).into_iter().flatten() {
        let name = entry.file_name().to_string_lossy();
        let module = [".ko", ".ko.zst", ".ko.xz", ".ko.gz"].iter().any(|end| name.ends_with(end));
        if !module || name.starts_with('.') || !entry.file_type().is_file() {
            continue;
        }
        let bytes = fs::read(entry.path()).unwrap();
        let kernel = entry.path().strip_prefix(root.join(MODULES)).unwrap().iter().next().unwrap();
        if !known.contains(&bytes) && !is_whole(entry.path(), &bytes, &kernel.to_string_lossy()) {
            found.push(format!("{} is not whole ({} bytes)", entry.path().display(), bytes.len()));
        }
    }
    found
}

/// A 64-bit ELF file with all of its sections, for this kernel.
fn is_whole(path: &Path, bytes: &[u8], kernel: &str) -> bool {
    let unpacked = || Compression::of(path)?.unpack(bytes.to_vec()).ok();
    let Some(elf) = unpacked() else { return false };
    let number = |at: usize, size: usize| {
        elf.get(at..at + size)
            .map(|part| part.iter().rev().fold(0_u64, |all, byte| all << 8 | u64::from(*byte)))
    };
    let (Some(sections), Some(size), Some(count)) = (number(40, 8), number(58, 2), number(60, 2)) else {
        return false;
    };
    sections + size * count <= elf.len() as u64
        && elf::modinfo(path).is_ok_and(|info| info.kernel() == Some(kernel))
}

/// The content of every module file that is in place.
pub fn modules(machine: &Machine) -> BTreeSet<Vec<u8>> {
    let walk = walkdir::WalkDir::new(machine.root.path(MODULES)).into_iter().flatten();
    walk.filter(|entry| entry.file_type().is_file() && entry.file_name().to_string_lossy().contains(".ko"))
        .map(|entry| fs::read(entry.path()).unwrap())
        .collect()
}

/// Files that an index of modules names and that are not there.
pub fn missing_of_index(machine: &Machine) -> Vec<String> {
    let modules = machine.root.path(MODULES);
    let mut missing = Vec::new();
    for kernel in machine.root.names(MODULES) {
        let text = fs::read_to_string(modules.join(&kernel).join("modules.dep")).unwrap_or_default();
        for word in text.split([' ', ':', '\n']).filter(|word| !word.is_empty()) {
            if fs::symlink_metadata(modules.join(&kernel).join(word)).is_err() {
                missing.push(format!("modules.dep of {kernel} names {word}, which is missing"));
            }
        }
    }
    missing
}
