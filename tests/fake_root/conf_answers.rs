//! A dkms.conf that asks the machine: whoever types a command gets an answer of now, and so does a hook where the
//! last answer kept a module from being there, or where a package came since. DKMS 3.4.3 evaluates a dkms.conf
//! in every command.

use std::fs;

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";

/// A root in which the conf of `p/1` has these lines; `SDK` in them stands for a file outside of all inputs.
fn root(lines: &[&str]) -> FakeRoot {
    let root = FakeRoot::new().without_cache();
    ToyKernel::new(K).install(&root);
    root.write("/var/lib/dpkg/status", "Package: a\n");
    module(&root, "p", lines).register(&root);
    root
}

fn module(root: &FakeRoot, name: &str, lines: &[&str]) -> ToyModule {
    let sdk = root.path("/opt/sdk").display().to_string();
    let module = ToyModule::new(name, "1");
    lines.iter().fold(module, |module, line| module.line(&line.replace("SDK", &sdk)))
}

const EXCLUDED: &str = "test -e SDK || BUILD_EXCLUSIVE_KERNEL=never";

fn sdk(root: &FakeRoot) {
    root.write("/opt/sdk", "");
}

fn built(root: &FakeRoot) -> usize {
    root.take_make_calls().len()
}

/// Nothing is to do for a hook, and saying so writes nothing.
#[track_caller]
fn quiet(root: &FakeRoot) {
    let before = root.snapshot();
    root.deb("trigger", "", "triggered").expect(0);
    root.assert_untouched(&before);
    assert_eq!(built(root), 0);
}

#[test]
fn an_exclusion_that_ended_is_noticed_by_every_command_and_hook() {
    let calls: [&dyn Fn(&FakeRoot); 8] = [
        &|root| drop(root.dkms(&["build", "p/1", "-k", K]).expect(0)),
        &|root| drop(root.dkms(&["build", "p/1", "-k", K, "--force"]).expect(0)),
        &|root| drop(root.dkms(&["install", "p/1", "-k", K]).expect(0)),
        &|root| drop(root.dkms(&["install", "p/1", "-k", K, "--force"]).expect(0)),
        &|root| drop(root.dkms(&["autoinstall", "-k", K]).expect(0).says("succeeded for module(s) p.")),
        &|root| drop(root.hook(&["--kernel", K]).expect(0)),
        &|root| drop(root.deb("header-postinst", K, "configure").expect(0)),
        &|root| drop(root.hook(&["module-postinst", "p", "1"]).expect(0)),
    ];
    for (number, call) in calls.iter().enumerate() {
        let root = root(&[EXCLUDED]);
        root.dkms(&["build", "p/1", "-k", K]).expect(77).says("never");
        root.dkms(&["autoinstall", "-k", K]).expect(0).says("skipped for module(s) p.");
        quiet(&root);
        root.hook(&["--dry-run"]).expect(0).does_not_say("would build");
        sdk(&root);
        root.hook(&["--dry-run"]).expect(0).says(&format!("would build p/1 for {K}: "));
        call(&root);
        assert_eq!(built(&root), 1, "call {number}");
        fs::remove_file(root.path("/opt/sdk")).unwrap();
        root.dkms(&["build", "p/1", "-k", K, "--force"]).expect(77);
    }
}

#[test]
fn a_source_that_is_named_by_its_directory_is_asked_again() {
    let root = root(&[EXCLUDED]);
    root.dkms(&["build", "p/1", "-k", K]).expect(77);
    sdk(&root);
    let dir = root.path("/usr/src/p-1");
    root.dkms(&["install", dir.to_str().unwrap(), "-k", K]).expect(0);
    assert_eq!(built(&root), 1);
}

