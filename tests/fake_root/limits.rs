//! Steps that do not end by themselves: each kind has a limit, and the rest goes on.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use dkms_hook::conf::model::Scripts;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::program::{Answer, Face, finish};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";
/// Whoever does not end writes its process id here, a line each.
const PIDS: &str = "/var/log/pids";
/// While this is there, nothing ends.
const SLOW: &str = "/var/log/slow";

/// Shell commands that do not end: what is asked to end does not, and a child of theirs has left its session.
fn endless(root: &FakeRoot) -> String {
    format!(
        "[ ! -e {slow} ] || {{ trap \"\" TERM; setsid sh -c \"trap \\\"\\\" TERM; exec sleep 300\" & echo $$ $! >> {pids}; \
         while :; do sleep 1; done; }}",
        slow = root.path(SLOW).display(),
        pids = root.path(PIDS).display()
    )
}

fn root(settings: &str) -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    root.write("/etc/dkms/framework.conf", settings);
    root.write(SLOW, "");
    root
}

/// How often something began that did not end; all of it is gone.
#[track_caller]
fn ended(root: &FakeRoot) -> usize {
    if !root.exists(PIDS) {
        return 0;
    }
    let pids = root.read(PIDS);
    for pid in pids.split_whitespace() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        assert!(stat.map_or(true, |stat| stat.contains(") Z ")), "process {pid} is still there");
    }
    pids.lines().count()
}

fn installed(root: &FakeRoot) -> Vec<String> {
    root.names(format!("/lib/modules/{K}/updates/dkms"))
}

/// The lock, held by this process as a run would.
fn locked(root: &FakeRoot) -> File {
    let path = root.write("/var/lib/dkms/.dkms-hook/lock", format!("{}\n", std::process::id()));
    let lock = File::options().append(true).open(path).unwrap();
    lock.lock().unwrap();
    lock
}

fn unlock(lock: File) {
    lock.set_len(0).unwrap();
    drop(lock);
}

#[test]
fn hooks_leave_their_work_to_the_next_where_another_run_does_not_end() {
    let root = root("time_limit_lock=1s\n");
    ToyModule::new("hello", "1").register(&root);
    ToyModule::new("late", "1").write_source(&root);
    ToyKernel::new(K2).install(&root);
    let lock = locked(&root);
    let own = std::process::id();
    let gives_up = |answer: Answer| {
        answer
            .expect(0)
            .says(&format!("Waiting for another run (process {own}, `"))
            .says(&format!("another run (process {own}, `"))
            .says(
                "has not finished; this one waited 1s (time_limit_lock) and leaves its work to the next run",
            )
            .says("`dkms-hook` does what is left");
    };
    gives_up(root.deb("kernel-postinst", K, "configure"));
    gives_up(root.kernel_install("remove", K2, &[]));
    let script = [("DPKG_MAINTSCRIPT_NAME", "postinst")];
    gives_up(finish(root.program(Face::Hook).args(["module-postinst", "late", "1"]).envs(script)));
    assert!(!root.exists(format!("/lib/modules/{K}/updates")));
    assert!(!root.exists("/var/lib/dkms/late"));
    unlock(lock);
    // About another kernel; but there is something left. The source was written down, and so was the boot entry.
    root.deb("header-postinst", K2, "configure").expect(0).says("Adding late/1");
    assert_eq!(installed(&root), ["hello.ko", "late.ko"]);
    let note = root.read(format!("/var/lib/dkms/.dkms-hook/kernels/{K2}.json"));
    assert!(note.contains("\"boot-entry-removed\": true"), "{note}");
    assert!(!root.exists(format!("/lib/modules/{K2}/updates")));
    assert!(!root.exists("/var/lib/dkms/.dkms-hook/left"));
    let before = root.snapshot();
    root.deb("trigger", "", "triggered").expect(0);
    root.assert_untouched(&before);
}

