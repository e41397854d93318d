//! Which package has installed which file for a kernel, and which module files are there at all.
//!
//! Both are looked at once in a run, and told what the run changes, so that one more installation costs the same
//! however many modules there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::fs::look;
use crate::kernel::Listing;
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId, ModuleName};
use crate::model::record::InstalledFile;
use crate::model::system::{CellView, System};
use crate::tree::installed;
use crate::tree::layout::{Layout, ORIGINALS};
use crate::tree::{registry, state};

/// What is installed, for the kernels that somebody asked about.
#[derive(Debug)]
pub struct Holdings<'a> {
    layout: &'a Layout,
    kernels: Mutex<BTreeMap<(KernelRelease, Arch), Held>>,
    listings: Mutex<BTreeMap<KernelRelease, Listing>>,
    /// Modules that have a directory of files set aside.
    with_originals: Mutex<Option<BTreeSet<ModuleName>>>,
}

/// What is installed for one kernel.
#[derive(Debug, Default)]
struct Held {
    of: BTreeMap<ModuleName, (ModuleId, Vec<InstalledFile>)>,
    /// By the path that this process opens, whose records name it.
    at: HashMap<PathBuf, BTreeSet<ModuleName>>,
    /// Packages whose record could not be read.
    blind: BTreeSet<ModuleName>,
}

impl Held {
    fn add(&mut self, layout: &Layout, module: ModuleId, files: Vec<InstalledFile>) {
        self.drop(layout, &module.name);
        for file in &files {
            self.at.entry(layout.root.path(&file.path)).or_default().insert(module.name.clone());
        }
        self.of.insert(module.name.clone(), (module, files));
    }

    fn drop(&mut self, layout: &Layout, name: &ModuleName) {
        self.blind.remove(name);
        for file in self.of.remove(name).into_iter().flat_map(|(_, files)| files) {
            if let Some(names) = self.at.get_mut(&layout.root.path(&file.path)) {
                names.remove(name);
            }
        }
    }
}

