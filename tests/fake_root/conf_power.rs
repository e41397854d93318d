//! A dkms.conf that needs bash is read without any power, whoever wants to know what it says.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";

/// One kernel, and `app/1`, whose dkms.conf tries to write, to read a key, and to stay.
fn root() -> FakeRoot {
    let root = FakeRoot::new().confined();
    fs::set_permissions(root.path("/"), Permissions::from_mode(0o755)).unwrap();
    ToyKernel::new(K).install(&root);
    ToyModule::new("app", "1").register(&root);
    root.write("/etc/key", "secret\n");
    fs::set_permissions(root.path("/etc/key"), Permissions::from_mode(0o600)).unwrap();
    for dir in ["/etc", "/boot", "/usr/src/app-1"] {
        fs::create_dir_all(root.path(dir)).unwrap();
        // Only who is root, or the owner, may write there.
        fs::set_permissions(root.path(dir), Permissions::from_mode(0o755)).unwrap();
    }
    let at = |path: &str| root.path(path).display().to_string();
    let text = format!(
        "WHO=$(id -u)\n\
         for dir in {} {} {}; do echo x > $dir/written; done 2>/dev/null\n\
         KEY=$(cat {} 2>/dev/null)\n\
         MAKE[0]=\"$(make_it=yes; echo true) who=$WHO key=$KEY tmp=$(mktemp >/dev/null && echo yes)\"\n",
        at("/etc"),
        at("/boot"),
        at("/usr/src/app-1"),
        at("/etc/key")
    );
    let conf = ToyModule::new("app", "1").conf_text() + &text;
    root.write("/usr/src/app-1/dkms.conf", conf);
    root
}

fn written(root: &FakeRoot) -> Vec<&'static str> {
    let places = ["/etc/written", "/boot/written", "/usr/src/app-1/written"];
    places.into_iter().filter(|place| root.path(place).exists()).collect()
}

#[test]
fn it_writes_nothing_and_reads_no_key() {
    if !nix::unistd::Uid::effective().is_root() {
        // It has no more power than whoever runs the tests, who may write all of this.
        return;
    }
    let looks: [&[&str]; 4] = [&["--dry-run"], &["--json"], &["status"], &["why", "app"]];
    for words in looks {
        let root = root();
        // Even for a package that is trusted, who only looks lends nobody his power.
        root.write("/etc/dkms/framework.conf", "unconfined=\"app: for this test\"\n");
        root.hook(words).does_not_say("secret");
        assert_eq!(written(&root), [""; 0], "{words:?}");
    }
    for words in [&["build", "app/1", "-k", K][..], &["autoinstall", "-k", K]] {
        let root = root();
        let answer = root.dkms(words);
        answer.does_not_say("secret");
        assert_eq!(written(&root), [""; 0], "{words:?}");
        let log = root.read(format!("/var/lib/dkms/.dkms-hook/verdicts/app/1/{K}-x86_64.log"));
        let command = log
            .lines()
            .find(|line| line.starts_with("# command: true who="))
            .unwrap_or_else(|| panic!("{log}"));
        assert!(command.ends_with(" key= tmp=yes"), "{command}");
        assert!(!command.contains("who=0 "), "{command}");
    }
}

#[test]
fn what_it_says_is_what_it_said_before() {
    // Values, warnings and files beside it are as for whoever may read them all.
    let root = FakeRoot::new().confined();
    fs::set_permissions(root.path("/"), Permissions::from_mode(0o755)).unwrap();
    ToyKernel::new(K).install(&root);
    let text = "VERSION_OF=$(cat ${BASH_SOURCE%/*}/VERSION)\nMAKE[0]=\"make -C $kernel_source_dir M=$dkms_tree/app/1/build V=$VERSION_OF\"\n";
    ToyModule::new("app", "1").register(&root);
    root.write("/usr/src/app-1/VERSION", "7\n");
    root.write("/usr/src/app-1/dkms.conf", ToyModule::new("app", "1").conf_text() + text);
    root.dkms(&["install", "app/1", "-k", K]).expect(0);
    let log = root.read(format!("/var/lib/dkms/app/1/{K}/x86_64/log/make.log"));
    assert!(log.contains("V=7"), "{log}");
}
