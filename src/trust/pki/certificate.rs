//! X.509 certificates (RFC 5280): who it is about, not what it proves.

use std::path::Path;

use super::base64::{from_base64, to_base64};
use super::der::{Fault, Reader, tag};
use crate::fs::regular;

/// 2.5.29.14, subjectKeyIdentifier.
const KEY_ID: [u8; 3] = [0x55, 0x1d, 0x0e];

/// The largest file taken for a certificate, in bytes.
const LARGEST: u64 = 1 << 20;

/// What identifies a certificate to those who refer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// All of it, in DER.
    pub der: Vec<u8>,
    /// The issuer's name, as encoded.
    pub issuer: Vec<u8>,
    /// The content of the serial number.
    pub serial: Vec<u8>,
    /// The subject key identifier, if it has one.
    pub key_id: Option<Vec<u8>>,
    /// True when the file was PEM: tools of the firmware want DER.
    pub pem: bool,
}

impl Certificate {
    /// Reads a file in DER or PEM (the first certificate in it), as sign-file does.
    ///
    /// # Errors
    /// When the file cannot be read, and [`Fault`] as [`std::io::ErrorKind::InvalidData`].
    pub fn read(path: &Path) -> std::io::Result<Self> {
        Self::parse(&regular::read_up_to(path, LARGEST)?).map_err(|fault| {
            std::io::Error::new(std::io::ErrorKind::InvalidData, format!("not a certificate: {fault}"))
        })
    }

    /// The certificate in these bytes, DER or PEM.
    ///
    /// # Errors
    /// When there is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.first() == Some(&tag::SEQUENCE) {
            return Self::of_der(bytes, false);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Fault::Malformed)?;
        let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----").ok_or(Fault::Malformed)?;
        let (body, _) = rest.split_once("-----END CERTIFICATE-----").ok_or(Fault::Malformed)?;
        Self::of_der(&from_base64(body).ok_or(Fault::Malformed)?, true)
    }

    fn of_der(bytes: &[u8], pem: bool) -> Result<Self, Fault> {
        let whole = Reader::new(bytes).expect(tag::SEQUENCE)?;
        let mut to_be_signed = Reader::new(whole.content).enter(tag::SEQUENCE)?;
        to_be_signed.optional(tag::CONTEXT_0)?;
        let serial = to_be_signed.expect(tag::INTEGER)?.content;
        to_be_signed.expect(tag::SEQUENCE)?;
        let issuer = to_be_signed.expect(tag::SEQUENCE)?.whole;
        let mut key_id = None;
        while !to_be_signed.is_empty() {
            let element = to_be_signed.next()?;
            if element.tag == tag::CONTEXT_3 {
                key_id = key_id_of(element.content)?;
            }
        }
        Ok(Self { der: whole.whole.to_vec(), issuer: issuer.to_vec(), serial: serial.to_vec(), key_id, pem })
    }

    /// What its issuer signed: all but the signature (RFC 5280, section 4.1.1).
    pub fn to_be_signed(&self) -> Option<&[u8]> {
        let whole = Reader::new(&self.der).expect(tag::SEQUENCE).ok()?;
        Some(Reader::new(whole.content).expect(tag::SEQUENCE).ok()?.whole)
    }

    /// In PEM, which every version of openssl reads where DER must be announced.
    pub fn to_pem(&self) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", to_base64(&self.der))
    }
}

/// Looks through the extensions.
fn key_id_of(extensions: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
    let mut extensions = Reader::new(extensions).enter(tag::SEQUENCE)?;
    while !extensions.is_empty() {
        let mut extension = extensions.enter(tag::SEQUENCE)?;
        if extension.expect(tag::OID)?.content != KEY_ID {
            continue;
        }
        while !extension.is_empty() {
            let element = extension.next()?;
            if element.tag == tag::OCTET_STRING {
                let id = Reader::new(element.content).expect(tag::OCTET_STRING)?;
                return Ok(Some(id.content.to_vec()));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::tests_data as data;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_same_certificate_in_both_forms() {
        let der = Certificate::parse(&data::bytes(data::CERTIFICATE)).unwrap();
        assert_eq!(der.serial, data::SERIAL);
        assert_eq!(der.key_id.as_deref().map(<[u8]>::len), Some(20));
        assert!(!der.pem && der.issuer.windows(4).any(|w| w == b"DKMS"));
        let pem = Certificate::parse(format!("a comment\n{}", der.to_pem()).as_bytes()).unwrap();
        assert_eq!(Certificate { pem: false, ..pem }, der);
    }

    #[test]
    fn other_files_are_none() {
        for bytes in [&b""[..], b"0", b"-----BEGIN PRIVATE KEY-----\n", b"\x30\x03\x02\x01\x01", b"\xff\xfe"]
        {
            assert!(Certificate::parse(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn damage_is_no_panic(at in 0usize..832, byte in any::<u8>(), cut in 0usize..832) {
            let mut bytes = data::bytes(data::CERTIFICATE);
            let at = at.min(bytes.len() - 1);
            bytes[at] = byte;
            let _ = Certificate::parse(&bytes);
            bytes.truncate(cut);
            let _ = Certificate::parse(&bytes);
        }
    }
}