#[test]
fn a_make_command_that_comes_from_elsewhere_is_an_input() {
    let root =
        root(&["if test -e SDK; then MAKE=\"make -C $kernel_source_dir M=$dkms_tree/p/1/build V=1\"; fi"]);
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), 1);
    quiet(&root);
    sdk(&root);
    // A hook is none the wiser while all is well.
    quiet(&root);
    let changed = "its dkms.conf or an override of it changed: MAKE[0] is new: `make";
    root.hook(&["--dry-run"]).expect(0).says(changed);
    root.hook(&["why", "p"]).expect(0).says(changed);
    root.dkms(&["build", "p/1", "-k", K]).expect(0).says(changed);
    assert_eq!(built(&root), 1);
    quiet(&root);
    fs::remove_file(root.path("/opt/sdk")).unwrap();
    root.dkms(&["install", "p/1", "-k", K]).expect(0).says("MAKE[0] is gone");
    assert_eq!(built(&root), 1);
    sdk(&root);
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), 1);
    // Nothing has changed since: nothing is built again, whoever asks.
    root.hook(&[]).expect(0).says("nothing to do");
    root.dkms(&["install", "p/1", "-k", K]).expect(0).says("already installed");
    assert_eq!(built(&root), 0);
}

#[test]
fn whenever_a_package_came_hooks_ask_too() {
    let root = root(&["test -e SDK && STRIP[0]=no"]);
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), 1);
    let mut packages = "Package: a\n".to_owned();
    for (came, builds) in [("b", 0), ("c", 1), ("d", 0)] {
        packages += &format!("Package: {came}\n");
        root.write("/var/lib/dpkg/status", &packages);
        if came == "c" {
            sdk(&root);
        }
        root.deb("trigger", "", "triggered").expect(0);
        assert_eq!(built(&root), builds, "{came}");
        quiet(&root);
    }
}

#[test]
fn packages_are_nothing_to_a_conf_that_asks_nobody() {
    let root = root(&[]);
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), 1);
    root.write("/var/lib/dpkg/status", "Package: a\nPackage: b\n");
    quiet(&root);
}

#[test]
fn a_second_module_in_the_list_is_built_and_installed() {
    let root = root(&[
        "if test -e SDK; then BUILT_MODULE_NAME[1]=q; DEST_MODULE_LOCATION[1]=/updates/dkms; fi",
        "MAKE=\"make -C $kernel_source_dir M=$dkms_tree/p/1/build && cp p.ko q.ko\"",
    ]);
    root.dkms(&["install", "p/1", "-k", K]).expect(0);
    sdk(&root);
    root.dkms(&["install", "p/1", "-k", K]).expect(0);
    assert_eq!(root.names(format!("/lib/modules/{K}/updates/dkms")), ["p.ko", "q.ko"]);
}

#[test]
fn what_a_module_depends_on_is_asked_again() {
    let root = root(&["test -e SDK && BUILD_DEPENDS=z"]);
    root.dkms(&["autoinstall", "-k", K]).expect(0);
    assert_eq!(built(&root), 1);
    sdk(&root);
    ToyModule::new("z", "1").register(&root);
    let plan = root.hook(&["--dry-run"]).expect(0).out;
    let at = |module: &str| plan.find(&format!("would build {module} for")).expect(&plan);
    assert!(at("z/1") < at("p/1"), "{plan}");
    let order = root.dkms(&["autoinstall", "-k", K]).expect(0).out;
    let at = |module: &str| order.find(&format!("Building {module} for")).expect(&order);
    assert!(at("z/1") < at("p/1"), "{order}");
    assert_eq!(built(&root), 2);
}

#[test]
fn a_failed_build_is_tried_again_by_a_hook_when_the_answer_changed() {
    let root = root(&["MAKE=false", "test -e SDK && unset MAKE"]);
    root.hook(&[]).expect(11);
    root.deb("trigger", "", "triggered").expect(0);
    assert_eq!(built(&root), 0);
    quiet(&root);
    sdk(&root);
    root.deb("trigger", "", "triggered").expect(0);
    assert_eq!(built(&root), 1);
    quiet(&root);
}

#[test]
fn a_module_that_became_automatic_is_installed_by_a_hook() {
    let root = root(&["test -e SDK || AUTOINSTALL=no"]);
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), 0);
    quiet(&root);
    sdk(&root);
    root.deb("trigger", "", "triggered").expect(0);
    assert_eq!(built(&root), 1);
    quiet(&root);
}

