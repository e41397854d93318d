//! pacman's hooks, one transaction after the other: how often make runs, and what is there afterwards.
//! Every call ends with status 0.

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-arch1-1";
const NEXT: &str = "6.12.2-arch1-1";

fn conf(module: &str) -> String {
    format!("usr/src/{module}/dkms.conf")
}

fn kernel(release: &str) -> Vec<String> {
    ["build/include/", "modules.order", "vmlinuz"]
        .iter()
        .map(|file| format!("usr/lib/modules/{release}/{file}"))
        .collect()
}

/// What pacman runs after a transaction that brings and takes these.
fn transaction(root: &FakeRoot, came: &[String], went: &[String]) {
    if !came.is_empty() {
        root.event("pacman install", came).expect(0);
    }
    if !went.is_empty() {
        root.event("pacman remove", went).expect(0);
    }
    root.event("pacman initramfs", came).expect(0);
}

fn delete_source(root: &FakeRoot, module: &str) {
    std::fs::remove_dir_all(root.path(format!("/usr/src/{module}"))).unwrap();
}

fn status(root: &FakeRoot) -> String {
    root.dkms(&["status"]).expect(0).out
}

#[track_caller]
fn in_line(root: &FakeRoot) {
    let before = root.snapshot();
    assert!(root.hook(&["--dry-run"]).expect(0).out.ends_with("nothing to do\n"));
    transaction(root, &kernel(K), &kernel(NEXT));
    root.assert_untouched(&before);
    assert!(root.take_make_calls().is_empty());
}

/// A kernel with one module, both as packages.
fn installed() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1.0").write_source(&root);
    transaction(&root, &[kernel(K), vec![conf("hello-1.0")]].concat(), &[]);
    assert_eq!(root.take_make_calls().len(), 1);
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: installed\n"));
    root
}

#[test]
fn a_module_package_comes_and_goes() {
    let root = installed();
    in_line(&root);
    delete_source(&root, "hello-1.0");
    transaction(&root, &[], &[conf("hello-1.0")]);
    assert_eq!(status(&root), "");
    assert!(!root.exists(format!("/lib/modules/{K}/updates")));
    assert_eq!(root.names("/var/lib/dkms"), [".dkms-hook"]);
}

#[test]
fn the_last_kernel_is_removed() {
    let root = installed();
    std::fs::remove_dir_all(root.path(format!("/usr/lib/modules/{K}"))).unwrap();
    transaction(&root, &[], &kernel(K));
    assert_eq!(status(&root), "hello/1.0: added\n");
    root.hook(&[]).expect(0);
}

#[test]
fn a_module_package_is_upgraded() {
    let root = installed();
    delete_source(&root, "hello-1.0");
    ToyModule::new("hello", "2.0").write_source(&root);
    transaction(&root, &[conf("hello-2.0")], &[conf("hello-1.0")]);
    assert_eq!(status(&root), format!("hello/2.0, {K}, x86_64: installed\n"));
    assert_eq!(root.take_make_calls().len(), 1);
    in_line(&root);
}

#[test]
fn a_kernel_is_upgraded() {
    let root = installed();
    ToyKernel::new(NEXT).install(&root);
    ToyKernel::new(K).remove_image(&root);
    ToyKernel::new(K).remove_headers(&root);
    transaction(&root, &kernel(NEXT), &kernel(K));
    assert_eq!(status(&root), format!("hello/1.0, {NEXT}, x86_64: installed\n"));
    assert_eq!(root.take_make_calls().len(), 1);
    assert!(!root.exists(format!("/lib/modules/{K}")));
}

#[test]
fn the_same_release_again_builds_when_its_headers_changed() {
    let root = installed();
    ToyKernel::new(K).install(&root);
    transaction(&root, &kernel(K), &[]);
    assert!(root.take_make_calls().is_empty(), "reinstalled: the same");
    ToyKernel::new(K).config("CONFIG_OTHER=y").install(&root);
    transaction(&root, &kernel(K), &[]);
    assert_eq!(root.take_make_calls().len(), 1, "another pkgrel");
    in_line(&root);
}

