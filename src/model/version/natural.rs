//! The order of `sort -V` (GNU coreutils), where DKMS leaves the comparing to that: Debian's order of
//! versions, but for a suffix that looks like that of a file.

use std::cmp::Ordering;

/// Compares two versions as `sort -V` does in the C locale.
///
/// Runs of digits compare as numbers; `~` comes before everything, even the end; letters come before
/// other characters. A suffix such as `.tar.gz` counts only between texts that are the same without it;
/// and texts that are equal so far compare by their bytes.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (x, y) = (a.as_bytes(), b.as_bytes());
    let hidden = |text: &[u8]| text.first() == Some(&b'.');
    let by_start = (!x.is_empty()).cmp(&!y.is_empty()).then(hidden(y).cmp(&hidden(x)));
    by_start
        .then_with(|| by_parts(without_suffix(x), without_suffix(y)))
        .then_with(|| by_parts(x, y))
        .then_with(|| x.cmp(y))
}

fn by_parts(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let digit = |text: &[u8]| text.first().is_none_or(u8::is_ascii_digit);
        // Up to the next number, character by character; the end counts as a digit does.
        while !digit(a) || !digit(b) {
            let order = weight(a.first()).cmp(&weight(b.first()));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (a.get(1..).unwrap_or_default(), b.get(1..).unwrap_or_default());
        }
        let number = |text: &mut &[u8]| {
            let zeros = text.iter().take_while(|c| **c == b'0').count();
            let digits = text[zeros..].iter().take_while(|c| c.is_ascii_digit()).count();
            let number = text[zeros..zeros + digits].to_vec();
            *text = &text[zeros + digits..];
            number
        };
        let (x, y) = (number(&mut a), number(&mut b));
        let order = x.len().cmp(&y.len()).then(x.cmp(&y));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// `~`, then the end and digits, letters, everything else.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None | Some(b'0'..=b'9') => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(*c),
        Some(c) => i32::from(*c) + 256,
    }
}

/// A text without what matches `(\.[A-Za-z~][A-Za-z0-9~]*)*$`, but not without all of it.
fn without_suffix(text: &[u8]) -> &[u8] {
    let mut end = text.len();
    while let Some(dot) = text[..end].iter().rposition(|c| *c == b'.').filter(|dot| *dot > 0) {
        let part = &text[dot + 1..end];
        let begins = part.first().is_some_and(|c| c.is_ascii_alphabetic() || *c == b'~');
        if !begins || !part.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'~') {
            break;
        }
        end = dot;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: &[&str] = &[
        "1.0~rc1",
        "1.0",
        "1.0-rc1",
        "1.0.1",
        "1.0a",
        "2.9",
        "2.10",
        "2.010",
        "550.54",
        "550.163.01",
        "1.0+git2",
        "20230205",
        "0~2023",
        "0",
        "1.0.x",
        "1.0.x.y",
        "1.0~~",
        "v1",
        "1",
        "a.tar.gz",
        "a1.tar.gz",
        ".9",
        "~1",
        "1.",
    ];

    #[test]
    #[expect(clippy::disallowed_types, reason = "a test of a room that starts nothing asks sort(1) itself")]
    fn it_is_the_order_of_sort() {
        use std::io::Write;
        use std::process::{Command, Stdio};
        let mut sort = Command::new("sort")
            .arg("-V")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        sort.stdin.take().unwrap().write_all((TEXTS.join("\n") + "\n").as_bytes()).unwrap();
        let sorted = String::from_utf8(sort.wait_with_output().unwrap().stdout).unwrap();
        let mut own = TEXTS.to_vec();
        own.sort_by(|a, b| compare(a, b));
        assert_eq!(own, sorted.lines().collect::<Vec<_>>());
    }

    #[test]
    fn numbers_letters_and_the_tilde() {
        for (older, newer) in [
            ("2.9", "2.10"),
            ("1.0", "1.0.1"),
            ("550.54", "550.163.01"),
            ("1.0-rc1", "1.0-rc2"),
            ("1.0~rc1", "1.0"),
        ] {
            assert_eq!(compare(older, newer), Ordering::Less, "{older} < {newer}");
        }
    }
}
