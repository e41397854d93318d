//! Several builds at the same time.

use std::time::{Duration, Instant};

use crate::support::program::Face;
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";

/// Builds wait in it until so many of them are there; it fails when they wait in vain.
const MEET: &str = "#!/bin/sh\n# DIRECTORY NAME COUNT\n\
                    touch \"$1/$2\"\ntries=0\n\
                    while [ $(ls \"$1\" | wc -l) -lt $3 ]; do\n\
                    tries=$((tries + 1))\n[ $tries -lt 1200 ] || exit 9\nsleep 0.05\ndone\n";

/// A module whose build begins when `count` builds are under way.
fn meeting(root: &FakeRoot, name: &str, count: usize) -> ToyModule {
    let dir = root.path("/var/log/meeting");
    std::fs::create_dir_all(&dir).unwrap();
    let make = format!(
        "./meet.sh {} {name} {count} && make -C $kernel_source_dir M=$dkms_tree/{name}/1/build",
        dir.display()
    );
    ToyModule::new(name, "1").executable("meet.sh", MEET).make(&make)
}

fn root(jobs: usize) -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    root.write("/etc/dkms/framework.conf", format!("parallel_jobs={jobs}\n"));
    root
}

fn installed(root: &FakeRoot) -> Vec<String> {
    root.names(format!("/lib/modules/{K}/updates/dkms"))
}

#[test]
fn two_modules_are_built_at_the_same_time() {
    let root = root(2);
    for name in ["one", "two"] {
        meeting(&root, name, 2).register(&root);
    }
    let said = root.hook(&[]).expect(0).out;
    assert_eq!(installed(&root), ["one.ko", "two.ko"]);
    // What one of them says stands in one piece.
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("Building")).collect();
    let of = |name: &str| {
        format!("Building {name}/1 for kernel {K} (x86_64): it is not built for this kernel yet")
    };
    let heading = "Building module(s)... done.";
    let (one, two) = (of("one"), of("two"));
    let orders = [[one.as_str(), heading, &two, heading], [&two, heading, &one, heading]];
    assert!(orders.iter().any(|order| lines == order), "{said}");
    root.hook(&[]).expect(0).says("nothing to do");
}

#[test]
fn never_more_are_built_than_there_are_jobs() {
    let root = root(2);
    // Each is there while it builds; a third one would see three.
    let script = "#!/bin/sh\nmkdir -p \"$1\"\ntouch \"$1/$2\"\nsleep 0.2\n\
                  ls \"$1\" | wc -l >> \"$1.seen\"\nrm \"$1/$2\"\n";
    let dir = root.path("/var/log/present");
    for name in ["one", "two", "three", "four"] {
        let make = format!(
            "./present.sh {} {name} && make -C $kernel_source_dir M=$dkms_tree/{name}/1/build",
            dir.display()
        );
        ToyModule::new(name, "1").executable("present.sh", script).make(&make).register(&root);
    }
    root.hook(&[]).expect(0);
    assert_eq!(installed(&root), ["four.ko", "one.ko", "three.ko", "two.ko"]);
    let seen = root.read("/var/log/present.seen");
    let most: usize = seen.lines().map(|line| line.trim().parse().unwrap()).max().unwrap();
    assert_eq!(most, 2, "{seen}");
}

#[test]
fn modules_of_one_package_are_finished_at_the_same_time_and_to_the_same_bytes() {
    let root = root(2);
    ToyKernel::new(K).compressed("XZ").install(&root);
    let names = ["one", "two", "three", "four", "five"];
    let module = names.iter().fold(ToyModule::new("many", "1"), |module, name| module.record(name));
    module.register(&root);
    let bytes = |root: &FakeRoot| -> Vec<Vec<u8>> {
        let dir = format!("/lib/modules/{K}/updates/dkms");
        let files = root.names(&dir).into_iter();
        files.map(|name| std::fs::read(root.path(format!("{dir}/{name}"))).unwrap()).collect()
    };
    root.write("/etc/dkms/framework.conf", "parallel_jobs=1\n");
    root.hook(&[]).expect(0);
    let alone = bytes(&root);
    assert_eq!(alone.len(), 6);
    // One that waits for another one of its kind, once.
    let (dir, met) = (root.path("/var/log/strips"), root.path("/var/log/met"));
    let (dir, met) = (dir.display(), met.display());
    let strip = format!(
        "mkdir -p {dir}\ntouch {dir}/$$\ntries=0\n\
         while [ ! -e {met} ] && [ $(ls {dir} | wc -l) -lt 2 ]; do\n\
         tries=$((tries + 1))\n[ $tries -lt 600 ] || exit 9\nsleep 0.05\ndone\ntouch {met}\n\
         PATH=/usr/bin:/bin exec strip \"$@\"\n"
    );
    root.stand_in("strip", &strip);
    root.write("/etc/dkms/framework.conf", "parallel_jobs=2\n");
    root.dkms(&["install", "many/1", "-k", K, "--force"]).expect(0).does_not_say("not stripped");
    root.dkms(&["build", "many/1", "-k", K, "--force"]).expect(0).does_not_say("not stripped");
    root.dkms(&["install", "many/1", "-k", K, "--force"]).expect(0);
    assert!(root.exists("/var/log/met"), "one after another");
    assert!(bytes(&root) == alone);
}