#[test]
fn the_same_version_of_a_module_with_other_content() {
    let root = installed();
    ToyModule::new("hello", "1.0").file("more.h", "#define MORE\n").write_source(&root);
    transaction(&root, &[conf("hello-1.0")], &[]);
    assert_eq!(root.take_make_calls().len(), 1);
    in_line(&root);
}

#[test]
fn headers_come_later_and_go_first() {
    let root = FakeRoot::new();
    root.write("/etc/os-release", "ID=arch\n");
    let toy = ToyKernel::new(K);
    let image = vec![format!("usr/lib/modules/{K}/vmlinuz")];
    let headers = vec![format!("usr/lib/modules/{K}/build/include/")];
    let first = [image.clone(), vec![conf("hello-1.0")]].concat();
    root.event("pacman incoming", &first).expect(0).says(K).says("linux-headers");
    toy.install_image(&root);
    ToyModule::new("hello", "1.0").write_source(&root);
    root.event("pacman install", &first).expect(0).says("Install linux-headers");
    root.event("pacman initramfs", &[]).expect(0);
    assert!(root.take_make_calls().is_empty());
    toy.install_headers(&root);
    transaction(&root, &headers, &[]);
    assert_eq!(root.take_make_calls().len(), 1);
    in_line(&root);
    toy.remove_headers(&root);
    transaction(&root, &[], &headers);
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: installed\n"), "its modules stay");
}

#[test]
fn incoming_kernels_without_headers_are_named_where_modules_want_them() {
    let root = FakeRoot::new();
    root.write("/etc/os-release", "ID=arch\n");
    let image = vec!["usr/lib/modules/6.13.1-zen1-1-zen/vmlinuz".to_owned()];
    let says = |targets: &[String]| {
        let answer = root.event("pacman incoming", targets).expect(0);
        answer.out + &answer.err
    };
    assert_eq!(says(&image), "", "there are no modules");
    let with_module = [image.clone(), vec![conf("hello-1.0")]].concat();
    assert!(says(&with_module).contains("linux-zen-headers"));
    ToyModule::new("hello", "1.0").register(&root);
    assert!(says(&image).contains("6.13.1-zen1-1-zen comes without its headers"));
    let both = [image.clone(), vec!["usr/lib/modules/6.13.1-zen1-1-zen/build/include/".to_owned()]].concat();
    assert_eq!(says(&both), "dkms-hook: Modules to build for kernel 6.13.1-zen1-1-zen: hello/1.0.\n");
    root.write("/etc/dkms/no-autoinstall", "");
    assert_eq!(says(&image), "");
}

#[test]
fn every_module_of_a_transaction_meets_every_kernel() {
    let root = FakeRoot::new();
    for release in [K, NEXT] {
        ToyKernel::new(release).install(&root);
    }
    ToyModule::new("hello", "1.0").write_source(&root);
    ToyModule::new("app", "1.0").depends("hello").write_source(&root);
    let came = [kernel(K), kernel(NEXT), vec![conf("app-1.0"), conf("hello-1.0")]].concat();
    transaction(&root, &came, &[]);
    assert_eq!(root.take_make_calls().len(), 4);
    assert_eq!(root.take_depmods(), [K, NEXT]);
    assert_eq!(status(&root).matches("installed").count(), 4);
}

#[test]
fn a_source_that_is_upgraded_and_does_not_build_is_registered_all_the_same() {
    let root = installed();
    delete_source(&root, "hello-1.0");
    ToyModule::new("hello", "2.0").failing().write_source(&root);
    root.event("pacman install", &[conf("hello-2.0")]).expect(0).says("could not be built");
    root.event("pacman remove", &[conf("hello-1.0")]).expect(0);
    root.event("pacman initramfs", &[]).expect(0).says("hello/2.0 for kernel").says("dkms install hello/2.0");
    assert_eq!(status(&root), "hello/2.0: added\n");
    assert!(
        !root.exists(format!("/lib/modules/{K}/updates")),
        "the old one belongs to a package that is gone"
    );
    // The next version has the fix.
    delete_source(&root, "hello-2.0");
    ToyModule::new("hello", "2.1").write_source(&root);
    transaction(&root, &[conf("hello-2.1")], &[conf("hello-2.0")]);
    assert_eq!(status(&root), format!("hello/2.1, {K}, x86_64: installed\n"));
}

