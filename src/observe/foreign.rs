//! Whether what is installed of a build by somebody else is that build.

use super::{Observer, Strictness};
use crate::elf::{is_module, module_stem};
use crate::fs::look;
use crate::fs::stamp::same_content;
use crate::model::ids::Cell;

/// Where a module can be, too: DKMS put it there by another rule than today's.
const USUAL: [&str; 3] = ["/updates/dkms", "/updates", "/extra"];

impl Observer<'_> {
    /// True when every module of a build without a record is installed as it was built. DKMS may have
    /// built it again since, or somebody took the files away.
    pub(super) fn is_installed_whole(&self, cell: &Cell) -> bool {
        let kernel = self.layout.install_tree.join(&cell.kernel);
        let fixed = self.distribution.fixed_destination();
        let conf = || self.conf(cell, &self.context(cell), Strictness::Other).ok();
        let conf = if fixed.is_none() { conf() } else { None };
        let location = |file: &str| {
            let records = conf.iter().flat_map(|conf| &conf.records);
            let mut named = records.filter(|record| module_stem(file) == Some(&record.dest_name));
            named.next().map(|record| record.dest_location.clone())
        };
        let at = |place: &str, file: &str| {
            self.layout.root.path(kernel.join(place.trim_start_matches('/')).join(file))
        };
        let dir = self.layout.built_modules(cell);
        let built = look::read_dir(&dir).filter(|entry| is_module(&entry.path()));
        built.filter_map(|entry| entry.file_name().into_string().ok()).all(|file| {
            let place = fixed.map(str::to_owned).or_else(|| location(&file));
            let placed = at(place.as_deref().unwrap_or("/updates"), &file);
            match std::fs::symlink_metadata(&placed) {
                Ok(meta) => meta.file_type().is_symlink() || same_content(&dir.join(&file), &placed),
                Err(_) => USUAL.iter().any(|place| at(place, &file).exists()),
            }
        })
    }
}
