//! The commands that are struck, each with the machine that it begins on and the ways on after it.

use super::machine::{K, K2, Machine};
use super::support::program::Face;
use super::support::toy_kernel::ToyModule;

/// What somebody does after a run was struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Nothing; the next hook comes.
    Hook,
    /// The same command again, and then the next hook.
    Again,
    /// The same command again, and no hook.
    AgainOnly,
}

/// A command.
pub struct Row {
    pub name: &'static str,
    /// Makes the machine.
    pub begin: fn(&Machine),
    pub face: Face,
    pub words: &'static [&'static str],
    pub ways: &'static [Way],
    /// Exit codes of the same command again, besides 0: where the first one had done it already.
    pub again: &'static [i32],
    /// The keys are made anew each time, and so are signatures.
    pub makes_keys: bool,
}

const BOTH: &[Way] = &[Way::Hook, Way::Again];
const HOOK: &[Way] = &[Way::Hook];
const AGAIN: &[Way] = &[Way::Again];

/// Of a person who asks for it by name.
fn by_hand(version: &str) -> ToyModule {
    ToyModule::new("hello", version).line("AUTOINSTALL=no")
}

fn hello(version: &str) -> ToyModule {
    ToyModule::new("hello", version)
}

/// A module, and one that is built with it and after it.
fn two(machine: &Machine) {
    machine.register(&ToyModule::new("base", "1"));
    machine.register(&top());
}

fn top() -> ToyModule {
    ToyModule::new("top", "1").depends("base").line("BUILD_DEPENDS_REBUILD=yes")
}

/// A machine on which a module is to be installed.
fn registered(machine: &Machine, kernels: &[&str], module: &ToyModule, own_index: bool) {
    machine.start_over(kernels, own_index);
    machine.register(module);
}

fn installed_on_both(machine: &Machine, own_index: bool) {
    registered(machine, &[K, K2], &by_hand("1"), own_index);
    machine.does(Face::Dkms, &["install", "hello/1", "-k", K, "-k", K2]);
}

impl Row {
    /// True where Debian's dkms can do the same, and what leads to it.
    pub fn is_dkms(&self) -> bool {
        self.face == Face::Dkms
            && !self.makes_keys
            && !["ldtarball", "mktarball", "kernel_prerm"].contains(&self.name)
    }
}

