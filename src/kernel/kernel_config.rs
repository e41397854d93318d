//! The few lines of a kernel's configuration that a build depends on.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use crate::conf::model::own_config;
use crate::fs::regular;

/// The settings that are kept; the file has some ten thousand.
const KEPT: [&str; 39] = [
    "CONFIG_BUILD_SALT",
    "CONFIG_CC_VERSION_TEXT",
    "CONFIG_CC_IS_CLANG",
    "CONFIG_CMDLINE",
    "CONFIG_CRYPTO_ECDSA",
    "CONFIG_CRYPTO_SHA1",
    "CONFIG_CRYPTO_SHA256",
    "CONFIG_CRYPTO_SHA3",
    "CONFIG_CRYPTO_SHA512",
    "CONFIG_IMA_ARCH_POLICY",
    "CONFIG_INTEGRITY_CA_MACHINE_KEYRING",
    "CONFIG_INTEGRITY_MACHINE_KEYRING",
    "CONFIG_INTEGRITY_PLATFORM_KEYRING",
    "CONFIG_LD_IS_LLD",
    "CONFIG_LOAD_UEFI_KEYS",
    "CONFIG_LOCK_DOWN_IN_EFI_SECURE_BOOT",
    "CONFIG_LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY",
    "CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY",
    "CONFIG_SECONDARY_TRUSTED_KEYRING",
    "CONFIG_SECURITY_LOCKDOWN_LSM",
    "CONFIG_SECURITY_LOCKDOWN_LSM_EARLY",
    "CONFIG_SYSTEM_TRUSTED_KEYS",
    "CONFIG_MODULE_SIG",
    "CONFIG_MODULE_SIG_FORCE",
    "CONFIG_MODULE_SIG_HASH",
    "CONFIG_MODULE_SIG_KEY",
    "CONFIG_MODULE_COMPRESS",
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

/// Settings that mean something together only: whoever speaks of one of them speaks of all.
const CHOICES: [&[&str]; 4] = [
    &[
        "CONFIG_MODULE_COMPRESS",
        "CONFIG_MODULE_COMPRESS_NONE",
        "CONFIG_MODULE_COMPRESS_GZIP",
        "CONFIG_MODULE_COMPRESS_XZ",
        "CONFIG_MODULE_COMPRESS_ZSTD",
    ],
    &["CONFIG_CC_VERSION_TEXT", "CONFIG_CC_IS_CLANG"],
    &["CONFIG_RUST", "CONFIG_RUSTC_VERSION_TEXT"],
    &["CONFIG_PREEMPT", "CONFIG_PREEMPT_BUILD", "CONFIG_PREEMPT_RT"],
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
        let text = String::from_utf8_lossy(&regular::read(path)?).into_owned();
        let config = Arc::new(Self::parse(&text));
        read.insert(path.to_path_buf(), (stamp, Arc::clone(&config)));
        Ok(config)
    }

    /// The configuration of a kernel with these headers, where `config` is what it is to be taken from. That
    /// may be a part of one, given by a person: what it does not mention is as in the headers' own.
    ///
    /// # Errors
    /// When `config` cannot be read.
    pub fn of(config: &Path, headers: &Path) -> io::Result<Arc<Self>> {
        let given = Self::read(config)?;
        let own = own_config(headers);
        match Self::read(&own) {
            Ok(own_values) if own != config => Ok(Arc::new(given.over(&own_values))),
            _ => Ok(given),
        }
    }

    /// What `own` says of the settings that this one does not mention, added to it.
    fn over(&self, own: &Self) -> Self {
        let mut all = self.0.clone();
        let mentioned = |name: &str| self.0.contains_key(name);
        for (name, value) in &own.0 {
            let choice = CHOICES.iter().find(|choice| choice.contains(name));
            let spoken_of = match choice {
                Some(choice) => choice.iter().any(|name| mentioned(name)),
                None => mentioned(name),
            };
            if !spoken_of {
                all.insert(name, value.clone());
            }
        }
        if self.get("CONFIG_MODULE_SIG") == Some("n") {
            all.retain(|name, _| !name.starts_with("CONFIG_MODULE_SIG"));
        }
        Self(all)
    }

    /// What the text of one says.
    pub(in crate::kernel) fn parse(text: &str) -> Self {
        let mut values = HashMap::new();
        for line in text.lines() {
            let unset = line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set"));
            let Some((name, value)) = line.split_once('=').or(unset.map(|name| (name, "n"))) else {
                continue;
            };
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

    #[test]
    fn what_a_part_of_one_does_not_mention_is_as_in_the_headers_own() {
        let dir = tempfile::tempdir().unwrap();
        let headers = dir.path().join("headers");
        let own = headers.join("include/config/auto.conf");
        std::fs::create_dir_all(own.parent().unwrap()).unwrap();
        let text = "CONFIG_MODULE_COMPRESS_XZ=y\nCONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_HASH=\"sha256\"\n\
                    CONFIG_MODULE_SIG_FORCE=y\nCONFIG_CC_VERSION_TEXT=\"gcc-14 14.2\"\n";
        std::fs::write(&own, text).unwrap();
        let part = dir.path().join("part");
        let of = |text: &str| {
            std::fs::write(&part, text).unwrap();
            let config = KernelConfig::of(&part, &headers).unwrap();
            let named = ["XZ", "ZSTD"].map(|name| format!("CONFIG_MODULE_COMPRESS_{name}"));
            let compression =
                named.into_iter().filter(|name| config.is_set(name)).collect::<Vec<_>>().join(" ");
            let hash = config.get("CONFIG_MODULE_SIG_HASH").unwrap_or("none").to_owned();
            (compression, hash, config.is_set("CONFIG_MODULE_SIG_FORCE"))
        };
        let xz = "CONFIG_MODULE_COMPRESS_XZ".to_owned();
        assert_eq!(of("CONFIG_MODULE_SIG_HASH=\"sha512\"\n"), (xz.clone(), "sha512".to_owned(), true));
        assert_eq!(of(""), (xz.clone(), "sha256".to_owned(), true));
        assert_eq!(of("# CONFIG_MODULE_SIG_FORCE is not set\n"), (xz.clone(), "sha256".to_owned(), false));
        assert_eq!(of("# CONFIG_MODULE_SIG is not set\n"), (xz, "none".to_owned(), false));
        // One that chooses another compression, or none, chooses against this one.
        assert_eq!(of("CONFIG_MODULE_COMPRESS_ZSTD=y\n").0, "CONFIG_MODULE_COMPRESS_ZSTD");
        assert_eq!(of("# CONFIG_MODULE_COMPRESS_XZ is not set\n").0, "");
        assert_eq!(of("# CONFIG_MODULE_COMPRESS is not set\n").0, "");
        assert_eq!(KernelConfig::of(&own, &headers).unwrap(), KernelConfig::read(&own).unwrap());
        assert!(KernelConfig::of(&dir.path().join("nowhere"), &headers).is_err());
    }
}
