//! EFI_SIGNATURE_LIST: how the firmware and shim keep the certificates that they trust or block (UEFI
//! specification 2.10, section 32.4.1).

use crate::trust::pki::Certificate;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// EFI_CERT_X509_GUID, as it lies in memory.
const X509: [u8; 16] = guid(0xa5c0_59a1, 0x94e4, 0x4aa7, [0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72]);

/// EFI_CERT_SHA256_GUID: of a whole file; some tools put that of a certificate there.
const SHA256: [u8; 16] = guid(0xc1c4_1626, 0x504c, 0x4092, [0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28]);

/// EFI_CERT_X509_SHA256_GUID and its like: the digest of what a certificate's issuer signed, and the time
/// since when it is not to be trusted. The kernel looks at no time, so nobody does here.
const X509_SHA256: [u8; 16] =
    guid(0x3bd2_a492, 0x96c0, 0x4079, [0xb4, 0x20, 0xfc, 0xf9, 0x8e, 0xf1, 0x03, 0xed]);
const X509_SHA384: [u8; 16] =
    guid(0x7076_876e, 0x80c2, 0x4ee6, [0xaa, 0xd2, 0x28, 0xb3, 0x49, 0xa6, 0x86, 0x5b]);
const X509_SHA512: [u8; 16] =
    guid(0x446d_bf63, 0x2502, 0x4cda, [0xbc, 0xfa, 0x24, 0x65, 0xd2, 0xb0, 0xfe, 0x9d]);

/// Length of the fields before the first signature, in bytes.
const HEADER: usize = 28;

/// Length of a signature's owner, in bytes.
const OWNER: usize = 16;

const fn guid(a: u32, b: u16, c: u16, d: [u8; 8]) -> [u8; 16] {
    let (a, b, c) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    [a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]
}

/// True when one of the lists that follow one another in `bytes` has this certificate. What cannot be
/// read ends the search.
pub(super) fn holds(bytes: &[u8], certificate: &Certificate) -> bool {
    let digest = Sha256::digest(&certificate.der);
    let signed = certificate.to_be_signed();
    entries(bytes).any(|(kind, data)| match kind {
        X509 => data == certificate.der,
        SHA256 => data == &digest[..],
        X509_SHA256 => signed.is_some_and(|signed| data.starts_with(&Sha256::digest(signed))),
        X509_SHA384 => signed.is_some_and(|signed| data.starts_with(&Sha384::digest(signed))),
        X509_SHA512 => signed.is_some_and(|signed| data.starts_with(&Sha512::digest(signed))),
        _ => false,
    })
}

/// True when one of the lists has this certificate itself, not only a digest of it: nothing can be verified
/// with a digest.
pub(super) fn holds_itself(bytes: &[u8], certificate: &Certificate) -> bool {
    entries(bytes).any(|(kind, data)| kind == X509 && data == certificate.der)
}

/// The certificates in the lists. What is none is passed over, as the kernel does.
pub(super) fn certificates(bytes: &[u8]) -> impl Iterator<Item = Certificate> + '_ {
    entries(bytes).filter(|(kind, _)| *kind == X509).filter_map(|(_, data)| Certificate::parse(data).ok())
}

/// One list.
struct List<'a> {
    kind: [u8; 16],
    /// Of each signature, in bytes.
    size: usize,
    signatures: &'a [u8],
}

/// Every signature with the kind of its list.
fn entries(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 16], &[u8])> {
    let lists = std::iter::from_fn(move || {
        let (list, rest) = list(bytes)?;
        bytes = rest;
        Some(list)
    });
    lists.flat_map(|List { kind, size, signatures }| {
        signatures.chunks_exact(size).filter_map(move |one| Some((kind, one.get(OWNER..)?)))
    })
}

