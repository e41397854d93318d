//! `ldtarball`, and archives and packages as arguments, on fake roots: every form, exit status and file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::archives::{K, K2, K3, archive, builder, empty, hello, members, status, tar};
use crate::support::program::{Face, finish};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

#[test]
fn a_program_that_is_missing_is_named() {
    if let Some(dir) =
        ["/usr/local/bin", "/usr/bin", "/bin"].iter().find(|d| Path::new(d).join("lzip").exists())
    {
        eprintln!("skipped: lzip is in {dir}");
        return;
    }
    let root = builder(&[K]);
    root.dkms(&["mktarball", "hello/1.0", "-k", K, "--archive=y.tar.lz"])
        .expect(6)
        .says("lzip was not found in ")
        .says("/usr/bin")
        .says("another suffix");
    assert_eq!(root.names("/var/lib/dkms/hello/1.0/tarball"), [""; 0]);
    let root = empty(&[K]);
    // What such a file begins with.
    let file = root.write("/opt/x.tar.lz", b"LZIP\x01\x0c more than eight bytes");
    root.dkms(&["ldtarball", file.to_str().unwrap()]).expect(3).says("needs lzip").says("install lzip");
    assert_eq!(status(&root), "");
}

#[test]
fn every_build_of_an_archive_is_loaded_and_installed_without_being_made_again() {
    let (_place, file) = archive(&[K, K2, K3], "all.tar.gz", &["--all"]);
    let root = empty(&[K, K2]);
    root.dkms(&["ldtarball", &file]).expect(0).says("Module hello/1.0 loaded from").says(K3);
    let lines = [K, K2, K3].map(|kernel| format!("hello/1.0, {kernel}, x86_64: built\n"));
    assert_eq!(status(&root), lines.concat());
    assert_eq!(root.names("/var/lib/dkms/hello"), ["1.0"]);
    assert_eq!(root.names("/var/lib/dkms/hello/1.0"), [K, K2, K3, "build", "source"]);
    let link = fs::read_link(root.path("/var/lib/dkms/hello/1.0/source")).unwrap();
    assert_eq!(link.to_str(), Some("/usr/src/hello-1.0"));
    let helper = fs::metadata(root.path("/usr/src/hello-1.0/helper.sh")).unwrap();
    assert_eq!(helper.permissions().mode() & 0o777, 0o755);
    assert!(!root.exists(format!("/lib/modules/{K}/updates")), "loading installs nothing");

    // They are builds like any other: nothing is stale, the hook and people install what is there.
    root.dkms(&["build", "hello/1.0", "-k", K]).expect(0).says("already built");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.take_depmods(), [K]);
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls(), [""; 0], "something was built again");
    let installed = format!("/lib/modules/{K2}/updates/dkms");
    assert_eq!(root.names(&installed), ["hello.ko", "second.ko"]);
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
    root.hook(&["why", "hello", "-k", K]).expect(0).says("it was loaded from an archive");
    let record = root.read(format!("/var/lib/dkms/hello/1.0/{K}/x86_64/.dkms-hook.json"));
    assert!(record.contains("\"provenance\": \"archive\""), "{record}");
    // One for a kernel that is not here yet waits for it.
    assert!(status(&root).contains(&format!("hello/1.0, {K3}, x86_64: built\n")));
    ToyKernel::new(K3).install(&root);
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls(), [""; 0]);
    assert!(status(&root).contains(&format!("hello/1.0, {K3}, x86_64: installed\n")));
    // From then on it goes with it.
    ToyKernel::new(K3).remove_image(&root);
    ToyKernel::new(K3).remove_headers(&root);
    root.hook(&[]).expect(0);
    assert!(!root.exists(format!("/var/lib/dkms/hello/1.0/{K3}")));

    // What changes afterwards counts: the record is one of these inputs.
    root.write("/usr/src/hello-1.0/hello.c", root.read("/usr/src/hello-1.0/hello.c").replace("42", "43"));
    root.hook(&[]).expect(0).says("its source changed");
    assert_eq!(root.take_make_calls().len(), 2);
    root.dkms(&["remove", "hello/1.0", "--all"]).expect(0);
    assert!(!root.exists(&installed) && root.exists("/usr/src/hello-1.0/dkms.conf"));
}

