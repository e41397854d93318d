//! Shell patterns for names: `*`, `?` and `[…]`, as a person expects from `dkms status 'zfs*'`.

/// Whether the whole of `name` matches `pattern`. A bracket that is never closed stands for itself.
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n) = (0, 0);
    // Where to go on when the text after the last `*` does not fit: one character further.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match step(&pattern[p..], name[n]) {
            Step::Star => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Step::Takes(width) => {
                p += width;
                n += 1;
            }
            Step::No => match retry {
                Some((after, from)) => {
                    p = after;
                    n = from + 1;
                    retry = Some((after, n));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

enum Step {
    Star,
    Takes(usize),
    No,
}

fn step(pattern: &[char], c: char) -> Step {
    match pattern {
        [] => Step::No,
        ['*', ..] => Step::Star,
        ['?', ..] => Step::Takes(1),
        ['[', ..] => match bracket(pattern, c) {
            Some((true, width)) => Step::Takes(width),
            Some((false, _)) => Step::No,
            None if c == '[' => Step::Takes(1),
            None => Step::No,
        },
        ['\\', quoted, ..] if *quoted == c => Step::Takes(2),
        ['\\', _, ..] => Step::No,
        [same, ..] if *same == c => Step::Takes(1),
        _ => Step::No,
    }
}

/// Whether `c` is in the bracket that `pattern` starts with, and how long the bracket is.
fn bracket(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = if negated { 2 } else { 1 };
    // A `]` in first place is a member, not the end.
    let end = (first + 1..pattern.len()).find(|&i| pattern[i] == ']')?;
    let set = &pattern[first..end];
    let mut found = false;
    let mut i = 0;
    while i < set.len() {
        if i + 2 < set.len() && set[i + 1] == '-' {
            found |= (set[i]..=set[i + 2]).contains(&c);
            i += 3;
        } else {
            found |= set[i] == c;
            i += 1;
        }
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The pattern that matches `name` and nothing else.
    fn literal(name: &str) -> String {
        let mut out = String::with_capacity(name.len());
        for c in name.chars() {
            if matches!(c, '*' | '?' | '[' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out
    }

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("zfs*", "zfs", true),
            ("zfs*", "zfs-kmod", true),
            ("zfs*", "openzfs", false),
            ("*-dkms", "a-dkms-dkms", true),
            ("6.12.?", "6.12.1", true),
            ("6.12.?", "6.12.", false),
            ("6.1[0-2].*", "6.11.4", true),
            ("6.1[!0-2].*", "6.11.4", false),
            ("v[", "v[", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern:?} {name:?}");
        }
    }

    proptest! {
        #[test]
        fn any_name_matches_itself_quoted(name in "\\PC{0,20}") {
            prop_assert!(matches(&literal(&name), &name));
        }

        #[test]
        fn no_pattern_panics(pattern in "[\\[\\]!^*?a-c\\\\-]{0,12}", name in "[\\[\\]a-c*-]{0,12}") {
            let _ = matches(&pattern, &name);
        }
    }
}
