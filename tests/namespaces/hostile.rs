//! A module that tries what a build may not do, in surroundings that give less and less to refuse it with. In each of
//! them all of it is refused, and the module itself is built right.
//!
//! For these, root has to be root: in a user namespace there is no other user to become. So they run without one, in
//! mount and process namespaces of the machine's root.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::Command;

use crate::support::program::{Face, finish};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use crate::support::trace;
use crate::support::whole_system::whole_system;

const K: &str = "6.12.1-toy";

/// The program that does one of the tries.
const TRIES: &str = include_str!("hostile/tries.c");

/// What is tried: a name, and the words for the program.
const ALL: [(&str, &str); 30] = [
    ("etc", "create /etc/hostile"),
    ("passwd", "write /etc/passwd"),
    ("root", "create /root/hostile"),
    ("roots-files", "read /root/notes"),
    ("a-home", "read /home/user/notes"),
    ("boot", "create /boot/hostile"),
    ("boot-image", "write /boot/vmlinuz-@K@"),
    ("kernels-module", "write /lib/modules/@K@/kernel/fs/toyfs/toyfs.ko"),
    ("headers", "write /usr/src/linux-headers-@K@/Makefile"),
    ("own-source", "write /usr/src/hostile-1/Makefile"),
    ("others-source", "write /usr/src/other-1/Makefile"),
    ("others-build", "write /var/lib/dkms/other/1/@K@/x86_64/module/other.ko"),
    ("others-installed-file", "delete /lib/modules/@K@/updates/dkms/other.ko"),
    ("lock", "write /var/lib/dkms/.dkms-hook/lock"),
    ("record", "write /var/lib/dkms/other/1/@K@/x86_64/.dkms-hook.json"),
    ("key", "read /var/lib/dkms/mok.key"),
    ("replace-key", "delete /var/lib/dkms/mok.key"),
    ("tcp", "tcp"),
    ("udp", "udp"),
    ("raw", "raw"),
    ("unix", "unix /run/service"),
    ("unix-elsewhere", "unix /opt/service"),
    ("mount", "mount /mnt"),
    ("device", "device"),
    ("setuid", "setuid"),
    ("signal", "signal $DKMS_HOOK_PARENT"),
    ("memory", "memory $DKMS_HOOK_PARENT"),
    ("sys", "write /proc/sys/kernel/core_pattern"),
    ("chroot", "chroot"),
    ("large", "large"),
];

pub const SCENARIOS: [(&str, fn()); 4] = [
    ("in_a_root_that_is_a_mount", in_a_root_that_is_a_mount),
    ("in_a_chroot", in_a_chroot),
    ("in_a_container_that_may_not_mount", in_a_container_that_may_not_mount),
    ("without_a_sandbox_all_of_it_works", without_a_sandbox_all_of_it_works),
];

