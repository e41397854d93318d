//! Where key and certificate are.

use std::path::PathBuf;

use super::place::{Maker, PKCS11};
use super::{KernelFiles, gentoo};
use crate::fs::regular;
use crate::fs::root::Root;
use crate::model::settings::Settings;
use crate::tree::half_pair;
use crate::tree::layout::Layout;

/// A private key and the certificate that others know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The private key: a path, or a `pkcs11:` URI.
    pub key: String,
    /// The certificate.
    pub certificate: PathBuf,
    /// Key and certificate as seen from inside the root.
    pub shown: (String, String),
    pub(crate) maker: Maker,
}

/// What there is of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairState {
    /// Both halves.
    There,
    /// Neither, or half of a pair that nobody can have used yet; they can be made.
    Missing,
    /// It cannot be used, and must not be made: why, and what to do.
    Broken(String),
}

/// Ubuntu's pair, which shim-signed keeps.
const SHIM: (&str, &str) = ("/var/lib/shim-signed/mok/MOK.priv", "/var/lib/shim-signed/mok/MOK.der");

/// DKMS's pair. Its place does not follow `--dkmstree`.
const DKMS: (&str, &str) = ("/var/lib/dkms/mok.key", "/var/lib/dkms/mok.pub");

impl Pair {
    /// As framework.conf says; each half that it does not name is where the distribution has it.
    pub(super) fn of(
        layout: &Layout,
        settings: &Settings,
        kernel: Option<&KernelFiles<'_>>,
        distro: &str,
    ) -> Self {
        let named = |text: &Option<String>| {
            let text = text.as_deref().filter(|text| !text.is_empty())?;
            Some(kernel.map_or_else(|| text.to_owned(), |kernel| kernel.expand(text)))
        };
        let (key, certificate) = (named(&settings.mok_signing_key), named(&settings.mok_certificate));
        let own = |pair: (&str, &str), maker| ((pair.0.to_owned(), pair.1.to_owned()), maker);
        let gentoo = || gentoo::pair(&layout.root, settings, kernel).filter(|_| certificate.is_none());
        let (default, maker) = match &key {
            None if distro.starts_with("ubuntu") => own(SHIM, Maker::Shim),
            None if distro.starts_with("gentoo") => gentoo().unwrap_or_else(|| own(DKMS, Maker::Openssl)),
            _ => own(DKMS, Maker::Openssl),
        };
        let maker = if certificate.is_none() { maker } else { Maker::Openssl };
        let key = key.unwrap_or(default.0);
        let certificate = certificate.unwrap_or(default.1);
        Self::at(&layout.root, key, &certificate, maker)
    }

    /// Paths as seen from inside the root.
    fn at(root: &Root, key: String, certificate: &str, maker: Maker) -> Self {
        let shown = (key.clone(), certificate.to_owned());
        let key = match key.starts_with(PKCS11) {
            true => key,
            false => root.path(&key).to_string_lossy().into_owned(),
        };
        Self { key, certificate: root.path(certificate), shown, maker }
    }

    /// The lines that name it, as DKMS prints them.
    pub fn lines(&self) -> [String; 2] {
        [format!("Signing key: {}", self.shown.0), format!("Public certificate (MOK): {}", self.shown.1)]
    }

    /// The key where it is a file and not in a token.
    pub fn key_file(&self) -> Option<PathBuf> {
        (!self.key.starts_with(PKCS11)).then(|| PathBuf::from(&self.key))
    }

    /// True for the key that the kernel's own modules are signed with, which it knows without being
    /// told.
    pub fn is_the_kernels(&self) -> bool {
        self.maker == Maker::Kernel
    }

    /// True when the key is in no file: its certificate alone can be moved.
    pub fn is_on_a_token(&self) -> bool {
        self.key.starts_with(PKCS11)
    }

    /// True for Ubuntu's pair, which has a tool of its own.
    pub fn is_shims(&self) -> bool {
        self.maker == Maker::Shim
    }

    /// True when the key file says that it is locked with a passphrase.
    pub fn has_passphrase(&self) -> bool {
        // RFC 7468 section 11 and, for keys of the older form, RFC 1421 section 4.6.1.1.
        let marks: [&[u8]; 2] = [b"BEGIN ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];
        let Some(text) = self.key_file().and_then(|path| regular::read(&path).ok()) else { return false };
        marks.iter().any(|mark| text.windows(mark.len()).any(|part| part == *mark))
    }

    /// What there is of it.
    pub fn state(&self, layout: &Layout) -> PairState {
        let certificate = self.certificate.is_file();
        let Some(key) = self.key_file() else {
            // A token is asked when it signs.
            return match certificate {
                true => PairState::There,
                false => PairState::Broken(self.missing_half("certificate")),
            };
        };
        match (key.is_file(), certificate) {
            (true, true) => PairState::There,
            (true, false) => PairState::Broken(self.missing_half("certificate")),
            (false, true) if self.maker == Maker::Openssl && half_pair::is_half(&self.certificate) => {
                PairState::Missing
            }
            (false, true) => PairState::Broken(self.missing_half("key")),
            (false, false) if self.maker == Maker::Kernel || key == self.certificate => {
                let path = layout.shown(&key);
                PairState::Broken(format!("the key {} is not there", path.display()))
            }
            (false, false) => PairState::Missing,
        }
    }

    fn missing_half(&self, half: &str) -> String {
        let (missing, other) = match half {
            "key" => (&self.shown.0, &self.shown.1),
            _ => (&self.shown.1, &self.shown.0),
        };
        if other.starts_with(PKCS11) {
            return format!("the {half} {missing} is missing although {other} is the key; restore it");
        }
        format!(
            "the {half} {missing} is missing although {other} exists; restore it, or move the other half \
             away to get a new pair"
        )
    }
}
