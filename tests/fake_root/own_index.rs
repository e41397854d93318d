//! The index made by the program itself, where it stands in for the kmod that is installed. (Elsewhere the stand-in
//! of depmod does not say which kmod it is, and makes each index.) That its files are those of depmod(8), byte for
//! byte, is shown by tests/depmod.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::elf::Elf;
use crate::support::program::{Face, finish};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";

/// The files of an index by kmod 34.
const FILES: [&str; 11] = [
    "modules.dep",
    "modules.dep.bin",
    "modules.alias",
    "modules.alias.bin",
    "modules.softdep",
    "modules.weakdep",
    "modules.symbols",
    "modules.symbols.bin",
    "modules.builtin.bin",
    "modules.builtin.alias.bin",
    "modules.devname",
];

fn module(exports: &[&str], imports: &[&str]) -> Vec<u8> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let modinfo = vec!["license=GPL".to_owned(), "alias=toy-thing".to_owned()];
    Elf {
        wide: true,
        machine: 62,
        modinfo,
        exports: names(exports),
        imports: names(imports),
        ..Elf::default()
    }
    .bytes()
}

/// A root with a kernel whose modules are modules, and with a depmod that says it is of this version.
fn root_with(version: &str) -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    root.write(at("kernel/fs/toyfs/toyfs.ko"), module(&["toy_symbol"], &[]));
    root.write(at("modules.order"), "kernel/fs/toyfs/toyfs.ko\n");
    ToyModule::new("hello", "1.0").register(&root);
    root.dkms(&["status"]).expect(0);
    let works = root.read("/var/log/stand-ins/depmod");
    let text =
        works.replacen("exit 0", &format!("printf 'kmod version {version}\\n+ZSTD +XZ -ZLIB\\n'; exit 0"), 1);
    assert_ne!(text, works);
    root.write_script("/var/log/stand-ins/depmod", &text);
    root
}

fn root() -> FakeRoot {
    root_with("34.2")
}

/// The path of a file of the kernel.
fn at(place: &str) -> String {
    format!("/usr/lib/modules/{K}/{place}")
}

fn index(root: &FakeRoot) -> Vec<Vec<u8>> {
    FILES.map(|name| fs::read(root.path(at(name))).unwrap_or_else(|e| panic!("{name}: {e}"))).to_vec()
}

#[test]
fn it_is_whole_readable_and_made_without_a_process() {
    let root = root();
    // A umask that would hide the index from everybody else.
    let program = root.program(Face::Dkms);
    // The name of the program is its face, which sh cannot give it.
    let face = root.path("/var/log/dkms");
    std::os::unix::fs::symlink(program.get_program(), &face).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(face).args(["install", "hello/1.0", "-k", K]);
    command.env_clear().envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    finish(&mut command).expect(0);
    assert_eq!(root.take_depmods(), [""; 0]);
    assert_eq!(root.read(at("modules.dep")), "kernel/fs/toyfs/toyfs.ko:\nupdates/dkms/hello.ko:\n");
    assert!(root.read(at("modules.alias")).contains("alias toy-thing toyfs\n"));
    assert!(root.read(at("modules.symbols")).contains("alias symbol:toy_symbol toyfs\n"));
    for name in FILES {
        let mode =
            root.path(at(name)).metadata().unwrap_or_else(|e| panic!("{name}: {e}")).permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "{name}");
    }
    root.dkms(&["status"]).expect(0).says("x86_64: installed\n");
    root.hook(&[]).expect(0).says("nothing to do");
    root.dkms(&["remove", "hello/1.0", "--all"]).expect(0);
    assert_eq!(root.read(at("modules.dep")), "kernel/fs/toyfs/toyfs.ko:\n");
    assert_eq!(root.take_depmods(), [""; 0]);
    let left: Vec<String> = root.names(at("")).into_iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(left, [""; 0], "half-written files");
}

