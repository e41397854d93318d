//! Digests of what stat(2) says of the inputs, each taken once however many cells share it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::Observer;
use crate::conf;
use crate::fs::directories::Directories;
use crate::fs::look;
use crate::fs::stamp;
use crate::kernel::headers;
use crate::kernel::{KernelFiles, Symvers, signing_files};
use crate::model::blind::Blind;
use crate::model::error::Result;
use crate::model::ids::{Cell, KernelRelease, ModuleId};
use crate::model::inputs::{Hasher, Headers};
use crate::model::own_writes::OwnWrites;

/// Things looked up once, or once per kernel or module, however many cells they occur in.
pub(super) struct Once<'m> {
    /// Directories of the module tree, of sources and of headers.
    pub(super) dirs: Directories<'m>,
    pub(super) verdicts: Result<BTreeSet<PathBuf>, Blind>,
    pub(super) tools: OnceLock<String>,
    /// What is installed.
    pub(super) packages: OnceLock<String>,
    /// Names of the files in `/etc/dkms`.
    pub(super) etc: OnceLock<BTreeSet<OsString>>,
    pub(super) modules: BTreeMap<ModuleId, ModuleOnce>,
    pub(super) kernels: BTreeMap<KernelRelease, KernelOnce>,
}

#[derive(Default)]
pub(super) struct ModuleOnce {
    pub(super) dir: OnceLock<PathBuf>,
    pub(super) stat: OnceLock<String>,
    pub(super) content: OnceLock<Result<String>>,
    /// What its own commands wrote into it.
    pub(super) own_writes: OnceLock<OwnWrites>,
    /// Whether there is Rust in it.
    pub(super) rust: OnceLock<bool>,
}

#[derive(Default)]
pub(super) struct KernelOnce {
    pub(super) stat: OnceLock<String>,
    pub(super) headers: OnceLock<Result<Headers>>,
    /// What it exports, with our modules that are installed for it.
    pub(super) symbols: OnceLock<Option<Symvers>>,
}

impl Once<'_> {
    pub(super) fn new<'a>(
        modules: impl IntoIterator<Item = &'a ModuleId>,
        kernels: impl IntoIterator<Item = &'a KernelRelease>,
    ) -> Self {
        Self {
            dirs: Directories::default(),
            verdicts: Ok(BTreeSet::new()),
            tools: OnceLock::new(),
            packages: OnceLock::new(),
            etc: OnceLock::new(),
            modules: modules.into_iter().map(|id| (id.clone(), ModuleOnce::default())).collect(),
            kernels: kernels.into_iter().map(|k| (k.clone(), KernelOnce::default())).collect(),
        }
    }
}

/// Files and directories that change when a package comes or goes: of dpkg, rpm (where it is and where it was),
/// pacman, apk, Portage and xbps.
const PACKAGES: [&str; 11] = [
    "/var/lib/dpkg/status",
    "/var/lib/dpkg/updates",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite-wal",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/rpmdb.sqlite-wal",
    "/var/lib/rpm/Packages",
    "/var/lib/pacman/local",
    "/lib/apk/db/installed",
    "/var/cache/edb/counter",
    "/var/db/xbps/pkgdb-0.38.plist",
];

/// The first part of every stamp. Another one has every input looked at once more.
const FORMAT: &str = "2";

