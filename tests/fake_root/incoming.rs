//! Before a transaction: packages are looked into, and what they mean for modules is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::json_schema::Schemas;
use crate::support::packages::{Made, Packed};
use crate::support::program::{Answer, Face, finish};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const NEW: &str = "6.13.0-100.fc43.x86_64";

struct Stage {
    root: FakeRoot,
    dir: tempfile::TempDir,
}

/// A machine of Fedora with one kernel and two modules, one of which stands on the other.
fn stage() -> Stage {
    let root = FakeRoot::new();
    fs::write(root.path("/etc/os-release"), "ID=fedora\n").unwrap();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1.0").depends("base").register(&root);
    ToyModule::new("base", "2.0").register(&root);
    root.hook(&[]).expect(0);
    root.take_make_calls();
    root.take_calls();
    for module in ["hello/1.0", "base/2.0"] {
        took(&root, module, 400);
    }
    Stage { root, dir: tempfile::tempdir().unwrap() }
}

/// Says of the build of a module for K how many milliseconds it took.
fn took(root: &FakeRoot, module: &str, milliseconds: u64) {
    let path = format!("/var/lib/dkms/{module}/{K}/{}/.dkms-hook.json", std::env::consts::ARCH);
    let mut record: serde_json::Value = serde_json::from_str(&root.read(&path)).unwrap();
    assert!(record["took"].is_u64(), "{record}");
    record["took"] = milliseconds.into();
    root.write(&path, record.to_string());
}

impl Stage {
    fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn incoming(&self, words: &[&str], paths: &[PathBuf]) -> Answer {
        let mut words: Vec<&str> = [&["incoming"], words].concat();
        words.extend(paths.iter().map(|path| path.to_str().unwrap()));
        let before = self.root.snapshot();
        let ran = self.root.hook(&words).expect(0);
        self.root.assert_untouched(&before);
        if words.contains(&"--json") {
            Schemas::read().assert("incoming.schema.json", &ran.out);
        }
        assert!(self.root.take_make_calls().is_empty());
        ran
    }

    #[track_caller]
    fn says(&self, paths: &[PathBuf], out: &str, err: &str) {
        let ran = self.incoming(&[], paths);
        assert_eq!((ran.out.as_str(), ran.err.as_str()), (out, err));
    }
}

#[test]
fn a_kernel_with_its_headers_in_another_package() {
    let stage = stage();
    let both =
        [Made::new("kernel").kernel(NEW).rpm(stage.dir()), Made::new("devel").headers(NEW).rpm(stage.dir())];
    let text = format!("dkms-hook: Modules to build for kernel {NEW}: base/2.0, hello/1.0.\n");
    stage.says(&both, &text, "");
    // The order in which packages are named says nothing.
    stage.says(&[both[1].clone(), both[0].clone()], &text, "");
}

#[test]
fn a_kernel_without_headers_is_warned_of_with_the_package_to_add() {
    let stage = stage();
    let warning = |package: &str| {
        format!(
            "Warning: dkms-hook: kernel {NEW} comes without its headers, and base/2.0, hello/1.0 cannot be \
             built for it. Install {package} in the same transaction, or the first boot will lack these \
             modules.\n"
        )
    };
    let kernel = Made::new("linux-zen").kernel(NEW);
    let fedora = warning(&format!("kernel-devel-{NEW}"));
    stage.says(&[kernel.rpm(stage.dir())], "", &fedora);
    fs::write(stage.root.path("/etc/os-release"), "ID=debian\n").unwrap();
    let debian = warning(&format!("linux-headers-{NEW}"));
    stage.says(&[kernel.deb(stage.dir(), Packed::Xz)], "", &debian);
    fs::write(stage.root.path("/etc/os-release"), "ID=arch\n").unwrap();
    stage.says(&[kernel.pacman(stage.dir(), Packed::Zstd)], "", &warning("linux-zen-headers"));
}

