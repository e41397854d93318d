//! Runs that a signal asks to end, in the middle of a real make.

use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use dkms_hook::conf::model::Scripts;

use crate::support::program::{Answer, Face};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const CELL: &str = "/var/lib/dkms/hello/1.0/6.12.1-toy/x86_64";
/// While this file is there, make waits, and writes its process ids into the other.
const SLOW: &str = "/var/log/slow";
const PIDS: &str = "/var/log/pids";

/// A module that is built and installed, and whose next build waits in the middle of make. With `stubborn`, what
/// make waits for does not end for a signal.
fn root(stubborn: bool) -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    let module = ToyModule::new("hello", "1.0");
    module.register(&root);
    let (slow, pids) = (root.path(SLOW), root.path(PIDS));
    let (slow, pids) = (slow.display(), pids.display());
    let trap = if stubborn { "trap '' INT TERM HUP; " } else { "" };
    let makefile = format!(
        "obj-m := hello.o\nifneq ($(wildcard {slow}),)\n$(M)/hello.o: $(M)/slow\n$(M)/slow:\n\
         \t@{trap}echo $$PPID $$$$ > {pids}.new; mv {pids}.new {pids}; while :; do sleep 1; done\nendif\n"
    );
    root.write("/usr/src/hello-1.0/Makefile", makefile);
    root.hook(&[]).expect(0);
    let source = root.read("/usr/src/hello-1.0/hello.c").replace("return 42", "return 43");
    root.write("/usr/src/hello-1.0/hello.c", source);
    root.write(SLOW, "");
    root
}

