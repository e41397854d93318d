//! Reads the whole picture from disk. Changes nothing.
//!
//! While the stat digest of a cell's inputs equals the one stored with its build (or verdict), the
//! stored inputs are taken as they are: no conf is evaluated, no file is read. That is what makes
//! a hook with nothing to do cost milliseconds.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::conf::model::{Conf, ConfError, Context, own_config};
use crate::conf::{self, Strictness};
use crate::elf;
use crate::fs::directories::{self, Directories, Listing, Memory};
use crate::fs::regular;
use crate::fs::{look, stamp};
use crate::kernel::headers;
use crate::kernel::{self, KernelFiles, Releases};
use crate::kernel::{compression, signing_identity, toolchain};
use crate::model::blind::Blind;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId, ModuleName};
use crate::model::inputs::Inputs;
use crate::model::record::{Facts, InstalledFile, Overrides, Provenance, Record, Verdict};
use crate::model::settings::Settings;
use crate::model::system::{CellView, InstallTree, Now, Source, System};
use crate::observe::distribution::Distribution;
use crate::observe::endless::Endless;
use crate::observe::forced::Forced;
use crate::process::parallel;
use crate::tree::installed;
use crate::tree::layout::{LOADED, Layout};
use crate::tree::registry;
use crate::tree::state;

mod cached;
mod contents;
mod directives;
pub mod distribution;
pub mod endless;
mod essential;
mod expected;
mod fit;
pub mod forced;
mod foreign;
mod guard;
pub mod holdings;
pub mod in_the_way;
pub mod indexed;
mod install_tree;
pub mod installing;
mod judge;
pub mod kernels;
pub mod left;
mod overrides;
mod shared;
mod signatures;
mod stat;
pub mod status;
mod uses;

pub use install_tree::place as install_tree_place;
use judge::Known;
pub use overrides::Asked;
use stat::Once;

/// What is observed, and with which settings.
#[derive(Debug, Clone, Copy)]
pub struct Observer<'a> {
    /// Where things are.
    pub layout: &'a Layout,
    /// Settings.
    pub settings: &'a Settings,
    /// The distribution's rules.
    pub distribution: &'a Distribution,
    /// Architecture of cells that do not exist yet.
    pub arch: &'a Arch,
    /// What a person overrides on the command line.
    pub overrides: &'a Overrides,
    /// What that person asks for by name, if anything: overrides count for it, and for whatever has
    /// no build yet.
    pub asked: Option<Asked<'a>>,
    /// Every dkms.conf that needs bash is asked again, whatever it said last.
    pub anew: bool,
    /// What earlier runs remember of directories.
    pub memory: &'a Memory,
    /// With which dkms.conf files bash did not come to an end.
    pub endless: &'a Endless,
}

