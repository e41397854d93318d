//! The machine under test: a whole system in memory, whose state is put back before each strike.
//!
//! It is entered by chroot(2), so initramfs and depmod are made as on a real one. Modules are compiled once;
//! the make of its headers copies them, because what is struck here is not the compiler.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::support::elf::Elf;
use super::support::program::Face;
use super::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use super::support::whole_system::whole_system;
use super::tracer::{self, Run, Strike};

/// The kernels, the second of which compresses its modules.
pub const K: &str = "6.12.1-toy";
pub const K2: &str = "6.13.0-toy";

/// The program under test, in the machine.
const PROGRAM: &str = "/opt/dkms-hook";
/// Debian's dkms, where that is under test: unpacked in the directory that this variable names.
pub const OTHER: &str = "SWEEP_DKMS";

/// What a run may change. The rest of the root is the machine's own, mounted there.
pub const STATE: [&str; 9] =
    ["boot", "etc", "root", "srv", "tmp", "usr/lib/modules", "usr/sbin", "usr/src", "var"];

/// The generator of an initramfs, which writes in place: digests of the modules that it holds.
const GENERATOR: &str = "#!/bin/sh
set -e
for k; do :; done
cd /lib/modules/$k
: > /boot/initrd.img-$k
find . -name '*.ko*' ! -path './build/*' | LC_ALL=C sort | while read -r f; do
	sha256sum \"$f\" >> /boot/initrd.img-$k || exit 1
done
";

/// depmod(8) as far as it is asked here: the files that there are. `@VERSION@` is what it says to be.
const DEPMOD: &str = "#!/bin/sh
case $1 in --version) printf '@VERSION@'; exit 0 ;; esac
set -e
for k; do :; done
cd /lib/modules/$k
find . -name '*.ko*' ! -path './build/*' | sed 's,^[.]/,,; s,$,:,' | LC_ALL=C sort > modules.dep.new
mv modules.dep.new modules.dep
";

