//! From `B/module` to `/lib/modules/K`, and back.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::apply::original;
use crate::conf::model::Conf;
use crate::elf::{module_name, module_stem};
use crate::fs::atomic;
use crate::fs::look;
use crate::fs::look::mtime;
use crate::fs::same::same_content;
use crate::fs::sync;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{Cell, ModuleId};
use crate::model::indexed::Found;
use crate::model::inside::plain;
use crate::model::record::{InstalledFile, Record};
use crate::model::rival::Rival;
use crate::observe::distribution::{Distribution, Family};
use crate::observe::holdings::Holdings;
use crate::observe::in_the_way::{InTheWay, Manners, is_placed};
use crate::observe::installing::{built_mtime, destination, labels, recorded, recorded_of_active, rival_at};
use crate::process::{Output, Process, QUERY_LIMIT};
use crate::progress::Report;
use crate::tree::installed::{built_files, is_still_ours};
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
    /// What modprobe(8) takes now, where one of ours is installed.
    pub found: Option<&'a Found>,
    /// The build of another package that has the name of one of ours.
    pub held_by: Option<&'a Cell>,
    /// Whatever is there already gives way.
    pub force: bool,
    /// Whether the initramfs must be made again whatever it holds (a kernel event).
    pub kernel_event: bool,
    /// A kernel that is not on disk is gone: what was set aside for it goes, too.
    pub gone: bool,
    /// What other packages have installed.
    pub holdings: &'a Holdings<'a>,
    /// Where findings go.
    pub report: &'a dyn Report,
}

