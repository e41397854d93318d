//! An engine for tests: a temporary root, a log of what was asked, and the failures that a test wants.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::apply::tarball::{self, Loaded, Pack, Unpacked};
use crate::cli::engine::{Engine, Failure, KeyPair, Need, Options, Outcome, Target};
use crate::conf::model::{Conf, Reader, Scripts};
use crate::fs::root::Root;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{Arch, KernelRelease, ModuleId};
use crate::model::request::{Goal, Request};
use crate::model::settings::Limit;
use crate::model::settings::Settings;
use crate::progress::Memory;
use crate::tree::layout::Layout;

pub struct Fake {
    dir: tempfile::TempDir,
    layout: Layout,
    pub requests: Vec<Request>,
    pub added: Vec<(PathBuf, ModuleId)>,
    pub settings: Settings,
    pub autoinstall: bool,
    pub running: Option<KernelRelease>,
    pub refuse: bool,
    pub packages: Vec<PathBuf>,
    /// Exit status by kernel.
    failing: BTreeMap<String, u8>,
    headers: Vec<KernelRelease>,
}

impl Fake {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        fs::create_dir_all(layout.tree()).unwrap();
        Self {
            dir,
            layout,
            requests: Vec::new(),
            added: Vec::new(),
            settings: Settings::default(),
            autoinstall: true,
            running: None,
            refuse: false,
            packages: Vec::new(),
            failing: BTreeMap::new(),
            headers: Vec::new(),
        }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// `S/m-v`. Its dkms.conf has the two words that [`Engine::conf`] of this fake reads.
    pub fn source(&self, name: &str, version: &str) {
        self.write(&format!("usr/src/{name}-{version}/dkms.conf"), &format!("{name} {version}"));
    }

    pub fn register(&self, name: &str, version: &str) {
        self.source(name, version);
        self.link(&ModuleId::new(name, version).unwrap());
    }

    fn link(&self, id: &ModuleId) {
        fs::create_dir_all(self.layout.build_dir(id)).unwrap();
        symlink(self.layout.source_inside(id), self.layout.source_link(id)).unwrap();
    }

    pub fn built(&self, name: &str, version: &str, kernel: &str) {
        self.write(&format!("var/lib/dkms/{name}/{version}/{kernel}/x86_64/module/{name}.ko"), "");
    }

    pub fn installed(&self, name: &str, version: &str, kernel: &str) {
        self.built(name, version, kernel);
        let link = self.dir.path().join(format!("var/lib/dkms/{name}/kernel-{kernel}-x86_64"));
        symlink(format!("{version}/{kernel}/x86_64"), link).unwrap();
        self.write(&format!("lib/modules/{kernel}/updates/dkms/{name}.ko"), "");
    }

    pub fn kernel(&mut self, release: &str) {
        self.kernel_without_headers(release);
        self.headers_only(release);
    }

    pub fn kernel_without_headers(&self, release: &str) {
        self.write(&format!("lib/modules/{release}/kernel/a.ko"), "");
    }

    pub fn headers_only(&mut self, release: &str) {
        self.write(&format!("lib/modules/{release}/build/include/a.h"), "");
        self.headers.push(KernelRelease::new(release).unwrap());
    }

    pub fn fail(&mut self, kernel: &str, code: u8) {
        self.failing.insert(kernel.to_owned(), code);
    }
}

