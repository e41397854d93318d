//! Packages whose own commands write into their source: they compile a helper there, write a log, a stamp, a
//! header. DKMS builds them once. What somebody else changes is seen all the same.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use dkms_hook::conf::model::Scripts;

use crate::support::program::Face;
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";

const SAME: &str = "echo hello";
const OTHER: &str = "date +%N";

fn root(kernels: &[&str]) -> FakeRoot {
    let root = FakeRoot::new();
    for kernel in kernels {
        ToyKernel::new(kernel).install(&root);
    }
    root
}

/// `w/1`, with a script `s.sh` that writes what `text` prints into its source.
fn module(root: &FakeRoot, text: &str, scripts: Scripts) -> ToyModule {
    let log = root.path("/usr/src/w-1/install.log");
    ToyModule::new("w", "1")
        .executable("s.sh", &format!("#!/bin/sh\n{text} >> {}\n", log.display()))
        .scripts(scripts)
}

fn script() -> Option<String> {
    Some("s.sh".to_owned())
}

fn make(root: &FakeRoot, also: &str) -> String {
    let source = root.path("/usr/src/w-1");
    format!(
        "{} && make -C $kernel_source_dir M=$dkms_tree/w/1/build",
        also.replace("SOURCE", source.to_str().unwrap())
    )
}

fn built(root: &FakeRoot) -> usize {
    root.take_make_calls().len()
}

/// Neither a hook nor a person has anything built.
#[track_caller]
fn quiet(root: &FakeRoot, kernels: &[&str]) {
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
    // What the commands changed is looked at once more; from then on nothing is written.
    root.deb("trigger", "", "triggered").expect(0);
    let before = root.snapshot();
    root.deb("trigger", "", "triggered").expect(0);
    root.assert_untouched(&before);
    for kernel in kernels {
        root.dkms(&["install", "w/1", "-k", kernel]).expect(0).says("already installed");
    }
    assert_eq!(built(root), 0);
}

fn writers(root: &FakeRoot, text: &str) -> Vec<(&'static str, ToyModule)> {
    let none = Scripts::default;
    vec![
        ("PRE_BUILD", module(root, text, Scripts { pre_build: script(), ..none() })),
        ("POST_BUILD", module(root, text, Scripts { post_build: script(), ..none() })),
        ("PRE_INSTALL", module(root, text, Scripts { pre_install: script(), ..none() })),
        ("POST_INSTALL", module(root, text, Scripts { post_install: script(), ..none() })),
        ("POST_ADD", module(root, text, Scripts { post_add: script(), ..none() })),
        ("MAKE", module(root, text, none()).make(&make(root, "SOURCE/s.sh"))),
        ("a new directory", module(root, text, none()).make(&make(root, "mkdir -p SOURCE/made"))),
    ]
}

#[test]
fn whoever_writes_it_is_built_once() {
    for text in [SAME, OTHER] {
        for number in 0..writers(&root(&[]), text).len() {
            let root = root(&[K]);
            let (writer, module) = writers(&root, text).swap_remove(number);
            module.write_source(&root);
            root.dkms(&["build", "w/1", "-k", K]).expect(0);
            root.dkms(&["install", "w/1", "-k", K]).expect(0);
            assert_eq!(built(&root), 1, "{writer}, {text}");
            quiet(&root, &[K]);
            // Also after another installation of the same build, and of a kernel that comes.
            root.dkms(&["install", "w/1", "-k", K, "--force"]).expect(0);
            assert_eq!(built(&root), 0, "{writer}, {text}");
            quiet(&root, &[K]);
            ToyKernel::new(K2).install(&root);
            root.deb("header-postinst", K2, "configure").expect(0);
            assert_eq!(built(&root), 1, "{writer}, {text}");
            quiet(&root, &[K, K2]);
            // Somebody else.
            root.write("/usr/src/w-1/notes", "new");
            root.deb("trigger", "", "triggered").expect(0);
            assert_eq!(built(&root), 2, "{writer}, {text}");
            quiet(&root, &[K, K2]);
        }
    }
}

#[test]
fn a_header_per_kernel_is_no_change_for_the_other_kernels() {
    let root = root(&[K, K2]);
    let write = "echo $kernelver > SOURCE/for.h";
    module(&root, SAME, Scripts::default()).make(&make(&root, write)).register(&root);
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), 2);
    assert!(root.read("/usr/src/w-1/for.h").contains(K2));
    quiet(&root, &[K, K2]);
    // One kernel alone is built again, and its command writes the header anew.
    root.dkms(&["build", "w/1", "-k", K, "--force"]).expect(0);
    assert!(root.read("/usr/src/w-1/for.h").contains(K));
    assert_eq!(built(&root), 1);
    root.hook(&[]).expect(0);
    quiet(&root, &[K, K2]);
}

