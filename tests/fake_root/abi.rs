//! Headers that changed and nothing else: which builds still fit, by the symbols that they import, and
//! what becomes of those under either policy. And builds of which nothing is known.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";

/// Symbols of the kernel: name and CRC.
const SYMBOLS: [(&str, u32); 3] = [("module_layout", 0x11), ("printk", 0x1234_5678), ("queue_work", 0x33)];

/// Says what the kernel exports, and in which build of it.
fn headers(root: &FakeRoot, symbols: &[(&str, u32)], build: &str) {
    let lines = symbols.iter().map(|(name, crc)| format!("{crc:#010x}\t{name}\tvmlinux\tEXPORT_SYMBOL\t\n"));
    root.write(format!("/usr/src/linux-headers-{K}/Module.symvers"), lines.collect::<String>());
    root.write(
        format!("/usr/src/linux-headers-{K}/include/generated/utsversion.h"),
        format!("#define UTS_VERSION \"#1 SMP {build}\"\n"),
    );
}

/// A module that calls these functions of the kernel.
fn calling(name: &str, functions: &[&str]) -> ToyModule {
    let calls: Vec<String> = functions.iter().map(|f| format!("\t{f}(\"x\");\n")).collect();
    let declared: Vec<String> =
        functions.iter().map(|f| format!("int {f}(const char *text, ...);\n")).collect();
    let text = format!(
        "#include <linux/module.h>\n{}\nint {name}_answer(int x)\n{{\n{}\treturn x;\n}}\n\
         EXPORT_SYMBOL({name}_answer);\n",
        declared.concat(),
        calls.concat()
    );
    ToyModule::new(name, "1").file(&format!("{name}.c"), &text)
}

/// A kernel with symbol versions; `talks` imports `printk`, `works` imports `queue_work`, both installed.
fn installed(policy: &str) -> FakeRoot {
    let root = FakeRoot::new();
    if !policy.is_empty() {
        root.write("/etc/dkms/framework.conf", format!("rebuild=\"{policy}\"\n"));
    }
    ToyKernel::new(K).symbol_versions().install(&root);
    headers(&root, &SYMBOLS, "1-1");
    calling("talks", &["printk"]).register(&root);
    calling("works", &["queue_work"]).register(&root);
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 2);
    root.take_calls();
    root
}

#[track_caller]
fn in_line(root: &FakeRoot) {
    let before = root.snapshot();
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
    root.hook(&[]).expect(0);
    root.deb("trigger", "", "triggered").expect(0);
    root.assert_untouched(&before);
    assert!(root.take_make_calls().is_empty() && root.take_depmods().is_empty());
}

/// Runs the hook; which module versions make was called for, sorted.
#[track_caller]
fn builds(root: &FakeRoot) -> Vec<String> {
    root.hook(&[]).expect(0);
    let mut calls = root.take_make_calls();
    root.take_calls();
    calls.sort();
    let name = |call: &String| call.split('/').nth(4).unwrap_or_default().to_owned();
    calls.iter().map(name).collect()
}

#[test]
fn a_kernel_without_symbol_versions_is_told_once() {
    let root = FakeRoot::new();
    root.write("/etc/dkms/framework.conf", "rebuild=\"abi\"\n");
    ToyKernel::new(K).install(&root);
    // As Debian's 7.2 lists them.
    let symbols = SYMBOLS.map(|(name, _)| (name, 0));
    headers(&root, &symbols, "1-1");
    calling("talks", &["printk"]).register(&root);
    calling("works", &["queue_work"]).register(&root);
    root.hook(&[]).expect(0).does_not_say("symbol versions");
    root.take_make_calls();
    headers(&root, &symbols, "1-2");
    let dry = root.hook(&["--dry-run"]).expect(0);
    assert_eq!(
        dry.out.matches(&format!("{K} has no symbol versions (CONFIG_MODVERSIONS)")).count(),
        1,
        "{}",
        dry.out
    );
    assert_eq!(builds(&root), ["talks", "works"]);
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
}

