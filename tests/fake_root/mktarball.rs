//! `mktarball` on fake roots: what goes into an archive, where it goes, and what cannot be packed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::archives::{K, K2, builder, empty, members, status};
use crate::support::program::{Face, finish};
use crate::support::toy_kernel::{ToyKernel, ToyModule};

const SOURCE: [&str; 6] = [
    "./dkms_source_tree/",
    "./dkms_source_tree/Makefile",
    "./dkms_source_tree/dkms.conf",
    "./dkms_source_tree/hello.c",
    "./dkms_source_tree/helper.sh",
    "./dkms_source_tree/second.c",
];

fn build_members(kernel: &str) -> Vec<String> {
    let below = ["", "log/", "log/make.log", "module/", "module/Module.symvers", "module/hello.ko"];
    let cell = format!("./dkms_main_tree/{kernel}/x86_64/");
    let mut names = vec![format!("./dkms_main_tree/{kernel}/")];
    names.extend(below.iter().chain(&["module/second.ko"]).map(|name| format!("{cell}{name}")));
    names
}

#[test]
fn archives_hold_what_dkms_puts_into_them_under_its_names() {
    let root = builder(&[K, K2]);
    let place = "/var/lib/dkms/hello/1.0/tarball";
    let made = |args: &[&str], name: &str| {
        let mut words = vec!["mktarball", "hello/1.0"];
        words.extend(args);
        root.dkms(&words).expect(0).says(&format!("Tarball location: {place}/{name}\n"));
        let mut names = members(&root.path(place).join(name));
        names.retain(|name| name != "./dkms_main_tree/");
        names
    };
    let source = SOURCE.map(str::to_owned).to_vec();
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let one = format!("hello-1.0-kernel{K}-x86_64.dkms.tar.gz");
    assert_eq!(made(&["-k", K], &one), sorted([build_members(K), source.clone()].concat()));
    let both = format!("hello-1.0-kernel{K}-x86_64-kernel{K2}-x86_64.dkms.tar.gz");
    let all = sorted([build_members(K), build_members(K2), source.clone()].concat());
    assert_eq!(made(&["-k", K, "-k", K2], &both), all);
    assert_eq!(made(&["--all"], &both), all);
    assert_eq!(made(&["--source-only"], "hello-1.0-source-only.dkms.tar.gz"), source);
    assert_eq!(made(&["--source-only", "-k", "nothing"], "hello-1.0-source-only.dkms.tar.gz"), source);
    let binaries: Vec<String> = ["", "PACKAGE_NAME", "PACKAGE_VERSION", "dkms.conf"]
        .map(|name| format!("./dkms_binaries_only/{name}"))
        .to_vec();
    assert_eq!(made(&["-k", K, "--binaries-only"], &one), sorted([build_members(K), binaries].concat()));
    let content = |name: &str| {
        let file = root.path(place).join(&one);
        finish(Command::new("tar").arg("-xOf").arg(file).arg(name)).expect(0).out
    };
    assert_eq!(content("./dkms_binaries_only/PACKAGE_NAME"), "hello\n");
    assert_eq!(content("./dkms_binaries_only/PACKAGE_VERSION"), "1.0\n");
    assert_eq!(content("./dkms_binaries_only/dkms.conf"), root.read("/usr/src/hello-1.0/dkms.conf"));
    assert!(content(&format!("./dkms_main_tree/{K}/x86_64/log/make.log")).contains("# exit code: 0"));

    // The state of the module is what it was, and the archives go with it.
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: built\nhello/1.0, {K2}, x86_64: built\n"));
    root.dkms(&["remove", "hello/1.0", "--all"]).expect(0);
    assert!(!root.exists("/var/lib/dkms/hello"));
}

#[test]
fn a_long_list_of_kernels_has_a_short_name() {
    let names: Vec<String> = (1..8).map(|i| format!("6.1{i}.0-a-kernel-with-a-long-name")).collect();
    let kernels: Vec<&str> = names.iter().map(String::as_str).collect();
    let root = builder(&kernels);
    root.dkms(&["mktarball", "hello/1.0", "--all"]).expect(0).says("hello-1.0-manykernels.dkms.tar.gz");
    assert_eq!(root.names("/var/lib/dkms/hello/1.0/tarball"), ["hello-1.0-manykernels.dkms.tar.gz"]);
}

