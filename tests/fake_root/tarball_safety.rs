//! Archives that lie or do harm, runs that are killed while they load one, and runs that meet: nothing
//! outside, nothing half loaded.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::archives::{K, K2, archive, builder, empty, hello, status, tar};
use crate::support::program::{Face, finish};
use crate::support::toy_kernel::{FakeRoot, ToyKernel};

/// An archive of ours with a build for [`K`], unpacked to be tampered with.
struct Tampered {
    place: tempfile::TempDir,
}

impl Tampered {
    fn new() -> Self {
        let (_made, file) = archive(&[K], "x.tar", &["-k", K]);
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("in")).unwrap();
        let mut command = Command::new("tar");
        finish(command.arg("-xf").arg(&file).arg("-C").arg(place.path().join("in"))).expect(0);
        Self { place }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join("in").join(name)
    }
    fn build(&self, name: &str) -> PathBuf {
        self.path(&format!("dkms_main_tree/{K}/x86_64/{name}"))
    }
    /// Packs it again, with more words for tar.
    fn pack(&self, more: &[&str]) -> String {
        let file = self.place.path().join("tampered.tar.gz");
        let mut command = Command::new("tar");
        command.arg("-caPf").arg(&file).arg("-C").arg(self.path("")).args(more).arg(".");
        finish(&mut command).expect(0);
        file.display().to_string()
    }
}

