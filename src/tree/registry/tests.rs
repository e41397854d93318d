//! A table for each question, a row for each way that a tree can be.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::fs::root::Root;

const K: &str = "6.1-a";
const A: &str = "x86_64";

/// An empty tree below `/var/lib/dkms` of a root in a temporary directory.
struct Tree {
    dir: tempfile::TempDir,
    layout: Layout,
}

impl Tree {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        Self { dir, layout }
    }

    fn dir(&self, path: &str) {
        fs::create_dir_all(self.dir.path().join(path)).unwrap();
    }

    fn link(&self, target: &str, path: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }
}

fn id(text: &str) -> ModuleId {
    let (name, version) = text.split_once('/').unwrap();
    ModuleId::new(name, version).unwrap()
}

fn cell(module: &str, kernel: &str) -> Cell {
    Cell { module: id(module), kernel: KernelRelease::new(kernel).unwrap(), arch: Arch::new(A).unwrap() }
}

fn text<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

#[test]
fn the_state_of_a_source() {
    let dangling = |path: &str| Some(Source::Dangling(path.into()));
    let own = "/var/lib/dkms/m/1/source";
    // What `source` is, whether /usr/src/m-1 is there, and what follows.
    let rows = [
        ("nothing", false, Some(Source::BinariesOnly)),
        ("nothing", true, dangling(own)),
        ("directory", false, Some(Source::BinariesOnly)),
        ("directory", true, dangling(own)),
        ("file", false, Some(Source::BinariesOnly)),
        ("file", true, dangling(own)),
        ("/usr/src/m-1", true, Some(Source::Added)),
        ("/usr/src/m-1", false, dangling("/usr/src/m-1")),
        ("../../../../../usr/src/m-1", true, Some(Source::Added)),
        ("/usr/src/elsewhere", true, dangling("/usr/src/elsewhere")),
        ("/usr/src/a-file", true, dangling("/usr/src/a-file")),
        ("/srv/source", false, Some(Source::Added)),
    ];
    for (what, present, expected) in rows {
        let tree = Tree::new();
        tree.dir("var/lib/dkms/m/1/build");
        tree.dir("usr/src");
        tree.dir("srv/source");
        fs::write(tree.dir.path().join("usr/src/a-file"), "").unwrap();
        if present {
            tree.dir("usr/src/m-1");
        }
        match what {
            "nothing" => {}
            "directory" => tree.dir("var/lib/dkms/m/1/source"),
            "file" => fs::write(tree.dir.path().join("var/lib/dkms/m/1/source"), "").unwrap(),
            target => tree.link(target, "var/lib/dkms/m/1/source"),
        }
        assert_eq!(source(&tree.layout, &id("m/1")), expected, "{what}, /usr/src/m-1: {present}");
        assert_eq!(registered(&tree.layout), [(id("m/1"), expected.unwrap())]);
    }
    let tree = Tree::new();
    tree.dir("usr/src/m-1");
    tree.link("nowhere", "var/lib/dkms/m/1");
    assert_eq!(source(&tree.layout, &id("m/1")), None, "no directory, no entry");
    assert_eq!(registered(&tree.layout), []);
}

#[test]
fn what_is_a_version() {
    let tree = Tree::new();
    let listed = |tree: &Tree| text(registered(&tree.layout).into_iter().map(|(id, _)| id));
    tree.dir("var/lib/dkms/m/1/6.1-a/x86_64/module");
    tree.link("1/6.1-a/x86_64", "var/lib/dkms/m/kernel-6.1-a-x86_64");
    tree.link("/var/lib/dkms/m/1/6.1-a/x86_64", "var/lib/dkms/m/kernel-6.2-a-x86_64");
    tree.dir("var/lib/dkms/m/original_module/6.1-a/x86_64");
    tree.dir("var/lib/dkms/m/.tmp-x");
    tree.dir("var/lib/dkms/.dkms-hook/verdicts");
    fs::write(tree.dir.path().join("var/lib/dkms/m/file"), "").unwrap();
    fs::write(tree.dir.path().join("var/lib/dkms/mok.key"), "").unwrap();
    assert_eq!(listed(&tree), ["m/1"]);
    // A directory is one by any other name.
    tree.dir("var/lib/dkms/m/kernel-6-1");
    assert_eq!(listed(&tree), ["m/1", "m/kernel-6-1"]);
    // So is one on another disk, and a module there.
    tree.dir("srv/disk/m-2/6.1-a/x86_64/module");
    tree.dir("srv/disk/other/3");
    tree.link("../../../../srv/disk/m-2", "var/lib/dkms/m/2");
    tree.link("../../../srv/disk/other", "var/lib/dkms/other");
    assert_eq!(listed(&tree), ["m/1", "m/2", "m/kernel-6-1", "other/3"]);
    assert_eq!(text(versions(&tree.layout, &id("m/1").name)), ["m/1", "m/2", "m/kernel-6-1"]);
    assert_eq!(text(builds(&tree.layout, &id("m/2"))), ["m/2, 6.1-a, x86_64"]);
    // Another name of the same, a link out of the root and one that leads nowhere are not.
    tree.link("1", "var/lib/dkms/m/current");
    tree.link("../m/1", "var/lib/dkms/m/latest");
    tree.link("m", "var/lib/dkms/n");
    tree.link("nowhere", "var/lib/dkms/m/9");
    let outside = tempfile::tempdir().unwrap();
    fs::create_dir(outside.path().join("8")).unwrap();
    tree.link(outside.path().join("8").to_str().unwrap(), "var/lib/dkms/m/8");
    assert_eq!(listed(&tree), ["m/1", "m/2", "m/kernel-6-1", "other/3"]);
}

