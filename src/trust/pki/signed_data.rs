//! Detached signatures: PKCS#7 SignedData (RFC 5652), as the kernel reads it from the end of a
//! module.

use super::Certificate;
use super::der::{Element, Fault, Reader, tag};

/// 1.2.840.113549.1.7.2, signedData.
const SIGNED_DATA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];

/// Starts of the object identifiers of RSA (1.2.840.113549.1.1) and of ECDSA (1.2.840.10045.4).
const CLASSIC: [&[u8]; 2] =
    [&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04]];

/// What a signature says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedData {
    /// True when it does not contain what it signs.
    pub detached: bool,
    /// True when it carries certificates.
    pub certificates: bool,
    /// Who signed; at least one.
    pub signers: Vec<Signer>,
}

/// One who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Which certificate it refers to.
    pub id: SignerId,
    /// Object identifier of the digest.
    pub digest: Vec<u8>,
    /// Object identifier of the signature algorithm.
    pub algorithm: Vec<u8>,
    /// True when attributes are signed and not the content itself.
    pub attributes: bool,
}

/// How a signer is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerId {
    /// By its certificate's issuer (as encoded) and serial number.
    Serial {
        /// The issuer's name.
        issuer: Vec<u8>,
        /// The serial number.
        serial: Vec<u8>,
    },
    /// By its certificate's subject key identifier.
    Key(Vec<u8>),
}

impl Signer {
    /// True when it refers to this certificate.
    pub fn is(&self, certificate: &Certificate) -> bool {
        match &self.id {
            SignerId::Serial { issuer, serial } => {
                *issuer == certificate.issuer && *serial == certificate.serial
            }
            SignerId::Key(id) => certificate.key_id.as_ref() == Some(id),
        }
    }

    /// True for RSA and ECDSA, which sign a digest that is named; later algorithms may digest by
    /// themselves.
    pub fn signs_a_digest(&self) -> bool {
        CLASSIC.iter().any(|start| self.algorithm.starts_with(start))
    }
}

impl SignedData {
    /// Reads the DER encoding; nothing may follow it.
    ///
    /// # Errors
    /// When it is not that.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let mut outer = Reader::new(bytes);
        let mut info = outer.enter(tag::SEQUENCE)?;
        if info.expect(tag::OID)?.content != SIGNED_DATA || !outer.is_empty() {
            return Err(Fault::Malformed);
        }
        let mut data = info.enter(tag::CONTEXT_0)?.enter(tag::SEQUENCE)?;
        data.expect(tag::INTEGER)?;
        data.expect(tag::SET)?;
        let mut content = data.enter(tag::SEQUENCE)?;
        content.expect(tag::OID)?;
        let detached = content.is_empty();
        // Certificates and revocations.
        let certificates = data.optional(tag::CONTEXT_0)?.is_some_and(|set| !set.content.is_empty());
        data.optional(tag::CONTEXT_1)?;
        let mut infos = data.enter(tag::SET)?;
        let mut signers = Vec::new();
        while !infos.is_empty() {
            signers.push(signer(infos.enter(tag::SEQUENCE)?)?);
        }
        if signers.is_empty() { Err(Fault::Malformed) } else { Ok(Self { detached, certificates, signers }) }
    }
}

fn signer(mut info: Reader<'_>) -> Result<Signer, Fault> {
    info.expect(tag::INTEGER)?;
    let Element { tag: kind, content, .. } = info.next()?;
    let id = match kind {
        tag::SEQUENCE => {
            let mut parts = Reader::new(content);
            let issuer = parts.expect(tag::SEQUENCE)?.whole.to_vec();
            SignerId::Serial { issuer, serial: parts.expect(tag::INTEGER)?.content.to_vec() }
        }
        tag::CONTEXT_0_PRIMITIVE => SignerId::Key(content.to_vec()),
        _ => return Err(Fault::Malformed),
    };
    let mut algorithm = || info.enter(tag::SEQUENCE)?.expect(tag::OID).map(|oid| oid.content.to_vec());
    let digest = algorithm()?;
    let attributes = info.optional(tag::CONTEXT_0)?.is_some();
    let algorithm = info.enter(tag::SEQUENCE)?.expect(tag::OID)?.content.to_vec();
    info.expect(tag::OCTET_STRING)?;
    Ok(Signer { id, digest, algorithm, attributes })
}

#[cfg(test)]
mod tests {
    use super::super::{digest_name, tests_data as data};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_sign_file_writes() {
        let signed = SignedData::parse(&data::bytes(data::SIGNATURE)).unwrap();
        let [signer] = &signed.signers[..] else { panic!("{signed:?}") };
        assert!(signed.detached && !signed.certificates && !signer.attributes && signer.signs_a_digest());
        assert_eq!(digest_name(&signer.digest), Some("sha256"));
        let mut certificate = Certificate::parse(&data::bytes(data::CERTIFICATE)).unwrap();
        assert!(signer.is(&certificate));
        let by_key = Signer { id: SignerId::Key(certificate.key_id.clone().unwrap()), ..signer.clone() };
        assert!(by_key.is(&certificate));
        certificate.serial[3] ^= 1;
        certificate.key_id = None;
        assert!(!signer.is(&certificate) && !by_key.is(&certificate));
    }

    #[test]
    fn garbage_is_refused() {
        assert_eq!(SignedData::parse(b"garbage"), Err(Fault::Malformed));
        let mut longer = data::bytes(data::SIGNATURE);
        longer.push(0);
        assert_eq!(SignedData::parse(&longer), Err(Fault::Malformed));
        // A certificate is well-formed, too, but no signature.
        assert_eq!(SignedData::parse(&data::bytes(data::CERTIFICATE)), Err(Fault::Malformed));
    }

    proptest! {
        #[test]
        fn damage_is_no_panic(at in 0usize..413, byte in any::<u8>(), cut in 0usize..413) {
            let mut bytes = data::bytes(data::SIGNATURE);
            let at = at.min(bytes.len() - 1);
            bytes[at] = byte;
            let _ = SignedData::parse(&bytes);
            bytes.truncate(cut);
            prop_assert!(SignedData::parse(&bytes).is_err());
        }
    }
}
