//! Builds for a kernel that is still to come, where nobody else sees them.

use crate::support::json_schema::Schemas;
use crate::support::program::{Answer, Face, finish};
use crate::support::snapshot::Snapshot;
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use crate::support::whole_system::whole_system;

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";
const SCHEMA: &str = "fits.schema.json";

pub const SCENARIOS: [(&str, fn()); 8] = [
    ("each_module_has_its_answer_and_nothing_changes", each_module_has_its_answer_and_nothing_changes),
    ("a_module_sees_what_it_depends_on", a_module_sees_what_it_depends_on),
    ("what_cannot_be_tried_says_why", what_cannot_be_tried_says_why),
    ("a_file_is_held_against_a_kernel", a_file_is_held_against_a_kernel),
    ("packages_are_tried_as_they_will_be", packages_are_tried_as_they_will_be),
    ("what_is_built_before_is_not_built_again", what_is_built_before_is_not_built_again),
    ("the_policy_decides_and_nothing_is_changed", the_policy_decides_and_nothing_is_changed),
    ("a_kernel_that_was_held_is_told_until_it_is_there", a_kernel_that_was_held_is_told_until_it_is_there),
];

/// What an overlay and a whole system need.
pub const PROBE: &str = "mount --rbind /dev /dev && chroot / true && mount -t tmpfs probe /mnt && mkdir /mnt/a /mnt/b /mnt/c && \
    mount -t overlay -o lowerdir=/mnt/a,upperdir=/mnt/b,workdir=/mnt/c probe /mnt/a";

/// A machine with a kernel and a module for it, and the headers of another kernel in `/opt`.
fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K2).install_headers(&root);
    std::fs::create_dir_all(root.path("/opt")).unwrap();
    std::fs::rename(root.path(format!("/usr/src/linux-headers-{K2}")), headers(&root)).unwrap();
    std::fs::remove_dir_all(root.path(format!("/usr/lib/modules/{K2}"))).unwrap();
    ToyKernel::new(K).install(&root);
    ToyModule::new("good", "1").register(&root);
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    root
}

fn headers(root: &FakeRoot) -> std::path::PathBuf {
    root.path(format!("/opt/headers-{K2}"))
}

fn fits(root: &FakeRoot, more: &[&str]) -> Answer {
    let dir = headers(root);
    let before = Snapshot::of(root.layout.root.dir());
    let answer = root.hook(&[&["fits", "--headers", dir.to_str().unwrap()], more].concat());
    let changes = before.changes(&Snapshot::of(root.layout.root.dir()));
    let lock = ["t var/lib/dkms/.dkms-hook/lock"];
    assert!(changes.iter().all(|change| lock.contains(&change.as_str())), "{changes:?}");
    assert!(!root.exists("/var/lib/.dkms-hook-preflight"));
    answer
}

fn each_module_has_its_answer_and_nothing_changes() {
    let root = root();
    fits(&root, &[]).expect(0).says(&format!("good/1 for kernel {K2}: builds"));
    assert_eq!(root.take_make_calls(), ["/var/lib/dkms/good/1/build"]);
    ToyModule::new("old", "1").line("BUILD_EXCLUSIVE_KERNEL=\"^6\\.12\"").register(&root);
    ToyModule::new("manual", "1").line("AUTOINSTALL=").register(&root);
    fits(&root, &["--module", "good"]).expect(0).does_not_say("old/1");
    fits(&root, &[])
        .expect(2)
        .says(&format!("good/1 for kernel {K2}: builds"))
        .says(&format!("old/1 for kernel {K2}: excluded"))
        .says(&format!("manual/1 for kernel {K2}: not tried"));
    fits(&root, &["--module", "manual/1"]).expect(0).says(&format!("manual/1 for kernel {K2}: builds"));
    ToyModule::new("bad", "1").failing().register(&root);
    fits(&root, &[])
        .expect(1)
        .says(&format!("bad/1 for kernel {K2}: fails: make failed"))
        .says("error: implicit declaration")
        .says(&format!("good/1 for kernel {K2}: builds"));
    let answer = fits(&root, &["--json"]).expect(1);
    let told = Schemas::read().assert(SCHEMA, &answer.out);
    let words: Vec<_> = told["answers"].as_array().unwrap().iter().map(|a| &a["answer"]).collect();
    assert_eq!(words, ["fails", "builds", "untried", "excluded"]);
    assert_eq!(told["outcome"], "fails");
}

