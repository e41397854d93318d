//! What the commands need done, without saying how.
//!
//! The commands turn words into [`Request`]s and tell what came of them; everything between is an
//! [`Engine`]. Tests put a recorder in its place.

use std::path::{Path, PathBuf};

use crate::apply::tarball::{Loaded, Pack, Unpacked};
use crate::conf::model::Conf;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId};
use crate::model::request::Request;
use crate::model::settings::Settings;
use crate::observe::status::{self, Filter, Listing};
use crate::tree::layout::Layout;

/// A kernel with the architecture that its modules are filed under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Kernel release.
    pub kernel: KernelRelease,
    /// Architecture.
    pub arch: Arch,
}

impl Target {
    /// Where `module` meets this kernel.
    pub fn cell(&self, module: &ModuleId) -> Cell {
        Cell { module: module.clone(), kernel: self.kernel.clone(), arch: self.arch.clone() }
    }
}

/// How a request is carried out, as far as the command line says; what it leaves open is for
/// framework.conf and the defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `--force`, where a request does not carry it itself (adding a source).
    pub force: bool,
    /// `--force-version-override`: install whatever MODULE_VERSION the present module has.
    pub force_version_override: bool,
    /// `-c`: read this file instead of the source's dkms.conf.
    pub conf: Option<PathBuf>,
    /// `--config`: the kernel configuration to look into.
    pub kernel_config: Option<PathBuf>,
    /// `--kernelsourcedir`: build against this directory.
    pub kernel_source_dir: Option<PathBuf>,
    /// `--directive NAME=value`, in order.
    pub directives: Vec<(String, String)>,
    /// `--no-depmod`.
    pub no_depmod: bool,
    /// `--rpm_safe_upgrade`.
    pub rpm_safe_upgrade: bool,
    /// `--debug`.
    pub debug: bool,
}

/// What came of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Exit status of a command that asked for just this; 0 when nothing failed.
    pub code: u8,
    /// Cells that are in the state asked for, whether they were before or not.
    pub reached: Vec<Cell>,
    /// Those of `reached` in which something had to be done.
    pub changed: Vec<Cell>,
    /// Cells that the module's own conf excludes, with the reason in words that follow "because".
    pub excluded: Vec<(Cell, String)>,
    /// Cells that wait for modules which are not registered here (BUILD_DEPENDS), with their names.
    pub deferred: Vec<(Cell, Vec<String>)>,
    /// Cells that a run over everything left out for want of modules that are registered here, with the
    /// names of those.
    pub unresolved: Vec<(Cell, Vec<String>)>,
    /// What failed. The engine has shown progress but not these: the command prints them.
    pub failures: Vec<Failure>,
}

/// One thing that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The module version, when it was about one.
    pub module: Option<ModuleId>,
    /// The kernel, when it was about one.
    pub kernel: Option<KernelRelease>,
    /// What went wrong, with the exit status for this part alone.
    pub error: Error,
}

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        Self {
            code: error.kind.exit_status(),
            failures: vec![Failure { module: None, kernel: None, error }],
            ..Self::default()
        }
    }
}

/// A signing key with its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The lines that name them.
    pub lines: [String; 2],
    /// Whether they were made now; or why there are none.
    pub made: Result<bool>,
    /// What to do for the kernel to trust them.
    pub next: Option<String>,
}

/// What a command may need leave for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Writing to the module tree.
    Tree,
    /// Being root.
    Root,
}

/// What adding a module version that is registered ends with.
pub(super) fn already_added(id: &ModuleId) -> Error {
    Error::new(Kind::AlreadyAdded, format!("{id} is already added"))
        .hint(format!("nothing was copied; to use another source run `dkms remove {id} --all` first"))
}

/// Carries requests out. No failure is a panic; each is in what is returned.
pub trait Engine {
    /// Where everything is.
    fn layout(&self) -> &Layout;

    /// Carries out one request.
    fn run(&mut self, request: &Request, options: &Options) -> Outcome;

