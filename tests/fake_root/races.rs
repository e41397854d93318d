//! Runs that meet each other, and runs that are killed.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::support::program::Face;
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use dkms_hook::elf;

const K: &str = "6.12.1-toy";

/// Two modules, one of which the other depends on, and one of the kernel's own that is replaced.
fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).in_tree("drivers/base.ko").install(&root);
    ToyModule::new("base", "1").register(&root);
    ToyModule::new("top", "1").record("top_extra").depends("base").register(&root);
    root
}

fn spawn(root: &FakeRoot, face: Face, args: &[&str]) -> Child {
    let mut command = root.program(face);
    command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Waits for a run, but not for ever.
#[track_caller]
fn ended(mut child: Child) -> Option<i32> {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(60) {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    panic!("it hangs");
}

#[test]
fn two_at_once_build_once() {
    let root = root();
    let calls: [(Face, &[&str]); 4] = [
        (Face::Hook, &["--kernel", K]),
        (Face::Hook, &[]),
        (Face::Hook, &["deb", "header-postinst", K]),
        (Face::Dkms, &["install", "base/1", "-k", K]),
    ];
    let runs: Vec<Child> = calls.iter().map(|(face, args)| spawn(&root, *face, args)).collect();
    for run in runs {
        assert_eq!(ended(run), Some(0));
    }
    let mut built = root.take_make_calls();
    built.sort();
    assert_eq!(built, ["/var/lib/dkms/base/1/build", "/var/lib/dkms/top/1/build"]);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["base.ko", "top.ko", "top_extra.ko"]);
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
}

#[test]
fn a_run_with_nothing_to_do_waits_for_nobody() {
    let root = root();
    root.hook(&[]).expect(0);
    let lock = std::fs::File::options().write(true).open(root.path("/var/lib/dkms/.dkms-hook/lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(ended(spawn(&root, Face::Hook, &[])), Some(0));
    assert_eq!(ended(spawn(&root, Face::Dkms, &["status"])), Some(0));
    assert_eq!(ended(spawn(&root, Face::Hook, &["--dry-run"])), Some(0));
}

/// Runs that all want the same source registered, and all found that it was not, one after the other.
fn at_once(root: &FakeRoot, calls: &[&[&str]]) -> Vec<(Option<i32>, String)> {
    use std::io::{BufRead, BufReader, Read};
    let file = root.write("/var/lib/dkms/.dkms-hook/lock", "");
    let lock = std::fs::File::options().write(true).open(file).unwrap();
    lock.lock().unwrap();
    let start = |words: &&[&str]| {
        let mut command = root.program(Face::Dkms);
        let mut child = command.args(*words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert!(line.starts_with("Waiting for another run"), "{words:?} did not wait: {line}");
        (child, out)
    };
    let runs: Vec<_> = calls.iter().map(start).collect();
    drop(lock);
    let end = |(mut child, mut out): (Child, BufReader<std::process::ChildStdout>)| {
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (ended(child), text)
    };
    runs.into_iter().map(end).collect()
}

#[test]
fn of_many_that_add_one_does() {
    let root = FakeRoot::new();
    let script = format!("#!/bin/sh\necho added >>{}\n", root.path("/var/log/post-add").display());
    let module = ToyModule::new("hello", "1.0").line("POST_ADD=post-add").executable("post-add", &script);
    module.write_source(&root);
    let elsewhere = root.path("/root/hello");
    std::fs::create_dir_all(root.path("/root")).unwrap();
    let mut copy = std::process::Command::new("cp");
    copy.arg("-r").arg(root.path("/usr/src/hello-1.0")).arg(&elsewhere);
    assert!(copy.status().unwrap().success());
    let by_path = elsewhere.to_str().unwrap();
    let runs = at_once(&root, &[&["add", "hello/1.0"], &["add", by_path], &["add", "hello/1.0"]]);
    let codes: Vec<_> = runs.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{runs:?}");
    assert_eq!(codes.iter().filter(|code| **code == Some(3)).count(), 2, "{runs:?}");
    assert!(
        runs.iter().all(|(code, text)| *code == Some(0) || text.contains("is already added")),
        "{runs:?}"
    );
    assert_eq!(root.read("/var/log/post-add"), "added\n");
    assert_eq!(root.dkms(&["status"]).expect(0).out, "hello/1.0: added\n");
}

#[test]
fn of_many_that_install_all_are_content() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1.0").write_source(&root);
    let words: &[&str] = &["install", "hello/1.0", "-k", K];
    for (code, text) in at_once(&root, &[words, words, words]) {
        assert_eq!(code, Some(0), "{text}");
    }
    assert_eq!(root.take_make_calls().len(), 1);
    assert_eq!(root.dkms(&["status"]).expect(0).out, format!("hello/1.0, {K}, x86_64: installed\n"));
}

/// What an undisturbed run leaves.
struct Undisturbed {
    names: Vec<String>,
    status: String,
    takes: Duration,
}

fn undisturbed() -> Undisturbed {
    let root = root();
    let begin = Instant::now();
    root.hook(&[]).expect(0);
    let takes = begin.elapsed();
    let names = root.snapshot().names().into_iter().map(str::to_owned).collect();
    Undisturbed { names, status: root.dkms(&["status"]).expect(0).out, takes }
}

/// No module that can be reached is a half one, whenever one looks.
#[track_caller]
fn no_half_module(root: &FakeRoot) {
    let dir = format!("/lib/modules/{K}/updates/dkms");
    for name in root.names(&dir) {
        if name.ends_with(".ko") {
            let info = elf::modinfo(&root.path(format!("{dir}/{name}"))).unwrap();
            assert_eq!(info.kernel(), Some(K), "{name}");
        }
    }
}

/// Spreads delays over a run, differently each time.
fn random_delays(count: u32, takes: Duration) -> Vec<Duration> {
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    let delays = (0..count).map(|i| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let jitter = f64::from((seed >> 40) as u32) / f64::from(1u32 << 24);
        takes.mul_f64((f64::from(i) + jitter) / f64::from(count))
    });
    delays.collect()
}

#[test]
fn killed_at_any_moment_the_next_run_finishes_the_work() {
    let expected = undisturbed();
    for delay in random_delays(14, expected.takes) {
        let root = root();
        let mut run = spawn(&root, Face::Hook, &[]);
        std::thread::sleep(delay);
        run.kill().unwrap();
        run.wait().unwrap();
        no_half_module(&root);
        let next = root.hook(&[]);
        assert_eq!(next.code, 0, "killed after {delay:?}:\n{}\n{}", next.out, next.err);
        no_half_module(&root);
        let after = root.snapshot();
        let names: Vec<String> = after.names().into_iter().map(str::to_owned).collect();
        let more: Vec<_> = names.iter().filter(|n| !expected.names.contains(*n)).collect();
        let less: Vec<_> = expected.names.iter().filter(|n| !names.contains(*n)).collect();
        assert!(more.is_empty() && less.is_empty(), "killed after {delay:?}: more {more:?}, less {less:?}");
        assert_eq!(root.dkms(&["status"]).expect(0).out, expected.status, "killed after {delay:?}");
        assert!(root.read(format!("/lib/modules/{K}/modules.dep")).contains("top_extra.ko"));
        root.hook(&[]).expect(0).says("nothing to do");
        root.assert_untouched(&after);
    }
}

#[test]
fn a_removal_that_is_killed_is_finished_too() {
    let takes = {
        let root = root();
        root.hook(&[]).expect(0);
        let begin = Instant::now();
        root.dkms(&["kernel_prerm", "-k", K]).expect(0);
        begin.elapsed()
    };
    for delay in random_delays(6, takes) {
        let root = root();
        root.hook(&[]).expect(0);
        let mut run = spawn(&root, Face::Dkms, &["kernel_prerm", "-k", K]);
        std::thread::sleep(delay);
        run.kill().unwrap();
        run.wait().unwrap();
        no_half_module(&root);
        root.dkms(&["kernel_prerm", "-k", K]).expect(0);
        assert_eq!(root.dkms(&["status"]).expect(0).out, "base/1: added\ntop/1: added\n");
        assert_eq!(root.read(format!("/lib/modules/{K}/kernel/drivers/base.ko")), "drivers/base.ko");
        assert!(!root.exists(format!("/lib/modules/{K}/updates")), "killed after {delay:?}");
        assert_eq!(root.names("/var/lib/dkms"), [".dkms-hook", "base", "top"]);
        assert_eq!(root.names("/var/lib/dkms/base"), ["1"], "killed after {delay:?}");
        assert_eq!(root.names("/var/lib/dkms/top/1"), ["source"], "killed after {delay:?}");
    }
}

/// Waits for something that another process brings about, but not for ever.
#[track_caller]
fn until(what: &str, true_now: impl Fn() -> bool) {
    let begin = Instant::now();
    while !true_now() {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_a_killed_run_started_does_not_disturb_the_next() {
    // Its script goes on when nobody waits for it any more.
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    let marker = root.path("/var/log/late-pid");
    let script = format!(
        "#!/bin/sh\ncd \"$(dirname \"$0\")\"\ntest -e again && exit 0\n\
         echo broken > \"$PWD/slow.c\"\necho $$ > {0}.new && mv {0}.new {0}\n\
         for i in $(seq 100); do sleep 0.02; echo broken > \"$PWD/slow.c\"; done\n",
        marker.display()
    );
    let slow = ToyModule::new("slow", "1").executable("late.sh", &script);
    slow.line("PRE_BUILD=late.sh").register(&root);
    let mut run = spawn(&root, Face::Hook, &[]);
    until("the script runs", || marker.exists());
    run.kill().unwrap();
    run.wait().unwrap();
    root.write("/usr/src/slow-1/again", "");
    root.hook(&[]).expect(0);
    no_half_module(&root);
    let left = format!("/proc/{}", root.read("/var/log/late-pid").trim());
    until("the script ends", || !std::path::Path::new(&left).exists());
    assert!(!root.exists("/var/lib/dkms/slow/1/build/slow.c"), "it still writes");
}

#[test]
fn children_end_with_a_killed_run_and_what_left_them_with_the_next() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    let pids = |name: &str| root.path("/var/log").join(name);
    let leave = |name: &str| {
        let file = pids(name).display().to_string();
        format!(
            "setsid sh -c 'cd /; echo $$ > {file}.new; mv {file}.new {file}; exec sleep 300' >/dev/null 2>&1 &\n"
        )
    };
    // A service that is started may stay.
    let service = format!("#!/bin/sh\n{}", leave("service"));
    let first = ToyModule::new("first", "1").executable("service.sh", &service);
    first.line("POST_INSTALL=service.sh").register(&root);
    let slow = format!(
        "#!/bin/sh\n[ -e {slow} ] || exit 0\n{left}echo $PPID $$ > {own}.new; mv {own}.new {own}\n\
         while [ -e {slow} ]; do sleep 0.05; done\n",
        left = leave("left"),
        own = pids("own").display(),
        slow = pids("slow").display(),
    );
    root.write("/var/log/slow", "");
    let second = ToyModule::new("second", "1").executable("slow.sh", &slow).depends("first");
    second.line("PRE_BUILD=slow.sh").register(&root);
    let mut run = spawn(&root, Face::Hook, &[]);
    until("all of it runs", || ["service", "left", "own"].iter().all(|name| pids(name).exists()));
    let alive = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    let (own, left, service) =
        (root.read("/var/log/own"), root.read("/var/log/left"), root.read("/var/log/service"));
    let shell = own.split(' ').find(|pid| pid.trim() != run.id().to_string()).unwrap().to_owned();
    run.kill().unwrap();
    run.wait().unwrap();
    until("the shell of the script ends", || !alive(&shell));
    assert!(alive(&left), "it has left its session: nobody but the next run finds it");
    std::fs::remove_file(pids("slow")).unwrap();
    root.hook(&[]).expect(0);
    assert!(!alive(&left), "it goes on");
    assert!(alive(&service), "a service that was started was ended");
    let _ = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(service.trim().parse().unwrap()),
        nix::sys::signal::Signal::SIGKILL,
    );
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["first.ko", "second.ko"]);
}

#[test]
fn a_build_script_that_calls_us_neither_hangs_nor_multiplies() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("other", "1").register(&root);
    let program = env!("CARGO_BIN_EXE_dkms-hook");
    let dir = root.layout.root.dir().display().to_string();
    let script = format!(
        "#!/bin/sh\necho call >> {dir}/var/log/nested\n\
         test $(wc -l < {dir}/var/log/nested) -lt 9 || exit 99\n\
         {program} --root {dir} || exit 1\n\
         {program} --root {dir} status || exit 1\n\
         {program} --root {dir} deb trigger\n"
    );
    let nesting = ToyModule::new("nesting", "1").executable("nest.sh", &script);
    nesting.line("PRE_BUILD=nest.sh").line("POST_INSTALL=nest.sh").register(&root);
    assert_eq!(ended(spawn(&root, Face::Hook, &[])), Some(0));
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["nesting.ko", "other.ko"]);
    assert_eq!(root.read("/var/log/nested"), "call\ncall\n", "once before the build, once after the install");
    let mut built = root.take_make_calls();
    built.sort();
    assert_eq!(built, ["/var/lib/dkms/nesting/1/build", "/var/lib/dkms/other/1/build"]);
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
}
