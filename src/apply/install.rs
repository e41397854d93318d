//! From `B/module` to `/lib/modules/K`, and back.

use std::path::{Path, PathBuf};

use crate::apply::original;
use crate::conf::model::Conf;
use crate::elf::module_stem;
use crate::fs::atomic;
use crate::fs::look;
use crate::fs::look::mtime;
use crate::fs::same::same_content;
use crate::kernel::Listing;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::Cell;
use crate::model::record::{InstalledFile, Record};
use crate::model::rival::Rival;
use crate::observe::distribution::{Distribution, Family};
use crate::observe::installing::{below, built_mtime, derive_installed, destination, labels};
use crate::process::{Output, Process, QUERY_LIMIT};
use crate::progress::Report;
use crate::tree::installed::built_files;
use crate::tree::layout::Layout;
use crate::tree::notes;
use crate::tree::registry;
use crate::tree::state;

/// How to install.
#[derive(Clone, Copy)]
pub struct Installer<'a> {
    /// Where things are.
    pub layout: &'a Layout,
    /// The distribution's destination.
    pub distribution: &'a Distribution,
    /// Links into the tree instead of copies.
    pub symlink_modules: bool,
    /// Modules of the kernel that are kept where they are not older than those of the build.
    pub rivals: &'a [Rival],
    /// Whether the initramfs must be made again whatever it holds (a kernel event).
    pub kernel_event: bool,
    /// A kernel that is not on disk is gone: what was set aside for it goes, too.
    pub gone: bool,
    /// Where findings go.
    pub report: &'a dyn Report,
}

