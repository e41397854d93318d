//! dnf5's plugin `actions` calls before a transaction: it is asked what comes, the files are found where
//! dnf5 keeps them, and a person is told. The replies are as dnf5 5.4 gives them.

use std::fs;
use std::path::Path;

use crate::support::packages::Made;
use crate::support::program::Answer;
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const NEW: &str = "6.13.0-100.fc43.x86_64";

fn machine() -> FakeRoot {
    let root = FakeRoot::new();
    fs::write(root.path("/etc/os-release"), "ID=fedora\n").unwrap();
    ToyKernel::new("6.12.1-toy").install(&root);
    ToyModule::new("hello", "1.0").register(&root);
    root
}

fn reply(domain: &str, answer: &str) -> String {
    format!(r#"{{"op":"reply","requested_op":"get","domain":"{domain}","status":"OK","return":{answer}}}"#)
}

fn transaction(packages: &[(&str, &str, &str)]) -> String {
    let package = |(direction, repository, location): &(&str, &str, &str)| {
        format!(
            r#"{{"direction":"{direction}","name":"kernel-core","repo_id":"{repository}","location":"{location}"}}"#
        )
    };
    let list: Vec<String> = packages.iter().map(package).collect();
    reply("trans_packages", &format!(r#"{{"trans_packages":[{}]}}"#, list.join(",")))
}

fn setting(key: &str, value: &str) -> String {
    reply("conf", &format!(r#"{{"keys_val":[{{"key":"{key}","value":"{value}"}}]}}"#))
}

/// What is asked is one request per line; everything for a person is on standard error.
#[track_caller]
fn asks(ran: &Answer, domains: &[&str]) {
    let requests: Vec<serde_json::Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let asked: Vec<_> = requests.iter().map(|request| request["domain"].as_str().unwrap()).collect();
    assert_eq!(asked, domains, "{}", ran.out);
}

fn kernel_in(dir: &Path) -> String {
    fs::create_dir_all(dir).unwrap();
    let path = Made::new("kernel-core").kernel(NEW).rpm(dir);
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_kernel_in_the_cache_without_headers_is_warned_of() {
    let root = machine();
    let name = kernel_in(&root.path("/var/cache/libdnf5/updates-0123456789abcdef/packages"));
    // Another repository's file of that name is not the one.
    fs::create_dir_all(root.path("/var/cache/libdnf5/up-0123456789abcdef/packages")).unwrap();
    fs::write(root.path(format!("/var/cache/libdnf5/up-0123456789abcdef/packages/{name}")), "").unwrap();
    let location = format!("Packages/k/{name}");
    let replies = [transaction(&[("IN", "updates", &location)]), setting("cachedir", "/var/cache/libdnf5")];
    let ran = root.event("dnf5", &replies).expect(0);
    asks(&ran, &["trans_packages", "conf"]);
    assert!(ran.err.contains(&format!("Install kernel-devel-{NEW}")), "{}", ran.err);
    assert!(!root.path(format!("/lib/modules/{NEW}")).exists());
}

#[test]
fn a_kernel_of_a_repository_on_this_machine() {
    let root = machine();
    let name = kernel_in(&root.path("/srv/repository/x86_64"));
    let replies = [
        transaction(&[("OUT", "mine", "old.rpm"), ("IN", "mine", &format!("x86_64/{name}"))]),
        setting("cachedir", "/var/cache/libdnf5"),
        setting("mine.baseurl", "file:///srv/repository"),
    ];
    let ran = root.event("dnf5", &replies).expect(0);
    asks(&ran, &["trans_packages", "conf", "conf"]);
    assert!(ran.err.contains(&format!("kernel-devel-{NEW}")), "{}", ran.err);
}

#[test]
fn a_package_from_the_command_line_is_where_it_says() {
    let root = machine();
    let name = kernel_in(&root.path("/root"));
    let replies = [
        transaction(&[("IN", "@commandline", &format!("/root/{name}"))]),
        setting("cachedir", "/var/cache/libdnf5"),
    ];
    let ran = root.event("dnf5", &replies).expect(0);
    assert!(ran.err.contains(&format!("kernel-devel-{NEW}")), "{}", ran.err);
}

#[test]
fn nothing_is_said_when_only_kernels_leave_or_files_are_not_to_be_found() {
    let root = machine();
    let ran = root.event("dnf5", &[transaction(&[("OUT", "@System", "")])]).expect(0);
    asks(&ran, &["trans_packages"]);
    assert_eq!(ran.err, "");
    let replies = [
        transaction(&[("IN", "updates", "kernel.rpm")]),
        setting("cachedir", "/var/cache/libdnf5"),
        setting("updates.baseurl", "https://mirror.example/updates"),
    ];
    assert_eq!(root.event("dnf5", &replies).expect(0).err, "");
}

#[test]
fn a_dialogue_that_breaks_off_or_is_refused_is_no_failure() {
    let root = machine();
    for broken in ["", "what?", r#"{"op":"reply","status":"ERROR","message":"no such domain"}"#] {
        root.event("dnf5", &[broken.to_owned()]).expect(0);
    }
    root.event("dnf5", &[]).expect(0);
}
