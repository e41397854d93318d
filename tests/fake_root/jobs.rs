//! How many jobs the makes of a build run at once, with the make that is installed: each conf gets as many as it
//! may, and never more.

use std::fs;
use std::process::Command;

use crate::support::program::{Answer, Face, finish};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use dkms_hook::conf::model::Scripts;
use dkms_hook::process::jobserver::Server;
use dkms_hook::process::{Output, Process};

const K: &str = "6.12.1-toy";

/// Jobs that end only when as many as `together` of them run at the same time, and then some that count how many
/// run.
fn meeting(root: &FakeRoot, together: usize) -> String {
    let jobs =
        |name: &str, count: usize| (1..=count).map(|n| format!("{name}-{n}")).collect::<Vec<_>>().join(" ");
    let run = root.path("/var/log/run").display().to_string();
    format!(
        "ifneq ($(M),)\nobj-m := met.o\nelse\n\
         all: count\n\t$(MAKE) -C {kernel} M=$(CURDIR)\n\
         count: {counting}\n\t@:\n{counting}: meet\n\
         meet: {meeting}\n\t@:\n\
         meet-%:\n\
         \t@mkdir -p {run}; touch {run}/$@; left=4000; until [ `ls {run} | grep -c meet` -ge {together} ]; do \
         left=$$((left - 1)); [ $$left -gt 0 ] || exit 1; sleep 0.01; done\n\
         count-%:\n\
         \t@touch {run}/$@; ls {run} | grep -c count >> {run}/../most; sleep 0.02; \
         ls {run} | grep -c count >> {run}/../most; rm {run}/$@\n\
         endif\n",
        kernel = root.path(format!("/usr/src/linux-headers-{K}")).display(),
        counting = jobs("count", 9),
        meeting = jobs("meet", together),
    )
}

fn module(root: &FakeRoot, make: &str, together: usize) -> ToyModule {
    ToyModule::new("met", "1").make(make).file("Makefile", &meeting(root, together))
}

fn most_at_once(root: &FakeRoot) -> usize {
    root.read("/var/log/most").lines().map(|line| line.trim().parse().unwrap()).max().unwrap()
}

fn log(root: &FakeRoot, name: &str) -> String {
    root.read(format!("/var/lib/dkms/{name}/1/{K}/x86_64/log/make.log"))
}

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    root.write("/var/log/none", "");
    root
}

fn build(root: &FakeRoot, jobs: &str) -> Answer {
    root.dkms(&["build", "met/1", "-k", K, "-j", jobs])
}

#[test]
fn every_spelling_of_make_gets_its_jobs_and_no_more() {
    let path = dkms_hook::process::find_program("make").unwrap();
    let path = path.display();
    for make in [
        "make all".to_owned(),
        "'make' all".to_owned(),
        "cd . && make all".to_owned(),
        "./b.sh".to_owned(),
        "make -j7 all".to_owned(),
        "'make' -j $(nproc --all)9 all".to_owned(),
        "make -j${parallel_jobs} all".to_owned(),
        "env make -kj 8 all".to_owned(),
        format!("{path} -j8 all"),
        "MAKEFLAGS=-j9 make all".to_owned(),
        "make all MAKE='make -j5'".to_owned(),
        // A make of 4.3 hands its jobs only to recipes with $(MAKE).
        "make -f outer.mk".to_owned(),
    ] {
        let root = root();
        let outer = "all:\n\tmake --jobs=8 -f Makefile all\n";
        let module = module(&root, &make, 3).executable("b.sh", "#!/bin/sh\nmake -j all\n");
        module.file("outer.mk", outer).register(&root);
        build(&root, "3").expect(0);
        assert_eq!(most_at_once(&root), 3, "{make}");
        let log = log(&root, "met");
        for word in ["jobserver", "forced in", "warning: -j"] {
            assert!(!log.contains(word), "{make}: {log}");
        }
    }
}