/// Every command.
pub const ROWS: &[Row] = &[
    Row {
        name: "add",
        begin: |m| {
            m.start_over(&[K], true);
            m.source(&hello("1"), false);
        },
        face: Face::Dkms,
        words: &["add", "hello/1"],
        ways: AGAIN,
        again: &[3],
        makes_keys: false,
    },
    Row {
        name: "add PATH",
        begin: |m| {
            m.start_over(&[K], true);
            m.source(&hello("1"), false);
            std::fs::rename(m.root.path("/usr/src/hello-1"), m.root.path("/srv/hello")).unwrap();
        },
        face: Face::Dkms,
        words: &["add", "/srv/hello"],
        ways: AGAIN,
        again: &[3],
        makes_keys: false,
    },
    Row {
        name: "build",
        begin: |m| registered(m, &[K], &by_hand("1"), true),
        face: Face::Dkms,
        words: &["build", "hello/1", "-k", K],
        ways: AGAIN,
        again: &[],
        makes_keys: false,
    },
    Row {
        name: "install",
        begin: |m| registered(m, &[K], &hello("1"), false),
        face: Face::Dkms,
        words: &["install", "hello/1", "-k", K],
        ways: BOTH,
        again: &[],
        makes_keys: false,
    },
    Row {
        name: "install zstd",
        begin: |m| {
            registered(m, &[K2], &hello("1"), true);
            m.source(&hello("1"), true);
        },
        face: Face::Dkms,
        words: &["install", "hello/1", "-k", K2],
        ways: BOTH,
        again: &[],
        makes_keys: false,
    },
    Row {
        name: "uninstall",
        begin: |m| installed_on_both(m, true),
        face: Face::Dkms,
        words: &["uninstall", "hello/1", "-k", K],
        ways: AGAIN,
        again: &[5],
        makes_keys: false,
    },
    Row {
        name: "unbuild",
        begin: |m| installed_on_both(m, true),
        face: Face::Dkms,
        words: &["unbuild", "hello/1", "-k", K],
        ways: AGAIN,
        again: &[3, 4],
        makes_keys: false,
    },
    Row {
        name: "remove --all",
        begin: |m| installed_on_both(m, false),
        face: Face::Dkms,
        words: &["remove", "hello/1", "--all"],
        ways: &[Way::Again, Way::AgainOnly],
        again: &[3],
        makes_keys: false,
    },
    Row {
        name: "install 2 over 1",
        begin: |m| {
            registered(m, &[K], &hello("1"), true);
            m.does(Face::Dkms, &["install", "hello/1", "-k", K]);
            m.register(&hello("2"));
        },
        face: Face::Dkms,
        words: &["install", "hello/2", "-k", K],
        ways: BOTH,
        again: &[],
        makes_keys: false,
    },
    Row {
        name: "dkms-hook",
        begin: |m| {
            m.start_over(&[K], true);
            two(m);
        },
        face: Face::Hook,
        words: &["--kernel", K],
        ways: HOOK,
        again: &[],
        makes_keys: false,
    },
    Row {
        name: "deb trigger",
        begin: |m| {
            m.start_over(&[K], false);
            two(m);
        },
        face: Face::Hook,
        words: &["deb", "trigger"],
        ways: HOOK,
        again: &[],
        makes_keys: false,
    },
    Row {
        name: "rebuild",
        begin: |m| {
            m.start_over(&[K], true);
            two(m);
            m.does(Face::Hook, &[]);
            m.root.write("/usr/src/base-1/base.c", "/* another text */\n");
        },
        face: Face::Hook,
        words: &[],
        ways: HOOK,
        again: &[],
        makes_keys: false,
    },
    Row {
        name: "kernel removed",
        begin: |m| {
            m.start_over(&[K], true);
            two(m);
            m.does(Face::Hook, &[]);
            for path in [format!("/boot/vmlinuz-{K}"), format!("/boot/initrd.img-{K}")] {
                std::fs::remove_file(m.root.path(path)).unwrap();
            }
            let modules = m.root.path(format!("/usr/lib/modules/{K}"));
            std::fs::remove_dir_all(modules.join("kernel")).unwrap();
            for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo", "build"] {
                std::fs::remove_file(modules.join(name)).unwrap();
            }
            std::fs::remove_dir_all(m.root.path(format!("/usr/src/linux-headers-{K}"))).unwrap();
        },
        face: Face::Hook,
        words: &["deb", "kernel-postrm", K, "/boot/vmlinuz-6.12.1-toy"],
        ways: AGAIN,
        again: &[],
        makes_keys: false,
    },
    Row {
        name: "kernel_prerm",
        begin: |m| {
            m.start_over(&[K], false);
            m.register(&by_hand("1"));
            m.register(&ToyModule::new("base", "1").line("AUTOINSTALL=no"));
            m.does(Face::Dkms, &["install", "hello/1", "-k", K]);
            m.does(Face::Dkms, &["install", "base/1", "-k", K]);
        },
        face: Face::Dkms,
        words: &["kernel_prerm", "-k", K],
        ways: AGAIN,
        again: &[],
        makes_keys: false,
    },
    Row {
        name: "ldtarball",
        begin: |m| {
            registered(m, &[K, K2], &hello("1"), true);
            m.does(Face::Dkms, &["install", "hello/1", "-k", K, "-k", K2]);
            m.does(Face::Dkms, &["mktarball", "hello/1", "--archive", "/srv/hello.tar.gz"]);
            m.does(Face::Dkms, &["remove", "hello/1", "--all"]);
            std::fs::remove_dir_all(m.root.path("/usr/src/hello-1")).unwrap();
        },
        face: Face::Dkms,
        words: &["ldtarball", "/srv/hello.tar.gz"],
        ways: AGAIN,
        again: &[8],
        makes_keys: false,
    },
    Row {
        name: "mktarball",
        begin: |m| installed_on_both(m, true),
        face: Face::Dkms,
        words: &["mktarball", "hello/1", "--archive", "/srv/hello.tar.gz"],
        ways: AGAIN,
        again: &[],
        makes_keys: false,
    },
    Row {
        name: "resign",
        begin: |m| {
            m.start_over(&[K], true);
            m.signing(true);
            two(m);
            m.does(Face::Hook, &[]);
            m.new_pair();
        },
        face: Face::Hook,
        words: &["resign"],
        ways: &[Way::Hook, Way::AgainOnly],
        again: &[],
        makes_keys: false,
    },
    Row {
        name: "generate_mok",
        begin: |m| {
            m.start_over(&[K], true);
            m.signing(false);
        },
        face: Face::Dkms,
        words: &["generate_mok"],
        ways: AGAIN,
        again: &[],
        makes_keys: true,
    },
    Row {
        name: "install with a new key",
        begin: |m| {
            registered(m, &[K], &hello("1"), true);
            m.signing(false);
        },
        face: Face::Dkms,
        words: &["install", "hello/1", "-k", K],
        ways: BOTH,
        again: &[],
        makes_keys: true,
    },
];