#[test]
fn a_file_of_the_source_that_the_build_changes_is_built_for_once_more_at_most() {
    let root = root(&[K]);
    let write = "date +%N > SOURCE/version.h";
    module(&root, SAME, Scripts::default())
        .file("version.h", "0\n")
        .make(&make(&root, write))
        .register(&root);
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), 1);
    // Somebody may have edited it meanwhile.
    root.hook(&[]).expect(0).says("its source changed");
    assert_eq!(built(&root), 1);
    quiet(&root, &[K]);
    root.dkms(&["build", "w/1", "-k", K, "--force"]).expect(0);
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), 1);
    quiet(&root, &[K]);
}

#[test]
fn what_somebody_edits_during_a_build_is_seen() {
    let root = root(&[K]);
    let (there, go) = (root.path("/there"), root.path("/go"));
    let wait = format!(
        "touch {}; while ! test -e {}; do sleep 0.05; done; echo x > SOURCE/stamp",
        there.display(),
        go.display()
    );
    module(&root, SAME, Scripts::default()).make(&make(&root, &wait)).register(&root);
    let mut program = root.program(Face::Hook);
    let mut run = program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !there.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let source = root.path("/usr/src/w-1/w.c");
    fs::write(&source, fs::read_to_string(&source).unwrap().replace("42", "43")).unwrap();
    fs::write(go, "").unwrap();
    assert!(run.wait().unwrap().success());
    assert_eq!(built(&root), 1);
    root.hook(&[]).expect(0).says("its source changed");
    assert_eq!(built(&root), 1);
    quiet(&root, &[K]);
}

#[test]
fn what_somebody_changed_before_a_script_runs_is_seen_after_it() {
    let root = root(&[K, K2]);
    let scripts = Scripts { post_remove: script(), post_install: script(), ..Scripts::default() };
    module(&root, OTHER, scripts).register(&root);
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), 2);
    // A removal alone changes nothing for the other kernel.
    root.dkms(&["uninstall", "w/1", "-k", K]).expect(0);
    root.dkms(&["install", "w/1", "-k", K]).expect(0);
    assert_eq!(built(&root), 0);
    quiet(&root, &[K, K2]);
    root.write("/usr/src/w-1/notes", "new");
    root.dkms(&["uninstall", "w/1", "-k", K]).expect(0);
    root.hook(&["--dry-run"]).expect(0).says(&format!("would build w/1 for {K2}: its source changed"));
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), 2);
    quiet(&root, &[K, K2]);
    // What the scripts wrote and somebody else changed since is a change.
    root.write("/usr/src/w-1/install.log", "");
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), 2);
    quiet(&root, &[K, K2]);
}

#[test]
fn a_script_of_the_administrator_writes_beside_itself() {
    let root = root(&[K]);
    let scripts = Scripts { post_install: script(), ..Scripts::default() };
    module(&root, SAME, scripts).register(&root);
    root.write_script("/etc/dkms/w/s.sh", "#!/bin/sh\ndate +%N >> install.log\n");
    root.hook(&[]).expect(0);
    assert!(root.exists("/etc/dkms/w/install.log"));
    assert_eq!(built(&root), 1);
    quiet(&root, &[K]);
    root.write("/etc/dkms/w/patches/a.patch", "");
    root.hook(&[]).expect(0).says("patches or scripts in /etc/dkms changed");
    assert_eq!(built(&root), 1);
    quiet(&root, &[K]);
}

#[test]
fn a_failed_build_that_wrote_into_its_source_is_not_tried_again() {
    let root = root(&[K]);
    module(&root, OTHER, Scripts { pre_build: script(), ..Scripts::default() }).make("false").register(&root);
    root.deb("trigger", "", "triggered").expect(0);
    let log = root.read("/usr/src/w-1/install.log");
    root.deb("trigger", "", "triggered").expect(0);
    assert_eq!(root.read("/usr/src/w-1/install.log"), log);
}

#[test]
fn a_module_that_goes_takes_what_is_known_of_it_along() {
    let root = root(&[K]);
    module(&root, OTHER, Scripts { post_install: script(), ..Scripts::default() }).register(&root);
    root.hook(&[]).expect(0);
    let note = "/var/lib/dkms/.dkms-hook/own-writes/w/1.json";
    assert!(root.exists(note));
    // One that is not understood is kept beside the new one.
    root.write(note, "{");
    root.dkms(&["install", "w/1", "-k", K, "--force"]).expect(0);
    assert!(root.exists(format!("{note}.damaged")) && root.read(note).contains("counts-as"));
    fs::remove_file(root.path(format!("{note}.damaged"))).unwrap();
    root.dkms(&["remove", "w/1", "--all"]).expect(0);
    assert!(!root.exists("/var/lib/dkms/.dkms-hook/own-writes"));
}