    /// The dkms.conf in the directory `source` (as this process opens it; it may be a link of the tree,
    /// which is followed from inside the root), or [`Options::conf`], as it applies to `target`, or to
    /// any kernel when there is none. `id` is the name it is registered under, unknown while a path is
    /// being added; overrides in `/etc/dkms` apply when it is given.
    ///
    /// # Errors
    /// When the file cannot be read or its values are not acceptable.
    fn conf(
        &self,
        source: &Path,
        id: Option<&ModuleId>,
        target: Option<&Target>,
        options: &Options,
    ) -> Result<Conf>;

    /// Registers `id` from `from`: copies that directory to `S/m-v` unless it is that directory
    /// (replacing what is there with [`Options::force`], otherwise writing over it), links it into the
    /// tree, and runs POST_ADD. The caller has made sure that `id` is not registered.
    ///
    /// # Errors
    /// When copying or linking fails; exit status 3 when another run registered it meanwhile; POST_ADD's
    /// exit status is passed on.
    fn add_source(
        &mut self,
        from: &Path,
        id: &ModuleId,
        target: Option<&Target>,
        options: &Options,
    ) -> Result<()>;

    /// Unpacks an archive where nobody sees it, and looks at it. The lock is held as long as the result
    /// exists, so nothing else may be asked for meanwhile but [`Engine::conf`] and [`Engine::load`].
    ///
    /// # Errors
    /// When it is no archive of modules, or not one to be trusted.
    fn unpack(&mut self, archive: &Path) -> Result<Unpacked>;

    /// Registers `id` with the source and the builds of an archive, and runs POST_ADD. With
    /// [`Options::force`], what is there is replaced.
    ///
    /// # Errors
    /// When something cannot be written; POST_ADD's exit status is passed on.
    fn load(
        &mut self,
        unpacked: Unpacked,
        id: &ModuleId,
        target: Option<&Target>,
        options: &Options,
    ) -> Result<Loaded>;

    /// Makes an archive.
    ///
    /// # Errors
    /// When it cannot be written (exit status 9 where that is a matter of permissions, 6 otherwise).
    fn pack(&mut self, order: &Pack) -> Result<()>;

    /// Installs an rpm package: `rpm -Uvh`.
    ///
    /// # Errors
    /// Exit status 9 when rpm fails or is not there.
    fn install_package(&mut self, file: &Path) -> Result<()>;

    /// The signing key for `target`, or for any kernel; made when there is none.
    ///
    /// # Errors
    /// When it cannot even be said where it should be.
    fn key_pair(&mut self, target: Option<&Target>) -> Result<KeyPair>;

    /// The settings of framework.conf.
    fn settings(&self) -> &Settings;

    /// What `dkms status` lists. Nothing is cached: it is read anew each time.
    fn status(&self, filter: &Filter) -> Listing {
        status::list(self.layout(), self.settings().addon_modules_dir.as_deref(), filter)
    }

    /// The running kernel; `None` in a foreign root.
    fn running_kernel(&self) -> Option<KernelRelease>;

    /// Kernels for which modules can be built here, oldest first.
    fn kernels_with_headers(&self) -> Vec<KernelRelease>;

    /// The architecture that modules for `kernel` are filed under when none is given.
    ///
    /// # Errors
    /// When it cannot be told (exit status 12).
    fn arch(&self, kernel: &KernelRelease) -> Result<Arch>;

    /// Whether this process may do what a command needs.
    ///
    /// # Errors
    /// Exit status 1 when it may not.
    fn permit(&self, need: Need) -> Result<()> {
        use nix::unistd::{AccessFlags, access, geteuid};
        let layout = self.layout();
        // Whoever owns a tree that stands for `/` may do anything in there.
        if need == Need::Root && layout.root.is_slash() && !geteuid().is_root() {
            return Err(
                Error::new(Kind::NotPermitted, "only root may do this").hint("run it again with sudo")
            );
        }
        let tree = layout.tree();
        let nearest = tree.ancestors().find(|dir| dir.exists()).unwrap_or(&tree);
        access(nearest, AccessFlags::W_OK).map_err(|errno| {
            let shown = layout.dkms_tree.display();
            Error::new(
                Kind::NotPermitted,
                format!("cannot write to the module tree {shown}: {}", errno.desc()),
            )
            .hint("run it as root, or name another tree with --dkmstree")
        })
    }
}
