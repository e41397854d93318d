//! What the caller's environment and the options of a command line change, and for how long.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::program::{Answer, Face, finish};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use dkms_hook::conf::model::Scripts;

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";

/// A root with a kernel.
fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    root
}

/// Runs `dkms` with these variables set.
fn with(root: &FakeRoot, variables: &[(&str, &str)], args: &[&str]) -> Answer {
    finish(root.program(Face::Dkms).envs(variables.iter().copied()).args(args))
}

fn log(root: &FakeRoot, module: &str, kernel: &str) -> String {
    root.read(format!("/var/lib/dkms/{module}/{kernel}/x86_64/log/make.log"))
}

/// A script that writes what it is told into a file of the root named after it.
fn tells(root: &FakeRoot, name: &str) -> String {
    let out = root.path(format!("/var/log/{name}"));
    format!("#!/bin/sh\nenv | sort > {}\n", out.display())
}

#[test]
fn builds_and_scripts_are_told_what_they_are_for_and_nothing_of_the_caller() {
    let root = root();
    let name = |script: &str| Some(script.to_owned());
    let scripts = Scripts {
        pre_build: name("pre_build"),
        post_build: name("post_build"),
        pre_install: name("pre_install"),
        post_install: name("post_install"),
        post_remove: name("post_remove"),
        post_add: name("post_add"),
    };
    let all = ["pre_build", "post_build", "pre_install", "post_install", "post_remove", "post_add"];
    let mut module = ToyModule::new("hello", "1.0").scripts(scripts);
    for script in all {
        module = module.executable(script, &tells(&root, script));
    }
    module.write_source(&root);
    let hostile = [
        ("CC", "evil-cc"),
        ("CXX", "evil-cc"),
        ("CFLAGS", "-Devil"),
        ("CXXFLAGS", "-Devil"),
        ("LDFLAGS", "-evil"),
        ("module", "another"),
        ("MAKEFLAGS", "-n"),
        ("MAKELEVEL", "1"),
        ("SHELLOPTS", "noexec"),
        ("BASH_ENV", "/nonexistent/exit-1"),
        ("BASH_FUNC_make%%", "() { exit 1; }"),
        ("KEPT", "yes"),
    ];
    with(&root, &hostile, &["install", "hello/1.0", "-k", K]).expect(0);
    with(&root, &[], &["remove", "hello/1.0", "--all"]).expect(0);
    for script in all {
        let told = root.read(format!("/var/log/{script}"));
        let has = |line: &str| told.lines().any(|l| l == line);
        for line in ["module=hello", "module_version=1.0", &format!("kernelver={K}"), "arch=x86_64"] {
            assert!(has(line), "{script}: {line} in\n{told}");
        }
        assert!(!told.contains("evil"), "{script}:\n{told}");
        // Others pass to scripts that change the machine, and not to builds.
        let passes = !["post_remove", "pre_build", "post_build"].contains(&script);
        assert_eq!(has("KEPT=yes"), passes, "{script}\n{told}");
    }
}

#[test]
fn signals_that_the_caller_ignores_or_limits_that_it_has_are_told_and_hurt_nothing() {
    let root = root();
    ToyModule::new("hello", "1.0").register(&root);
    let run = |begin: &str| {
        let ours = root.program(Face::Dkms);
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("{begin}; exec -a dkms \"$@\"",), "bash"]).arg(ours.get_program());
        shell
            .args(["install", "--force", "hello/1.0", "-k", K])
            .envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        finish(&mut shell)
    };
    // No child could be waited for.
    run("trap '' CHLD").expect(0);
    // The first byte written to a file ended the program without a word.
    let answer = run("ulimit -f 0");
    assert!(answer.code > 0 && answer.code < 128 && !answer.err.is_empty(), "{answer:?}");
    run("true").expect(0);
}

