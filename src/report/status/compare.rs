//! Is what was installed still what was built?
//!
//! A record of ours names every installed file; for a build made by DKMS the few places where it can
//! be are tried. The kernel's tree is never searched.

use std::fs;
use std::path::{Path, PathBuf};

use crate::elf::module_stem;
use crate::fs::look::{mtime, read_dir};
use crate::fs::stamp::same_content;
use crate::model::ids::Cell;
use crate::model::record::InstalledFile;
use crate::observe::distribution::Distribution;
use crate::tree::layout::Layout;
use crate::tree::state;

use super::Trouble;

/// A module that a conf lists for a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// DEST_MODULE_NAME, without `.ko`.
    pub name: String,
    /// DEST_MODULE_LOCATION as written.
    pub location: String,
}

/// Compares builds with what is installed.
pub(super) struct Comparison<'a> {
    layout: &'a Layout,
    expected: &'a dyn Fn(&Cell) -> Option<Vec<Expected>>,
    /// Where the distribution puts every module, whatever the conf says.
    destination: Option<String>,
}

impl<'a> Comparison<'a> {
    pub fn new(layout: &'a Layout, expected: &'a dyn Fn(&Cell) -> Option<Vec<Expected>>) -> Self {
        let destination = Distribution::here(&layout.root).fixed_destination().map(str::to_owned);
        Self { layout, expected, destination }
    }

    /// The first thing wrong with the files of a build.
    pub fn trouble(&self, cell: &Cell, installed: bool) -> Option<Trouble> {
        let dir = self.layout.built_modules(cell);
        let mut built: Vec<String> = read_dir(&dir)
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| module_stem(name).is_some())
            .collect();
        built.sort_unstable();
        let record = state::known(state::record(self.layout, cell));
        let has = |module: &String| built.iter().any(|name| module_stem(name) == Some(module));
        if record.as_ref().is_some_and(|record| !record.facts.modules.iter().all(has)) {
            return Some(Trouble::Missing);
        }
        match record.filter(|r| !r.installed.is_empty()) {
            Some(record) => self.by_record(&dir, &record.installed, installed),
            None => self.by_rule(cell, &dir, &built, installed),
        }
    }

    fn by_record(&self, dir: &Path, files: &[InstalledFile], installed: bool) -> Option<Trouble> {
        files.iter().find_map(|file| {
            let built = dir.join(&file.built);
            if !built.is_file() {
                return Some(Trouble::Missing);
            }
            if !installed {
                return None;
            }
            let Some(placed) = self.open_path(&file.path) else { return Some(Trouble::Different) };
            (!untouched(file, &built, &placed) && !same(&built, &placed)).then_some(Trouble::Different)
        })
    }

    fn by_rule(&self, cell: &Cell, dir: &Path, built: &[String], installed: bool) -> Option<Trouble> {
        let find = |module: &str| built.iter().find(|name| module_stem(name) == Some(module));
        let Some(expected) = (self.expected)(cell) else {
            return built.iter().filter(|_| installed).find_map(|name| {
                let places = self.destination.as_deref().into_iter().chain(USUAL);
                match self.find_installed(cell, places, name) {
                    Some(placed) => (!same(&dir.join(name), &placed)).then_some(Trouble::Different),
                    // Where the distribution has no rule only the conf knows the place.
                    None => self.destination.as_ref().map(|_| Trouble::Different),
                }
            });
        };
        expected.iter().find_map(|module| {
            let Some(name) = find(&module.name) else { return Some(Trouble::Missing) };
            if !installed {
                return None;
            }
            let places = self.destination.as_deref().into_iter().chain([module.location.as_str()]);
            match self.find_installed(cell, places, name) {
                Some(placed) if same(&dir.join(name), &placed) => None,
                _ => Some(Trouble::Different),
            }
        })
    }

    fn find_installed<'p>(
        &self,
        cell: &Cell,
        places: impl Iterator<Item = &'p str>,
        name: &str,
    ) -> Option<PathBuf> {
        let kernel = self.layout.install_tree.join(&cell.kernel);
        for place in places {
            let inside = kernel.join(place.trim_start_matches('/')).join(name);
            if let Some(found) = self.open_path(&inside) {
                return Some(found);
            }
        }
        None
    }

    /// The regular file at `inside`, links followed as from inside the root.
    fn open_path(&self, inside: &Path) -> Option<PathBuf> {
        let path = self.layout.root.resolve(inside).ok()?;
        path.is_file().then_some(path)
    }
}

/// Where a module goes when neither a rule nor a conf is at hand.
const USUAL: [&str; 3] = ["/updates/dkms", "/updates", "/extra"];

/// Both files are as they were right after the install, so far as stat(2) tells.
fn untouched(file: &InstalledFile, built: &Path, placed: &Path) -> bool {
    let is =
        |path: &Path, time: i64| fs::metadata(path).is_ok_and(|m| m.len() == file.size && mtime(&m) == time);
    is(placed, file.mtime) && is(built, file.built_mtime)
}

/// Whether two paths hold the same bytes; a link into the tree leads to the very same file.
fn same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b || same_content(&a, &b),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;

    #[test]
    fn unchanged_stamps_save_the_reading() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let built = dir.path().join("built");
        fs::create_dir(&built).unwrap();
        fs::write(built.join("m.ko"), "one").unwrap();
        fs::write(dir.path().join("m.ko"), "two").unwrap();
        let time = |path: PathBuf| mtime(&fs::metadata(path).unwrap());
        let mut file = InstalledFile {
            path: "/m.ko".into(),
            built: "m.ko".into(),
            size: 3,
            mtime: time(dir.path().join("m.ko")),
            built_mtime: time(built.join("m.ko")),
            original: None,
        };
        let comparison = Comparison::new(&layout, &|_| None);
        let files = |file: &InstalledFile| vec![file.clone()];
        assert_eq!(comparison.by_record(&built, &files(&file), true), None, "stamps say nothing was touched");
        file.mtime += 1;
        assert_eq!(comparison.by_record(&built, &files(&file), true), Some(Trouble::Different));
        assert_eq!(
            comparison.by_record(&built, &files(&file), false),
            None,
            "only installed ones are compared"
        );
    }
}
