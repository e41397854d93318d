//! How builds stand to the headers that are there: vermagic, and the CRCs of what they import; of kernels without
//! CRCs, what they use (`uses.rs`).

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Observer;
use super::stat::Once;
use crate::elf;
use crate::kernel::{KernelConfig, Symvers, contradiction};
use crate::model::fit::{Compared, Fit, Misfit, Rebuild};
use crate::model::ids::{Cell, KernelRelease};
use crate::model::record::Record;
use crate::model::system::{CellView, Now, System};
use crate::tree::installed;
use crate::tree::registry;

/// A built file whose inode changed this much later than its content, in nanoseconds, is a copy: of such a
/// tree, the times of inodes say nothing.
const COPIED: i128 = 60_000_000_000;

impl Observer<'_> {
    /// Looks at a build where it counts ([`CellView::fit`] says where that is).
    pub(super) fn fit(&self, system: &System, once: &Once<'_>, cell: &Cell, view: &CellView) -> Option<Fit> {
        let Now::Judged { inputs, .. } = &view.now else { return None };
        match &view.record {
            _ if !view.built => None,
            None if !view.vermagic_matches => None,
            None => Some(self.fit_of_unrecorded(system, once, cell, view)),
            Some(Record { kept: Some(kept), .. }) if kept.headers == inputs.headers => {
                Some(Fit::Fits(kept.compared))
            }
            Some(_) if !view.installed && self.asked.is_none_or(|asked| *asked.module != cell.module) => None,
            // The build is known to fail: skip the symbol comparison, or every hook would read the module.
            Some(_)
                if *self.settings.rebuild == Rebuild::Inputs
                    && view.verdict.as_ref().is_some_and(|v| v.failure.is_some()) =>
            {
                None
            }
            Some(record) if inputs.only_headers_changed(&record.inputs) => {
                Some(self.fit_of_modules(system, once, cell, true))
            }
            Some(_) => None,
        }
    }

    /// Where the administrator wants builds kept that fit, and of one nobody can say: whether its kernel has no
    /// symbol versions at all.
    pub(super) fn look_for_versions(&self, system: &mut System) {
        if system.rebuild != Rebuild::Abi {
            return;
        }
        let unknown = system.cells.iter().filter(|(_, view)| view.fit == Some(Fit::Unknown));
        let kernels: BTreeSet<KernelRelease> = unknown.map(|(cell, _)| cell.kernel.clone()).collect();
        for kernel in kernels {
            let config = {
                let (headers, file) = self.kernel_source(&kernel);
                KernelConfig::of(&file, &headers)
            };
            let unversioned = config.is_ok_and(|config| !config.is_set("CONFIG_MODVERSIONS"));
            if let Some(known) = system.kernels.get_mut(&kernel) {
                known.unversioned = unversioned;
            }
        }
    }

    fn fit_of_unrecorded(&self, system: &System, once: &Once<'_>, cell: &Cell, view: &CellView) -> Fit {
        // One out of an archive came with its source.
        if !view.is_loaded()
            && let Some(file) = self.newer_source(cell)
        {
            return Fit::Not(Misfit::SourceIsNewer { file });
        }
        self.fit_of_modules(system, once, cell, false)
    }

    /// `ours`: it may be written down what the build uses.
    fn fit_of_modules(&self, system: &System, once: &Once<'_>, cell: &Cell, ours: bool) -> Fit {
        let (headers, config_file) = self.kernel_source(&cell.kernel);
        let Ok(config) = KernelConfig::of(&config_file, &headers) else { return Fit::Unknown };
        let versions = config.is_set("CONFIG_MODVERSIONS");
        let shared = || self.symbols(system, &headers, &cell.kernel);
        let shared = match &self.overrides.kernel_source_dir {
            Some(_) => shared(),
            None => once.kernels[&cell.kernel].symbols.get_or_init(shared).clone(),
        };
        let mut own = self.exported_by(cell);
        let (mut changed, mut imported) = (Vec::new(), BTreeSet::new());
        let mut unknown = shared.is_none();
        own.extend(shared.unwrap_or_default());
        for path in self.module_files(cell) {
            let Ok(imports) = elf::imports(&path) else {
                unknown = true;
                continue;
            };
            if let Some(misfit) = contradiction(&imports.vermagic, &config, &headers) {
                return Fit::Not(misfit);
            }
            if versions && imports.versions.is_none() {
                let module = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                return Fit::Not(Misfit::Unversioned { module });
            }
            changed.extend(own.changes(&imports));
            imported.extend(imports.versions.into_iter().flatten().map(|(name, _)| name));
        }
        match Misfit::of_symbols(changed) {
            _ if unknown => Fit::Unknown,
            Some(misfit) => Fit::Not(misfit),
            None if versions => Fit::Fits(Compared { symbols: imported.len(), types: None }),
            None if ours => self.fit_of_uses(cell, &headers, &config_file),
            None => self.fit_of_names(cell, &headers),
        }
    }

    /// What headers say that their kernel exports, with our modules that are installed for it: those stand
    /// before modules of the kernel. `None` when the headers do not say.
    fn symbols(&self, system: &System, headers: &Path, kernel: &KernelRelease) -> Option<Symvers> {
        let of_kernel = Symvers::read(&headers.join("Module.symvers")).ok()?;
        let mut symbols = Symvers::default();
        for id in system.modules.keys() {
            let cell = Cell { module: id.clone(), kernel: kernel.clone(), arch: self.arch.clone() };
            if registry::is_installed(self.layout, &cell) {
                symbols.extend(self.exported_by(&cell));
            }
        }
        symbols.extend(of_kernel);
        Some(symbols)
    }

    /// What the modules of a build export, for each other and for others.
    fn exported_by(&self, cell: &Cell) -> Symvers {
        Symvers::read(&self.layout.built_modules(cell).join("Module.symvers")).unwrap_or_default()
    }

    pub(super) fn module_files(&self, cell: &Cell) -> Vec<PathBuf> {
        let dir = self.layout.built_modules(cell);
        installed::built_files(self.layout, cell).into_iter().map(|name| dir.join(name)).collect()
    }

    /// A file of the source that was put there after the build; below the source. Its inode tells: packages
    /// bring files with the times that they had when the package was made.
    fn newer_source(&self, cell: &Cell) -> Option<PathBuf> {
        let time = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let content = |meta: &std::fs::Metadata| time(meta.mtime(), meta.mtime_nsec());
        let inode = |meta: &std::fs::Metadata| time(meta.ctime(), meta.ctime_nsec());
        let built = self.module_files(cell).into_iter().filter_map(|path| std::fs::metadata(path).ok());
        let built = built.max_by_key(inode)?;
        let copied = inode(&built) - content(&built) > COPIED;
        let since = if copied { content(&built) } else { inode(&built) };
        let dir = self.source_dir(&cell.module);
        let files = walkdir::WalkDir::new(&dir).sort_by_file_name().into_iter();
        let mut files = files.filter_entry(|entry| entry.file_name() != ".git").flatten();
        let newer = files.find(|entry| {
            let after =
                |meta: std::fs::Metadata| (if copied { content(&meta) } else { inode(&meta) }) > since;
            entry.file_type().is_file() && entry.metadata().is_ok_and(after)
        });
        newer.and_then(|entry| entry.path().strip_prefix(&dir).ok().map(Path::to_path_buf))
    }
}