/// What a panic of another thread left is still good: each change is one call.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Holdings<'a> {
    /// Nothing looked at yet.
    pub fn new(layout: &'a Layout) -> Self {
        Self {
            layout,
            kernels: Mutex::default(),
            listings: Mutex::default(),
            with_originals: Mutex::default(),
        }
    }

    /// Takes over what was observed, for kernels that nobody has asked about yet.
    pub fn learn(&self, system: &System) {
        let mut kernels = locked(&self.kernels);
        let known: BTreeSet<(KernelRelease, Arch)> = kernels.keys().cloned().collect();
        let mut last: Option<((KernelRelease, Arch), Held)> = None;
        let mut cells: Vec<(&Cell, &CellView)> = system.cells.iter().collect();
        cells.sort_by(|(a, _), (b, _)| (&a.kernel, &a.arch).cmp(&(&b.kernel, &b.arch)));
        for (cell, view) in cells {
            if last.as_ref().is_none_or(|((kernel, arch), _)| *kernel != cell.kernel || *arch != cell.arch) {
                kernels.extend(last.take());
                let key = (cell.kernel.clone(), cell.arch.clone());
                if !known.contains(&key) {
                    last = Some((key, Held::default()));
                }
            }
            let Some((_, held)) = last.as_mut().filter(|_| view.installed) else { continue };
            match (&view.record, &view.blind) {
                (Some(record), _) => held.add(self.layout, cell.module.clone(), record.installed.clone()),
                (None, Some(_)) => drop(held.blind.insert(cell.module.name.clone())),
                (None, None) => {}
            }
        }
        kernels.extend(last);
    }

    /// Somebody else may have changed anything: a script ran.
    pub fn forget(&self) {
        locked(&self.kernels).clear();
        locked(&self.listings).clear();
        *locked(&self.with_originals) = None;
    }

    /// A build has these files installed now.
    pub fn has_installed(&self, cell: &Cell, files: &[InstalledFile]) {
        if let Some(held) = locked(&self.kernels).get_mut(&(cell.kernel.clone(), cell.arch.clone())) {
            let same = held.of.get(&cell.module.name).is_none_or(|(module, _)| *module == cell.module);
            match files {
                // Another version may have the name by now.
                [] if same => held.drop(self.layout, &cell.module.name),
                [] => {}
                files => held.add(self.layout, cell.module.clone(), files.to_vec()),
            }
        }
    }

    /// A module file, given by the path that this process opens, came to a kernel.
    pub fn has_come(&self, kernel: &KernelRelease, file: &Path) {
        if let Some(listing) = locked(&self.listings).get_mut(kernel) {
            listing.add(file);
        }
    }

    /// Something was set aside for a module.
    pub fn has_set_aside(&self, name: &ModuleName) {
        if let Some(names) = locked(&self.with_originals).as_mut() {
            names.insert(name.clone());
        }
    }

    fn of<T>(&self, cell: &Cell, ask: impl FnOnce(&Held) -> T) -> T {
        let mut kernels = locked(&self.kernels);
        let key = (cell.kernel.clone(), cell.arch.clone());
        ask(kernels.entry(key).or_insert_with(|| look(self.layout, cell)))
    }

    /// What other packages than that of `cell` have installed at a path, given as this process opens it.
    pub fn claims(&self, cell: &Cell, path: &Path) -> Vec<(Cell, InstalledFile)> {
        let claim = |held: &Held, name: &ModuleName| {
            let (module, files) = held.of.get(name)?;
            let file = files.iter().find(|file| self.layout.root.path(&file.path) == path)?;
            Some((Cell { module: module.clone(), ..cell.clone() }, file.clone()))
        };
        self.of(cell, |held| {
            let names = held.at.get(path).into_iter().flatten().filter(|name| **name != cell.module.name);
            names.filter_map(|name| claim(held, name)).collect()
        })
    }

    /// True when what another package has installed cannot be read.
    pub fn others_are_blind(&self, cell: &Cell) -> bool {
        self.of(cell, |held| held.blind.iter().any(|name| *name != cell.module.name))
    }

    /// The package, other than that of `cell`, whose file is in its place at a path.
    pub fn owner(&self, cell: &Cell, path: &Path) -> Option<ModuleId> {
        let placed = |(other, file): &(Cell, InstalledFile)| {
            !file.is_planned()
                && installed::by_record(self.layout, other, std::slice::from_ref(file)).next().is_none()
        };
        self.claims(cell, path).into_iter().rfind(placed).map(|(other, _)| other.module)
    }

    /// See [`Listing::all`].
    pub fn all(&self, kernel: &KernelRelease, file: &str, destination: &str) -> Vec<PathBuf> {
        let mut listings = locked(&self.listings);
        let listing = listings.entry(kernel.clone()).or_insert_with(|| Listing::of(self.layout, kernel));
        listing.all(file, destination)
    }

    /// Modules for which something was set aside, for whatever kernel.
    pub fn with_originals(&self) -> BTreeSet<ModuleName> {
        let look = || {
            let names = look::read_dir(&self.layout.tree());
            let names = names.filter_map(|entry| entry.file_name().into_string().ok());
            let names = names.filter_map(|name| ModuleName::new(name).ok());
            names.filter(|name| self.layout.module(name).join(ORIGINALS).exists()).collect()
        };
        locked(&self.with_originals).get_or_insert_with(look).clone()
    }
}

/// What is installed for the kernel of a cell, from disk.
fn look(layout: &Layout, cell: &Cell) -> Held {
    let mut held = Held::default();
    for (module, _) in registry::registered(layout) {
        let other = Cell { module, ..cell.clone() };
        if !registry::is_installed(layout, &other) {
            continue;
        }
        match state::record(layout, &other) {
            Ok(Some(record)) => held.add(layout, other.module, record.installed),
            Ok(None) => {}
            Err(_) => drop(held.blind.insert(other.module.name)),
        }
    }
    held
}