impl Installer<'_> {
    fn target(&self, cell: &Cell, file: &str, conf: Option<&Conf>) -> PathBuf {
        destination(self.layout, self.distribution, &cell.kernel, file, conf)
    }

    /// Where the files of a cell are, or would be, below `/lib/modules/K`; paths inside the root.
    pub fn installed_paths(&self, cell: &Cell, conf: Option<&Conf>) -> Vec<PathBuf> {
        match state::known(state::record(self.layout, cell)) {
            Some(record) if !record.installed.is_empty() => {
                record.installed.into_iter().map(|file| file.path).collect()
            }
            _ => built_files(self.layout, cell).iter().map(|file| self.target(cell, file, conf)).collect(),
        }
    }

    /// Installs a build. What an earlier install of this module put there and this one does not is
    /// removed.
    ///
    /// # Errors
    /// When the kernel's directory is missing, a file cannot be copied, or every file was refused
    /// because the kernel has a newer one.
    pub fn install(&self, cell: &Cell, conf: Option<&Conf>) -> Result<()> {
        let layout = self.layout;
        let kernel_dir = layout.kernel(&cell.kernel);
        if !look::is_dir(&kernel_dir)? {
            let text = format!("{} does not exist", layout.shown(&kernel_dir).display());
            return Err(Error::new(Kind::NotInstallable, text)
                .hint(format!("install kernel {} first, or check the release", cell.kernel)));
        }
        let active = registry::active(layout, &cell.module.name, &cell.kernel, &cell.arch);
        let before = self.recorded_of_active(cell, active.as_ref());
        let files = built_files(self.layout, cell);
        if let Some(missing) = conf.and_then(|c| missing_record(c, &files)) {
            let text = format!("{missing}.ko is missing from the build of {cell}");
            return Err(Error::new(Kind::NotInstallable, text)
                .hint(format!("rebuild it with `dkms build {} -k {} --force`", cell.module, cell.kernel)));
        }
        let files = self.without_kept(cell, files)?;
        // A version of ours that is there has set aside whatever was to be.
        let listing = active.is_none().then(|| Listing::of(layout, &cell.kernel));
        self.announce(cell, files.iter().map(String::as_str).chain(before.iter().map(|f| f.built.as_str())))?;
        // What is about to be put there is ours from now on, also if this run ends before the link
        // says so.
        let planned = files.iter().map(|file| InstalledFile::planned(self.target(cell, file, conf), file));
        let mut intended = before.clone();
        intended.extend(planned.filter(|p| !before.iter().any(|b| b.path == p.path)));
        self.save_installed(cell, intended)?;
        let mut installed = Vec::new();
        for file in &files {
            let path = self.target(cell, file, conf);
            installed.push(self.install_file(cell, listing.as_ref(), file, &path, &before)?);
        }
        for old in before.iter().filter(|old| !installed.iter().any(|new| new.path == old.path)) {
            atomic::delete(&layout.root.path(&old.path))?;
        }
        self.save_installed(cell, installed)?;
        let link = layout.active_link(&cell.module.name, &cell.kernel, &cell.arch);
        let target = Path::new(cell.module.version.as_str()).join(&cell.kernel).join(&cell.arch);
        atomic::symlink(&target, &link)?;
        if let Some(other) = active.filter(|v| *v != cell.module.version) {
            let mut old = cell.clone();
            old.module.version = other;
            self.save_installed(&old, Vec::new())?;
        }
        Ok(())
    }

    fn announce<'f>(&self, cell: &Cell, files: impl Iterator<Item = &'f str>) -> Result<()> {
        let names: Vec<&str> = files.map(|f| module_stem(f).unwrap_or(f)).collect();
        notes::modules_change(self.layout, &cell.kernel, &names, self.kernel_event)
    }

    /// The files that are to be installed, without those that the kernel's own are kept for.
    ///
    /// # Errors
    /// When that leaves none: before anything is changed or announced.
    fn without_kept(&self, cell: &Cell, files: Vec<String>) -> Result<Vec<String>> {
        let mut last = None;
        let mut chosen = Vec::new();
        for file in files {
            match self.kept(cell, &file) {
                Some(why) => {
                    if let Some(why) = last.replace(why) {
                        self.report.warning(&why);
                    }
                }
                None => chosen.push(file),
            }
        }
        match last {
            Some(why) if chosen.is_empty() => {
                self.write_refusal(cell, &why)?;
                Err(Error::new(Kind::InstallRefused, format!("no module of {cell} was installed: {why}"))
                    .hint("use --force to install it anyway"))
            }
            Some(why) => {
                self.report.warning(&why);
                Ok(chosen)
            }
            None => Ok(chosen),
        }
    }

    /// Why a module of the kernel is kept, and the one of the build not installed.
    fn kept(&self, cell: &Cell, file: &str) -> Option<String> {
        let stem = module_stem(file).unwrap_or(file);
        let rival = self.rivals.iter().find(|rival| rival.module == stem)?;
        rival.beats(&labels(&self.layout.built_modules(cell).join(file))?)
    }

    /// The module that is there instead, to be set aside. A file of ours at its very place is what an
    /// install that was cut off left behind, not an original.
    fn in_the_way(
        &self,
        cell: &Cell,
        listing: &Listing,
        file: &str,
        path: &Path,
        before: &[InstalledFile],
    ) -> Option<PathBuf> {
        let layout = self.layout;
        let built = layout.built_modules(cell).join(file);
        let real = layout.root.path(path);
        let ours = before.iter().any(|f| f.path == path) || same_content(&built, &real);
        let stem = module_stem(file).unwrap_or(file);
        listing.find(stem, &below(layout, cell, path), ours.then_some(&real))
    }

    /// What this module has below `/lib/modules/K`: the active version's files; without one, those
    /// that a cut-off install of this cell left.
    fn recorded_of_active(
        &self,
        cell: &Cell,
        active: Option<&crate::model::ids::Version>,
    ) -> Vec<InstalledFile> {
        let Some(version) = active else {
            let record = state::known(state::record(self.layout, cell));
            return record.map(|r| r.installed).unwrap_or_default();
        };
        let mut owner = cell.clone();
        owner.module.version = version.clone();
        match state::known(state::record(self.layout, &owner)) {
            Some(record) if !record.installed.is_empty() => record.installed,
            _ => derive_installed(self.layout, self.distribution, &owner, None),
        }
    }

    fn install_file(
        &self,
        cell: &Cell,
        listing: Option<&Listing>,
        file: &str,
        path: &Path,
        before: &[InstalledFile],
    ) -> Result<InstalledFile> {
        let layout = self.layout;
        let built = layout.built_modules(cell).join(file);
        let real = layout.root.path(path);
        let mut archived = before.iter().find(|f| f.path == path).and_then(|f| f.original.clone());
        let there = listing.and_then(|listing| self.in_the_way(cell, listing, file, path, before));
        if let Some(there) = there {
            original::archive(layout, cell, &there)?;
            archived = Some(layout.shown(&there));
        }
        self.report.line(&format!("Installing {}", path.display()));
        if self.symlink_modules {
            atomic::symlink(&layout.shown(&built), &real)?;
        } else {
            atomic::install(&built, &real)?;
        }
        let meta = std::fs::symlink_metadata(&real).map_err(|e| Error::io("read", &real, &e))?;
        Ok(InstalledFile {
            path: path.to_path_buf(),
            built: file.to_owned(),
            size: meta.len(),
            mtime: mtime(&meta),
            built_mtime: built_mtime(self.layout, cell, file),
            original: archived,
        })
    }

    /// Brings the present content of a build to the files that were installed from it. Nothing else
    /// about them changes: no index need be made anew.
    ///
    /// # Errors
    /// When a file cannot be written; the next run sees that it is not that of the build.
    pub fn renew(&self, cell: &Cell) -> Result<()> {
        let Some(record) = state::record(self.layout, cell)? else { return Ok(()) };
        let mut files = record.installed;
        let names: Vec<&str> = files.iter().map(|f| module_stem(&f.built).unwrap_or(&f.built)).collect();
        notes::initramfs_lags(self.layout, &cell.kernel, &names, self.kernel_event)?;
        for file in &mut files {
            let real = self.layout.root.path(&file.path);
            let link = std::fs::symlink_metadata(&real).is_ok_and(|m| m.file_type().is_symlink());
            if !link {
                self.report.line(&format!("Installing {}", file.path.display()));
                atomic::install(&self.layout.built_modules(cell).join(&file.built), &real)?;
            }
            let meta = std::fs::symlink_metadata(&real).map_err(|e| Error::io("read", &real, &e))?;
            (file.size, file.mtime) = (meta.len(), mtime(&meta));
            file.built_mtime = built_mtime(self.layout, cell, &file.built);
        }
        self.save_installed(cell, files)
    }

    /// True when another package installed a file of the same name over ours since.
    fn claimed_by_another(&self, cell: &Cell, file: &InstalledFile) -> bool {
        let mut others = registry::registered(self.layout).into_iter().map(|(id, _)| id);
        others.any(|id| {
            let other = Cell { module: id, ..cell.clone() };
            other.module.name != cell.module.name
                && registry::is_installed(self.layout, &other)
                && match state::record(self.layout, &other) {
                    Ok(record) => record.is_some_and(|r| r.installed.iter().any(|f| f.path == file.path)),
                    // It may be one of these: it stays.
                    Err(_) => true,
                }
        })
    }

    fn save_installed(&self, cell: &Cell, installed: Vec<InstalledFile>) -> Result<()> {
        self.change_record(cell, |record| {
            record.installed = installed;
            record.refused = None;
        })
    }

    /// Writes down why nothing of a build is installed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_refusal(&self, cell: &Cell, why: &str) -> Result<()> {
        self.change_record(cell, |record| record.refused = Some(why.to_owned()))
    }

    /// A build that DKMS made and nobody took over has no record, and needs none.
    fn change_record(&self, cell: &Cell, change: impl FnOnce(&mut Record)) -> Result<()> {
        match state::record(self.layout, cell) {
            Ok(Some(mut record)) => {
                change(&mut record);
                state::save_record(self.layout, cell, &record)
            }
            Ok(None) => Ok(()),
            // It stays as it is: whoever had this done asked for it by name.
            Err(blind) if blind.is_damaged() => Ok(()),
            Err(blind) => Err(blind.into()),
        }
    }

    /// Removes what an install that was cut off before the link was set left below
    /// `/lib/modules/K`, unless a version of the module is installed, whose files they may be.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn clear_unfinished(&self, cell: &Cell) -> Result<()> {
        if registry::active(self.layout, &cell.module.name, &cell.kernel, &cell.arch).is_some()
            || self.recorded_of_active(cell, None).is_empty()
        {
            return Ok(());
        }
        self.uninstall(cell, None)
    }

    /// Removes what install put below `/lib/modules/K`, as recorded then, and puts originals back. The
    /// conf says only where an original goes that was set aside without a note of its place.
    ///
    /// # Errors
    /// When a file cannot be removed; the module then still counts as installed.
    pub fn uninstall(&self, cell: &Cell, conf: Option<&Conf>) -> Result<()> {
        let layout = self.layout;
        let active = registry::active(layout, &cell.module.name, &cell.kernel, &cell.arch);
        let files = self.recorded_of_active(cell, active.as_ref().map(|_| &cell.module.version));
        self.announce(cell, files.iter().map(|f| f.built.as_str()))?;
        let kernel_dir = layout.kernel(&cell.kernel);
        for file in files {
            let real = layout.root.path(&file.path);
            if !real.starts_with(&kernel_dir) || self.claimed_by_another(cell, &file) {
                continue;
            }
            if atomic::delete(&real)? {
                self.report.line(&format!("Deleting {}", file.path.display()));
            }
            self.prune(real.parent(), &kernel_dir);
        }
        let place = |stem: &str| {
            let record = conf?.records.iter().find(|record| record.dest_name == stem)?;
            Some(PathBuf::from(record.dest_location.trim_matches('/')))
        };
        for path in original::restore(layout, cell, &place, self.gone)? {
            self.report.line(&format!("Restoring {}", layout.shown(&path).display()));
        }
        atomic::delete(&layout.active_link(&cell.module.name, &cell.kernel, &cell.arch))?;
        self.save_installed(cell, Vec::new())
    }
}

