//! What a killed run leaves: processes that it started and that go on without it, temporary names,
//! and directories that it was about to remove.
//!
//! Everything that was half done under its final name is the planner's to find; this is about what
//! no plan sees.

use std::fs::Metadata;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::fs::atomic::{GONE, TEMPORARY};
use crate::fs::copy::remove_tree;
use crate::fs::look;
use crate::fs::regular;
use crate::fs::root::Root;
use crate::model::ids::{Cell, ModuleId};
use crate::process::{PARENT_VARIABLE, started_by};
use crate::tree::half_pair;
use crate::tree::installed;
use crate::tree::layout::{DIRECTIVES, LOADED, Layout, MAKE_LOG, ORIGINALS, USES};
use crate::tree::registry;
use crate::tree::state;
use crate::tree::stub::is_stub;

/// Start of such names in the module tree: ours, those of small files, of staged builds (DKMS's, too)
/// and of a signing key.
const TEMPORARY_IN_TREE: [&str; 4] = [TEMPORARY, ".tmp-", ".tmp_", half_pair::PREFIX];

/// Start of the names of directories outside of the tree that this program works in. Nothing in them is needed later.
pub const WORKING: &str = "dkms-hook-working-";

/// Cleans up after a run that was killed while it held the lock, which the caller holds now.
/// What cannot be removed is left: it is in nobody's way.
pub fn after(layout: &Layout, holder: u32) {
    log::info!(
        "an earlier run (process {holder}) was killed, or could not remove something; cleaning up after it"
    );
    if holder != std::process::id() {
        end_processes(layout, holder);
    }
    if let Ok(began) = std::fs::metadata(layout.state().join("lock")).and_then(|m| m.modified()) {
        remove_unfinished_builds(layout, began);
        remove_working_directories(began);
    }
    for attempt in layout.preflight() {
        if let Err(error) = remove_tree(&attempt) {
            log::info!("{} could not be removed: {error}", attempt.display());
        }
    }
    forget_files_that_are_gone(layout);
    remove_temporaries(layout);
}

/// Builds that the killed run had put in place but not written down: their POST_BUILD may not have
/// run. And the directories that it built in. `began` is when that run took the lock.
fn remove_unfinished_builds(layout: &Layout, began: SystemTime) {
    let since = |path: &Path| {
        std::fs::metadata(path).and_then(|m| m.modified()).is_ok_and(|modified| modified >= began)
    };
    for (id, _) in registry::registered(layout) {
        for cell in registry::cells(layout, &id) {
            // One whose record cannot be looked at may be a good one, and DKMS's have none.
            let unrecorded = look::exists(&layout.record(&cell)) == Ok(false)
                && since(&layout.built_modules(&cell))
                && is_ours(&layout.cell(&cell).join("log").join(MAKE_LOG));
            if unrecorded && let Err(error) = remove_tree(&layout.cell(&cell)) {
                log::info!("the unfinished build of {cell} could not be removed: {error}");
            }
        }
        let log = layout.make_log(&id);
        if since(&log) && is_ours(&log) && !has_failed(layout, &id, began) {
            let _ = remove_tree(&layout.build_dir(&id));
        }
        // The empty directory in whose place each of several builds saw its own.
        let _ = std::fs::remove_dir(layout.build_dir(&id));
    }
}

/// Beginning of the first line of our logs of builds. DKMS has its own version there.
pub const OWN_LOG: &str = "DKMS (dkms-hook-";

/// True for the log of a build that this program has begun.
fn is_ours(log: &Path) -> bool {
    let mut begin = [0; OWN_LOG.len()];
    let read = regular::open_itself(log).and_then(|mut file| file.read_exact(&mut begin));
    read.is_ok() && begin == OWN_LOG.as_bytes()
}

