//! Module files of others that stand in the way of ours. depmod(8) takes one file of a name, and which one can
//! depend on the order in which it reads a directory: so these are set aside. Those that it takes ours before in any
//! case (ours are in `updates`, and the kernel's own are not) stay where their package put them.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use crate::depmod::{Config, directories};
use crate::fs::same::same_content;
use crate::kernel::depmod_base;
use crate::model::ids::{Cell, ModuleId};
use crate::model::indexed::Found;
use crate::model::record::InstalledFile;
use crate::observe::holdings::Holdings;
use crate::process::find_program;
use crate::tree::installed;
use crate::tree::layout::Layout;
use crate::tree::registry;
use crate::tree::state;

/// How an installation treats what is there already.
#[derive(Debug, Clone, Copy)]
pub struct Manners<'a> {
    /// A version of the module is installed: what the kernel's package brought was set aside then, and what it
    /// brought since does no harm, unless the index names it.
    pub again: bool,
    /// What modprobe(8) takes now, where one of ours is installed.
    pub found: Option<&'a Found>,
    /// The build of another package that has the name of ours.
    pub held_by: Option<&'a Cell>,
    /// Whatever is there gives way.
    pub force: bool,
}

/// The module files of a kernel, as one installation meets them.
pub struct InTheWay<'a> {
    layout: &'a Layout,
    cell: &'a Cell,
    /// What other packages have installed, and the files that are there.
    holdings: &'a Holdings<'a>,
    /// What of this module is there already, and what is about to be.
    before: &'a [InstalledFile],
    intended: &'a [InstalledFile],
    manners: Manners<'a>,
    /// What depmod goes by; nothing where that cannot be told.
    order: OnceCell<Option<Config>>,
}

impl<'a> InTheWay<'a> {
    /// As the installation of `cell` meets them.
    pub fn new(
        layout: &'a Layout,
        cell: &'a Cell,
        holdings: &'a Holdings<'a>,
        before: &'a [InstalledFile],
        intended: &'a [InstalledFile],
        manners: Manners<'a>,
    ) -> Self {
        Self { layout, cell, holdings, before, intended, manners, order: OnceCell::new() }
    }

    /// True when a version of the module is installed.
    pub fn is_again(&self) -> bool {
        self.manners.again
    }

    /// The files to be set aside before a built file is installed at `path`, inside the root, and the package that
    /// each of them is of.
    pub fn of(&self, built: &str, path: &Path) -> Vec<(PathBuf, Option<ModuleId>)> {
        let layout = self.layout;
        let place = layout.root.path(path);
        // What an install that was cut off left at our very place is no original.
        let cut_off = || {
            let mut known = self.before.iter().filter(|known| layout.root.path(&known.path) == place);
            installed::is_the_built_one(&layout.built_modules(self.cell).join(built), &place)
                || known.any(|known| installed::is_still_ours(layout, self.cell, known))
        };
        let kernels_own = layout.kernel(&self.cell.kernel).join("kernel");
        let Manners { again, found, held_by, force } = self.manners;
        let has = |files: &[InstalledFile], file: &PathBuf| {
            files.iter().any(|known| layout.root.path(&known.path) == *file)
        };
        let gives_way = |file: &PathBuf, owner: Option<&ModuleId>| {
            if let Some(owner) = owner {
                return !again || force || held_by.is_some_and(|holder| holder.module == *owner);
            }
            // A package may have two modules that are one to the kernel; each is looked at in its turn.
            let ours = match *file == place {
                true => again || cut_off(),
                false => has(self.before, file) || has(self.intended, file),
            };
            let stays = match found {
                Some(Found::Another { by, kept }) if layout.root.path(by) == *file => {
                    kept.is_some() && !force
                }
                _ if file.starts_with(&kernels_own) => again || self.comes_after(file, &place),
                // Where an older rule or an older tool put ours.
                _ => self.comes_after(file, &place) && !(again && self.is_a_copy(built, file)),
            };
            !ours && !stays
        };
        self.all(built, path).filter(|(file, owner)| gives_way(file, owner.as_ref())).collect()
    }

    /// A file that stays although it has the name of a built one that is installed at `path`, inside the root: depmod
    /// takes ours. Inside the root, too.
    pub fn left_in_place(&self, built: &str, path: &Path) -> Option<PathBuf> {
        let place = self.layout.root.path(path);
        let mut there = self.all(built, path).filter(|(_, owner)| owner.is_none());
        let (file, _) =
            there.find(|(file, _)| self.comes_after(file, &place) && !self.is_a_copy(built, file))?;
        Some(self.layout.shown(&file))
    }

    fn is_a_copy(&self, built: &str, file: &Path) -> bool {
        same_content(&self.layout.built_modules(self.cell).join(built), file)
    }

    /// The files of this name, and the package that each of them is of.
    fn all(&self, built: &str, path: &Path) -> impl Iterator<Item = (PathBuf, Option<ModuleId>)> {
        let there = self.holdings.all(&self.cell.kernel, built, &below(self.layout, self.cell, path));
        there.into_iter().map(|file| {
            let owner = self.holdings.owner(self.cell, &file);
            (file, owner)
        })
    }

    /// Whether depmod takes a file at `place` and not this one, in whatever order it reads them.
    fn comes_after(&self, file: &Path, place: &Path) -> bool {
        let dir = self.layout.kernel(&self.cell.kernel);
        let (Ok(file), Ok(place)) = (file.strip_prefix(&dir), place.strip_prefix(&dir)) else { return false };
        let order = self.order.get_or_init(|| order(self.layout, self.cell));
        order.as_ref().is_some_and(|order| order.prefers(place, file))
    }
}

/// What depmod goes by. The one of busybox goes by nothing but what it reads first.
fn order(layout: &Layout, cell: &Cell) -> Option<Config> {
    let program = find_program("depmod")?.canonicalize().ok()?;
    if program.file_name()?.as_encoded_bytes().starts_with(b"busybox") {
        return None;
    }
    let base = depmod_base(layout).ok()?;
    let dirs = directories(base.as_deref().unwrap_or(Path::new("/"))).ok()?;
    Config::read(&dirs, cell.kernel.as_str()).ok()
}

/// What other packages have installed for the kernel of a cell.
pub fn installed_by_others(layout: &Layout, cell: &Cell) -> Vec<(Cell, Vec<InstalledFile>)> {
    let others = registry::registered(layout).into_iter().map(|(module, _)| Cell { module, ..cell.clone() });
    let others = others.filter(|other| other.module.name != cell.module.name);
    let others = others.filter(|other| registry::is_installed(layout, other));
    let with_files = |other: Cell| {
        let record = state::known(state::record(layout, &other))?;
        Some((other, record.installed))
    };
    others.filter_map(with_files).collect()
}

/// Whether the file that a build has installed is in its place.
pub fn is_placed(layout: &Layout, cell: &Cell, file: &InstalledFile) -> bool {
    !file.is_planned() && installed::by_record(layout, cell, std::slice::from_ref(file)).next().is_none()
}

/// The directory of a file of a kernel, below that of the kernel.
pub(super) fn below(layout: &Layout, cell: &Cell, path: &Path) -> String {
    let kernel = layout.install_tree.join(&cell.kernel);
    let dir = path.parent().and_then(|dir| dir.strip_prefix(kernel).ok());
    dir.map(|dir| dir.to_string_lossy().into_owned()).unwrap_or_default()
}
