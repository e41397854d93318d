//! The variables of the caller's environment that are settings.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// Variables by name, as far as they are text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// That of this process.
    pub fn here() -> Self {
        Self::of(std::env::vars_os())
    }

    /// That of some variables. What is not UTF-8 text is not looked at.
    pub fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let text =
            |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Self(variables.into_iter().filter_map(text).collect())
    }

    /// A variable, unless it is empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether there is such a variable, be it empty.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The variables whose names begin so, in the order of their names.
    pub(super) fn beginning(&self, start: &str) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(move |(name, _)| name.starts_with(start)).map(|(n, v)| (n.as_str(), v.as_str()))
    }
}