#[test]
fn the_log_shows_the_command_as_dkms_does() {
    let root = root();
    module(&root, "make all", 2).register(&root);
    build(&root, "2").expect(0);
    let log = log(&root, "met");
    assert!(log.contains(&format!("\n# command: make -j2 KERNELRELEASE={K} all\n")), "{log}");
}

#[test]
fn one_job_is_one_job() {
    for (make, jobs) in [("make all", "1"), ("'make' -j1 all", "4"), ("'make' --jobs=1 all", "4")] {
        let root = root();
        module(&root, make, 1).register(&root);
        build(&root, jobs).expect(0);
        assert_eq!(most_at_once(&root), 1, "{make}");
    }
}

#[test]
fn a_makefile_for_one_job_gets_one_where_dkms_gives_one() {
    let makefile = |root: &FakeRoot| {
        format!(
            "ifneq ($(M),)\nobj-m := met.o\nelse\nall: made used\n\t$(MAKE) -C {} M=$(CURDIR)\n\
             made:\n\tsleep 0.3; touch made\nused:\n\tcat made\nendif\n",
            root.path(format!("/usr/src/linux-headers-{K}")).display()
        )
    };
    for (make, works) in
        [("'make' all", true), ("./b.sh", true), ("make all", false), ("'make' -j2 all", false)]
    {
        let root = root();
        let module = ToyModule::new("met", "1").make(make).file("Makefile", &makefile(&root));
        module.executable("b.sh", "#!/bin/sh\nmake all\n").register(&root);
        let built = build(&root, "2");
        let said = "a file is missing; building it again with one job";
        match works {
            true => drop(built.expect(0).says(said)),
            false => drop(built.expect(10).does_not_say(said)),
        }
    }
}

#[test]
fn no_limit_is_none() {
    let root = root();
    module(&root, "make all", 9).register(&root);
    build(&root, "0").expect(0);
    assert!(log(&root, "met").contains(&format!("\n# command: make -j KERNELRELEASE={K} all\n")));
}

#[test]
fn scripts_of_a_build_take_part() {
    let root = root();
    let scripts = Scripts { pre_build: Some("pre.sh".to_owned()), ..Scripts::default() };
    let module = ToyModule::new("met", "1").scripts(scripts);
    let text = "#!/bin/sh\nmake -f meet.mk -j9 count\n";
    module.executable("pre.sh", text).file("meet.mk", &meeting(&root, 3)).register(&root);
    build(&root, "3").expect(0);
    assert_eq!(most_at_once(&root), 3);
}

#[test]
fn a_killed_make_leaves_all_jobs_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::open(3, dir.path());
    let path = |name: &str| dir.path().join(name).display().to_string();
    // It is killed while two jobs run, so one with a token.
    let kill = "all: one two\none:\n\ttouch one; sleep 0.3\n\
                two:\n\tuntil [ -e one ]; do sleep 0.01; done; kill -9 $$PPID\n";
    fs::write(path("kill.mk"), kill).unwrap();
    let all = "all: a b c\na b c:\n\ttouch $@; left=2000; until [ -e a -a -e b -a -e c ]; do \
               left=$$((left - 1)); [ $$left -gt 0 ] || exit 1; sleep 0.01; done\n";
    fs::write(path("all.mk"), all).unwrap();
    let make = |file: &str| {
        let _slot = server.slot();
        let make = Process::new("make").arg("-f").arg(path(file)).dir(dir.path());
        server.attach(make).run(Output::Null).unwrap()
    };
    assert_eq!(make("kill.mk"), 137);
    assert_eq!(make("all.mk"), 0);
}

