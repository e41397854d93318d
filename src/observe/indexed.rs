//! Does the index of a kernel's modules name our files? modprobe(8) looks nowhere else.
//!
//! Another file of the same name beside ours (out of a backup, by an older tool, in another compression) may be
//! the one that depmod(8) takes. The index is read only when stat(2) says that it changed since it was found to
//! name our files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Observer;
use super::in_the_way::installed_by_others;
use super::installing::labels;
use crate::elf::module_name;
use crate::fs::look;
use crate::fs::stamp;
use crate::kernel::{self, index_file, indexed_files};
use crate::model::ids::{Cell, KernelRelease, ModuleId};
use crate::model::indexed::{Found, IndexLooks, Indexed};
use crate::model::inputs::Hasher;
use crate::model::record::{InstalledFile, Record};
use crate::model::system::{CellView, System};
use crate::model::version;
use crate::tree::layout::Layout;
use crate::tree::state;

/// Whether the index of a kernel can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is no kernel that it could be of.
    Nobodys,
    /// It is older than the modules.
    Due,
    /// It was made since they changed.
    Made,
}

/// The indexes of kernels, each read once.
pub struct Indexes<'a> {
    layout: &'a Layout,
    standings: BTreeMap<KernelRelease, Standing>,
    known: BTreeMap<KernelRelease, Option<(Arc<str>, IndexLooks)>>,
    read: BTreeMap<KernelRelease, Option<BTreeMap<String, PathBuf>>>,
}

impl<'a> Indexes<'a> {
    /// None read yet.
    pub fn new(layout: &'a Layout) -> Self {
        Self { layout, standings: BTreeMap::new(), known: BTreeMap::new(), read: BTreeMap::new() }
    }

    /// Whether the index of a kernel was made since its modules changed.
    pub fn standing(&mut self, kernel: &KernelRelease) -> Standing {
        let layout = self.layout;
        *self.standings.entry(kernel.clone()).or_insert_with(|| {
            if !kernel::image(layout, kernel).unwrap_or(false) {
                return Standing::Nobodys;
            }
            let note = state::note(layout, kernel).unwrap_or_default();
            // Whoever was to make it may have done so.
            let made = || std::fs::metadata(index_file(layout, kernel)).map_or(0, |meta| look::mtime(&meta));
            match note.depmod_due && note.depmod_left_at.is_none_or(|left| made() <= left) {
                true => Standing::Due,
                false => Standing::Made,
            }
        })
    }

    /// What the index says of a build that is installed with this record. `None` where that need not be looked at
    /// again, and where there is no index.
    pub fn look(&mut self, cell: &Cell, record: &Record) -> Option<Indexed> {
        if record.installed.is_empty() || record.installed.iter().any(InstalledFile::is_planned) {
            return None;
        }
        let (layout, kernel) = (self.layout, &cell.kernel);
        let look = || {
            let index = index_stat(layout, kernel)?;
            let looks = Some(state::index_looks(layout, kernel)).filter(|looks| looks.index == index);
            Some((Arc::from(index), looks.unwrap_or_default()))
        };
        let look = match self.known.get(kernel) {
            Some(known) => known,
            None => self.known.entry(kernel.clone()).or_insert_with(look),
        };
        let (stat, looks) = look.as_ref()?;
        let mut hash = Hasher::new();
        for file in &record.installed {
            hash.part(file.path.as_os_str().as_encoded_bytes());
        }
        let files = hash.finish();
        if looks.ours.contains(&files) {
            return None;
        }
        let known = looks.left_out.contains(&files);
        let read = || indexed_files(layout, kernel).ok().flatten();
        let index = self.read.entry(kernel.clone()).or_insert_with(read).as_ref()?;
        let found = record.installed.iter().map(|file| what_is_taken(layout, cell, index, record, file));
        let found = found.max_by_key(|found| match found {
            Found::Ours => 0,
            Found::Nothing { .. } => 1,
            Found::Another { .. } => 2,
        })?;
        Some(Indexed { index: Arc::clone(stat), files, known, found })
    }
}

/// Digest of what stat(2) says of the index of a kernel; `None` without one, and where it cannot be looked at.
pub fn index_stat(layout: &Layout, kernel: &KernelRelease) -> Option<String> {
    let index = index_file(layout, kernel);
    look::metadata(&index).ok().flatten()?;
    let mut hash = Hasher::new();
    stamp::stat(&mut hash, &index);
    Some(hash.finish())
}

