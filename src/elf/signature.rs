//! The signature that the kernel's build appends to a module (include/linux/module_signature.h).

/// The marker that ends a signed module.
const MAGIC: &[u8] = b"~Module signature appended~\n";

/// `struct module_signature` before the marker, in bytes: algorithm, hash, kind of identifier,
/// lengths of signer's name and key identifier, three bytes of padding, and the length of the
/// signature (four bytes, big-endian).
const HEADER: usize = 12;

/// `PKEY_ID_PKCS7`, the only kind that kernels since 4.3 know.
const PKCS7: u8 = 2;

/// A signed module in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended<'a> {
    /// The module without the signature: what is signed.
    pub body: &'a [u8],
    /// The signature, in PKCS#7.
    pub signature: &'a [u8],
}

/// Takes (uncompressed) module bytes apart; `None` when no signature is appended.
///
/// # Errors
/// When what is appended makes no sense to the kernel, in words that follow "the signature":
/// its checks are those of `mod_check_sig()`.
pub fn appended(bytes: &[u8]) -> Result<Option<Appended<'_>>, &'static str> {
    let Some(rest) = bytes.strip_suffix(MAGIC) else { return Ok(None) };
    let (rest, header) = rest.split_last_chunk::<HEADER>().ok_or("is cut off")?;
    let body = body_length(rest.len(), header).ok_or("is longer than the file")?;
    if header[2] != PKCS7 {
        return Err("is not of the kind PKCS#7");
    }
    if header[..2] != [0, 0] || header[3..8] != [0; 5] {
        return Err("has a trailer with fields that must be zero");
    }
    let (body, signature) = rest.split_at(body);
    Ok(Some(Appended { body, signature }))
}

fn body_length(available: usize, header: &[u8; HEADER]) -> Option<usize> {
    let length = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
    available.checked_sub(usize::try_from(length).ok()?)
}

/// True when a signature is appended to (uncompressed) module bytes.
pub fn has_signature(bytes: &[u8]) -> bool {
    bytes.ends_with(MAGIC)
}

/// The module without an appended signature. Bytes whose trailer makes no sense are returned whole.
pub fn without_signature(bytes: &[u8]) -> &[u8] {
    let Some(rest) = bytes.strip_suffix(MAGIC) else { return bytes };
    let Some((rest, header)) = rest.split_last_chunk::<HEADER>() else { return bytes };
    body_length(rest.len(), header).map_or(bytes, |end| &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The trailer that sign-file writes.
    fn signed(body: &[u8], signature: &[u8], length: u32) -> Vec<u8> {
        let mut out = [body, signature, &[0, 0, PKCS7, 0, 0, 0, 0, 0]].concat();
        out.extend(length.to_be_bytes());
        out.extend(MAGIC);
        out
    }

    #[test]
    fn an_appended_signature_is_taken_off() {
        let file = signed(b"module", b"signature", 9);
        assert!(has_signature(&file));
        assert_eq!(without_signature(&file), b"module");
        assert_eq!(without_signature(b"module"), b"module");
        let parts = Appended { body: b"module", signature: b"signature" };
        assert_eq!(appended(&file), Ok(Some(parts)));
        assert_eq!(appended(b"module"), Ok(None));
    }

    #[test]
    fn a_trailer_longer_than_the_file_is_not_believed() {
        let file = signed(b"module", b"signature", 4_000_000_000);
        assert_eq!(without_signature(&file), &file[..]);
        assert_eq!(without_signature(MAGIC), MAGIC);
        assert_eq!(appended(&file), Err("is longer than the file"));
        assert_eq!(appended(MAGIC), Err("is cut off"));
    }

    #[test]
    fn what_the_kernel_refuses_at_sight() {
        let good = signed(b"module", b"signature", 9);
        let header = good.len() - MAGIC.len() - HEADER;
        for field in 0..8 {
            let mut bad = good.clone();
            bad[header + field] = 1;
            assert!(appended(&bad).is_err(), "{field}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_apart_without_harm(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..64),
            magic in any::<bool>(),
        ) {
            if magic {
                bytes.extend(MAGIC);
            }
            let body = without_signature(&bytes);
            prop_assert!(bytes.starts_with(body));
            if let Ok(Some(parts)) = appended(&bytes) {
                prop_assert_eq!(parts.body, body);
            }
        }
    }
}