impl Observer<'_> {
    /// Whether `/etc/dkms/no-autoinstall` is there. Where nobody can tell, nothing is built either.
    fn autoinstall_disabled(&self) -> bool {
        look::exists(&self.layout.etc().join("no-autoinstall")).unwrap_or(true)
    }

    /// Observes `kernels` (all when `None`), every registered module, and the cells of both.
    pub fn observe(&self, kernels: Option<&[KernelRelease]>) -> System {
        self.observe_modules(kernels, None)
    }

    /// As [`Self::observe`], of the modules with these names, or of all.
    fn observe_modules(
        &self,
        kernels: Option<&[KernelRelease]>,
        names: Option<&BTreeSet<ModuleName>>,
    ) -> System {
        let dirs = Directories::new(self.memory);
        let registry::Registered { versions: registered, blind } = match names {
            None => registry::look(self.layout, &dirs),
            Some(names) => registry::look_for(self.layout, names, &dirs),
        };
        let on_disk =
            parallel::map(&registered, |(id, _)| registry::cells_by(self.layout, id, kernels, &dirs));
        let on_disk: Vec<Cell> = on_disk.into_iter().flatten().collect();
        let verdicts = registry::verdicts(self.layout);
        let judged = self.judged_kernels(&registered, &verdicts);
        let releases = match kernels {
            Some(named) => Releases { found: named.iter().cloned().collect(), ..Releases::default() },
            None => {
                let known = on_disk.iter().map(|c| &c.kernel).chain(&judged).cloned();
                kernel::look_for_releases(self.layout, known)
            }
        };
        let mut system = System {
            autoinstall_disabled: self.autoinstall_disabled(),
            every_module: self.distribution.every_module,
            rebuild: *self.settings.rebuild,
            only_newest: !*self.settings.older_versions,
            arch: Some(self.arch.clone()),
            modules: registered.into_iter().collect(),
            shares: self.shares(),
            without_index: kernel::depmod_base(self.layout).err(),
            blind,
            ..System::default()
        };
        let unlisted = releases.blind_notes.map(|blind| (None, self.shown(blind)));
        system.blind.extend(unlisted);
        for release in &releases.found {
            let kernel = kernels::observe(self.layout, self.distribution, release);
            let exists = self.layout.kernel(release).is_dir()
                || !kernel.note.is_empty()
                || kernel.blind.is_some()
                || kernel.unread_note.is_some();
            let has_cells = on_disk.iter().any(|c| c.kernel == *release) || judged.contains(release);
            if exists || has_cells || kernels.is_none() || self.overrides.kernel_source_dir.is_some() {
                system.kernels.insert(release.clone(), kernel);
            }
        }
        system.install_tree = match releases.blind {
            Some(blind) => InstallTree::Blind(self.shown(blind)),
            None => install_tree::look_at(self.layout, &system.kernels),
        };
        let mut cells: BTreeSet<Cell> =
            on_disk.into_iter().filter(|c| system.kernels.contains_key(&c.kernel)).collect();
        for id in system.modules.keys() {
            for kernel in system.kernels.keys() {
                cells.insert(Cell { module: id.clone(), kernel: kernel.clone(), arch: self.arch.clone() });
            }
        }
        let once = Once { dirs, verdicts, ..Once::new(system.modules.keys(), system.kernels.keys()) };
        let cells: Vec<Cell> = cells.into_iter().collect();
        let views = parallel::map(&cells, |cell| self.cell(&system, &once, cell));
        system.cells = cells.into_iter().zip(views).collect();
        self.look_for_versions(&mut system);
        self.settle_shared_names(&mut system);
        self.look_into_indexes(&mut system);
        system
    }

    /// Kernels that only a verdict remembers.
    fn judged_kernels(
        &self,
        registered: &[(ModuleId, Source)],
        verdicts: &Result<BTreeSet<PathBuf>, Blind>,
    ) -> Vec<KernelRelease> {
        let Ok(verdicts) = verdicts else { return Vec::new() };
        let suffix = format!("-{}.json", self.arch);
        let dirs: BTreeSet<PathBuf> = registered.iter().map(|(id, _)| self.layout.verdict_dir(id)).collect();
        verdicts
            .iter()
            .filter(|file| file.parent().is_some_and(|dir| dirs.contains(dir)))
            .filter_map(|file| KernelRelease::new(file.file_name()?.to_str()?.strip_suffix(&suffix)?).ok())
            .collect()
    }

    fn cell(&self, system: &System, once: &Once<'_>, cell: &Cell) -> CellView {
        let mut blind = None;
        let listing = once.dirs.known(&self.layout.cell(cell));
        let built = match listing.as_ref().map(|listing| listing.get("module")) {
            Some(Some(directories::Kind::Dir)) => Ok(true),
            Some(None) => Ok(false),
            _ => registry::look_for_build(self.layout, cell),
        };
        let built = or_blind(built, &mut blind);
        if built && listing.is_none() {
            once.dirs.missed(&self.layout.cell(cell));
        }
        let installed =
            built && or_blind(registry::look_at_active_by(self.layout, cell, &once.dirs), &mut blind);
        let record = if built { state::record_by(self.layout, cell, &once.dirs) } else { Ok(None) };
        let mut record: Option<Record> = or_blind(record, &mut blind);
        if let Some(record) = &mut record
            && record.refused.is_some()
            && Forced::of(self.layout).any_version(&cell.module.name)
        {
            record.refused = None;
        }
        let file = self.layout.verdict(cell);
        // Where they could not be listed, each is looked at by its name.
        let is_on_file = once.verdicts.as_ref().map_or(true, |on_file| on_file.contains(&file));
        let mut unread_verdict = None;
        let verdict = if is_on_file { state::verdict(self.layout, cell) } else { Ok(None) };
        let verdict: Option<Verdict> = or_blind(verdict, &mut unread_verdict);
        let overrides = self.overrides_of(cell, record.as_ref());
        let now = match &overrides {
            // Nothing is decided by it, so no dkms.conf need be read, unless a person asks for this one.
            _ if blind.is_some() && self.asked.is_none_or(|asked| *asked.module != cell.module) => {
                Now::Unreadable(blind.clone().map_or_else(no_source, Error::from))
            }
            Cow::Borrowed(_) => self.now(system, once, cell, record.as_ref(), verdict.as_ref()),
            Cow::Owned(own) => {
                // The shared lookups were made under other overrides; use fresh ones.
                let once = Once::new([&cell.module], [&cell.kernel]);
                self.with(own).now(system, &once, cell, record.as_ref(), verdict.as_ref())
            }
        };
        let foreign = built && record.is_none() && blind.is_none();
        let vermagic_matches = foreign && self.made_for(cell);
        let headers = system.kernels[&cell.kernel].headers || self.overrides.kernel_source_dir.is_some();
        let known = record.is_some() || foreign;
        let provenance = known.then(|| self.provenance(cell, record.as_ref(), listing.as_ref()));
        let loaded = foreign && provenance == Some(Provenance::Archive);
        let autoinstall = loaded && !headers && self.asks_for_autoinstall(cell);
        let intact = match &record {
            Some(record) => or_blind(self.is_intact(cell, record), &mut blind),
            None => !installed || blind.is_some() || self.is_installed_whole(cell),
        };
        let mut view = CellView {
            built,
            installed,
            intact,
            record,
            verdict,
            unread_verdict,
            blind: blind.map(|blind| self.shown(blind)),
            provenance,
            autoinstall,
            now,
            vermagic_matches,
            fit: None,
            directive: None,
            cached: false,
        };
        let observer = self.with(&overrides);
        view.fit = observer.fit(system, once, cell, &view);
        view.directive = observer.directive_change(cell, &view);
        view.cached = observer.is_cached(cell, &view);
        view
    }

    /// Where a build came from. Records of earlier versions do not say so; the mark of a build out of an archive
    /// goes when the next one takes its place.
    fn provenance(&self, cell: &Cell, record: Option<&Record>, listing: Option<&Listing<'_>>) -> Provenance {
        let may_be = listing.is_none_or(|listing| listing.get(LOADED).is_some());
        match record.map(|record| record.provenance) {
            None | Some(Provenance::BuiltHere) if may_be && self.layout.loaded_mark(cell).exists() => {
                Provenance::Archive
            }
            None => Provenance::Dkms,
            Some(provenance) => provenance,
        }
    }

    fn now(
        &self,
        system: &System,
        once: &Once<'_>,
        cell: &Cell,
        record: Option<&Record>,
        verdict: Option<&Verdict>,
    ) -> Now {
        let kernel = &system.kernels[&cell.kernel];
        let headers = kernel.headers || self.overrides.kernel_source_dir.is_some();
        match system.modules.get(&cell.module) {
            // Nothing can be built for it: what there is can only be purged.
            _ if !headers => Now::NoHeaders,
            Some(Source::Added) => {
                let known = Known::of(record, verdict);
                self.judge(once, cell, known.as_ref()).unwrap_or_else(Now::Unreadable)
            }
            Some(Source::Blind(blind)) => Now::Unreadable(Error::from(blind.clone())),
            _ => Now::Unreadable(no_source()),
        }
    }

    /// The installed files are those of the build, and none is left of a run that ended before it had
    /// installed them all.
    ///
    /// # Errors
    /// When a file that seems to be missing could not be looked at.
    fn is_intact(&self, cell: &Cell, record: &Record) -> Result<bool, Blind> {
        let files = &record.installed;
        if files.iter().any(InstalledFile::is_planned) {
            return Ok(false);
        }
        match installed::by_record(self.layout, cell, files).next() {
            None => Ok(true),
            Some(_) => installed::look_at_all(self.layout, cell, files).map(|()| false),
        }
    }

    /// With the path as it looks from inside the root.
    fn shown(&self, blind: Blind) -> Blind {
        Blind { path: self.layout.shown(&blind.path), ..blind }
    }

    fn asks_for_autoinstall(&self, cell: &Cell) -> bool {
        self.conf(cell, &self.context(cell), Strictness::Other).is_ok_and(|conf| conf.autoinstall)
    }

    fn made_for(&self, cell: &Cell) -> bool {
        let of_kernel =
            |path: PathBuf| elf::modinfo(&path).is_ok_and(|info| info.kernel() == Some(cell.kernel.as_str()));
        self.module_files(cell).into_iter().all(of_kernel)
    }

    /// dkms.conf with everything that overrides it.
    ///
    /// # Errors
    /// When it is missing or invalid.
    pub fn conf(&self, cell: &Cell, context: &Context, strictness: Strictness) -> Result<Conf, ConfError> {
        let overrides = conf::override_files(self.layout, &cell.module, Some(&cell.kernel), &cell.arch);
        let file = self.conf_file(&cell.module);
        let files: Vec<PathBuf> = std::iter::once(&file).chain(&overrides).cloned().collect();
        self.endless.ask(self.layout, &files, (context.limit, self.anew), || {
            conf::load(&self.layout.root, &file, &overrides, context, strictness)
        })
    }

    /// True when a module certainly has no dkms.conf: its source is gone, or there never was one.
    pub fn is_without_conf(&self, id: &ModuleId) -> bool {
        look::exists(&self.conf_file(id)) == Ok(false)
    }

    fn conf_file(&self, id: &ModuleId) -> PathBuf {
        match &self.overrides.conf {
            Some(path) => path.clone(),
            None => self.source_dir(id).join("dkms.conf"),
        }
    }

    /// A path to the source tree that serves for reading it: where nothing stands before the
    /// root's paths, the kernel follows the link.
    fn readable_source(&self, dirs: &Directories<'_>, id: &ModuleId) -> PathBuf {
        let link = self.layout.source_link(id);
        if self.layout.root.is_slash() {
            return link;
        }
        dirs.resolve(&self.layout.root, &self.layout.root.inside(&link)).unwrap_or(link)
    }

    /// The source tree behind the `source` link.
    pub fn source_dir(&self, id: &ModuleId) -> PathBuf {
        let link = self.layout.source_link(id);
        self.layout.root.resolve(self.layout.root.inside(&link)).unwrap_or(link)
    }

    /// The headers of a kernel, and its configuration.
    pub fn kernel_source(&self, kernel: &KernelRelease) -> (PathBuf, PathBuf) {
        let dir = match &self.overrides.kernel_source_dir {
            Some(dir) => dir.clone(),
            None => self.layout.headers(kernel),
        };
        let config = self.overrides.kernel_config.clone().unwrap_or_else(|| own_config(&dir));
        (dir, config)
    }

    /// The variables a conf may use for a cell.
    pub fn context(&self, cell: &Cell) -> Context {
        self.context_for(Some(&cell.module), Some(&cell.kernel), &cell.arch)
    }

    /// The variables a conf may use where its module or the kernel is not known.
    pub fn context_for(
        &self,
        module: Option<&ModuleId>,
        kernel: Option<&KernelRelease>,
        arch: &Arch,
    ) -> Context {
        let root = &self.layout.root;
        let named = |path: &Option<PathBuf>| path.clone().unwrap_or_default();
        let (dir, config) = match kernel {
            Some(kernel) => self.kernel_source(kernel),
            None => (named(&self.overrides.kernel_source_dir), named(&self.overrides.kernel_config)),
        };
        Context {
            kernel: kernel.cloned(),
            arch: arch.clone(),
            kernel_source_dir: dir,
            kernel_config: config,
            dkms_tree: self.layout.tree(),
            source_tree: root.path(&self.layout.source_tree),
            install_tree: root.path(&self.layout.install_tree),
            module: module.cloned(),
            parallel_jobs: self.jobs(),
            directives: self.overrides.directives.clone(),
            limit: *self.settings.limits.conf,
            unconfined: module.is_some_and(|module| self.settings.unconfined_because(module).is_some()),
        }
    }

    /// Jobs for make.
    pub fn jobs(&self) -> usize {
        self.settings.parallel_jobs.unwrap_or_else(|| *processors())
    }

    fn inputs(
        &self,
        once: &Once<'_>,
        cell: &Cell,
        context: &Context,
        conf: &Conf,
        facts: &Facts,
    ) -> Result<Inputs> {
        let module = &once.modules[&cell.module];
        let dir = module.dir.get_or_init(|| self.readable_source(&once.dirs, &cell.module));
        let own = module
            .own_writes
            .get_or_init(|| state::known(state::own_writes(self.layout, &cell.module)).unwrap_or_default());
        let source = module.content.get_or_init(|| stamp::content_tree(dir)).clone()?;
        let source = own.source.identity(source);
        let headers = &once.kernels[&cell.kernel].headers;
        let headers = headers.get_or_init(|| headers::identity(&context.kernel_source_dir)).clone()?;
        let etc = self.layout.etc().join(&cell.module.name);
        let overrides = match look::metadata(&etc)? {
            Some(meta) if meta.is_dir() => stamp::content_tree(&etc)?,
            _ => String::new(),
        };
        let overrides = own.overrides.identity(overrides);
        let files = KernelFiles::of(&cell.kernel, context);
        Ok(Inputs {
            source,
            conf: self.conf_digest(conf, facts)?,
            overrides,
            headers,
            compiler: compiler(context),
            rustc: (toolchain::supports_rust(context) && *module.rust.get_or_init(|| has_rust(dir)))
                .then(toolchain::rustc),
            compression: compression(context, self.layout, &cell.kernel)
                .suffix()
                .trim_start_matches('.')
                .to_owned(),
            signing: signing_identity(self.layout, self.settings, &files, &self.distribution.id),
            depends: self.dependencies(cell, &conf.build_depends),
        })
    }

    /// A value without the number of make jobs that `$parallel_jobs` put into it: how many
    /// processors there are changes nothing in the result.
    fn without_jobs(&self, value: &str) -> String {
        value.replace(&format!("-j{}", self.jobs()), "-j")
    }

    /// The fingerprints of the builds that a cell depends on: of others, or each build of it would make
    /// the next one due.
    pub fn dependencies(&self, cell: &Cell, names: &[String]) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        for name in names.iter().filter(|name| **name != cell.module.name.as_str()) {
            let Ok(module) = crate::model::ids::ModuleName::new(name.clone()) else { continue };
            let Some(version) = registry::active(self.layout, &module, &cell.kernel, &cell.arch) else {
                continue;
            };
            let dependency = Cell {
                module: ModuleId { name: module, version },
                kernel: cell.kernel.clone(),
                arch: cell.arch.clone(),
            };
            // One that cannot be read counts as one that has gone: nothing is built for that.
            if let Ok(Some(record)) = state::record(self.layout, &dependency) {
                out.insert(name.clone(), record.inputs.fingerprint());
            }
        }
        out
    }
}

