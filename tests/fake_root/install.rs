//! From a build to `/lib/modules/K`: where files go, what is in their way, and what follows.

use std::fs;

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    root
}

/// Replaces a stand-in by one that notes its calls and then does this.
fn stand_in(root: &FakeRoot, name: &str, text: &str) {
    let noted = root.path("/var/log/toy-calls");
    let head = format!("#!/bin/sh\necho \"${{0##*/}} $*\" >> {}\n", noted.display());
    root.write_script(format!("/var/log/stand-ins/{name}"), &(head + text));
}

/// Makes the build of `hello/VERSION` with this source the kernel's own module, and returns its bytes.
fn own_module(root: &FakeRoot, version: &str, source: Option<&str>) -> Vec<u8> {
    let other = FakeRoot::new();
    ToyKernel::new(K).install(&other);
    let mut module = ToyModule::new("hello", version);
    if let Some(text) = source {
        module = module.file("hello.c", text);
    }
    module.register(&other);
    other.dkms(&["install", &format!("hello/{version}"), "-k", K]).expect(0);
    let bytes = fs::read(other.path(format!("/lib/modules/{K}/updates/dkms/hello.ko"))).unwrap();
    root.write(format!("/usr/lib/modules/{K}/kernel/drivers/hello.ko"), &bytes);
    bytes
}

#[test]
fn every_distribution_has_its_place() {
    let table = [
        ("ID=fedora", "extra"),
        ("ID=\"rhel\"\nID_LIKE=\"fedora\"", "extra"),
        ("ID=\"almalinux\"\nID_LIKE=\"rhel centos fedora\"", "extra"),
        ("ID=\"sles\"\nID_LIKE=\"suse\"", "updates"),
        ("ID=opensuse-tumbleweed\nID_LIKE=\"opensuse suse\"", "updates"),
        ("ID=debian", "updates/dkms"),
        ("ID=ubuntu\nID_LIKE=debian", "updates/dkms"),
        ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"", "updates/dkms"),
        ("ID=arch", "updates/dkms"),
        ("ID=manjaro\nID_LIKE=arch", "updates/dkms"),
        ("ID=gentoo", "kernel/net"),
        ("ID=alpine", "kernel/net"),
        ("ID=void", "kernel/net"),
    ];
    let root = root();
    ToyModule::new("hello", "1.0").line("DEST_MODULE_LOCATION[0]=/kernel/net").register(&root);
    root.dkms(&["build", "hello/1.0", "-k", K]).expect(0);
    for (release, place) in table {
        root.write("/etc/os-release", format!("{release}\n"));
        root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
        let dir = format!("/lib/modules/{K}/{place}");
        assert_eq!(root.names(&dir), ["hello.ko"], "{release}");
        assert_eq!(root.dkms(&["status"]).expect(0).out, format!("hello/1.0, {K}, x86_64: installed\n"));
        root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
        assert!(!root.exists(&dir), "{release}");
    }
    fs::remove_file(root.path("/etc/os-release")).unwrap();
    root.write("/usr/lib/os-release", "ID=fedora\n");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/extra")), ["hello.ko"]);
}

#[test]
fn a_directory_of_a_package_stays_when_it_is_empty() {
    let root = root();
    root.write("/etc/os-release", "ID=fedora\n");
    ToyModule::new("hello", "1.0").register(&root);
    root.dkms(&["status"]);
    stand_in(&root, "rpm", "exit 0\n");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    assert!(root.exists(format!("/lib/modules/{K}/extra")));
    let asked: Vec<String> = root.take_calls().into_iter().filter(|c| c.starts_with("rpm ")).collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].ends_with(&format!("-qf /lib/modules/{K}/extra")), "{asked:?}");
    stand_in(&root, "rpm", "exit 1\n");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    assert!(!root.exists(format!("/lib/modules/{K}/extra")), "nobody's");
}

