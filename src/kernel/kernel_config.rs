//! The few lines of a kernel's configuration that a build depends on.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

/// The settings that are kept; the file has some ten thousand.
const KEPT: [&str; 18] = [
    "CONFIG_CC_VERSION_TEXT",
    "CONFIG_CC_IS_CLANG",
    "CONFIG_LD_IS_LLD",
    "CONFIG_MODULE_SIG_FORCE",
    "CONFIG_MODULE_SIG_HASH",
    "CONFIG_MODULE_SIG_KEY",
    "CONFIG_MODULE_COMPRESS_NONE",
    "CONFIG_MODULE_COMPRESS_GZIP",
    "CONFIG_MODULE_COMPRESS_XZ",
    "CONFIG_MODULE_COMPRESS_ZSTD",
    "CONFIG_MODULE_UNLOAD",
    "CONFIG_MODVERSIONS",
    "CONFIG_PREEMPT",
    "CONFIG_PREEMPT_BUILD",
    "CONFIG_PREEMPT_RT",
    "CONFIG_RUST",
    "CONFIG_RUSTC_VERSION_TEXT",
    "CONFIG_SMP",
];

/// Device, inode, size, and time of the last change in nanoseconds.
type Stamp = (u64, u64, u64, i128);

/// The answers so far, by path.
type Answers = HashMap<PathBuf, (Stamp, Arc<KernelConfig>)>;

static READ: LazyLock<Mutex<Answers>> = LazyLock::new(Mutex::default);

/// What a kernel's configuration says about building for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelConfig(HashMap<&'static str, String>);

impl KernelConfig {
    /// Reads `auto.conf` or `.config`; asked again for an unchanged file, gives the same answer
    /// without reading.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(path: &Path) -> io::Result<Arc<Self>> {
        let meta = std::fs::metadata(path)?;
        let changed = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
        let stamp = (meta.dev(), meta.ino(), meta.len(), changed);
        let mut read = READ.lock().unwrap_or_else(|e| e.into_inner());
        if let Some((known, config)) = read.get(path)
            && *known == stamp
        {
            return Ok(Arc::clone(config));
        }
        let text = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
        let config = Arc::new(Self::parse(&text));
        read.insert(path.to_path_buf(), (stamp, Arc::clone(&config)));
        Ok(config)
    }

    fn parse(text: &str) -> Self {
        let mut values = HashMap::new();
        for line in text.lines() {
            let Some((name, value)) = line.split_once('=') else { continue };
            if let Some(name) = KEPT.iter().find(|kept| **kept == name) {
                // Newer auto.conf files have no quotes around texts.
                values.insert(*name, value.trim().trim_matches('"').to_owned());
            }
        }
        Self(values)
    }

    /// The value of a setting that is present.
    pub fn get(&self, name: &str) -> Option<&str> {
        debug_assert!(KEPT.contains(&name), "{name} is not kept");
        self.0.get(name).map(String::as_str)
    }

    /// True when a setting is `y`.
    pub fn is_set(&self, name: &str) -> bool {
        self.get(name) == Some("y")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_optional_and_comments_are_no_settings() {
        for text in [
            "CONFIG_CC_VERSION_TEXT=\"gcc-14 (Debian 14.2.0-19) 14.2.0\"\n# CONFIG_CC_IS_CLANG is not set\n",
            "CONFIG_CC_VERSION_TEXT=gcc-14 (Debian 14.2.0-19) 14.2.0\n",
        ] {
            let config = KernelConfig::parse(text);
            assert_eq!(config.get("CONFIG_CC_VERSION_TEXT"), Some("gcc-14 (Debian 14.2.0-19) 14.2.0"));
            assert!(!config.is_set("CONFIG_CC_IS_CLANG"));
        }
    }

    #[test]
    fn a_changed_file_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("auto.conf");
        std::fs::write(&path, "CONFIG_MODULE_COMPRESS_XZ=y\n").unwrap();
        assert!(KernelConfig::read(&path).unwrap().is_set("CONFIG_MODULE_COMPRESS_XZ"));
        std::fs::write(&path, "CONFIG_MODULE_COMPRESS_ZSTD=y\n").unwrap();
        let config = KernelConfig::read(&path).unwrap();
        assert!(!config.is_set("CONFIG_MODULE_COMPRESS_XZ") && config.is_set("CONFIG_MODULE_COMPRESS_ZSTD"));
    }
}
