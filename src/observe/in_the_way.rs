//! Module files of others that stand in the way of ours. depmod(8) takes one file of a name, and which one can
//! depend on the order in which it reads a directory: so all of them are set aside.

use std::path::{Path, PathBuf};

use crate::fs::same::same_content;
use crate::model::ids::{Cell, ModuleId};
use crate::model::indexed::Found;
use crate::model::record::InstalledFile;
use crate::observe::holdings::Holdings;
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
        Self { layout, cell, holdings, before, intended, manners }
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
        let cut_off = same_content(&layout.built_modules(self.cell).join(built), &place);
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
                true => cut_off || again || has(self.before, file),
                false => has(self.before, file) || has(self.intended, file),
            };
            let stays = match found {
                Some(Found::Another { by, kept }) if layout.root.path(by) == *file => {
                    kept.is_some() && !force
                }
                _ => again && file.starts_with(&kernels_own),
            };
            !ours && !stays
        };
        let there = self.holdings.all(&self.cell.kernel, built, &below(layout, self.cell, path)).into_iter();
        let there = there.map(|file| {
            let owner = self.holdings.owner(self.cell, &file);
            (file, owner)
        });
        // The first one goes wherever it is, as with DKMS. After it, a package's own files in `kernel` stay, for ours
        // come before them; if they do not, the index tells.
        let comes_after =
            |file: &Path| !again && file.starts_with(&kernels_own) && !place.starts_with(&kernels_own);
        let mut first = true;
        let mut goes = |file: &PathBuf, owner: Option<&ModuleId>| {
            gives_way(file, owner) && (std::mem::take(&mut first) || !comes_after(file))
        };
        there.filter(|(file, owner)| goes(file, owner.as_ref())).collect()
    }
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