#[test]
fn files_have_the_modes_they_should_whatever_the_umask() {
    let root = root();
    ToyModule::new("hello", "1.0").write_source(&root);
    let program = root.program(Face::Dkms);
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "umask 077; exec \"$0\" --root \"$1\" \"$2\"",
        program.get_program().to_str().unwrap(),
    ]);
    command.arg(root.layout.root.dir()).arg("--verbose");
    command.env_clear().env("PATH", root.search_path()).env("LC_ALL", "C");
    // Registered by a caller whose files nobody else may read; the rest follows by itself.
    let mut add = Command::new("sh");
    add.args(["-c", "umask 077; exec -a dkms \"$0\" add hello/1.0"]).arg(program.get_program());
    let mut add_by_bash = Command::new("bash");
    add_by_bash.args(add.get_args()).env_clear().env("PATH", root.search_path());
    finish(add_by_bash.env("DKMS_HOOK_ROOT", root.layout.root.dir())).expect(0);
    finish(&mut command).expect(0);
    let mode = |path: &str| root.path(path).metadata().unwrap().permissions().mode() & 0o777;
    for dir in ["hello", "hello/1.0", "hello/1.0/build", &format!("hello/1.0/{K}/x86_64/module")] {
        let path = format!("/var/lib/dkms/{dir}");
        if root.exists(&path) {
            assert_eq!(mode(&path), 0o755, "{dir}");
        }
    }
    assert_eq!(mode(&format!("/var/lib/dkms/hello/1.0/{K}/x86_64/module/hello.ko")), 0o644);
    assert_eq!(mode(&format!("/lib/modules/{K}/updates/dkms")), 0o755);
    assert_eq!(mode(&format!("/lib/modules/{K}/updates/dkms/hello.ko")), 0o644);
}

#[test]
fn the_number_of_jobs_comes_from_the_nearest_place_and_changes_no_result() {
    let root = root();
    ToyModule::new("hello", "1.0").register(&root);
    let jobs = |variables: &[(&str, &str)], options: &[&str]| {
        with(&root, variables, &[&["build", "hello/1.0", "-k", K, "--force"], options].concat()).expect(0);
        let log = log(&root, "hello/1.0", K);
        let command = log.lines().find(|l| l.starts_with("# command: make")).unwrap();
        command.split_whitespace().nth(3).unwrap().to_owned()
    };
    assert_eq!(jobs(&[("parallel_jobs", "3")], &[]), "-j3");
    assert_eq!(jobs(&[("parallel_jobs", "3")], &["-j", "7"]), "-j7");
    assert_eq!(jobs(&[("parallel_jobs", "3")], &["-j", "0"]), "-j");
    root.write("/etc/dkms/framework.conf", "parallel_jobs=5\n");
    assert_eq!(jobs(&[("parallel_jobs", "3")], &[]), "-j5");
    root.take_make_calls();
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 0, "another number of jobs is no other build");
}

/// Whether the built module still has its debug information.
fn has_debug(root: &FakeRoot) -> bool {
    let path = root.path(format!("/var/lib/dkms/hello/1.0/{K}/x86_64/module/hello.ko"));
    std::fs::read(path).unwrap().windows(11).any(|bytes| bytes == b".debug_info")
}

#[test]
fn a_build_keeps_the_options_it_was_made_with() {
    let root = root();
    ToyModule::new("hello", "1.0").register(&root);
    ToyModule::new("other", "1.0").register(&root);
    let directive = "DKMS_DIRECTIVE_NO_STRIP";
    for variable in [true, false] {
        let variables = [(directive, "STRIP=no")];
        let variables = if variable { &variables[..] } else { &[] };
        let options = if variable { &[][..] } else { &["--directive=STRIP=no"] };
        root.hook(&[]).expect(0);
        assert!(!has_debug(&root));
        with(&root, variables, &[&["install", "hello/1.0", "-k", K], options].concat()).expect(0);
        assert!(has_debug(&root), "{variables:?} {options:?}");
        // Neither a hook nor a plain call takes that back.
        root.take_make_calls();
        root.hook(&[]).expect(0).says("nothing to do");
        root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).says("already installed");
        root.dkms(&["autoinstall", "-k", K]).expect(0);
        assert_eq!(root.take_make_calls(), [""; 0], "{variables:?} {options:?}");
        // What has to be built again is built the same way.
        let notes = root.path("/usr/src/hello-1.0/notes");
        std::fs::write(&notes, format!("{variables:?}")).unwrap();
        root.hook(&[]).expect(0);
        assert_eq!(root.take_make_calls(), ["/var/lib/dkms/hello/1.0/build"]);
        assert!(has_debug(&root));
        root.hook(&[]).expect(0).says("nothing to do");
        // Asked for anew, it is as its conf says; a kernel that it was not asked for has never heard of it.
        root.dkms(&["build", "hello/1.0", "-k", K, "--force"]).expect(0);
        assert!(!has_debug(&root));
    }
    // The variable is about what is asked for by name.
    root.take_make_calls();
    with(&root, &[(directive, "STRIP=no")], &["install", "hello/1.0", "-k", K]).expect(0);
    with(&root, &[(directive, "STRIP=no")], &["autoinstall", "-k", K]).expect(0);
    assert_eq!(root.take_make_calls(), ["/var/lib/dkms/hello/1.0/build"]);
}

