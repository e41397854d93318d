//! The module files below `/lib/modules/K`, looked up by name.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::elf::module_stem;
use crate::model::ids::KernelRelease;
use crate::tree::layout::Layout;

/// The module files of a kernel. They are listed once, when the first name is not found in the usual places.
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

    /// The module of this name (without `.ko`) that stands in the way of one of ours: in `extra`, in
    /// `updates`, in the destination (below the kernel's directory), then anywhere. `except` is left out.
    /// Names are compared as they are written.
    pub fn find(&self, name: &str, destination: &str, except: Option<&Path>) -> Option<PathBuf> {
        let near = ["extra", "updates", destination.trim_start_matches('/')];
        let suffixes = [".ko", ".ko.gz", ".ko.xz", ".ko.zst"];
        for place in near {
            for suffix in suffixes {
                let path = self.dir.join(place).join(format!("{name}{suffix}"));
                if path.is_file() && Some(path.as_path()) != except {
                    return Some(path);
                }
            }
        }
        let mut named = self.files().get(name).into_iter().flatten();
        named.find(|path| Some(path.as_path()) != except && path.exists()).cloned()
    }

    fn files(&self) -> &BTreeMap<String, Vec<PathBuf>> {
        self.files.get_or_init(|| {
            let entries = walkdir::WalkDir::new(&self.dir).sort_by_file_name().into_iter();
            let inside =
                entries.filter_entry(|e| !matches!(e.file_name().to_str(), Some("build" | "source")));
            let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
            for entry in inside.flatten().filter(|e| e.file_type().is_file()) {
                if let Some(name) = entry.file_name().to_str().and_then(module_stem).map(str::to_owned) {
                    files.entry(name).or_default().push(entry.into_path());
                }
            }
            files
        })
    }
}