#[test]
fn by_default_changed_headers_mean_a_build_and_why_says_that_it_could_be_kept() {
    let root = installed("");
    headers(&root, &SYMBOLS, "1-2");
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    let reason = "the kernel headers changed from #1 SMP 1-1 to #1 SMP 1-2";
    assert!(dry.starts_with(&format!("would build talks/1 for {K}: {reason}\n")), "{dry}");
    root.hook(&["why", "talks"]).expect(0).says("all 2 imported symbols are the same: with rebuild=");
    assert_eq!(builds(&root), ["talks", "works"]);
    in_line(&root);
}

#[test]
fn the_reason_names_the_symbols_that_changed() {
    let root = installed("");
    headers(&root, &[SYMBOLS[0], ("printk", 0x0bad_cafe), SYMBOLS[2]], "1-2");
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    let changed = "the kernel headers changed from #1 SMP 1-1 to #1 SMP 1-2";
    let symbols = "imported symbols changed: printk (0x12345678 -> 0x0badcafe)";
    assert!(dry.contains(&format!("would build talks/1 for {K}: {changed}, and {symbols}\n")), "{dry}");
    assert!(dry.contains(&format!("would build works/1 for {K}: {changed}\n")), "{dry}");
    assert_eq!(builds(&root), ["talks", "works"]);
}

#[test]
fn with_the_policy_abi_only_those_that_import_a_changed_symbol_are_built() {
    let root = installed("abi");
    let modules = root.snapshot_of("/usr/lib/modules");
    headers(&root, &SYMBOLS, "1-2");
    let before = root.snapshot();
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    let reason = "the kernel headers changed from #1 SMP 1-1 to #1 SMP 1-2, but all 2 imported symbols are the \
                  same";
    assert_eq!(dry, format!("would keep talks/1 for {K}: {reason}\nwould keep works/1 for {K}: {reason}\n"));
    root.assert_untouched(&before);
    root.hook(&[]).expect(0).says(&format!("Keeping talks/1 for kernel {K} (x86_64): {reason}"));
    assert!(root.take_make_calls().is_empty() && root.take_depmods().is_empty());
    assert!(modules == root.snapshot_of("/usr/lib/modules"), "module files were touched");
    in_line(&root);
    root.hook(&["why", "talks"]).expect(0).says(&format!("nothing to do: {reason}"));

    // From these headers on, one symbol is another.
    headers(&root, &[SYMBOLS[0], SYMBOLS[1], ("queue_work", 0x34), ("new", 1)], "1-3");
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert!(
        dry.contains(&format!(
            "would build works/1 for {K}: the kernel headers changed from #1 SMP 1-1 to #1 SMP 1-3, and \
             imported symbols changed: queue_work (0x00000033 -> 0x00000034)\n"
        )),
        "{dry}"
    );
    assert!(
        dry.contains(&format!("would keep talks/1 for {K}: the kernel headers changed from #1 SMP 1-2")),
        "{dry}"
    );
    assert_eq!(builds(&root), ["works"]);
    in_line(&root);

    // A symbol that is gone.
    headers(&root, &[SYMBOLS[0], ("queue_work", 0x34)], "1-4");
    root.hook(&["--dry-run"]).expect(0).says("imported symbols changed: printk (no longer exported)");
}

#[test]
fn back_to_the_default_what_was_kept_is_built_and_one_run_can_have_its_own_policy() {
    let root = installed("abi");
    headers(&root, &SYMBOLS, "1-2");
    root.hook(&["--rebuild", "inputs", "--dry-run"]).expect(0).says("would build talks/1");
    assert_eq!(builds(&root), [""; 0]);
    fs::remove_file(root.path("/etc/dkms/framework.conf")).unwrap();
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert!(
        dry.contains(
            "would build talks/1 for 6.12.1-toy: the kernel headers changed from #1 SMP 1-1 to #1 SMP 1-2\n"
        ),
        "{dry}"
    );
    assert_eq!(root.hook(&["--rebuild", "abi", "--dry-run"]).expect(0).out, "nothing to do\n");
    root.hook(&["--rebuild", "never"]).expect(2).says("`inputs` or `abi`");
    assert_eq!(builds(&root), ["talks", "works"]);
    in_line(&root);
}