impl Observer<'_> {
    /// What stat(2) says of the package managers' databases.
    pub(super) fn packages<'o>(&self, once: &'o Once<'_>) -> &'o str {
        once.packages.get_or_init(|| {
            let mut hash = Hasher::new();
            for place in PACKAGES {
                stamp::stat(&mut hash, &self.layout.root.path(place));
            }
            hash.finish()
        })
    }

    /// What stat(2) says of everything that the inputs of a cell are read from.
    pub(super) fn stamp(&self, once: &Once<'_>, cell: &Cell) -> String {
        let (module, kernel) = (&once.modules[&cell.module], &once.kernels[&cell.kernel]);
        let mut hash = Hasher::new();
        hash.part(env!("CARGO_PKG_VERSION"));
        hash.part(FORMAT);
        hash.part(module.stat.get_or_init(|| self.module_stat(once, module, &cell.module)));
        hash.part(kernel.stat.get_or_init(|| self.kernel_stat(&cell.kernel)));
        hash.part(once.tools.get_or_init(|| self.tools()));
        let etc = self.names_in_etc(once);
        let name = cell.module.name.as_str().as_bytes();
        if !etc.iter().any(|file| file.as_encoded_bytes().starts_with(name)) {
            return hash.finish();
        }
        for file in conf::override_candidates(self.layout, &cell.module, Some(&cell.kernel), &cell.arch) {
            if file.file_name().is_some_and(|name| etc.contains(name)) {
                stamp::stat(&mut hash, &file);
            }
        }
        hash.finish()
    }

    fn names_in_etc<'o>(&self, once: &'o Once<'_>) -> &'o BTreeSet<OsString> {
        once.etc.get_or_init(|| look::read_dir(&self.layout.etc()).map(|entry| entry.file_name()).collect())
    }

    fn module_stat(&self, once: &Once<'_>, module: &ModuleOnce, id: &ModuleId) -> String {
        let mut hash = Hasher::new();
        let dir = module.dir.get_or_init(|| self.readable_source(&once.dirs, id));
        let conf = stamp::stat_tree_by(&mut hash, dir, &once.dirs, "dkms.conf");
        // It may be a link to somewhere else.
        match (&self.overrides.conf, conf.filter(|conf| !conf.is_symlink())) {
            (Some(other), _) => stamp::stat(&mut hash, other),
            (None, Some(conf)) => stamp::stat_by(&mut hash, &dir.join("dkms.conf"), &conf),
            (None, None) => stamp::stat(&mut hash, &dir.join("dkms.conf")),
        }
        let etc = self.layout.etc().join(&id.name);
        if self.names_in_etc(once).contains(OsStr::new(id.name.as_str())) && etc.exists() {
            stamp::stat(&mut hash, &etc);
            stamp::stat_tree(&mut hash, &etc);
        }
        hash.finish()
    }

    fn kernel_stat(&self, kernel: &KernelRelease) -> String {
        let (dir, config) = self.kernel_source(kernel);
        let mut hash = Hasher::new();
        hash.part(headers::stat(&dir));
        stamp::stat(&mut hash, &config);
        let files = KernelFiles { release: kernel, source: &dir, config: &config };
        for file in signing_files(self.layout, self.settings, &files, &self.distribution.id) {
            stamp::stat(&mut hash, &file);
        }
        hash.finish()
    }

    /// What stat(2) says of framework.conf and of the compilers that a kernel may name; and what the
    /// command line says instead of the conf.
    fn tools(&self) -> String {
        let mut hash = Hasher::new();
        let root = &self.layout.root;
        stamp::stat(&mut hash, &self.layout.etc().join("framework.conf"));
        stamp::stat_tree(&mut hash, &self.layout.etc().join("framework.conf.d"));
        for (name, value) in &self.overrides.directives {
            hash.part(name);
            hash.part(value);
        }
        let triplet = format!("{}-linux-gnu-", self.arch);
        let mut names = ["gcc", "clang", "ld.lld", "rustc"].map(str::to_owned).to_vec();
        for version in 8..=20 {
            names.push(format!("gcc-{version}"));
            names.push(format!("{triplet}gcc-{version}"));
        }
        // Mostly empty, so that listing it is cheaper than asking for each name.
        let local = root.path("/usr/local/bin");
        let in_local: BTreeSet<OsString> = look::read_dir(&local).map(|entry| entry.file_name()).collect();
        for name in names {
            if in_local.contains(OsStr::new(&name)) {
                stamp::stat(&mut hash, &local.join(&name));
            }
            stamp::stat(&mut hash, &root.path(Path::new("/usr/bin").join(name)));
        }
        if let Some(file) = self.build_environment() {
            stamp::stat(&mut hash, &root.path(file));
        }
        hash.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Overrides;
    use super::*;
    use crate::fs::directories::Memory;
    use crate::fs::root::Root;
    use crate::model::ids::Arch;
    use crate::model::settings::Settings;
    use crate::observe::distribution::Distribution;
    use crate::tree::layout::Layout;

    const K: &str = "6.1";

    /// The stamp of module `m`, in a process that has looked at nothing yet.
    fn stamp(layout: &Layout) -> String {
        let (settings, overrides) = (Settings::default(), Overrides::default());
        let (distribution, arch) = (Distribution::from_id("debian"), Arch::new("x86_64").unwrap());
        let observer = Observer {
            layout,
            settings: &settings,
            distribution: &distribution,
            arch: &arch,
            overrides: &overrides,
            asked: None,
            anew: false,
            memory: &Memory::default(),
            endless: &crate::observe::endless::Endless::default(),
        };
        let cell = Cell {
            module: ModuleId::new("m", "1").unwrap(),
            kernel: KernelRelease::new(K).unwrap(),
            arch: arch.clone(),
        };
        observer.stamp(&Once::new([&cell.module], [&cell.kernel]), &cell)
    }

    fn write(layout: &Layout, inside: &str) {
        let path = layout.root.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, inside).unwrap();
    }

    #[test]
    fn every_input_moves_the_stamp_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let link = |target: &str, inside: &str| {
            let path = layout.root.path(inside);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, path).unwrap();
        };
        link("/usr/src/m-1", "/var/lib/dkms/m/1/source");
        link("/usr/src/h", "/lib/modules/6.1/build");
        link("../conf-elsewhere", "/usr/src/m-1/dkms.conf");
        write(&layout, "/usr/src/h/include/config/auto.conf");
        let inputs = [
            "/usr/src/m-1/part/a.c",
            "/usr/src/conf-elsewhere",
            "/etc/dkms/m.conf",
            "/etc/dkms/m-1-6.1-x86_64.conf",
            "/etc/dkms/m/patches/a.patch",
            "/etc/dkms/framework.conf",
            "/etc/dkms/framework.conf.d/a.conf",
            "/usr/src/h/Module.symvers",
            "/usr/src/h/include/generated/utsrelease.h",
            "/usr/src/h/include/config/auto.conf",
            "/usr/bin/x86_64-linux-gnu-gcc-14",
            "/usr/local/bin/gcc-14",
            "/var/lib/dkms/mok.pub",
        ];
        let mut last = stamp(&layout);
        for input in inputs {
            write(&layout, input);
            let now = stamp(&layout);
            assert_ne!(now, last, "{input}");
            last = now;
        }
        for other in [
            "/etc/dkms/mm.conf",
            "/etc/dkms/m-2.conf",
            "/usr/src/m-1/.git/index",
            "/usr/src/h/include/linux/x.h",
            "/var/lib/dkms/m/1/build/make.log",
        ] {
            write(&layout, other);
            assert_eq!(stamp(&layout), last, "{other}");
        }
    }
}