/// The run, as the leader of a process group, in the middle of make; and the processes of make.
fn begun(root: &FakeRoot, face: Face, words: &[&str], env: &[(&str, &str)]) -> (Child, Vec<Pid>) {
    let mut command = root.program(face);
    command.args(words).envs(env.iter().copied()).process_group(0);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while !root.exists(PIDS) {
        assert!(begin.elapsed() < Duration::from_secs(60), "make never began");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pids = root.read(PIDS);
    (child, pids.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect())
}

/// How it ended. One that does not end is a fault, and is ended with its group.
fn answer(child: Child) -> Answer {
    let group = Pid::from_raw(child.id().try_into().unwrap());
    let (sender, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let output = ended.recv_timeout(Duration::from_secs(120)).unwrap_or_else(|_| {
        let _ = killpg(group, Signal::SIGKILL);
        panic!("the program does not end");
    });
    let output = output.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Answer { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// A process is gone when it has ended, reaped by its parent or not.
fn is_gone(pid: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

#[track_caller]
fn are_gone(pids: &[Pid]) {
    let begin = Instant::now();
    while !pids.iter().all(|pid| is_gone(*pid)) {
        assert!(begin.elapsed() < Duration::from_secs(20), "{pids:?} are still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The old build is there and installed, nothing is left of the one that was stopped, and the next run makes it.
fn goes_on(root: &FakeRoot, before: &[(String, String)]) {
    assert_eq!(what_is_there(root), before);
    assert!(!root.exists("/var/lib/dkms/hello/1.0/build"), "{:?}", root.names("/var/lib/dkms/hello/1.0"));
    assert_eq!(root.names(format!("/var/lib/dkms/hello/1.0/{K}")), ["x86_64"]);
    assert_eq!(root.names("/var/lib/dkms/.dkms-hook/verdicts"), [""; 0]);
    std::fs::remove_file(root.path(SLOW)).unwrap();
    root.hook(&["--kernel", K]).expect(0).says("Building hello/1.0");
    assert_ne!(what_is_there(root), before);
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
}

/// The built and the installed module, and the record of the build.
fn what_is_there(root: &FakeRoot) -> Vec<(String, String)> {
    let files = [
        format!("{CELL}/module/hello.ko"),
        format!("/lib/modules/{K}/updates/dkms/hello.ko"),
        format!("{CELL}/.dkms-hook.json"),
    ];
    let content =
        |path: &String| String::from_utf8_lossy(&std::fs::read(root.path(path)).unwrap()).into_owned();
    files.iter().map(|path| (path.clone(), content(path))).collect()
}

#[test]
fn ctrl_c_ends_make_and_leaves_the_build_that_was_there() {
    let root = root(false);
    let before = what_is_there(&root);
    let (child, pids) = begun(&root, Face::Hook, &[], &[]);
    // What a terminal does: the group of the program, which make is not in.
    let group = Pid::from_raw(child.id() as i32);
    assert!(pids.iter().all(|pid| nix::unistd::getpgid(Some(*pid)).unwrap() != group));
    killpg(group, Signal::SIGINT).unwrap();
    answer(child)
        .expect(130)
        .says("stopped by Ctrl-C")
        .says(
            "hello/1.0 for 6.12.1-toy was not built; the build that was there is unchanged, \
               and hello/1.0 is still installed\nrun the same command again",
        )
        .says("`dkms-hook --kernel 6.12.1-toy`");
    are_gone(&pids);
    goes_on(&root, &before);
}

#[test]
fn a_signal_to_the_program_alone_ends_make_as_well() {
    let rows = [(Signal::SIGTERM, 143, "SIGTERM"), (Signal::SIGHUP, 129, "SIGHUP")];
    for (signal, code, name) in rows {
        let root = root(false);
        let before = what_is_there(&root);
        let (child, pids) = begun(&root, Face::Dkms, &["install", "hello/1.0", "-k", K], &[]);
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        answer(child)
            .expect(code)
            .says(&format!("Error! stopped by {name}: hello/1.0 for {K} was not built"));
        are_gone(&pids);
        goes_on(&root, &before);
    }
}

#[test]
fn a_make_that_ignores_the_signal_is_killed() {
    let root = root(true);
    let before = what_is_there(&root);
    let (child, pids) = begun(&root, Face::Hook, &[], &[]);
    let own = Pid::from_raw(child.id() as i32);
    kill(own, Signal::SIGINT).unwrap();
    // Make itself ends at once, and its recipe does not. A second one that came before the first was noted would be one
    // with it.
    std::thread::sleep(Duration::from_millis(300));
    let _ = kill(own, Signal::SIGINT);
    answer(child).expect(130).says("stopped by Ctrl-C");
    are_gone(&pids);
    goes_on(&root, &before);
}

#[test]
fn a_hook_that_is_stopped_does_not_fail() {
    let root = root(false);
    let before = what_is_there(&root);
    let hook = [("DEB_MAINT_PARAMS", "configure"), ("DPKG_MAINTSCRIPT_NAME", "postinst")];
    let (child, pids) = begun(&root, Face::Hook, &["deb", "header-postinst", K], &hook);
    killpg(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    answer(child).expect(0).says("dkms-hook: stopped by Ctrl-C: hello/1.0 for 6.12.1-toy was not built");
    are_gone(&pids);
    goes_on(&root, &before);
}

#[test]
fn what_whoever_started_the_run_ignores_stops_nothing() {
    let root = root(false);
    let mut command = root.program(Face::Hook);
    let program = command.get_program().to_owned();
    let words: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    command = {
        // nohup(1).
        let mut shell = std::process::Command::new("sh");
        shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(program).args(words);
        shell
    };
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !root.exists(PIDS) {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before make began");
        std::thread::sleep(Duration::from_millis(5));
    }
    let own = Pid::from_raw(child.id() as i32);
    kill(own, Signal::SIGHUP).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(!is_gone(own));
    kill(own, Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn a_step_that_the_terminals_ctrl_c_ends_was_stopped() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    let pids = root.path(PIDS);
    let scripts = Scripts { pre_install: Some("wait.sh".into()), ..Scripts::default() };
    let wait = format!(
        "#!/bin/sh\n[ -e {slow} ] || exit 0\necho $$ > {pids}\nexec sleep 300\n",
        slow = root.path(SLOW).display(),
        pids = pids.display()
    );
    ToyModule::new("hello", "1.0").scripts(scripts).executable("wait.sh", &wait).register(&root);
    root.write(SLOW, "");
    let (child, pids) = begun(&root, Face::Hook, &[], &[]);
    killpg(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    answer(child).expect(130).says("PRE_INSTALL of hello/1.0 ended with status 130").says(
        "stopped by Ctrl-C: hello/1.0 is built for 6.12.1-toy and was not installed; no hello is installed",
    );
    are_gone(&pids);
    std::fs::remove_file(root.path(SLOW)).unwrap();
    root.hook(&[]).expect(0).does_not_say("Building").says("Installing");
}

/// A root whose module has a PRE_INSTALL that waits while [`SLOW`] is there.
fn root_with_script(wait: &str) -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    let (slow, pids) = (root.path(SLOW), root.path(PIDS));
    let scripts = Scripts { pre_install: Some("wait.sh".into()), ..Scripts::default() };
    let script = format!(
        "#!/bin/bash\n[ -e {slow} ] || exit 0\n{wait}\necho $$ $! > {pids}.new; mv {pids}.new {pids}\n\
         while :; do sleep 0.1; done\n",
        slow = slow.display(),
        pids = pids.display()
    );
    ToyModule::new("hello", "1.0").scripts(scripts).executable("wait.sh", &script).register(&root);
    root.write(SLOW, "");
    root
}

#[test]
fn a_signal_to_the_program_alone_ends_a_script_and_what_left_its_session() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129), (Signal::SIGINT, 130)] {
        // It stays in the group of the program, as it may ask at the terminal.
        let root = root_with_script("setsid bash -c 'trap \"\" TERM HUP INT; exec sleep 300' &");
        let (child, pids) = begun(&root, Face::Hook, &[], &[]);
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        answer(child).expect(code).says("hello/1.0 is built for 6.12.1-toy and was not installed");
        let script = &pids[..1];
        are_gone(script);
        for left in &pids[1..] {
            // What a script of root's leaves may be a service that is to stay. This one is none.
            let _ = kill(*left, Signal::SIGKILL);
        }
        std::fs::remove_file(root.path(SLOW)).unwrap();
        root.hook(&[]).expect(0).does_not_say("Building").says("Installing");
    }
}

#[test]
fn a_second_signal_ends_what_ignores_the_first() {
    let root = root_with_script("trap '' INT TERM HUP; bash -c 'trap \"\" INT; exec sleep 300' &");
    let (child, pids) = begun(&root, Face::Hook, &[], &[]);
    let own = Pid::from_raw(child.id() as i32);
    kill(own, Signal::SIGINT).unwrap();
    // Sooner it could be one with the first.
    std::thread::sleep(Duration::from_millis(300));
    let _ = kill(own, Signal::SIGINT);
    answer(child).expect(130);
    are_gone(&pids);
    std::fs::remove_file(root.path(SLOW)).unwrap();
    root.hook(&[]).expect(0).says("Installing");
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
}
