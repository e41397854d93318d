//! Signing: who signs, with which key, and what happens when it cannot be done.

#[path = "support/build_run.rs"]
mod build_run;
#[path = "support/toy_kernel.rs"]
mod toy_kernel;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use build_run::{K, Run};
use dkms_hook::apply::build::Signed;
use dkms_hook::digest::file_digest;
use dkms_hook::elf;
use dkms_hook::kbuild::signing_identity;
use toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const KEY: &str = "/var/lib/dkms/mok.key";
const CERTIFICATE: &str = "/var/lib/dkms/mok.pub";

/// Appends 5 bytes that say what it was called with, in the form of a signature.
const SIGN_FILE: &str = "#!/bin/sh\n\
    test -s \"$2\" && test -s \"$3\" && test \"$kernelver\" = 6.12.1-toy || { echo no key >&2; exit 1; }\n\
    printf '%.5s' \"$1-----\" >> \"$4\"\n\
    printf '\\0\\0\\2\\0\\0\\0\\0\\0\\0\\0\\0\\5~Module signature appended~\\n' >> \"$4\"\n";

/// A kernel that wants signatures, with the tool where Debian's headers have it.
fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).config("CONFIG_MODULE_SIG_HASH=\"sha256\"").compressed("XZ").install(&root);
    root.write_script(format!("/usr/src/linux-headers-{K}/scripts/sign-file"), SIGN_FILE);
    root
}

fn wanting<'a>(root: &'a FakeRoot) -> Run<'a> {
    let mut run = Run::new(root, &ToyModule::new("hello", "1.0"));
    run.framework.try_sign_modules = Some("true".into());
    run.verbose = true;
    run
}

fn identity(run: &Run) -> Option<String> {
    signing_identity(&run.root.layout, &run.framework, &run.root.context(&run.cell), "debian")
}

#[test]
fn a_key_pair_is_made_once_and_signs() {
    let root = root();
    let run = wanting(&root);
    assert_eq!(identity(&run), None, "there is nothing to compare with before the pair is made");
    let built = run.build().unwrap();
    let certificate = file_digest(&root.path(CERTIFICATE)).unwrap();
    assert_eq!(built.signed, Signed::With { certificate: certificate.clone() });
    assert_eq!(identity(&run), Some(certificate.clone()));
    assert_eq!(fs::metadata(root.path(KEY)).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(root.read(KEY).contains("PRIVATE KEY"));
    assert_eq!(fs::read(root.path(CERTIFICATE)).unwrap()[0], 0x30, "DER");
    assert_eq!(root.names("/var/lib/dkms"), ["hello", "mok.key", "mok.pub"]);

    // Signed after stripping and before compression, and still a module.
    let bytes = run.module_bytes("hello.ko.xz");
    assert!(elf::has_signature(&bytes));
    let body = elf::without_signature(&bytes);
    assert_eq!(bytes[body.len()..body.len() + 5], *b"sha25");
    assert!(run.modinfo("hello.ko.xz").signed);

    assert_eq!(run.build().unwrap().signed, Signed::With { certificate });
    let lines = run.report.lines();
    for line in [
        format!("Sign command: /usr/src/linux-headers-{K}/scripts/sign-file"),
        format!("Signing key: {KEY}"),
        format!("Public certificate (MOK): {CERTIFICATE}"),
        "Signing module hello.ko".to_owned(),
    ] {
        assert!(lines.contains(&line), "{line} in {lines:?}");
    }
}

#[test]
fn half_a_pair_is_never_completed() {
    for half in [KEY, CERTIFICATE] {
        let root = root();
        root.write(half, "enrolled");
        let run = wanting(&root);
        assert_eq!(identity(&run), None);
        let built = run.build().unwrap();
        let Signed::Not(why) = &built.signed else { panic!("{built:?}") };
        assert!(why.contains(KEY) && why.contains(CERTIFICATE), "{why}");
        assert!(built.warnings.iter().any(|w| w.contains(why)), "{:?}", built.warnings);
        assert_eq!(root.read(half), "enrolled");
        assert_eq!(root.names("/var/lib/dkms").iter().filter(|n| n.starts_with("mok")).count(), 1);
        assert!(!run.modinfo("hello.ko.xz").signed);
    }
}

#[test]
fn every_no_has_its_reason() {
    let reason = |run: &Run| match run.build().unwrap().signed {
        Signed::Not(why) => why,
        signed => panic!("{signed:?}"),
    };
    let root = root();
    let mut run = wanting(&root);
    run.framework.try_sign_modules = Some("false".into());
    assert!(reason(&run).contains("try_sign_modules"));
    run.framework.try_sign_modules = None;
    assert!(reason(&run).contains("another root"));
    run.framework.try_sign_modules = Some("true".into());
    run.verbose = true;
    run.framework.sign_file = Some("/opt/$kernelver/sign".into());
    assert!(reason(&run).contains(&format!("/opt/{K}/sign")));
    assert!(!root.exists(KEY), "no key is made where nothing is signed");

    run.framework.sign_file = None;
    ToyKernel::new(K).compressed("XZ").install_headers(&root);
    assert!(reason(&run).contains("without support for signed modules"));
}

#[test]
fn a_tool_that_fails_leaves_the_module_unsigned() {
    let root = root();
    let run = wanting(&root);
    let tool = format!("/usr/src/linux-headers-{K}/scripts/sign-file");
    root.write_script(tool, "#!/bin/sh\necho no such engine >&2\nexit 1\n");
    let built = run.build().unwrap();
    assert!(matches!(&built.signed, Signed::Not(why) if why.contains("no such engine")), "{built:?}");
    assert!(built.warnings.iter().any(|w| w.contains("hello.ko could not be signed")));
    assert_eq!(run.modinfo("hello.ko.xz").kernel(), Some(K));
}

#[test]
fn keys_of_the_administrators_choice() {
    let root = root();
    root.write("/etc/keys/my.key", "key");
    root.write("/etc/keys/my.der", "certificate");
    let mut run = wanting(&root);
    run.framework.mok_signing_key = Some("/etc/keys/my.key".into());
    run.framework.mok_certificate = Some("/etc/keys/my.der".into());
    run.framework.sign_file = Some("/lib/modules/${kernelver}/build/scripts/sign-file".into());
    let certificate = file_digest(&root.path("/etc/keys/my.der")).unwrap();
    assert_eq!(identity(&run), Some(certificate.clone()));
    assert_eq!(run.build().unwrap().signed, Signed::With { certificate });
    assert!(!root.exists(KEY));
}