#[test]
fn what_changes_beside_the_headers_counts_as_ever() {
    let root = installed("abi");
    headers(&root, &SYMBOLS, "1-2");
    root.write("/usr/src/talks-1/notes", "new");
    root.hook(&["--dry-run"]).expect(0).says(&format!("would build talks/1 for {K}: its source changed"));
    assert_eq!(builds(&root), ["talks"]);
    in_line(&root);
    // Kept or not, the source counts; so do damaged files.
    root.write("/usr/src/works-1/notes", "new");
    assert_eq!(builds(&root), ["works"]);
    headers(&root, &SYMBOLS, "1-3");
    fs::remove_file(root.path(format!("/lib/modules/{K}/updates/dkms/talks.ko"))).unwrap();
    assert_eq!(builds(&root), [""; 0]);
    assert!(root.exists(format!("/lib/modules/{K}/updates/dkms/talks.ko")));
    in_line(&root);
}

#[test]
fn a_kernel_that_would_refuse_the_vermagic_gets_a_build() {
    let root = installed("abi");
    let config = format!("/usr/src/linux-headers-{K}/include/config/auto.conf");
    let text = root.read(&config);
    root.write(&config, format!("{text}CONFIG_UNRELATED=y\n"));
    assert_eq!(builds(&root), [""; 0]);
    root.write(&config, format!("{text}CONFIG_PREEMPT=y\n"));
    root.hook(&["--dry-run"]).expect(0).says("and its vermagic lacks `preempt`, which the kernel requires");
    assert_eq!(builds(&root), ["talks", "works"]);
    in_line(&root);
}

#[test]
fn without_symbol_versions_nothing_can_be_compared() {
    let root = FakeRoot::new();
    root.write("/etc/dkms/framework.conf", "rebuild=abi\n");
    ToyKernel::new(K).install(&root);
    headers(&root, &SYMBOLS, "1-1");
    calling("talks", &["printk"]).register(&root);
    assert_eq!(builds(&root), ["talks"]);
    headers(&root, &SYMBOLS, "1-2");
    assert_eq!(builds(&root), ["talks"]);
    in_line(&root);
}

#[test]
fn symbols_of_other_modules_count_and_a_kept_dependency_is_no_new_build() {
    let root = FakeRoot::new();
    root.write("/etc/dkms/framework.conf", "rebuild=abi\n");
    ToyKernel::new(K).symbol_versions().install(&root);
    headers(&root, &SYMBOLS, "1-1");
    calling("base", &["printk"]).register(&root);
    let make = "make -C $kernel_source_dir M=$dkms_tree/user/1/build \
                KBUILD_EXTRA_SYMBOLS=$dkms_tree/base/kernel-$kernelver-$arch/module/Module.symvers";
    calling("user", &["base_answer"]).depends("base").make(make).register(&root);
    assert_eq!(builds(&root), ["base", "user"]);
    in_line(&root);

    headers(&root, &SYMBOLS, "1-2");
    assert_eq!(builds(&root), [""; 0]);
    in_line(&root);

    // It is built again for a symbol that only the other imports: nobody knows yet what that will export.
    headers(&root, &[SYMBOLS[0], ("printk", 7), SYMBOLS[2]], "1-3");
    root.hook(&["--dry-run"]).expect(0).says("would build user/1 for 6.12.1-toy: base, which it depends on");
    assert_eq!(builds(&root), ["base", "user"]);
    in_line(&root);

    // Its symbols are looked for where it is installed from.
    let exported = root.path(format!("/var/lib/dkms/base/1/{K}/x86_64/module/Module.symvers"));
    fs::write(exported, "").unwrap();
    headers(&root, &[SYMBOLS[0], ("printk", 7), SYMBOLS[2]], "1-4");
    root.hook(&["--dry-run"]).expect(0).says("base_answer (no longer exported)");
}

