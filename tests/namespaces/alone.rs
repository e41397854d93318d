//! What is done only where the root is `/`, by programs that know no other: sharing modules between
//! kernels, loading them, reporting crashes. Each scenario runs this program again in new namespaces,
//! in which a whole system is put together from the machine's programs and a root of its own; where the
//! system allows none it is counted as skipped, with the reason.

use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::support::program::{Answer, Face, finish};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use crate::support::whole_system::whole_system;

const K: &str = "5.14.0-1.el9.x86_64";

pub const SCENARIOS: [(&str, fn()); 5] = [
    ("red_hats_program_is_given_the_modules", red_hats_program_is_given_the_modules),
    ("suses_program_is_given_the_kernel", suses_program_is_given_the_kernel),
    ("who_wants_no_sharing_gets_none", who_wants_no_sharing_gets_none),
    ("ubuntus_reporter_is_told_of_failures", ubuntus_reporter_is_told_of_failures),
    ("modules_are_loaded_only_when_asked_for", modules_are_loaded_only_when_asked_for),
];

/// Runs `dkms` in a whole system, which it enters by itself.
fn dkms(root: &FakeRoot, variables: &[(&str, &str)], args: &[&str]) -> Answer {
    let mut command = root.program(Face::Dkms);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("TMPDIR", "/tmp");
    finish(command.envs(variables.iter().copied()).args(args))
}

/// The calls since the last call of this function, without those of depmod.
fn calls(root: &FakeRoot) -> Vec<String> {
    root.take_calls()
        .into_iter()
        .filter(|call| !call.starts_with("depmod ") && !call.starts_with("dpkg"))
        .collect()
}

/// An Enterprise Linux whose program notes how it is called and with which modules.
fn enterprise() -> FakeRoot {
    let root = whole_system();
    root.write("/etc/os-release", "ID=\"rhel\"\nID_LIKE=\"fedora\"\n");
    let text = "#!/bin/sh\necho \"${0##*/} $*\" >> /var/log/toy-calls\n\
                while read module; do echo \"$module $(test -e $module && echo there)\" >> /var/log/toy-calls; done\n";
    root.write_script("/usr/sbin/weak-modules", text);
    ToyKernel::new(K).install(&root);
    root
}

fn red_hats_program_is_given_the_modules() {
    let root = enterprise();
    ToyModule::new("hello", "1").record("second").register(&root);
    ToyModule::new("other", "1").register(&root);
    dkms(&root, &[], &["autoinstall", "-k", K]).expect(0);
    let extra = format!("/lib/modules/{K}/extra");
    let line = |name: &str, there: &str| format!("{extra}/{name}.ko {there}");
    assert_eq!(
        calls(&root),
        [
            "weak-modules --no-initramfs --add-modules".to_owned(),
            line("hello", "there"),
            line("second", "there"),
            line("other", "there"),
        ],
        "once for all of them"
    );
    dkms(&root, &[], &["uninstall", "hello/1", "-k", K]).expect(0);
    assert_eq!(
        calls(&root),
        [
            "weak-modules --no-initramfs --remove-modules".to_owned(),
            line("hello", "there"),
            line("second", "there"),
        ],
        "while they are still there"
    );
    // A kernel whose link turns out wrong, made by the program itself.
    let other = "5.14.0-2.el9.x86_64";
    ToyKernel::new(other).install(&root);
    let dir = format!("/lib/modules/{other}/weak-updates");
    let link = format!(
        "#!/bin/sh\nmkdir -p {dir}\nread module\ncase $module in */{other}/*) exit ;; esac\nln -sf $module {dir}/\n"
    );
    root.write_script("/usr/sbin/weak-modules", &link);
    dkms(&root, &[], &["install", "hello/1", "-k", K]).expect(0).says("no symbol versions");
    assert!(root.names(&dir).is_empty());
    assert!(root.exists(format!("/lib/modules/{other}/extra/hello.ko")));
    // One that fails is told, and stops nothing.
    root.write_script("/usr/sbin/weak-modules", "#!/bin/sh\nexit 5\n");
    dkms(&root, &[], &["install", "hello/1", "-k", K, "--force"]).expect(0).says("status 5");
    // Fedora has no such thing, whatever lies there.
    root.write("/etc/os-release", "ID=fedora\n");
    dkms(&root, &[], &["install", "hello/1", "-k", K, "--force"]).expect(0).does_not_say("status 5");
}

fn suses_program_is_given_the_kernel() {
    let root = whole_system();
    root.write("/etc/os-release", "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n");
    let head = "#!/bin/sh\necho \"${0##*/} $*\" >> /var/log/toy-calls\n";
    root.write_script("/usr/lib/module-init-tools/weak-modules2", head);
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1").register(&root);
    dkms(&root, &[], &["install", "hello/1", "-k", K]).expect(0);
    assert_eq!(calls(&root), [format!("weak-modules2 --add-kernel-modules {K}")]);
    dkms(&root, &[], &["remove", "hello/1", "--all"]).expect(0);
    assert_eq!(calls(&root), [format!("weak-modules2 --remove-kernel-modules {K}")]);
}