#[test]
fn inside_of_another_make_its_jobs_are_used() {
    let root = root();
    module(&root, "make all", 3).register(&root);
    let program = root.program(Face::Dkms);
    let mut make = Command::new("make");
    make.env_clear();
    for (name, value) in program.get_envs() {
        if let Some(value) = value {
            make.env(name, value);
        }
    }
    let link = root.path("/var/log/dkms");
    std::os::unix::fs::symlink(program.get_program(), &link).unwrap();
    let recipe = format!("all:\n\t+{} build met/1 -k {K} -j 9\n", link.display());
    let makefile = root.write("/var/log/outer.mk", recipe);
    make.args(["-j3", "-f"]).arg(makefile).current_dir("/");
    finish(&mut make).expect(0).does_not_say("jobserver").does_not_say("INTERNAL");
    assert_eq!(most_at_once(&root), 3);
}

#[test]
fn nothing_of_the_server_is_left() {
    let root = root();
    module(&root, "make all", 2).register(&root);
    build(&root, "2").expect(0);
    let left = root.names("/var/lib/dkms/.dkms-hook");
    assert!(!left.iter().any(|name| name.starts_with(".tmp")), "{left:?}");
}

/// A module whose first try ends as if memory had run out.
fn short_of_memory(root: &FakeRoot, tries: usize) -> ToyModule {
    let tried = root.path("/var/log/tried");
    let makefile = meeting(root, 1).replace(
        "\nall: count\n",
        &format!(
            "\nall:\n\t@echo $(MAKEFLAGS) >> {0}; [ `wc -l < {0}` -gt {tries} ] || \
             {{ echo 'cc1: out of memory allocating 65536 bytes'; exit 1; }}\n\t$(MAKE) -j8 built\nbuilt: count\n",
            tried.display()
        ),
    );
    ToyModule::new("met", "1").make("make all").file("Makefile", &makefile)
}

#[test]
fn what_ran_out_of_memory_is_built_again_alone_with_one_job() {
    let root = root();
    short_of_memory(&root, 1).register(&root);
    let answer = build(&root, "4").expect(0);
    answer.says(&format!("met/1 for kernel {K}: memory ran out; building it again alone, with one job"));
    assert_eq!(most_at_once(&root), 1);
    assert!(log(&root, "met").contains(&format!("\n# command: make -j1 KERNELRELEASE={K} all\n")));
}

#[test]
fn what_runs_out_of_memory_twice_is_not_the_sources_fault() {
    let root = root();
    short_of_memory(&root, 2).register(&root);
    let failed = root.hook(&[]);
    assert!(
        failed.err.contains("add swap") || failed.out.contains("add swap"),
        "{} {}",
        failed.out,
        failed.err
    );
    assert_eq!(root.read("/var/log/tried").lines().count(), 2);
    // So the next run tries again, though nothing has changed.
    root.hook(&[]).expect(0);
    assert!(root.exists(format!("/lib/modules/{K}/updates/dkms/met.ko")));
}

#[test]
fn a_build_may_open_more_files_than_its_caller() {
    let root = root();
    let limits = root.path("/var/log/limits");
    let makefile = format!(
        "ifneq ($(M),)\nobj-m := met.o\nelse\nall:\n\tulimit -Sn > {0}; ulimit -Hn >> {0}\n\t$(MAKE) -C {1} M=$(CURDIR)\nendif\n",
        limits.display(),
        root.path(format!("/usr/src/linux-headers-{K}")).display()
    );
    ToyModule::new("met", "1").make("make all").file("Makefile", &makefile).register(&root);
    let program = root.program(Face::Dkms);
    let mut shell = Command::new("sh");
    shell.env_clear();
    for (name, value) in program.get_envs() {
        value.map(|value| shell.env(name, value));
    }
    let link = root.path("/var/log/dkms");
    std::os::unix::fs::symlink(program.get_program(), &link).unwrap();
    let text = format!("ulimit -Sn 200; ulimit -Hn 900; exec {} build met/1 -k {K}", link.display());
    finish(shell.args(["-c", &text])).expect(0);
    assert_eq!(root.read("/var/log/limits"), "900\n900\n");
}