fn a_module_sees_what_it_depends_on() {
    let root = root();
    let needs = "test -f $dkms_tree/kernel-$kernelver-x86_64 || ls $dkms_tree/base/kernel-$kernelver-x86_64/module \
                 && make -C $kernel_source_dir M=$dkms_tree/upper/1/build";
    ToyModule::new("base", "1").register(&root);
    ToyModule::new("upper", "1").depends("base").make(needs).register(&root);
    fits(&root, &["--module", "upper"]).expect(0).says("upper/1");
    fits(&root, &[]).expect(0).says(&format!("upper/1 for kernel {K2}: builds"));
    ToyModule::new("base", "1").failing().write_source(&root);
    fits(&root, &[])
        .expect(1)
        .says(&format!("base/1 for kernel {K2}: fails"))
        .says(&format!("upper/1 for kernel {K2}: not tried (it needs base/1"));
}

fn what_cannot_be_tried_says_why() {
    let root = root();
    fits(&root, &["--module", "nobody"]).expect(2).says("no module nobody is registered here");
    root.hook(&["fits", "--headers", "/nonexistent"]).expect(2).says("/nonexistent");
    let src = root.path("/usr/src");
    root.hook(&["fits", "--headers", src.to_str().unwrap()]).expect(2).says("utsrelease.h");
    let answer = root.hook(&["fits", "--json", "--headers", src.to_str().unwrap()]).expect(2);
    assert_eq!(Schemas::read().assert(SCHEMA, &answer.out)["outcome"], "untried");
    root.hook(&["fits"]).expect(2).says("--headers");
    // What a killed attempt left goes with the next one.
    std::fs::create_dir_all(root.path("/var/lib/.dkms-hook-preflight/dkms")).unwrap();
    let dir = headers(&root);
    root.hook(&["fits", "--headers", dir.to_str().unwrap()]).expect(0);
    assert!(!root.exists("/var/lib/.dkms-hook-preflight"));
    root.write("/etc/dkms/framework.conf", "unconfined=\"good: it downloads\"\n");
    let mut program = root.program(Face::Hook);
    program.env_remove("DKMS_HOOK_UNCONFINED").args(["fits", "--headers"]).arg(&dir);
    finish(&mut program).expect(2).says("good/1").says("root's power");
}

fn a_file_is_held_against_a_kernel() {
    let root = root();
    let file = root.path("/var/lib/dkms/good/1").join(K).join("x86_64/module/good.ko");
    let against = |kernel: &str| root.hook(&["fits", file.to_str().unwrap(), kernel]);
    let told = |kernel: &str| {
        let answer = root.hook(&["fits", "--json", file.to_str().unwrap(), kernel]);
        Schemas::read().assert(SCHEMA, &answer.out)
    };
    let dir = headers(&root);
    against(dir.to_str().unwrap()).expect(1).says(&format!("it was built for kernel {K}"));
    assert_eq!(told(dir.to_str().unwrap())["outcome"], "fails");
    // Without symbol versions nothing says whether the types are the same.
    against(K).expect(2).says("cannot tell whether it fits");
    against("6.99").expect(2).says("there are no headers of kernel 6.99 here");
    root.hook(&["fits", "/nonexistent.ko", K]).expect(2);
}