#[test]
fn headers_that_are_here_already_are_enough() {
    let stage = stage();
    // As Fedora has it when kernel-devel came first: nothing leads there yet.
    fs::create_dir_all(stage.root.path(format!("/usr/src/kernels/{NEW}/include/generated"))).unwrap();
    let text = format!("dkms-hook: Modules to build for kernel {NEW}: base/2.0, hello/1.0.\n");
    stage.says(&[Made::new("kernel").kernel(NEW).rpm(stage.dir())], &text, "");
}

#[test]
fn headers_without_a_kernel_are_warned_of_unless_it_is_here() {
    let stage = stage();
    let warning = format!(
        "Warning: dkms-hook: the headers of kernel {NEW} come without the kernel: they build nothing \
         (base/2.0, hello/1.0).\n"
    );
    stage.says(&[Made::new("devel").headers(NEW).rpm(stage.dir())], "", &warning);
    let here = Made::new("devel").headers(K).rpm(stage.dir());
    let text = format!(
        "dkms-hook: Headers of kernel {K} are replaced: base/2.0, hello/1.0 will be rebuilt if they \
         changed.\n"
    );
    stage.says(std::slice::from_ref(&here), &text, "");
    ToyKernel::new(K).remove_headers(&stage.root);
    stage.says(&[here], &format!("dkms-hook: Modules to build for kernel {K}: base/2.0, hello/1.0.\n"), "");
}

#[test]
fn a_module_that_comes_along_wants_the_headers_too() {
    let root = FakeRoot::new();
    fs::write(root.path("/etc/os-release"), "ID=arch\n").unwrap();
    let stage = Stage { root, dir: tempfile::tempdir().unwrap() };
    let kernel = Made::new("linux").kernel(NEW).pacman(stage.dir(), Packed::Zstd);
    let module = Made::new("v4l2loopback-dkms").source("v4l2loopback-0.15").pacman(stage.dir(), Packed::Xz);
    // Nobody wants modules yet, so nobody wants headers.
    stage.says(std::slice::from_ref(&kernel), "", "");
    stage.says(std::slice::from_ref(&module), "", "");
    let warning = format!(
        "Warning: dkms-hook: kernel {NEW} comes without its headers, and v4l2loopback-0.15 cannot be built \
         for it. Install linux-headers in the same transaction, or the first boot will lack these modules.\n"
    );
    stage.says(&[kernel, module], "", &warning);
}

#[test]
fn modules_that_do_not_support_the_kernel_want_nothing() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("old", "1.0").line("BUILD_EXCLUSIVE_KERNEL_MAX=\"6.12\"").register(&root);
    ToyModule::new("manual", "1.0").line("AUTOINSTALL=\"\"").register(&root);
    let stage = Stage { root, dir: tempfile::tempdir().unwrap() };
    let kernel = Made::new("kernel").kernel(NEW).rpm(stage.dir());
    stage.says(std::slice::from_ref(&kernel), "", "");
    fs::create_dir_all(stage.root.path("/etc/dkms")).unwrap();
    ToyModule::new("hello", "1.0").register(&stage.root);
    assert!(stage.incoming(&[], std::slice::from_ref(&kernel)).err.contains("and hello/1.0 cannot"));
    fs::write(stage.root.path("/etc/dkms/no-autoinstall"), "").unwrap();
    stage.says(&[kernel], "", "");
}

#[test]
fn nothing_is_said_of_other_packages_and_one_line_of_unreadable_ones() {
    let stage = stage();
    let other = Made::new("bash").file("usr/bin/bash").link("bin/sh", "bash");
    stage.says(&[other.rpm(stage.dir()), other.deb(stage.dir(), Packed::Zstd)], "", "");
    let broken = stage.dir().join("broken.rpm");
    fs::write(&broken, "no package").unwrap();
    let kernel = Made::new("kernel").kernel(NEW).headers(NEW).rpm(stage.dir());
    let ran = stage.incoming(&[], &[broken, stage.dir().join("none.deb"), kernel]);
    assert_eq!(ran.err.lines().count(), 2, "{}", ran.err);
    assert!(ran.err.contains("broken.rpm: not an rpm"), "{}", ran.err);
    assert!(ran.err.contains("none.deb: No such file"), "{}", ran.err);
    // What could be read is reported anyway.
    assert!(ran.out.contains("Modules to build"), "{}", ran.out);
}

