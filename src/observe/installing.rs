//! What an installation meets, modules of the same names that the kernel has already; and where the files of
//! a build are installed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Observer;
use super::contents::contents;
use super::forced::Forced;
use super::holdings::Holdings;
use super::in_the_way::{InTheWay, Manners, below};
use crate::conf::Strictness;
use crate::conf::model::Conf;
use crate::elf::{self, ModInfoError, module_stem};
use crate::fs::digest::file_digest;
use crate::fs::look;
use crate::fs::same::same_content;
use crate::kernel;
use crate::model::ids::{Cell, KernelRelease, Version};
use crate::model::inside::plain;
use crate::model::record::InstalledFile;
use crate::model::rival::{Labels, Rival};
use crate::model::system::{Adopting, Aside, Installing, Now, Question, Questions, System};
use crate::observe::distribution::Distribution;
use crate::process::find_program;
use crate::tree::installed::{built_files, is_the_built_one};
use crate::tree::layout::Layout;
use crate::tree::{registry, state};

/// What a module file says about itself; `None` when it cannot be read.
pub fn labels(path: &Path) -> Option<Labels> {
    let info = elf::modinfo(path).ok()?;
    let version = info.version.unwrap_or_default();
    let content = match (version.as_str(), &info.srcversion) {
        ("", None) => file_digest(path).ok()?,
        _ => String::new(),
    };
    Some(Labels { version, srcversion: info.srcversion, content })
}

/// Where a built file goes, inside the root. The conf is asked only where the distribution leaves it to
/// the conf; of one that leads out of the kernel's directory nothing is taken.
pub fn destination(
    layout: &Layout,
    distribution: &Distribution,
    kernel: &KernelRelease,
    file: &str,
    conf: Option<&Conf>,
) -> PathBuf {
    let stem = module_stem(file).unwrap_or(file);
    let from_conf = conf
        .and_then(|c| c.records.iter().find(|r| r.dest_name == stem))
        .map_or("/updates", |r| r.dest_location.as_str());
    let place = distribution.destination(from_conf);
    let place = plain(Path::new(place.trim_start_matches('/'))).unwrap_or_else(|| "updates".into());
    layout.install_tree.join(kernel).join(place).join(file)
}

/// When a file of a build was made, nanoseconds since the epoch; 0 when it is not there.
pub fn built_mtime(layout: &Layout, cell: &Cell, file: &str) -> i64 {
    std::fs::metadata(layout.built_modules(cell).join(file)).map_or(0, |meta| look::mtime(&meta))
}

/// The files of a build, as they lie below `/lib/modules/K`: for builds whose installation was not recorded
/// by us. One that is not what was built has no time of a built file, so that it counts as not intact.
pub fn derive_installed(
    layout: &Layout,
    distribution: &Distribution,
    cell: &Cell,
    conf: Option<&Conf>,
) -> Vec<InstalledFile> {
    let placed = |file: String| {
        let path = destination(layout, distribution, &cell.kernel, &file, conf);
        let real = layout.root.path(&path);
        let meta = std::fs::symlink_metadata(&real).ok()?;
        let same =
            meta.file_type().is_symlink() || is_the_built_one(&layout.built_modules(cell).join(&file), &real);
        let built_mtime = if same { built_mtime(layout, cell, &file) } else { 0 };
        let (size, mtime) = (meta.len(), look::mtime(&meta));
        Some(InstalledFile { path, built: file, size, mtime, built_mtime, original: None })
    };
    built_files(layout, cell).into_iter().filter_map(placed).collect()
}

/// What a module has below `/lib/modules/K`: the active version's files; without one, those that a cut-off
/// install of this cell left.
pub fn recorded_of_active(
    layout: &Layout,
    distribution: &Distribution,
    cell: &Cell,
    active: Option<&Version>,
) -> Vec<InstalledFile> {
    let Some(version) = active else {
        return recorded(layout, cell).unwrap_or_default();
    };
    let mut owner = cell.clone();
    owner.module.version = version.clone();
    match recorded(layout, &owner) {
        Some(installed) if !installed.is_empty() => installed,
        // Emptied by an uninstallation that was cut off: what is there and not of the build is somebody else's.
        Some(_) => {
            let mut files = derive_installed(layout, distribution, &owner, None);
            files.retain(|file| file.built_mtime != 0);
            files
        }
        None => derive_installed(layout, distribution, &owner, None),
    }
}