/// A package of pacman with a kernel, its headers and these sources, none of which is in the root then.
fn package(root: &FakeRoot, kernel: &str, sources: &[&ToyModule]) -> std::path::PathBuf {
    ToyKernel::new(kernel).install(root);
    let mut parts = vec![format!("usr/lib/modules/{kernel}"), format!("usr/src/linux-headers-{kernel}")];
    for source in sources {
        let dir = source.write_source(root);
        parts.push(dir.strip_prefix(root.layout.root.dir()).unwrap().display().to_string());
    }
    root.write(format!("/usr/lib/modules/{kernel}/vmlinuz"), "toy kernel");
    root.write("/.PKGINFO", "pkgname = linux-toy\npkgver = 1-1\narch = x86_64\n");
    let file = root.write(format!("/var/cache/{kernel}.pkg.tar"), "");
    let tar = |words: &[&str]| {
        let dir = root.layout.root.dir();
        let mut command = std::process::Command::new("tar");
        assert!(command.arg("-C").arg(dir).args(words).args(&parts).status().unwrap().success());
    };
    tar(&["-cf", file.to_str().unwrap(), ".PKGINFO"]);
    for part in &parts {
        std::fs::remove_dir_all(root.path(format!("/{part}"))).unwrap();
    }
    std::fs::remove_file(root.path("/.PKGINFO")).unwrap();
    for name in ["vmlinuz", "config"] {
        std::fs::remove_file(root.path(format!("/boot/{name}-{kernel}"))).unwrap();
    }
    file
}

fn unpack(root: &FakeRoot, package: &std::path::Path) {
    let mut command = std::process::Command::new("tar");
    command.arg("-C").arg(root.layout.root.dir()).arg("-xf").arg(package).arg("usr");
    assert!(command.status().unwrap().success());
}

/// A whole system, where programs find everything as on a machine.
fn system() -> FakeRoot {
    let root = whole_system();
    ToyKernel::new(K).install(&root);
    ToyModule::new("good", "1").register(&root);
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    root
}

/// What a package manager asks before it installs a package. But for our own notes and the cache, nothing changes.
fn incoming(root: &FakeRoot, package: &std::path::Path) -> Answer {
    // The rest is the machine's, read-only.
    let parts = ["/boot", "/etc", "/usr/lib/modules", "/usr/src", "/var"].map(|dir| root.path(dir));
    let look = || parts.each_ref().map(|dir| Snapshot::of(dir));
    let before = look();
    let answer = root.hook(&["incoming", package.to_str().unwrap()]);
    let changes = before.iter().zip(look()).flat_map(|(before, after)| before.changes(&after));
    let changes: Vec<String> = changes.filter(|change| !change.contains(" lib/dkms/.dkms-hook")).collect();
    assert_eq!(changes, [""; 0]);
    assert!(!root.exists("/var/lib/.dkms-hook-preflight"));
    answer
}

fn packages_are_tried_as_they_will_be() {
    let root = root();
    let bad = ToyModule::new("bad", "1").failing();
    let file = package(&root, "6.14.0-toy", &[&bad, &ToyModule::new("new", "2")]);
    let before = Snapshot::of(root.layout.root.dir());
    root.hook(&["fits", "--kernel-package", file.to_str().unwrap()])
        .expect(1)
        .says("bad/1 for kernel 6.14.0-toy: fails")
        .says("good/1 for kernel 6.14.0-toy: builds")
        .says("new/2 for kernel 6.14.0-toy: builds");
    let changes = before.changes(&Snapshot::of(root.layout.root.dir()));
    assert!(changes.iter().all(|change| change == "t var/lib/dkms/.dkms-hook/lock"), "{changes:?}");
    assert!(!root.exists("/var/lib/.dkms-hook-preflight"));
    let other = root.write("/var/cache/other.pkg.tar", "nothing");
    root.hook(&["fits", "--kernel-package", other.to_str().unwrap()]).expect(2).says("no kernel");
}

