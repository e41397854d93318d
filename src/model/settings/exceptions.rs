//! Packages for which a rule does not hold, each with the reason.

use std::fmt;

/// `NAME: REASON; NAME: REASON`. A name is that of a module package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exceptions(Vec<(String, String)>);

impl Exceptions {
    /// `None` where a name has no reason.
    pub fn parse(text: &str) -> Option<Self> {
        let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
        let exception = |part: &str| {
            let (name, reason) = part.split_once(':')?;
            let (name, reason) = (name.trim(), reason.trim());
            (!name.is_empty() && !reason.is_empty()).then(|| (name.to_owned(), reason.to_owned()))
        };
        parts.map(exception).collect::<Option<Vec<_>>>().map(Self)
    }

    /// Why the rule does not hold for a package, where it does not.
    pub fn reason(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(of, _)| of == name).map(|(_, reason)| reason.as_str())
    }

    /// True when the rule holds for all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Exceptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, reason)) in self.0.iter().enumerate() {
            write!(f, "{}{name}: {reason}", if at == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_a_reason() {
        let two = Exceptions::parse(" zfs : built here ;m: a: b;").unwrap();
        assert_eq!(
            (two.reason("zfs"), two.reason("m"), two.reason("z")),
            (Some("built here"), Some("a: b"), None)
        );
        assert_eq!(two.to_string(), "zfs: built here; m: a: b");
        assert_eq!(Exceptions::parse(&two.to_string()), Some(two));
        for text in ["zfs", "zfs:", ": why", "zfs: why; m"] {
            assert_eq!(Exceptions::parse(text), None, "{text}");
        }
        assert!(Exceptions::parse("").unwrap().is_empty());
    }
}
