//! Signing: who signs, with which key, and what happens when it cannot be done.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::build_run::{K, Run};
use crate::support::signing::{CERTIFICATE, KEY};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use dkms_hook::apply::build::Signed;
use dkms_hook::elf;
use dkms_hook::fs::digest::file_digest;
use dkms_hook::kernel::{Checked, KernelFiles, check, signing_identity};
use dkms_hook::trust::pki::Certificate;

/// A kernel that wants signatures, with the tool where Debian's headers have it.
fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).config("CONFIG_MODULE_SIG_HASH=\"sha256\"").compressed("XZ").install(&root);
    root.write_sign_file(K);
    root
}

fn wanting<'a>(root: &'a FakeRoot) -> Run<'a> {
    let mut run = Run::new(root, &ToyModule::new("hello", "1.0"));
    run.settings.try_sign_modules.value = Some("true".into());
    run.verbose = true;
    run
}

fn identity(run: &Run) -> Option<String> {
    let context = run.root.context(&run.cell);
    let kernel = KernelFiles::of(&run.cell.kernel, &context);
    signing_identity(&run.root.layout, &run.settings, &kernel, "debian")
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
    assert_eq!(root.names("/var/lib/dkms"), [".dkms-hook", "hello", "mok.key", "mok.pub"]);

    // Signed after stripping and before compression, and still a module.
    let bytes = run.module_bytes("hello.ko.xz");
    assert!(elf::has_signature(&bytes));
    let read = Certificate::read(&root.path(CERTIFICATE)).unwrap();
    assert_eq!(check(&bytes, &read, "sha256"), Checked::Good);
    assert!(matches!(check(&bytes, &read, "sha512"), Checked::Bad(why) if why.contains("sha256")));
    assert!(run.modinfo("hello.ko.xz").signed);
    assert_eq!(root.take_sign_calls(), [format!("sha256 {KEY} {CERTIFICATE} hello.ko")]);

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
        let Signed::Failed(why) = &built.signed else { panic!("{built:?}") };
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
    run.settings.try_sign_modules.value = Some("false".into());
    assert!(reason(&run).contains("try_sign_modules"));
    run.settings.try_sign_modules.value = None;
    assert!(reason(&run).contains("a root other"));
    run.settings.try_sign_modules.value = Some("true".into());
    run.verbose = true;
    run.settings.sign_file.value = Some("/opt/$kernelver/sign".into());
    assert!(reason(&run).contains(&format!("/opt/{K}/sign")));
    assert!(!root.exists(KEY), "no key is made where nothing is signed");

    run.settings.sign_file.value = None;
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
    assert!(matches!(&built.signed, Signed::Failed(why) if why.contains("no such engine")), "{built:?}");
    assert!(built.warnings.iter().any(|w| w.contains("hello.ko could not be signed")));
    assert_eq!(run.modinfo("hello.ko.xz").kernel(), Some(K));
}

#[test]
fn keys_of_the_administrators_choice() {
    let root = root();
    root.write_pair("/etc/keys/my.key", "/etc/keys/my.der", None);
    let mut run = wanting(&root);
    run.settings.mok_signing_key.value = Some("/etc/keys/my.key".into());
    run.settings.mok_certificate.value = Some("/etc/keys/my.der".into());
    run.settings.sign_file.value = Some("/lib/modules/${kernelver}/build/scripts/sign-file".into());
    let certificate = file_digest(&root.path("/etc/keys/my.der")).unwrap();
    assert_eq!(identity(&run), Some(certificate.clone()));
    assert_eq!(run.build().unwrap().signed, Signed::With { certificate });
    assert!(!root.exists(KEY));
}

#[test]
fn the_digest_is_the_kernels() {
    let root = root();
    let run = wanting(&root);
    ToyKernel::new(K).config("CONFIG_MODULE_SIG_HASH=\"sha512\"").install_headers(&root);
    assert!(matches!(run.build().unwrap().signed, Signed::With { .. }));
    assert_eq!(root.take_sign_calls(), [format!("sha512 {KEY} {CERTIFICATE} hello.ko")]);
}

/// Tools that claim to have signed: nothing of what they did is left, and the module is built all
/// the same.
#[test]
fn a_signature_that_is_not_right_is_none() {
    let cases = [
        ("true", "no signature at its end"),
        ("echo garbage >> \"$4\"", "no signature at its end"),
        (
            "printf 'garbage\\0\\0\\2\\0\\0\\0\\0\\0\\0\\0\\0\\7~Module signature appended~\\n' >> \"$4\"",
            "not PKCS#7",
        ),
        ("\"${0%/*}/real\" sha1 \"$2\" \"$3\" \"$4\"", "signed with sha1, but the kernel requires sha256"),
        (
            "\"${0%/*}/real\" \"$1\" \"${0%/*}/other.key\" \"${0%/*}/other.der\" \"$4\"",
            "not made with the key of the certificate",
        ),
        // Changes the module after it was signed.
        (
            "\"${0%/*}/real\" \"$@\"; printf X | dd of=\"$4\" bs=1 seek=100 conv=notrunc status=none",
            "does not match the module",
        ),
    ];
    for (does, expected) in cases {
        let root = root();
        let headers = format!("/usr/src/linux-headers-{K}/scripts");
        fs::rename(root.path(format!("{headers}/sign-file")), root.path(format!("{headers}/real"))).unwrap();
        root.write_pair(&format!("{headers}/other.key"), &format!("{headers}/other.der"), None);
        root.write_script(format!("{headers}/sign-file"), &format!("#!/bin/sh\n{does}\n"));
        let run = wanting(&root);
        let built = run.build().unwrap();
        let Signed::Failed(why) = &built.signed else { panic!("{expected}: {built:?}") };
        assert!(why.contains(expected), "{expected}: {why}");
        assert!(built.warnings.iter().any(|w| w.contains("hello.ko could not be signed")));
        let bytes = run.module_bytes("hello.ko.xz");
        assert_eq!(elf::without_signature(&bytes).len(), bytes.len());
        assert!(!bytes.ends_with(b"garbage\n") && run.modinfo("hello.ko.xz").kernel() == Some(K));
    }
}

