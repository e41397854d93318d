//! Fake roots with toy kernels, whose headers really compile.
//!
//! A [`FakeRoot`] is a temporary directory laid out like a Debian system. A [`ToyKernel`] put into
//! it is an image, headers, or both; its headers have a Makefile that understands
//! `make -C headers M=dir` the way kbuild does (`obj-m`, `name-objs`, `clean`) and makes ELF files
//! with a true `.modinfo`. A [`ToyModule`] is a module source with its dkms.conf. None of it needs
//! privileges or a real kernel; gcc, ld and make must be installed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use dkms_hook::conf::USUAL_LIMIT;
use dkms_hook::conf::model::Context;
use dkms_hook::fs::root::Root;
use dkms_hook::model::ids::{Arch, Cell, KernelRelease};
use dkms_hook::tree::layout::Layout;

#[path = "toy_module.rs"]
mod toy_module;
pub use toy_module::ToyModule;

/// The architecture of all toy cells.
pub const ARCH: &str = "x86_64";

/// Where the toy Makefile notes each call, inside the root: one line per call with the directory.
const CALLS: &str = "/var/log/toy-make-calls";

/// A temporary directory that stands for `/`. It disappears with the value.
pub struct FakeRoot {
    dir: tempfile::TempDir,
    /// The trees in it.
    pub layout: Layout,
    /// Builds run in a sandbox, as they do without tests.
    pub confined: bool,
}