impl Installer<'_> {
    fn target(&self, cell: &Cell, file: &str, conf: Option<&Conf>) -> PathBuf {
        destination(self.layout, self.distribution, &cell.kernel, file, conf)
    }

    /// Where the files of a cell are, or would be, below `/lib/modules/K`; paths inside the root.
    pub fn installed_paths(&self, cell: &Cell, conf: Option<&Conf>) -> Vec<PathBuf> {
        match recorded(self.layout, cell) {
            Some(installed) if !installed.is_empty() => installed.into_iter().map(|file| file.path).collect(),
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
        let before = recorded_of_active(self.layout, self.distribution, cell, active.as_ref());
        let files = built_files(self.layout, cell);
        if let Some(missing) = conf.and_then(|c| missing_record(c, &files)) {
            let text = format!("{missing}.ko is missing from the build of {cell}");
            return Err(Error::new(Kind::NotInstallable, text)
                .hint(format!("rebuild it with `dkms build {} -k {} --force`", cell.module, cell.kernel)));
        }
        let files = self.without_kept(cell, files)?;
        self.announce(cell, files.iter().map(String::as_str).chain(before.iter().map(|f| f.built.as_str())))?;
        // What is about to be put there is ours from now on, also if this run ends before the link
        // says so.
        let planned = files.iter().map(|file| InstalledFile::planned(self.target(cell, file, conf), file));
        let mut intended = before.clone();
        intended.extend(planned.filter(|p| !before.iter().any(|b| b.path == p.path)));
        self.save_installed(cell, intended.clone())?;
        let Self { found, held_by, force, .. } = *self;
        let manners = Manners { again: active.is_some(), found, held_by, force };
        let in_the_way = InTheWay::new(layout, cell, self.holdings, &before, &intended, manners);
        let mut installed = Vec::new();
        for file in &files {
            let path = self.target(cell, file, conf);
            installed.push(self.install_file(cell, &in_the_way, file, &path, &before)?);
        }
        for old in before.iter().filter(|old| !installed.iter().any(|new| new.path == old.path)) {
            self.delete(cell, old)?;
        }
        sync_dirs(layout, installed.iter().chain(&before))?;
        self.save_installed(cell, installed)?;
        if held_by.is_some() {
            // Whoever had the name need not give our old file back.
            before.iter().try_for_each(|file| original::forget(layout, cell, file, self.holdings))?;
        }
        let link = layout.active_link(&cell.module.name, &cell.kernel, &cell.arch);
        let target = Path::new(cell.module.version.as_str()).join(&cell.kernel).join(&cell.arch);
        atomic::symlink(&target, &link)?;
        atomic::sync_parent(&link)?;
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
        let name = module_name(file);
        let rival = self.rivals.iter().filter(|rival| module_name(&rival.module) == name);
        // One that an earlier step was to install is where that step put it, if it did.
        let there = |rival: &Rival| match &rival.of {
            None => Some(rival.clone()),
            Some(other) => {
                let record = state::known(state::record(self.layout, other))?;
                let file = record.installed.into_iter().find(|file| module_name(&file.built) == name)?;
                rival_at(self.layout, &rival.module, &self.layout.root.path(&file.path))
            }
        };
        let rival = rival.filter_map(there).next_back()?;
        rival.beats(&labels(&self.layout.built_modules(cell).join(file))?)
    }

    fn install_file(
        &self,
        cell: &Cell,
        in_the_way: &InTheWay<'_>,
        file: &str,
        path: &Path,
        before: &[InstalledFile],
    ) -> Result<InstalledFile> {
        let layout = self.layout;
        let built = layout.built_modules(cell).join(file);
        let real = layout.root.path(path);
        let archived = before.iter().find(|f| f.path == path).and_then(|f| f.original.clone());
        let mut archived = archived.or_else(|| original::place_of(layout, cell, file));
        let in_our_place = |(there, _): &(PathBuf, _)| *there == real;
        // Whatever ends this run, there is a module of this name: what is set aside goes when ours is there.
        let (place, others): (Vec<_>, Vec<_>) = in_the_way.of(file, path).into_iter().partition(in_our_place);
        for (there, owner) in place {
            self.tell_set_aside(cell, &there, owner.as_ref(), "it is in the place of this one");
            original::keep(layout, cell, &there)?;
            self.holdings.has_set_aside(&cell.module.name);
            archived.get_or_insert(layout.shown(&there));
        }
        self.report.line(&format!("Installing {}", path.display()));
        if self.symlink_modules {
            atomic::symlink(&layout.shown(&built), &real)?;
        } else {
            atomic::install(&built, &real)?;
        }
        self.holdings.has_come(&cell.kernel, &real);
        for (there, owner) in others {
            let shown = layout.shown(&there);
            // Where an older rule or an older tool put it.
            if owner.is_none() && in_the_way.is_again() && same_content(&built, &there) {
                self.report.line(&format!("Deleting {}, another copy of {file}", shown.display()));
                atomic::delete(&there)?;
                continue;
            }
            self.tell_set_aside(cell, &there, owner.as_ref(), "depmod may take it instead of this one");
            original::archive(layout, cell, &there)?;
            self.holdings.has_set_aside(&cell.module.name);
            archived.get_or_insert(shown);
        }
        let archived = archived.or_else(|| in_the_way.left_in_place(file, path));
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

    fn tell_set_aside(&self, cell: &Cell, file: &Path, owner: Option<&ModuleId>, why: &str) {
        let of = owner.map(|owner| format!(" of {owner}, a module of the same name,"));
        let (file, of) = (self.layout.shown(file), of.unwrap_or_default());
        self.report.line(&format!(
            "Setting aside {}{of} until {} is uninstalled: {why}",
            file.display(),
            cell.module
        ));
    }

    /// Brings the present content of a build to the files that were installed from it. Nothing else
    /// about them changes: no index need be made anew.
    ///
    /// # Errors
    /// When a file cannot be written; the next run sees that it is not that of the build.
    pub fn renew(&self, cell: &Cell) -> Result<()> {
        if state::record(self.layout, cell)?.is_none() {
            return Ok(());
        }
        let mut files = recorded(self.layout, cell).unwrap_or_default();
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
        sync_dirs(self.layout, &files)?;
        self.save_installed(cell, files)
    }

    /// Deletes an installed file, unless somebody else's is in its place. Says whether it was there.
    fn delete(&self, cell: &Cell, file: &InstalledFile) -> Result<bool> {
        let real = self.layout.root.path(&file.path);
        if std::fs::symlink_metadata(&real).is_ok() && !is_still_ours(self.layout, cell, file) {
            let shown = file.path.display();
            self.report.warning(&format!("{shown} stays: it is not the file that was installed there"));
            return Ok(false);
        }
        atomic::delete(&real)
    }

    /// True when the file at the place of one of ours is no longer ours: another package has installed its own
    /// there. Where both are the same, it is that of the one that came later.
    fn claimed_by_another(&self, cell: &Cell, file: &InstalledFile) -> bool {
        let layout = self.layout;
        if self.holdings.others_are_blind(cell) {
            // It may be one of these: it stays.
            return true;
        }
        let claims = self.holdings.claims(cell, &layout.root.path(&file.path));
        if claims.is_empty() {
            return false;
        }
        let theirs = claims.iter().any(|(other, theirs)| is_placed(layout, other, theirs));
        match (is_placed(layout, cell, file), theirs) {
            (true, false) => false,
            (true, true) => file.original.as_ref() != Some(&file.path),
            (false, _) => true,
        }
    }

    fn save_installed(&self, cell: &Cell, installed: Vec<InstalledFile>) -> Result<()> {
        let files = installed.clone();
        self.change_record(cell, |record| {
            record.installed = installed;
            record.refused = None;
        })?;
        self.holdings.has_installed(cell, &files);
        Ok(())
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
            || recorded_of_active(self.layout, self.distribution, cell, None).is_empty()
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
        let files = recorded_of_active(
            self.layout,
            self.distribution,
            cell,
            active.as_ref().map(|_| &cell.module.version),
        );
        self.announce(cell, files.iter().map(|f| f.built.as_str()))?;
        let kernel_dir = layout.kernel(&cell.kernel);
        for file in &files {
            original::forget(layout, cell, file, self.holdings)?;
            if self.claimed_by_another(cell, file) {
                continue;
            }
            if self.delete(cell, file)? {
                self.report.line(&format!("Deleting {}", file.path.display()));
            }
        }
        // A file that came back after a power cut would be nobody's.
        sync_dirs(layout, &files)?;
        for file in &files {
            self.prune(layout.root.path(&file.path).parent(), &kernel_dir);
        }
        let place = |stem: &str| {
            let record = conf?.records.iter().find(|record| record.dest_name == stem)?;
            plain(Path::new(record.dest_location.trim_matches('/')))
        };
        for path in original::restore(layout, cell, &place, self.gone)? {
            self.holdings.has_come(&cell.kernel, &path);
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

/// Brings to the disk what files came and went.
fn sync_dirs<'f>(layout: &Layout, files: impl IntoIterator<Item = &'f InstalledFile>) -> Result<()> {
    let dirs =
        files.into_iter().filter_map(|file| Some(layout.root.path(&file.path).parent()?.to_path_buf()));
    for dir in dirs.collect::<BTreeSet<PathBuf>>() {
        match sync::dir(&dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("write to the disk", &dir, &e));
            }
            _ => {}
        }
    }
    Ok(())
}

fn missing_record(conf: &Conf, files: &[String]) -> Option<String> {
    conf.wanted()
        .map(|r| &r.dest_name)
        .find(|name| !files.iter().any(|f| module_stem(f) == Some(name)))
        .cloned()
}
