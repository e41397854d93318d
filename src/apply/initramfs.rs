//! The initramfs of a kernel, made again by the distribution's own generator.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::boot::generator::{Environment, Order};
use crate::boot::{self, BootFile};
use crate::fs::look::mtime;
use crate::model::blind::Blind;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::KernelRelease;
use crate::model::settings::Limit;
use crate::observe::distribution::Distribution;
use crate::process::{Output, Process};
use crate::progress::{Aside, Report};
use crate::tree::layout::Layout;
use crate::tree::notes;

/// Makes the initramfs of a kernel again; each generator may take so long. Forgets the duty once done.
///
/// A generator that ends well may have made another file than the one that is old (kernel-install does
/// not keep an initramfs in every layout). So the file is looked at, and the next generator is asked.
///
/// # Errors
/// When a generator fails and none mends it. It stays due, whatever the generator left on disk; and so it does when a
/// generator that ended well made nothing.
pub fn make(
    layout: &Layout,
    distribution: &Distribution,
    kernel: &KernelRelease,
    limit: Limit,
    report: &dyn Report,
) -> Result<()> {
    let Some(due) = notes::kernel_note(layout, kernel).initramfs_due else { return Ok(()) };
    let environment = Environment::here();
    let before = files_of(layout, kernel);
    // Of what an attempt that failed left nothing is known but that it is older than this one.
    let begun = notes::now_nanos();
    let is_new = |made: i64| if due.is_unfinished() { made >= begun } else { made > due.since };
    let mut failed = None;
    let mut told = false;
    for order in distribution.generators().iter().filter_map(|g| g.order(layout, kernel, &environment)) {
        if !told {
            report.line(&format!("Rebuilding the initramfs of {kernel}: its modules changed"));
            notes::initramfs_begins(layout, kernel)?;
            told = true;
        }
        let aside = Aside::begin(report);
        let ran = run(&order, limit);
        drop(aside);
        match ran {
            Ok(()) => {
                let found = boot::look_for_files(layout, kernel);
                let made = if order.beside { found.newest() } else { found.oldest() };
                if made.is_none_or(is_new) {
                    return forget(layout, kernel);
                }
            }
            Err(error) => failed = Some(error),
        }
    }
    if let Some(error) = failed {
        return Err(error.hint(what_is_left(kernel, &before, &files_of(layout, kernel))));
    }
    notes::update(layout, kernel, |note| note.initramfs_due = Some(due))?;
    let found = boot::look_for_files(layout, kernel);
    if let Some(blind) = found.unseen.filter(|_| found.files.is_empty()) {
        return Err(Error::from(Blind { path: layout.shown(&blind.path), ..blind }));
    }
    let old = oldest_name(layout, kernel);
    // One that ended well and wrote nothing at all may do better next time. Where it wrote another file, the old one
    // belongs to a boot loader that nobody uses any more.
    if told && before == files_of(layout, kernel) {
        report.warning(&format!(
            "modules of {kernel} changed, but whoever was to make its initramfs made none: rebuild its initramfs{old}; \
             the next run tries again"
        ));
        return Ok(());
    }
    report.warning(&format!("modules of {kernel} changed: rebuild its initramfs{old}"));
    forget(layout, kernel)
}

fn run(order: &Order, limit: Limit) -> Result<()> {
    // Scripts of pacman's hooks read paths that are relative to the root.
    let mut process = Process::new(&order.program).args(&order.args).dir("/").within(limit);
    if let Some(text) = &order.input {
        process = process.input(text.as_str());
    }
    let failed = |text: String| Error::new(Kind::InitramfsFailed, text);
    match process.run(Output::Inherit) {
        Ok(0) => Ok(()),
        Ok(status) => {
            Err(failed(format!("making the initramfs: {} ended with status {status}", process.text())))
        }
        Err(error) => Err(failed(format!("making the initramfs: {error}"))),
    }
}

/// The files with an initramfs, each with its size in bytes and its modification time in nanoseconds.
fn files_of(layout: &Layout, kernel: &KernelRelease) -> BTreeMap<PathBuf, (u64, i64)> {
    let seen = |file: BootFile| {
        let meta = std::fs::metadata(&file.path).ok()?;
        Some((layout.shown(&file.path), (meta.len(), mtime(&meta))))
    };
    boot::files(layout, kernel).into_iter().filter_map(seen).collect()
}

/// What a generator that failed left on disk, and what to do.
fn what_is_left(
    kernel: &KernelRelease,
    before: &BTreeMap<PathBuf, (u64, i64)>,
    now: &BTreeMap<PathBuf, (u64, i64)>,
) -> String {
    let next = "see the messages above; the next run tries again";
    let names = |paths: Vec<&PathBuf>| {
        paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and ")
    };
    let gone: Vec<&PathBuf> = before.keys().filter(|path| !now.contains_key(*path)).collect();
    let changed: Vec<&PathBuf> =
        now.iter().filter(|(path, file)| before.get(*path) != Some(*file)).map(|(path, _)| path).collect();
    let trouble = match (gone.is_empty(), changed.is_empty()) {
        (true, true) => return format!("the old one is unchanged; {next}"),
        (false, true) => format!("{} is gone", names(gone)),
        (true, false) => format!("{} may be incomplete", names(changed)),
        (false, false) => format!("{} is gone, and {} may be incomplete", names(gone), names(changed)),
    };
    format!("{trouble}: do not boot {kernel} before one is made; {next}")
}

/// The oldest of several files, for a message.
fn oldest_name(layout: &Layout, kernel: &KernelRelease) -> String {
    let time = |file: &BootFile| std::fs::metadata(&file.path).and_then(|m| m.modified()).ok();
    let oldest = boot::files(layout, kernel).into_iter().min_by_key(time);
    oldest.map(|file| format!(" {}", layout.shown(&file.path).display())).unwrap_or_default()
}

/// Forgets that an initramfs is due: the one that there is, whoever made it, is on the disk then.
///
/// # Errors
/// When it cannot be brought there, or that cannot be written.
pub fn forget(layout: &Layout, kernel: &KernelRelease) -> Result<()> {
    let dirs =
        boot::files(layout, kernel).into_iter().filter_map(|file| Some(file.path.parent()?.to_path_buf()));
    notes::initramfs_done(layout, kernel, &dirs.collect::<Vec<_>>())
}