#[test]
fn a_person_waits_as_long_as_it_takes_and_hears_of_a_holder_that_is_stopped() {
    let root = root("time_limit_lock=1s\n");
    ToyModule::new("hello", "1").register(&root);
    let path = root.write("/var/lib/dkms/.dkms-hook/lock", "");
    // None of ours: the kernel knows who it is.
    let mut flock = Command::new("flock");
    flock.arg(&path).args(["sh", "-c", "echo; exec sleep 300"]);
    let mut holder = flock.stdout(Stdio::piped()).spawn().unwrap();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    kill(Pid::from_raw(holder.id() as i32), Signal::SIGSTOP).unwrap();
    let hint = format!("It is stopped: `kill -CONT {}` lets it go on.", holder.id());
    root.deb("kernel-postinst", K, "configure").expect(0).says(&hint);
    let mut person = root.program(Face::Dkms);
    let mut person = person.args(["install", "hello/1", "-k", K]).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(person.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(
        line.starts_with(&format!("Waiting for another run (process {}, `flock ", holder.id())),
        "{line}"
    );
    assert!(line.trim_end().ends_with(&hint), "{line}");
    // More than a hook would wait.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(person.try_wait().unwrap(), None, "it gave up");
    let children = format!("/proc/{0}/task/{0}/children", holder.id());
    let children = std::fs::read_to_string(children).unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();
    for child in children.split_whitespace() {
        kill(Pid::from_raw(child.parse().unwrap()), Signal::SIGKILL).unwrap();
    }
    std::io::copy(&mut said, &mut std::io::sink()).unwrap();
    assert!(person.wait().unwrap().success());
    assert_eq!(installed(&root), ["hello.ko"]);
}

#[test]
fn a_make_that_does_not_end_is_ended_and_hooks_do_not_begin_it_again() {
    let root = root("time_limit_build=2s\n");
    ToyModule::new("agood", "1").register(&root);
    ToyModule::new("bad", "1").register(&root);
    ToyModule::new("zgood", "1").register(&root);
    let makefile = format!(
        "obj-m := bad.o\n$(M)/bad.o: $(M)/slow\n$(M)/slow:\n\t@{}\n",
        endless(&root).replace('$', "$$")
    );
    root.write("/usr/src/bad-1/Makefile", makefile);
    root.deb("kernel-postinst", K, "configure").expect(0).says("bad/1 could not be built");
    assert_eq!((ended(&root), installed(&root)), (1, vec!["agood.ko".to_owned(), "zgood.ko".to_owned()]));
    let told = root.deb("trigger", "", "triggered").expect(0);
    for part in ["took longer than 2s (time_limit_build)", "set time_limit_build in /etc/dkms/framework.conf"]
    {
        assert!(told.err.contains(part), "{part} is missing in {}", told.err);
    }
    root.deb("header-postinst", K, "configure").expect(0);
    root.hook(&[]).expect(11).says("failed before");
    assert_eq!(ended(&root), 1, "it was begun again");
    // A person asks for another try; and a change of the source is one.
    root.dkms(&["install", "bad/1", "-k", K]).expect(10).says("took longer than 2s");
    assert_eq!(ended(&root), 2);
    std::fs::remove_file(root.path(SLOW)).unwrap();
    root.write("/usr/src/bad-1/README", "changed\n");
    root.hook(&[]).expect(0);
    assert_eq!(installed(&root), ["agood.ko", "bad.ko", "zgood.ko"]);
}

#[test]
fn scripts_of_a_build_have_its_limit() {
    let root = root("time_limit_build=1s\n");
    let scripts = Scripts { pre_build: Some("wait.sh".into()), ..Scripts::default() };
    let module = ToyModule::new("bad", "1").scripts(scripts);
    module.executable("wait.sh", &format!("#!/bin/sh\n{}\n", endless(&root))).register(&root);
    ToyModule::new("zgood", "1").register(&root);
    root.hook(&[]).expect(11).says("\"Running the pre_build script\" took longer than 1s (time_limit_build)");
    assert_eq!((ended(&root), installed(&root)), (1, vec!["zgood.ko".to_owned()]));
    root.hook(&[]).expect(11).says("failed before");
    assert_eq!(ended(&root), 1);
}

#[test]
fn a_script_around_an_installation_is_ended_and_the_others_are_installed() {
    let root = root("time_limit_script=1s\n");
    let scripts = Scripts {
        pre_install: Some("wait.sh".into()),
        post_install: Some("wait.sh".into()),
        ..Scripts::default()
    };
    let wait = format!("#!/bin/sh\n{}\n", endless(&root));
    ToyModule::new("bad", "1").scripts(scripts).executable("wait.sh", &wait).register(&root);
    let scripts = Scripts { post_install: Some("wait.sh".into()), ..Scripts::default() };
    ToyModule::new("late", "1").scripts(scripts).executable("wait.sh", &wait).register(&root);
    ToyModule::new("zgood", "1").register(&root);
    root.hook(&[])
        .expect(11)
        .says("the PRE_INSTALL script took longer than 1s (time_limit_script)")
        .says("the POST_INSTALL script took longer than 1s");
    assert_eq!((ended(&root), installed(&root)), (2, vec!["late.ko".to_owned(), "zgood.ko".to_owned()]));
    // A hook would wait as long again.
    root.hook(&[]).expect(11).says("bad/1 was not installed for");
    assert_eq!(ended(&root), 2, "it was begun again");
    root.dkms(&["install", "bad/1", "-k", K]).expect(101);
    assert_eq!(ended(&root), 3);
    std::fs::remove_file(root.path(SLOW)).unwrap();
    root.dkms(&["install", "bad/1", "-k", K]).expect(0);
    assert_eq!(installed(&root), ["bad.ko", "late.ko", "zgood.ko"]);
}

#[test]
fn what_a_script_leaves_behind_keeps_no_package_manager_reading() {
    let root = root("");
    let scripts = Scripts { post_install: Some("start.sh".into()), ..Scripts::default() };
    let start = format!(
        "#!/bin/sh\necho from the script\necho of an error >&2\nsleep 300 &\necho $! > {}\n",
        root.path(PIDS).display()
    );
    ToyModule::new("hello", "1").scripts(scripts).executable("start.sh", &start).register(&root);
    // The answer is read until nobody has the pipes open any more, as apt and dnf do it.
    let answer = root.hook(&[]).expect(0).says("from the script");
    assert!(answer.err.contains("of an error"), "{}", answer.err);
    let pid = root.read(PIDS).trim().to_owned();
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists(), "what was started was ended");
    kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
}