#[test]
fn what_is_loaded_again_needs_force() {
    let (_place, file) = archive(&[K, K2], "all.tar", &["--all"]);
    let root = empty(&[K, K2]);
    root.dkms(&["ldtarball", &file]).expect(0);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    root.dkms(&["unbuild", "hello/1.0", "-k", K2]).expect(0);
    let before = root.snapshot_of("/var/lib/dkms/hello");
    root.dkms(&["ldtarball", &file]).expect(8).says("already added").says("--force");
    root.dkms(&["add", &file]).expect(8);
    root.dkms(&["install", &file, "-k", K2]).expect(8);
    assert_eq!(before.changes(&root.snapshot_of("/var/lib/dkms/hello")), [""; 0]);

    // With it the source and the builds are those of the archive, whatever was there.
    root.write("/usr/src/hello-1.0/hello.c", "int other;\n");
    root.write(format!("/var/lib/dkms/hello/1.0/{K}/x86_64/module/extra.txt"), "");
    root.dkms(&["ldtarball", "--force", &file]).expect(0).says("was replaced");
    assert!(root.read("/usr/src/hello-1.0/hello.c").contains("hello_answer"));
    assert!(!root.exists(format!("/var/lib/dkms/hello/1.0/{K}/x86_64/module/extra.txt")));
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: installed\nhello/1.0, {K2}, x86_64: built\n"));
    // What is installed is still known, file by file.
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    assert!(!root.exists(format!("/lib/modules/{K}/updates")));
    assert_eq!(root.take_make_calls(), [""; 0]);
    assert!(root.names("/usr/src").iter().all(|name| !name.starts_with('.')));
    assert_eq!(root.names("/var/lib/dkms"), [".dkms-hook", "hello"]);
}

#[test]
fn a_source_that_is_there_unregistered_gives_way_and_a_broken_entry_is_mended() {
    let (_place, file) = archive(&[K], "one.tar.zst", &["-k", K]);
    let root = empty(&[K]);
    root.write("/usr/src/hello-1.0/dkms.conf", "PACKAGE_NAME=hello\nPACKAGE_VERSION=0\n");
    root.write("/usr/src/hello-1.0/leftover.c", "");
    root.dkms(&["ldtarball", &file]).expect(0).says("/usr/src/hello-1.0 was replaced");
    assert!(!root.exists("/usr/src/hello-1.0/leftover.c"));
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: built\n"));

    fs::remove_dir_all(root.path("/usr/src/hello-1.0")).unwrap();
    root.dkms(&["status"]).expect(0).says("hello/1.0: broken");
    root.dkms(&["ldtarball", &file]).expect(0).says("is kept; --force replaces it");
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: built\n"));
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
}

#[test]
fn a_source_archive_of_any_shape_is_added() {
    let place = tempfile::tempdir().unwrap();
    let from = FakeRoot::new();
    let source = hello().write_source(&from);
    fs::create_dir_all(source.join("sub")).unwrap();
    fs::write(source.join("sub/dkms.conf"), "PACKAGE_NAME=wrong\nPACKAGE_VERSION=1\n").unwrap();
    // At the top, below a directory, and as mktarball --source-only packs it.
    let top = place.path().join("top.tar.gz");
    tar(&source, &top);
    let below = place.path().join("below.tar.xz");
    tar(&from.path("/usr/src"), &below);
    let (_place, ours) = archive(&[], "source.tgz", &["--source-only"]);
    for file in [top.to_str().unwrap(), below.to_str().unwrap(), ours.as_str()] {
        for action in ["ldtarball", "add"] {
            let root = empty(&[K]);
            root.dkms(&[action, file]).expect(0);
            assert_eq!(status(&root), "hello/1.0: added\n", "{action} {file}");
            // A source alone is added, and refused as `add` refuses; ours is an archive of DKMS's form.
            let code = if file == ours { 8 } else { 3 };
            root.dkms(&[action, file]).expect(code).says("already added");
            root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
        }
        let root = empty(&[K, K2]);
        root.dkms(&["build", "--archive", file, "-k", K]).expect(0);
        assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: built\n"));
        let root = empty(&[K, K2]);
        root.dkms(&["install", file, "-k", K, "-k", K2]).expect(0);
        assert_eq!(root.take_make_calls().len(), 2);
        assert_eq!(root.take_depmods(), [K, K2]);
    }
}