/// What an uninstallation had deleted and not yet taken off its list; and what an installation had not put in place
/// yet. The list says what `remove` deletes, and somebody else may put a file there.
fn forget_files_that_are_gone(layout: &Layout) {
    for (id, _) in registry::registered(layout) {
        for cell in registry::cells(layout, &id) {
            let Ok(Some(mut record)) = state::record(layout, &cell) else { continue };
            if record.installed.is_empty() || registry::look_at_active(layout, &cell) != Ok(false) {
                continue;
            }
            let active = registry::active(layout, &id.name, &cell.kernel, &cell.arch);
            let active = active.map(|version| ModuleId { version, ..id.clone() });
            let active = active.map(|module| state::record(layout, &Cell { module, ..cell.clone() }));
            let taken = match active {
                None => Vec::new(),
                Some(Ok(record)) => record.map(|record| record.installed).unwrap_or_default(),
                Some(Err(_)) => continue,
            };
            let before = record.installed.len();
            record.installed.retain(|file| {
                let place = layout.root.path(&file.path);
                let is_there = look::symlink_metadata(&place).map_or(true, |meta| meta.is_some());
                let is_taken = taken.iter().any(|other| other.path == file.path);
                is_there && !is_taken && installed::is_still_ours(layout, &cell, file)
            });
            if record.installed.len() < before
                && let Err(error) = state::save_record(layout, &cell, &record)
            {
                log::info!("{error}");
            }
        }
    }
}

/// Directories outside of the tree that a killed run had made to look at signatures: only where there is no /proc.
fn remove_working_directories(began: SystemTime) {
    let own = nix::unistd::geteuid().as_raw();
    for entry in look::read_dir(&std::env::temp_dir()) {
        let named = entry.file_name().as_encoded_bytes().starts_with(WORKING.as_bytes());
        let ours = |meta: &Metadata| {
            meta.is_dir() && meta.uid() == own && meta.modified().is_ok_and(|modified| modified >= began)
        };
        // Another one may be in use now: whoever reads signatures takes no lock.
        if named && entry.metadata().is_ok_and(|meta| ours(&meta)) {
            let _ = remove_tree(&entry.path());
        }
    }
}

/// The killed run had noted a failure of this module: its build directory is for inspection.
fn has_failed(layout: &Layout, id: &ModuleId, began: SystemTime) -> bool {
    let verdicts = std::fs::read_dir(layout.verdict_dir(id)).into_iter().flatten().flatten();
    verdicts.filter_map(|e| e.metadata().ok()?.modified().ok()).any(|modified| modified >= began)
}

