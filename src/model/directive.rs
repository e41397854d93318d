//! Which directive of a dkms.conf changed between two readings.

use std::collections::BTreeMap;
use std::fmt;

/// Values of directives by name and index, as `MAKE[0]`.
pub type Directives = BTreeMap<String, String>;

/// How much of a value a message shows, in characters.
const SHOWN: usize = 60;

/// The first directive that differs, in the order of the names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectiveChange {
    /// Its name and index.
    pub directive: String,
    /// Its value at build time, if it was set.
    pub old: Option<String>,
    /// Its value now.
    pub new: Option<String>,
    /// How many others differ.
    pub more: usize,
}

impl DirectiveChange {
    /// Compares two readings; `None` when they are the same.
    pub fn between(old: &Directives, new: &Directives) -> Option<Self> {
        let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let mut different = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
        let directive = different.next()?.clone();
        let (old, new) = (old.get(&directive).cloned(), new.get(&directive).cloned());
        Some(Self { more: different.count(), directive, old, new })
    }
}

impl fmt::Display for DirectiveChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { directive, old, new, more } = self;
        match (old, new) {
            (Some(old), Some(new)) => write!(f, "{directive} from `{}` to `{}`", short(old), short(new))?,
            (None, Some(new)) => write!(f, "{directive} is new: `{}`", short(new))?,
            (Some(old), None) => write!(f, "{directive} is gone: `{}`", short(old))?,
            (None, None) => f.write_str(directive)?,
        }
        if *more > 0 { write!(f, " and {more} more") } else { Ok(()) }
    }
}

/// A value in one line that is not too long.
fn short(value: &str) -> String {
    let line = value.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directives(pairs: &[(&str, &str)]) -> Directives {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_first_is_shown_and_the_others_are_counted() {
        let old = directives(&[("MAKE[0]", "make a"), ("PATCH[0]", "x"), ("STRIP[0]", "no")]);
        let long = format!("make\n\t{}", "ä".repeat(80));
        let new = directives(&[("CLEAN[0]", "rm"), ("MAKE[0]", &long), ("STRIP[0]", "no")]);
        let change = DirectiveChange::between(&old, &new).unwrap();
        assert_eq!(change.to_string(), "CLEAN[0] is new: `rm` and 2 more");
        let new = directives(&[("MAKE[0]", &long), ("STRIP[0]", "no")]);
        let change = DirectiveChange::between(&old, &new).unwrap();
        assert_eq!(
            change.to_string(),
            format!("MAKE[0] from `make a` to `make {}…` and 1 more", "ä".repeat(55))
        );
        let new = directives(&[("MAKE[0]", "make a"), ("STRIP[0]", "no")]);
        assert_eq!(DirectiveChange::between(&old, &new).unwrap().to_string(), "PATCH[0] is gone: `x`");
        assert_eq!(DirectiveChange::between(&old, &old), None);
    }
}
