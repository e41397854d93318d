//! The index of a kernel's modules: once per kernel and run, by ourselves where all is as usual, otherwise by
//! depmod(8).

mod own;
mod said;

use std::path::{Path, PathBuf};

use crate::apply::tree;
use crate::depmod::CONFIGURATION;
use crate::fs::same::same_place;
use crate::kernel::depmod_base;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::KernelRelease;
use crate::model::settings::Limit;
use crate::process::{Process, ProcessError};
use crate::progress::Report;
use crate::tree::layout::Layout;
use crate::tree::notes;

use said::Said;

/// How an index is made.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// By depmod(8), whatever we could do ourselves.
    pub always_real: bool,
    /// How long depmod(8) may take.
    pub limit: Limit,
}

/// Makes the index of a kernel's modules and forgets that it was due.
///
/// # Errors
/// When it cannot be made, or depmod is missing or fails; it stays due, and the old index stays in place.
pub fn run(layout: &Layout, kernel: &KernelRelease, how: How, report: &dyn Report) -> Result<()> {
    let done = || notes::depmod_done(layout, kernel);
    let base = match depmod_base(layout) {
        Ok(base) => base,
        Err(tree) => {
            report.warning(&format!(
                "no depmod for {kernel}: depmod needs a directory lib/modules, not {}",
                tree.display()
            ));
            return done();
        }
    };
    report.begin(&format!("Running depmod for {kernel}"));
    let own = if how.always_real { own::Came::Left } else { own::make(layout, kernel, base.as_deref()) };
    match own {
        own::Came::Made => report.end(0),
        own::Came::Left => real(layout, kernel, base.as_deref(), how.limit, report)?,
        own::Came::Circle(names) => {
            report.end(1);
            let said = Said::of(&format!("ERROR: Cycle detected: {}", names.join(" -> ")), true);
            let what = format!(
                "no index of the modules of {kernel} can be made: they need each other in a circle{said}"
            );
            return Err(
                Error::new(Kind::DepmodFailed, what).hint(stays(&said.owners(layout, kernel), kernel))
            );
        }
        own::Came::Failed(error) => {
            report.end(1);
            return Err(error.of_kind(Kind::DepmodFailed));
        }
    }
    tree::drop_empty_index(layout, kernel)?;
    done()
}

/// Runs depmod(8), and shows what it says of errors.
fn real(
    layout: &Layout,
    kernel: &KernelRelease,
    base: Option<&Path>,
    limit: Limit,
    report: &dyn Report,
) -> Result<()> {
    let mut process = Process::new("depmod").arg("-a");
    if let Some(base) = base {
        // Otherwise it would go by the configuration of the machine that it runs on.
        for dir in configuration(base) {
            process = process.arg("-C").arg(dir);
        }
        process = process.arg("-b").arg(base);
    }
    let map = layout.root.path(format!("/boot/System.map-{kernel}"));
    if map.is_file() {
        process = process.arg("-F").arg(map);
    }
    let got = process.arg(kernel.as_str()).within(limit).capture();
    report.end(got.as_ref().map_or(127, |got| got.status));
    let got = match got {
        Ok(got) => got,
        Err(err @ ProcessError::Missing { .. }) => {
            return Err(Error::new(Kind::DepmodFailed, err.to_string()).hint("install the package kmod"));
        }
        Err(err @ ProcessError::TimedOut { .. }) => {
            return Err(Error::new(Kind::DepmodFailed, format!("for {kernel}: {err}"))
                .hint(format!("the old index stays; run `depmod -a {kernel}` to see what keeps it")));
        }
        Err(err) => return Err(Error::new(Kind::DepmodFailed, err.to_string())),
    };
    let said = Said::of(&String::from_utf8_lossy(&got.stderr), got.status == 0);
    if got.status != 0 {
        let what = format!("depmod for {kernel} ended with status {}{said}", got.status);
        return Err(Error::new(Kind::DepmodFailed, what).hint(match said.owners(layout, kernel).as_str() {
            "" => format!("run `depmod -a {kernel}` to see what it says"),
            owners => stays(owners, kernel),
        }));
    }
    if !said.lines.is_empty() {
        let owners = said.owners(layout, kernel);
        let owners = if owners.is_empty() { owners } else { format!("\n{owners}") };
        report.warning(&format!("depmod for {kernel} has errors{said}{owners}"));
    }
    Ok(())
}

/// What to do about modules for which there can be no index.
fn stays(owners: &str, kernel: &KernelRelease) -> String {
    format!(
        "{owners}\nuntil one of them is removed, the old modules.dep stays in place, and no newer module of {kernel} is \
         found; then run `dkms-hook --kernel {kernel}`"
    )
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

#[cfg(test)]
mod tests {
    use super::*;

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
