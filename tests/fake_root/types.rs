//! Kernels without symbol versions: what a build uses of the kernel is written down, and compared when only the
//! headers changed. The kernel's types and those of the modules are made here; a stand-in hands them out for pahole.

use std::fs;

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use crate::support::type_tables::TypeTable;

const K: &str = "7.2.1-toy";

/// Says which build of the kernel the headers are of, what it exports, and what its types are.
fn headers(root: &FakeRoot, build: &str, symbols: &[&str], types: &TypeTable) {
    let lines = symbols.iter().map(|name| format!("0x00000000\t{name}\tvmlinux\tEXPORT_SYMBOL\t\n"));
    let dir = format!("/usr/src/linux-headers-{K}");
    root.write(format!("{dir}/Module.symvers"), lines.collect::<String>());
    let version = format!("#define UTS_VERSION \"#1 SMP {build}\"\n");
    root.write(format!("{dir}/include/generated/utsversion.h"), version);
    root.write(format!("{dir}/vmlinux"), types.bytes());
}

const SYMBOLS: [&str; 2] = ["printk", "queue_work"];

/// The kernel's types: `struct device` (with one more member where it changed), `struct work`, `queue_work()`.
fn kernel(device: u32, returns: &str) -> TypeTable {
    let mut table = TypeTable::new(true);
    let int = table.int("int", 4);
    let members = [("id", int, 0, 0), ("state", int, 32, 0), ("removing", int, 64, 0)];
    table.structure("device", 4 * device, &members[..device as usize]);
    table.structure("work", 4, &[("data", int, 0, 0)]);
    let returned = table.int(returns, 1);
    table.function("queue_work", returned, &[int]);
    table
}

/// Of the debugging information of a module that uses one struct.
fn debugging(root: &FakeRoot, module: &str, add: impl Fn(&mut TypeTable, u32)) {
    let mut table = TypeTable::new(true);
    let int = table.int("int", 4);
    add(&mut table, int);
    table.structure("own", 4, &[("x", int, 0, 0)]);
    root.write(format!("/var/log/types/{module}"), table.bytes());
}

fn calling(name: &str, function: &str) -> ToyModule {
    let text = format!(
        "#include <linux/module.h>\nint {function}(const char *text, ...);\n\
         int {name}_answer(int x)\n{{\n\t{function}(\"x\");\n\treturn x;\n}}\n"
    );
    ToyModule::new(name, "1").file(&format!("{name}.c"), &text)
}

/// `talks` uses `struct device` and `printk`, `works` uses `struct work` and `queue_work`; both installed.
fn installed(policy: &str) -> FakeRoot {
    let root = FakeRoot::new();
    root.write("/etc/dkms/framework.conf", format!("rebuild=\"{policy}\"\n"));
    ToyKernel::new(K).install(&root);
    headers(&root, "1-1", &SYMBOLS, &kernel(2, "_Bool"));
    let types = root.path("/var/log/types");
    root.stand_in(
        "pahole",
        &format!(
            "for word; do case $word in --btf_encode_detached=*) out=${{word#*=}} ;; esac; done\n\
             cp {}/$(basename \"$word\" .ko) \"$out\"\n",
            types.display()
        ),
    );
    debugging(&root, "talks", |table, int| {
        table.structure("device", 8, &[("id", int, 0, 0), ("state", int, 32, 0)]);
    });
    debugging(&root, "works", |table, int| {
        table.structure("work", 4, &[("data", int, 0, 0)]);
    });
    calling("talks", "printk").register(&root);
    calling("works", "queue_work").register(&root);
    assert_eq!(builds(&root), ["talks", "works"]);
    root
}

fn uses(module: &str) -> String {
    format!("/var/lib/dkms/{module}/1/{K}/x86_64/.dkms-hook-uses.json.zst")
}

/// Runs the hook; which module versions make was called for, sorted.
#[track_caller]
fn builds(root: &FakeRoot) -> Vec<String> {
    root.hook(&[]).expect(0);
    let mut calls = root.take_make_calls();
    root.take_calls();
    calls.sort();
    calls.iter().map(|call| call.split('/').nth(4).unwrap_or_default().to_owned()).collect()
}