impl Installer<'_> {
    /// Removes empty directories upwards. Where packages own directories below `/lib/modules/K`
    /// (`extra`, `updates`), those stay.
    fn prune(&self, dir: Option<&Path>, stop: &Path) {
        let layout = self.layout;
        let owned = |dir: &Path| {
            let mut rpm = Process::new("rpm").limit(QUERY_LIMIT);
            if !layout.root.is_slash() {
                rpm = rpm.arg("--root").arg(layout.root.dir());
            }
            rpm.arg("-qf").arg(layout.shown(dir)).run(Output::Null).is_ok_and(|status| status == 0)
        };
        let packaged = matches!(self.distribution.family, Family::Fedora | Family::Suse);
        let mut stop = stop.to_path_buf();
        if packaged {
            let empty = |dir: &Path| std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
            let first = dir.into_iter().flat_map(Path::ancestors).find(|d| d.parent() == Some(&stop));
            if let Some(first) = first
                && (dir != Some(first) || empty(first))
                && owned(first)
            {
                stop = first.to_path_buf();
            }
        }
        atomic::prune_empty(dir, &stop);
    }
}

fn missing_record(conf: &Conf, files: &[String]) -> Option<String> {
    conf.wanted()
        .map(|r| &r.dest_name)
        .find(|name| !files.iter().any(|f| module_stem(f) == Some(name)))
        .cloned()
}
