//! Builds of one module version for two kernels at the same time: each sees its own directory as `build`.

use crate::support::program::{Answer, Face, finish};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use crate::support::whole_system::whole_system;

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";

pub const SCENARIOS: [(&str, fn()); 5] = [
    ("both_are_built_at_once_and_to_the_same_bytes", both_are_built_at_once_and_to_the_same_bytes),
    ("without_the_right_to_mount_they_take_turns", without_the_right_to_mount_they_take_turns),
    ("a_root_that_is_no_mount_has_them_take_turns", a_root_that_is_no_mount_has_them_take_turns),
    ("what_failed_is_left_where_people_look", what_failed_is_left_where_people_look),
    ("killed_while_both_build_nothing_is_left", killed_while_both_build_nothing_is_left),
];

/// What a whole system needs, and a setpriv(1) that can take the right to mount away.
pub const PROBE: &str =
    "setpriv --bounding-set=-sys_admin true && mount -t proc proc /proc && mount -t tmpfs probe /mnt";

/// A module that has its directory in its bytes. Where there is a directory for it, its builds wait there for each other.
fn module(root: &FakeRoot) -> ToyModule {
    let meeting = root.path("/var/log/meeting");
    let script = format!(
        "#!/bin/sh\necho \"#define WHERE \\\"$PWD\\\"\" > where.h\n\
         test -d {0} || exit 0\ntouch {0}/$1\ntries=0\n\
         while [ $(ls {0} | wc -l) -lt 2 ]; do\n\
         tries=$((tries + 1))\n[ $tries -lt 600 ] || exit 9\nsleep 0.05\ndone\n",
        meeting.display()
    );
    let make = "./meet.sh $kernelver && make -C $kernel_source_dir M=$dkms_tree/hello/1/build";
    let source = "#include <linux/module.h>\n#include \"where.h\"\n\n\
                  const char *hello_where(void)\n{\n\treturn WHERE __FILE__;\n}\n\nMODULE_LICENSE(\"GPL\");\n";
    ToyModule::new("hello", "1").executable("meet.sh", &script).file("hello.c", source).make(make)
}

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    prepare(&root);
    root
}

fn prepare(root: &FakeRoot) {
    ToyKernel::new(K).install(root);
    ToyKernel::new(K2).install(root);
    root.write("/etc/dkms/framework.conf", "parallel_jobs=2\nbuild_cache=0\n");
}

fn meet(root: &FakeRoot) {
    let dir = root.path("/var/log/meeting");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
}

/// Installed modules of both kernels.
fn modules(root: &FakeRoot) -> [Vec<u8>; 2] {
    [K, K2].map(|kernel| {
        std::fs::read(root.path(format!("/lib/modules/{kernel}/updates/dkms/hello.ko"))).unwrap()
    })
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap()
}