#[test]
fn an_archive_goes_where_it_is_wanted_and_is_compressed_by_its_name() {
    let root = builder(&[K]);
    let place = tempfile::tempdir().unwrap();
    let inside = "/var/lib/dkms/hello/1.0/tarball";
    root.dkms(&["mktarball", "hello/1.0", "-k", K, "--archive", "name.tar.xz"]).expect(0);
    assert_eq!(root.names(inside), ["name.tar.xz"]);
    // A path is one from the current directory; its directories are made.
    let mut command = root.program(Face::Dkms);
    command.current_dir(place.path()).args(["mktarball", "hello/1.0", "-k", K, "--archive=a/b/x.tar"]);
    finish(&mut command).expect(0);
    let magic: [(&str, &[u8]); 6] = [
        ("x.tar.gz", b"\x1f\x8b"),
        ("x.tgz", b"\x1f\x8b"),
        ("x.tar.xz", b"\xfd7zXZ"),
        ("x.tar.zst", b"\x28\xb5\x2f\xfd"),
        ("x.tar.bz2", b"BZh"),
        ("x.tar.lzma", b"\x5d\0\0"),
    ];
    for (name, magic) in magic {
        let file = place.path().join(name);
        root.dkms(&["mktarball", "hello/1.0", "-k", K, "--archive", file.to_str().unwrap()]).expect(0);
        assert!(fs::read(&file).unwrap().starts_with(magic), "{name}");
        assert_eq!(members(&file), members(&place.path().join("a/b/x.tar")), "{name}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644, "{name}");
        // Other programs pack and unpack as we do.
        let other = empty(&[]);
        other.dkms(&["ldtarball", file.to_str().unwrap()]).expect(0);
        assert_eq!(status(&other), format!("hello/1.0, {K}, x86_64: built\n"), "{name}");
    }
    // The same tree gives the same bytes; an archive that is there is replaced.
    let file = place.path().join("x.tgz");
    let before = fs::read(&file).unwrap();
    root.dkms(&["mktarball", "hello/1.0", "-k", K, "--archive", file.to_str().unwrap()]).expect(0);
    assert_eq!(fs::read(&file).unwrap(), before);
    assert!(!root.names(inside).iter().any(|name| name.starts_with('.')));
}

#[test]
fn what_cannot_be_packed_is_told_with_dkms_exit_status() {
    let root = builder(&[K]);
    ToyKernel::new(K2).install(&root);
    ToyModule::new("gone", "1").register(&root);
    ToyModule::new("empty", "1").register(&root);
    fs::remove_dir_all(root.path("/usr/src/gone-1")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let below_a_file = file.join("x.tar").display().to_string();
    for (args, code, text) in [
        (vec!["hello/1.0", "-k", K2], 6, "not built"),
        (vec!["hello/1.0", "-k", K, "-k", K2], 6, "not built"),
        (vec!["hello/1.0", "-k", K, "--archive", "/proc/x/y.tar"], 9, "/proc"),
        (vec!["hello/1.0", "-k", K, "--archive", &below_a_file], 9, "x.tar"),
        (vec!["hello/1.0", "-k", K, "--archive", "/dev/null"], 9, "not a regular file"),
        (vec!["hello/1.0", "-k", K, "--archive", "/tmp/"], 9, "not a regular file"),
        (vec!["empty/1", "--all", "--binaries-only"], 6, "not built for any kernel"),
        (vec!["hello/2.0", "-k", K], 3, "not in the DKMS tree"),
        (vec!["gone/1", "-k", K], 4, "broken"),
        (vec!["hello"], 1, "version"),
        (vec![], 1, "needs a module"),
        (vec!["hello/1.0", "--binaries-only", "--source-only"], 8, "exclude each other"),
        (vec!["hello/1.0", "--all", "-k", K], 2, "--all"),
    ] {
        let before = root.snapshot_of("/var/lib/dkms/hello");
        let mut words = vec!["mktarball"];
        words.extend(args);
        let answer = root.dkms(&words);
        assert_eq!(answer.code, code, "{words:?}: {}{}", answer.out, answer.err);
        assert!(answer.err.contains(text), "{words:?}: {}", answer.err);
        assert_eq!(before.changes(&root.snapshot_of("/var/lib/dkms/hello")), [""; 0], "{words:?}");
    }
    assert!(Path::new("/dev/null").metadata().is_ok_and(|meta| !meta.is_file()));
}