#[test]
fn what_is_a_build() {
    let tree = Tree::new();
    for dir in ["build", "tarball", "driver_disk", "rpm", "deb", "source"] {
        tree.dir(&format!("var/lib/dkms/m/1/{dir}/x86_64/module"));
    }
    tree.dir("var/lib/dkms/m/1/6.1-a/x86_64/module");
    tree.dir("var/lib/dkms/m/1/6.1-a/.tmp_x86_64_AbC/module");
    tree.dir("var/lib/dkms/m/1/6.2-a/x86_64/log");
    tree.dir("var/lib/dkms/m/1/a-kernel-of-any-name/x86_64/module");
    tree.link("6.1-a", "var/lib/dkms/m/1/6.3-a");
    let id = id("m/1");
    let with_directory =
        ["m/1, 6.1-a, x86_64", "m/1, 6.2-a, x86_64", "m/1, a-kernel-of-any-name, x86_64"].map(str::to_owned);
    assert_eq!(text(cells(&tree.layout, &id)), with_directory);
    assert_eq!(text(builds(&tree.layout, &id)), [with_directory[0].clone(), with_directory[2].clone()]);
    assert!(is_built(&tree.layout, &cell("m/1", "6.1-a")) && !is_built(&tree.layout, &cell("m/1", "6.2-a")));
}

#[test]
fn what_is_installed() {
    // Where `kernel-6.1-a-x86_64` leads, and the version that is installed.
    let rows = [
        ("1/6.1-a/x86_64", Some("1")),
        ("2/6.1-a/x86_64", Some("2")),
        ("./2/6.1-a/x86_64", Some("2")),
        ("../m/2/6.1-a/x86_64", Some("2")),
        ("2/../2/6.1-a/x86_64", Some("2")),
        ("/var/lib/dkms/m/2/6.1-a/x86_64", Some("2")),
        ("../../../../var/lib/dkms/m/2/6.1-a/x86_64", Some("2")),
        // Of another kernel (what shared it wrote), of another module, of no build, nowhere.
        ("2/6.2-a/x86_64", None),
        ("../n/2/6.1-a/x86_64", None),
        ("2", None),
        ("/nowhere", None),
        ("../../../../../../../nowhere", None),
    ];
    let name = id("m/1").name;
    for (target, expected) in rows {
        let tree = Tree::new();
        for dir in ["m/1/6.1-a", "m/2/6.1-a", "m/2/6.2-a", "n/2/6.1-a"] {
            tree.dir(&format!("var/lib/dkms/{dir}/x86_64/module"));
        }
        tree.link(target, "var/lib/dkms/m/kernel-6.1-a-x86_64");
        let kernel = KernelRelease::new(K).unwrap();
        let found = active(&tree.layout, &name, &kernel, &Arch::new(A).unwrap());
        assert_eq!(found.as_ref().map(Version::as_str), expected, "{target}");
        for version in ["1", "2"] {
            let installed = is_installed(&tree.layout, &cell(&format!("m/{version}"), K));
            assert_eq!(installed, expected == Some(version), "{target}: {version}");
        }
    }
    let tree = Tree::new();
    tree.dir("var/lib/dkms/m/1");
    tree.link("1/6.1-a/x86_64", "var/lib/dkms/m/kernel-6.1-a-x86_64");
    assert!(!is_installed(&tree.layout, &cell("m/1", K)), "a link without a build");
    assert!(active(&tree.layout, &name, &KernelRelease::new(K).unwrap(), &Arch::new(A).unwrap()).is_some());
    fs::remove_file(tree.dir.path().join("var/lib/dkms/m/kernel-6.1-a-x86_64")).unwrap();
    tree.dir("var/lib/dkms/m/1/6.1-a/x86_64/module");
    assert!(!is_installed(&tree.layout, &cell("m/1", K)), "a build without a link");
}
