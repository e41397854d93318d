//! One element after another of DER, the encoding of X.509 and PKCS#7 (ITU-T X.690).

use std::fmt;

/// Tags that occur in what is read here.
pub(super) mod tag {
    pub const INTEGER: u8 = 0x02;
    pub const OCTET_STRING: u8 = 0x04;
    pub const OID: u8 = 0x06;
    pub const SEQUENCE: u8 = 0x30;
    pub const SET: u8 = 0x31;
    /// `[0]`, `[3]`: constructed, of the context.
    pub const CONTEXT_0: u8 = 0xa0;
    pub const CONTEXT_1: u8 = 0xa1;
    pub const CONTEXT_3: u8 = 0xa3;
    /// `[0]` in place of a primitive type.
    pub const CONTEXT_0_PRIMITIVE: u8 = 0x80;
}

/// Why bytes were not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// They are not what they should be.
    Malformed,
    /// They may be right, but in a form that is not read here (BER's open lengths, another kind of
    /// content).
    Unfamiliar,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is not well-formed",
            Self::Unfamiliar => "its form is not supported",
        })
    }
}

/// One element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    /// With tag and length.
    pub whole: &'a [u8],
}

/// Elements that follow one another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tag of the next element.
    pub fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element.
    pub fn next(&mut self) -> Result<Element<'a>, Fault> {
        let bytes = self.0;
        let (&tag, rest) = bytes.split_first().ok_or(Fault::Malformed)?;
        if tag & 0x1f == 0x1f {
            return Err(Fault::Unfamiliar);
        }
        let (&first, rest) = rest.split_first().ok_or(Fault::Malformed)?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x80 => return Err(Fault::Unfamiliar),
            // Four bytes of length are 4 GiB.
            0x81..=0x84 => {
                let (digits, rest) =
                    rest.split_at_checked(usize::from(first & 0x7f)).ok_or(Fault::Malformed)?;
                (digits.iter().fold(0usize, |sum, digit| sum << 8 | usize::from(*digit)), rest)
            }
            _ => return Err(Fault::Malformed),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(Fault::Malformed)?;
        self.0 = rest;
        Ok(Element { tag, content, whole: &bytes[..bytes.len() - rest.len()] })
    }

    /// The next element, which has this tag.
    pub fn expect(&mut self, tag: u8) -> Result<Element<'a>, Fault> {
        let element = self.next()?;
        if element.tag == tag { Ok(element) } else { Err(Fault::Malformed) }
    }

    /// What is inside the next element, which has this tag.
    pub fn enter(&mut self, tag: u8) -> Result<Self, Fault> {
        self.expect(tag).map(|element| Self(element.content))
    }

    /// The next element if it has this tag.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, Fault> {
        if self.peek() == Some(tag) { self.next().map(Some) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_of_one_and_of_several_bytes() {
        let mut long = vec![tag::OCTET_STRING, 0x82, 0x01, 0x00];
        long.extend([7; 256]);
        long.extend([tag::INTEGER, 1, 5]);
        let mut reader = Reader::new(&long);
        let element = reader.next().unwrap();
        assert_eq!((element.tag, element.content.len(), element.whole.len()), (4, 256, 260));
        assert_eq!(reader.expect(tag::INTEGER).unwrap().content, [5]);
        assert!(reader.is_empty());
    }

    #[test]
    fn what_is_cut_off_or_open_is_refused() {
        for (bytes, fault) in [
            (&[][..], Fault::Malformed),
            (&[0x30], Fault::Malformed),
            (&[0x30, 5, 1], Fault::Malformed),
            (&[0x30, 0x82, 1], Fault::Malformed),
            (&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], Fault::Malformed),
            (&[0x30, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1], Fault::Malformed),
            (&[0x30, 0x80, 0, 0], Fault::Unfamiliar),
            (&[0x1f, 0x81, 1, 0], Fault::Unfamiliar),
        ] {
            assert_eq!(Reader::new(bytes).next(), Err(fault), "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&bytes);
            let mut read = 0;
            while let Ok(element) = reader.next() {
                read += element.whole.len();
            }
            prop_assert!(read <= bytes.len());
        }
    }
}