#[test]
fn the_modules_version_decides_whether_the_kernels_own_is_replaced() {
    const OTHER: &str =
        "#include <linux/module.h>\nint other(void) { return 1; }\nMODULE_VERSION(\"2.0\");\n";
    // Version and source of the kernel's own module; what `install` of 2.0 comes to.
    let table = [("3.0", None, 6), ("2.0", None, 6), ("2.0", Some(OTHER), 0), ("1.0", None, 0)];
    for (version, source, code) in table {
        let root = root();
        let own = own_module(&root, version, source);
        ToyModule::new("hello", "2.0").register(&root);
        let (kept, ours) =
            (format!("/lib/modules/{K}/kernel/drivers/hello.ko"), format!("/lib/modules/{K}/updates"));
        let condition =
            format!("would install hello/2.0 for {K}, if it is newer than {kept} (version {version}): ");
        root.hook(&["--dry-run"]).expect(0).says(&condition);
        root.dkms(&["build", "hello/2.0", "-k", K]).expect(0);
        // Now that it is built, the plan knows.
        let before = root.snapshot();
        let plan = root.hook(&["--dry-run"]).expect(0).does_not_say("newer than /lib");
        match code {
            0 => plan.says("would install"),
            _ => plan.says("hello/2.0 was not installed").says(&kept).says("nothing to do"),
        };
        root.assert_untouched(&before);
        root.dkms(&["install", "hello/2.0", "-k", K]).expect(code);
        assert_eq!(root.exists(&ours), code == 0, "{version}");
        if code != 0 {
            root.take_make_calls();
            root.dkms(&["autoinstall", "-k", K]).expect(11).says("failed for module(s) hello(6).");
            root.dkms(&["install", "hello/2.0", "-k", K, "--force-version-override"]).expect(0);
            assert_eq!(root.take_make_calls().len(), 0);
        }
        assert!(root.exists(&ours));
        root.dkms(&["uninstall", "hello/2.0", "-k", K]).expect(0);
        assert_eq!(fs::read(root.path(&kept)).unwrap(), own, "{version}");
    }
}

#[test]
fn another_version_of_the_same_package_is_replaced_as_asked() {
    let root = root();
    ToyModule::new("hello", "1.0").register(&root);
    ToyModule::new("hello", "2.0").register(&root);
    root.dkms(&["install", "hello/2.0", "-k", K]).expect(0);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    let status = format!("hello/1.0, {K}, x86_64: installed\nhello/2.0, {K}, x86_64: built\n");
    assert_eq!(root.dkms(&["status"]).expect(0).out, status);
    assert!(!root.exists("/var/lib/dkms/hello/original_module"), "our own module is no original");
}

#[test]
fn a_package_may_be_on_a_list_of_those_to_be_forced() {
    let root = root();
    own_module(&root, "3.0", None);
    ToyModule::new("hello", "1.0").register(&root);
    root.hook(&[]).expect(11).says("3.0");
    root.hook(&[]).expect(11).says("3.0");
    let list = "/usr/share/dkms/modules_to_force_install/vendor";
    root.write(list, "other hello_version-override\n");
    root.hook(&[]).expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["hello.ko"]);
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);

    // The name alone is all of --force.
    ToyModule::new("hello", "1.0")
        .line("PRE_INSTALL=no.sh")
        .executable("no.sh", "#!/bin/sh\nexit 1\n")
        .register(&root);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(101);
    root.write(list, "hello\n");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
}

#[test]
fn an_old_original_without_a_note_of_its_place_goes_where_the_conf_says() {
    let root = root();
    let module = ToyModule::new("hello", "1.0").line("DEST_MODULE_LOCATION[0]=/kernel/drivers/net");
    module.register(&root);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    let kept = format!("/var/lib/dkms/hello/original_module/{K}/x86_64");
    root.write(format!("{kept}/hello.ko.xz"), "old");
    root.write(format!("{kept}/stranger.ko"), "whose?");
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.read(format!("/lib/modules/{K}/kernel/drivers/net/hello.ko.xz")), "old");
    assert_eq!(root.names(&kept), ["stranger.ko"], "its place is not known, so it stays");
    assert!(!root.exists(format!("/lib/modules/{K}/kernel/drivers/net/hello.ko")));
}

#[test]
fn links_instead_of_copies() {
    let root = root();
    ToyModule::new("hello", "1.0").register(&root);
    let placed = format!("/lib/modules/{K}/updates/dkms/hello.ko");
    let built = format!("/var/lib/dkms/hello/1.0/{K}/x86_64/module/hello.ko");
    let is_link = || fs::read_link(root.path(&placed)).is_ok_and(|target| target.to_str() == Some(&built));
    root.dkms(&["install", "hello/1.0", "-k", K, "--symlink-modules"]).expect(0);
    assert!(is_link());
    assert_eq!(root.dkms(&["status"]).expect(0).out, format!("hello/1.0, {K}, x86_64: installed\n"));
    root.hook(&[]).expect(0).says("nothing to do");
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    assert!(!root.exists(&placed) && root.exists(&built));
    root.write("/etc/dkms/framework.conf", "symlink_modules=yes\n");
    root.hook(&[]).expect(0);
    assert!(is_link());
}

