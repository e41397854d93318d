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

/// The name that the kernel, depmod(8) and modprobe(8) know a module file by: up to its first dot, with `_` for
/// `-`. Files of one name are one module: only one of them is used.
pub fn module_name(file: &str) -> String {
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depmod_reads_these_names_as_one() {
        // Run with depmod of kmod 34: one line in modules.dep for the files of a row.
        for row in [["a-b.ko", "a_b.ko", "a_b.ko.xz"], ["m.ko", "m.ko.zst", "m.v2.ko"]] {
            let names: Vec<String> = row.iter().map(|file| module_name(file)).collect();
            assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
        }
        assert_ne!(module_name("m.ko"), module_name("mm.ko"));
    }
}
