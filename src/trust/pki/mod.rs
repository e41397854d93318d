//! Reading certificates (X.509) and detached signatures (PKCS#7, now CMS), as far as it takes to say
//! who signed a module and how.
//!
//! Nothing here computes with keys: whether a signature is right is asked of openssl, which the
//! kernel's own sign-file stands on (`docs/dependencies.md` has the reasons). Every input may be
//! damaged or hostile; what is not understood is an error, never a panic.

mod base64;
mod certificate;
mod der;
mod signed_data;
#[cfg(test)]
pub(super) mod tests_data;

pub use base64::to_base64;
pub use certificate::Certificate;
pub use der::Fault;
pub use signed_data::{SignedData, Signer, SignerId};

/// The object identifier of a digest, as the content of its DER encoding; `None` for a name that is
/// not known here. Names are those of the kernel's CONFIG_MODULE_SIG_HASH.
pub fn digest_oid(name: &str) -> Option<&'static [u8]> {
    DIGESTS.iter().find(|(known, _)| *known == name).map(|(_, oid)| *oid)
}

/// The name of a digest by its object identifier.
pub fn digest_name(oid: &[u8]) -> Option<&'static str> {
    DIGESTS.iter().find(|(_, known)| *known == oid).map(|(name, _)| *name)
}

/// NIST's digests are 2.16.840.1.101.3.4.2.N (RFC 5754 and the list of NIST's registered
/// objects); sha1 is 1.3.14.3.2.26 (RFC 3370).
const DIGESTS: [(&str, &[u8]); 8] = [
    ("sha1", &[0x2b, 0x0e, 0x03, 0x02, 0x1a]),
    ("sha224", &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x04]),
    ("sha256", &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01]),
    ("sha384", &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02]),
    ("sha512", &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03]),
    ("sha3-256", &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x08]),
    ("sha3-384", &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x09]),
    ("sha3-512", &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x0a]),
];