fn who_wants_no_sharing_gets_none() {
    let root = enterprise();
    ToyModule::new("own", "1").line("NO_WEAK_MODULES=yes").register(&root);
    dkms(&root, &[], &["install", "own/1", "-k", K]).expect(0);
    dkms(&root, &[], &["uninstall", "own/1", "-k", K]).expect(0);
    ToyModule::new("hello", "1").register(&root);
    dkms(&root, &[("NO_WEAK_MODULES", "yes")], &["install", "hello/1", "-k", K]).expect(0);
    assert_eq!(calls(&root), [""; 0]);
}

fn ubuntus_reporter_is_told_of_failures() {
    let root = whole_system();
    root.write("/etc/os-release", "ID=ubuntu\nID_LIKE=debian\n");
    let script = "/usr/share/apport/package-hooks/dkms_packages.py";
    // The machine's /usr/share is not ours to write to.
    let mut mount = Command::new("mount");
    assert!(mount.args(["-t", "tmpfs", "toy"]).arg(root.path("/usr/share")).status().unwrap().success());
    root.write(script, "");
    root.write_script("/usr/sbin/python3", "#!/bin/sh\necho \"${0##*/} $*\" >> /var/log/toy-calls\n");
    ToyKernel::new(K).install(&root);
    ToyModule::new("bad", "1").failing().register(&root);
    ToyModule::new("patched", "1").missing_patch("no.patch").register(&root);
    ToyModule::new("step", "1")
        .line("PRE_BUILD=no.sh")
        .executable("no.sh", "#!/bin/sh\nexit 33\n")
        .register(&root);
    let build = |module: &str, code: i32| {
        dkms(&root, &[], &["build", module, "-k", K]).expect(code);
        calls(&root)
    };
    assert_eq!(build("bad/1", 10), [""; 0], "apport is not installed");
    root.write_script("/usr/share/apport/apport", "");
    assert_eq!(build("bad/1", 10), [format!("python3 {script} -m bad -v 1 -k {K}")]);
    assert_eq!(build("patched/1", 5), [format!("python3 {script} -m patched -v 1 -k {K}")]);
    assert_eq!(build("step/1", 33), [""; 0], "that is the script's own business");
}

/// On the machine's own `/`, with trees elsewhere: only there a kernel is the running one.
fn modules_are_loaded_only_when_asked_for() {
    let root = FakeRoot::new();
    let release = Command::new("uname").arg("-r").output().unwrap().stdout;
    let running = String::from_utf8(release).unwrap().trim().to_owned();
    let other = "5.14.0-toy";
    for kernel in [running.as_str(), other] {
        ToyKernel::new(kernel).install(&root);
        let build = root.path(format!("/usr/lib/modules/{kernel}/build"));
        std::fs::remove_file(&build).unwrap();
        symlink(root.path(format!("/usr/src/linux-headers-{kernel}")), build).unwrap();
    }
    ToyModule::new("hello", "1").write_source(&root);
    let program = root.program(Face::Dkms);
    let head =
        format!("#!/bin/sh\necho \"${{0##*/}} $*\" >> {}\n", root.path("/var/log/toy-calls").display());
    for name in ["modprobe", "systemctl", "update-initramfs", "dracut"] {
        root.write_script(format!("/var/log/stand-ins/{name}"), &head);
    }
    let trees =
        [("dkmstree", "/var/lib/dkms"), ("sourcetree", "/usr/src"), ("installtree", "/usr/lib/modules")];
    let run = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = Command::new(program.get_program());
        command.arg0("/usr/sbin/dkms").env_clear().env("PATH", root.search_path()).current_dir("/");
        command.args(trees.map(|(option, tree)| format!("--{option}={}", root.path(tree).display())));
        finish(command.envs(variables.iter().copied()).args(args)).expect(0);
        root.take_calls()
            .into_iter()
            .filter(|call| call.starts_with("depmod") || call.starts_with("modprobe"))
            .collect::<Vec<_>>()
    };
    let loads = |calls: &[String]| {
        let first = calls.iter().position(|call| call.starts_with("modprobe -a -b -q "));
        first.is_some_and(|at| calls[..at].iter().any(|call| call.starts_with("depmod ")))
    };
    // A machine without devices that could load something has nothing to ask for.
    let devices = walkdir::WalkDir::new("/sys/devices").into_iter().flatten();
    let some = devices
        .filter(|e| e.file_name() == "modalias")
        .any(|e| std::fs::read(e.path()).is_ok_and(|t| t.len() > 1));
    let on = ("modprobe_on_install", "1");
    assert!(!loads(&run(&[], &["install", "hello/1", "-k", &running])), "nobody asked");
    let again = ["install", "hello/1", "-k", &running, "--force", "--modprobe-on-install"];
    assert_eq!(loads(&run(&[], &again)), some);
    assert_eq!(loads(&run(&[on], &again[..5])), some);
    assert!(!loads(&run(&[on], &["install", "hello/1", "-k", other])), "another kernel");
    assert!(!loads(&run(&[on], &["install", "hello/1", "-k", &running])), "nothing new");
    assert!(!loads(&run(&[on], &["remove", "hello/1", "--all"])), "nothing new");
}