#[track_caller]
fn in_line(root: &FakeRoot) {
    let before = root.snapshot();
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
    root.hook(&[]).expect(0);
    root.assert_untouched(&before);
}

#[test]
fn with_the_policy_abi_a_build_is_kept_while_the_kernel_has_what_it_uses() {
    let root = installed("abi");
    let modules = root.snapshot_of("/usr/lib/modules");
    headers(&root, "1-2", &SYMBOLS, &kernel(2, "_Bool"));
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    let reason = "the kernel headers changed from #1 SMP 1-1 to #1 SMP 1-2, but all 1 types and 1 symbols that it \
                  uses of the kernel are the same";
    assert_eq!(dry, format!("would keep talks/1 for {K}: {reason}\nwould keep works/1 for {K}: {reason}\n"));
    assert_eq!(builds(&root), [""; 0]);
    assert!(modules == root.snapshot_of("/usr/lib/modules"), "module files were touched");
    in_line(&root);
    root.hook(&["why", "talks"]).expect(0).says(&format!("nothing to do: {reason}"));

    // One struct changes: the module that uses it is built.
    headers(&root, "1-3", &SYMBOLS, &kernel(3, "_Bool"));
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    let change = "the kernel headers changed from #1 SMP 1-1 to #1 SMP 1-3, and what it uses of the kernel changed: \
                  struct device (`size 8` -> `8 int removing`, `size 12`)";
    assert!(dry.contains(&format!("would build talks/1 for {K}: {change}\n")), "{dry}");
    assert!(dry.contains(&format!("would keep works/1 for {K}: ")), "{dry}");
    root.hook(&["why", "talks"]).expect(0).says(change);
    debugging(&root, "talks", |table, int| {
        let members = [("id", int, 0, 0), ("state", int, 32, 0), ("removing", int, 64, 0)];
        table.structure("device", 12, &members);
    });
    assert_eq!(builds(&root), ["talks"]);
    in_line(&root);

    // A function takes or returns something else.
    headers(&root, "1-4", &SYMBOLS, &kernel(3, "int8"));
    root.hook(&["--dry-run"]).expect(0).says("changed: queue_work (another prototype)");
    assert_eq!(builds(&root), ["works"]);
    // A symbol is exported no more.
    headers(&root, "1-5", &["queue_work"], &kernel(3, "int8"));
    root.hook(&["--dry-run"]).expect(0).says("imported symbols changed: printk (no longer exported)");
}

#[test]
fn by_default_it_is_built_and_why_says_that_it_could_be_kept() {
    let root = installed("inputs");
    headers(&root, "1-2", &SYMBOLS, &kernel(2, "_Bool"));
    root.hook(&["why", "talks"])
        .expect(0)
        .says("all 1 types and 1 symbols that it uses of the kernel are the same: with rebuild=\"abi\"");
    assert_eq!(builds(&root), ["talks", "works"]);
    in_line(&root);
}

#[test]
fn constants_come_of_the_configuration_which_no_type_shows() {
    let root = installed("abi");
    let config = format!("/usr/src/linux-headers-{K}/include/config/auto.conf");
    let text = root.read(&config);
    root.write(&config, format!("{text}CONFIG_BUILD_SALT=\"7.2.1-2\"\n"));
    assert_eq!(builds(&root), [""; 0], "it only says which build of the kernel it is");
    root.write(&config, format!("{text}CONFIG_HZ=1000\n"));
    root.hook(&["--dry-run"]).expect(0).says("and the kernel's configuration changed");
    assert_eq!(builds(&root), ["talks", "works"]);
    in_line(&root);
}

