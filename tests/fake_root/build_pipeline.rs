//! Builds that succeed: what ends up in the module tree, and in which form.

use crate::support::build_run::{K, Run};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use dkms_hook::apply::build::{Compression, Signed};
use dkms_hook::conf::model::Scripts;
use dkms_hook::kernel::compression;

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    root
}

#[test]
fn a_module_is_built_for_its_kernel() {
    let root = root();
    let run = Run::new(&root, &ToyModule::new("hello", "1.0"));
    let built = run.build().unwrap();

    assert_eq!(built.modules.len(), 1);
    assert_eq!((built.modules[0].record, built.modules[0].file.as_str()), (0, "hello.ko"));
    let info = run.modinfo("hello.ko");
    assert_eq!(info.kernel(), Some(K));
    assert_eq!((info.name.as_deref(), info.version.as_deref()), (Some("hello"), Some("1.0")));
    assert_eq!(info.vermagic.as_deref(), Some("6.12.1-toy SMP mod_unload "));
    assert!(info.srcversion.is_some() && !info.signed);
    assert_eq!(built.signed, Signed::Not("a root other than the running system".into()));

    assert_eq!(root.names(run.cell_dir() + "/module"), ["Module.symvers", "hello.ko"]);
    assert_eq!(root.names(run.kernel_dir()), ["x86_64"], "no staging directory is left");
    assert!(!root.exists(run.build_dir()), "the build directory is gone");
    assert_eq!(root.take_make_calls(), [run.build_dir()]);
}

#[test]
fn the_log_has_the_form_that_scripts_know() {
    let root = root();
    let run = Run::new(&root, &ToyModule::new("hello", "1.0"));
    let built = run.build().unwrap();
    let log = std::fs::read_to_string(&built.log).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        lines[0],
        format!("DKMS (dkms-hook-{version}) make.log for hello/1.0 for kernel {K} (x86_64)")
    );
    assert!(!lines[1].is_empty(), "the date");
    assert!(lines[2].starts_with("hello/1.0 is built with root's power, because "), "{}", lines[2]);
    assert_eq!(lines[3..5], ["", "Building module(s)"]);
    assert!(lines[5].starts_with(&format!("# command: make -j2 KERNELRELEASE={K} -C ")), "{}", lines[5]);
    assert!(log.contains("\n\n# exit code: 0\n# elapsed time: 00:0"), "{log}");
    let steps: Vec<String> = run.report.lines().into_iter().filter(|l| l.starts_with("Building")).collect();
    assert_eq!(steps, ["Building module(s)..."]);
}

#[test]
fn several_records_and_excluded_ones() {
    let root = root();
    let module = ToyModule::new("one", "1")
        .record("two")
        .excluded("the kernel has it already")
        .record("three")
        .renamed("sub/", "drei");
    let run = Run::new(&root, &module);
    let built = run.build().unwrap();
    let files: Vec<_> = built.modules.iter().map(|m| (m.record, m.file.as_str())).collect();
    assert_eq!(files, [(0, "one.ko"), (2, "drei.ko")]);
    assert_eq!(run.modinfo("drei.ko").name.as_deref(), Some("three"));
    assert_eq!(root.names(run.cell_dir() + "/module"), ["Module.symvers", "drei.ko", "one.ko"]);
}

#[test]
fn modules_are_compressed_as_the_kernel_is_configured() {
    let plain = {
        let root = root();
        let run = Run::new(&root, &ToyModule::new("hello", "1.0"));
        run.build().unwrap();
        run.module_bytes("hello.ko")
    };
    for (kind, file) in [("GZIP", "hello.ko.gz"), ("XZ", "hello.ko.xz"), ("ZSTD", "hello.ko.zst")] {
        let root = FakeRoot::new();
        // A stray file of another kind, which must not decide.
        ToyKernel::new(K).compressed(kind).in_tree("drivers/stray.ko").install(&root);
        let run = Run::new(&root, &ToyModule::new("hello", "1.0"));
        let built = run.build().unwrap();
        assert_eq!(built.modules[0].file, file);
        assert_eq!(root.names(run.cell_dir() + "/module"), ["Module.symvers", file]);
        // The modules are stripped: no path of the temporary directory makes them differ.
        assert!(run.module_bytes(file) == plain, "{kind}");
        assert_eq!(run.modinfo(file).kernel(), Some(K));
    }
}

