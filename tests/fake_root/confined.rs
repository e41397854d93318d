//! Builds without root's power: what a package may do is enough for it, and what it may not do fails.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use dkms_hook::conf::model::Scripts;

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.12.2-toy";

/// A root that others may enter, as `/` is.
fn root() -> FakeRoot {
    let root = FakeRoot::new().confined().without_cache();
    std::fs::set_permissions(root.path("/"), std::fs::Permissions::from_mode(0o755)).unwrap();
    ToyKernel::new(K).install(&root);
    root
}

fn log(root: &FakeRoot, module: &str) -> String {
    root.read(format!("/var/lib/dkms/{module}/1/{K}/x86_64/log/make.log"))
}

#[test]
fn patches_scripts_and_make_have_what_they_need() {
    let root = root();
    let patch = "--- a/hello.c\n+++ b/hello.c\n@@ -4,3 +4,3 @@\n {\n-\treturn 42;\n+\treturn ANSWER;\n }\n";
    let pre = "#!/bin/sh\nset -e\necho x > $TMPDIR/x; echo y > $HOME/y; mkdir sub; mktemp > made\n\
               sed -i '1i #define ANSWER 43' hello.c\necho \"for $kernelver $module $module_version $arch\"\n";
    ToyModule::new("hello", "1")
        .patch("answer.patch", patch)
        .scripts(Scripts { pre_build: Some("pre.sh".into()), ..Scripts::default() })
        .executable("pre.sh", pre)
        .register(&root);
    root.hook(&[]).expect(0);
    assert!(root.exists(format!("/lib/modules/{K}/updates/dkms/hello.ko")));
    let log = log(&root, "hello");
    assert!(log.contains(&format!("for {K} hello 1 x86_64")), "{log}");
    assert!(log.contains("\nconfined: as "), "{log}");
    assert!(!root.exists("/var/lib/dkms/hello/1/build"));
    let left: Vec<String> = root.names("/var/lib/dkms/.dkms-hook");
    assert!(left.iter().all(|name| !name.starts_with(".tmp")), "{left:?}");
}

#[test]
fn the_callers_environment_does_not_matter() {
    let root = root();
    ToyModule::new("hello", "1")
        .make("env | sort; make -C $kernel_source_dir M=$dkms_tree/hello/1/build")
        .register(&root);
    let mut program = root.program(crate::support::program::Face::Hook);
    let odd = [
        ("MAKEFLAGS", "-n"),
        ("GNUMAKEFLAGS", "-n"),
        ("SHELLOPTS", "noexec"),
        ("BASH_ENV", "/nonexistent/evil"),
        ("BASH_FUNC_make%%", "() {  exit 1; }"),
        ("SSH_AUTH_SOCK", "/run/secret"),
        ("LD_PRELOAD", ""),
        ("CFLAGS", "-bogus"),
        ("LC_ALL", "de_DE.UTF-8"),
        ("ARCH", "x86"),
    ];
    crate::support::program::finish(program.envs(odd)).expect(0);
    let log = log(&root, "hello");
    for (name, _) in odd.iter().filter(|(name, _)| !["ARCH", "LC_ALL", "MAKEFLAGS"].contains(name)) {
        assert!(!log.contains(&format!("\n{name}=")), "{name}\n{log}");
    }
    assert!(log.contains("\nARCH=x86\n") && log.contains("\nLC_ALL=C\n"), "{log}");
}

#[test]
fn post_build_changes_its_build_and_nothing_else() {
    let root = root();
    let post = format!(
        "#!/bin/sh\ncd {}\nset -e\nprintf more >> module/hello.ko\necho kept > notes\nln -s /etc/passwd link\nmkfifo pipe\n\
         mkdir more; echo deep > more/file; rm -f .dkms-hook-conf.json\n",
        root.path(format!("/var/lib/dkms/hello/1/{K}/x86_64")).display()
    );
    ToyModule::new("hello", "1")
        .scripts(Scripts { post_build: Some("post.sh".into()), ..Scripts::default() })
        .executable("post.sh", &post)
        .register(&root);
    root.hook(&[]).expect(0);
    let cell = format!("/var/lib/dkms/hello/1/{K}/x86_64");
    assert_eq!(root.read(format!("{cell}/notes")), "kept\n");
    assert_eq!(root.read(format!("{cell}/more/file")), "deep\n");
    assert!(std::fs::read(root.path(format!("{cell}/module/hello.ko"))).unwrap().ends_with(b"more"));
    assert!(!root.exists(format!("{cell}/link")) && !root.exists(format!("{cell}/pipe")));
    let own = std::fs::metadata(root.path("/")).unwrap().uid();
    for entry in walkdir::WalkDir::new(root.path("/var/lib/dkms")) {
        let entry = entry.unwrap();
        assert_eq!(std::fs::symlink_metadata(entry.path()).unwrap().uid(), own, "{}", entry.path().display());
    }
    let beside: Vec<String> = root.names(format!("/var/lib/dkms/hello/1/{K}"));
    assert_eq!(beside, ["x86_64"]);
}

#[test]
fn a_failed_post_build_leaves_no_build() {
    let root = root();
    ToyModule::new("hello", "1")
        .scripts(Scripts { post_build: Some("post.sh".into()), ..Scripts::default() })
        .executable("post.sh", "#!/bin/sh\nexit 9\n")
        .register(&root);
    root.dkms(&["build", "hello/1", "-k", K]).expect(9);
    assert!(!root.exists(format!("/var/lib/dkms/hello/1/{K}")));
}