impl FakeRoot {
    /// An empty Debian: `/lib` is a link into `/usr`, and there is an os-release.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // macOS-like indirection of /tmp would make recorded absolute paths differ.
        let layout = Layout::new(Root::at(dir.path().canonicalize().unwrap()));
        let root = Self { dir, layout, confined: false };
        root.lay_out();
        root
    }

    /// Lets builds run as they do without tests: in a sandbox.
    pub fn confined(mut self) -> Self {
        self.confined = true;
        self
    }

    /// Deletes everything, so that the root is as new, at its old place.
    pub fn start_over(&self) {
        for entry in fs::read_dir(self.path("/")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_symlink() { fs::remove_file(path) } else { fs::remove_dir_all(path) }.unwrap();
        }
        self.lay_out();
    }

    fn lay_out(&self) {
        let root = self;
        for name in ["/usr/lib/modules", "/usr/src", "/var/lib/dkms", "/var/log", "/etc/dkms", "/boot"] {
            fs::create_dir_all(root.path(name)).unwrap();
        }
        symlink("usr/lib", root.path("/lib")).unwrap();
        root.write("/etc/os-release", "ID=debian\nVERSION_ID=13\nPRETTY_NAME=\"Toy\"\n");
    }

    /// How this process reaches a path of the root.
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        self.layout.root.path(inside)
    }

    /// Writes a file, making its directories.
    pub fn write(&self, inside: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes an executable file, making its directories.
    pub fn write_script(&self, inside: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.write(inside, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A file's text.
    pub fn read(&self, inside: impl AsRef<Path>) -> String {
        let path = self.path(inside);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Whether something is there; links are not followed.
    pub fn exists(&self, inside: impl AsRef<Path>) -> bool {
        fs::symlink_metadata(self.path(inside)).is_ok()
    }

    /// The names in a directory, sorted; none when it is missing.
    pub fn names(&self, inside: impl AsRef<Path>) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(inside)) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// How often a toy kernel's Makefile was called by builds since the last call of this
    /// function: one entry per call, the directory that was built (from inside the root).
    pub fn take_make_calls(&self) -> Vec<String> {
        let path = self.path(CALLS);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        text.lines().map(|line| self.layout.root.inside(Path::new(line)).display().to_string()).collect()
    }

    /// Switches the cache of builds off: for tests that count builds of what was there before.
    pub fn without_cache(self) -> Self {
        self.write("/etc/dkms/framework.conf.d/cache.conf", "build_cache=0\n");
        self
    }

    /// Where a module version meets a kernel.
    pub fn cell(&self, module: &ToyModule, kernel: &str) -> Cell {
        Cell {
            module: module.id(),
            kernel: KernelRelease::new(kernel).unwrap(),
            arch: Arch::new(ARCH).unwrap(),
        }
    }

    /// What a dkms.conf is evaluated with for a cell.
    pub fn context(&self, cell: &Cell) -> Context {
        let headers = self.layout.headers(&cell.kernel);
        Context {
            kernel: Some(cell.kernel.clone()),
            arch: cell.arch.clone(),
            kernel_config: headers.join("include/config/auto.conf"),
            kernel_source_dir: headers,
            dkms_tree: self.layout.tree(),
            source_tree: self.path(&self.layout.source_tree),
            install_tree: self.path(&self.layout.install_tree),
            module: Some(cell.module.clone()),
            parallel_jobs: 2,
            directives: Vec::new(),
            limit: USUAL_LIMIT,
            unconfined: false,
        }
    }
}

/// A kernel to be put into a root. Starts as one with the compiler `gcc`, uncompressed modules, and
/// one module of its own.
#[derive(Clone)]
pub struct ToyKernel {
    release: String,
    config: Vec<String>,
    kernel_variables: Option<String>,
    vermagic: Option<String>,
    in_tree: Vec<String>,
}

impl ToyKernel {
    /// A kernel by its release.
    pub fn new(release: &str) -> Self {
        Self {
            release: release.to_owned(),
            config: vec![
                "CONFIG_MODULES=y".into(),
                "CONFIG_SMP=y".into(),
                "CONFIG_MODULE_UNLOAD=y".into(),
                "CONFIG_CC_VERSION_TEXT=\"gcc (Toy 1) 1\"".into(),
            ],
            kernel_variables: None,
            vermagic: None,
            in_tree: vec!["fs/toyfs/toyfs.ko".into()],
        }
    }

    /// Adds a line to its configuration; later lines win.
    pub fn config(mut self, line: &str) -> Self {
        let name = line.split('=').next().unwrap();
        self.config.retain(|known| known.split('=').next() != Some(name));
        self.config.push(line.to_owned());
        self
    }

    /// Symbols have versions: modules carry the CRCs of what they import, and export their own functions
    /// with CRCs (`EXPORT_SYMBOL` in a line of its own).
    pub fn symbol_versions(self) -> Self {
        self.config("CONFIG_MODVERSIONS=y")
    }

    /// Modules are compressed: "GZIP", "XZ" or "ZSTD".
    pub fn compressed(self, kind: &str) -> Self {
        self.config(&format!("CONFIG_MODULE_COMPRESS_{kind}=y"))
    }

    /// The compiler that it says it was built with.
    pub fn compiler(self, command: &str) -> Self {
        self.config(&format!("CONFIG_CC_VERSION_TEXT=\"{command} (Toy 1) 1\""))
    }

    /// Headers insist on a compiler, as Debian's do (`.kernelvariables`).
    pub fn insists_on(mut self, command: &str) -> Self {
        self.kernel_variables = Some(format!("override ARCH = x86\nCC = {command}\n"));
        self.compiler(command)
    }

    /// Modules built with its headers claim to be for another release.
    pub fn wrong_vermagic(mut self, release: &str) -> Self {
        self.vermagic = Some(release.to_owned());
        self
    }

    /// The image has a file `kernel/<path>` in its module tree (content is its own name).
    pub fn in_tree(mut self, path: &str) -> Self {
        self.in_tree.push(path.to_owned());
        self
    }

    /// Puts image and headers into a root.
    pub fn install(&self, root: &FakeRoot) {
        self.install_image(root);
        self.install_headers(root);
    }

    /// `/boot/vmlinuz-K` and `/lib/modules/K/` as an image package brings them.
    pub fn install_image(&self, root: &FakeRoot) {
        let k = &self.release;
        root.write(format!("/boot/vmlinuz-{k}"), "toy kernel");
        root.write(format!("/boot/config-{k}"), self.config.join("\n") + "\n");
        for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
            root.write(format!("/usr/lib/modules/{k}/{name}"), "");
        }
        for path in &self.in_tree {
            root.write(format!("/usr/lib/modules/{k}/kernel/{path}"), path);
        }
    }

    /// `/usr/src/linux-headers-K` and the link `/lib/modules/K/build` to it.
    pub fn install_headers(&self, root: &FakeRoot) {
        let k = &self.release;
        let headers = format!("/usr/src/linux-headers-{k}");
        let vermagic = self.vermagic.as_ref().unwrap_or(k);
        root.write(
            format!("{headers}/include/generated/utsrelease.h"),
            format!("#define UTS_RELEASE \"{vermagic}\"\n"),
        );
        root.write(format!("{headers}/include/linux/module.h"), MODULE_H);
        root.write(format!("{headers}/include/config/auto.conf"), self.config.join("\n") + "\n");
        root.write(format!("{headers}/.config"), self.config.join("\n") + "\n");
        root.write(format!("{headers}/Module.symvers"), "0x12345678\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n");
        let calls = root.path(CALLS);
        root.write(format!("{headers}/Makefile"), MAKEFILE.replace("@CALLS@", calls.to_str().unwrap()));
        root.write(format!("{headers}/scripts/modpost"), MODPOST);
        if let Some(text) = &self.kernel_variables {
            root.write(format!("{headers}/.kernelvariables"), text);
        }
        let link = root.path(format!("/usr/lib/modules/{k}/build"));
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&link);
        symlink(&headers, link).unwrap();
    }

    /// Takes the headers away again.
    pub fn remove_headers(&self, root: &FakeRoot) {
        fs::remove_dir_all(root.path(format!("/usr/src/linux-headers-{}", self.release))).unwrap();
        let dir = root.path(format!("/usr/lib/modules/{}", self.release));
        fs::remove_file(dir.join("build")).unwrap();
        let _ = fs::remove_dir(dir);
    }

    /// Takes away what the image brought, as dpkg does: directories that are not empty stay.
    pub fn remove_image(&self, root: &FakeRoot) {
        let k = &self.release;
        for file in [format!("/boot/vmlinuz-{k}"), format!("/boot/config-{k}")] {
            fs::remove_file(root.path(file)).unwrap();
        }
        let dir = root.path(format!("/usr/lib/modules/{k}"));
        for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
            fs::remove_file(dir.join(name)).unwrap();
        }
        let _ = fs::remove_dir_all(dir.join("kernel"));
        let _ = fs::remove_dir(dir);
    }
}

/// The macros that module sources use; each puts a text into `.modinfo` as the kernel's do.
const MODULE_H: &str = include_str!("toy-kernel/module.h");

/// Symbol versions.
const MODPOST: &str = include_str!("toy-kernel/modpost");

/// What kbuild does for external modules, in a few lines.
const MAKEFILE: &str = include_str!("toy-kernel/Makefile");