/// How many processors this process may use. Finding out reads several files of /proc and /sys.
fn processors() -> &'static usize {
    static PROCESSORS: OnceLock<usize> = OnceLock::new();
    PROCESSORS.get_or_init(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

fn compiler(context: &Context) -> String {
    let toolchain = toolchain::identity(context);
    let linker = if toolchain.lld { " lld" } else { "" };
    match toolchain.version.as_str() {
        "" => toolchain.cc,
        version => format!("{} {version}{linker}", toolchain.cc),
    }
}

/// Whether a source has a module in Rust: one that uses the kernel's crate. Tools that come with a module
/// may be in Rust, too, and are nothing to the kernel's build.
pub fn has_rust(dir: &Path) -> bool {
    let entries = walkdir::WalkDir::new(dir).into_iter().flatten();
    let mut rust = entries.filter(|entry| entry.path().extension().is_some_and(|ext| ext == "rs"));
    rust.any(|entry| regular::read_to_string(entry.path()).is_ok_and(|text| text.contains("kernel::prelude")))
}

fn no_source() -> Error {
    Error::new(Kind::ConfMissing, "its source is not here")
}

/// What was seen; the first thing that could not be looked at is kept.
fn or_blind<T: Default>(seen: Result<T, Blind>, first: &mut Option<Blind>) -> T {
    seen.unwrap_or_else(|blind| {
        first.get_or_insert(blind);
        T::default()
    })
}