#[test]
fn what_a_package_that_cannot_be_read_may_hold_is_not_missing() {
    let stage = stage();
    let kernel = Made::new("kernel").kernel(NEW).rpm(stage.dir());
    let devel = Made::new("devel").headers(NEW).rpm(stage.dir());
    let cut = |path: &Path| {
        let name = stage.dir().join("cut\u{1b}.rpm");
        let bytes = fs::read(path).unwrap();
        fs::write(&name, &bytes[..bytes.len().min(100)]).unwrap();
        name
    };
    let told = |what: &str| {
        format!(
            "dkms-hook: Modules to build for kernel {NEW}, if {what}, too: base/2.0, hello/1.0. (Not looked \
             into: cut?.rpm.)\n"
        )
    };
    let ran = stage.incoming(&[], &[kernel.clone(), cut(&devel)]);
    assert_eq!(ran.out, told("its headers come"));
    assert!(ran.err.contains("it is damaged") && !ran.err.contains("comes without"), "{}", ran.err);
    let ran = stage.incoming(&[], &[devel, cut(&kernel)]);
    assert_eq!(ran.out, told("it comes"));
    assert!(!ran.err.contains("come without"), "{}", ran.err);
    let ran = stage.incoming(&["--json"], &[kernel, stage.dir().join("gone.rpm")]);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["kernels"][0]["headers"], "unknown");
    assert!(json["kernels"][0].get("warning").is_none(), "{json}");
}

#[test]
fn a_pipe_is_no_package_and_nobody_waits_for_its_writer() {
    let stage = stage();
    let pipe = stage.dir().join("pipe.rpm");
    finish(Command::new("mkfifo").arg(&pipe)).expect(0);
    let mut program = stage.root.program(Face::Hook);
    program.arg("incoming").arg(&pipe);
    // timeout(1) ends with 124 when it had to end a program that waits for ever.
    let mut guarded = Command::new("timeout");
    guarded.arg("60").arg(program.get_program()).args(program.get_args()).env_clear();
    guarded.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    finish(&mut guarded).expect(0).says("pipe.rpm: not an rpm");
}

#[test]
fn what_a_package_calls_its_files_is_not_obeyed_by_a_terminal() {
    let stage = stage();
    let odd = ["red\u{1b}[31m-1.0", "two\nWarning: lines-1.0", "plain-1.0"];
    let text = format!("dkms-hook: Modules to build for kernel {NEW}: base/2.0, hello/1.0, plain-1.0.\n");
    let named =
        |name: &str| odd.iter().fold(Made::new(name).kernel(NEW).headers(NEW), |m, dir| m.source(dir));
    let text = format!(
        "{text}dkms-hook: Module source plain-1.0 comes, to be built for {K} where its dkms.conf allows it.\n"
    );
    stage.says(&[named("kernel").unlisted().deb(stage.dir(), Packed::Plain)], &text, "");
    stage.says(&[named("linux").unlisted().pacman(stage.dir(), Packed::Plain)], &text, "");
    fs::write(stage.root.path("/etc/os-release"), "ID=arch\n").unwrap();
    let evil = Made::new("linux\u{1b}[2J").kernel(NEW).pacman(stage.dir(), Packed::Zstd);
    let ran = stage.incoming(&[], &[evil]);
    assert!(!ran.err.contains('\u{1b}') && ran.err.contains("its name is invalid"), "{:?}", ran.err);
}

