//! Which kernels have the essential modules.

use std::collections::{BTreeMap, BTreeSet};

use crate::elf::module_name;
use crate::fs::look::{self, mtime};
use crate::fs::regular;
use crate::kernel;
use crate::model::guard::{Asked, Guard, Look, Remembered};
use crate::model::ids::{KernelRelease, ModuleName};
use crate::model::system::Contents;
use crate::model::system::System;
use crate::observe::Observer;
use crate::tree::{notes, registry, state};

impl Observer<'_> {
    /// The essential modules, where the boot guard is on.
    pub fn essential(&self) -> Vec<ModuleName> {
        match *self.settings.boot_guard {
            true => self.settings.essential.iter().cloned().collect(),
            false => Vec::new(),
        }
    }

    /// What the boot guard has to know, with what was observed already; `all`: every kernel was. `None` where nothing is
    /// essential and there is nothing to undo: that is one look for a file.
    pub fn guard(&self, system: &System, all: bool) -> Option<Guard> {
        let essential = self.essential();
        let before = self.remembered(&essential)?;
        let installed: BTreeSet<(&ModuleName, &KernelRelease)> = system
            .cells
            .iter()
            .filter(|(_, view)| view.installed)
            .map(|(cell, _)| (&cell.module.name, &cell.kernel))
            .collect();
        let mut kernels: BTreeSet<KernelRelease> = system.kernels.keys().cloned().collect();
        if !all && !essential.is_empty() {
            kernels.extend(kernel::releases(self.layout, []));
        }
        let mut looks = BTreeMap::new();
        for release in kernels {
            let known = system.kernels.get(&release);
            let starts = match known {
                Some(known) => known.image && !known.note.removed,
                None => self.can_be_started(&release),
            };
            if starts {
                let has = |name: &ModuleName| match known {
                    Some(_) => installed.contains(&(name, &release)),
                    None => self.is_installed(name, &release),
                };
                let look = self.look(&essential, &release, has, &before);
                looks.insert(release, look);
            }
        }
        Some(Guard { kernels: looks, before, off: essential.is_empty() })
    }

    /// As [`Self::guard`], as it is on the disk now.
    pub fn guard_now(&self) -> Option<Guard> {
        let essential = self.essential();
        let before = self.remembered(&essential)?;
        let kernels = kernel::releases(self.layout, []).into_iter();
        let kernels = kernels.filter(|release| self.can_be_started(release)).map(|release| {
            let has = |name: &ModuleName| self.is_installed(name, &release);
            let look = self.look(&essential, &release, has, &before);
            (release, look)
        });
        Some(Guard { kernels: kernels.collect(), before, off: essential.is_empty() })
    }

    /// The essential modules that one kernel lacks.
    pub fn lacks(&self, release: &KernelRelease) -> Vec<ModuleName> {
        let has = |name: &ModuleName| self.is_installed(name, release);
        self.look(&self.essential(), release, has, &Remembered::default()).missing
    }

    /// What earlier runs remember. What nobody can read is as good as nothing: it is found out again.
    fn remembered(&self, essential: &[ModuleName]) -> Option<Remembered> {
        let seen = state::known(state::boot_guard(self.layout));
        if essential.is_empty() && seen.is_none() {
            return None;
        }
        Some(seen.unwrap_or_default())
    }

    fn can_be_started(&self, release: &KernelRelease) -> bool {
        kernel::image(self.layout, release).unwrap_or(false)
            && !notes::kernel_note(self.layout, release).removed
    }

    fn is_installed(&self, name: &ModuleName, release: &KernelRelease) -> bool {
        std::fs::symlink_metadata(self.layout.active_link(name, release, self.arch)).is_ok()
    }

    fn look(
        &self,
        essential: &[ModuleName],
        release: &KernelRelease,
        has: impl Fn(&ModuleName) -> bool,
        before: &Remembered,
    ) -> Look {
        let without: Vec<&ModuleName> = essential.iter().filter(|name| !has(name)).collect();
        if without.is_empty() {
            return Look::default();
        }
        let modules: Vec<String> = without.iter().map(|name| name.to_string()).collect();
        let index = kernel::index_file(self.layout, release);
        let indexed = look::metadata(&index).ok().flatten().map(|meta| mtime(&meta));
        let known = before.asked.get(release).filter(|asked| {
            // What a kernel has of its own stays.
            asked.modules == modules && (asked.missing.is_empty() || asked.indexed == indexed)
        });
        let asked = known.cloned().unwrap_or_else(|| {
            let own = self.own_modules(release);
            let missing = without.iter().filter(|name| !self.is_among(name, release, &own));
            Asked { missing: missing.map(ToString::to_string).collect(), modules, indexed }
        });
        let is_missing = |name: &ModuleName| asked.missing.iter().any(|missing| missing == name.as_str());
        let missing = without.into_iter().filter(|name| is_missing(name)).cloned().collect();
        Look { missing, asked: Some(asked) }
    }

    /// The modules that a kernel has, by its index and by the list of what is built in.
    fn own_modules(&self, release: &KernelRelease) -> BTreeSet<String> {
        let indexed = state::known(kernel::indexed_files(self.layout, release)).unwrap_or_default();
        let mut own: BTreeSet<String> = indexed.into_keys().map(|name| Contents::normal(&name)).collect();
        let builtin = self.layout.kernel(release).join("modules.builtin");
        let builtin = regular::read_up_to(&builtin, 1 << 24).unwrap_or_default();
        let files = String::from_utf8_lossy(&builtin).into_owned();
        let names = files.lines().filter_map(|line| line.rsplit('/').next());
        own.extend(names.map(|file| Contents::normal(&module_name(file))));
        own
    }

    /// Whether a kernel has all modules of a package among its own: some are in some kernels and not in others, and modules
    /// of another kernel may be linked for it.
    fn is_among(&self, name: &ModuleName, release: &KernelRelease, own: &BTreeSet<String>) -> bool {
        let versions = registry::versions(self.layout, name);
        if versions.is_empty() {
            return own.contains(&Contents::normal(name.as_str()));
        }
        versions.iter().any(|id| {
            let modules = self.modules_of(id, Some(release));
            !modules.is_empty() && modules.is_subset(own)
        })
    }
}