/// A struct that stands in a header only: nothing that the kernel describes uses it.
#[test]
fn of_types_that_only_a_header_has_its_text_counts() {
    let root = installed("abi");
    let header = format!("/usr/src/linux-headers-{K}/include/linux/toy.h");
    root.write(&header, "struct toy {\n\tint x;\n};\n");
    // As Kbuild notes what it read.
    let list = "deps_toys.o := \\\n    $(wildcard include/config/X) \\\n  ./include/linux/toy.h \\\n";
    calling("toys", "printk").file(".toys.o.cmd", list).register(&root);
    debugging(&root, "toys", |table, int| {
        table.structure("toy", 4, &[("x", int, 0, 0)]);
    });
    assert_eq!(builds(&root), ["toys"]);
    headers(&root, "1-2", &SYMBOLS, &kernel(2, "_Bool"));
    assert_eq!(builds(&root), [""; 0]);
    root.write(&header, "struct toy {\n\tlong x;\n};\n");
    headers(&root, "1-3", &SYMBOLS, &kernel(2, "_Bool"));
    root.hook(&["--dry-run"]).expect(0).says(&format!("changed: toy ({header}, which declares it, changed)"));
    assert_eq!(builds(&root), ["toys"]);
    in_line(&root);
}

#[test]
fn what_is_not_known_counts_as_a_change() {
    let root = installed("abi");
    // What was written down is damaged; of the other, its kernel says nothing any more.
    root.write(uses("talks"), "{");
    headers(&root, "1-2", &SYMBOLS, &kernel(2, "_Bool"));
    assert_eq!(builds(&root), ["talks"]);
    headers(&root, "1-3", &SYMBOLS, &kernel(2, "_Bool"));
    root.write(format!("/usr/src/linux-headers-{K}/vmlinux"), "no types");
    assert_eq!(builds(&root), ["talks", "works"]);
    in_line(&root);
    // Without types of the kernel nothing was written down.
    assert!(!root.exists(uses("talks")) && !root.exists(uses("works")));
}

#[test]
fn a_module_without_debugging_information_or_pahole_has_no_list() {
    let root = installed("abi");
    fs::remove_file(root.path("/var/log/types/works")).unwrap();
    root.dkms(&["build", "works/1", "-k", K, "--force"]).expect(0);
    root.dkms(&["install", "works/1", "-k", K]).expect(0);
    root.take_make_calls();
    assert!(root.exists(uses("talks")) && !root.exists(uses("works")));
    headers(&root, "1-2", &SYMBOLS, &kernel(2, "_Bool"));
    assert_eq!(builds(&root), ["works"]);
}

#[test]
fn a_kernel_with_symbol_versions_needs_no_list() {
    let root = installed("abi");
    ToyKernel::new(K).symbol_versions().install(&root);
    headers(&root, "1-2", &SYMBOLS, &kernel(2, "_Bool"));
    assert_eq!(builds(&root), ["talks", "works"]);
    assert!(!root.exists(uses("talks")));
}

/// A build of DKMS has no list. But a module that names types of the kernel with their sizes is refused by a kernel
/// that has none of that name and size.
#[test]
fn a_build_of_dkms_that_the_kernel_would_refuse_is_not_taken_over() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    headers(&root, "1-1", &SYMBOLS, &kernel(2, "_Bool"));
    let mut names = TypeTable::new(true);
    names.int("int", 4);
    names.structure("device", 8, &[]);
    let names = root.write("/var/log/names", names.bytes());
    let section = format!(
        "__asm__(\".section .BTF.base,\\\"\\\",@progbits\\n.incbin \\\"{}\\\"\\n.previous\");\n",
        names.display()
    );
    let text = format!("#include <linux/module.h>\n{section}");
    ToyModule::new("names", "1").file("names.c", &text).register(&root);
    assert_eq!(builds(&root), ["names"]);
    let forget = || {
        fs::remove_file(root.path(format!("/var/lib/dkms/names/1/{K}/x86_64/.dkms-hook.json"))).unwrap();
        fs::remove_dir_all(root.path("/var/lib/dkms/.dkms-hook")).unwrap();
    };
    forget();
    headers(&root, "1-2", &SYMBOLS, &kernel(2, "_Bool"));
    root.hook(&["--dry-run"]).expect(0).says("would take over names/1");
    headers(&root, "1-3", &SYMBOLS, &kernel(3, "_Bool"));
    root.hook(&["--dry-run"]).expect(0).says(&format!(
        "would build names/1 for {K}: the existing build cannot be used: what it uses of the kernel changed: struct \
         device (`size 8` -> `size 12`)"
    ));
}