/// The files that a record names below the kernel's own directory: whatever else it names is nobody's to change.
pub fn recorded(layout: &Layout, cell: &Cell) -> Option<Vec<InstalledFile>> {
    let mut files = state::known(state::record(layout, cell))?.installed;
    files.retain(|file| {
        let ours = layout.is_of_kernel(&cell.kernel, &file.path);
        if !ours {
            log::warn!("the record of {cell} names {}, which is left alone", file.path.display());
        }
        ours
    });
    Some(files)
}

impl Observer<'_> {
    /// Looks at what a plan left open.
    pub fn answer(&self, system: &mut System, questions: &Questions, holdings: &Holdings<'_>) {
        holdings.learn(system);
        let forced = Forced::of(self.layout);
        for question in questions {
            match question {
                Question::Install(cell) => {
                    let found = self.installing(system, cell, holdings, &forced);
                    system.installs.insert(cell.clone(), found);
                }
                Question::Initramfs(kernel) => {
                    system.contents.insert(kernel.clone(), contents(self.layout, kernel));
                }
                Question::Adopt(cell) => {
                    system.adoptions.insert(cell.clone(), self.adopting(cell));
                }
            }
        }
    }

    fn installing(
        &self,
        system: &System,
        cell: &Cell,
        holdings: &Holdings<'_>,
        forced: &Forced,
    ) -> Installing {
        let name = &cell.module.name;
        let dir = self.layout.built_modules(cell);
        let files = built_files(self.layout, cell);
        let stem = |file: &String| module_stem(file).unwrap_or(file).to_owned();
        let mut found = Installing {
            force: forced.force(name),
            any_version: forced.any_version(name),
            built: files.iter().map(|file| (stem(file), labels(&dir.join(file)))).collect(),
            rivals: Vec::new(),
            aside: Vec::new(),
            post_install: false,
            shared: true,
        };
        let view = system.cell(cell);
        let record = view.and_then(|view| view.record.as_ref());
        let overrides = self.overrides_of(cell, record);
        let observer = self.with(&overrides);
        let conf = observer.conf(cell, &observer.context(cell), Strictness::Other).ok();
        found.shared = !conf.as_ref().is_some_and(|conf| conf.no_weak_modules);
        found.post_install = conf.as_ref().is_some_and(|conf| conf.scripts.post_install.is_some());
        let active = registry::active(self.layout, name, &cell.kernel, &cell.arch);
        let mut names: BTreeMap<String, String> = files.into_iter().map(|file| (stem(&file), file)).collect();
        if let Some(Now::Judged { inputs, .. }) = view.map(|view| &view.now) {
            let suffix = if inputs.compression.is_empty() { "" } else { "." };
            for wanted in conf.iter().flat_map(|conf| conf.wanted()) {
                let file = || format!("{}.ko{suffix}{}", wanted.dest_name, inputs.compression);
                names.entry(wanted.dest_name.clone()).or_insert_with(file);
            }
        }
        let place =
            |file: &String| destination(self.layout, self.distribution, &cell.kernel, file, conf.as_ref());
        let targets: Vec<(String, PathBuf)> =
            names.values().map(|file| (file.clone(), place(file))).collect();
        found.aside = self.aside(system, cell, holdings, active.as_ref(), &targets);
        if active.is_some() {
            found.rivals = system.held.get(cell).into_iter().flat_map(|by| self.rivals_of(by)).collect();
            return found;
        }
        let recorded = record.map(|record| record.installed.as_slice()).unwrap_or_default();
        for (name, file) in names {
            let path = place(&file);
            let real = self.layout.root.path(&path);
            // What a run that was cut off left in its very place is ours.
            let ours = recorded.iter().any(|f| f.path == path) || same_content(&dir.join(&file), &real);
            let rival = self.rival(cell, holdings, (&name, &file), &path, ours.then_some(&real));
            found.rivals.extend(rival);
        }
        found
    }

    /// True when modules of one kernel are linked for others by a program of the distribution.
    pub(super) fn shares(&self) -> bool {
        let program = || self.distribution.weak_modules.and_then(|kind| find_program(kind.program()));
        // It knows no other root than `/`.
        self.layout.root.is_slash() && !*self.settings.no_weak_modules && program().is_some()
    }

    /// The kernels to look at for a request that is about these: where kernels share modules, all of them.
    pub fn with_borrowers(&self, kernels: Vec<KernelRelease>) -> Vec<KernelRelease> {
        let all = kernel::releases(self.layout, kernels.iter().cloned());
        let linked = |kernel: &KernelRelease| self.layout.kernel(kernel).join("weak-updates").is_dir();
        if self.shares() || all.iter().any(linked) { all.into_iter().collect() } else { kernels }
    }

    fn adopting(&self, cell: &Cell) -> Adopting {
        let conf = self.conf(cell, &self.context(cell), Strictness::Other).ok();
        let files = derive_installed(self.layout, self.distribution, cell, conf.as_ref());
        Adopting {
            modules: files.iter().map(|file| file.module().to_owned()).collect(),
            newest: files.iter().map(|file| file.mtime.max(file.built_mtime)).max(),
        }
    }

    /// Files that an installation at these places sets aside.
    fn aside(
        &self,
        system: &System,
        cell: &Cell,
        holdings: &Holdings<'_>,
        active: Option<&Version>,
        targets: &[(String, PathBuf)],
    ) -> Vec<Aside> {
        let before = recorded_of_active(self.layout, self.distribution, cell, active);
        let intended: Vec<InstalledFile> =
            targets.iter().map(|(file, path)| InstalledFile::planned(path.clone(), file)).collect();
        let with = |force: bool| {
            let manners = Manners {
                again: active.is_some(),
                found: system.indexed.get(cell).map(|indexed| &indexed.found),
                held_by: system.held.get(cell),
                force,
            };
            let there = InTheWay::new(self.layout, cell, holdings, &before, &intended, manners);
            let files = targets.iter().flat_map(|(file, path)| there.of(file, path));
            files.map(|(file, _)| self.layout.shown(&file)).collect::<BTreeSet<PathBuf>>()
        };
        let asked_or_not = with(false);
        let aside = |file: PathBuf| Aside { by_force: !asked_or_not.contains(&file), file };
        with(true).into_iter().map(aside).collect()
    }

    /// The modules of another package that has the names of ours.
    fn rivals_of(&self, holder: &Cell) -> Vec<Rival> {
        let record = state::known(state::record(self.layout, holder));
        let files = record.into_iter().flat_map(|record| record.installed);
        files
            .filter_map(|file| rival_at(self.layout, file.module(), &self.layout.root.path(&file.path)))
            .collect()
    }

    fn rival(
        &self,
        cell: &Cell,
        holdings: &Holdings<'_>,
        (name, file): (&str, &str),
        destination: &Path,
        except: Option<&PathBuf>,
    ) -> Option<Rival> {
        let there = holdings.all(&cell.kernel, file, &below(self.layout, cell, destination));
        let there = there.into_iter().find(|path| Some(path) != except)?;
        rival_at(self.layout, name, &there)
    }
}

/// The module in a file as a rival of ours.
pub fn rival_at(layout: &Layout, name: &str, there: &Path) -> Option<Rival> {
    let (labels, unread) = match elf::modinfo(there) {
        // What is no module has no version: it is set aside like an older one.
        Err(ModInfoError::NotAModule { .. }) => return None,
        Err(error) => (Labels::default(), Some(error.to_string())),
        Ok(_) => (labels(there)?, None),
    };
    Some(Rival { module: name.to_owned(), path: layout.shown(there), labels, unread, of: None })
}