/// A system with a module that works, one that is hostile, a key and somebody's files.
fn system() -> FakeRoot {
    let root = whole_system().confined();
    let open = |path: &str, mode: u32| {
        std::fs::set_permissions(root.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    // Not refused for its mode: what is hidden is to be hidden.
    for file in ["/root/notes", "/home/user/notes"] {
        root.write(file, "private");
        open(file, 0o644);
    }
    for dir in ["/", "/root", "/home/user", "/var/lib/dkms"] {
        open(dir, 0o755);
    }
    root.write("/var/lib/dkms/mok.key", "secret");
    root.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    for dir in ["/mnt", "/run", "/opt"] {
        std::fs::create_dir_all(root.path(dir)).unwrap();
    }
    root.write("/etc/dkms/framework.conf", "build_processes=60\nbuild_file_size=64M\nbuild_cache=0\n");
    ToyKernel::new(K).install(&root);
    ToyModule::new("other", "1").register(&root);
    root
}

/// The hostile module. It tries before make, and in make.
fn register(root: &FakeRoot) {
    let mut script = String::from(
        "#!/bin/sh\n: > own\n\
         try() { name=$1; shift; if ./tries \"$@\" > /dev/null 2>&1; then echo \"try $name: done\"; \
         else echo \"try $name: refused\"; fi; }\n",
    );
    for (name, words) in ALL {
        script.push_str(&format!("try {name} {}\n", words.replace("@K@", K)));
    }
    script.push_str(&format!(
        "try forks forks 300\n./tries stay {}\nrm -f own large device\necho tried\n",
        stays(root)
    ));
    ToyModule::new("hostile", "1")
        .file("tries.c", TRIES)
        .executable("try.sh", &script)
        .line("PRE_BUILD=try.sh")
        .register(root);
    // The system has no headers of libc.
    let dir = root.path("/usr/src/hostile-1");
    let mut gcc = Command::new("gcc");
    gcc.arg("-o").arg(dir.join("tries")).arg(dir.join("tries.c"));
    assert!(gcc.status().unwrap().success());
}

/// What a run in these surroundings says of each try, in the order of trying.
fn run_in(root: FakeRoot, surroundings: &[&str]) -> (FakeRoot, Vec<(String, bool)>) {
    let start = |root: &FakeRoot| {
        let mut program = root.program(Face::Hook);
        if root.read("/etc/dkms/framework.conf").contains("unconfined") {
            // What it does was not planned.
            program.env_remove(trace::VARIABLE);
        }
        let mut words = surroundings.iter().map(std::ffi::OsString::from);
        let mut command = match words.next() {
            Some(first) => {
                let mut command = Command::new(first);
                command.args(words).arg(program.get_program()).args(program.get_args());
                command
            }
            None => return finish(program.env("PATH", PATH).env("TMPDIR", "/tmp")),
        };
        command.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        finish(command.env("PATH", PATH).env("TMPDIR", "/tmp").current_dir("/"))
    };
    start(&root).expect(0);
    let listeners = ["/run/service", "/opt/service"].map(|path| {
        let listener = UnixListener::bind(root.path(path)).unwrap();
        std::fs::set_permissions(root.path(path), std::fs::Permissions::from_mode(0o777)).unwrap();
        listener
    });
    register(&root);
    start(&root).expect(0);
    drop(listeners);
    assert!(root.exists(format!("/lib/modules/{K}/updates/dkms/hostile.ko")));
    let log = root.read(format!("/var/lib/dkms/hostile/1/{K}/x86_64/log/make.log"));
    assert!(log.contains("\ntried\n"), "{log}");
    let tries = log.lines().filter_map(|line| {
        let (name, end) = line.strip_prefix("try ")?.split_once(": ")?;
        Some((name.to_owned(), end == "refused"))
    });
    let tries: Vec<_> = tries.collect();
    assert_eq!(tries.len(), ALL.len() + 1, "{log}");
    (root, tries)
}

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

fn all_is_refused(surroundings: &[&str], says: &[&str]) {
    all_is_refused_in(system(), surroundings, says);
}

fn all_is_refused_in(root: FakeRoot, surroundings: &[&str], says: &[&str]) {
    let (root, tries) = run_in(root, surroundings);
    let log = root.read(format!("/var/lib/dkms/hostile/1/{K}/x86_64/log/make.log"));
    let done: Vec<&str> = tries.iter().filter(|(_, refused)| !refused).map(|(name, _)| &**name).collect();
    assert_eq!(done, [""; 0], "{log}");
    for text in says {
        assert!(log.contains(text), "{text} is missing in\n{log}");
    }
    assert!(!is_left(&root), "a process is left");
    assert!(root.names("/var/lib/dkms/hostile/1").iter().all(|name| name != "build"));
    assert!(root.read("/etc/passwd").starts_with("root:"));
    assert_eq!(root.read("/var/lib/dkms/mok.key"), "secret");
}

/// The name of the process that is to stay behind: other scenarios have others.
fn stays(root: &FakeRoot) -> String {
    format!("hostile-{}", root.layout.root.dir().file_name().unwrap().to_str().unwrap())
}

/// Whether it runs.
fn is_left(root: &FakeRoot) -> bool {
    let name = stays(root);
    let mut processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.any(|entry| {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        words.starts_with(name.as_bytes())
    })
}

fn in_a_root_that_is_a_mount() {
    let root = system();
    let mut mount = Command::new("mount");
    mount.arg("--rbind").arg(root.path("/")).arg(root.path("/"));
    assert!(mount.status().unwrap().success());
    all_is_refused_in(
        root,
        &[],
        &["own mounts, processes, /proc, network", "Landlock", "filter of system calls"],
    );
}

fn in_a_chroot() {
    all_is_refused(&[], &["own mounts, processes, /proc, network", "Landlock", "filter of system calls"]);
}

/// Neither the right to make namespaces nor user namespaces, as in most containers.
fn in_a_container_that_may_not_mount() {
    let no = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"];
    all_is_refused(&no, &["without own mounts, processes", "Landlock", "filter of system calls"]);
}

/// So that the tries are such that could be done.
fn without_a_sandbox_all_of_it_works() {
    let root = system();
    root.write("/etc/dkms/framework.conf", "build_cache=0\nunconfined='hostile: to see what it can do'\n");
    let (root, tries) = run_in(root, &[]);
    let refused: Vec<&str> = tries.iter().filter(|(_, refused)| *refused).map(|(name, _)| &**name).collect();
    assert_eq!(refused, [""; 0]);
    // The processes of this scenario end with it.
    assert!(is_left(&root));
}