#[test]
fn another_conf_and_another_source_of_headers_are_kept_too() {
    let root = root();
    let module = ToyModule::new("hello", "1.0");
    module.register(&root);
    let conf = module.clone().line("STRIP=no").conf_text();
    let conf = root.write("/root/my.conf", conf);
    let dir = conf.parent().unwrap().to_owned();
    let mut command = root.program(Face::Dkms);
    finish(command.current_dir(dir).args(["install", "hello/1.0", "-k", K, "-c", "my.conf"])).expect(0);
    assert!(has_debug(&root));
    root.take_make_calls();
    root.hook(&[]).expect(0).says("nothing to do");
    std::fs::write(&conf, module.conf_text()).unwrap();
    root.hook(&[]).expect(0);
    assert!(!has_debug(&root));
    assert_eq!(root.take_make_calls().len(), 1, "it follows the conf that it was built with");

    // A kernel without headers of its own, built for with those in another place.
    ToyKernel::new(K2).install(&root);
    std::fs::remove_file(root.path(format!("/lib/modules/{K2}/build"))).unwrap();
    let headers = root.path(format!("/usr/src/linux-headers-{K2}"));
    let option = format!("--kernelsourcedir={}", headers.display());
    root.dkms(&["install", "hello/1.0", "-k", K2, &option]).expect(0);
    root.take_make_calls();
    root.hook(&["--kernel", K2]).expect(0);
    assert_eq!(root.take_make_calls().len(), 0);
    assert_eq!(root.names(format!("/lib/modules/{K2}/updates/dkms")), ["hello.ko"]);
}

#[test]
fn a_file_of_variables_is_sourced_before_a_build() {
    let root = root();
    let build = tells(&root, "$OUT") + "make -C $1 M=$PWD\n";
    let module = ToyModule::new("hello", "1.0").executable("build.sh", &build);
    module.make("./build.sh $kernel_source_dir").register(&root);
    let settings = "/etc/dkms/framework.conf";
    root.write("/etc/dkms/vars", "export OUT=general FROM_FILE='two words'\nCC=evil\nprivate=1\n");
    root.write("/etc/dkms/mine", "export OUT=mine FROM_FILE=mine\n");
    root.write(settings, "build_environment=/etc/dkms/vars\n");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    let told = root.read("/var/log/general");
    assert!(told.contains("FROM_FILE=two words\n") && !told.contains("private="), "{told}");

    // A person's own file is for what is asked for by name, and stays with it.
    with(&root, &[("build_environment", "/etc/dkms/mine")], &["install", "hello/1.0", "-k", K]).expect(0);
    root.take_make_calls();
    root.hook(&[]).expect(0).says("nothing to do");
    root.write("/etc/dkms/mine", "export OUT=mine FROM_FILE=changed\n");
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    assert!(root.read("/var/log/mine").contains("FROM_FILE=changed\n"));
}