/// Ends what the killed run started: a make that goes on would write into the next build.
fn end_processes(layout: &Layout, holder: u32) {
    // A script of the killed run may be the one that calls us.
    if std::env::var(PARENT_VARIABLE).is_ok_and(|own| own == holder.to_string()) {
        return;
    }
    let tree = layout.tree();
    // What is ended may just have started something; a few rounds find it all.
    for _ in 0..50 {
        let found = processes_of(holder, &tree);
        if found.is_empty() {
            return;
        }
        for pid in found {
            log::info!("ending process {pid}, which the killed run had started");
            let _ = kill(pid, Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What a killed run has started and what is not to stay: all but what a script of root's may have started as a
/// service. Of that, too, what has the tree as its directory or in its command line is ended.
fn processes_of(holder: u32, tree: &Path) -> Vec<Pid> {
    let works_there = |pid: Pid| {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let name = tree.as_os_str().as_bytes();
        let named = || {
            std::fs::read(process.join("cmdline"))
                .is_ok_and(|line| line.windows(name.len()).any(|part| part == name))
        };
        std::fs::read_link(process.join("cwd")).is_ok_and(|dir| dir.starts_with(tree)) || named()
    };
    let started = started_by(holder).into_iter();
    started.filter(|(pid, may_stay)| !may_stay || works_there(*pid)).map(|(pid, _)| pid).collect()
}

fn remove_temporaries(layout: &Layout) {
    let root = &layout.root;
    remove_named(root, &layout.tree(), 6, &TEMPORARY_IN_TREE);
    // A note that was deleted may have left its directory.
    let _ = std::fs::remove_dir(layout.state().join("kernels"));
    remove_named(root, &root.path(&layout.source_tree), 1, &[TEMPORARY]);
    remove_named(root, &root.path(&layout.install_tree), usize::MAX, &[TEMPORARY]);
    // T/m/v/k and T/m/original_module/k/a, from the inside out; rmdir(2) refuses what is not empty.
    let dirs = walkdir::WalkDir::new(layout.tree()).min_depth(3).max_depth(4).contents_first(true);
    for entry in dirs.into_iter().filter_map(Result::ok).filter(|e| e.file_type().is_dir()) {
        let path = entry.path();
        let original = path.components().any(|c| c.as_os_str() == ORIGINALS);
        let kernel = entry.depth() == 3 && entry.file_name() != "build";
        if (original || kernel) && !path.starts_with(layout.state()) {
            let _ = std::fs::remove_dir(path);
        }
    }
}

/// Removes everything below `dir`, up to a depth, whose name has one of these beginnings. Failed
/// builds are not searched: what is in them is the module's.
fn remove_named(root: &Root, dir: &Path, depth: usize, beginnings: &[&str]) {
    let temporary = |name: &std::ffi::OsStr| {
        name != LOADED
            && name != DIRECTIVES
            && name != USES
            && beginnings.iter().any(|beginning| name.as_bytes().starts_with(beginning.as_bytes()))
    };
    let mut walk = walkdir::WalkDir::new(dir).min_depth(1).max_depth(depth).into_iter();
    let mut found: Vec<PathBuf> = Vec::new();
    while let Some(entry) = walk.next() {
        let Ok(entry) = entry else { continue };
        let inner = entry.file_type().is_dir();
        if temporary(entry.file_name()) {
            found.push(entry.path().to_path_buf());
        }
        if inner && (temporary(entry.file_name()) || entry.file_name() == "build") {
            walk.skip_current_dir();
        }
    }
    for path in found.into_iter().filter(|path| !half_pair::tells_of_a_half(path)) {
        if let Some(stub) = stub_of_what_was_forgotten(root, &path) {
            let _ = remove_tree(&stub);
        }
        if let Err(error) = remove_tree(&path) {
            log::info!("{} could not be removed: {error}", path.display());
        }
    }
}

/// The directory that stood in for the source of a module version whose entry was on its way out of the tree.
fn stub_of_what_was_forgotten(root: &Root, place: &Path) -> Option<PathBuf> {
    let source = root.path(std::fs::read_link(place.join(GONE).join("source")).ok()?);
    is_stub(&source).then_some(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unfinished_names_and_empty_kernels_go() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let kept = [
            "var/lib/dkms/m/1/source/.tmp-x",
            "var/lib/dkms/m/1/build/.tmp-x",
            "var/lib/dkms/m/1/6.1/x86_64/module/m.ko",
            "var/lib/dkms/m/1/6.1/x86_64/.dkms-hook-loaded",
            "var/lib/dkms/m/1/6.1/x86_64/.dkms-hook-conf.json",
            "var/lib/dkms/m/1/6.1/x86_64/.dkms-hook-uses.json.zst",
            "var/lib/dkms/.dkms-hook/lock",
            "lib/modules/6.1/updates/dkms/m.ko",
            "lib/modules/6.1/updates/.tmp-other",
            "usr/src/m-1/.dkms-hook-x",
        ];
        let gone = [
            "var/lib/dkms/.tmp-a/x",
            "var/lib/dkms/m/1/6.1/.tmp_x86_64_abc/module/m.ko",
            "var/lib/dkms/m/1/6.1/x86_64/.tmp-b",
            "var/lib/dkms/.dkms-hook/kernels/.tmp-c",
            "lib/modules/6.1/updates/dkms/.dkms-hook-d.tmp",
            "usr/src/.dkms-hook-e/source/f",
        ];
        for file in kept.iter().chain(&gone) {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        for empty in ["var/lib/dkms/m/1/6.2", "var/lib/dkms/m/original_module/6.1/x86_64"] {
            std::fs::create_dir_all(dir.path().join(empty)).unwrap();
        }
        std::fs::rename(dir.path().join("var/lib/dkms/m/1/source"), dir.path().join("usr/src/m-2")).unwrap();
        std::os::unix::fs::symlink("/usr/src/m-2", dir.path().join("var/lib/dkms/m/1/source")).unwrap();
        remove_temporaries(&layout);
        for file in &kept[1..] {
            assert!(dir.path().join(file).exists(), "{file}");
        }
        assert!(dir.path().join("usr/src/m-2/.tmp-x").exists(), "links are not followed");
        for file in gone {
            assert!(!dir.path().join(file).exists(), "{file}");
        }
        assert!(!dir.path().join("var/lib/dkms/m/1/6.2").exists());
        assert!(!dir.path().join("var/lib/dkms/m/original_module").join("6.1").exists());
        assert!(dir.path().join("usr/src").read_dir().unwrap().count() == 2);
    }
}
