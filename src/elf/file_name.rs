//! Names of module files.

use std::path::Path;

/// True for `.ko` and its compressed forms.
pub fn is_module(path: &Path) -> bool {
    path.file_name().and_then(|n| n.to_str()).is_some_and(|n| module_stem(n).is_some())
}

/// The module's name without `.ko` and compression suffix; `None` when it is no module.
pub fn module_stem(file: &str) -> Option<&str> {
    [".ko", ".ko.gz", ".ko.xz", ".ko.zst"].iter().find_map(|suffix| file.strip_suffix(suffix))
}