/// A lock file as a run leaves it: one that others could open would be closed to them.
fn closed_lock(root: &FakeRoot) {
    let lock = root.write("/var/lib/dkms/.dkms-hook/lock", "");
    fs::set_permissions(lock, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The archive is refused with this status and word, and nothing at all changes.
#[track_caller]
fn refused(file: &str, code: i32, text: &str) {
    let root = empty(&[K]);
    root.write("/etc/victim", "untouched");
    closed_lock(&root);
    let before = root.snapshot();
    for action in ["ldtarball", "add", "install"] {
        let answer = root.dkms(&[action, file]).expect(code).says(text);
        assert!(!answer.err.contains(".tmp-"), "{}", answer.err);
    }
    // But for the time of the lock.
    assert_eq!(before.changes(&root.snapshot()), ["t var/lib/dkms/.dkms-hook/lock"], "{text}");
    assert_eq!(status(&root), "");
}

#[test]
fn what_would_get_out_is_refused_whole() {
    let change = |change: &dyn Fn(&Tampered), text: &str| {
        let tampered = Tampered::new();
        change(&tampered);
        refused(&tampered.pack(&[]), 7, text);
    };
    change(&|t| symlink("/etc/shadow", t.path("dkms_source_tree/x.c")).unwrap(), "points out");
    change(&|t| symlink("../../../etc", t.path("dkms_source_tree/etc")).unwrap(), "points out");
    change(&|t| symlink("/etc/shadow", t.build("module/x.ko")).unwrap(), "points out");
    change(&|t| symlink("../../..", t.build("up")).unwrap(), "points out");
    change(
        &|t| {
            fs::rename(t.build(""), t.path("elsewhere")).unwrap();
            symlink("../../elsewhere", t.path(&format!("dkms_main_tree/{K}/x86_64"))).unwrap();
        },
        "not a directory of builds",
    );
    change(
        &|t| {
            fs::rename(t.path("dkms_source_tree"), t.path("elsewhere")).unwrap();
            symlink("elsewhere", t.path("dkms_source_tree")).unwrap();
        },
        "no dkms.conf",
    );
    change(
        &|t| {
            finish(Command::new("mkfifo").arg(t.path("dkms_source_tree/pipe"))).expect(0);
        },
        "not a file",
    );
    // Names that tar is told to write.
    for transform in ["s,^\\./dkms_source_tree/second,../../second,", "s,^\\./dkms_source_tree,/etc,"] {
        let tampered = Tampered::new();
        let file = tampered.pack(&["--transform", transform]);
        refused(&file, 7, if transform.contains("..") { "leads out" } else { "absolute name" });
    }
    // A link first, then a file through it.
    let tampered = Tampered::new();
    let first = tampered.place.path().join("first");
    fs::create_dir_all(&first).unwrap();
    symlink("/etc", first.join("dkms_source_tree")).unwrap();
    let file = tampered.place.path().join("link.tar");
    finish(Command::new("tar").arg("-cf").arg(&file).arg("-C").arg(&first).arg("dkms_source_tree")).expect(0);
    let mut command = Command::new("tar");
    command.arg("-rf").arg(&file).arg("-C").arg(tampered.path("")).arg("dkms_source_tree/hello.c");
    finish(&mut command).expect(0);
    refused(file.to_str().unwrap(), 7, "behind a link");
}

#[test]
fn a_link_that_takes_the_place_of_a_directory_of_links_leads_nowhere() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    fs::create_dir_all(path("outside")).unwrap();
    fs::write(path("outside/victim"), "untouched").unwrap();
    fs::create_dir_all(path("one/z")).unwrap();
    symlink("x", path("one/z/victim")).unwrap();
    fs::create_dir_all(path("two")).unwrap();
    symlink(path("outside"), path("two/z")).unwrap();
    let file = path("links.tar");
    for (mode, from, member) in [("-cf", "one", "z/victim"), ("-rf", "two", "z")] {
        finish(Command::new("tar").arg(mode).arg(&file).arg("-C").arg(path(from)).arg(member)).expect(0);
    }
    refused(file.to_str().unwrap(), 7, "another lies behind it");
    assert_eq!(fs::read_to_string(path("outside/victim")).unwrap(), "untouched");
}

#[test]
fn builds_that_are_not_what_they_seem_are_refused() {
    let rename = |from: &str, to: &str, text: &str| {
        let tampered = Tampered::new();
        fs::rename(tampered.path(from), tampered.path(to)).unwrap();
        refused(&tampered.pack(&[]), 7, text);
    };
    let kernel = format!("dkms_main_tree/{K}");
    // Built for another kernel than it says: the vermagic has the last word.
    rename(&kernel, &format!("dkms_main_tree/{K2}"), &format!("was made for {K}"));
    rename(&kernel, "dkms_main_tree/build", "not named after a kernel");
    rename(&kernel, "dkms_main_tree/source", "not named after a kernel");
    rename(&kernel, "dkms_main_tree/.hidden", "not named after a kernel");
    rename(&format!("{kernel}/x86_64/module"), &format!("{kernel}/x86_64/modules"), "no module directory");
    rename("dkms_source_tree/dkms.conf", "dkms_source_tree/conf", "no dkms.conf in dkms_source_tree");
    rename("dkms_source_tree", "somewhere", "no dkms.conf in dkms_source_tree");

    let tampered = Tampered::new();
    fs::write(tampered.build("module/hello.ko"), "#!/bin/sh\n").unwrap();
    refused(&tampered.pack(&[]), 7, "hello.ko, which is not a kernel module");
    let tampered = Tampered::new();
    fs::write(tampered.path("dkms_source_tree/dkms.conf"), "PACKAGE_NAME=hello\n").unwrap();
    refused(&tampered.pack(&[]), 8, "tampered.tar.gz: dkms_source_tree/dkms.conf is not a valid dkms.conf");
    for name in ["..", ".dkms-hook", "a/b"] {
        let tampered = Tampered::new();
        let conf = tampered.path("dkms_source_tree/dkms.conf");
        let named = ["PACKAGE_NAME=\"hello\"".to_owned(), format!("PACKAGE_NAME=\"{name}\"")];
        let text = fs::read_to_string(&conf).unwrap().replace(&named[0], &named[1]);
        assert!(text.contains(&named[1]), "{text}");
        fs::write(conf, text).unwrap();
        refused(&tampered.pack(&[]), 10, "not name a usable module");
    }
}

#[test]
fn what_is_no_archive_or_a_damaged_one_loads_nothing() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = place.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    refused(&write("text.tar", &b"some text\n".repeat(200)), 3, "not a tar archive");
    refused(&write("empty.tar.gz", b""), 3, "it has no dkms.conf");
    fs::create_dir(place.path().join("dir")).unwrap();
    fs::write(place.path().join("dir/README"), "").unwrap();
    let file = place.path().join("readme.tgz");
    tar(&place.path().join("dir"), &file);
    refused(file.to_str().unwrap(), 3, "it has no dkms.conf");
    let (_made, whole) = archive(&[K], "x.tar.gz", &["-k", K]);
    let bytes = fs::read(whole).unwrap();
    for cut in [bytes.len() / 3, bytes.len() - 9, bytes.len() - 2] {
        refused(&write("cut.tar.gz", &bytes[..cut]), 7, "damaged");
    }
    let mut flipped = bytes;
    let last = flipped.len() - 6;
    flipped[last] ^= 0xff;
    refused(&write("flipped.tar.gz", &flipped), 7, "damaged");
}

#[test]
fn notes_of_another_machine_are_not_believed() {
    // An archive that somebody else's program made of our tree has our record in it.
    let tampered = Tampered::new();
    let record = r#"{"format":1,"inputs":{"source":"","conf":"","overrides":"","headers":{"content":""},
        "compiler":"","compression":""},"facts":{"autoinstall":true},
        "installed":[{"path":"/etc/victim","built":"hello.ko","size":0,"mtime":0}]}"#;
    fs::write(tampered.build(".dkms-hook.json"), record).unwrap();
    fs::write(tampered.path("dkms_source_tree/.hidden"), "kept").unwrap();
    let file = tampered.pack(&[]);
    let root = empty(&[K]);
    root.write("/etc/victim", "untouched");
    root.dkms(&["install", &file, "-k", K]).expect(0);
    assert_eq!(root.take_make_calls(), [""; 0]);
    let own = root.read(format!("/var/lib/dkms/hello/1.0/{K}/x86_64/.dkms-hook.json"));
    assert!(own.contains("/updates/dkms/hello.ko") && !own.contains("victim"), "{own}");
    root.dkms(&["remove", "hello/1.0", "--all"]).expect(0);
    assert_eq!(root.read("/etc/victim"), "untouched");
    assert_eq!(root.read("/usr/src/hello-1.0/.hidden"), "kept");
}

