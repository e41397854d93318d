//! Why the index is not computed here, but left to depmod(8).

use std::fmt;

use crate::model::blind::Blind;

/// Something that is not exactly as it was when our files were compared with those of depmod(8): depmod itself has
/// to say what comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Odd {
    /// What it is about: a file. Empty where the text says it.
    pub what: String,
    /// What is odd, in words that follow "because".
    pub why: String,
    /// Names of modules that need each other in a circle, the first one at both ends; mostly none.
    pub circle: Vec<String>,
}

/// An oddity of what is being looked at.
pub(super) fn odd(why: impl Into<String>) -> Odd {
    Odd { what: String::new(), why: why.into(), circle: Vec::new() }
}

impl Odd {
    /// The same, with the file that it is about.
    pub(super) fn of(self, file: impl fmt::Display) -> Self {
        Self { what: file.to_string(), ..self }
    }
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.what.is_empty() { f.write_str(&self.why) } else { write!(f, "{}: {}", self.what, self.why) }
    }
}

impl From<Blind> for Odd {
    fn from(blind: Blind) -> Self {
        odd(format!("it cannot be looked at: {}", blind.cause)).of(blind.path.display())
    }
}