/// What the headers of its kernels build with: modules that are there already.
const MAKEFILE: &str = "modules:
	cp $(M)/ready/@KERNEL@/*.ko $(M)/
	cp /dev/null $(M)/Module.symvers
clean:
	rm -f $(M)/*.ko $(M)/Module.symvers
";

/// The machine, and its state as it was saved last.
pub struct Machine {
    pub root: FakeRoot,
    saved: PathBuf,
    words: PathBuf,
    compiled: tempfile::TempDir,
}

impl Machine {
    /// A machine with two kernels and no module. `place` is in memory.
    pub fn new(place: &Path) -> Self {
        let root = whole_system();
        fs::create_dir_all(root.path("/opt")).unwrap();
        match is_other() {
            Some(dir) => other(&root, &dir),
            None => drop(fs::copy(env!("CARGO_BIN_EXE_dkms-hook"), root.path(PROGRAM)).unwrap()),
        }
        let machine = Self {
            root,
            saved: place.join("saved"),
            words: place.join("words"),
            compiled: tempfile::tempdir_in(place).unwrap(),
        };
        fs::write(machine.compiled.path().join("module.h"), include_str!("../support/toy-kernel/module.h"))
            .unwrap();
        for dir in STATE {
            fs::create_dir_all(machine.root.path(dir)).unwrap();
        }
        machine
    }

    /// Everything as after the installation of the system. `own_index`: whether the program makes the index of
    /// modules itself, as with a kmod that it knows.
    pub fn start_over(&self, kernels: &[&str], own_index: bool) {
        let root = &self.root;
        for dir in STATE.iter().filter(|dir| **dir != "usr/sbin") {
            empty(&root.path(dir));
        }
        for dir in ["var/lib/dkms", "var/log", "etc/dkms"] {
            fs::create_dir_all(root.path(dir)).unwrap();
        }
        fs::set_permissions(root.path("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        root.write("/etc/os-release", "ID=debian\nVERSION_ID=13\n");
        root.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n");
        root.write("/etc/ssl/openssl.cnf", "[req]\ndistinguished_name = name\n[name]\n");
        root.write("/etc/dkms/framework.conf", "try_sign_modules=\"false\"\nparallel_jobs=1\n");
        let version = if own_index { "kmod version 34.2\\n+ZSTD +XZ -ZLIB\\n" } else { "" };
        root.write_script("/usr/sbin/depmod", &DEPMOD.replace("@VERSION@", version));
        root.write_script("/usr/sbin/update-initramfs", GENERATOR);
        root.write_script("/usr/sbin/dpkg-query", "#!/bin/sh\nexit 1\n");
        if is_other().is_some() {
            // What dkms calls, and where Debian has it.
            for (name, target) in [("usr/sbin/modinfo", "../bin/kmod"), ("usr/sbin/lsmod", "../bin/kmod")] {
                let _ = fs::remove_file(root.path(name));
                symlink(target, root.path(name)).unwrap();
            }
            fs::create_dir_all(root.path("/etc/alternatives")).unwrap();
            symlink("/usr/bin/mawk", root.path("/etc/alternatives/awk")).unwrap();
            root.write("/etc/dkms/framework.conf", "");
        }
        for kernel in kernels {
            let toy = ToyKernel::new(kernel)
                .in_tree("drivers/hello.ko")
                .config("CONFIG_MODULE_SIG_HASH=\"sha256\"");
            if *kernel == K2 {
                toy.compressed("ZSTD").install(root)
            } else {
                toy.install(root)
            }
            root.write(
                format!("/usr/src/linux-headers-{kernel}/Makefile"),
                MAKEFILE.replace("@KERNEL@", kernel),
            );
            for (path, export) in [("fs/toyfs/toyfs.ko", "toyfs_register"), ("drivers/hello.ko", "hello_old")]
            {
                let export = vec![export.to_owned()];
                let modinfo = vec!["license=GPL".to_owned(), format!("vermagic={kernel} SMP mod_unload ")];
                let elf = Elf { wide: true, machine: 62, modinfo, exports: export, ..Elf::default() };
                root.write(format!("/usr/lib/modules/{kernel}/kernel/{path}"), elf.bytes());
            }
            root.write(format!("/boot/initrd.img-{kernel}"), "as the kernel's package left it\n");
        }
    }

    /// Writes the source of a module version with what it builds; `big` has 300 kB.
    pub fn source(&self, module: &ToyModule, big: bool) {
        module.write_source(&self.root);
        let id = module.id();
        let dir = self.root.layout.source_inside(&id);
        for kernel in self.root.names("/usr/lib/modules") {
            let ready = dir.join("ready").join(&kernel);
            self.compile(id.name.as_str(), id.version.as_str(), &kernel, big, &ready);
        }
    }

    /// Compiles a module, once for all machines that need it.
    fn compile(&self, name: &str, version: &str, kernel: &str, big: bool, to: &Path) {
        let compiled = self.compiled.path();
        let object = compiled.join(format!("{name}-{version}-{kernel}-{big}.ko"));
        if !object.exists() {
            let text = format!(
                "#include \"module.h\"\nMODULE_LICENSE(\"GPL\");\nMODULE_VERSION(\"{version}\");\n\
                 MODULE_INFO(vermagic, \"{kernel} SMP mod_unload \");\nMODULE_INFO(name, \"{name}\");\n\
                 MODULE_INFO(srcversion, \"{version}{name}\");\nint {name}_answer(void) {{ return 42; }}\n{}",
                if big { "const char filler[300000] = { 1 };\n" } else { "" }
            );
            let source = compiled.join("source.c");
            fs::write(&source, text).unwrap();
            let mut gcc = Command::new("gcc");
            gcc.args(["-g", "-ffreestanding", "-c", "-o"]).arg(&object).arg(&source);
            assert!(gcc.status().unwrap().success());
        }
        self.root.write(to.join(format!("{name}.ko")), fs::read(object).unwrap());
    }

    /// A key pair for signing, and a kernel tool that signs with it.
    pub fn signing(&self, pair: bool) {
        self.root.write("/etc/dkms/framework.conf", "try_sign_modules=\"true\"\nparallel_jobs=1\n");
        for kernel in self.root.names("/usr/lib/modules") {
            let tool = self.root.write_sign_file(&kernel);
            // In here the machine is at `/`.
            let text =
                fs::read_to_string(&tool).unwrap().replace(self.root.layout.root.dir().to_str().unwrap(), "");
            fs::write(tool, text).unwrap();
        }
        if pair {
            self.new_pair();
        }
    }

    /// Another key pair in the place of the one that is there.
    pub fn new_pair(&self) {
        self.root.write_pair("/var/lib/dkms/mok.key", "/var/lib/dkms/mok.pub", None);
        let key = self.root.path("/var/lib/dkms/mok.key");
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Registers a module version.
    pub fn register(&self, module: &ToyModule) {
        self.source(module, false);
        let id = module.id();
        let entry = self.root.path(format!("/var/lib/dkms/{}/{}", id.name, id.version));
        fs::create_dir_all(&entry).unwrap();
        let link = entry.join("source");
        let _ = fs::remove_file(&link);
        symlink(self.root.layout.source_inside(&id), link).unwrap();
    }

    /// The program with these words, ready to run on the machine.
    fn command(&self, face: Face, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.env_clear().env("LC_ALL", "C").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("HOME", "/root").current_dir("/").stdin(std::process::Stdio::null());
        if is_other().is_none() {
            command.arg0(if face == Face::Dkms { "/usr/sbin/dkms" } else { PROGRAM });
        }
        let dir = self.root.layout.root.dir().to_owned();
        // SAFETY: between fork and exec the closure makes two system calls and allocates nothing.
        #[allow(unsafe_code)]
        unsafe {
            command.pre_exec(move || Ok(nix::unistd::chroot(&dir).and_then(|()| nix::unistd::chdir("/"))?));
        }
        command.args(words);
        command
    }

    /// Runs it, and strikes it.
    pub fn run(&self, face: Face, words: &[&str], strike: Option<Strike>) -> Run {
        tracer::run(self.command(face, words), self.root.layout.root.dir(), &self.words, strike)
    }

    /// Runs it; it has to end well.
    #[track_caller]
    pub fn does(&self, face: Face, words: &[&str]) {
        let run = self.run(face, words, None);
        assert_eq!(run.ended.code, Some(0), "{words:?}: {}", run.ended.said);
        run.rest();
    }

    /// Keeps the state as it is now.
    pub fn save(&self) {
        empty(&self.saved);
        for dir in STATE {
            copy(&self.root.path(dir), &self.saved.join(dir));
        }
    }

    /// Puts the saved state back.
    pub fn put_back(&self) {
        for dir in STATE {
            let place = self.root.path(dir);
            empty(&place);
            copy(&self.saved.join(dir), &place);
        }
    }
}

/// Where Debian's dkms is, if that is under test.
pub fn is_other() -> Option<PathBuf> {
    std::env::var_os(OTHER).map(PathBuf::from)
}

/// Puts Debian's dkms in the place of the program.
fn other(root: &FakeRoot, dir: &Path) {
    fs::copy(dir.join("usr/sbin/dkms"), root.path(PROGRAM)).unwrap();
    copy(&dir.join("usr/lib/dkms"), &root.path("/usr/lib/dkms"));
}

/// Deletes what is in a directory, or makes it.
fn empty(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
            .unwrap();
    }
}

/// Copies a tree with modes, times and owners.
fn copy(from: &Path, to: &Path) {
    use std::os::unix::fs::{MetadataExt, chown, lchown};
    let meta = fs::symlink_metadata(from).unwrap();
    if meta.is_symlink() {
        symlink(fs::read_link(from).unwrap(), to).unwrap();
        lchown(to, Some(meta.uid()), Some(meta.gid())).unwrap();
        return;
    }
    if meta.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().flatten() {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
    chown(to, Some(meta.uid()), Some(meta.gid())).unwrap();
    fs::set_permissions(to, meta.permissions()).unwrap();
    let times =
        fs::FileTimes::new().set_accessed(meta.accessed().unwrap()).set_modified(meta.modified().unwrap());
    fs::File::open(to).unwrap().set_times(times).unwrap();
}
