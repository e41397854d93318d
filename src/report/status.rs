//! `dkms status`: what is registered, built and installed, in the lines that scripts have parsed for
//! years. They are an interface: neither a letter nor the order changes.

use std::fmt;
use std::io::{BufWriter, Write};

use crate::model::status::{Remarks, StatusLine, Trouble};

impl fmt::Display for StatusLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(id) => write!(f, "{id}: broken"),
            Self::Added(id) => write!(f, "{id}: added"),
            Self::Built { cell, installed, remarks } => {
                let state = if *installed { "installed" } else { "built" };
                write!(f, "{cell}: {state}{remarks}")
            }
        }
    }
}

impl fmt::Display for Remarks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.originals {
            f.write_str(" (Original modules exist)")?;
        }
        match &self.trouble {
            Some(Trouble::Missing) => {
                f.write_str(" (Built modules are missing in the kernel modules folder)")
            }
            // To whoever loads the module by its name it is the same.
            Some(Trouble::Different | Trouble::Displaced(_)) => {
                f.write_str(" (Differences between built and installed modules)")
            }
            Some(Trouble::NotIndexed) => f.write_str(" (Module index is out of date)"),
            None => Ok(()),
        }
    }
}

/// Bytes that are written at once.
const BUFFER: usize = 32 << 10;

/// Prints the lines: the listing on `out`; on `err` a block after each broken entry, and a sentence after each
/// that modprobe(8) does not find.
///
/// # Errors
/// When one of the two cannot be written to; a reader that has gone away is the caller's to judge.
pub fn render(lines: &[StatusLine], out: &mut dyn Write, err: &mut dyn Write) -> std::io::Result<()> {
    // Standard output would be written to line by line.
    let mut out = BufWriter::with_capacity(BUFFER, out);
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
        if let StatusLine::Built { cell, remarks: Remarks { trouble: Some(trouble), .. }, .. } = line {
            let (module, kernel) = (&cell.module, &cell.kernel);
            let next = format!("`dkms-hook --kernel {kernel}`");
            let text = match trouble {
                Trouble::Missing | Trouble::Different => continue,
                Trouble::Displaced(by) => format!(
                    "{module}: modprobe takes {} on {kernel}. {next} says what can be done about it",
                    by.display()
                ),
                Trouble::NotIndexed => format!(
                    "{module}: modules.dep of {kernel} is older than its modules, or does not list them. \
                     {next} runs depmod"
                ),
            };
            out.flush()?;
            writeln!(err, "Warning: {text}")?;
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId};

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
                remarks: Remarks { originals, trouble },
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
        assert_eq!(
            line(true, false, Some(Trouble::Displaced("/x".into()))),
            format!("{at}: installed (Differences between built and installed modules)")
        );
        assert_eq!(
            line(true, false, Some(Trouble::NotIndexed)),
            format!("{at}: installed (Module index is out of date)")
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