/// What is in `T/m/v`, hidden or not.
fn entries(root: &FakeRoot) -> Vec<String> {
    let dir = std::fs::read_dir(root.path("/var/lib/dkms/hello/1")).unwrap();
    let mut names: Vec<String> = dir.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn both_are_built_at_once_and_to_the_same_bytes() {
    let root = root();
    // As on a machine with systemd: what is mounted here would appear elsewhere.
    mount(&["--make-rshared", "/"]);
    let before = mounts();
    module(&root).register(&root);
    root.dkms(&["install", "hello/1", "-k", K]).expect(0);
    root.dkms(&["install", "hello/1", "-k", K2]).expect(0);
    let alone = modules(&root);
    let text = String::from_utf8_lossy(&alone[0]).into_owned();
    assert!(text.contains("/var/lib/dkms/hello/1/build"), "the test tests nothing");
    let symvers = |root: &FakeRoot| {
        [K, K2]
            .map(|kernel| root.read(format!("/var/lib/dkms/hello/1/{kernel}/x86_64/module/Module.symvers")))
    };
    let symvers_alone = symvers(&root);
    root.dkms(&["unbuild", "hello/1", "--all"]).expect(0);
    root.take_make_calls();
    meet(&root);
    root.hook(&[]).expect(0);
    assert!(modules(&root) == alone, "built at once they are other bytes");
    assert_eq!(symvers(&root), symvers_alone);
    let mut built = root.take_make_calls();
    built.sort();
    assert_eq!(built, ["/var/lib/dkms/hello/1/build"; 2], "so the commands saw it");
    assert_eq!(entries(&root), [K, K2, "source"]);
    for kernel in [K, K2] {
        let log = root.read(format!("/var/lib/dkms/hello/1/{kernel}/x86_64/log/make.log"));
        assert!(log.contains(&format!("for kernel {kernel}")) && !log.contains(".tmp-build"), "{log}");
    }
    assert_eq!(mounts(), before);
    root.hook(&[]).expect(0).says("nothing to do");
}

fn mount(args: &[&str]) {
    assert!(std::process::Command::new("mount").args(args).status().unwrap().success());
}

/// Runs the hook; `before` stands before it on the command line.
fn hook_by(root: &FakeRoot, before: &[&str]) -> Answer {
    let hook = root.program(Face::Hook);
    let mut command = std::process::Command::new(before[0]);
    command.args(&before[1..]).arg(hook.get_program()).args(hook.get_args()).env_clear();
    for (name, value) in hook.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    finish(&mut command)
}

/// A build that fails when another one is there at the same time.
fn jealous() -> ToyModule {
    let script = "#!/bin/sh\nmkdir ../busy || exit 8\nsleep 0.3\n";
    ToyModule::new("hello", "1")
        .executable("first.sh", script)
        .make("./first.sh && make -C $kernel_source_dir M=$dkms_tree/hello/1/build && rmdir ../busy")
}

fn without_the_right_to_mount_they_take_turns() {
    let root = root();
    jealous().register(&root);
    hook_by(&root, &["setpriv", "--bounding-set=-sys_admin"]).expect(0);
    modules(&root);
    assert_eq!(entries(&root), [K, K2, "source"]);
}

fn a_root_that_is_no_mount_has_them_take_turns() {
    // The program enters it by chroot(2).
    let root = whole_system();
    prepare(&root);
    jealous().register(&root);
    let mut hook = root.program(Face::Hook);
    finish(hook.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("TMPDIR", "/tmp")).expect(0);
    modules(&root);
}

fn what_failed_is_left_where_people_look() {
    let root = root();
    let make = "test $kernelver != 6.13.0-toy && make -C $kernel_source_dir M=$dkms_tree/hello/1/build";
    ToyModule::new("hello", "1").make(make).register(&root);
    let said = root.hook(&[]);
    assert!(said.err.contains("6.13.0-toy-x86_64.log") && !said.err.contains(".tmp-build"), "{}", said.err);
    assert_eq!(entries(&root), [K, "build", "source"]);
    let log = root.read("/var/lib/dkms/hello/1/build/make.log");
    assert!(log.contains(&format!("for kernel {K2}")), "{log}");
    assert!(root.exists("/var/lib/dkms/hello/1/build/hello.c"));
    root.dkms(&["build", "hello/1", "-k", K, "--force"]).expect(0);
    assert_eq!(entries(&root), [K, "source"]);
}

fn killed_while_both_build_nothing_is_left() {
    // The processes that are to be found are those of this namespace.
    mount(&["-t", "proc", "proc", "/proc"]);
    let root = root();
    module(&root).register(&root);
    meet(&root);
    // A third one that never comes: both wait.
    let script = root.read("/usr/src/hello-1/meet.sh").replace("-lt 2 ]", "-lt 3 ]");
    root.write_script("/usr/src/hello-1/meet.sh", &script);
    let mut run = root.program(Face::Hook);
    run.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut run = run.spawn().unwrap();
    let begin = std::time::Instant::now();
    while root.names("/var/log/meeting").len() < 2 {
        assert!(begin.elapsed() < std::time::Duration::from_secs(60), "they do not build at once");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(entries(&root).iter().filter(|name| name.starts_with(".tmp-build")).count(), 2);
    run.kill().unwrap();
    run.wait().unwrap();
    std::fs::remove_dir_all(root.path("/var/log/meeting")).unwrap();
    root.hook(&[]).expect(0);
    modules(&root);
    assert_eq!(entries(&root), [K, K2, "source"]);
    // Nobody waits here for those that were ended: they stay zombies.
    let still = std::process::Command::new("pgrep").args(["-r", "R,S,D", "-f", "meet.sh"]).output().unwrap();
    assert!(still.stdout.is_empty(), "{}", String::from_utf8_lossy(&still.stdout));
}