#[test]
fn a_form_that_this_machines_kmod_cannot_read_is_said() {
    for (kind, said) in [("GZIP", true), ("XZ", false)] {
        let root = FakeRoot::new();
        ToyKernel::new(K).compressed(kind).install(&root);
        ToyModule::new("hello", "1.0").register(&root);
        // What kmod 34.2-2 of Debian prints.
        root.stand_in("kmod", "echo 'kmod version 34.2'\necho '+ZSTD +XZ -ZLIB +OPENSSL'\n");
        let answer = root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
        assert_eq!(answer.err.contains("kmod of this machine cannot read"), said, "{kind}: {}", answer.err);
    }
}

#[test]
fn options_in_framework_conf_call_the_program() {
    let root = FakeRoot::new();
    ToyKernel::new(K).compressed("XZ").install(&root);
    let mut run = Run::new(&root, &ToyModule::new("hello", "1.0"));
    run.settings.compress_xz_opts.value = Some("--check=none -0".into());
    run.build().unwrap();
    let bytes = std::fs::read(root.path(run.cell_dir() + "/module/hello.ko.xz")).unwrap();
    // Stream flags of the xz file format, section 2.1.1.2: 0x00 is "no check".
    assert_eq!(bytes[6..8], [0, 0]);
    assert_eq!(run.modinfo("hello.ko.xz").kernel(), Some(K));

    run.settings.compress_xz_opts.value = Some("--no-such-option".into());
    let built = run.build().unwrap();
    assert!(built.warnings.iter().any(|w| w.contains("--no-such-option")), "{:?}", built.warnings);
    assert_eq!(run.modinfo("hello.ko.xz").kernel(), Some(K));
}

#[test]
fn without_a_configuration_the_kernels_own_files_tell() {
    let root = FakeRoot::new();
    ToyKernel::new(K).in_tree("fs/a.ko.zst").install(&root);
    let module = ToyModule::new("hello", "1.0");
    let cell = root.cell(&module, K);
    let mut context = root.context(&cell);
    assert_eq!(compression(&context, &root.layout, &cell.kernel), Compression::None);
    context.kernel_config = "/nonexistent".into();
    assert_eq!(compression(&context, &root.layout, &cell.kernel), Compression::Zstd);
}

#[test]
fn debug_information_is_removed_unless_the_conf_keeps_it() {
    let root = root();
    let mut run = Run::new(&root, &ToyModule::new("hello", "1.0"));
    let has_debug = |run: &Run| run.module_bytes("hello.ko").windows(11).any(|w| w == b".debug_info");
    run.build().unwrap();
    assert!(!has_debug(&run));
    run.conf.records[0].strip = false;
    run.build().unwrap();
    assert!(has_debug(&run));
}

#[test]
fn patches_scripts_and_overrides_take_part() {
    let root = root();
    let patch = "--- a/hello.c\n+++ b/hello.c\n@@ -2,7 +2,7 @@\n \n int \
                 hello_answer(void)\n {\n-\treturn 42;\n+\treturn del_timer();\n }\n \n MODULE_LICENSE(\"GPL\");\n";
    let fixed = patch.replace("del_timer()", "43");
    let scripts = Scripts {
        pre_build: Some("scripts/pre.sh 'two words' $kernelver".into()),
        post_build: Some("post.sh".into()),
        ..Scripts::default()
    };
    let module = ToyModule::new("hello", "1.0")
        .patch("fix.patch", patch)
        .executable("scripts/pre.sh", "#!/bin/sh\necho \"pre $# $1 $2 $module $arch $PWD\"\n")
        .executable("post.sh", "#!/bin/sh\necho the source has its own\nexit 9\n")
        .scripts(scripts);
    // The administrator's patch replaces the source's broken one, the script likewise.
    root.write("/etc/dkms/hello/patches/fix.patch", fixed);
    root.write_script(
        "/etc/dkms/hello/post.sh",
        "#!/bin/sh\ncd \"$(dirname \"$LOG_DIR\")\" && ls module && echo from etc for $module_version\n",
    );
    let mut run = Run::new(&root, &module);
    root.write(
        "/etc/dkms/env",
        format!("export LOG_DIR={}/log\nnot_exported=1\n", root.path(run.cell_dir()).display()),
    );
    run.settings.build_environment.value = Some("/etc/dkms/env".into());
    let built = run.build().unwrap();
    let log = std::fs::read_to_string(&built.log).unwrap();
    assert!(log.contains("\nApplying patch fix.patch\n# command: patch "), "{log}");
    let pre = format!("\npre 2 two words {K} hello x86_64 {}\n", root.path(run.build_dir()).display());
    assert!(log.contains("\nRunning the pre_build script\n") && log.contains(&pre), "{log}");
    let post = "\nModule.symvers\nhello.ko\nfrom etc for 1.0\n";
    assert!(log.contains("\nRunning the post_build script\n") && log.contains(post), "{log}");
    let order = ["Applying patch", "pre_build", "Building module(s)", "post_build"];
    let places: Vec<_> = order.iter().map(|text| log.find(text).unwrap()).collect();
    assert!(places.is_sorted(), "{log}");
}