#[test]
fn depmod_is_ended_and_stays_due() {
    let root = root("time_limit_depmod=1s\nalways_depmod=yes\n");
    ToyModule::new("hello", "1").register(&root);
    root.dkms(&["status"]).expect(0);
    let real = root.path("/var/log/depmod");
    std::fs::rename(root.path("/var/log/stand-ins/depmod"), &real).unwrap();
    let slow = format!("[ \"$1\" = --version ] || {}\nexec {} \"$@\"\n", endless(&root), real.display());
    root.stand_in("depmod", &slow);
    let answer = root.hook(&[]).expect(11).says("depmod took longer than 1s (time_limit_depmod)");
    answer.says("the old index stays");
    assert_eq!((ended(&root), installed(&root)), (1, vec!["hello.ko".to_owned()]));
    root.deb("trigger", "", "triggered").expect(0).says("took longer than 1s");
    assert_eq!(ended(&root), 2, "it is due");
    std::fs::remove_file(root.path(SLOW)).unwrap();
    root.hook(&[]).expect(0);
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
}

/// How often bash was asked about a dkms.conf.
fn asked(answer: &Answer) -> usize {
    answer.err.matches("bash evaluates /usr/src/bad-1/dkms.conf").count()
}

#[test]
fn a_conf_that_does_not_end_costs_its_limit_once() {
    let root = root("time_limit_conf=1s\n");
    ToyKernel::new(K2).install(&root);
    ToyModule::new("hello", "1").register(&root);
    let endless = format!("while [ -e {} ]; do :; done", root.path(SLOW).display());
    ToyModule::new("bad", "1").line(&endless).register(&root);
    let says = "took longer than 1s (time_limit_conf)";
    let call = |words: &[&str], hook: &[(&str, &str)]| {
        finish(root.program(Face::Hook).args(words).env("DKMS_HOOK_LOG", "debug").envs(hook.iter().copied()))
    };
    let hook = |words: &[&str]| {
        call(words, &[("DEB_MAINT_PARAMS", "configure"), ("DPKG_MAINTSCRIPT_NAME", "postinst")]).expect(0)
    };
    let first = hook(&["deb", "kernel-postinst", K]).says(says);
    assert_eq!((asked(&first), installed(&root)), (1, vec!["hello.ko".to_owned()]), "{}", first.err);
    for words in [&["deb", "trigger"][..], &["deb", "header-postinst", K2]] {
        let later = hook(words).says(says);
        assert_eq!(asked(&later), 0, "a hook asked it again: {}", later.err);
    }
    // A person's command asks again, and not for each kernel: two may be looked at at once.
    let dry = call(&["--dry-run"], &[]).expect(0).says(says);
    assert!((1..=2).contains(&asked(&dry)), "{}", dry.err);
    let person = call(&[], &[]).expect(11);
    assert!((1..=2).contains(&asked(&person)), "{}", person.err);
    assert_eq!(asked(&hook(&["deb", "trigger"])), 0);
    // So does a hook where another file came.
    root.write("/etc/dkms/bad.conf", "# nothing\n");
    assert!((1..=2).contains(&asked(&hook(&["deb", "trigger"]))));
    // What it waited for has come: a person's command finds that out for all that follow.
    std::fs::remove_file(root.path(SLOW)).unwrap();
    hook(&["deb", "trigger"]).says(says);
    root.dkms(&["install", "bad/1", "-k", K]).expect(0);
    hook(&["deb", "trigger"]).does_not_say("took longer");
    assert_eq!(installed(&root), ["bad.ko", "hello.ko"]);
}
