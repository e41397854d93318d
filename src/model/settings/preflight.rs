//! What an incoming kernel is asked before it is installed.

use std::fmt;

/// What becomes of a transaction with a kernel for which a module cannot be built (`preflight` in framework.conf).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Preflight {
    /// Nothing is tried.
    Off,
    /// Modules are built before. What fails is told, and holds the transaction only where the module is essential.
    #[default]
    Warn,
    /// What fails holds the transaction.
    Hold,
}

impl Preflight {
    /// Understands the value of the setting.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "off" => Some(Self::Off),
            "warn" => Some(Self::Warn),
            "hold" => Some(Self::Hold),
            _ => None,
        }
    }
}

impl fmt::Display for Preflight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Hold => "hold",
        })
    }
}
