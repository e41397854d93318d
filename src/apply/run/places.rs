//! The build directories of a run.
//!
//! Builds of one module version for several kernels share `T/m/v/build`: each of them has to see that path. Where they
//! are made at the same time, each gets a directory of its own, which its commands see there and nobody else does
//! ([`crate::process::Process::seeing`]); `T/m/v/build` itself is an empty directory meanwhile, which nobody may remove
//! or rename. When the last of them has ended, it becomes what it would be after builds one after another: the
//! directory of the one that failed last, or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::apply::build::place::Place;
use crate::fs::copy::remove_tree;
use crate::model::ids::{Cell, ModuleId};
use crate::tree::layout::Layout;

/// Gives each build its directory.
pub(super) struct Places<'r> {
    layout: &'r Layout,
    /// Module versions of which several builds may be under way.
    shared: BTreeMap<&'r ModuleId, Shared>,
}

/// The builds of one of them.
#[derive(Debug, Default)]
struct Shared {
    under_way: usize,
    /// The directory of the one that failed last.
    failed: Option<PathBuf>,
}

impl<'r> Places<'r> {
    /// With those module versions of which several builds may be under way at the same time.
    pub(super) fn new(layout: &'r Layout, shared: BTreeSet<&'r ModuleId>) -> Self {
        let shared = shared.into_iter().map(|module| (module, Shared::default())).collect();
        Self { layout, shared }
    }

    /// The directory for a build that begins.
    ///
    /// # Errors
    /// When the directory that it covers cannot be made.
    pub(super) fn enter(&mut self, cell: &Cell) -> io::Result<Place> {
        let usual = Place::usual(self.layout, &cell.module);
        let Some(shared) = self.shared.get_mut(&cell.module) else { return Ok(usual) };
        if shared.under_way == 0 {
            // Of an earlier run.
            if shared.failed.is_none() {
                remove_tree(&usual.dir)?;
            }
            fs::create_dir_all(&usual.dir)?;
        }
        shared.under_way += 1;
        Ok(Place::own(self.layout, cell))
    }

    /// A build has ended, and is put in place or given up.
    ///
    /// # Errors
    /// When what is left of it cannot be put where it is looked for.
    pub(super) fn leave(&mut self, cell: &Cell, place: &Place) -> io::Result<()> {
        let Some(shared) = self.shared.get_mut(&cell.module).filter(|_| place.is_own()) else {
            return Ok(());
        };
        shared.under_way = shared.under_way.saturating_sub(1);
        // Of one that succeeded nothing is left.
        if place.dir.is_dir()
            && let Some(before) = shared.failed.replace(place.dir.clone()).filter(|dir| *dir != place.dir)
        {
            remove_tree(&before)?;
        }
        if shared.under_way > 0 {
            return Ok(());
        }
        remove_tree(&place.seen)?;
        match shared.failed.take() {
            Some(failed) => fs::rename(failed, &place.seen),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::fs::root::Root;
    use crate::model::ids::{Arch, KernelRelease};

    fn cell(kernel: &str) -> Cell {
        Cell {
            module: ModuleId::new("m", "1").unwrap(),
            kernel: KernelRelease::new(kernel).unwrap(),
            arch: Arch::new("x86_64").unwrap(),
        }
    }

    fn fail(place: &Place, text: &str) {
        fs::create_dir_all(&place.dir).unwrap();
        fs::write(place.dir.join("make.log"), text).unwrap();
    }

    fn entries(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn the_directory_that_failed_last_is_left_and_never_while_others_build() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let (one, two, three) = (cell("6.1"), cell("6.2"), cell("6.3"));
        let build = layout.build_dir(&one.module);
        fail(&Place::usual(&layout, &one.module), "of an earlier run");
        let mut places = Places::new(&layout, [&one.module].into());

        let (of_one, of_two) = (places.enter(&one).unwrap(), places.enter(&two).unwrap());
        assert_eq!((&of_one.seen, &of_two.seen), (&build, &build));
        assert_ne!(of_one.dir, of_two.dir);
        assert!(entries(&build).is_empty());
        fail(&of_one, "one");
        places.leave(&one, &of_one).unwrap();
        assert!(entries(&build).is_empty(), "a build under way has it covered");

        let of_three = places.enter(&three).unwrap();
        fail(&of_two, "two");
        places.leave(&two, &of_two).unwrap();
        // This one succeeds.
        places.leave(&three, &of_three).unwrap();
        assert_eq!(fs::read_to_string(build.join("make.log")).unwrap(), "two");
        assert_eq!(entries(&layout.version(&one.module)), ["build"]);

        let again = places.enter(&one).unwrap();
        places.leave(&one, &again).unwrap();
        assert!(entries(&layout.version(&one.module)).is_empty());
    }

    #[test]
    fn one_at_a_time_builds_where_dkms_does() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let cell = cell("6.1");
        let mut places = Places::new(&layout, BTreeSet::new());
        let place = places.enter(&cell).unwrap();
        assert_eq!(place, Place::usual(&layout, &cell.module));
        fail(&place, "it");
        places.leave(&cell, &place).unwrap();
        assert_eq!(entries(&layout.build_dir(&cell.module)), ["make.log"]);
    }
}
