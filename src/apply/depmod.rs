//! depmod(8): once per kernel and run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::apply::tree;
use crate::elf::module_name;
use crate::fs::same::same_place;
use crate::kernel::{Listing, depmod_base};
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{Cell, KernelRelease};
use crate::process::{Process, ProcessError};
use crate::progress::Report;
use crate::tree::layout::Layout;
use crate::tree::{notes, registry, state};

/// Where depmod looks for its configuration (depmod.d(5)), the first one before the others.
const CONFIGURATION: [&str; 5] =
    ["etc/depmod.d", "run/depmod.d", "usr/local/lib/depmod.d", "usr/lib/depmod.d", "lib/depmod.d"];

/// How many lines of depmod are shown at most: it has one for each damaged module.
const LINES: usize = 10;

/// Runs depmod for a kernel and forgets that it was due.
///
/// # Errors
/// When depmod is missing or fails; it stays due, and the old index stays in place.
pub fn run(layout: &Layout, kernel: &KernelRelease, report: &dyn Report) -> Result<()> {
    let done = || notes::depmod_done(layout, kernel);
    let mut process = Process::new("depmod").arg("-a");
    match depmod_base(layout) {
        Ok(None) => {}
        Ok(Some(base)) => {
            // Otherwise it would go by the configuration of the machine that it runs on.
            for dir in configuration(&base) {
                process = process.arg("-C").arg(dir);
            }
            process = process.arg("-b").arg(base);
        }
        Err(tree) => {
            report.warning(&format!(
                "no depmod for {kernel}: depmod needs a directory lib/modules, not {}",
                tree.display()
            ));
            return done();
        }
    }
    let map = layout.root.path(format!("/boot/System.map-{kernel}"));
    if map.is_file() {
        process = process.arg("-F").arg(map);
    }
    report.begin(&format!("Running depmod for {kernel}"));
    let got = process.arg(kernel.as_str()).capture();
    report.end(got.as_ref().map_or(127, |got| got.status));
    let got = match got {
        Ok(got) => got,
        Err(err @ ProcessError::Missing { .. }) => {
            return Err(Error::new(Kind::DepmodFailed, err.to_string()).hint("install the package kmod"));
        }
        Err(err) => return Err(Error::new(Kind::DepmodFailed, err.to_string())),
    };
    let said = Said::of(&String::from_utf8_lossy(&got.stderr), got.status == 0);
    if got.status != 0 {
        let what = format!("depmod for {kernel} ended with status {}{said}", got.status);
        return Err(Error::new(Kind::DepmodFailed, what).hint(match said.owners(layout, kernel).as_str() {
            "" => format!("run `depmod -a {kernel}` to see what it says"),
            owners => format!(
                "{owners}\nuntil one of them is removed, the old modules.dep stays in place, and no newer module of \
                 {kernel} is found; then run `dkms-hook --kernel {kernel}`"
            ),
        }));
    }
    if !said.lines.is_empty() {
        let owners = said.owners(layout, kernel);
        let owners = if owners.is_empty() { owners } else { format!("\n{owners}") };
        report.warning(&format!("depmod for {kernel} has errors{said}{owners}"));
    }
    tree::drop_empty_index(layout, kernel)?;
    done()
}

/// The directories of the configuration of a root that depmod is led to. One that is not there is as good as an
/// empty one.
fn configuration(base: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for dir in CONFIGURATION.map(|dir| base.join(dir)) {
        if dir.is_dir() && !found.iter().any(|known| same_place(known, &dir)) {
            found.push(dir);
        }
    }
    if found.is_empty() {
        found.push(base.join(CONFIGURATION[0]));
    }
    found
}

/// What depmod said of its errors.
struct Said {
    lines: Vec<String>,
    more: usize,
}

impl Said {
    /// Its errors; everything, where it failed. A kernel without `modules.builtin`, say, is a warning.
    fn of(text: &str, ended_well: bool) -> Self {
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
    fn owners(&self, layout: &Layout, kernel: &KernelRelease) -> String {
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

    #[test]
    fn the_configuration_is_that_of_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let at = |place: &str| dir.path().join(place);
        assert_eq!(configuration(dir.path()), [at("etc/depmod.d")], "not there, and so nothing is read");
        std::fs::create_dir_all(at("usr/lib/depmod.d")).unwrap();
        std::os::unix::fs::symlink("usr/lib", at("lib")).unwrap();
        std::fs::create_dir_all(at("run/depmod.d")).unwrap();
        assert_eq!(configuration(dir.path()), [at("run/depmod.d"), at("usr/lib/depmod.d")]);
    }
}
