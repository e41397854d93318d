//! Modules that another kernel shares: only those that it would take stay linked. (The programs that make
//! the links need `/` for themselves: tests/fake_root_alone.rs.)

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "5.14.0-1.el9.x86_64";
const SAME: &str = "5.14.0-2.el9.x86_64";
const OTHER: &str = "5.14.0-3.el9.x86_64";

/// Almost an Enterprise Linux, with these kernels and `printk` of this CRC in each.
fn root(kernels: &[(&str, u32)]) -> FakeRoot {
    let root = FakeRoot::new();
    root.write("/etc/os-release", "ID=\"rhel\"\nID_LIKE=\"fedora\"\n");
    for (kernel, crc) in kernels {
        ToyKernel::new(kernel).install(&root);
        exports(&root, kernel, &format!("{crc:#010x}\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n"));
    }
    root
}

/// Says what a kernel exports, in the place where Enterprise Linux has it.
fn exports(root: &FakeRoot, kernel: &str, lines: &str) {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(lines.as_bytes()).unwrap();
    root.write(format!("/usr/lib/modules/{kernel}/symvers.gz"), encoder.finish().unwrap());
}

/// A module that imports these symbols, as modpost would have it.
fn module(name: &str, imports: &[(&str, u32)]) -> ToyModule {
    let list: Vec<String> = imports.iter().map(|(name, crc)| format!("{{ {crc:#x}, \"{name}\" }}")).collect();
    let text = format!(
        "#include <linux/module.h>\nstatic const struct {{ unsigned long crc; char name[56]; }} versions[]\n\
         __attribute__((section(\"__versions\"), used)) = {{ {} }};\nint {name}_x;\n",
        list.join(", ")
    );
    ToyModule::new(name, "1").file(&format!("{name}.c"), &text)
}

/// Links the module that is, or will be, installed for [`K`] for another kernel.
fn link(root: &FakeRoot, kernel: &str, name: &str) {
    let dir = root.path(format!("/usr/lib/modules/{kernel}/weak-updates"));
    fs::create_dir_all(&dir).unwrap();
    symlink(format!("/lib/modules/{K}/extra/{name}.ko"), dir.join(format!("{name}.ko"))).unwrap();
}

fn links(root: &FakeRoot, kernel: &str) -> Vec<String> {
    root.names(format!("/lib/modules/{kernel}/weak-updates"))
}

#[test]
fn a_link_to_what_does_not_fit_is_replaced_by_a_build() {
    let root = root(&[(K, 1), (SAME, 1), (OTHER, 2)]);
    module("hello", &[("printk", 1)]).register(&root);
    link(&root, SAME, "hello");
    link(&root, OTHER, "hello");
    root.dkms(&["install", "hello/1", "-k", K])
        .expect(0)
        .says("printk has CRC 0x00000002 there, but the module needs 0x00000001")
        .says(&format!("hello/1 built for {K} was also linked for {OTHER}"));
    assert_eq!(links(&root, SAME), ["hello.ko"]);
    assert_eq!(links(&root, OTHER), [""; 0]);
    assert_eq!(
        root.dkms(&["status"]).expect(0).out,
        format!("hello/1, {K}, x86_64: installed\nhello/1, {OTHER}, x86_64: installed\n"),
        "a link is no build of its own, and its kernel has no line"
    );
    assert_eq!(root.names(format!("/lib/modules/{OTHER}/extra")), ["hello.ko"]);
    let index = root.read(format!("/lib/modules/{OTHER}/modules.dep"));
    assert_eq!(index.lines().filter(|line| line.contains("hello")).count(), 1, "{index}");
}

#[test]
fn without_headers_the_link_goes_and_the_package_is_named() {
    let root = root(&[(K, 1), (OTHER, 2)]);
    ToyKernel::new(OTHER).remove_headers(&root);
    module("hello", &[("printk", 1)]).register(&root);
    link(&root, OTHER, "hello");
    root.dkms(&["install", "hello/1", "-k", K]).expect(0).says(&format!("kernel-devel-{OTHER}"));
    assert_eq!(links(&root, OTHER), [""; 0]);
    let mut indexed = root.take_depmods();
    indexed.sort();
    assert_eq!(indexed, [K, OTHER]);
}

