//! Running the build pipeline on toy modules.

use dkms_hook::apply::build::{Built, Failure, Job, build};
use dkms_hook::conf::model::Conf;
use dkms_hook::elf::{self, Compression, ModInfo};
use dkms_hook::fs::digest::file_digest;
use dkms_hook::model::ids::Cell;
use dkms_hook::model::settings::{Exceptions, Settings};
use dkms_hook::process::jobserver::Server;
use dkms_hook::progress::Memory;

use super::toy_kernel::{FakeRoot, ToyModule};

/// The release of the toy kernel in these tests.
pub const K: &str = "6.12.1-toy";

/// One build, its settings and what it reported.
pub struct Run<'a> {
    /// The root that it happens in.
    pub root: &'a FakeRoot,
    /// What is built.
    pub cell: Cell,
    /// Its conf; change it before the build.
    pub conf: Conf,
    /// The settings's settings; change them before the build.
    pub settings: Settings,
    /// `--force`.
    pub force: bool,
    pub verbose: bool,
    /// Where its makes get their jobs.
    pub server: Server,
    /// What was reported.
    pub report: Memory,
}

impl<'a> Run<'a> {
    /// A module, registered, for kernel [`K`].
    pub fn new(root: &'a FakeRoot, module: &ToyModule) -> Self {
        module.register(root);
        let cell = root.cell(module, K);
        let conf = module.conf(root, &cell);
        let mut settings = Settings::default();
        // What they do is looked at outside of their directories.
        if !root.confined {
            settings.unconfined_now.value = Exceptions::parse("*: toys").unwrap();
        }
        Self {
            root,
            cell,
            conf,
            settings,
            force: false,
            verbose: false,
            server: Server::without(2),
            report: Memory::default(),
        }
    }

    /// Builds it.
    pub fn build(&self) -> Result<Built, Failure> {
        let context = self.root.context(&self.cell);
        build(&Job {
            layout: &self.root.layout,
            cell: &self.cell,
            conf: &self.conf,
            context: &context,
            settings: &self.settings,
            build_environment: self.settings.build_environment.as_deref(),
            distro: "debian",
            server: &self.server,
            force: self.force,
            verbose: self.verbose,
            may_ask: false,
            kept: None,
            report: &self.report,
        })
    }

    /// `T/m/v/k/a` from inside the root.
    pub fn cell_dir(&self) -> String {
        self.root.layout.shown(&self.root.layout.cell(&self.cell)).display().to_string()
    }

    /// `T/m/v/k` from inside the root.
    pub fn kernel_dir(&self) -> String {
        self.cell_dir().rsplit_once('/').unwrap().0.to_owned()
    }

    /// `T/m/v/build` from inside the root.
    pub fn build_dir(&self) -> String {
        self.root.layout.shown(&self.root.layout.build_dir(&self.cell.module)).display().to_string()
    }

    /// SHA-256 of a built module, in hex.
    pub fn digest(&self, file: &str) -> String {
        file_digest(&self.root.layout.built_modules(&self.cell).join(file)).unwrap()
    }

    /// The content of a built module, unpacked.
    pub fn module_bytes(&self, file: &str) -> Vec<u8> {
        let path = self.root.layout.built_modules(&self.cell).join(file);
        Compression::of(&path).unwrap().unpack(std::fs::read(path).unwrap()).unwrap()
    }

    /// What a built module says about itself.
    pub fn modinfo(&self, file: &str) -> ModInfo {
        elf::modinfo(&self.root.layout.built_modules(&self.cell).join(file)).unwrap()
    }
}