#[test]
fn a_load_that_is_killed_has_loaded_all_or_nothing() {
    // Large enough to be met in the middle.
    let from = builder(&[K, K2]);
    for i in 0..80 {
        from.write(format!("/usr/src/hello-1.0/data/{i}.h"), vec![b'a' + (i % 26) as u8; 5_000]);
    }
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("x.tar.zst").display().to_string();
    from.dkms(&["mktarball", "hello/1.0", "--all", "--archive", &file]).expect(0);

    let loaded = format!("hello/1.0, {K}, x86_64: built\nhello/1.0, {K2}, x86_64: built\n");
    let whole = {
        let root = empty(&[K, K2]);
        let begin = Instant::now();
        root.dkms(&["ldtarball", &file]).expect(0);
        begin.elapsed()
    };
    for i in 0..10 {
        let root = empty(&[K, K2]);
        let mut command = root.program(Face::Dkms);
        command.args(["ldtarball", &file]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = command.spawn().unwrap();
        std::thread::sleep(whole.mul_f64(f64::from(i) / 8.0));
        let _ = run.kill();
        run.wait().unwrap();
        // The next run cleans up; loading again says what is there, or does it.
        let before = status(&root);
        assert!(before.is_empty() || before == loaded, "half of it is there: {before}");
        let code = if before.is_empty() { 0 } else { 8 };
        root.dkms(&["ldtarball", &file]).expect(code);
        assert_eq!(status(&root), loaded);
        assert_eq!(root.names("/var/lib/dkms"), [".dkms-hook", "hello"]);
        let sources = root.names("/usr/src");
        assert!(sources.iter().all(|name| !name.starts_with('.')), "{sources:?}");
        root.hook(&[]).expect(0);
        assert_eq!(root.take_make_calls(), [""; 0]);
        assert_eq!(status(&root), loaded.replace("built", "installed"));
    }
}

#[test]
fn an_archive_that_is_made_appears_whole_or_not_at_all() {
    let root = builder(&[K]);
    root.write("/usr/src/hello-1.0/data.h", vec![b'x'; 8_000_000]);
    let inside = "/var/lib/dkms/hello/1.0/tarball";
    let words = ["mktarball", "hello/1.0", "-k", K, "--archive", "x.tar.gz"];
    for delay in [5, 20, 60] {
        let mut command = root.program(Face::Dkms);
        let mut run = command.args(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        let _ = run.kill();
        run.wait().unwrap();
        if root.exists(format!("{inside}/x.tar.gz")) {
            finish(Command::new("tar").arg("-tf").arg(root.path(inside).join("x.tar.gz"))).expect(0);
        }
    }
    root.dkms(&words).expect(0);
    assert_eq!(root.names(inside), ["x.tar.gz"], "what a killed run left is still there");
}

#[test]
fn a_load_waits_for_the_run_that_holds_the_lock() {
    let (_made, file) = archive(&[K], "x.tar.gz", &["-k", K]);
    let root = empty(&[K]);
    fs::create_dir_all(root.path("/var/lib/dkms/.dkms-hook")).unwrap();
    let lock = fs::File::create(root.path("/var/lib/dkms/.dkms-hook/lock")).unwrap();
    lock.lock().unwrap();
    let output = root.path("/var/log/out");
    let mut command = root.program(Face::Dkms);
    let mut run =
        command.args(["ldtarball", &file]).stdout(fs::File::create(&output).unwrap()).spawn().unwrap();
    let begin = Instant::now();
    while !fs::read_to_string(&output).unwrap().contains("Waiting") {
        assert!(begin.elapsed() < Duration::from_secs(60), "it never waited");
        assert!(run.try_wait().unwrap().is_none(), "it did not wait");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!root.exists("/var/lib/dkms/hello") && !root.exists("/usr/src/hello-1.0"));
    drop(lock);
    assert!(run.wait().unwrap().success());
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: built\n"));
}

#[test]
fn a_script_of_a_build_can_load_another_module_but_not_its_own() {
    let (_made, file) = archive(&[], "hello.tar.gz", &["--source-only"]);
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    let program = root.path("/usr/sbin/dkms");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    symlink(env!("CARGO_BIN_EXE_dkms-hook"), &program).unwrap();
    let script = format!("#!/bin/sh\n{} ldtarball {file}\n", program.display());
    let outer = crate::support::toy_kernel::ToyModule::new("outer", "1").executable("load.sh", &script);
    outer.line("PRE_BUILD=load.sh").register(&root);
    root.dkms(&["build", "outer/1", "-k", K]).expect(0);
    assert_eq!(status(&root), format!("hello/1.0: added\nouter/1, {K}, x86_64: built\n"));
    hello()
        .executable("load.sh", &script.replace("ldtarball", "ldtarball --force"))
        .line("PRE_BUILD=load.sh")
        .register(&root);
    root.dkms(&["build", "hello/1.0", "-k", K]).expect(3);
    assert!(Path::new(&file).exists());
}
