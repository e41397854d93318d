//! Are the installed files of a build the built ones?
//!
//! The planner asks, to put back what somebody changed; `dkms status` asks, for its remark. A record of ours
//! names every installed file; for a build without one the few places where a file can be are tried. The
//! kernel's tree is never searched, and content is read only where stat(2) leaves a doubt.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use crate::elf::{self, is_module};
use crate::fs::look::{self, mtime, read_dir};
use crate::fs::same::{same_content, same_place};
use crate::model::blind::Blind;
use crate::model::ids::Cell;
use crate::model::record::InstalledFile;
use crate::model::status::Trouble;
use crate::tree::layout::Layout;
use crate::tree::registry;

/// Where a module can be, whatever the rules say today: DKMS may have put it there by another one.
const USUAL: [&str; 3] = ["/updates/dkms", "/updates", "/extra"];

/// The module files of a build, by name.
pub fn built_files(layout: &Layout, cell: &Cell) -> Vec<String> {
    let files = read_dir(&layout.built_modules(cell)).filter(|entry| is_module(&entry.path()));
    let mut names: Vec<String> = files.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

/// What is wrong with the files that a record of ours names, one by one.
pub fn by_record(layout: &Layout, cell: &Cell, files: &[InstalledFile]) -> impl Iterator<Item = Trouble> {
    let dir = layout.built_modules(cell);
    files.iter().filter_map(move |file| {
        let built = dir.join(&file.built);
        let Some(made) = std::fs::metadata(&built).ok().filter(Metadata::is_file) else {
            return Some(Trouble::Missing);
        };
        let is = |meta: &Metadata, time: i64| meta.len() == file.size && mtime(meta) == time;
        let placed = std::fs::symlink_metadata(layout.root.path(&file.path));
        let untouched = placed.is_ok_and(|meta| meta.is_file() && is(&meta, file.mtime));
        if untouched && is(&made, file.built_mtime) {
            return None;
        }
        let placed = regular(layout, &file.path);
        (!placed.is_some_and(|placed| is_the_built_one(&built, &placed))).then_some(Trouble::Different)
    })
}

/// True when the file in the place of an installed one is the one that was put there, and not somebody else's: by size and
/// time, by what is in it, or by the source that it says it was made from, as for one that was signed anew in its place.
/// It may be of another version of the same package, whose installation was cut off.
pub fn is_still_ours(layout: &Layout, cell: &Cell, file: &InstalledFile) -> bool {
    let placed = layout.root.path(&file.path);
    let Ok(meta) = std::fs::symlink_metadata(&placed) else { return false };
    if !file.is_planned() && meta.len() == file.size && mtime(&meta) == file.mtime {
        return true;
    }
    if meta.is_symlink() {
        let module = layout.shown(&layout.module(&cell.module.name));
        return std::fs::read_link(&placed).is_ok_and(|target| target.starts_with(module));
    }
    registry::versions(layout, &cell.module.name).into_iter().any(|module| {
        let built = layout.built_modules(&Cell { module, ..cell.clone() }).join(&file.built);
        same_content(&built, &placed) || is_of_the_same_source(&built, &placed)
    })
}

fn is_of_the_same_source(built: &Path, placed: &Path) -> bool {
    let Ok(theirs) = elf::modinfo(placed) else { return false };
    theirs.srcversion.is_some()
        && elf::modinfo(built)
            .is_ok_and(|ours| (ours.srcversion, ours.version) == (theirs.srcversion, theirs.version))
}

/// Whether the files that a record of ours names could be looked at, there or not.
///
/// # Errors
/// When one could not.
pub fn look_at_all(layout: &Layout, cell: &Cell, files: &[InstalledFile]) -> Result<(), Blind> {
    let dir = layout.built_modules(cell);
    for file in files {
        look::metadata(&dir.join(&file.built))?;
        look::symlink_metadata(&layout.root.path(&file.path))?;
    }
    Ok(())
}

/// The same for a build without a record, all of whose files should be installed. `place` is where one belongs
/// below `/lib/modules/K`, if that is known.
pub fn by_place(
    layout: &Layout,
    cell: &Cell,
    place: impl Fn(&str) -> Option<String>,
) -> impl Iterator<Item = Trouble> {
    let dir = layout.built_modules(cell);
    let kernel = layout.install_tree.join(&cell.kernel);
    built_files(layout, cell).into_iter().filter_map(move |file| {
        let belongs = place(&file);
        let mut places = belongs.as_deref().into_iter().chain(USUAL);
        let found =
            places.find_map(|place| regular(layout, &kernel.join(place.trim_start_matches('/')).join(&file)));
        match found {
            Some(placed) => (!is_the_built_one(&dir.join(&file), &placed)).then_some(Trouble::Different),
            // It may be where only its dkms.conf knows.
            None => belongs.is_some().then_some(Trouble::Different),
        }
    })
}

/// Whether an installed file is the built one: a copy of it, or a link to it.
pub fn is_the_built_one(built: &Path, placed: &Path) -> bool {
    same_place(built, placed) || same_content(built, placed)
}

/// The regular file at `inside`, links followed as from inside the root.
fn regular(layout: &Layout, inside: &Path) -> Option<PathBuf> {
    layout.root.resolve(inside).ok().filter(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::fs::root::Root;
    use crate::model::ids::{Arch, KernelRelease, ModuleId};

    /// A build of `m.ko`, of which nothing is installed.
    fn build() -> (tempfile::TempDir, Layout, Cell) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let cell = Cell {
            module: ModuleId::new("m", "1").unwrap(),
            kernel: KernelRelease::new("6.1").unwrap(),
            arch: Arch::new("x86_64").unwrap(),
        };
        std::fs::create_dir_all(layout.built_modules(&cell)).unwrap();
        std::fs::write(layout.built_modules(&cell).join("m.ko"), "one").unwrap();
        (dir, layout, cell)
    }

    fn place(layout: &Layout, path: &str, text: &str) {
        let path = layout.root.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn a_record_is_believed_while_nothing_was_touched() {
        let (_dir, layout, cell) = build();
        let built = layout.built_modules(&cell).join("m.ko");
        let placed = "/lib/modules/6.1/odd/m.ko";
        place(&layout, placed, "two");
        let time = |path: &Path| mtime(&std::fs::metadata(path).unwrap());
        let untouched = InstalledFile {
            path: placed.into(),
            built: "m.ko".into(),
            size: 3,
            mtime: time(&layout.root.path(placed)),
            built_mtime: time(&built),
            original: None,
        };
        let trouble = |file: &InstalledFile| by_record(&layout, &cell, std::slice::from_ref(file)).next();
        assert_eq!(trouble(&untouched), None, "stat says nothing was touched: nothing is read");
        let touched = InstalledFile { mtime: untouched.mtime + 1, ..untouched.clone() };
        assert_eq!(trouble(&touched), Some(Trouble::Different));
        let built_again = InstalledFile { built_mtime: untouched.built_mtime + 1, ..untouched.clone() };
        assert_eq!(trouble(&built_again), Some(Trouble::Different));
        // A copy of the same content with other times, as a restored backup has them.
        place(&layout, placed, "one");
        assert_eq!((trouble(&touched), trouble(&built_again)), (None, None));
        std::fs::remove_file(layout.root.path(placed)).unwrap();
        assert_eq!(trouble(&untouched), Some(Trouble::Different));
        symlink("/var/lib/dkms/m/1/6.1/x86_64/module/m.ko", layout.root.path(placed)).unwrap();
        assert_eq!(trouble(&untouched), None, "a link to the built file");
        std::fs::remove_file(&built).unwrap();
        assert_eq!(trouble(&untouched), Some(Trouble::Missing));
    }

    #[test]
    fn without_a_record_the_places_are_tried() {
        // Where the file is, what is in it, whether its place is known, and what follows.
        let rows = [
            ("/odd", "one", Some("/odd"), None),
            ("/odd", "two", Some("/odd"), Some(Trouble::Different)),
            ("/updates/dkms", "one", Some("/odd"), None),
            ("/extra", "two", Some("/odd"), Some(Trouble::Different)),
            ("/extra", "one", None, None),
            ("/updates", "two", None, Some(Trouble::Different)),
            ("/other", "one", Some("/odd"), Some(Trouble::Different)),
            ("/other", "two", None, None),
        ];
        for (at, text, belongs, expected) in rows {
            let (_dir, layout, cell) = build();
            place(&layout, &format!("/lib/modules/6.1{at}/m.ko"), text);
            let found = by_place(&layout, &cell, |_| belongs.map(str::to_owned)).next();
            assert_eq!(found, expected, "{at} {text} {belongs:?}");
        }
    }
}
