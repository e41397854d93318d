//! `dkms status` and the planner look at the same tree and see the same, whoever wrote it and however: what is
//! registered, built and installed. One row for each way in which a tree can differ from one that we wrote.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const VERSION: &str = "/var/lib/dkms/hello/1.0";
const ACTIVE: &str = "/var/lib/dkms/hello/kernel-6.12.1-toy-x86_64";
const SOURCE: &str = "/usr/src/hello-1.0";

/// A root in which `hello/1.0` is installed.
fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1.0").register(&root);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    root.take_make_calls();
    root
}

fn replace_link(root: &FakeRoot, link: &str, target: &str) {
    fs::remove_file(root.path(link)).unwrap();
    symlink(target, root.path(link)).unwrap();
}

/// Moves a directory of the tree to another place, with a link in its place.
fn move_away(root: &FakeRoot, dir: &str, back: &str) {
    fs::create_dir_all(root.path("/srv")).unwrap();
    fs::rename(root.path(dir), root.path("/srv/moved")).unwrap();
    symlink(format!("{back}srv/moved"), root.path(dir)).unwrap();
}

/// What a face says of builds: the module version, its kernel, and whether it is installed.
type Builds = BTreeSet<(String, String, bool)>;

fn by_status(root: &FakeRoot) -> (String, Builds) {
    let out = root.dkms(&["status"]).expect(0).out;
    let builds = out.lines().filter_map(|line| {
        let (cell, state) = line.split_once(": ")?;
        let mut words = cell.split(", ");
        Some((words.next()?.to_owned(), words.next()?.to_owned(), state.starts_with("installed")))
    });
    let builds = builds.collect();
    (out, builds)
}

fn json(root: &FakeRoot, args: &[&str]) -> Value {
    let answer = root.hook(args);
    serde_json::from_str(&answer.out).unwrap_or_else(|e| panic!("{e}\n{}\n{}", answer.out, answer.err))
}

fn by_planner(status: &Value) -> Builds {
    let text = |module: &Value, name: &str| module[name].as_str().unwrap().to_owned();
    let builds = status["modules"].as_array().unwrap().iter().map(|module| {
        let id = format!("{}/{}", text(module, "module"), text(module, "version"));
        (id, text(module, "kernel"), module["installed"].as_bool().unwrap())
    });
    builds.collect()
}

fn texts(plan: &Value, list: &str) -> Vec<String> {
    plan[list].as_array().unwrap().iter().map(|item| item["text"].as_str().unwrap().to_owned()).collect()
}

/// Both faces on one root: what `dkms status` prints must be `listed`, and the planner must see the same
/// builds and plan just `steps`.
fn agree(root: &FakeRoot, row: &str, listed: &str, steps: &[&str]) {
    let before = root.snapshot();
    let (out, builds) = by_status(root);
    assert_eq!(out, listed, "{row}");
    let status = json(root, &["status", "--json"]);
    let planned = json(root, &["--dry-run", "--json"]);
    let broken = out.contains(": broken");
    let noted = planned["notes"].as_array().unwrap().iter().any(|note| note["note"] == "broken");
    assert_eq!(broken, noted, "{row}: {planned}");
    if builds.is_empty() {
        // An entry without a usable source; nothing that is installed of it is called anything else.
        let added = out.is_empty() || broken || by_planner(&status).is_empty();
        assert!(added, "{row}: {out}{status}");
    } else {
        assert_eq!(builds, by_planner(&status), "{row}");
    }
    assert_eq!(texts(&planned, "steps"), steps, "{row}");
    assert_eq!(texts(&status, "to-do"), steps, "{row}");
    root.assert_untouched(&before);
    root.hook(&[]).expect(if broken { 11 } else { 0 });
    let made = root.take_make_calls().len();
    assert_eq!(made, steps.iter().filter(|step| step.starts_with("build")).count(), "{row}");
}

#[test]
fn on_the_state_of_a_source() {
    let installed = format!("hello/1.0, {K}, x86_64: installed\n");
    agree(&root(), "a link as we write it", &installed, &[]);

    let root_with = |source: &str, present: bool| {
        let root = root();
        match source {
            "none" => fs::remove_file(root.path(format!("{VERSION}/source"))).unwrap(),
            "directory" => {
                fs::remove_file(root.path(format!("{VERSION}/source"))).unwrap();
                root.write(format!("{VERSION}/source/dkms.conf"), "");
            }
            target => replace_link(&root, &format!("{VERSION}/source"), target),
        }
        if !present {
            fs::remove_dir_all(root.path(SOURCE)).unwrap();
        }
        root
    };
    let rows = [
        ("none", true, "hello/1.0: broken\n"),
        ("none", false, ""),
        ("directory", true, "hello/1.0: broken\n"),
        ("directory", false, ""),
        (SOURCE, false, "hello/1.0: broken\n"),
        ("../../../../../usr/src/hello-1.0", true, installed.as_str()),
        ("/usr/src/elsewhere", true, "hello/1.0: broken\n"),
    ];
    for (source, present, listed) in rows {
        let root = root_with(source, present);
        agree(&root, &format!("{source}, source present: {present}"), listed, &[]);
        let module = root.path(format!("/lib/modules/{K}/updates/dkms/hello.ko"));
        assert!(module.is_file(), "{source}: what is installed stays");
    }
}

