//! The order of kernel releases and module versions, as DKMS means it.
//!
//! DKMS pads the numbers of a version with zeros and compares the results as text. That is right
//! for numbers of up to three digits and for the C locale; here it is right for all numbers (dates
//! such as `20230205`, `1000` after `999`) and does not depend on the locale. The rule:
//!
//! - Spaces count for nothing.
//! - A version is a sequence of numbers (digits as many as follow each other) and of single other
//!   bytes. Sequences are compared element by element; one that ends first is the lesser.
//! - Two numbers compare by value, so `01` and `1` are equal.
//! - Two other bytes compare by their value in ASCII, and a number stands where the digits stand:
//!   after `+ - . /`, before letters and `~`.
//!
//! Hence `5.10 < 5.10.0-1`, `4.12 < 4.12-rc1` (not what a release candidate is, but what DKMS does
//! and what conf files are written for), and `6.9 < 6.10`.

use std::cmp::Ordering;

pub mod natural;

/// Compares two versions by the rule of this module.
///
/// `Equal` does not mean the same text: see the remark on leading zeros.
pub fn compare(a: &str, b: &str) -> Ordering {
    elements(a).cmp(elements(b))
}

/// One element of a version. The derived order is the rule: variants in this order, then by content.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Element<'a> {
    /// A byte below the digits.
    Before(u8),
    /// A number without leading zeros: fewer digits are less, then digit by digit.
    Number(usize, &'a [u8]),
    /// A byte above the digits.
    After(u8),
}

fn elements(version: &str) -> impl Iterator<Item = Element<'_>> {
    let mut rest = version.as_bytes();
    std::iter::from_fn(move || {
        while let [b' ', tail @ ..] = rest {
            rest = tail;
        }
        let first = *rest.first()?;
        if !first.is_ascii_digit() {
            rest = &rest[1..];
            return Some(if first < b'0' { Element::Before(first) } else { Element::After(first) });
        }
        let end = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        rest = tail;
        let zeros = number.iter().take_while(|b| **b == b'0').count();
        let digits = &number[zeros..];
        Some(Element::Number(digits.len(), digits))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ascending(versions: &[&str]) {
        for pair in versions.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
    }

    #[test]
    fn numbers_compare_as_numbers() {
        ascending(&["5.4", "5.10", "6.9", "6.10", "6.999", "6.1000"]);
        ascending(&["999", "1000", "20230205", "20241121", "100000000000000000000000"]);
        assert_eq!(compare("6.01", "6.1"), Ordering::Equal);
        assert_eq!(compare("6.0", "6.00"), Ordering::Equal);
    }

    #[test]
    fn what_conf_files_rely_on_stays() {
        ascending(&["4.12", "4.12-rc1", "4.12-rc10", "4.12.0"]);
        ascending(&["5.10", "5.10.0-30-amd64"]);
        ascending(&["6.12.107+deb13-amd64", "6.12.107+deb14-amd64", "6.12.108+deb13-amd64"]);
        ascending(&["", "1"]);
        assert_eq!(compare("5. 4", "5.4"), Ordering::Equal);
    }

    /// The rule that DKMS documents, for versions that it gets right: numbers below 1000.
    fn padded(version: &str) -> String {
        let mut out = String::new();
        let mut digits = String::new();
        for c in version.chars().filter(|c| *c != ' ').chain(['\0']) {
            if c.is_ascii_digit() {
                digits.push(c);
                continue;
            }
            if !digits.is_empty() {
                out.push_str(&format!("{digits:0>3}"));
                digits.clear();
            }
            if c != '\0' {
                out.push(c);
            }
        }
        out
    }

    proptest! {
        #[test]
        fn it_is_a_total_order(
            a in "[0-9a-c.+~ -]{0,8}", b in "[0-9a-c.+~ -]{0,8}", c in "[0-9a-c.+~ -]{0,8}"
        ) {
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            let mut three = [&a, &b, &c];
            three.sort_by(|x, y| compare(x, y));
            prop_assert_ne!(compare(three[0], three[1]), Ordering::Greater);
            prop_assert_ne!(compare(three[1], three[2]), Ordering::Greater);
            prop_assert_ne!(compare(three[0], three[2]), Ordering::Greater);
            if compare(&a, &b) == Ordering::Equal {
                prop_assert_eq!(compare(&a, &c), compare(&b, &c));
            }
        }

        #[test]
        fn below_a_thousand_it_is_what_padding_gives(
            a in "[0-9]{1,3}([.+-][a-z]{0,2}[1-9][0-9]{0,2}){0,4}",
            b in "[0-9]{1,3}([.+-][a-z]{0,2}[1-9][0-9]{0,2}){0,4}",
        ) {
            prop_assert_eq!(compare(&a, &b), padded(&a).cmp(&padded(&b)));
        }
    }
}