impl Engine for Fake {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn run(&mut self, request: &Request, _: &Options) -> Outcome {
        self.requests.push(request.clone());
        let mut outcome = Outcome::default();
        match request {
            Request::Bring { module, kernel, arch, to, .. } => {
                let cell = Target { kernel: kernel.clone(), arch: arch.clone() }.cell(module);
                outcome.code = self.failing.get(kernel.as_str()).copied().unwrap_or(0);
                match outcome.code {
                    0 => {
                        let built = self.layout.built_modules(&cell).is_dir();
                        let there = match to {
                            Goal::Added => true,
                            Goal::Built | Goal::Installed => built,
                            Goal::Uninstalled | Goal::Unbuilt => !built,
                        };
                        if !there {
                            outcome.changed.push(cell.clone());
                        }
                        outcome.reached.push(cell);
                    }
                    77 => outcome.excluded.push((cell, "BUILD_EXCLUSIVE_ARCH is s390x".into())),
                    code => outcome.failures.push(Failure {
                        module: Some(module.clone()),
                        kernel: Some(kernel.clone()),
                        error: Error::new(Kind::Script(code), format!("{module} did not build")),
                    }),
                }
            }
            Request::Remove { module, cells } if cells.is_empty() => {
                fs::remove_dir_all(self.layout.version(module)).unwrap();
            }
            Request::Autoinstall { kernel, .. } | Request::KernelRemoved { kernel } => {
                if let Some(&code) = self.failing.get(kernel.as_str()) {
                    outcome.code = code;
                    outcome.failures.push(Failure {
                        module: Some(ModuleId::new("m", "1").unwrap()),
                        kernel: Some(kernel.clone()),
                        error: Error::new(Kind::Make, "m/1 did not build"),
                    });
                }
            }
            _ => {}
        }
        outcome
    }

    fn conf(&self, source: &Path, _: Option<&ModuleId>, _: Option<&Target>, _: &Options) -> Result<Conf> {
        let real = self.layout.root.resolve(self.layout.root.inside(source)).unwrap_or(source.to_owned());
        let text = fs::read_to_string(real.join("dkms.conf"))
            .map_err(|err| Error::io("read", &source.join("dkms.conf"), &err))?;
        let (name, version) = text.split_once(' ').unwrap_or((text.as_str(), ""));
        Ok(Conf {
            package_name: name.to_owned(),
            package_version: version.to_owned(),
            records: Vec::new(),
            make: String::new(),
            patches: Vec::new(),
            build_depends: Vec::new(),
            build_depends_rebuild: false,
            autoinstall: self.autoinstall,
            no_weak_modules: false,
            scripts: Scripts::default(),
            obsolete_by: None,
            warnings: Vec::new(),
            values: BTreeMap::new(),
            reader: Reader::Own,
        })
    }

    fn add_source(&mut self, from: &Path, id: &ModuleId, _: Option<&Target>, _: &Options) -> Result<()> {
        self.added.push((from.to_owned(), id.clone()));
        fs::create_dir_all(self.layout.source(id)).unwrap();
        self.link(id);
        Ok(())
    }

    fn unpack(&mut self, archive: &Path) -> Result<Unpacked> {
        tarball::unpack(&self.layout, archive, Limit::seconds("", 0), &Memory::default())
    }

    fn load(
        &mut self,
        unpacked: Unpacked,
        id: &ModuleId,
        _: Option<&Target>,
        options: &Options,
    ) -> Result<Loaded> {
        tarball::load(&self.layout, unpacked, id, options.force)
    }

    fn pack(&mut self, order: &Pack) -> Result<()> {
        tarball::pack(&self.layout, order, &Memory::default())
    }

    fn install_package(&mut self, file: &Path) -> Result<()> {
        self.packages.push(file.to_owned());
        match self.refuse {
            true => Err(Error::new(Kind::RpmFailed, "rpm said no")),
            false => Ok(()),
        }
    }

    fn key_pair(&mut self, _: Option<&Target>) -> Result<KeyPair> {
        let made = if self.refuse { Err(Error::new(Kind::SigningKey, "half a pair")) } else { Ok(true) };
        Ok(KeyPair {
            lines: ["Signing key: k".into(), "Public certificate (MOK): c".into()],
            made,
            next: None,
        })
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn running_kernel(&self) -> Option<KernelRelease> {
        self.running.clone()
    }

    fn kernels_with_headers(&self) -> Vec<KernelRelease> {
        self.headers.clone()
    }

    fn arch(&self, _: &KernelRelease) -> Result<Arch> {
        Ok(Arch::new("x86_64")?)
    }

    fn permit(&self, _: Need) -> Result<()> {
        if self.refuse { Err(Error::new(Kind::NotPermitted, "only root may do this")) } else { Ok(()) }
    }
}