#[test]
fn an_archive_with_builds_as_argument_is_loaded_then_used() {
    let (_place, file) = archive(&[K], "one.tar.gz", &["-k", K]);
    let root = empty(&[K, K2]);
    root.dkms(&["build", &file, "-k", K]).expect(0);
    assert_eq!(root.take_make_calls(), [""; 0], "it came built");
    let root = empty(&[K, K2]);
    root.dkms(&["install", &file, "-k", K, "-k", K2]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1, "only what the archive does not have is built");
    assert_eq!(
        status(&root),
        format!("hello/1.0, {K}, x86_64: installed\nhello/1.0, {K2}, x86_64: installed\n")
    );
    // A module that is named is meant, the archive is not.
    let root = empty(&[K]);
    ToyModule::new("other", "1").write_source(&root);
    root.dkms(&["add", "other/1", "--archive", &file]).expect(0).says("is ignored");
    assert_eq!(status(&root), "other/1: added\n");
}

#[test]
fn binaries_alone_are_registered_listed_installed_and_gone_again() {
    let (_place, file) = archive(&[K, K2], "bin.tar.gz", &["--all", "--binaries-only"]);
    let root = empty(&[K, K3]);
    root.dkms(&["ldtarball", &file]).expect(0).says("no source");
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: built\nhello/1.0, {K2}, x86_64: built\n"));
    assert_eq!(root.names("/usr/src/hello-1.0"), [".dkms-hook-binaries-only", "dkms.conf"]);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["hello.ko", "second.ko"]);
    // For others nothing can be made, which is said.
    root.dkms(&["build", "hello/1.0", "-k", K3]).expect(8).says("only binaries were loaded");
    root.dkms(&["mktarball", "hello/1.0", "--source-only"]).expect(2).says("no source");
    // It can be handed on.
    root.dkms(&["mktarball", "hello/1.0", "-k", K, "--archive", "again.tar"]).expect(0);
    let again = root.path("/var/lib/dkms/hello/1.0/tarball/again.tar");
    assert!(members(&again).contains(&"./dkms_binaries_only/PACKAGE_NAME".to_owned()));
    assert!(!members(&again).iter().any(|name| name.contains(".dkms-hook")));

    // The source comes later.
    let (_second, full) = archive(&[K], "full.tar.gz", &["-k", K]);
    root.dkms(&["ldtarball", &full]).expect(8);
    root.dkms(&["ldtarball", "--force", &full]).expect(0);
    root.dkms(&["build", "hello/1.0", "-k", K3]).expect(0);
    assert!(!root.exists("/usr/src/hello-1.0/.dkms-hook-binaries-only"));

    let root = empty(&[K]);
    root.dkms(&["ldtarball", &file]).expect(0);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    root.dkms(&["remove", "hello/1.0", "--all"]).expect(0);
    assert_eq!(status(&root), "");
    assert!(!root.exists(format!("/lib/modules/{K}/updates")));
    assert!(!root.exists("/usr/src/hello-1.0"), "what stood in for a source stays");

    // With a source here, binaries are added to it.
    let root = empty(&[K, K2, K3]);
    hello().write_source(&root);
    root.dkms(&["ldtarball", &file]).expect(0).does_not_say("no source");
    assert!(!root.exists("/usr/src/hello-1.0/.dkms-hook-binaries-only"));
    root.dkms(&["build", "hello/1.0", "-k", K3]).expect(0);
}

#[test]
fn a_loaded_build_needs_no_headers() {
    for args in [&["-k", K][..], &["-k", K, "--binaries-only"]] {
        let (_place, file) = archive(&[K], "one.tar.gz", args);
        let root = empty(&[]);
        ToyKernel::new(K).install_image(&root);
        root.dkms(&["install", &file, "-k", K]).expect(0);
        assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: installed\n"));
        assert_eq!(root.take_depmods(), [K]);
        root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
        assert!(!root.exists(format!("/lib/modules/{K}/updates")));
        root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
        // The headers come; nothing is to be built for that.
        ToyKernel::new(K).install_headers(&root);
        root.hook(&[]).expect(0);
        assert_eq!(root.take_make_calls(), [""; 0], "{args:?}");
        assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
        ToyKernel::new(K).remove_image(&root);
        ToyKernel::new(K).remove_headers(&root);
        root.hook(&["--purge-missing"]).expect(0);
        assert_eq!(status(&root), "hello/1.0: added\n");
    }
}

