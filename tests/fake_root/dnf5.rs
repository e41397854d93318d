//! dnf5's plugin `actions` calls before a transaction: it is asked what comes, the files are found where
//! dnf5 keeps them, and a person is told. The replies are as dnf5 5.4 gives them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::packages::Made;
use crate::support::program::{Answer, Face, finish};
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
        let name = if location.contains("devel") { "kernel-devel" } else { "kernel-core" };
        format!(
            r#"{{"direction":"{direction}","name":"{name}","repo_id":"{repository}","location":"{location}"}}"#
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
        setting("mine.cachedir", "/var/cache/libdnf5"),
        setting("mine.baseurl", "file:///srv/repository"),
    ];
    let ran = root.event("dnf5", &replies).expect(0);
    asks(&ran, &["trans_packages", "conf", "conf", "conf"]);
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

/// The program, started by a process that works in `dir`, as the plugin starts it: in `/`.
fn from_directory(root: &FakeRoot, dir: &Path, replies: &[String]) -> Answer {
    let text: String = replies.iter().map(|reply| format!("{reply}\n")).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let program = root.program(Face::Hook);
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"cd "$0" && { (cd / && exec "$@"); exit $?; }"#]).arg(dir);
    shell.arg(program.get_program()).args(program.get_args()).arg("dnf5").env_clear();
    shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    finish(shell.stdin(fs::File::open(file.path()).unwrap()))
}

// What dnf5 5.4.6 says of `dnf5 install ./x.rpm`, and of `dnf5 replay DIR`.
#[test]
fn a_relative_path_starts_where_dnf5_was_started() {
    let root = machine();
    let dir = root.path("/srv/saved/packages");
    let core = kernel_in(&dir);
    let devel = Made::new("kernel-devel").headers(NEW).rpm(&dir);
    let devel = devel.file_name().unwrap().to_str().unwrap();
    let replies = |repository: &str, files: &[&str]| {
        let packages: Vec<_> = files.iter().map(|file| ("IN", repository, *file)).collect();
        [transaction(&packages), setting("cachedir", "/var/cache/libdnf5")]
    };
    let alone = from_directory(&root, &dir, &replies("@commandline", &[&core])).expect(0);
    assert!(alone.err.contains(&format!("Install kernel-devel-{NEW}")), "{}", alone.err);
    let both = from_directory(&root, &dir, &replies("@commandline", &[&core, devel])).expect(0);
    assert_eq!(both.err, format!("dkms-hook: Modules to build for kernel {NEW}: hello/1.0.\n"));
    let saved = [format!("./packages/{core}"), format!("./packages/{devel}")];
    let replay = replies("@stored_transaction(updates)", &[&saved[0], &saved[1]]);
    let replayed = from_directory(&root, &root.path("/srv/saved"), &replay).expect(0);
    assert_eq!(replayed.err, both.err);
}

#[test]
fn a_repository_may_have_a_cache_of_its_own() {
    let root = machine();
    let name = kernel_in(&root.path("/var/cache/other/x-0123456789abcdef/packages"));
    let replies = [
        transaction(&[("IN", "x", &name)]),
        setting("cachedir", "/var/cache/libdnf5"),
        setting("x.cachedir", "/var/cache/other"),
    ];
    let ran = root.event("dnf5", &replies).expect(0);
    asks(&ran, &["trans_packages", "conf", "conf"]);
    assert!(ran.err.contains(&format!("Install kernel-devel-{NEW}")), "{}", ran.err);
}

#[test]
fn headers_are_not_missing_while_a_package_was_not_found() {
    let root = machine();
    let name = kernel_in(&root.path("/var/cache/libdnf5/updates-0123456789abcdef/packages"));
    let refused = r#"{"op":"reply","requested_op":"get","domain":"conf","status":"ERROR","message":"x"}"#;
    let replies = [
        transaction(&[("IN", "updates", &name), ("IN", "other", "kernel-devel.rpm")]),
        setting("cachedir", "/var/cache/libdnf5"),
        refused.to_owned(),
        setting("other.baseurl", "https://mirror.example/other"),
    ];
    let ran = root.event("dnf5", &replies).expect(0);
    let text = format!(
        "dkms-hook: Modules to build for kernel {NEW}, if its headers come, too: hello/1.0. (Not looked into: \
         kernel-devel.)\n"
    );
    assert_eq!(ran.err, text);
}

#[test]
fn nothing_is_said_when_only_kernels_leave_or_files_are_not_to_be_found() {
    let root = machine();
    let ran = root.event("dnf5", &[transaction(&[("OUT", "@System", "")])]).expect(0);
    asks(&ran, &["trans_packages"]);
    assert_eq!(ran.err, "", "no module was built for it");
    let replies = [
        transaction(&[("IN", "updates", "kernel.rpm")]),
        setting("cachedir", "/var/cache/libdnf5"),
        setting("updates.cachedir", "/var/cache/libdnf5"),
        setting("updates.baseurl", "https://mirror.example/updates"),
    ];
    assert_eq!(root.event("dnf5", &replies).expect(0).err, "");
}

#[test]
fn a_kernel_of_any_name_is_found_and_nothing_more_is_asked_of_others() {
    let root = machine();
    let dir = root.path("/var/cache/libdnf5/updates-0123456789abcdef/packages");
    fs::create_dir_all(&dir).unwrap();
    Made::new("our-system").kernel(NEW).rpm(&dir);
    let packages = ["our-system", "bash"].map(|name| {
        format!(r#"{{"direction":"IN","name":"{name}","repo_id":"updates","location":"{name}.rpm"}}"#)
    });
    let list = reply("trans_packages", &format!(r#"{{"trans_packages":[{}]}}"#, packages.join(",")));
    let ran = root.event("dnf5", &[list, setting("cachedir", "/var/cache/libdnf5")]).expect(0);
    asks(&ran, &["trans_packages", "conf"]);
    assert!(ran.err.contains(&format!("kernel {NEW} comes without its headers")), "{}", ran.err);
}

#[test]
fn a_dialogue_that_breaks_off_or_is_refused_is_no_failure() {
    let root = machine();
    for broken in ["", "what?", r#"{"op":"reply","status":"ERROR","message":"no such domain"}"#] {
        root.event("dnf5", &[broken.to_owned()]).expect(0);
    }
    root.event("dnf5", &[]).expect(0);
}
