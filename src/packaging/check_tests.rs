//! Each rule finds the one thing that is wrong, and nothing else is wrong.

use super::super::{control, libraries::Needs, stage::Entry, write};
use super::*;

/// The parts of a good package, to be damaged by a test.
struct Parts {
    control: String,
    members: Vec<Entry>,
    tree: Vec<Entry>,
    sums: Option<String>,
    conffiles: Option<String>,
}

impl Parts {
    fn good() -> Self {
        let mut tree: Vec<Entry> = Vec::new();
        for path in CALLED {
            let mut parent = String::new();
            for part in path.split('/').rev().skip(1).collect::<Vec<_>>().iter().rev() {
                parent = if parent.is_empty() { (*part).to_owned() } else { format!("{parent}/{part}") };
                if !tree.iter().any(|entry| entry.path == parent) {
                    tree.push(Entry { path: parent.clone(), mode: 0o755, content: Content::Directory });
                }
            }
            let hook = "#!/bin/sh\n[ -x /usr/sbin/dkms-hook ] || exit 0\n/usr/sbin/dkms-hook x || :\n";
            tree.push(match path {
                "usr/sbin/dkms" => {
                    Entry { path: path.into(), mode: 0o777, content: Content::Link("dkms-hook".into()) }
                }
                "usr/sbin/dkms-hook" => Entry::file(path, 0o755, "program"),
                _ if path.starts_with("etc/kernel/") => Entry::file(path, 0o755, hook),
                _ => Entry::file(path, 0o644, "text\n"),
            });
        }
        let script = "#!/bin/sh\nset -e\nexit 0\n";
        let triggers = "interest-noawait /lib/modules\ninterest-noawait /usr/lib/modules\n";
        Self {
            control: "Package: dkms-hook\nMaintainer: M <m@example.org>\nDepends: kmod\n\
                      Provides: dkms (= 3.4.3)\nConflicts: dkms\nReplaces: dkms\nDescription: d\n long\n"
                .into(),
            members: vec![
                Entry::file("postinst", 0o755, script),
                Entry::file("postrm", 0o755, script),
                Entry::file("triggers", 0o644, triggers),
            ],
            tree,
            sums: None,
            conffiles: None,
        }
    }

    fn entry(&mut self, path: &str) -> &mut Entry {
        let mut all = self.tree.iter_mut().chain(&mut self.members);
        all.find(|entry| entry.path == path).expect("a file of the good package")
    }

    fn package(self) -> Package {
        let needs = Needs { architecture: "amd64", packages: vec!["libc6 (>= 2.34)".into()] };
        let mut members = self.members;
        let control = control::control(&self.control, "1.0", &needs, &self.tree).unwrap();
        members.push(Entry::file("control", 0o644, control));
        let conffiles = self.conffiles.unwrap_or_else(|| control::conffiles(&self.tree));
        members.push(Entry::file("conffiles", 0o644, conffiles));
        let sums = self.sums.unwrap_or_else(|| control::md5sums(&self.tree));
        members.push(Entry::file("md5sums", 0o644, sums));
        Package::parse(&write::deb(&members, &self.tree, 1).unwrap()).unwrap()
    }
}

/// Damages a good package, and expects exactly one problem, which contains `expected`.
#[track_caller]
fn expect(expected: &str, damage: impl FnOnce(&mut Parts)) {
    let mut parts = Parts::good();
    damage(&mut parts);
    let found = problems(&parts.package());
    assert!(found.len() == 1 && found[0].contains(expected), "expected {expected:?}, found {found:#?}");
}

#[test]
fn a_good_package_has_no_problem_and_the_name_that_apt_expects() {
    let package = Parts::good().package();
    assert_eq!(problems(&package), Vec::<String>::new());
    assert_eq!(file_name(&package).unwrap(), "dkms-hook_1.0_amd64.deb");
}

#[test]
fn control_fields() {
    expect("Maintainer is missing", |parts| parts.control = parts.control.replace("Maintainer", "Owner"));
    expect("Depends cannot be parsed", |parts| {
        parts.control = parts.control.replace("Depends: kmod", "Depends: kmod (!! 1)");
    });
    expect("Conflicts does not name dkms", |parts| {
        parts.control = parts.control.replace("Conflicts: dkms", "Conflicts: akmods");
    });
    expect("Provides does not name dkms", |parts| {
        parts.control = parts.control.replace("dkms (= 3.4.3)", "dkms");
    });
}

