//! What a kernel's configuration and its parameters say, taken from their text.

use std::collections::BTreeSet;

use super::facts::{Asked, Config, Parameters, Words};
use crate::kernel::KernelConfig;

/// The digests, each with the setting that brings it.
const DIGESTS: [(&str, &str); 8] = [
    ("sha1", "CONFIG_CRYPTO_SHA1"),
    ("sha224", "CONFIG_CRYPTO_SHA256"),
    ("sha256", "CONFIG_CRYPTO_SHA256"),
    ("sha384", "CONFIG_CRYPTO_SHA512"),
    ("sha512", "CONFIG_CRYPTO_SHA512"),
    ("sha3-256", "CONFIG_CRYPTO_SHA3"),
    ("sha3-384", "CONFIG_CRYPTO_SHA3"),
    ("sha3-512", "CONFIG_CRYPTO_SHA3"),
];

/// What signs where the kernel's own digest is not built in, the first that is.
const PREFERRED: [&str; 3] = ["sha512", "sha384", "sha256"];

impl Config {
    /// What matters of a configuration, which is that of the kernel `release`.
    pub fn of(config: &KernelConfig, release: &str) -> Self {
        let set = |name: &str| config.is_set(name);
        Self {
            signatures: set("CONFIG_MODULE_SIG") || config.get("CONFIG_MODULE_SIG_HASH").is_some(),
            enforces: set("CONFIG_MODULE_SIG_FORCE")
                || set("CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY")
                || set("CONFIG_LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY"),
            enforces_under_secure_boot: set("CONFIG_IMA_ARCH_POLICY")
                || set("CONFIG_LOCK_DOWN_IN_EFI_SECURE_BOOT"),
            lockdown: set("CONFIG_SECURITY_LOCKDOWN_LSM"),
            lockdown_early: set("CONFIG_SECURITY_LOCKDOWN_LSM_EARLY"),
            reads_lists: set("CONFIG_LOAD_UEFI_KEYS") && set("CONFIG_INTEGRITY_PLATFORM_KEYRING"),
            machine_keyring: set("CONFIG_INTEGRITY_MACHINE_KEYRING")
                && set("CONFIG_SECONDARY_TRUSTED_KEYRING")
                && !set("CONFIG_INTEGRITY_CA_MACHINE_KEYRING"),
            takes_platform_keys: is_debians(config, release),
            trusted_keys: config
                .get("CONFIG_SYSTEM_TRUSTED_KEYS")
                .filter(|text| !text.is_empty() && *text != "n")
                .map(str::to_owned),
            digests: digests(config),
            digests_to_load: digests_as_modules(config),
            ecdsa: match config.get("CONFIG_CRYPTO_ECDSA") {
                Some("m") => None,
                other => Some(other == Some("y")),
            },
        }
    }
}

/// True for a kernel that Debian built: its patches let the platform keyring vouch for modules, and no setting
/// says so. Recognised by a setting that mainline does not have, the compiler, and the salt of Debian's builds,
/// which is the release. The configurations in its /boot leave the salt out; those of Debian's offspring have another.
fn is_debians(config: &KernelConfig, release: &str) -> bool {
    config.is_set("CONFIG_LOCK_DOWN_IN_EFI_SECURE_BOOT")
        && config.get("CONFIG_CC_VERSION_TEXT").is_some_and(|text| text.contains("(Debian "))
        && config.get("CONFIG_BUILD_SALT").is_none_or(|salt| salt == release)
}

/// The digests that are built in. The kernel's own for modules always is: the setting selects it.
fn digests(config: &KernelConfig) -> BTreeSet<&'static str> {
    let own = config.get("CONFIG_MODULE_SIG_HASH");
    let built_in = DIGESTS.iter().filter(|(name, setting)| {
        config.is_set(setting) || own == Some(*name) && config.get(setting).is_none()
    });
    built_in.map(|(name, _)| *name).collect()
}

/// The digests that are modules.
fn digests_as_modules(config: &KernelConfig) -> BTreeSet<&'static str> {
    DIGESTS.iter().filter(|(_, setting)| config.get(setting) == Some("m")).map(|(name, _)| *name).collect()
}

/// The digest to sign with: the kernel's own (CONFIG_MODULE_SIG_HASH), or, where that is not built into it (`=m`
/// is not: an initramfs need not have the module), the strongest common one that is.
pub(in crate::kernel::signing) fn digest_to_sign_with(config: &KernelConfig) -> Option<String> {
    let own = config.get("CONFIG_MODULE_SIG_HASH")?;
    let built_in = digests(config);
    // One that is not known here is believed.
    if built_in.contains(own) || !DIGESTS.iter().any(|(name, _)| *name == own) {
        return Some(own.to_owned());
    }
    let other = PREFERRED.into_iter().find(|name| built_in.contains(name));
    Some(other.unwrap_or(own).to_owned())
}

impl Asked {
    /// What a line of parameters asks for. Dashes and underscores are the same in names (kernel/params.c).
    pub fn of(line: &str) -> Self {
        let mut asked = Self::default();
        for word in line.split_whitespace() {
            let (name, value) =
                word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            let value = value.map(|value| value.trim_matches('"'));
            match name.replace('-', "_").as_str() {
                // Once on, it stays on: `param_set_bool_enable_only()`.
                "module.sig_enforce" => asked.sig_enforce |= value.is_none_or(is_true),
                "lockdown" => asked.lockdown |= matches!(value, Some("integrity" | "confidentiality")),
                "lsm" => {
                    asked.lsm_without_lockdown =
                        !value.unwrap_or_default().split(',').any(|module| module == "lockdown");
                }
                "ima_policy" => {
                    let policies = || value.unwrap_or_default().split('|');
                    asked.ima |= policies().any(|policy| policy.trim() == "secure_boot");
                }
                _ => {}
            }
        }
        asked
    }

    /// True when both enforce the same.
    fn agrees(&self, other: &Self) -> bool {
        (self.sig_enforce || self.lockdown) == (other.sig_enforce || other.lockdown)
    }
}

/// kstrtobool() of the kernel.
fn is_true(value: &str) -> bool {
    matches!(value.as_bytes(), [b'y' | b'Y' | b't' | b'T' | b'1', ..] | [b'o' | b'O', b'n' | b'N', ..])
}

impl Parameters {
    /// Of a kernel with these lines, one for each of its boot entries.
    pub fn of(lines: &[String]) -> Self {
        let mut asked = lines.iter().map(|line| Asked::of(line));
        let Some(first) = asked.next() else { return Self::Unknown };
        match asked.all(|other| first.agrees(&other)) {
            true => Self::Are(first),
            false => Self::Differ,
        }
    }
}

impl Words {
    /// Of a kernel `release` with this configuration, and these lines of parameters. CONFIG_CMDLINE goes before each.
    pub fn of(config: Option<&KernelConfig>, release: &str, lines: &[String]) -> Self {
        let built_in = config.and_then(|config| config.get("CONFIG_CMDLINE")).filter(|line| *line != "n");
        let lines: Vec<String> = match built_in {
            Some(built_in) => lines.iter().map(|line| format!("{built_in} {line}")).collect(),
            None => lines.to_vec(),
        };
        let parameters = Parameters::of(&lines);
        let ima_policy = lines.iter().any(|line| Asked::of(line).ima);
        Self { config: config.map(|config| Config::of(config, release)), parameters, ima_policy }
    }
}