#[test]
fn loaded_modules_that_depend_on_each_other_are_not_built_again() {
    let from = empty(&[K]);
    ToyModule::new("base", "1").register(&from);
    ToyModule::new("middle", "1").depends("base").register(&from);
    ToyModule::new("top", "1").depends("middle").register(&from);
    from.hook(&[]).expect(0);
    let place = tempfile::tempdir().unwrap();
    let files = ["top", "middle", "base"].map(|name| place.path().join(format!("{name}.tar")));
    for file in &files {
        let name = format!("{}/1", file.file_stem().unwrap().to_str().unwrap());
        let file = file.to_str().unwrap();
        from.dkms(&["mktarball", &name, "-k", K, "--binaries-only", "--archive", file]).expect(0);
    }
    let in_line = |root: &FakeRoot| {
        let lines = ["base", "middle", "top"].map(|name| format!("{name}/1, {K}, x86_64: installed\n"));
        assert_eq!(status(root), lines.concat());
        assert_eq!(root.take_make_calls(), [""; 0]);
        assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
    };
    // By the hook; by hand, in the wrong order; each as it comes.
    let root = empty(&[K]);
    files.iter().for_each(|file| drop(root.dkms(&["ldtarball", file.to_str().unwrap()]).expect(0)));
    root.hook(&[]).expect(0);
    in_line(&root);
    let root = empty(&[K]);
    files.iter().for_each(|file| drop(root.dkms(&["ldtarball", file.to_str().unwrap()]).expect(0)));
    for name in ["top/1", "middle/1", "base/1"] {
        root.dkms(&["install", name, "-k", K]).expect(0);
    }
    root.hook(&[]).expect(0);
    in_line(&root);
    let root = empty(&[K]);
    for file in &files {
        root.dkms(&["install", file.to_str().unwrap(), "-k", K]).expect(0);
    }
    root.hook(&[]).expect(0);
    in_line(&root);
}

#[test]
fn a_kernel_without_headers_gets_what_came_built_for_it() {
    let (_place, file) = archive(&[K], "one.tar.gz", &["-k", K, "--binaries-only"]);
    type Arrival = fn(&FakeRoot) -> crate::support::program::Answer;
    let arrivals: [Arrival; 3] = [
        |root| root.deb("kernel-postinst", K, "configure"),
        |root| root.hook(&[]),
        |root| root.dkms(&["autoinstall", "-k", K]),
    ];
    for (i, arrives) in arrivals.into_iter().enumerate() {
        // Loaded before its kernel is there, as in an image that is being put together.
        let root = empty(&[]);
        root.dkms(&["ldtarball", &file]).expect(0);
        root.hook(&[]).expect(0);
        assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: built\n"), "it waits");
        ToyKernel::new(K).install_image(&root);
        arrives(&root).expect(0).does_not_say("headers");
        assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: installed\n"), "arrival {i}");
        assert_eq!(root.take_depmods(), [K]);
        assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
        root.dkms(&["autoinstall", "-k", K]).expect(0);
        // The kernel is removed, and takes it along.
        ToyKernel::new(K).remove_image(&root);
        root.deb("kernel-postrm", K, "remove").expect(0);
        assert_eq!(status(&root), "hello/1.0: added\n", "arrival {i}");
        assert!(!root.exists(format!("/lib/modules/{K}")));
    }
    // One that does not ask for it is left to people.
    let from = builder(&[]);
    let conf = from.read("/usr/src/hello-1.0/dkms.conf").replace("AUTOINSTALL=\"yes\"", "");
    from.write("/usr/src/hello-1.0/dkms.conf", conf);
    ToyKernel::new(K).install(&from);
    from.dkms(&["build", "hello/1.0", "-k", K]).expect(0);
    from.dkms(&["mktarball", "hello/1.0", "-k", K, "--archive", "manual.tar"]).expect(0);
    let file = from.path("/var/lib/dkms/hello/1.0/tarball/manual.tar");
    let root = empty(&[]);
    ToyKernel::new(K).install_image(&root);
    root.dkms(&["ldtarball", file.to_str().unwrap()]).expect(0);
    root.hook(&[]).expect(0);
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: built\n"));
}

