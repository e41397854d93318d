use std::time::{Duration, Instant};

use super::*;

#[test]
fn a_missing_program_is_told_apart_from_one_that_fails() {
    let missing = Process::new("no-such-program-here").run(Output::Null).unwrap_err();
    assert!(matches!(missing, ProcessError::Missing { .. }), "{missing}");
    let elsewhere = Process::new("true").dir("/nonexistent").run(Output::Null).unwrap_err();
    assert!(elsewhere.to_string().contains("/nonexistent"), "{elsewhere}");
    assert_eq!(Process::bash("exit 3").run(Output::Null).unwrap(), 3);
    assert_eq!(Process::bash("kill -9 $$").run(Output::Null).unwrap(), 137);
}

#[test]
fn a_child_reads_what_it_is_given() {
    let process = Process::new("cat").input("usr/lib/modules/6.1/vmlinuz\n");
    for _ in 0..2 {
        assert_eq!(process.capture().unwrap().stdout, b"usr/lib/modules/6.1/vmlinuz\n");
    }
}

#[test]
fn a_child_whose_time_is_over_is_ended_with_what_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let text = format!("sleep 300 & echo $! > {}; wait", pid.display());
    let begin = Instant::now();
    let error = Process::bash(&text).limit(Duration::from_millis(300)).capture().unwrap_err();
    assert!(matches!(error, ProcessError::TimedOut { .. }), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(100), "it waited for the grandchild");
    let grandchild: i32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    // It is gone, or dead and not yet reaped by the first process of this machine.
    let state = || std::fs::read_to_string(format!("/proc/{grandchild}/stat"));
    while state().is_ok_and(|stat| !stat.contains(") Z ")) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn nothing_that_a_child_started_escapes_its_limit() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    // Each of them leaves the process group and ignores what can be ignored; one left its parents, too, and another
    // one knows nothing of who started it.
    let stay = "trap \"\" TERM HUP; echo $$ > \"$0\"; while :; do sleep 1; done";
    let text = format!(
        "trap '' TERM\nsetsid bash -c '{stay}' {one} &\n(setsid bash -c '{stay}' {two} &)\n\
         env -i PATH=\"$PATH\" setsid bash -c '{stay}' {three} &\n\
         while ! [ -s {one} -a -s {two} -a -s {three} ]; do sleep 0.02; done\n: > {all}\nwhile :; do sleep 1; done\n",
        one = file("one"),
        two = file("two"),
        three = file("three"),
        all = file("all"),
    );
    let limit = Limit { time: Some(Duration::from_secs(2)), setting: "time_limit_script" };
    for process in [Process::bash(&text).within(limit), Process::bash(&text).limit(Duration::from_secs(2))] {
        let mut tries = 0;
        let error = loop {
            let error = process.run(Output::Null).unwrap_err();
            // A busy machine may not have come so far.
            if dir.path().join("all").exists() {
                break error;
            }
            tries += 1;
            assert!(tries < 30, "it never began");
        };
        assert!(matches!(error, ProcessError::TimedOut { .. }), "{error}");
        for name in ["one", "two", "three"] {
            let pid = std::fs::read_to_string(dir.path().join(name)).unwrap();
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            assert!(stat.map_or(true, |stat| stat.contains(") Z ")), "{name} is still there");
            std::fs::remove_file(dir.path().join(name)).unwrap();
        }
        std::fs::remove_file(dir.path().join("all")).unwrap();
    }
    let error = Process::bash("sleep 300").within(limit).run(Output::Null).unwrap_err();
    assert_eq!(error.to_string(), "bash took longer than 2s (time_limit_script) and was ended");
    let none = Limit { time: None, ..limit };
    assert_eq!(Process::bash("exit 7").within(none).run(Output::Null).unwrap(), 7);
}

#[test]
fn a_child_left_in_the_background_keeps_nobody_waiting() {
    let text = "sleep 300 & echo $!";
    for process in [Process::bash(text), Process::bash(text).limit(Duration::from_secs(100))] {
        let got = process.capture().unwrap();
        let pid = String::from_utf8(got.stdout).unwrap().trim().parse().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).unwrap();
    }
}

#[test]
fn a_part_of_an_answer_is_no_answer() {
    let print = |bytes: u32| Process::bash(&format!("head -c {bytes} /dev/zero")).capture();
    assert_eq!(print(16 << 20).unwrap().stdout.len(), 16 << 20);
    assert!(print((16 << 20) + 1).is_err());
}

#[test]
fn a_bare_environment_has_what_was_named() {
    let got = Process::new("/usr/bin/env").with_bare_environment().env("A", "b").capture().unwrap();
    assert_eq!(String::from_utf8(got.stdout).unwrap(), "A=b\n");
}

#[test]
fn a_child_without_a_terminal_leads_a_session_of_its_own() {
    let session = |process: Process| {
        let got = process.capture().unwrap();
        // proc_pid_stat(5): the sixth field, with nothing odd in the name before it.
        String::from_utf8(got.stdout).unwrap().split(' ').nth(5).unwrap().to_owned()
    };
    let read = || Process::new("cat").arg("/proc/self/stat");
    let own = session(Process::new("cat").arg(format!("/proc/{}/stat", std::process::id())));
    assert_eq!(session(read()), own);
    assert_ne!(session(read().without_terminal()), own);
}

#[test]
fn log_blocks_have_the_form_that_scripts_know() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("make.log");
    assert_eq!(Process::bash("echo out; echo err >&2; exit 2").run_logged("Doing", &log).unwrap(), 2);
    let text = std::fs::read_to_string(&log).unwrap();
    let (output, duration) = text.split_once("# elapsed time: ").unwrap();
    assert_eq!(output, "\nDoing\n# command: echo out; echo err >&2; exit 2\nout\nerr\n\n# exit code: 2\n");
    assert!(duration.starts_with("00:0") && duration.ends_with(&format!("\n{}\n", "-".repeat(64))));
}