#[test]
fn what_a_person_registered_is_not_a_packages() {
    let root = installed();
    ToyModule::new("mine", "1.0").register(&root);
    root.dkms(&["install", "mine/1.0", "-k", K]).expect(0);
    delete_source(&root, "mine-1.0");
    delete_source(&root, "hello-1.0");
    transaction(&root, &[], &[conf("hello-1.0")]);
    assert!(status(&root).contains("mine/1.0"), "{}", status(&root));
    assert!(!status(&root).contains("hello"));
    // Files that nobody packaged keep a directory alive; its conf is gone all the same.
    ToyModule::new("other", "1.0").write_source(&root);
    transaction(&root, &[conf("other-1.0")], &[]);
    std::fs::remove_file(root.path("/usr/src/other-1.0/dkms.conf")).unwrap();
    transaction(&root, &[], &[conf("other-1.0")]);
    assert!(!status(&root).contains("other"), "{}", status(&root));
}

#[test]
fn a_source_in_another_place_than_its_name_says_is_told() {
    let root = installed();
    let text = ToyModule::new("hello", "3.0").conf_text();
    root.write("/usr/src/elsewhere/dkms.conf", text);
    root.event("pacman install", &[conf("elsewhere")]).expect(0).says("/usr/src/hello-3.0");
    root.write("/usr/src/odd-1/dkms.conf", "PACKAGE_NAME=\n");
    root.event("pacman install", &[conf("odd-1"), conf("not-there-1")]).expect(0);
    assert_eq!(status(&root), format!("hello/1.0, {K}, x86_64: installed\n"));
}

#[test]
fn a_module_without_autoinstall_is_installed_where_it_always_was() {
    for (id, installed) in [("arch", true), ("debian", false)] {
        let root = FakeRoot::new();
        root.write("/etc/os-release", format!("ID={id}\n"));
        ToyKernel::new(K).install(&root);
        ToyModule::new("hello", "1.0").line("AUTOINSTALL=\"\"").write_source(&root);
        transaction(&root, &[conf("hello-1.0")], &[]);
        assert_eq!(root.take_make_calls().len(), usize::from(installed), "{id}");
        // Who asks for autoinstall asks for AUTOINSTALL.
        ToyKernel::new(NEXT).install(&root);
        root.dkms(&["autoinstall", "-k", NEXT]).expect(0);
        assert!(root.take_make_calls().is_empty());
    }
}

#[test]
fn targets_that_name_no_directory_of_sources_are_none() {
    let root = installed();
    let text = ToyModule::new("odd", "1.0").conf_text();
    root.write("/usr/dkms.conf", &text);
    root.write("/usr/src/dkms.conf", &text);
    let before = root.snapshot();
    for words in ["pacman incoming", "pacman install", "pacman remove"] {
        let odd = [conf(".."), conf("."), "usr/src//dkms.conf".to_owned(), conf("\u{1b}[31mred-1")];
        let ran = root.event(words, &odd).expect(0);
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""), "{words}");
    }
    root.assert_untouched(&before);
}

#[test]
fn modules_that_a_hook_saved_for_the_running_kernel_are_no_kernel() {
    let root = installed();
    for dir in ["running-kernel", "backup"] {
        root.write(format!("/lib/modules/{dir}/kernel/fs/ext4.ko"), "");
    }
    let before = root.snapshot();
    let ran = root.event("pacman install", &kernel(K)).expect(0);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""));
    root.hook(&["status"]).expect(0).does_not_say("running-kernel");
    root.assert_untouched(&before);
}

#[test]
fn lost_and_doubled_calls() {
    // The hook for what went was lost with a kernel: the next for what came sees it.
    let root = installed();
    ToyKernel::new(NEXT).install(&root);
    ToyKernel::new(K).remove_image(&root);
    ToyKernel::new(K).remove_headers(&root);
    for _ in 0..2 {
        root.event("pacman install", &kernel(NEXT)).expect(0);
    }
    assert_eq!(root.take_make_calls().len(), 1);
    assert!(!root.exists(format!("/lib/modules/{K}")));
    root.event("pacman initramfs", &[]).expect(0);
    root.take_calls();
    in_line(&root);
    let quiet = root.event("pacman install", &kernel(NEXT)).expect(0);
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""));
    assert_eq!(root.take_calls(), [""; 0], "no process is started");
}
