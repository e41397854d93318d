//! Hooks of pacman (alpm-hooks(5)). What changes something runs after the transaction.
//!
//! Nothing is deleted before it: a transaction that fails would leave the running kernel without its
//! modules. Packages of modules bring sources below `/usr/src` and no scriptlets of their own: to register
//! them, and to take them out again, is the hooks' work.

use std::path::{Path, PathBuf};

use crate::adapters::{in_line, incoming, pacman_files};
use crate::apply::tell;
use crate::fs::look;
use crate::machine::Machine;
use crate::model::error::Result;
use crate::model::ids::{ModuleId, is_component};
use crate::model::request::Request;
use crate::packages::Transaction;
use crate::plan::{InitramfsDuty, Options};
use crate::preflight::Decision;
use crate::progress::Report;
use crate::tree::registry;

/// Before the transaction: says what its kernels and sources come to, and which kernels come without the headers
/// that modules need. The targets are all that pacman tells; the packages are looked for.
pub fn incoming(machine: &Machine, targets: &[String], report: &dyn Report) -> Decision {
    let with = |file| in_line::releases_with(targets.iter().map(String::as_str), file);
    let mut transaction = Transaction {
        kernels: with("vmlinuz").into_iter().map(|kernel| (kernel, None)).collect(),
        headers: with("build/include/"),
        sources: sources(targets).map(str::to_owned).collect(),
        ..Transaction::default()
    };
    if transaction.is_empty() {
        return Decision::GoOn;
    }
    let found = pacman_files::find(&machine.layout.root, &transaction);
    for (_, package) in &found {
        for release in &package.brings.kernels {
            if let Some(base) = transaction.kernels.get_mut(release) {
                *base = Some(package.name.clone());
            }
        }
    }
    let files: Vec<PathBuf> = found.into_iter().map(|(path, _)| path).collect();
    incoming::before(machine, &transaction, &files, report)
}

/// Before the transaction: says which kernels go, with the modules that were built for them.
pub fn leaving(machine: &Machine, targets: &[String], report: &dyn Report) -> Decision {
    let kernels = in_line::releases_with(targets.iter().map(String::as_str), "vmlinuz");
    incoming::before(machine, &Transaction::default().without(kernels), &[], report)
}

/// Files came or were replaced. The initramfs is left to the generator's own hook, which pacman runs
/// after this one, and to [`initramfs`].
///
/// # Errors
/// For the caller to show; it must not become an exit status.
pub fn installed(machine: &Machine, targets: &[String], report: &dyn Report) -> Result<()> {
    for dir in sources(targets) {
        if machine.layout.root.path(format!("/usr/src/{dir}/dkms.conf")).is_file() {
            in_line::or_warn(machine.register(Path::new("/usr/src").join(dir).as_path(), report), report);
        }
    }
    in_line::bring(machine, None, &before_the_generator(), report)
}

/// Files went.
///
/// # Errors
/// For the caller to show; it must not become an exit status.
pub fn removed(machine: &Machine, targets: &[String], report: &dyn Report) -> Result<()> {
    for dir in sources(targets) {
        for module in without_source(machine, dir) {
            let cells = registry::cells(&machine.layout, &module);
            let cells = cells.into_iter().map(|cell| (cell.kernel, cell.arch)).collect();
            let request = Request::Remove { module, cells };
            let removed = in_line::carry_out(machine, &request, &before_the_generator(), report);
            in_line::or_warn(removed, report);
        }
    }
    // pacman names the kernels that it took away: also the last one, whose absence alone would prove nothing.
    let left = in_line::releases_with(targets.iter().map(String::as_str), "vmlinuz");
    if !left.is_empty() {
        let options = Options { kernel_left: true, ..before_the_generator() };
        in_line::bring(machine, Some(left.into_iter().collect()), &options, report)?;
    }
    in_line::bring(machine, None, &before_the_generator(), report)
}

/// The end of the transaction: makes what initramfs are still older than their modules.
///
/// # Errors
/// For the caller to show; it must not become an exit status.
pub fn initramfs(machine: &Machine, report: &dyn Report) -> Result<()> {
    let options = Options { kernel_event: true, ..Options::default() };
    in_line::bring(machine, None, &options, report)?;
    tell::print_unreported(&machine.layout, machine.patience(), report)
}

fn before_the_generator() -> Options {
    Options { kernel_event: true, initramfs: InitramfsDuty::Later, ..Options::default() }
}

/// Names of the directories below `/usr/src` whose dkms.conf is a target.
fn sources(targets: &[String]) -> impl Iterator<Item = &str> {
    targets.iter().filter_map(|target| {
        let dir = target.trim_start_matches('/').strip_prefix("usr/src/")?.strip_suffix("/dkms.conf")?;
        is_component(dir).then_some(dir)
    })
}

/// Registered module versions whose source was in this directory of `/usr/src` and is gone.
fn without_source(machine: &Machine, dir: &str) -> Vec<ModuleId> {
    let layout = &machine.layout;
    let source = Path::new("/usr/src").join(dir);
    if look::exists(&layout.root.path(source.join("dkms.conf"))) != Ok(false) {
        return Vec::new();
    }
    let leads_there = |id: &ModuleId| {
        std::fs::read_link(layout.source_link(id)).is_ok_and(|target| layout.root.inside(&target) == source)
    };
    registry::registered(layout).into_iter().map(|(id, _)| id).filter(leads_there).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_conf_of_a_source_is_one() {
        let targets = ["usr/src/hello-1.0/dkms.conf", "usr/src/a/b/dkms.conf", "usr/lib/modules/6.1/vmlinuz"];
        let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
        assert_eq!(sources(&targets).collect::<Vec<_>>(), ["hello-1.0"]);
    }
}