#[test]
fn a_script_that_is_not_executable_is_a_warning() {
    let root = root();
    let scripts = Scripts { pre_build: Some("pre.sh".into()), ..Scripts::default() };
    let module = ToyModule::new("hello", "1.0").file("pre.sh", "exit 1\n").scripts(scripts);
    let built = Run::new(&root, &module).build().unwrap();
    assert!(built.warnings.iter().any(|w| w.contains("pre.sh is not executable")), "{:?}", built.warnings);
}

#[test]
fn commands_see_a_clean_environment() {
    let root = root();
    let make = "mkdir $OUT && env > $OUT/env.txt; make -C $H M=$PWD";
    let mut run = Run::new(&root, &ToyModule::new("hello", "1.0"));
    let headers = root.layout.headers(&run.cell.kernel);
    let out = root.path("/out");
    run.conf.make = make.replace("$H", headers.to_str().unwrap()).replace("$OUT", out.to_str().unwrap());
    run.build().unwrap();
    let text = root.read("/out/env.txt");
    for expected in [
        "module=hello",
        "module_version=1.0",
        "kernelver=6.12.1-toy",
        "arch=x86_64",
        "CC=gcc",
        "KERNEL_CC=gcc",
        &format!("DKMS_HOOK_PARENT={}", std::process::id()),
    ] {
        assert!(text.lines().any(|line| line == expected), "{expected} in\n{text}");
    }
    assert!(!text.contains("CFLAGS="), "{text}");
}

#[test]
fn versions_of_dependencies_are_noted() {
    let root = root();
    let dep = Run::new(&root, &ToyModule::new("dep", "2.10"));
    let mut run = Run::new(&root, &ToyModule::new("hello", "1.0").depends("dep"));
    run.conf.build_depends_rebuild = true;

    let failure = run.build().unwrap_err();
    assert_eq!(failure.kind.exit_status(), 13);
    assert!(failure.what.contains("first: dep"), "{failure:?}");

    dep.build().unwrap();
    std::fs::create_dir_all(root.path("/var/lib/dkms/dep/2.9/6.12.1-toy/x86_64/module")).unwrap();
    let link = root.layout.active_link(&dep.cell.module.name, &dep.cell.kernel, &dep.cell.arch);
    std::os::unix::fs::symlink("2.10/6.12.1-toy/x86_64", link).unwrap();
    run.build().unwrap();
    assert_eq!(root.read(run.cell_dir() + "/.dep_dep"), "2.10\n");

    run.force = true;
    run.build().unwrap();
    assert!(!root.exists(run.cell_dir() + "/.dep_dep"), "--force notes nothing");
}

#[test]
fn a_rebuild_replaces_the_build_and_killed_runs_leave_nothing() {
    let root = root();
    let module = ToyModule::new("hello", "1.0");
    let run = Run::new(&root, &module);
    run.build().unwrap();
    let first = run.digest("hello.ko");
    root.write(run.cell_dir() + "/.dkms-hook.json", "{}");
    // What a killed run leaves: a staging directory and half a build directory.
    root.write(run.kernel_dir() + "/.tmp_x86_64_AbC123/module/hello.ko", "half");
    root.write(run.build_dir() + "/half.c", "x");

    module.file("hello.c", "#include <linux/module.h>\nint other(void) { return 1; }\n").register(&root);
    run.build().unwrap();
    assert_ne!(first, run.digest("hello.ko"));
    assert_eq!(root.names(run.kernel_dir()), ["x86_64"]);
    assert_eq!(root.names(run.cell_dir()), ["log", "module"], "the old build's notes are gone with it");
    assert!(!root.exists(run.build_dir()));
}
