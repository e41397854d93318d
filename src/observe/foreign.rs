//! Whether what is installed of a build by somebody else is that build.

use super::{Observer, Strictness};
use crate::elf::module_stem;
use crate::model::ids::Cell;
use crate::tree::installed;

impl Observer<'_> {
    /// True when every module of a build without a record is installed as it was built. DKMS may have
    /// built it again since, or somebody took the files away.
    pub(super) fn is_installed_whole(&self, cell: &Cell) -> bool {
        let fixed = self.distribution.fixed_destination();
        let conf = || self.conf(cell, &self.context(cell), Strictness::Other).ok();
        let conf = if fixed.is_none() { conf() } else { None };
        let location = |file: &str| {
            let mut records = conf.iter().flat_map(|conf| &conf.records);
            let named = records.find(|record| module_stem(file) == Some(&record.dest_name));
            named.map(|record| record.dest_location.clone())
        };
        let place = |file: &str| fixed.map(str::to_owned).or_else(|| location(file));
        installed::by_place(self.layout, cell, place).next().is_none()
    }
}