/// What modprobe takes for one installed file.
fn what_is_taken(
    layout: &Layout,
    cell: &Cell,
    index: &BTreeMap<String, PathBuf>,
    record: &Record,
    ours: &InstalledFile,
) -> Found {
    let dir = layout.install_tree.join(&cell.kernel);
    let nothing = || Found::Nothing { file: ours.path.clone() };
    let Some(file) = ours.path.file_name().and_then(|name| name.to_str()) else { return Found::Ours };
    let Some(taken) = index.get(&module_name(file)) else { return nothing() };
    let by = dir.join(taken);
    let (theirs, mine) = (layout.root.path(&by), layout.root.path(&ours.path));
    // By whatever way: the same directory may have another name in the record.
    let same = || theirs.canonicalize().ok().is_some_and(|theirs| mine.canonicalize().ok() == Some(theirs));
    // One package may have two modules of one name.
    let sibling = record.installed.iter().any(|file| file.path == by);
    if sibling || same() {
        return Found::Ours;
    }
    let kept = match look::symlink_metadata(&theirs) {
        Ok(None) => return nothing(),
        Ok(Some(_)) => why_it_stays(layout, cell, ours, taken, &by),
        Err(blind) => Some(format!("it cannot be looked at: {}", blind.cause)),
    };
    Found::Another { by, kept }
}

/// Why a file that modprobe takes instead of ours is not set aside.
fn why_it_stays(
    layout: &Layout,
    cell: &Cell,
    ours: &InstalledFile,
    taken: &Path,
    by: &Path,
) -> Option<String> {
    if taken.is_absolute() {
        return Some("it is outside of the kernel's directory".to_owned());
    }
    if taken.starts_with("weak-updates") {
        return Some("it is linked from another kernel".to_owned());
    }
    if let Some(other) = owner(layout, cell, by) {
        return Some(format!("it is that of {other}, and only one of them can be used"));
    }
    let built = labels(&layout.built_modules(cell).join(&ours.built))?;
    let theirs = labels(&layout.root.path(by))?;
    let newer = version::compare(&theirs.version, &built.version).is_gt();
    newer.then(|| {
        let ours = if built.version.is_empty() { "none" } else { &built.version };
        format!("it has version {}, newer than {ours}", theirs.version)
    })
}

/// The package, other than that of a cell, that has installed a file, given by its path inside the root.
pub fn owner(layout: &Layout, cell: &Cell, file: &Path) -> Option<ModuleId> {
    let others = installed_by_others(layout, cell).into_iter();
    let mut holders = others.filter(|(_, files)| files.iter().any(|installed| installed.path == file));
    holders.next().map(|(other, _)| other.module)
}

impl Observer<'_> {
    /// Looks into the indexes of kernels for what is installed. A build whose module is not the one that modprobe
    /// takes is not intact.
    pub(super) fn look_into_indexes(&self, system: &mut System) {
        let found = self.look_into_indexes_for(system, system.cells.iter());
        for (cell, found) in found {
            if let Some(view) = system.cells.get_mut(&cell) {
                view.intact = !matches!(found.found, Found::Another { kept: None, .. });
            }
            system.indexed.insert(cell, found);
        }
    }

    /// What the indexes of the kernels of a system say of these cells.
    pub(super) fn look_into_indexes_for<'v>(
        &self,
        system: &System,
        views: impl Iterator<Item = (&'v Cell, &'v CellView)>,
    ) -> Vec<(Cell, Indexed)> {
        let mut indexes = Indexes::new(self.layout);
        let mut out = Vec::new();
        if system.without_index.is_some() {
            return out;
        }
        for (cell, view) in views {
            let Some(kernel) = system.kernels.get(&cell.kernel) else { continue };
            // A new one is made before anybody can say what is in it.
            let made = kernel.image && kernel.indexed && !kernel.note.depmod_due && kernel.blind.is_none();
            // Of one that was set aside for another package, everybody knows that it is not found.
            let made = made && !system.held.contains_key(cell);
            let looks = made && view.installed && view.intact && view.blind.is_none();
            let Some(record) = view.record.as_ref().filter(|_| looks) else { continue };
            out.extend(indexes.look(cell, record).map(|found| (cell.clone(), found)));
        }
        out
    }
}