/// The first list, and what follows it.
fn list(bytes: &[u8]) -> Option<(List<'_>, &[u8])> {
    let header = bytes.first_chunk::<HEADER>()?;
    let field = |at: usize| {
        let field = header.get(at..at + 4)?;
        usize::try_from(u32::from_le_bytes(field.try_into().ok()?)).ok()
    };
    let kind = *header.first_chunk::<16>()?;
    let (whole, extra, size) = (field(16)?, field(20)?, field(24)?);
    let (this, rest) = bytes.split_at_checked(whole)?;
    let signatures = this.get(HEADER.checked_add(extra)?..)?;
    // An empty signature would make no progress, nor would a list without a header.
    (size > OWNER).then_some((List { kind, size, signatures }, rest))
}

/// A list of one certificate, as tests of other files want it.
#[cfg(test)]
pub(super) fn list_of(data: &[u8]) -> Vec<u8> {
    let size = u32::try_from(OWNER + data.len()).unwrap();
    let mut out = X509.to_vec();
    out.extend((size + HEADER as u32).to_le_bytes());
    out.extend(0u32.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend([0x11; OWNER]);
    out.extend(data);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::pki::tests_data as data;
    use proptest::prelude::*;

    fn certificate(der: &[u8]) -> Certificate {
        Certificate { der: der.to_vec(), issuer: vec![], serial: vec![], key_id: None, pem: false }
    }

    #[test]
    fn a_certificate_is_found_in_any_list() {
        let lists = [list_of(b"first one"), list_of(b"second")].concat();
        assert!(holds(&lists, &certificate(b"first one")) && holds(&lists, &certificate(b"second")));
        assert!(!holds(&lists, &certificate(b"third")) && !holds(&[], &certificate(b"third")));
        let mut hashes = list_of(&Sha256::digest(b"by hash"));
        hashes[..16].copy_from_slice(&SHA256);
        assert!(holds(&hashes, &certificate(b"by hash")));
        assert!(!holds_itself(&hashes, &certificate(b"by hash")));
        assert!(holds_itself(&lists, &certificate(b"second")));
        let real = list_of(&data::bytes(data::CERTIFICATE));
        let both = [lists, real].concat();
        assert_eq!(
            certificates(&both).map(|found| found.der).collect::<Vec<_>>(),
            [data::bytes(data::CERTIFICATE)]
        );
    }

    #[test]
    fn a_certificate_is_found_by_what_was_signed_in_it() {
        let real = Certificate::parse(&data::bytes(data::CERTIFICATE)).unwrap();
        let signed = real.to_be_signed().unwrap();
        assert!(real.der.len() > signed.len() && real.der[4..].starts_with(signed));
        let digests = [
            (X509_SHA256, Sha256::digest(signed).to_vec()),
            (X509_SHA384, Sha384::digest(signed).to_vec()),
            (X509_SHA512, Sha512::digest(signed).to_vec()),
        ];
        for (kind, digest) in digests {
            let time = [0; 16];
            let mut list = list_of(&[&digest[..], &time[..]].concat());
            list[..16].copy_from_slice(&kind);
            assert!(holds(&list, &real));
            assert!(!holds(&list, &certificate(b"no certificate at all")));
            list[HEADER + OWNER] ^= 1;
            assert!(!holds(&list, &real));
        }
    }

    #[test]
    fn several_signatures_in_one_list() {
        let mut one = list_of(b"aaaa");
        one.extend([0x22; OWNER]);
        one.extend(b"bbbb");
        let whole = u32::try_from(one.len()).unwrap();
        one[16..20].copy_from_slice(&whole.to_le_bytes());
        assert!(holds(&one, &certificate(b"aaaa")) && holds(&one, &certificate(b"bbbb")));
    }

    #[test]
    fn sizes_that_make_no_sense_end_the_search() {
        for (at, value) in [(16, 0u32), (16, 27), (16, u32::MAX), (20, u32::MAX), (24, 0), (24, 16)] {
            let mut bytes = [list_of(b"aaaa"), list_of(b"bbbb")].concat();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            assert!(!holds(&bytes, &certificate(b"bbbb")), "{at} {value}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
            head in any::<bool>(),
        ) {
            if head {
                bytes = [list_of(b"aaaa"), bytes].concat();
            }
            let count = entries(&bytes).count();
            prop_assert!(count <= bytes.len());
            prop_assert!(!head || holds(&bytes, &certificate(b"aaaa")));
        }
    }
}
