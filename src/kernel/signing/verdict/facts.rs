//! The facts that a verdict is made from.

use std::collections::BTreeSet;

use super::Missing;
use crate::trust::firmware::SecureBoot;

/// What a kernel's configuration and parameters say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Words {
    /// Its configuration; `None` when that could not be read.
    pub config: Option<Config>,
    /// Its parameters.
    pub parameters: Parameters,
    /// A policy of IMA is asked for, which may look at modules, too.
    pub ima_policy: bool,
}

/// The configuration, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// CONFIG_MODULE_SIG: without it, signatures are looked at by nobody.
    pub signatures: bool,
    /// It enforces by itself: CONFIG_MODULE_SIG_FORCE, or CONFIG_LOCK_DOWN_KERNEL_FORCE_*.
    pub enforces: bool,
    /// Under Secure Boot it enforces: CONFIG_IMA_ARCH_POLICY or CONFIG_LOCK_DOWN_IN_EFI_SECURE_BOOT.
    pub enforces_under_secure_boot: bool,
    /// `lockdown=` is known to it (CONFIG_SECURITY_LOCKDOWN_LSM).
    pub lockdown: bool,
    /// … whatever `lsm=` says (CONFIG_SECURITY_LOCKDOWN_LSM_EARLY).
    pub lockdown_early: bool,
    /// It reads the lists of firmware and shim (CONFIG_LOAD_UEFI_KEYS, CONFIG_INTEGRITY_PLATFORM_KEYRING).
    pub reads_lists: bool,
    /// The owner's keys go where those for modules are (CONFIG_INTEGRITY_MACHINE_KEYRING,
    /// CONFIG_SECONDARY_TRUSTED_KEYRING, and not CONFIG_INTEGRITY_CA_MACHINE_KEYRING).
    pub machine_keyring: bool,
    /// It takes keys of the firmware for modules: true of Debian's kernels, otherwise not known.
    pub takes_platform_keys: bool,
    /// CONFIG_SYSTEM_TRUSTED_KEYS, where that is not empty.
    pub trusted_keys: Option<String>,
    /// The digests that are built in.
    pub digests: BTreeSet<&'static str>,
    /// The digests that the kernel has as modules: it asks for one when it needs it, and gets it where that is installed,
    /// but not from an initramfs without it.
    pub digests_to_load: BTreeSet<&'static str>,
    /// ECDSA is built in; `None` where it is a module.
    pub ecdsa: Option<bool>,
}

/// What the parameters of a kernel say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parameters {
    /// They are not known.
    #[default]
    Unknown,
    /// Boot entries of the kernel differ in them.
    Differ,
    /// They are these.
    Are(Asked),
}

/// What parameters ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// `module.sig_enforce`.
    pub sig_enforce: bool,
    /// `lockdown=integrity` or `lockdown=confidentiality`.
    pub lockdown: bool,
    /// `lsm=` without lockdown in it.
    pub lsm_without_lockdown: bool,
    /// `ima_policy=` or `ima_appraise=` that may look at modules.
    pub ima: bool,
}

/// How the machine was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boot {
    /// Whether Secure Boot is on.
    pub secure: SecureBoot,
    /// shim ran, and handed over its list of keys.
    pub shim: bool,
    /// shim says that the owner's keys are to count for more than starting (`MokListTrustedRT`).
    pub moks_trusted: bool,
    /// The kernel is told to pass over `db` (`MokIgnoreDB`).
    pub db_ignored: bool,
}

/// What the running kernel says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Live {
    /// `sig_enforce`; `None` when that could not be read.
    pub sig_enforce: Option<bool>,
    /// Locked down; `None` when that could not be read.
    pub lockdown: Option<bool>,
    /// The subject key identifiers of the certificates that it knows, in hex; `None` when they cannot be seen.
    pub keys: Option<BTreeSet<String>>,
}

/// What a file bears at its end, once it is unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bears {
    /// It could not be read or unpacked: why.
    Unread(String),
    /// No signature.
    Unsigned,
    /// Something that the kernel takes for a broken file: why, in words that follow "the signature".
    Malformed(String),
    /// A signature of a form that is not understood here: why.
    Unfamiliar(String),
    /// A signature.
    Signed(Signature),
}

/// The last signature of a file: the only one that the kernel looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name of its digest, as in CONFIG_MODULE_SIG_HASH; `None` for one that is not known here.
    pub digest: Option<String>,
    /// The algorithm, where the kernel may lack it: `ecdsa`.
    pub algorithm: Option<String>,
    /// What is known of the certificate that made it; `None` when it is in none of the lists that can be seen.
    pub signer: Option<Standing>,
    /// It carries certificates, as sign-file's never do.
    pub carries_certificates: bool,
    /// Whether the file is what was signed.
    pub content: Content,
}

/// Where a certificate is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Among the machine owner's keys.
    pub mok: bool,
    /// In the firmware's `db`.
    pub db: bool,
    /// In MokListX or dbx.
    pub blocked: bool,
    /// It is the key that the kernel was built with.
    pub kernels_own: bool,
    /// The running kernel knows it; `None` when that cannot be seen.
    pub live: Option<bool>,
}

/// Whether a file is what was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// It is.
    Good,
    /// It is not: what was found.
    Changed(String),
    /// That was not computed: why.
    Unchecked(String),
}

impl Words {
    /// True when nobody looks at signatures.
    pub(super) fn ignores_signatures(&self) -> bool {
        self.config.as_ref().is_some_and(|config| !config.signatures)
    }

    /// Whether the kernel has digest and algorithm; nothing where that depends on what is loaded.
    pub(super) fn has(&self, digest: Option<&str>, algorithm: Option<&str>) -> Option<bool> {
        let config = self.config.as_ref()?;
        let digest = digest?;
        if config.digests_to_load.contains(digest) {
            return None;
        }
        let algorithm = if algorithm == Some("ecdsa") { config.ecdsa? } else { true };
        Some(config.digests.contains(digest) && algorithm)
    }

    /// What is missing to know the parameters, or what they ask for.
    pub(super) fn asked(&self) -> Result<Asked, Missing> {
        match self.parameters {
            Parameters::Unknown => Err(Missing::Parameters),
            Parameters::Differ => Err(Missing::OneSetOfParameters),
            Parameters::Are(asked) => Ok(asked),
        }
    }
}

impl Boot {
    /// True when the owner's keys count: Secure Boot is on, and shim, which validates, handed them over.
    pub fn takes_moks(&self) -> bool {
        self.secure == SecureBoot::On && self.shim
    }
}