#[test]
fn on_what_is_installed() {
    let cell = format!("1.0/{K}/x86_64");
    let installed = format!("hello/1.0, {K}, x86_64: installed\n");
    for target in [
        format!("/var/lib/dkms/hello/{cell}"),
        format!("../hello/{cell}"),
        format!("./{cell}"),
        format!("1.0/../{cell}"),
        format!("../../../../var/lib/dkms/hello/{cell}"),
    ] {
        let root = root();
        replace_link(&root, ACTIVE, &target);
        agree(&root, &target, &installed, &[]);
        root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).says("already installed");
        root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
        let left = format!("/lib/modules/{K}/updates/dkms/hello.ko");
        assert!(!root.exists(ACTIVE) && !root.exists(left), "{target}");
    }
    let (install, depmod) = (format!("install hello/1.0 for {K}"), format!("depmod {K}"));
    for target in ["1.0/6.13.0-toy/x86_64".to_owned(), "nowhere".to_owned()] {
        let root = root();
        replace_link(&root, ACTIVE, &target);
        agree(&root, &target, &installed.replace("installed", "built"), &[&install, &depmod]);
        agree(&root, "after that", &installed, &[]);
    }
}

#[test]
fn on_what_is_a_version_and_what_a_kernel() {
    let installed = format!("hello/1.0, {K}, x86_64: installed\n");
    let moved = root();
    move_away(&moved, VERSION, "../../../../");
    agree(&moved, "a version on another disk", &installed, &[]);

    let moved = root();
    move_away(&moved, "/var/lib/dkms/hello", "../../../");
    agree(&moved, "a module on another disk", &installed, &[]);

    let named = root();
    symlink("1.0", named.path("/var/lib/dkms/hello/current")).unwrap();
    symlink("hello", named.path("/var/lib/dkms/hallo")).unwrap();
    agree(&named, "two names of one thing", &installed, &[]);

    let odd = root();
    ToyModule::new("odd", "kernel-1-2").register(&odd);
    let both = format!("{installed}odd/kernel-1-2: added\n");
    let steps = [format!("build odd/kernel-1-2 for {K}"), format!("install odd/kernel-1-2 for {K}")];
    let depmod = format!("depmod {K}");
    agree(&odd, "a version named like an active link", &both, &[&steps[0], &steps[1], &depmod]);

    let kept = root();
    for dir in ["build", "tarball", "source.old", "driver_disk", "rpm", "deb"] {
        fs::create_dir_all(kept.path(format!("{VERSION}/{dir}/x86_64/log"))).unwrap();
    }
    fs::create_dir_all(kept.path(format!("{VERSION}/tarball/x86_64/module"))).unwrap();
    agree(&kept, "directories that are no kernels", &installed, &[]);
    kept.dkms(&["status", "-k", "tar*"]).expect(0).says("hello/1.0: added");
}

#[test]
fn on_whether_the_installed_files_are_the_built_ones() {
    let file = format!("/lib/modules/{K}/updates/dkms/hello.ko");
    let built = format!("{VERSION}/{K}/x86_64/module/hello.ko");
    let write = |root: &FakeRoot, text: &[u8]| {
        fs::remove_file(root.path(&file)).unwrap();
        root.write(&file, text);
    };
    // What was done to the installed file, and whether it is still the built one.
    type Change<'a> = &'a dyn Fn(&FakeRoot);
    let rows: [(&str, bool, Change<'_>); 7] = [
        ("nothing", true, &|_| {}),
        ("copied anew", true, &|root| write(root, &fs::read(root.path(&built)).unwrap())),
        ("a link to the built one", true, &|root| {
            fs::remove_file(root.path(&file)).unwrap();
            symlink(&built, root.path(&file)).unwrap();
        }),
        ("of another", false, &|root| write(root, b"somebody else's")),
        ("a link to another", false, &|root| {
            root.write("/srv/other.ko", "somebody else's");
            fs::remove_file(root.path(&file)).unwrap();
            symlink("/srv/other.ko", root.path(&file)).unwrap();
        }),
        ("deleted", false, &|root| fs::remove_file(root.path(&file)).unwrap()),
        ("moved to where an older rule put it", true, &|root| {
            fs::create_dir_all(root.path(format!("/lib/modules/{K}/extra"))).unwrap();
            fs::rename(root.path(&file), root.path(format!("/lib/modules/{K}/extra/hello.ko"))).unwrap();
        }),
    ];
    for (what, same, change) in rows {
        for recorded in [true, false] {
            let root = root();
            change(&root);
            if !recorded {
                fs::remove_file(root.path(format!("{VERSION}/{K}/x86_64/.dkms-hook.json"))).unwrap();
            }
            // Our own record says where it was put.
            let same = same && !(recorded && what.starts_with("moved"));
            let row = format!("{what}, recorded: {recorded}");
            let remark = root.dkms(&["status"]).expect(0).out.contains(" (Differences between built");
            let status = json(&root, &["status", "--json"]);
            let installs = texts(&status, "to-do").iter().any(|step| step.starts_with("install hello"));
            let intact = status["modules"][0]["intact"].as_bool().unwrap();
            assert_eq!((remark, intact, installs), (!same, same, !same), "{row}: {status}");
            root.hook(&[]).expect(0);
            assert!(root.take_make_calls().is_empty(), "{row}");
            let again = json(&root, &["--dry-run", "--json"]);
            assert_eq!(texts(&again, "steps"), [""; 0], "{row}");
            let out = root.dkms(&["status"]).expect(0).out;
            assert_eq!(out, format!("hello/1.0, {K}, x86_64: installed\n"), "{row}");
        }
    }
}
