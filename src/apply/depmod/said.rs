//! What depmod(8) says of its errors, and whose modules these are about.

use std::collections::BTreeSet;

use crate::elf::module_name;
use crate::kernel::Listing;
use crate::model::ids::{Cell, KernelRelease};
use crate::tree::layout::Layout;
use crate::tree::{registry, state};

/// How many lines of depmod are shown at most: it has one for each damaged module.
const LINES: usize = 10;

/// What depmod said of its errors.
pub(super) struct Said {
    pub(super) lines: Vec<String>,
    more: usize,
}

impl Said {
    /// Its errors; everything, where it failed. A kernel without `modules.builtin`, say, is a warning.
    pub(super) fn of(text: &str, ended_well: bool) -> Self {
        let counts = |line: &&str| !line.trim().is_empty() && (!ended_well || is_error(line));
        let mut lines: Vec<String> = text.lines().filter(counts).map(str::to_owned).collect();
        let more = lines.len().saturating_sub(LINES);
        lines.truncate(LINES);
        Self { lines, more }
    }

    /// Names of modules: of those in a cycle, and of files that cannot be read.
    fn modules(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for line in self.lines.iter().filter(|line| is_error(line)) {
            if let Some((_, cycle)) = line.split_once("Cycle detected:") {
                names.extend(cycle.split("->").map(|name| module_name(name.trim())));
            }
            let words = line.split_whitespace().map(|word| word.trim_end_matches(':'));
            let files = words.filter_map(|word| word.rsplit_once('/')).map(|(_, file)| file);
            names.extend(files.filter(|file| file.contains(".ko")).map(module_name));
        }
        names
    }

    /// Whose modules these are, in sentences of a line each; empty when no module is named.
    pub(super) fn owners(&self, layout: &Layout, kernel: &KernelRelease) -> String {
        let listing = Listing::of(layout, kernel);
        let of_module = |name: String| {
            let packages = packages_with(layout, kernel, &name);
            if !packages.is_empty() {
                return format!("{name} is a module of {}", packages.join(" and "));
            }
            match listing.all(&name, "").first() {
                Some(file) => format!("{name} is {}, of no package here", layout.shown(file).display()),
                None => format!("{name} is of no package here"),
            }
        };
        self.modules().into_iter().map(of_module).collect::<Vec<_>>().join("\n")
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, line) in self.lines.iter().enumerate() {
            f.write_str(if index == 0 { ":\n" } else { "\n" })?;
            f.write_str(line)?;
        }
        if self.more > 0 { write!(f, "\n… and {} more lines", self.more) } else { Ok(()) }
    }
}

fn is_error(line: &str) -> bool {
    line.contains("ERROR") || line.contains("FATAL")
}

/// The module versions that have installed a module of this name for a kernel.
fn packages_with(layout: &Layout, kernel: &KernelRelease, name: &str) -> Vec<String> {
    let cells = registry::registered(layout).into_iter().flat_map(|(id, _)| registry::cells(layout, &id));
    let has = |cell: &Cell| {
        cell.kernel == *kernel
            && registry::is_installed(layout, cell)
            && state::known(state::record(layout, cell))
                .is_some_and(|record| record.installed.iter().any(|file| module_name(&file.built) == name))
    };
    cells.filter(has).map(|cell| cell.module.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_in_cycles_and_damaged_files() {
        // Lines of kmod 30 and 34.
        let text = "depmod: WARNING: could not open modules.builtin.modinfo at /lib/modules/6.1: No such file\n\
                    depmod: ERROR: Cycle detected: p -> one-x -> p\n\
                    depmod: ERROR: Found 2 modules in dependency cycles!\n\
                    depmod: ERROR: failed to load symbols from /lib/modules/6.1/updates/dkms/bad-one.ko.xz: Invalid \
                    argument\n";
        assert_eq!(
            Said::of(text, false).modules().into_iter().collect::<Vec<_>>(),
            ["bad_one", "one_x", "p"]
        );
        assert_eq!((Said::of(text, false).lines.len(), Said::of(text, true).lines.len()), (4, 3));
        let many = "depmod: ERROR: x\n".repeat(LINES + 2);
        assert!(Said::of(&many, true).to_string().ends_with("… and 2 more lines"));
    }
}