#[test]
fn what_modules_said_is_only_there_to_save_time() {
    let root = root();
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    let before = index(&root);
    let known = format!("/var/lib/dkms/.dkms-hook/modules/{K}.zst");
    assert!(root.exists(&known));
    for damage in [&b"nothing that anybody wrote"[..], b""] {
        fs::write(root.path(&known), damage).unwrap();
        root.dkms(&["install", "hello/1.0", "-k", K, "--force"]).expect(0);
        assert_eq!(index(&root), before);
    }
    // To read one small module again costs less than to write down what all of them say; a large one is remembered.
    let written = || fs::read(root.path(&known)).unwrap();
    let before = written();
    for (name, size, remembered) in [("small", 0, false), ("large", 200_000, true)] {
        let content = [module(&[name], &[]), vec![0; size]].concat();
        root.write(at(&format!("extra/{name}.ko")), content);
        // What was written within a tick of the clock is not remembered.
        std::thread::sleep(std::time::Duration::from_millis(60));
        root.dkms(&["install", "hello/1.0", "-k", K, "--force"]).expect(0);
        assert!(root.read(at("modules.symbols")).contains(&format!("symbol:{name}")));
        assert_eq!(written() != before, remembered, "{name}");
    }
    // A file of the same size and name that says something else.
    root.write(at("kernel/fs/toyfs/toyfs.ko"), module(&["new_symbol"], &[]));
    root.dkms(&["install", "hello/1.0", "-k", K, "--force"]).expect(0);
    assert!(root.read(at("modules.symbols")).contains("symbol:new_symbol"));
    // It goes with its kernel.
    fs::remove_dir_all(root.path(format!("/usr/lib/modules/{K}"))).unwrap();
    root.hook(&["--purge-missing"]).expect(0);
    assert!(!root.exists(&known));
    assert_eq!(root.take_depmods(), [""; 0]);
}

#[test]
fn a_circle_is_shown_with_its_packages_and_the_old_index_stays() {
    let root = root();
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    let before = index(&root);
    root.write(at("extra/p.ko"), module(&["of_p"], &["of_q"]));
    root.write(at("extra/q.ko"), module(&["of_q"], &["of_p"]));
    root.write(at("extra/user.ko"), module(&[], &["of_p"]));
    for _ in 0..2 {
        let answer = root.dkms(&["install", "hello/1.0", "-k", K, "--force"]).expect(6);
        assert!(answer.err.contains("p -> q -> p") || answer.err.contains("q -> p -> q"), "{}", answer.err);
        answer.says(&format!("q is /lib/modules/{K}/extra/q.ko, of no package here")).does_not_say("user");
    }
    assert_eq!(index(&root), before);
    root.dkms(&["status", "hello"]).expect(0).says("installed (Module index is out of date)");
    fs::remove_file(root.path(at("extra/q.ko"))).unwrap();
    root.hook(&[]).expect(0);
    assert_eq!(root.take_depmods(), [""; 0]);
    root.dkms(&["status", "hello"]).expect(0).says("x86_64: installed\n");
}

#[test]
fn whatever_is_odd_is_left_to_depmod() {
    let damaged = || {
        let root = root();
        root.write(at("extra/damaged.ko"), "no module");
        root
    };
    let asked_to = || {
        let root = root();
        root.write("/etc/dkms/framework.conf", "always_depmod=yes\n");
        root
    };
    let configured = || {
        let root = root();
        root.write("/etc/depmod.d/odd.conf", "something new\n");
        root
    };
    let external = || {
        let root = root();
        root.write("/usr/lib/depmod.d/external.conf", "external * /srv/modules\n");
        root
    };
    let newer = || root_with("99");
    for (what, root) in [
        ("a damaged module", damaged()),
        ("the setting", asked_to()),
        ("a line of depmod.d", configured()),
        ("directories elsewhere", external()),
        ("another kmod", newer()),
    ] {
        root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
        assert_eq!(root.take_depmods(), [K], "{what}");
        assert!(!root.exists(at("modules.dep.bin")), "{what}: the stand-in does not write it");
    }
}

#[test]
fn depmod_is_asked_again_when_it_is_another_one() {
    let root = root();
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.take_depmods(), [""; 0]);
    let text = root.read("/var/log/stand-ins/depmod").replace("kmod version 34.2", "kmod version 35");
    root.write_script("/var/log/stand-ins/depmod", &text);
    root.dkms(&["uninstall", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.take_depmods(), [K]);
}

#[test]
fn the_configuration_of_the_root_decides_which_file_counts() {
    let root = root();
    root.write(at("updates/toyfs.ko"), module(&[], &[]));
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert!(root.read(at("modules.dep")).contains("updates/toyfs.ko:"));
    root.write("/etc/depmod.d/order.conf", "search built-in updates\n");
    root.dkms(&["install", "hello/1.0", "-k", K, "--force"]).expect(0);
    assert!(root.read(at("modules.dep")).contains("kernel/fs/toyfs/toyfs.ko:"));
    assert_eq!(root.take_depmods(), [""; 0]);
}
