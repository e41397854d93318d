//! The module files below `/lib/modules/K`, looked up by the name that modprobe(8) knows them by.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::elf::{is_module, module_name};
use crate::model::ids::KernelRelease;
use crate::tree::layout::Layout;

/// The module files of a kernel. They are listed once, when the first name is asked for.
#[derive(Debug)]
pub struct Listing {
    dir: PathBuf,
    files: OnceCell<BTreeMap<String, Vec<PathBuf>>>,
}

impl Listing {
    /// Those of one release.
    pub fn of(layout: &Layout, kernel: &KernelRelease) -> Self {
        Self { dir: layout.kernel(kernel), files: OnceCell::new() }
    }

    /// The modules that stand in the way of a file of ours (`one.ko.xz`): in `extra`, in `updates`, in the
    /// destination (below the kernel's directory), then anywhere. depmod takes one of them, or ours, by rules of
    /// its own and by the order in which it reads directories.
    pub fn all(&self, file: &str, destination: &str) -> Vec<PathBuf> {
        let near = ["extra", "updates", destination.trim_start_matches('/')];
        let rank = |path: &Path| {
            let below = path.parent().and_then(|dir| dir.strip_prefix(&self.dir).ok());
            near.iter().position(|place| below == Some(Path::new(place))).unwrap_or(near.len())
        };
        let mut found = self.files().get(&module_name(file)).cloned().unwrap_or_default();
        found.retain(|path| path.exists());
        found.sort_by_key(|path| rank(path));
        found
    }

    /// A file came to where modules are looked for.
    pub fn add(&mut self, file: &Path) {
        let Some(files) = self.files.get_mut() else { return };
        let Some(name) = file.file_name().and_then(|name| name.to_str()).map(module_name) else { return };
        let known = files.entry(name).or_default();
        if is_module(file)
            && file.starts_with(&self.dir)
            && let Err(place) = known.binary_search_by(|path| path.as_path().cmp(file))
        {
            known.insert(place, file.to_path_buf());
        }
    }

    fn files(&self) -> &BTreeMap<String, Vec<PathBuf>> {
        self.files.get_or_init(|| {
            let entries = walkdir::WalkDir::new(&self.dir).sort_by_file_name().into_iter();
            let inside =
                entries.filter_entry(|e| !matches!(e.file_name().to_str(), Some("build" | "source")));
            let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
            for entry in inside.flatten().filter(|e| self.is_file_of_its_own(e)) {
                if let Some(name) = entry.file_name().to_str().map(module_name) {
                    files.entry(name).or_default().push(entry.into_path());
                }
            }
            files
        })
    }

    /// A module file, or a link to one. Links in `weak-updates` are those of another kernel's modules, and have
    /// a program that looks after them.
    fn is_file_of_its_own(&self, entry: &walkdir::DirEntry) -> bool {
        let linked = || entry.path().starts_with(self.dir.join("weak-updates"));
        let kind = entry.file_type();
        is_module(entry.path()) && (kind.is_file() || kind.is_symlink() && !linked())
    }
}