#[test]
fn one_that_fails_stops_only_what_depends_on_it() {
    let root = root(2);
    ToyModule::new("bad", "1").failing().register(&root);
    ToyModule::new("onbad", "1").depends("bad").register(&root);
    ToyModule::new("base", "1").register(&root);
    ToyModule::new("onbase", "1").depends("base").register(&root);
    root.dkms(&["autoinstall", "-k", K]).expect(11);
    assert_eq!(installed(&root), ["base.ko", "onbase.ko"]);
    let mut built = root.take_make_calls();
    built.sort();
    let dirs = ["base", "onbase"].map(|name| format!("/var/lib/dkms/{name}/1/build"));
    assert_eq!(built, dirs);
}

/// A module whose PRE_BUILD runs this program with `words` while the build of another one, `beside`, waits for it to end.
fn calling(root: &FakeRoot, words: &str) {
    let program = env!("CARGO_BIN_EXE_dkms-hook");
    let (dir, log) = (root.layout.root.dir().display(), root.path("/var/log"));
    let log = log.display();
    let wait = "tries=0\nwhile [ ! -e FILE ]; do\ntries=$((tries + 1))\n[ $tries -lt 1200 ] || exit 9\nsleep 0.05\ndone\n";
    let script = format!(
        "#!/bin/sh\n{}DKMS_HOOK_ROOT={dir} bash -c 'exec -a dkms {program} {words}' > {log}/said 2>&1\n\
         echo $? > {log}/status.new\nmv {log}/status.new {log}/status\n",
        wait.replace("FILE", &format!("{log}/beside"))
    );
    let beside = format!("#!/bin/sh\ntouch {log}/beside\n{}", wait.replace("FILE", &format!("{log}/status")));
    ToyModule::new("caller", "1").executable("call.sh", &script).line("PRE_BUILD=call.sh").register(root);
    ToyModule::new("beside", "1").executable("wait.sh", &beside).line("PRE_BUILD=wait.sh").register(root);
}

#[test]
fn a_script_of_a_build_can_install_another_module_while_others_build() {
    let root = root(2);
    ToyModule::new("third", "1").line("AUTOINSTALL=no").register(&root);
    calling(&root, &format!("install third/1 -k {K}"));
    root.hook(&[]).expect(0);
    assert_eq!(root.read("/var/log/status"), "0\n", "{}", root.read("/var/log/said"));
    assert_eq!(installed(&root), ["beside.ko", "caller.ko", "third.ko"]);
    assert!(root.read(format!("/lib/modules/{K}/modules.dep")).contains("third.ko"));
    root.hook(&[]).expect(0).says("nothing to do");
    assert!(!root.exists("/var/lib/dkms/.dkms-hook/.tmp-turn"));
}

#[test]
fn a_script_of_a_build_leaves_alone_what_is_being_built() {
    let root = root(2);
    calling(&root, &format!("build beside/1 -k {K}"));
    root.hook(&[]).expect(0);
    let said = root.read("/var/log/said");
    assert!(said.contains("beside/1 is being built by the run"), "{said}");
    assert_ne!(root.read("/var/log/status"), "0\n");
    assert_eq!(installed(&root), ["beside.ko", "caller.ko"]);
    root.hook(&[]).expect(0).says("nothing to do");
}

/// Three modules, of which two depend on nothing, for two kernels.
fn many() -> FakeRoot {
    let root = root(3);
    ToyKernel::new(K2).install(&root);
    ToyModule::new("one", "1").register(&root);
    ToyModule::new("two", "1").record("two_more").register(&root);
    ToyModule::new("top", "1").depends("one").register(&root);
    root
}

fn names(root: &FakeRoot) -> Vec<String> {
    root.snapshot().names().into_iter().map(str::to_owned).collect()
}

#[test]
fn killed_at_any_moment_while_several_build_the_next_run_finishes_the_work() {
    let expected = many();
    let begin = Instant::now();
    expected.hook(&[]).expect(0);
    let takes = begin.elapsed();
    let names_then = names(&expected);
    for part in 0..10u32 {
        let root = many();
        let mut run = root.program(Face::Hook);
        run.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut run = run.spawn().unwrap();
        let delay: Duration = takes * part / 10;
        std::thread::sleep(delay);
        run.kill().unwrap();
        run.wait().unwrap();
        let next = root.hook(&[]);
        assert_eq!(next.code, 0, "killed after {delay:?}:\n{}\n{}", next.out, next.err);
        assert_eq!(names(&root), names_then, "killed after {delay:?}");
        root.hook(&[]).expect(0).says("nothing to do");
    }
}
