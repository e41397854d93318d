//! Which requests an action makes of the engine, and what it tells.

use std::ffi::OsString;

use crate::cli::dkms::fake::Fake;
use crate::cli::dkms::parse::{Disk, Parsed, parse};
use crate::cli::dkms::{begin, run};
use crate::cli::engine::Engine;
use crate::cli::screen::Screen;
use crate::model::ids::KernelRelease;
use crate::model::request::{Goal, Request};

const A: &str = "6.1.0-1-amd64";
const B: &str = "6.12.107+deb13-amd64";

fn machine() -> Fake {
    let mut fake = Fake::new();
    fake.kernel(A);
    fake.kernel(B);
    fake.running = Some(KernelRelease::new(A).unwrap());
    fake.register("m", "1");
    fake
}

/// Exit status, standard output, standard error.
fn dkms(fake: &mut Fake, line: &str) -> (u8, String, String) {
    let words = line.split_whitespace().map(OsString::from);
    let invocation = match parse(words, &Disk) {
        Ok(Parsed::Run(invocation)) => invocation,
        other => panic!("{line}: {other:?}"),
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(&invocation, fake, &mut Screen::new(&mut out, &mut err));
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// The kernels and goals of the requests so far.
fn brought(fake: &Fake) -> Vec<(String, Goal, bool)> {
    let one = |request: &Request| match request {
        Request::Bring { kernel, to, force, .. } => Some((kernel.to_string(), *to, *force)),
        _ => None,
    };
    fake.requests.iter().filter_map(one).collect()
}

#[test]
fn each_action_has_its_goal() {
    for (word, goal) in [
        ("build", Goal::Built),
        ("install", Goal::Installed),
        ("uninstall", Goal::Uninstalled),
        ("unbuild", Goal::Unbuilt),
    ] {
        let mut fake = machine();
        assert_eq!(dkms(&mut fake, &format!("{word} m/1")).0, 0);
        assert_eq!(brought(&fake), [(A.into(), goal, false)], "the running kernel is the default");
        let mut fake = machine();
        dkms(&mut fake, &format!("{word} m/1 --force -k {B} -k {A} -k {B}"));
        assert_eq!(brought(&fake), [(B.into(), goal, true), (A.into(), goal, true)], "each kernel once");
    }
}

#[test]
fn the_first_failure_is_the_status_and_every_kernel_gets_its_try() {
    let mut fake = machine();
    fake.fail(A, 10);
    let (code, _, err) = dkms(&mut fake, &format!("build m/1 -k {A} -k {B}"));
    assert_eq!((code, brought(&fake).len()), (10, 2));
    assert_eq!(err, "\nError! m/1 did not build\n");
    fake.fail(A, 77);
    let (code, _, err) = dkms(&mut fake, &format!("install m/1 -k {A}"));
    assert_eq!(code, 77);
    assert!(err.starts_with("Warning: m/1 is not built"), "{err}");
}

#[test]
fn a_root_without_the_running_kernel_has_its_own_default() {
    let mut fake = machine();
    for running in [None, Some(KernelRelease::new("5.10-host").unwrap())] {
        fake.running = running;
        fake.requests.clear();
        let (code, out, _) = dkms(&mut fake, "install m/1");
        assert_eq!((code, brought(&fake)), (0, vec![(B.into(), Goal::Installed, false)]));
        assert_eq!(out.lines().count(), 1, "{out}");
        assert!(out.contains(B), "{out}");
    }
    let mut fake = Fake::new();
    fake.register("m", "1");
    assert_eq!(dkms(&mut fake, "build m/1").0, 21);
    assert_eq!(dkms(&mut fake, "status").1, "m/1: added\n");
    assert_eq!(dkms(&mut fake, "remove m/1").0, 0, "there is nothing to unbuild, but it can go");
    assert_eq!(dkms(&mut fake, "status").1, "");
    assert_eq!(dkms(&mut fake, "add m/1").0, 0, "a source is registered without any kernel");
    assert_eq!(fake.added.len(), 1);
}

#[test]
fn states_that_forbid_an_action() {
    let mut fake = machine();
    fake.register("gone", "1");
    std::fs::remove_dir_all(fake.layout().source(&crate::model::ids::ModuleId::new("gone", "1").unwrap()))
        .unwrap();
    for (line, expected) in [
        ("add m/1", 3),
        ("add new/1", 2),
        ("build new/1", 2),
        ("add m", 1),
        ("remove", 1),
        ("build ../1", 1),
        ("remove new/1", 3),
        ("unbuild new/1 --all", 3),
        ("uninstall gone/1", 4),
        ("remove gone/1 --all", 4),
        ("build gone/1", 4),
        ("install gone/1", 4),
        ("mktarball m/1", 6),
        ("mktarball m/2", 3),
        ("mktarball gone/1", 4),
        ("mktarball m", 1),
        ("ldtarball", 2),
        ("ldtarball m/1", 2),
        ("ldtarball --archive=x.tar.gz", 2),
        ("build --archive=x.tar.gz", 2),
    ] {
        let (code, out, err) = dkms(&mut fake, line);
        assert_eq!(code, expected, "{line}: {err}");
        assert!(out.is_empty() && err.starts_with("\nError! "), "{line}: {out}{err}");
    }
    assert!(fake.requests.is_empty() && fake.added.is_empty());
    assert!(dkms(&mut fake, "build m").2.contains("known here: m/1"));
    fake.refuse = true;
    for line in ["add m/1", "install m/1", "uninstall m/1", "remove m/1", "autoinstall", "kernel_prerm -k X"]
    {
        assert_eq!(dkms(&mut fake, line).0, 1, "{line}");
    }
    assert_eq!(dkms(&mut fake, "status").0, 0, "anybody may look");
    assert!(fake.requests.is_empty());
}

#[test]
fn a_path_is_read_before_anything_is_copied() {
    let mut fake = machine();
    fake.write("home/new/dkms.conf", "new 2");
    fake.write("home/m/dkms.conf", "m 1");
    fake.write("home/bad/dkms.conf", "a/b 1");
    fake.write("home/empty/readme", "");
    let path = |fake: &Fake, name: &str| fake.dir().join("home").join(name).display().to_string();
    let (new, known, bad) = (path(&fake, "new"), path(&fake, "m"), path(&fake, "bad"));
    assert_eq!(dkms(&mut fake, &format!("add {known}")).0, 3);
    assert_eq!(dkms(&mut fake, &format!("install {known}/dkms.conf --force")).0, 3);
    assert_eq!(dkms(&mut fake, &format!("add {bad}")).0, 10);
    assert!(fake.added.is_empty() && fake.requests.is_empty());
    let (code, out, _) = dkms(&mut fake, &format!("add {new}/dkms.conf"));
    assert_eq!((code, fake.added.len()), (0, 1), "{out}");
    assert_eq!(fake.added[0].1.to_string(), "new/2");
    let registered = fake.layout().source(&crate::model::ids::ModuleId::new("m", "1").unwrap());
    assert_eq!(
        dkms(&mut fake, &format!("build {}", registered.display())).0,
        0,
        "its own source is no other"
    );
    fake.write("home/third/dkms.conf", "third 3");
    let third = path(&fake, "third");
    assert_eq!(
        dkms(&mut fake, &format!("install {third} -k {A} -k {B}")).0,
        0,
        "added once, for two kernels"
    );
    assert_eq!(fake.added.len(), 2);
    assert_eq!(brought(&fake).len(), 3);
}

#[test]
fn all_stands_for_every_build() {
    let mut fake = machine();
    fake.installed("m", "1", A);
    fake.built("m", "1", "5.4-gone");
    dkms(&mut fake, "uninstall m/1 --all");
    let expected = ["5.4-gone", A].map(|k| (k.to_owned(), Goal::Uninstalled, false));
    assert_eq!(brought(&fake), expected);
    dkms(&mut fake, "remove m/1 --all");
    assert!(matches!(fake.requests.last(), Some(Request::Remove { cells, .. }) if cells.len() == 2));
    dkms(&mut fake, &format!("remove m/1 -k {B}/i686"));
    let Some(Request::Remove { cells, .. }) = fake.requests.last() else { panic!("no removal") };
    assert_eq!(cells.iter().map(|(k, a)| format!("{k} {a}")).collect::<Vec<_>>(), [format!("{B} i686")]);
    let mut fake = machine();
    assert_eq!(dkms(&mut fake, "unbuild m/1 --all").0, 0, "no build, nothing to do");
    assert!(fake.requests.is_empty());
}

#[test]
fn a_command_with_nothing_to_do_says_so() {
    let mut fake = machine();
    fake.installed("m", "1", A);
    let (code, out, _) = dkms(&mut fake, "install m/1");
    assert_eq!(code, 0);
    assert!(out.starts_with(&format!("Module m/1 already installed on kernel {A} (x86_64)")), "{out}");
    let (code, out, _) = dkms(&mut fake, &format!("uninstall m/1 -k {B}"));
    assert_eq!(
        (code, out),
        (0, format!("Module m/1 is not installed for kernel {B} (x86_64). Skipping...\n"))
    );
}

#[test]
fn status_is_listed_for_each_kernel() {
    let mut fake = machine();
    fake.installed("m", "1", A);
    fake.built("m", "1", B);
    let (a, b) = (format!("m/1, {A}, x86_64: installed\n"), format!("m/1, {B}, x86_64: built\n"));
    assert_eq!(dkms(&mut fake, "status").1, format!("{a}{b}"));
    assert_eq!(dkms(&mut fake, "status m/1 --all").1, format!("{a}{b}"));
    assert_eq!(dkms(&mut fake, &format!("status -k {B} -k {A}")).1, format!("{b}{a}"));
    assert_eq!(dkms(&mut fake, "status -k 9.9").1, "m/1: added\n");
    assert_eq!(dkms(&mut fake, "status -a i686").1, "m/1: added\n");
    assert_eq!(dkms(&mut fake, "status -m x* -v 1").1, "");
    assert_eq!(dkms(&mut fake, "status -q"), (0, String::new(), String::new()));
}

#[test]
fn kernels_come_and_go() {
    let mut fake = machine();
    assert_eq!(dkms(&mut fake, &format!("kernel_postinst -k {B}")).0, 0);
    assert!(matches!(&fake.requests[..], [Request::Autoinstall { kernel, .. }] if kernel.as_str() == B));
    fake.requests.clear();
    assert_eq!(dkms(&mut fake, &format!("kernel_preinst -k {B}")).0, 0);
    assert!(fake.requests.is_empty(), "nothing is deleted before the package manager is sure");
    assert_eq!(dkms(&mut fake, &format!("kernel_prerm -k {B}")).0, 0);
    assert!(matches!(&fake.requests[..], [Request::KernelRemoved { kernel }] if kernel.as_str() == B));
    fake.fail(B, 11);
    assert_eq!(dkms(&mut fake, &format!("kernel_prerm -k {B}")).0, 14);
    let (code, out, _) = dkms(&mut fake, &format!("autoinstall -k {B}"));
    assert_eq!((code, out), (11, format!("Autoinstall on {B} failed for module(s) m(10).\n")));
    fake.write("etc/dkms/no-autoinstall", "");
    fake.requests.clear();
    assert_eq!(dkms(&mut fake, "autoinstall").0, 0);
    assert!(fake.requests.is_empty());
}

#[test]
fn match_copies_what_is_installed() {
    let mut fake = machine();
    fake.installed("m", "1", A);
    fake.register("other", "2");
    fake.built("other", "2", A);
    assert_eq!(dkms(&mut fake, &format!("match -k {B}")).0, 1);
    assert_eq!(dkms(&mut fake, &format!("match --templatekernel={B} -k {B}")).0, 2);
    assert_eq!(dkms(&mut fake, &format!("match --templatekernel={A} -k {B} no")).0, 3);
    assert_eq!(dkms(&mut fake, &format!("match --templatekernel=9 -k {B}")).0, 0);
    assert!(fake.requests.is_empty());
    assert_eq!(dkms(&mut fake, &format!("match --templatekernel={A} -k {B}")).0, 0);
    assert_eq!(brought(&fake), [(B.into(), Goal::Installed, false)]);
}

#[test]
fn help_version_and_mistakes_end_before_there_is_an_engine() {
    let begin = |words: &[&str]| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = begin(words.iter().map(OsString::from), &mut Screen::new(&mut out, &mut err)).map(|_| ());
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    };
    assert_eq!(begin(&["--version"]), (Err(0), "dkms-3.4.3\n".into(), String::new()));
    let (code, out, err) = begin(&["--help"]);
    assert!(code == Err(0) && out.starts_with("Usage: dkms ") && err.is_empty());
    let (code, out, err) = begin(&["instal", "m/1"]);
    assert!(code == Err(2) && out.is_empty(), "{out}");
    assert!(
        err.starts_with("\nError! \"instal\" is not an action\n") && err.contains("Usage: dkms "),
        "{err}"
    );
    assert_eq!(begin(&["-q", "--nonsense"]), (Err(2), String::new(), String::new()));
    let (code, _, err) = begin(&["status", "--no-initrd", "a", "b"]);
    let expected = "Deprecated feature: --no-initrd\nWarning: I do not know how to handle b.\n";
    assert_eq!((code, err.as_str()), (Ok(()), expected));
}

#[test]
fn a_key_is_named_before_anything_can_fail() {
    let mut fake = machine();
    let (code, out, err) = dkms(&mut fake, "generate_mok");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("Signing key: k\nPublic certificate (MOK): c\n"), "{out}");
    fake.refuse = true;
    let (code, out, err) = dkms(&mut fake, "generate_mok");
    assert_eq!((code, out.as_str()), (1, "Signing key: k\nPublic certificate (MOK): c\n"));
    assert!(err.contains("half a pair"), "{err}");
}