#[test]
fn programs_are_told_in_json() {
    let stage = stage();
    let packages = [
        Made::new("kernel").kernel(NEW).rpm(stage.dir()),
        Made::new("devel").headers(K).source("nice-1").rpm(stage.dir()),
    ];
    let ran = stage.incoming(&["--json"], &packages);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let kernels = json["kernels"].as_array().unwrap();
    let of = |release: &str| kernels.iter().find(|k| k["release"] == release).unwrap();
    assert_eq!(of(NEW)["comes"], true);
    assert_eq!(of(NEW)["here"], false);
    assert_eq!(of(NEW)["headers"], "missing");
    assert_eq!(of(NEW)["headers-package"], format!("kernel-devel-{NEW}"));
    assert_eq!(of(NEW)["modules"], serde_json::json!(["base/2.0", "hello/1.0", "nice-1"]));
    assert!(of(NEW)["warning"].as_str().unwrap().contains("comes without"));
    assert_eq!(of(K)["headers"], "coming");
    assert_eq!(json["sources"], serde_json::json!(["nice-1"]));
    assert_eq!(of(NEW)["earlier"][1], serde_json::json!({ "module": "hello/1.0", "milliseconds": 400 }));
    assert_eq!(json["new-sources"][0]["directory"], "nice-1");
    assert_eq!(json["new-sources"][0]["kernels"], serde_json::json!([K]));
    assert!(json["new-sources"][0]["news"].as_str().unwrap().contains("nice-1 comes"), "{json}");
    let other = Made::new("bash").file("usr/bin/bash").rpm(stage.dir());
    let ran = stage.incoming(&["--json"], &[other]);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let nothing = serde_json::json!({
        "format": 1, "kernels": [], "leaving": [], "sources": [], "new-sources": [], "compilers": [], "unseen": []
    });
    assert_eq!(json, nothing);
}

#[test]
fn how_long_earlier_builds_took_is_told_where_it_is_worth_a_word() {
    let stage = stage();
    let both = [Made::new("kernel").kernel(NEW).headers(NEW).rpm(stage.dir())];
    let says = |end: &str| {
        let text = format!("dkms-hook: Modules to build for kernel {NEW}: base/2.0, hello/1.0{end}.\n");
        stage.says(&both, &text, "");
    };
    says("");
    took(&stage.root, "hello/1.0", 64_700);
    says("; earlier builds took 1 min 5 s");
    took(&stage.root, "base/2.0", 7_200_000);
    says("; earlier builds took 2 h 1 min");
    // Of a module that was never built, nothing is known.
    ToyModule::new("app", "1.0").register(&stage.root);
    let text = format!(
        "dkms-hook: Modules to build for kernel {NEW}: app/1.0, base/2.0, hello/1.0; earlier builds of \
         base/2.0, hello/1.0 took 2 h 1 min.\n"
    );
    stage.says(&both, &text, "");
}

#[test]
fn a_kernel_that_goes_takes_its_modules_along() {
    let stage = stage();
    let gone = format!(
        "dkms-hook: Kernel {K} goes, with the modules that were built for it: base/2.0, hello/1.0.\n"
    );
    let ran = stage.incoming(&["--leaving", K, "--leaving", "6.1-without-modules"], &[]);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), (gone.as_str(), ""));
    // One that comes again does not go.
    let again = Made::new("kernel").kernel(K).rpm(stage.dir());
    assert_eq!(stage.incoming(&["--leaving", K], &[again]).out, "");
    let json = stage.incoming(&["--json", "--leaving", K], &[]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["leaving"][0]["release"], K);
    assert_eq!(json["leaving"][0]["modules"], serde_json::json!(["base/2.0", "hello/1.0"]));
}

#[test]
fn a_source_alone_is_told_with_the_kernels_it_is_for() {
    let stage = stage();
    let waiting = ToyKernel::new("6.11.0-toy");
    let source = [Made::new("new-dkms").source("new-1.0").rpm(stage.dir())];
    let news = format!(
        "dkms-hook: Module source new-1.0 comes, to be built for {K} where its dkms.conf allows it.\n"
    );
    stage.says(&source, &news, "");
    waiting.install_image(&stage.root);
    let warning = "Warning: dkms-hook: new-1.0 comes, and there are no headers of kernel 6.11.0-toy to build it \
                   with. Install kernel-devel-6.11.0-toy.\n";
    stage.says(&source, &news, warning);
    // What is registered already is no news.
    stage.says(&[Made::new("hello-dkms").source("hello-1.0").rpm(stage.dir())], "", "");
}