#[test]
fn results_that_are_no_files_are_refused() {
    for (index, (result, why)) in [
        ("ln -sf /etc/passwd hello.ko", "hello.ko is a link"),
        ("mv hello.ko real.ko; ln -s real.ko hello.ko", "hello.ko is a link"),
        ("rm -f hello.ko; mkfifo hello.ko", "no regular file"),
        ("rm -f hello.ko; mkdir hello.ko", "no regular file"),
        ("rm -f hello.ko", "built no hello.ko"),
        ("ln -sf /etc d; mv hello.ko x; rm -f hello.ko", "built no hello.ko"),
    ]
    .iter()
    .enumerate()
    {
        let root = root();
        let make = format!("make -C $kernel_source_dir M=$dkms_tree/hello/1/build; {result}");
        ToyModule::new("hello", "1").make(&make).register(&root);
        root.hook(&[]).expect(11).says(why);
        assert!(!root.exists(format!("/lib/modules/{K}/updates/dkms/hello.ko")), "{index}");
    }
}

#[test]
fn symbols_that_cannot_be_kept_are_told() {
    for (result, why) in [
        ("ln -sf /etc/passwd Module.symvers", true),
        ("rm -f Module.symvers; mkdir Module.symvers", true),
        ("rm -f Module.symvers", false),
    ] {
        let root = root();
        let make = format!("make -C $kernel_source_dir M=$dkms_tree/hello/1/build; {result}");
        ToyModule::new("hello", "1").make(&make).register(&root);
        let answer = root.hook(&[]).expect(0);
        assert_eq!(
            answer.err.contains("Module.symvers of the build is not kept"),
            why,
            "{result}: {}",
            answer.err
        );
        assert!(!root.exists(format!("/var/lib/dkms/hello/1/{K}/x86_64/module/Module.symvers")), "{result}");
    }
}

#[test]
fn the_log_stays_ours_whatever_is_put_in_its_place() {
    for trick in [
        "rm make.log; mkfifo make.log",
        "rm make.log; ln -s /etc/passwd make.log",
        "rm make.log; mkdir make.log",
    ] {
        let root = root();
        let before = std::fs::read("/etc/passwd").unwrap();
        let pre = format!("#!/bin/sh\necho before\n{trick}\n");
        ToyModule::new("hello", "1")
            .scripts(Scripts { pre_build: Some("pre.sh".into()), ..Scripts::default() })
            .executable("pre.sh", &pre)
            .register(&root);
        root.hook(&[]).expect(0);
        let log = log(&root, "hello");
        for text in ["make.log for hello/1", "\nbefore\n", "Building module(s)", "LD [M]"] {
            assert!(log.contains(text), "{trick}: {log}");
        }
        assert!(std::fs::read("/etc/passwd").unwrap() == before);
    }
}

#[test]
fn a_package_that_needs_more_is_named_with_its_reason() {
    let root = root();
    let outside = root.path("/var/log/outside");
    ToyModule::new("hello", "1")
        .scripts(Scripts { pre_build: Some("pre.sh".into()), ..Scripts::default() })
        .executable("pre.sh", &format!("#!/bin/sh\necho x > {}\n", outside.display()))
        .register(&root);
    root.hook(&[]).expect(11).says("hello/1");
    assert!(!outside.exists());
    root.write("/etc/dkms/framework.conf", "unconfined='hello'\n");
    root.dkms(&["build", "hello/1", "-k", K]).expect(2).says("in `unconfined` in /etc/dkms/framework.conf");
    assert!(!outside.exists());
    root.write("/etc/dkms/framework.conf", "unconfined='hello: downloads its tools'\n");
    root.dkms(&["build", "hello/1", "-k", K]).expect(0).says("downloads its tools").says("framework.conf");
    assert!(outside.exists());
    assert!(log(&root, "hello").contains("built with root's power"));
}

#[test]
fn limits_are_named_when_they_strike() {
    let root = root();
    root.write("/etc/dkms/framework.conf", "build_file_size=1M\n");
    ToyModule::new("hello", "1").make("head -c 3000000 /dev/zero > big && make").register(&root);
    root.hook(&[]).expect(11).says("build_file_size in framework.conf");
}

#[test]
fn headers_that_only_their_owner_reads_are_read_by_their_owner() {
    let root = root();
    let auto = root.path(format!("/usr/src/linux-headers-{K}/include/config/auto.conf"));
    std::fs::set_permissions(&auto, std::fs::Permissions::from_mode(0o600)).unwrap();
    ToyModule::new("hello", "1").register(&root);
    let answer = root.hook(&[]).expect(0);
    // A user namespace with one user has no other to build as.
    let others = !answer.out.contains("as the same user");
    if std::fs::metadata(&auto).unwrap().uid() == 0 && others {
        answer.says("auto.conf cannot be read by others").says("without capabilities");
    }
}

#[test]
fn several_kernels_are_built_at_once() {
    let root = root();
    root.write("/etc/dkms/framework.conf", "parallel_jobs=2\n");
    ToyKernel::new(K2).install(&root);
    ToyModule::new("hello", "1").register(&root);
    ToyModule::new("other", "1").register(&root);
    root.hook(&[]).expect(0);
    for kernel in [K, K2] {
        assert_eq!(root.names(format!("/lib/modules/{kernel}/updates/dkms")), ["hello.ko", "other.ko"]);
    }
}

#[test]
fn a_source_that_is_a_link_into_a_home_is_built() {
    let root = root();
    ToyModule::new("hello", "1").register(&root);
    // The root is a directory of /tmp, which builds see none of but what they need.
    let (real, link) = (root.path("/opt/home/hello"), root.path("/usr/src/hello-1"));
    std::fs::create_dir_all(real.parent().unwrap()).unwrap();
    std::fs::rename(&link, &real).unwrap();
    symlink("/opt/home/hello", &link).unwrap();
    root.hook(&[]).expect(0);
}
