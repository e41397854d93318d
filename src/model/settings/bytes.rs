//! Sizes as people write them.

use std::fmt;

/// A size in bytes, written with K, M, G or T for powers of 1,024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

const UNITS: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

impl Bytes {
    /// `2G`, `500M`, `0`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_uppercase();
        let unit = UNITS.iter().find_map(|(unit, shift)| Some((text.strip_suffix(*unit)?, *shift)));
        let (digits, shift) = unit.unwrap_or((&text, 0));
        digits.parse::<u64>().ok()?.checked_mul(1 << shift).map(Self)
    }
}

impl Default for Bytes {
    /// What the cache of builds may take: some thousand modules, and little beside a distribution.
    fn default() -> Self {
        Self(2 << 30)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, shift)| self.0 > 0 && self.0.is_multiple_of(1 << shift));
        match whole {
            Some((unit, shift)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written_with_units() {
        for (text, bytes) in [("2G", 2 << 30), ("500m", 500 << 20), ("0", 0), (" 7 ", 7), ("1024K", 1 << 20)]
        {
            assert_eq!(Bytes::parse(text), Some(Bytes(bytes)), "{text}");
        }
        for text in ["", "G", "-1", "2GB", "off", "99999999999T"] {
            assert_eq!(Bytes::parse(text), None, "{text}");
        }
        assert_eq!([Bytes(2 << 30), Bytes(0), Bytes(1500)].map(|b| b.to_string()), ["2G", "0", "1500"]);
    }
}
