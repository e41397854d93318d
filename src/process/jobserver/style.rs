//! How the installed make wants to be told of a job server.

use crate::process::{Process, QUERY_LIMIT};

/// The two ways in which a make is told of a job server. Neither serves all: a make before 4.4 ends with an
/// error where it is told of a named pipe, and with 4.4 descriptors are lost in recipes that do not say
/// `$(MAKE)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A named pipe: make 4.4 and later.
    Fifo,
    /// Two descriptors: make 4.2 and 4.3.
    Pipe,
}

impl Style {
    /// What the installed make understands. `None` when there is no make, or one that is not known.
    pub fn of_installed_make() -> Option<Self> {
        let got = Process::new("make").arg("--version").limit(QUERY_LIMIT).capture().ok()?;
        Self::of_version(&String::from_utf8_lossy(&got.stdout))
    }

    /// By what `make --version` says.
    fn of_version(said: &str) -> Option<Self> {
        let version = said.lines().next()?.strip_prefix("GNU Make ")?;
        let number = |text: &str| {
            let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            text[..digits].parse::<u32>().ok()
        };
        let (major, minor) = version.split_once('.')?;
        match (number(major)?, number(minor)?) {
            version if version >= (4, 4) => Some(Self::Fifo),
            version if version >= (4, 2) => Some(Self::Pipe),
            // Its option has another name.
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_decides() {
        let rows = [
            ("GNU Make 4.4.1\nBuilt for x86_64-pc-linux-gnu\n", Some(Style::Fifo)),
            ("GNU Make 4.4\n", Some(Style::Fifo)),
            ("GNU Make 5.0.90\n", Some(Style::Fifo)),
            ("GNU Make 4.3\n", Some(Style::Pipe)),
            ("GNU Make 4.2.1\n", Some(Style::Pipe)),
            ("GNU Make 4.2.90-git\n", Some(Style::Pipe)),
            ("GNU Make 3.82\n", None),
            ("GNU Make 4\n", None),
            ("bmake 20200710\n", None),
            ("", None),
        ];
        for (said, expected) in rows {
            assert_eq!(Style::of_version(said), expected, "{said}");
        }
    }
}