#[test]
fn packages_of_rpm_are_left_to_rpm() {
    let root = empty(&[K]);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("hello.rpm");
    fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    // An empty file is no package to rpm; where there is no rpm, that is said.
    for action in ["add", "build", "install", "ldtarball"] {
        root.dkms(&[action, file]).expect(9).says("rpm");
    }
    // What the package brings is then installed for the kernel.
    hello().register(&root);
    let noted = root.path("/var/log/toy-calls");
    root.write_script(
        "/var/log/stand-ins/rpm",
        &format!("#!/bin/sh\necho \"rpm $*\" >> {}\nexit $TOY_RPM\n", noted.display()),
    );
    let dir = root.layout.root.dir().display().to_string();
    for (action, rpm, code) in [("ldtarball", "3", 9), ("install", "0", 0)] {
        root.take_calls();
        let mut command = root.program(Face::Dkms);
        finish(command.env("TOY_RPM", rpm).args([action, file, "-k", K])).expect(code);
        let called = root.take_calls();
        assert!(called.contains(&format!("rpm --root {dir} -Uvh {file}")), "{called:?}");
        let built = root.take_make_calls().len();
        assert_eq!(built, usize::from(code == 0), "{action}");
    }
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: installed\n"));
    root.dkms(&["ldtarball", "/nonexistent/x.rpm"]).expect(2);
}

#[test]
fn a_package_may_bring_an_archive_instead_of_a_source() {
    let (place, file) = archive(&[K], "hello-1.0.dkms.tar.gz", &["-k", K]);
    let root = empty(&[K, K2]);
    let tarballs = "/usr/share/hello-dkms";
    let package = |file: &str| {
        fs::create_dir_all(root.path(tarballs)).unwrap();
        fs::copy(file, root.path(tarballs).join("hello-1.0.dkms.tar.gz")).unwrap();
    };
    let postinst = || root.hook(&["module-postinst", "hello", "1.0", tarballs, "", ""]);
    package(&file);
    root.write("/etc/dkms/framework.conf", "autoinstall_all_kernels=yes\n");
    postinst().expect(0).says("loaded from");
    let both = format!("hello/1.0, {K}, x86_64: installed\nhello/1.0, {K2}, x86_64: installed\n");
    assert_eq!(status(&root), both);
    assert_eq!(root.take_make_calls().len(), 1, "one of them came built");
    // Configured again, there is nothing to do.
    postinst().expect(0).does_not_say("loaded from");
    assert_eq!(root.take_make_calls(), [""; 0]);
    // A new revision of the package has another source of the same version.
    let other = empty(&[K]);
    hello().file("hello.c", "#include <linux/module.h>\nMODULE_VERSION(\"1.0\");\n").register(&other);
    let newer = place.path().join("newer.tar.gz");
    other.dkms(&["mktarball", "hello/1.0", "--source-only", "--archive", newer.to_str().unwrap()]).expect(0);
    package(newer.to_str().unwrap());
    postinst().expect(0).says("loaded from");
    assert_eq!(status(&root), both);
    assert_eq!(root.take_make_calls().len(), 2);

    // What cannot be loaded is told; it stops apt only where that is wanted.
    root.write(format!("{tarballs}/hello-1.0.dkms.tar.gz"), "no archive");
    postinst().expect(0).says("not a tar archive");
    let mut strict = root.program(Face::Hook);
    strict.env("DKMS_HOOK_STRICT", "1").args(["module-postinst", "hello", "1.0", tarballs, "", ""]);
    finish(&mut strict).expect(2);
    assert_eq!(status(&root), both, "what was there stays");

    // Without headers a build that came along is all that can be had.
    let root = empty(&[]);
    ToyKernel::new(K).install_image(&root);
    let (_place, file) = archive(&[K], "x.tar.gz", &["-k", K, "--binaries-only"]);
    root.write(format!("{tarballs}/hello-1.0.dkms.tar.gz"), fs::read(file).unwrap());
    root.hook(&["module-postinst", "hello", "1.0", tarballs, "", ""]).expect(0);
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: installed\n"));
}

#[test]
fn post_add_and_quiet_are_heeded() {
    let from = FakeRoot::new();
    let module = hello().executable("added.sh", "#!/bin/sh\ntouch ran\nexit 4\n").line("POST_ADD=added.sh");
    let source = module.write_source(&from);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("x.tar");
    tar(&source, &file);
    let root = empty(&[K]);
    root.dkms(&["ldtarball", file.to_str().unwrap()]).expect(4).says("POST_ADD");
    assert!(root.exists("/usr/src/hello-1.0/ran"));
    assert_eq!(status(&root), "hello/1.0: added\n");
    let root = builder(&[K]);
    let quiet = root.dkms(&["-q", "mktarball", "hello/1.0", "-k", K]).expect(0);
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""));
}