fn what_is_built_before_is_not_built_again() {
    let root = system();
    let new = ToyModule::new("new", "2");
    let file = package(&root, K2, &[&new]);
    incoming(&root, &file).expect(0).says(&format!("Building good/1, new-2 for kernel {K2}"));
    let mut built = root.take_make_calls();
    built.sort();
    assert_eq!(built, ["/var/lib/dkms/good/1/build", "/var/lib/dkms/new/2/build"]);
    unpack(&root, &file);
    root.dkms(&["add", "new/2"]).expect(0);
    root.hook(&["--kernel", K2]).expect(0);
    assert_eq!(root.take_make_calls(), [""; 0], "the hooks afterwards copy");
    for name in ["good", "new"] {
        assert!(root.exists(format!("/lib/modules/{K2}/updates/dkms/{name}.ko")), "{name}");
    }
    // What is off costs nothing.
    let file = package(&root, "6.15.0-toy", &[]);
    root.write("/etc/dkms/framework.conf", "preflight=off\n");
    incoming(&root, &file).expect(0).does_not_say("Building");
    assert_eq!(root.take_make_calls(), [""; 0]);
}

fn the_policy_decides_and_nothing_is_changed() {
    let root = system();
    ToyModule::new("bad", "1").failing().register(&root);
    let file = package(&root, K2, &[]);
    let settings = |text: &str| root.write("/etc/dkms/framework.conf", text);
    let fails = format!("bad/1 for kernel {K2}: fails: make failed");
    incoming(&root, &file).expect(0).says(&fails).says("error: implicit declaration");
    settings("preflight=hold\n");
    incoming(&root, &file).expect(3).says(&fails).says("--ignore linux-toy").says("dkms-hook go-on");
    settings("essential=\"good\"\n");
    incoming(&root, &file).expect(0).says(&fails);
    settings("essential=\"bad good\"\n");
    incoming(&root, &file).expect(3).says("bad is essential, so nothing was installed");
    // The word to go on counts once.
    root.hook(&["go-on"]).expect(0);
    incoming(&root, &file).expect(0).says(&fails);
    incoming(&root, &file).expect(3);
    let mut program = root.program(Face::Hook);
    program.env("DKMS_HOOK_GO_ON", "1").arg("incoming").arg(&file);
    finish(&mut program).expect(0);
    // An older version that compiles is used instead.
    ToyModule::new("bad", "0.9").register(&root);
    incoming(&root, &file).expect(0).does_not_say("fails");
    settings("preflight=off\nessential=\"bad\"\n");
    incoming(&root, &file).expect(0).does_not_say("fails");
}

fn a_kernel_that_was_held_is_told_until_it_is_there() {
    let root = system();
    ToyModule::new("bad", "1").failing().register(&root);
    let file = package(&root, K2, &[]);
    root.write("/etc/dkms/framework.conf", "essential=bad\n");
    let state = |name: &str| root.exists(format!("/var/lib/dkms/.dkms-hook/{name}"));
    root.hook(&[]);
    root.hook(&["deb", "summary"]).expect(0);
    assert!(!state("unreported"));
    incoming(&root, &file).expect(3);
    // No terminal: the next summary tells, once.
    assert!(state("unreported"));
    root.hook(&["deb", "summary"]).expect(0).says("a transaction was held").says("bad is essential");
    root.hook(&["deb", "summary"]).expect(0).does_not_say("held");
    root.hook(&["status"]).expect(1).says("held: bad/1").says("dkms-hook go-on");
    let status = root.hook(&["status", "--json"]).expect(1);
    let told = Schemas::read().assert("status.schema.json", &status.out);
    assert!(
        told["problems"]
            .as_array()
            .unwrap()
            .iter()
            .any(|text| text.as_str().unwrap().contains("is essential"))
    );
    root.hook(&["go-on"]).expect(0);
    incoming(&root, &file).expect(0);
    assert!(!state("held.json"));
}