#[test]
fn an_override_that_asks_is_asked_again() {
    let root = root(&[]);
    let lines = format!("test -e {} && STRIP[0]=no\n", root.path("/opt/sdk").display());
    root.write("/etc/dkms/p.conf", lines);
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), 1);
    sdk(&root);
    root.hook(&[]).expect(0);
    assert_eq!(built(&root), 1);
}

#[test]
fn a_value_that_differs_each_time_is_no_input() {
    for date in ["date +%N", "date +%s"] {
        let root = root(&[
            &format!("MAKE=\"make -C $kernel_source_dir M=$dkms_tree/p/1/build && : $({date})\""),
            "test -e SDK && STRIP[0]=no",
        ]);
        root.dkms(&["autoinstall", "-k", K]).expect(0);
        assert_eq!(built(&root), 1);
        std::thread::sleep(std::time::Duration::from_millis(1100));
        root.hook(&[]).expect(0).says("nothing to do");
        root.dkms(&["install", "p/1", "-k", K]).expect(0).says("already installed");
        assert_eq!(built(&root), 0, "{date}");
        quiet(&root);
        // What else it says is one.
        sdk(&root);
        root.hook(&[]).expect(0).says("STRIP[0] is new");
        assert_eq!(built(&root), 1);
        quiet(&root);
    }
}

#[test]
fn a_failed_build_with_a_value_that_differs_each_time_is_not_tried_again() {
    let root = root(&["MAKE=\"false $(date +%N)\""]);
    root.dkms(&["autoinstall", "-k", K]).expect(11);
    let log = format!("/var/lib/dkms/.dkms-hook/verdicts/p/1/{K}-x86_64.log");
    let before = root.read(&log);
    root.deb("trigger", "", "triggered").expect(0);
    assert_eq!(root.read(&log), before);
}

#[test]
fn a_build_out_of_the_cache_asks_its_conf_no_more_than_a_plan_and_its_key_need() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    let asked = root.path("/opt/asked");
    fs::create_dir_all(root.path("/opt")).unwrap();
    module(&root, "p", &[&format!("echo >> '{}'", asked.display())]).register(&root);
    let times = |command: &dyn Fn()| {
        let _ = fs::remove_file(&asked);
        command();
        fs::read_to_string(&asked).unwrap_or_default().lines().count()
    };
    let build = || drop(root.dkms(&["build", "p/1", "-k", K]).expect(0));
    let made = times(&build);
    assert_eq!(built(&root), 1);
    root.dkms(&["unbuild", "p/1", "-k", K]).expect(0);
    let copied = times(&build);
    assert_eq!(built(&root), 0);
    // To find values that change by the clock takes more than a second, and is for builds that are made.
    assert!(copied + 3 <= made, "{copied} times, and {made} times for one that is made");
}

#[test]
fn a_command_asks_the_module_that_it_names() {
    let root = FakeRoot::new().without_cache();
    ToyKernel::new(K).install(&root);
    let asked = |name: &str| root.path(format!("/opt/asked-{name}"));
    fs::create_dir_all(root.path("/opt")).unwrap();
    for name in ["p", "q"] {
        module(&root, name, &[&format!("echo >> '{}'", asked(name).display())]).register(&root);
    }
    root.hook(&["--kernel", K]).expect(0);
    // What is asked is forgotten, and a conf that is not read leaves no file.
    let after = |words: &[&str]| {
        ["p", "q"].iter().for_each(|name| drop(fs::remove_file(asked(name))));
        root.dkms(words).expect(0);
        ["p", "q"].map(|name| asked(name).exists())
    };
    assert_eq!(after(&["build", "p/1", "-k", K, "--force"]), [true, false]);
    assert_eq!(after(&["install", "p/1", "-k", K, "--force"]), [true, false]);
    assert!(!after(&["uninstall", "p/1", "-k", K])[1]);
    assert_eq!(after(&["autoinstall", "-k", K]), [true, true]);
    assert!(!after(&["remove", "p/1", "-k", K])[1]);
}