/// The lines that the command of framework.conf wrote, since the last call.
fn transactions(root: &FakeRoot) -> Vec<String> {
    let path = root.path("/var/log/transactions");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let _ = std::fs::remove_file(path);
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_command_follows_what_changed_modules_and_nothing_else() {
    let root = root();
    ToyModule::new("hello", "1.0").register(&root);
    ToyModule::new("bad", "1.0").failing().register(&root);
    let out = root.path("/var/log/transactions");
    let script = format!("#!/bin/sh\necho \"$module $kernelver\" >> {}\necho said\n", out.display());
    let script = root.write_script("/root/after", &script);
    root.write("/etc/dkms/framework.conf", format!("post_transaction={}\n", script.display()));
    let told = format!("hello {K}");

    root.dkms(&["build", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(transactions(&root), [""; 0]);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(transactions(&root), [told.as_str()]);
    let log = root.read("/var/lib/dkms/post_transaction.log");
    assert!(log.contains("\nsaid\n") && log.contains("# exit code: 0"), "{log}");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    root.dkms(&["install", "bad/1.0", "-k", K]).expect(10);
    assert_eq!(transactions(&root), [""; 0]);
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    root.dkms(&["unbuild", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(transactions(&root), [told.as_str(), told.as_str()]);
    root.dkms(&["unbuild", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(transactions(&root), [""; 0], "there was nothing to do");

    // Of a run over everything, a module that fails says nothing about the others.
    root.dkms(&["autoinstall", "-k", K]).expect(11);
    assert_eq!(transactions(&root).len(), 1);
    root.dkms(&["autoinstall", "-k", K]).expect(11);
    assert_eq!(transactions(&root).len(), 0);
    ToyKernel::new(K2).install(&root);
    root.deb("kernel-postinst", K2, "configure").expect(0);
    assert_eq!(transactions(&root).len(), 1);
    root.dkms(&["remove", "hello/1.0", "--all"]).expect(0);
    assert_eq!(transactions(&root).len(), 1);

    // It may call us, its failure is told and stops nothing, and the environment may name one.
    let failing = [("post_transaction", "dkms status; exit 3")];
    std::fs::remove_file(root.path("/etc/dkms/framework.conf")).unwrap();
    ToyModule::new("hello", "1.0").register(&root);
    with(&root, &failing, &["install", "hello/1.0", "-k", K]).expect(0).says("status 3");
}

#[test]
fn the_administrators_directory_comes_before_the_distributions() {
    let root = root();
    ToyModule::new("hello", "1.0").register(&root);
    with(&root, &[("ADDON_MODULES_DIR", "addon")], &["install", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/addon")), ["hello.ko"]);
    // What is there stays where it was put, and goes from there.
    root.hook(&[]).expect(0).says("nothing to do");
    assert_eq!(root.dkms(&["status"]).expect(0).out, format!("hello/1.0, {K}, x86_64: installed\n"));
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    assert!(!root.exists(format!("/lib/modules/{K}/addon")));
    root.write("/etc/sysconfig/module-init-tools", "ADDON_MODULES_DIR=\"mine\" # SUSE's\n");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/mine")), ["hello.ko"]);
    root.dkms(&["remove", "hello/1.0", "--all"]).expect(0);
    assert!(!root.exists(format!("/lib/modules/{K}/mine")));
}

#[test]
fn a_path_without_the_usual_directories_is_completed() {
    // `su` without `-`, cron; and, as a shell has it, no PATH at all.
    for given in [Some("/usr/bin:/bin"), Some("/nonexistent"), None] {
        let root = FakeRoot::new();
        ToyKernel::new(K).install(&root);
        let seen = root.path("/var/log/seen-path");
        let module = ToyModule::new("hello", "1.0").line("PRE_BUILD=see.sh").executable(
            "see.sh",
            &format!("#!/bin/sh\necho \"$PATH\" > {}\ntype depmod gcc make\n", seen.display()),
        );
        module.register(&root);
        let mut command = root.program(Face::Dkms);
        match given {
            Some(path) => command.env("PATH", path),
            None => command.env_remove("PATH"),
        };
        // The index of a fake root is that of the real depmod, which this machine need not have.
        finish(command.args(["install", "hello/1.0", "-k", K, "--no-depmod"])).expect(0);
        let path = root.read("/var/log/seen-path");
        for dir in ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"] {
            assert!(path.trim_end().split(':').any(|known| known == dir), "{given:?}: {path}");
        }
        assert!(path.contains(given.unwrap_or_default()));
    }
}
