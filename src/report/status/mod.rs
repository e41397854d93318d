//! `dkms status`: what is registered, built and installed, in the lines that scripts have parsed for
//! years. They are an interface: neither a letter nor the order changes.
//!
//! Everything here reads directories; no conf is evaluated and the kernel's own tree is never
//! searched, so that a listing costs milliseconds however many modules and kernels there are.

mod compare;
mod glob;
mod observe;

use std::fmt;
use std::io::Write;

use crate::model::ids::{Cell, ModuleId};

pub use compare::Expected;
pub use observe::{observe, observe_with};

/// What a listing is limited to. Each is a shell pattern (`zfs*`); `None` lets everything through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Module name.
    pub module: Option<String>,
    /// Module version.
    pub version: Option<String>,
    /// Kernel release. Without it only directories that look like one (`6.…`) are listed.
    pub kernel: Option<String>,
    /// Architecture.
    pub arch: Option<String>,
}

impl Filter {
    /// Everything about one module version.
    pub fn module(id: &ModuleId) -> Self {
        Self {
            module: Some(glob::literal(id.name.as_str())),
            version: Some(glob::literal(id.version.as_str())),
            ..Self::default()
        }
    }
}

/// One line of the listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusLine {
    /// Registered, but the source or the link to it is gone.
    Broken(ModuleId),
    /// Registered; no build that the filter lets through.
    Added(ModuleId),
    /// Built for one kernel.
    Built {
        /// The module version, kernel and architecture.
        cell: Cell,
        /// Whether it is also the installed version for that kernel.
        installed: bool,
        /// What to mention about it.
        notes: Notes,
    },
}

/// The remarks behind a `built` or `installed`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Notes {
    /// Modules that were there before ours are kept in the tree.
    pub originals: bool,
    /// The first thing found wrong with the module files.
    pub trouble: Option<Trouble>,
}

/// What can be wrong with the module files of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// A module that belongs to the build is not in the tree.
    Missing,
    /// An installed file is not the built one, or is gone.
    Different,
}

impl StatusLine {
    /// The module version that the line is about.
    pub fn module(&self) -> &ModuleId {
        match self {
            Self::Broken(id) | Self::Added(id) => id,
            Self::Built { cell, .. } => &cell.module,
        }
    }
}

impl fmt::Display for StatusLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(id) => write!(f, "{id}: broken"),
            Self::Added(id) => write!(f, "{id}: added"),
            Self::Built { cell, installed, notes } => {
                let state = if *installed { "installed" } else { "built" };
                write!(f, "{cell}: {state}{notes}")
            }
        }
    }
}

impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.originals {
            f.write_str(" (Original modules exist)")?;
        }
        match self.trouble {
            Some(Trouble::Missing) => {
                f.write_str(" (Built modules are missing in the kernel modules folder)")
            }
            Some(Trouble::Different) => f.write_str(" (Differences between built and installed modules)"),
            None => Ok(()),
        }
    }
}

/// Prints the lines: the listing on `out`, and after each broken entry a block on `err`.
///
/// # Errors
/// When one of the two cannot be written to; a reader that has gone away is the caller's to judge.
pub fn render(lines: &[StatusLine], out: &mut dyn Write, err: &mut dyn Write) -> std::io::Result<()> {
    for line in lines {
        writeln!(out, "{line}")?;
        if let StatusLine::Broken(id) = line {
            out.flush()?;
            writeln!(
                err,
                "\nError! {id}: Missing the module source directory or the symbolic link pointing to it.\n\
                 Manual intervention is required!"
            )?;
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{Arch, KernelRelease};

    #[test]
    fn lines_are_spelled_as_scripts_know_them() {
        let id = ModuleId::new("zfs", "2.3.9").unwrap();
        let line = |installed, originals, trouble| {
            StatusLine::Built {
                cell: Cell {
                    module: id.clone(),
                    kernel: KernelRelease::new("6.12.107+deb13-amd64").unwrap(),
                    arch: Arch::new("x86_64").unwrap(),
                },
                installed,
                notes: Notes { originals, trouble },
            }
            .to_string()
        };
        let at = "zfs/2.3.9, 6.12.107+deb13-amd64, x86_64";
        assert_eq!(line(false, false, None), format!("{at}: built"));
        assert_eq!(line(true, true, None), format!("{at}: installed (Original modules exist)"));
        assert_eq!(
            line(true, true, Some(Trouble::Different)),
            format!(
                "{at}: installed (Original modules exist) (Differences between built and installed modules)"
            )
        );
        assert_eq!(
            line(false, false, Some(Trouble::Missing)),
            format!("{at}: built (Built modules are missing in the kernel modules folder)")
        );
        assert_eq!(StatusLine::Added(id.clone()).to_string(), "zfs/2.3.9: added");
    }

    #[test]
    fn a_broken_entry_adds_a_block_on_standard_error() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let lines = [StatusLine::Broken(ModuleId::new("hello", "1.0").unwrap())];
        render(&lines, &mut out, &mut err).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "hello/1.0: broken\n");
        assert_eq!(
            String::from_utf8(err).unwrap(),
            "\nError! hello/1.0: Missing the module source directory or the symbolic link pointing to it.\n\
             Manual intervention is required!\n"
        );
    }
}
