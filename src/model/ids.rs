//! Names of the things this program talks about: kernel releases, module names and versions,
//! architectures, and the cell in which a module version meets a kernel.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

/// Why a text cannot be one of the names below.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// An empty text names nothing; used as a path it would name its parent directory.
    #[error("the {0} is empty")]
    Empty(&'static str),
    /// A name that would leave its directory.
    #[error("{1:?} cannot be a {0}: it must be one path component of printable characters")]
    NotAComponent(&'static str, String),
}

fn component(what: &'static str, text: &str) -> Result<(), BadName> {
    if text.is_empty() {
        return Err(BadName::Empty(what));
    }
    if is_component(text) { Ok(()) } else { Err(BadName::NotAComponent(what, text.to_owned())) }
}

/// True for one path component of printable characters: it leaves no directory, and can be shown on a
/// terminal, whoever it comes from.
pub fn is_component(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && !text.contains('/') && !text.chars().any(|c| c.is_control())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Eq)]
        pub struct $name(Arc<str>);

        // Cells share one `Arc` per name, so the pointers are usually equal.
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.hash(state);
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// Checks and takes a name.
            ///
            /// # Errors
            /// When the text is empty or not a single path component.
            pub fn new(text: impl Into<String>) -> Result<Self, BadName> {
                let text = text.into();
                component($what, &text)?;
                Ok(Self(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.as_str().to_owned()
            }
        }

        impl AsRef<Path> for $name {
            fn as_ref(&self) -> &Path {
                Path::new(self.as_str())
            }
        }
    };
}

name_type!(
    /// A kernel release, as `uname -r` prints it and `/lib/modules/` spells it.
    KernelRelease,
    "kernel release"
);
name_type!(
    /// The architecture part of a cell: what `uname -m` prints on Debian, `%{ARCH}` on rpm systems.
    Arch,
    "architecture"
);
name_type!(
    /// The name under which a module source is registered (`PACKAGE_NAME` of its dkms.conf).
    ModuleName,
    "module name"
);
name_type!(
    /// The version under which a module source is registered (`PACKAGE_VERSION`).
    Version,
    "module version"
);

/// One registered module source, written `name/version`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId {
    /// Module name.
    pub name: ModuleName,
    /// Module version.
    pub version: Version,
}

impl ModuleId {
    /// Both parts at once.
    ///
    /// # Errors
    /// When either part cannot be a directory name.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Result<Self, BadName> {
        Ok(Self { name: ModuleName::new(name)?, version: Version::new(version)? })
    }
}

impl fmt::Display for ModuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

/// Where one module version meets one kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// The module version.
    pub module: ModuleId,
    /// The kernel release.
    pub kernel: KernelRelease,
    /// The architecture.
    pub arch: Arch,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.module, self.kernel, self.arch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_their_directory_are_refused() {
        for bad in ["", ".", "..", "a/b", "a\nb"] {
            assert!(KernelRelease::new(bad).is_err(), "{bad:?}");
        }
        for good in ["6.12.107+deb13-amd64", "0~20230205+git", "#MODULES_VERSION#", "2.3.9"] {
            assert!(Version::new(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn cells_print_as_status_lines_do() {
        let cell = Cell {
            module: ModuleId::new("zfs", "2.3.9").unwrap(),
            kernel: KernelRelease::new("6.12").unwrap(),
            arch: Arch::new("x86_64").unwrap(),
        };
        assert_eq!(cell.to_string(), "zfs/2.3.9, 6.12, x86_64");
    }
}
