//! What a module file bears: its last signature, checked over the content with the certificate that made it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::verdict::{Bears, Content, Signature, Standing};
use super::verify::{Checked, compute};
use crate::elf;
use crate::fs::regular;
use crate::trust::firmware::Firmware;
use crate::trust::pki::{Certificate, Fault, SignedData, SignerId, digest_name};

/// 1.2.840.10045.4, the algorithms of ECDSA.
const ECDSA: [u8; 6] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];

/// The certificates that are at hand, and where each is known.
#[derive(Debug, Clone, Default)]
pub struct Certificates {
    known: Vec<(Certificate, Standing)>,
    /// Where the kernel's own modules are: who signed them is known to it, though that certificate is in it only.
    kernels_modules: PathBuf,
    /// Who that was, once somebody asked.
    kernels_own: OnceLock<Option<SignerId>>,
}

impl Certificates {
    /// Those of the machine owner, of `db`, and `own`: ours, each with whether a kernel was built with it.
    pub fn of(firmware: &Firmware, own: &[(Certificate, bool)], kernels_modules: PathBuf) -> Self {
        let mut all: Vec<(Certificate, Standing)> = Vec::new();
        let listed = firmware.certificates().into_iter().map(|certificate| (certificate, false));
        for (certificate, built_with) in own.iter().cloned().chain(listed) {
            if all.iter().any(|(known, _)| known.der == certificate.der) {
                continue;
            }
            let lists = firmware.lists(&certificate);
            let standing = Standing {
                mok: lists.mok,
                db: lists.db,
                blocked: lists.blocked,
                kernels_own: built_with,
                live: None,
            };
            all.push((certificate, standing));
        }
        Self { known: all, kernels_modules, kernels_own: OnceLock::new() }
    }

    /// The same, with what the keys of the running kernel say of each.
    #[must_use]
    pub fn with_live(&self, keys: Option<&BTreeSet<String>>) -> Self {
        let Some(keys) = keys else { return self.clone() };
        let looked_up = self.known.iter().map(|(certificate, standing)| {
            let live = certificate.key_id.as_ref().map(|id| keys.contains(&hex(id)));
            (certificate.clone(), Standing { live, ..*standing })
        });
        Self { known: looked_up.collect(), ..self.clone() }
    }

    /// What a file bears that is well signed with one of these.
    pub(super) fn well_signed(&self, certificate: &Certificate, digest: &str) -> Bears {
        let standing = self.known.iter().find(|(known, _)| known.der == certificate.der);
        Bears::Signed(Signature {
            digest: Some(digest.to_owned()),
            algorithm: None,
            signer: standing.map(|(_, standing)| *standing),
            carries_certificates: false,
            content: Content::Good,
        })
    }

    /// What is known of a signer whose certificate is not here.
    fn stranger(&self, id: &SignerId) -> Option<Standing> {
        let own = self.kernels_own.get_or_init(|| signer_of_any(&self.kernels_modules));
        let kernels_own = own.as_ref()? == id;
        Some(Standing { kernels_own, ..Standing::default() })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A module file's content, unpacked.
fn content(path: &Path) -> std::io::Result<Vec<u8>> {
    let bytes = regular::read_module(path)?;
    match elf::Compression::of(path) {
        None | Some(elf::Compression::None) => Ok(bytes),
        // One that is appended to a compressed file is none: whoever unpacks the file takes it off.
        Some(packed) => packed.unpack(elf::without_signature(&bytes).to_vec()),
    }
}

/// Who signed the modules below a directory: one of them says.
fn signer_of_any(dir: &Path) -> Option<SignerId> {
    let files = walkdir::WalkDir::new(dir).into_iter().flatten();
    let is_module = |path: &Path| elf::Compression::of(path).is_some();
    let mut modules = files.filter(|entry| entry.file_type().is_file() && is_module(entry.path()));
    modules.next().and_then(|entry| signer_of(entry.path()))
}

/// Who signed a module file.
fn signer_of(path: &Path) -> Option<SignerId> {
    let bytes = content(path).ok()?;
    let signed = SignedData::parse(elf::appended(&bytes).ok()??.signature).ok()?;
    signed.signers.into_iter().next().map(|signer| signer.id)
}

/// What a module file bears.
pub fn bears(path: &Path, certificates: &Certificates) -> Bears {
    match content(path) {
        Ok(bytes) => bears_unpacked(&bytes, certificates),
        Err(error) => Bears::Unread(error.to_string()),
    }
}

/// What uncompressed module bytes bear.
fn bears_unpacked(bytes: &[u8], certificates: &Certificates) -> Bears {
    let parts = match elf::appended(bytes) {
        Ok(Some(parts)) => parts,
        Ok(None) => return Bears::Unsigned,
        Err(why) => return Bears::Malformed(why.to_owned()),
    };
    let signed = match SignedData::parse(parts.signature) {
        Ok(signed) => signed,
        Err(Fault::Malformed) => return Bears::Malformed("is not PKCS#7".to_owned()),
        Err(fault @ Fault::Unfamiliar) => return Bears::Unfamiliar(fault.to_string()),
    };
    let [signer] = &signed.signers[..] else {
        return Bears::Unfamiliar("it is of several signers".to_owned());
    };
    if !signer.signs_a_digest() {
        return Bears::Unfamiliar("its algorithm is neither RSA nor ECDSA".to_owned());
    }
    // pkcs7_supply_detached_data() and pkcs7_verify() of the kernel, before any key is looked for.
    if !signed.detached {
        return Bears::Malformed("contains what it signs".to_owned());
    }
    if signer.attributes {
        return Bears::Malformed("has signed attributes".to_owned());
    }
    let made_by = certificates.known.iter().find(|(certificate, _)| signer.is(certificate));
    let content = match made_by.map(|(certificate, _)| compute(parts.body, parts.signature, certificate)) {
        None => Content::Unchecked("the certificate that made it is not here".to_owned()),
        Some(Checked::Good) => Content::Good,
        Some(Checked::Bad(why)) => Content::Changed(why),
        Some(Checked::Believed(why) | Checked::Unclear(why)) => Content::Unchecked(why),
    };
    Bears::Signed(Signature {
        digest: digest_name(&signer.digest).map(str::to_owned),
        algorithm: signer.algorithm.starts_with(&ECDSA).then(|| "ecdsa".to_owned()),
        signer: made_by.map_or_else(|| certificates.stranger(&signer.id), |(_, standing)| Some(*standing)),
        carries_certificates: signed.certificates,
        content,
    })
}
