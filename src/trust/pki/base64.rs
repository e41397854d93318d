//! Base64 (RFC 4648, section 4), which PEM files are written in.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes in base64, in lines of 64 characters as PEM has them (RFC 7468).
pub fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 4 / 3 + bytes.len() / 48 + 5);
    for line in bytes.chunks(48) {
        for group in line.chunks(3) {
            let value = (0..3).fold(0u32, |sum, i| sum << 8 | u32::from(*group.get(i).unwrap_or(&0)));
            for place in 0..4 {
                let digit = DIGITS[(value >> (18 - 6 * place) & 0x3f) as usize];
                text.push(if place <= group.len() { char::from(digit) } else { '=' });
            }
        }
        text.push('\n');
    }
    text
}

/// The bytes of a base64 text; blanks and line ends do not count. `None` when it is none.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut value, mut bits) = (0u32, 0);
    let mut characters = text.bytes().filter(|c| !c.is_ascii_whitespace());
    for character in characters.by_ref() {
        if character == b'=' {
            // After the first there may be one more.
            return characters.all(|c| c == b'=').then_some(bytes);
        }
        let digit = DIGITS.iter().position(|known| *known == character)?;
        value = value << 6 | u32::try_from(digit).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((value >> bits & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_standard() {
        // RFC 4648, section 10.
        for (bytes, text) in [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(to_base64(bytes.as_bytes()), format!("{text}\n"));
            assert_eq!(from_base64(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(from_base64("Zm9v!"), None);
    }

    proptest! {
        #[test]
        fn there_and_back(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = to_base64(&bytes);
            prop_assert!(text.lines().all(|line| line.len() <= 64));
            prop_assert_eq!(from_base64(&text), Some(bytes));
        }
    }
}