#[test]
fn scripts_around_an_install_stop_what_they_may_stop() {
    let root = root();
    let module = |name: &str, script: &str, text: &str| {
        ToyModule::new(name, "1")
            .line(&format!("{script}=\"step.sh 'a b' $kernelver\""))
            .executable("step.sh", text)
    };
    let fails = "#!/bin/sh\necho \"said $# $1 $2\"\nexit 44\n";
    module("before", "PRE_INSTALL", fails).write_source(&root);
    root.dkms(&["install", "before/1", "-k", K]).expect(101).says("said 3 'a b'");
    assert_eq!(root.dkms(&["status", "before"]).expect(0).out, format!("before/1, {K}, x86_64: built\n"));
    root.dkms(&["install", "before/1", "-k", K, "--force"]).expect(0);
    module("after", "POST_INSTALL", fails).write_source(&root);
    root.dkms(&["install", "after/1", "-k", K])
        .expect(0)
        .says("POST_INSTALL of after/1 ended with status 44");
    module("gone", "POST_REMOVE", fails).write_source(&root);
    root.dkms(&["install", "gone/1", "-k", K]).expect(0);
    root.dkms(&["remove", "gone/1", "--all"]).expect(0).says("POST_REMOVE of gone/1 ended with status 44");
    assert!(!root.exists("/var/lib/dkms/gone"));
    module("added", "POST_ADD", fails).write_source(&root);
    root.dkms(&["add", "added/1"]).expect(44).says("added/1 is added");
    assert_eq!(root.dkms(&["status", "added"]).expect(0).out, "added/1: added\n");
    let missing = ToyModule::new("missing", "1").line("POST_INSTALL=nowhere.sh");
    missing.write_source(&root);
    root.dkms(&["install", "missing/1", "-k", K]).expect(0).says("nowhere.sh is not executable");
}

#[test]
fn a_script_after_the_install_finds_the_index_and_may_add_to_it() {
    let root = root();
    let (modules, seen) = (root.path(format!("/usr/lib/modules/{K}")), root.path("/var/log/seen"));
    let text = format!(
        "#!/bin/sh\ncp {0}/modules.dep {1}\necho x > {0}/updates/dkms/added.ko\n",
        modules.display(),
        seen.display()
    );
    let module = ToyModule::new("hello", "1.0").line("POST_INSTALL=after.sh").executable("after.sh", &text);
    module.register(&root);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert!(root.read("/var/log/seen").contains("updates/dkms/hello.ko:\n"));
    assert!(root.read(format!("/lib/modules/{K}/modules.dep")).contains("updates/dkms/added.ko:\n"));
    assert_eq!(root.take_depmods(), [K, K]);
    root.dkms(&["install", "hello/1.0", "-k", K, "--force", "--no-depmod"]).expect(0);
    assert_eq!(root.take_depmods(), [""; 0]);
}

#[test]
fn what_the_file_system_refuses_is_a_failed_installation() {
    // DKMS 3.4.3 ends with 6 where a module cannot be copied, and autoinstall says hello(6).
    let dir = format!("/usr/lib/modules/{K}/updates");
    let deep = format!("{dir}/dkms");
    type Break<'a> = &'a dyn Fn(&FakeRoot);
    let rows: [(&str, Break<'_>); 4] = [
        ("Not a directory", &|root| drop(root.write(&dir, "a file"))),
        ("symbolic links", &|root| std::os::unix::fs::symlink("updates", root.path(&dir)).unwrap()),
        ("directory", &|root| fs::create_dir_all(root.path(format!("{deep}/hello.ko/x"))).unwrap()),
        ("exists", &|root| {
            fs::create_dir_all(root.path(&dir)).unwrap();
            std::os::unix::fs::symlink("nowhere", root.path(&deep)).unwrap();
        }),
    ];
    for (cause, break_it) in rows {
        let root = root();
        ToyModule::new("hello", "1.0").register(&root);
        break_it(&root);
        root.dkms(&["install", "hello/1.0", "-k", K]).expect(6).says("cannot ").says(cause);
        assert_eq!(
            root.dkms(&["status"]).expect(0).out,
            format!("hello/1.0, {K}, x86_64: built\n"),
            "{cause}"
        );
        root.dkms(&["autoinstall", "-k", K]).expect(11).says("failed for module(s) hello(6).");
        root.deb("kernel-postinst", K, "configure").expect(0).says("cannot ");
    }
}