#[test]
fn a_key_with_a_passphrase_waits_for_nobody() {
    let root = root();
    root.write_pair(KEY, CERTIFICATE, Some("secret"));
    let mut run = wanting(&root);
    let built = run.build().unwrap();
    let Signed::Failed(why) = &built.signed else { panic!("{built:?}") };
    assert!(why.contains(KEY) && why.contains("KBUILD_SIGN_PIN"), "{why}");
    assert!(root.take_sign_calls().is_empty());

    // A wrong one is the tool's to refuse.
    root.write("/etc/dkms/build.env", "export KBUILD_SIGN_PIN=guess\n");
    run.settings.build_environment.value = Some("/etc/dkms/build.env".into());
    assert!(matches!(run.build().unwrap().signed, Signed::Failed(_)));
    root.write("/etc/dkms/build.env", "export KBUILD_SIGN_PIN=secret\n");
    assert!(matches!(run.build().unwrap().signed, Signed::With { .. }));
}

#[test]
fn a_tool_of_ones_own_may_unlock_the_key_by_itself() {
    let root = root();
    root.write_pair(KEY, CERTIFICATE, Some("secret"));
    let mut run = wanting(&root);
    let headers = format!("/lib/modules/{K}/build/scripts");
    run.settings.sign_file.value = Some("/opt/sign".into());
    let real = root.layout.root.resolve(format!("{headers}/sign-file")).unwrap();
    let unlock = format!("#!/bin/sh\nKBUILD_SIGN_PIN=secret exec {} \"$@\"\n", real.display());
    root.write_script("/opt/sign", &unlock);
    assert!(matches!(run.build().unwrap().signed, Signed::With { .. }));
    root.write_script("/opt/sign", &format!("#!/bin/sh\nexec {} \"$@\"\n", real.display()));
    let Signed::Failed(why) = run.build().unwrap().signed else { panic!() };
    assert!(why.contains("KBUILD_SIGN_PIN"), "{why}");
}

#[test]
fn a_kernel_that_insists_on_signatures_is_named() {
    let root = root();
    let mut run = wanting(&root);
    run.settings.try_sign_modules.value = Some("false".into());
    let warnings = |run: &Run| run.build().unwrap().warnings.join("\n");
    let kernel = || ToyKernel::new(K).config("CONFIG_MODULE_SIG_HASH=\"sha256\"");
    let usual = kernel().config("CONFIG_IMA_ARCH_POLICY=y").config("CONFIG_SECURITY_LOCKDOWN_LSM=y");
    usual.install_headers(&root);
    assert!(
        warnings(&run).contains("A machine with Secure Boot refuses them"),
        "who knows where it is started?"
    );
    root.write("/etc/kernel/cmdline", "quiet\n");
    let variables = "/sys/firmware/efi/efivars";
    let secure_boot = format!("{variables}/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
    root.write(&secure_boot, [6, 0, 0, 0, 1]);
    let told = warnings(&run);
    assert!(told.contains("WILL NOT LOAD") && told.contains("Secure Boot is on"), "{told}");
    root.write(&secure_boot, [6, 0, 0, 0, 0]);
    assert_eq!(warnings(&run), "");
    root.write("/etc/kernel/cmdline", "quiet lockdown=integrity\n");
    assert!(warnings(&run).contains("lockdown= is among its parameters"));
    // That of the kernel that runs says nothing of another.
    root.write("/etc/kernel/cmdline", "quiet\n");
    root.write("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
    assert_eq!(warnings(&run), "");
    kernel().config("CONFIG_MODULE_SIG_FORCE=y").install_headers(&root);
    assert!(warnings(&run).contains("CONFIG_MODULE_SIG_FORCE"));
    run.settings.try_sign_modules.value = Some("true".into());
    assert!(!warnings(&run).contains("WILL NOT LOAD"), "what is signed is loaded");
}

#[test]
fn a_tool_that_gives_up_half_way_leaves_nothing() {
    let root = root();
    // As scripts/sign-file.c does when the disk is full.
    let text = "#!/bin/sh\necho half > \"$4.~signed~\"\necho half > \"$4\"\necho no space >&2\nexit 1\n";
    root.write_script(format!("/usr/src/linux-headers-{K}/scripts/sign-file"), text);
    let run = wanting(&root);
    let Signed::Failed(why) = run.build().unwrap().signed else { panic!() };
    assert!(why.contains("no space"), "{why}");
    assert_eq!(root.names(format!("{}/module", run.cell_dir())), ["Module.symvers", "hello.ko.xz"]);
    assert!(!run.modinfo("hello.ko.xz").signed);
}