#[test]
fn a_person_finds_what_fits_installed_and_can_have_it_built() {
    let root = installed("abi");
    headers(&root, &SYMBOLS, "1-2");
    root.dkms(&["install", "talks/1", "-k", K]).expect(0).says("Keeping talks/1");
    root.dkms(&["install", "talks/1", "-k", K]).expect(0).says("already installed");
    assert!(root.take_make_calls().is_empty());
    root.hook(&["why", "talks"]).expect(0).says("but all 2 imported symbols");
    root.dkms(&["build", "talks/1", "-k", K, "--force"]).expect(0);
    root.dkms(&["install", "talks/1", "-k", K]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    let text = root.hook(&["why", "talks"]).expect(0).out;
    assert!(text.contains("no input changed since it was built"), "{text}");
}

/// Takes our own files away: what DKMS would have left.
fn forget(root: &FakeRoot) {
    for name in ["talks", "works"] {
        fs::remove_file(root.path(format!("/var/lib/dkms/{name}/1/{K}/x86_64/.dkms-hook.json"))).unwrap();
    }
    fs::remove_dir_all(root.path("/var/lib/dkms/.dkms-hook")).unwrap();
}

#[test]
fn a_build_of_dkms_is_taken_over_when_it_imports_what_the_kernel_exports() {
    let root = installed("");
    forget(&root);
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    let taken = "built by DKMS and still valid (checked: vermagic, source age, 2 imported symbols)";
    assert!(dry.contains(&format!("would take over talks/1 for {K}: {taken}\n")), "{dry}");
    root.hook(&["why", "works"]).expect(0).says("2 imported symbols");
    assert_eq!(builds(&root), [""; 0]);
    in_line(&root);

    // The kernel was released again under its name, and DKMS kept the old module.
    forget(&root);
    headers(&root, &[SYMBOLS[0], SYMBOLS[1], ("queue_work", 0x34)], "1-2");
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert!(dry.contains(&format!("would take over talks/1 for {K}: ")), "{dry}");
    let reason = "the existing build cannot be used: imported symbols changed: queue_work (0x00000033 -> \
                  0x00000034)";
    assert!(dry.contains(&format!("would build works/1 for {K}: {reason}\n")), "{dry}");
    root.hook(&["why", "works"]).expect(0).says(reason);
    assert_eq!(builds(&root), ["works"]);
    in_line(&root);
}

#[test]
fn a_build_of_dkms_that_is_older_than_its_source_is_not_taken_over() {
    let root = installed("");
    forget(&root);
    // A package that was unpacked after the build, with files from before it.
    let file = root.write("/usr/src/talks-1/talks.h", "/* new */");
    let past = SystemTime::now() - Duration::from_secs(1_000_000);
    fs::File::options().append(true).open(file).unwrap().set_modified(past).unwrap();
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    let reason = "the existing build cannot be used: its source changed after the build (talks.h)";
    assert!(dry.contains(&format!("would build talks/1 for {K}: {reason}\n")), "{dry}");
    assert_eq!(builds(&root), ["talks"]);
    in_line(&root);
}

#[test]
fn of_a_copied_tree_the_times_of_the_content_count() {
    let root = installed("");
    forget(&root);
    // As `cp -a` leaves them: every inode is new, the source's newer than the build's.
    let past = SystemTime::now() - Duration::from_secs(1_000_000);
    let age = |path: String, seconds: u64| {
        let file = fs::File::options().append(true).open(root.path(path)).unwrap();
        file.set_modified(past + Duration::from_secs(seconds)).unwrap();
    };
    for name in ["talks", "works"] {
        age(format!("/var/lib/dkms/{name}/1/{K}/x86_64/module/{name}.ko"), 10);
        for file in ["dkms.conf", "Makefile", &format!("{name}.c")] {
            age(format!("/usr/src/{name}-1/{file}"), 0);
        }
    }
    age("/usr/src/works-1/works.c".into(), 20);
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    assert!(dry.contains(&format!("would take over talks/1 for {K}: ")), "{dry}");
    assert!(dry.contains("its source changed after the build (works.c)"), "{dry}");
}
