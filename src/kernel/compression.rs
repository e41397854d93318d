//! How modules for a kernel are compressed.

use std::path::Path;

use super::kernel_config::KernelConfig;
use crate::conf::model::Context;
use crate::elf::Compression;
use crate::model::ids::KernelRelease;
use crate::tree::layout::Layout;

/// How modules for a kernel are compressed: by its configuration, and when that cannot be read,
/// like the first module found among the kernel's own.
pub fn compression(context: &Context, layout: &Layout, kernel: &KernelRelease) -> Compression {
    match KernelConfig::of(&context.kernel_config, &context.kernel_source_dir) {
        Ok(config) => configured(&config),
        Err(_) => found_below(&layout.kernel(kernel).join("kernel")),
    }
}

fn configured(config: &KernelConfig) -> Compression {
    // Kernels since 6.13 say nothing where older ones say NONE.
    if config.is_set("CONFIG_MODULE_COMPRESS_ZSTD") {
        Compression::Zstd
    } else if config.is_set("CONFIG_MODULE_COMPRESS_XZ") {
        Compression::Xz
    } else if config.is_set("CONFIG_MODULE_COMPRESS_GZIP") {
        Compression::Gzip
    } else {
        Compression::None
    }
}

fn found_below(dir: &Path) -> Compression {
    walkdir::WalkDir::new(dir)
        .sort_by_file_name()
        .into_iter()
        .flatten()
        .find_map(|entry| Compression::of(entry.path()))
        .unwrap_or(Compression::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_module_decides_when_there_is_no_configuration() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(found_below(dir.path()), Compression::None);
        std::fs::create_dir_all(dir.path().join("fs/a")).unwrap();
        std::fs::write(dir.path().join("fs/a/a.ko.xz"), "").unwrap();
        std::fs::write(dir.path().join("fs/z.ko.zst"), "").unwrap();
        assert_eq!(found_below(dir.path()), Compression::Xz);
    }
}