#[test]
fn a_build_that_fails_there_is_told_and_the_link_stays_away() {
    let root = root(&[(K, 1), (OTHER, 2)]);
    let make = format!("test $kernelver = {K} && make -C $kernel_source_dir M=$dkms_tree/hello/1/build");
    module("hello", &[("printk", 1)]).make(&make).register(&root);
    link(&root, OTHER, "hello");
    root.dkms(&["install", "hello/1", "-k", K]).expect(10).says(OTHER);
    assert_eq!(links(&root, OTHER), [""; 0]);
    assert!(root.dkms(&["status"]).expect(0).out.contains(&format!("hello/1, {K}, x86_64: installed\n")));
}

#[test]
fn where_nobody_knows_the_symbols_the_link_stays() {
    let root = root(&[(K, 1), (OTHER, 2)]);
    fs::remove_file(root.path(format!("/usr/lib/modules/{OTHER}/symvers.gz"))).unwrap();
    ToyKernel::new(OTHER).remove_headers(&root);
    module("hello", &[("printk", 1)]).register(&root);
    link(&root, OTHER, "hello");
    root.dkms(&["install", "hello/1", "-k", K]).expect(0);
    assert_eq!(links(&root, OTHER), ["hello.ko"]);
}

#[test]
fn a_module_without_symbol_versions_is_for_its_own_kernel_alone() {
    let root = root(&[(K, 1), (SAME, 1)]);
    ToyModule::new("hello", "1").register(&root);
    link(&root, SAME, "hello");
    root.dkms(&["install", "hello/1", "-k", K]).expect(0).says("no symbol versions");
    assert_eq!(links(&root, SAME), [""; 0]);
    assert_eq!(root.names(format!("/lib/modules/{SAME}/extra")), ["hello.ko"]);
}

#[test]
fn symbols_of_our_other_modules_count_while_those_are_there() {
    let root = root(&[(K, 1), (SAME, 1)]);
    let made = "make -C $kernel_source_dir M=$dkms_tree/lib/1/build && \
                printf '0x00000007\\\\tlib_x\\\\tlib\\\\tEXPORT_SYMBOL\\\\n' > Module.symvers";
    module("lib", &[("printk", 1)]).make(made).register(&root);
    module("app", &[("lib_x", 7)]).depends("lib").register(&root);
    link(&root, SAME, "app");
    link(&root, SAME, "lib");
    root.dkms(&["install", "app/1", "-k", K]).expect(0);
    assert_eq!(root.read(format!("/var/lib/dkms/lib/1/{K}/x86_64/module/Module.symvers")).lines().count(), 1);
    assert_eq!(links(&root, SAME), ["app.ko", "lib.ko"]);

    // Without the one the other cannot be loaded.
    fs::remove_file(root.path(format!("/usr/lib/modules/{SAME}/weak-updates/lib.ko"))).unwrap();
    root.dkms(&["install", "app/1", "-k", K, "--force"]).expect(0).says("lib_x is not exported there");
    assert_eq!(links(&root, SAME), [""; 0]);
    let status = root.dkms(&["status", "-k", SAME]).expect(0).out;
    assert_eq!(status, format!("app/1, {SAME}, x86_64: installed\nlib/1, {SAME}, x86_64: installed\n"));
}

#[test]
fn links_to_what_is_gone_go_and_those_of_others_stay() {
    let root = root(&[(K, 1), (SAME, 1)]);
    module("hello", &[("printk", 1)]).register(&root);
    link(&root, SAME, "hello");
    link(&root, SAME, "strangers");
    root.dkms(&["install", "hello/1", "-k", K]).expect(0);
    assert_eq!(links(&root, SAME), ["hello.ko", "strangers.ko"]);
    root.take_calls();
    root.dkms(&["remove", "hello/1", "--all"]).expect(0);
    assert_eq!(links(&root, SAME), ["strangers.ko"]);
    let mut indexed = root.take_depmods();
    indexed.sort();
    assert_eq!(indexed, [K, SAME]);
}