#[test]
fn maintainer_scripts_and_triggers() {
    expect("postinst has mode 644", |parts| parts.entry("postinst").mode = 0o644);
    expect("postrm does not start", |parts| {
        parts.entry("postrm").content = Content::File(b"#!/bin/bash\nset -e\n".to_vec());
    });
    expect("no interest in /usr/lib/modules", |parts| {
        parts.entry("triggers").content = Content::File(b"interest-noawait /lib/modules\n".to_vec());
    });
    expect("is not interest-noawait", |parts| {
        let text = "interest-noawait /lib/modules\ninterest-noawait /usr/lib/modules\ninterest /boot\n";
        parts.entry("triggers").content = Content::File(text.into());
    });
}

#[test]
fn the_archive() {
    expect("/usr/lib/dkms/common.postinst is missing", |parts| {
        parts.tree.retain(|entry| entry.path != "usr/lib/dkms/common.postinst");
    });
    expect("usr/sbin/dkms-hook has mode 4755", |parts| parts.entry("usr/sbin/dkms-hook").mode = 0o4755);
    expect("before its directory", |parts| {
        parts.tree.push(Entry::file("var/lib/new", 0o644, ""));
    });
    expect("there twice", |parts| {
        let again = parts.entry("usr/lib/dkms/common.postinst").clone();
        parts.tree.push(again);
        parts.sums = Some(control::md5sums(&Parts::good().tree));
    });
    expect("points to gone", |parts| {
        parts.entry("usr/sbin/dkms").content = Content::Link("gone".into());
    });
    expect("points to ../dkms-hook", |parts| {
        parts.entry("usr/sbin/dkms").content = Content::Link("../dkms-hook".into());
    });
    let mut good = Parts::good();
    good.entry("usr/sbin/dkms").content = Content::Link("../../usr/sbin/dkms-hook".into());
    assert_eq!(problems(&good.package()), [""; 0]);
}

#[test]
fn conffiles_and_sums() {
    expect("/etc/dkms/framework.conf is not listed", |parts| {
        let listed = control::conffiles(&parts.tree).replace("/etc/dkms/framework.conf\n", "");
        parts.conffiles = Some(listed);
    });
    expect("/etc/gone is not in the package", |parts| {
        parts.conffiles = Some(control::conffiles(&parts.tree) + "/etc/gone\n");
    });
    expect("usr/sbin/dkms-hook has another sum", |parts| {
        let right = control::md5(b"program");
        parts.sums = Some(control::md5sums(&parts.tree).replace(&right, &control::md5(b"other")));
    });
    expect("/usr/sbin/dkms-hook is missing", |parts| {
        let line = format!("{}  usr/sbin/dkms-hook\n", control::md5(b"program"));
        parts.sums = Some(control::md5sums(&parts.tree).replace(&line, ""));
    });
}

#[test]
fn kernel_hooks_cannot_fail_a_kernel() {
    expect("can fail", |parts| {
        let text = b"#!/bin/sh\n[ -x /usr/sbin/dkms-hook ] || exit 0\nexec /usr/sbin/dkms-hook x\n";
        parts.entry("etc/kernel/postinst.d/dkms").content = Content::File(text.to_vec());
    });
    expect("is not executable", |parts| parts.entry("etc/kernel/prerm.d/dkms").mode = 0o644);
    expect("a name that run-parts skips", |parts| {
        let mut hook = parts.entry("etc/kernel/prerm.d/dkms").clone();
        hook.path = "etc/kernel/prerm.d/dkms.sh".into();
        parts.tree.push(hook);
    });
}

#[test]
fn damaged_files_are_errors_not_panics() {
    let parts = Parts::good();
    let bytes = write::deb(&parts.members, &parts.tree, 1).unwrap();
    assert!(Package::parse(&bytes).is_err(), "no control file");
    assert!(Package::parse(b"").is_err());
    assert!(Package::parse(&bytes[..bytes.len() / 2]).is_err());
}
