//! Keys and signatures with the real program, the real openssl, and modules that are really
//! compiled: making a pair, changing it, and what is told of Secure Boot.

#[path = "support/program.rs"]
mod program;
#[path = "support/signing.rs"]
mod signing;
#[path = "support/snapshot.rs"]
mod snapshot;
#[path = "support/toy_kernel.rs"]
mod toy_kernel;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use dkms_hook::elf;
use dkms_hook::kbuild::Checked;
use program::{Answer, Face, finish};
use signing::{CERTIFICATE, KEY};
use toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";
const INSTALLED: &str = "/lib/modules/6.12.1-toy/updates/dkms/hello.ko.xz";

/// Two kernels that want signatures, one with compressed modules, and a module of two files.
fn root() -> FakeRoot {
    let root = FakeRoot::new();
    let kernel = |release| ToyKernel::new(release).config("CONFIG_MODULE_SIG_HASH=\"sha256\"");
    kernel(K).compressed("XZ").install(&root);
    kernel(K2).install(&root);
    root.write_sign_file(K);
    root.write_sign_file(K2);
    root.write("/etc/dkms/framework.conf", "try_sign_modules=true\n");
    ToyModule::new("hello", "1.0").record("world").register(&root);
    root
}

/// The same, installed for both.
fn installed() -> FakeRoot {
    let root = root();
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 2);
    assert_eq!(root.take_sign_calls().len(), 4);
    root.take_calls();
    root
}

fn new_key(root: &FakeRoot) {
    root.write_pair(KEY, CERTIFICATE, None);
}

/// Built and installed files bear the present key's signature, and are the same.
#[track_caller]
fn signed_with_the_present_key(root: &FakeRoot) {
    for (kernel, suffix) in [(K, ".xz"), (K2, "")] {
        for name in ["hello", "world"] {
            let built = format!("/var/lib/dkms/hello/1.0/{kernel}/x86_64/module/{name}.ko{suffix}");
            let installed = format!("/lib/modules/{kernel}/updates/dkms/{name}.ko{suffix}");
            assert_eq!(root.checked(&built, CERTIFICATE, "sha256"), Checked::Good, "{built}");
            assert_eq!(root.module(&installed), root.module(&built));
            // One signature, not one behind another.
            let module = root.module(&built);
            assert!(!elf::has_signature(elf::without_signature(&module)));
        }
    }
}

#[track_caller]
fn in_line(root: &FakeRoot) {
    let before = root.snapshot();
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
    root.deb("trigger", "", "triggered").expect(0);
    root.assert_untouched(&before);
    assert!(root.take_make_calls().is_empty() && root.take_sign_calls().is_empty());
    root.take_calls();
}

// --- generate_mok

#[test]
fn generate_mok_makes_a_pair_once() {
    let root = root();
    let answer = root.dkms(&["generate_mok"]).expect(0);
    let lines = "Signing key: /var/lib/dkms/mok.key\nPublic certificate (MOK): /var/lib/dkms/mok.pub\n";
    assert!(answer.out.starts_with(lines), "{}", answer.out);
    assert_eq!(fs::metadata(root.path(KEY)).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read(root.path(CERTIFICATE)).unwrap()[0], 0x30, "DER");
    let before = root.snapshot();
    assert_eq!(root.dkms(&["generate_mok"]).expect(0).out, lines);
    root.assert_untouched(&before);
    root.hook(&[]).expect(0);
    signed_with_the_present_key(&root);
}

#[test]
fn generate_mok_uses_the_places_of_framework_conf() {
    let root = root();
    root.write(
        "/etc/dkms/framework.conf",
        "mok_signing_key=/etc/keys/\"$kernelver\".key\nmok_certificate='/etc/keys/$kernelver.der'\n",
    );
    root.dkms(&["generate_mok", "-k", K]).expect(0).says(&format!("Signing key: /etc/keys/{K}.key\n"));
    assert_eq!(root.names("/etc/keys"), [format!("{K}.der"), format!("{K}.key")]);
    assert!(!root.exists(KEY));
}

#[test]
fn half_a_pair_is_an_error_and_stays() {
    for (half, missing) in [(KEY, CERTIFICATE), (CERTIFICATE, KEY)] {
        let root = root();
        root.write(half, "enrolled");
        let before = root.snapshot();
        let answer = root.dkms(&["generate_mok"]).expect(1).says(missing).says(half);
        assert!(answer.out.contains("Signing key: ") && answer.err.contains("missing"));
        root.assert_untouched(&before);
        // A build goes on without, and says so.
        root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).says("not signed").says(missing);
        assert_eq!(root.read(half), "enrolled");
        assert!(!root.exists(missing) && !elf::has_signature(&root.module(INSTALLED)));
    }
}

#[test]
fn an_openssl_that_fails_leaves_nothing() {
    let root = root();
    let openssl = root.write_script("/opt/openssl", "#!/bin/sh\necho no entropy >&2\nexit 3\n");
    let before = root.names("/var/lib/dkms");
    let mut command = root.program(Face::Dkms);
    let path = format!("{}:{}", openssl.parent().unwrap().display(), root.search_path());
    finish(command.arg("generate_mok").env("PATH", path)).expect(1).says("no entropy");
    assert!(!root.exists(KEY) && !root.exists(CERTIFICATE));
    let left: Vec<String> = root.names("/var/lib/dkms").into_iter().filter(|n| n != ".dkms-hook").collect();
    assert_eq!(left, before);
}

#[test]
fn a_setting_in_the_environment_is_not_heeded_and_that_is_said() {
    let root = root();
    let mut command = root.program(Face::Dkms);
    command.args(["install", "hello/1.0", "-k", K]).env("mok_signing_key", "/tmp/other.key");
    finish(&mut command).expect(0).says("mok_signing_key in the environment counts for nothing");
    assert!(root.take_sign_calls()[0].contains(KEY));
}

// --- a new key

#[test]
fn a_new_key_signs_anew_without_building() {
    let root = installed();
    new_key(&root);
    let dry = root.hook(&["--dry-run"]).expect(0).out;
    let lines = [K, K2].map(|k| format!("would sign hello/1.0 for {k}: the signing key changed\n"));
    assert_eq!(dry, lines.concat());
    root.deb("trigger", "", "triggered").expect(0);
    assert!(root.take_make_calls().is_empty());
    assert_eq!(root.take_sign_calls().len(), 4);
    assert!(root.take_depmods().is_empty(), "another signature is nothing to depmod");
    signed_with_the_present_key(&root);
    in_line(&root);
    root.dkms(&["status"]).expect(0).does_not_say("Differences");
}

#[test]
fn a_new_key_and_a_new_source_are_one_build() {
    let root = installed();
    new_key(&root);
    root.write("/usr/src/hello-1.0/notes.txt", "new");
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 2);
    assert_eq!(root.take_sign_calls().len(), 4);
    signed_with_the_present_key(&root);
    root.take_calls();
    in_line(&root);
}

#[test]
fn installing_by_name_signs_anew_too() {
    let root = installed();
    new_key(&root);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).says("Signing hello/1.0");
    root.dkms(&["build", "hello/1.0", "-k", K2]).expect(0);
    assert!(root.take_make_calls().is_empty());
    signed_with_the_present_key(&root);
    root.take_calls();
    root.take_sign_calls();
    in_line(&root);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).says("already installed");
}

#[test]
fn resign_by_hand_touches_what_is_asked_for() {
    let root = installed();
    let before = root.snapshot();
    assert_eq!(root.hook(&["resign"]).expect(0).out, "nothing to do\n");
    root.assert_untouched(&before);
    new_key(&root);
    let other = root.snapshot_of(format!("/usr/lib/modules/{K2}"));
    let dry = root.hook(&["resign", "-n", "--kernel", K]).expect(0).out;
    assert_eq!(
        dry,
        format!("would sign hello/1.0 for {K}: it does not bear the signature of the present key\n")
    );
    root.hook(&["resign", "--kernel", K, "hello"]).expect(0).says("Signing module world.ko");
    assert_eq!(root.take_sign_calls().len(), 2);
    assert!(other == root.snapshot_of(format!("/usr/lib/modules/{K2}")));
    root.hook(&["resign", "hello/1.0"]).expect(0);
    assert_eq!(root.take_sign_calls().len(), 2, "what is right is left alone");
    signed_with_the_present_key(&root);
    assert!(root.take_make_calls().is_empty() && root.take_depmods().is_empty());
    in_line(&root);

    root.hook(&["resign", "nothing"]).expect(11).says("no build of nothing");
    root.hook(&["resign", "--kernel", "9.9"]).expect(11).says("there is no kernel 9.9");
    root.hook(&["resign", "a/b/c"]).expect(16);
}

#[test]
fn resign_signs_what_was_built_unsigned_and_what_dkms_made() {
    let root = root();
    root.write("/etc/dkms/framework.conf", "try_sign_modules=false\n");
    root.hook(&[]).expect(0);
    assert!(!elf::has_signature(&root.module(INSTALLED)));
    root.hook(&["resign"]).expect(11).says("cannot be signed: switched off by try_sign_modules");
    root.write("/etc/dkms/framework.conf", "try_sign_modules=true\n");
    root.hook(&[]).expect(0);
    assert!(root.take_sign_calls().is_empty(), "a module built unsigned is no reason by itself");
    // As DKMS leaves it: without a record.
    fs::remove_file(root.path(format!("/var/lib/dkms/hello/1.0/{K}/x86_64/.dkms-hook.json"))).unwrap();
    root.take_make_calls();
    root.hook(&["resign"]).expect(0);
    assert!(root.take_make_calls().is_empty());
    signed_with_the_present_key(&root);
    root.hook(&[]).expect(0);
    assert!(root.take_make_calls().is_empty());
    root.take_calls();
    root.take_sign_calls();
    in_line(&root);
}

#[test]
fn links_into_the_tree_stay_links() {
    let root = root();
    root.dkms(&["install", "hello/1.0", "-k", K, "--symlink-modules"]).expect(0);
    new_key(&root);
    root.hook(&["resign"]).expect(0);
    assert!(fs::symlink_metadata(root.path(INSTALLED)).unwrap().file_type().is_symlink());
    assert_eq!(root.dkms(&["status"]).expect(0).out, format!("hello/1.0, {K}, x86_64: installed\n"));
}

#[test]
fn a_killed_run_leaves_old_or_new_and_the_next_finishes() {
    let root = installed();
    new_key(&root);
    // The second module's signature never comes: the run is killed there.
    let tool = format!("/usr/src/linux-headers-{K}/scripts/sign-file");
    let good = root.read(&tool);
    let kill = "case $4 in */world.ko) kill -9 $PPID; exit 1 ;; esac\n";
    root.write_script(&tool, &good.replacen("set -e\n", &format!("set -e\n{kill}"), 1));
    root.hook(&["resign"]).expect(137);
    let module = root.module(INSTALLED);
    assert!(elf::has_signature(&module), "the old one");
    root.write_script(&tool, &good);
    root.hook(&[]).expect(0);
    signed_with_the_present_key(&root);
    assert!(root.take_make_calls().is_empty());
    let left = root.names(format!("/var/lib/dkms/hello/1.0/{K}"));
    assert_eq!(left, ["x86_64"]);
    root.take_calls();
    root.take_sign_calls();
    in_line(&root);
}

#[test]
fn a_new_key_that_cannot_sign_is_told_once_and_costs_nothing() {
    let root = installed();
    root.write_pair(KEY, CERTIFICATE, Some("secret"));
    let modules = root.snapshot_of("/usr/lib/modules");
    let told = "could not be signed with the present key";
    root.deb("trigger", "", "triggered").expect(0).says(told);
    assert!(modules == root.snapshot_of("/usr/lib/modules"), "the old signature stays");
    root.hook(&["status"]).expect(1).says("KBUILD_SIGN_PIN");
    root.hook(&["deb", "summary"]).expect(0).does_not_say(told);
    let before = root.snapshot();
    root.deb("trigger", "", "triggered").expect(0);
    root.assert_untouched(&before);
    assert!(root.take_sign_calls().is_empty() && root.take_make_calls().is_empty());
    // To DKMS's users the module is there.
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).says("KBUILD_SIGN_PIN");

    let with_passphrase = |args: &[&str]| -> Answer {
        finish(root.program(Face::Hook).args(args).env("KBUILD_SIGN_PIN", "secret"))
    };
    with_passphrase(&["resign"]).expect(0);
    signed_with_the_present_key(&root);
    root.hook(&["status"]).expect(0).does_not_say("KBUILD_SIGN_PIN");
    root.take_calls();
    root.take_sign_calls();
    in_line(&root);
}

#[test]
fn a_tool_that_does_not_sign_changes_nothing() {
    let root = installed();
    new_key(&root);
    root.write_script(
        format!("/usr/src/linux-headers-{K}/scripts/sign-file"),
        "#!/bin/sh\necho garbage >> \"$4\"\n",
    );
    let modules = root.snapshot_of(format!("/usr/lib/modules/{K}"));
    root.hook(&["resign"]).expect(11).says("no signature at its end").says("its old signature stays");
    assert!(modules == root.snapshot_of(format!("/usr/lib/modules/{K}")));
    let installed = format!("/lib/modules/{K2}/updates/dkms/hello.ko");
    assert_eq!(root.checked(&installed, CERTIFICATE, "sha256"), Checked::Good, "the others are signed");
}

// --- distributions

#[test]
fn ubuntu_has_its_pair_made_by_its_own_tool() {
    let root = root();
    root.write("/etc/os-release", "ID=ubuntu\nID_LIKE=debian\n");
    let (key, certificate) = ("/var/lib/shim-signed/mok/MOK.priv", "/var/lib/shim-signed/mok/MOK.der");
    // Elsewhere, so that the stand-in has something to hand out.
    root.write_pair("/opt/k", "/opt/c", None);
    let mok = root.path("/var/lib/shim-signed/mok");
    let opt = root.path("/opt");
    let calls = root.path("/var/log/toy-calls");
    let tool = root.write_script(
        "/opt/bin/update-secureboot-policy",
        &format!(
            "#!/bin/sh\necho \"policy $1 $SHIM_NOTRIGGER\" >> {calls}\nmkdir -p {mok}\n\
             cp {opt}/k {mok}/MOK.priv\ncp {opt}/c {mok}/MOK.der\n",
            calls = calls.display(),
            mok = mok.display(),
            opt = opt.display()
        ),
    );
    let with_tool = |args: &[&str]| {
        let path = format!("{}:{}", tool.parent().unwrap().display(), root.search_path());
        finish(root.program(Face::Dkms).args(args).env("PATH", path))
    };
    with_tool(&["install", "hello/1.0", "-k", K]).expect(0);
    let calls: Vec<String> = root.take_calls().into_iter().filter(|c| c.starts_with("policy")).collect();
    assert_eq!(calls, ["policy --new-key y"], "nobody is there to be asked about enrolling");
    assert_eq!(root.checked(INSTALLED, certificate, "sha256"), Checked::Good);
    assert!(root.take_sign_calls()[0].contains(key) && !root.exists(KEY));
    with_tool(&["generate_mok"]).expect(0).says(&format!("Signing key: {key}\n"));

    // Secure Boot is on and nothing is enrolled.
    firmware(&root, "SecureBoot", GLOBAL, &[1]);
    root.hook(&["status"]).expect(0).says("`update-secureboot-policy --enroll-key`");
    fs::remove_file(root.path(certificate)).unwrap();
    with_tool(&["generate_mok"]).expect(1).says(certificate);
}

#[test]
fn gentoo_names_its_key_in_make_conf_or_takes_the_kernels() {
    let root = root();
    root.write("/etc/os-release", "ID=gentoo\n");
    root.write_pair("/etc/keys/k.pem", "/etc/keys/c.der", None);
    root.write(
        "/etc/portage/make.conf",
        "USE=\"modules-sign\"\nMODULES_SIGN_KEY=\"/etc/keys/k.pem\"\nMODULES_SIGN_CERT=/etc/keys/c.der\n",
    );
    root.dkms(&["generate_mok"]).expect(0).says("Signing key: /etc/keys/k.pem\n").says("/etc/keys/c.der");
    root.dkms(&["build", "hello/1.0", "-k", K]).expect(0);
    assert!(root.take_sign_calls()[0].starts_with("sha256 /etc/keys/k.pem /etc/keys/c.der"));

    fs::remove_file(root.path("/etc/portage/make.conf")).unwrap();
    let kernel = ToyKernel::new(K2).config("CONFIG_MODULE_SIG_HASH=\"sha256\"");
    kernel.config("CONFIG_MODULE_SIG_KEY=\"certs/signing_key.pem\"").install_headers(&root);
    // Both halves in one file, as the kernel's build has it.
    let file = format!("/usr/src/linux-headers-{K2}/certs/signing_key.pem");
    root.write_pair("/opt/k", "/opt/c", None);
    let pem = std::process::Command::new("openssl")
        .args(["x509", "-inform", "DER", "-in"])
        .arg(root.path("/opt/c"))
        .output()
        .unwrap();
    root.write(&file, [fs::read(root.path("/opt/k")).unwrap(), pem.stdout].concat());
    root.dkms(&["build", "hello/1.0", "-k", K2]).expect(0).does_not_say("Warning");
    assert!(root.take_sign_calls()[0].starts_with(&format!("sha256 {file} {file}")));
    let built = format!("/var/lib/dkms/hello/1.0/{K2}/x86_64/module/hello.ko");
    assert_eq!(root.checked(&built, &file, "sha256"), Checked::Good);
    fs::remove_file(root.path(&file)).unwrap();
    root.dkms(&["generate_mok", "-k", K2]).expect(1).says(&file);
}

#[test]
fn a_key_in_a_token_is_no_file() {
    let root = root();
    root.write(
        "/etc/dkms/framework.conf",
        "try_sign_modules=true\nmok_signing_key='pkcs11:token=t;object=k'\n",
    );
    root.dkms(&["generate_mok"]).expect(1).says(CERTIFICATE);
    root.write_pair("/opt/key", CERTIFICATE, None);
    // The stand-in knows no tokens: it is shown what to take instead.
    let tool = format!("/usr/src/linux-headers-{K}/scripts/sign-file");
    let (good, key) = (root.read(&tool), root.path("/opt/key"));
    let token = format!(
        "set -e\ntest \"$2\" = 'pkcs11:token=t;object=k'\nset -- \"$1\" {} \"$3\" \"$4\"\n",
        key.display()
    );
    root.write_script(&tool, &good.replacen("set -e\n", &token, 1));
    root.dkms(&["generate_mok"]).expect(0).says("Signing key: pkcs11:token=t;object=k\n");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.checked(INSTALLED, CERTIFICATE, "sha256"), Checked::Good);
}

#[test]
fn the_tool_may_be_named_for_each_kernel() {
    let root = root();
    for k in [K, K2] {
        let tool = format!("/usr/src/linux-headers-{k}/scripts/sign-file");
        fs::create_dir_all(root.path("/opt")).unwrap();
        fs::rename(root.path(&tool), root.path(format!("/opt/sign-{}", k.trim_end_matches("-toy")))).unwrap();
    }
    // Needs a shell, and the kernel that it is for.
    root.write(
        "/etc/dkms/framework.conf",
        "try_sign_modules=true\nsign_file=\"/opt/sign-${kernelver%-toy}\"\n",
    );
    root.hook(&[]).expect(0);
    signed_with_the_present_key(&root);
    root.take_calls();
    root.take_make_calls();
    root.take_sign_calls();
    in_line(&root);
}

// --- Secure Boot

const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
const SHIM: &str = "605dab50-e046-4300-abb6-3dd810dd8b23";
const DATABASE: &str = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";

/// Sets a variable of the firmware: four bytes of attributes, then the content.
fn firmware(root: &FakeRoot, name: &str, vendor: &str, content: &[u8]) {
    let bytes = [&[6, 0, 0, 0], content].concat();
    root.write(format!("/sys/firmware/efi/efivars/{name}-{vendor}"), bytes);
}

/// An EFI_SIGNATURE_LIST of one X.509 certificate.
fn signature_list(root: &FakeRoot, certificate: &str) -> Vec<u8> {
    let der = fs::read(root.path(certificate)).unwrap();
    let x509 =
        [0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72];
    let size = 16 + u32::try_from(der.len()).unwrap();
    let mut list = x509.to_vec();
    for field in [28 + size, 0, size] {
        list.extend(field.to_le_bytes());
    }
    list.extend([0; 16]);
    list.extend(der);
    list
}

#[test]
fn status_tells_how_far_the_key_is() {
    let root = installed();
    let status = || root.hook(&["status"]).expect(0).out;
    assert!(!status().contains("Secure Boot"), "this root knows nothing of a machine");
    fs::create_dir_all(root.path("/sys/firmware")).unwrap();
    assert!(status().contains("Secure Boot: not needed, this machine was not started by EFI\n"));
    firmware(&root, "SecureBoot", GLOBAL, &[0]);
    assert!(status().contains("Secure Boot: off\n  signed with /var/lib/dkms/mok.pub: not enrolled\n"));
    assert!(!status().contains("next:"));

    firmware(&root, "SecureBoot", GLOBAL, &[1]);
    let told = status();
    assert!(told.contains("Secure Boot: on\n  signed with /var/lib/dkms/mok.pub: not enrolled\n  next: `mokutil --import /var/lib/dkms/mok.pub`, then restart"), "{told}");
    root.write_pair("/opt/k", "/opt/c", None);
    firmware(&root, "MokListRT", SHIM, &signature_list(&root, "/opt/c"));
    assert!(status().contains("not enrolled"));
    firmware(&root, "MokNew", SHIM, &signature_list(&root, CERTIFICATE));
    let told = status();
    assert!(told.contains("waits for a restart\n  next: restart"), "{told}");
    firmware(&root, "db", DATABASE, &signature_list(&root, CERTIFICATE));
    assert!(status().contains("in the firmware's database\n"));
    let both = [signature_list(&root, "/opt/c"), signature_list(&root, CERTIFICATE)].concat();
    firmware(&root, "MokListRT", SHIM, &both);
    let told = status();
    assert!(told.contains("mok.pub: enrolled\n") && !told.contains("next:"), "{told}");
    firmware(&root, "MokSBStateRT", SHIM, &[1]);
    assert!(status().contains("shim does not validate"));
    assert_eq!(root.dkms(&["status", "-k", K]).expect(0).out, format!("hello/1.0, {K}, x86_64: installed\n"));
}

#[test]
fn status_for_programs() {
    let root = installed();
    firmware(&root, "SecureBoot", GLOBAL, &[1]);
    let json: serde_json::Value =
        serde_json::from_str(&root.hook(&["status", "--json"]).expect(0).out).unwrap();
    let signing = &json["signing"];
    assert_eq!(signing["secure-boot"], "on");
    assert_eq!(signing["keys"][0]["certificate"], CERTIFICATE);
    assert_eq!(signing["keys"][0]["enrolment"], "missing");
    assert_eq!(signing["keys"][0]["kernels"], serde_json::json!([K, K2]));
    assert!(signing["keys"][0]["next"].as_str().unwrap().contains("mokutil --import"));
    assert_eq!(json["failed"], false);
    assert_eq!(json["kernels"][0]["release"], K);
    assert_eq!(json["modules"].as_array().unwrap().len(), 2);
    assert_eq!(json["modules"][0]["module"], "hello");
    assert_eq!(json["modules"][0]["installed"], true);
    root.write("/usr/src/hello-1.0/hello.c", "#error no\n");
    root.hook(&[]).expect(11);
    let json: serde_json::Value =
        serde_json::from_str(&root.hook(&["status", "--json"]).expect(1).out).unwrap();
    assert_eq!(json["failed"], true);
    assert_eq!(json["failures"].as_array().unwrap().len(), 2);
}

#[test]
fn a_person_hears_of_the_enrolment_after_installing() {
    let root = root();
    firmware(&root, "SecureBoot", GLOBAL, &[1]);
    let line = "Secure Boot is on, and the kernel will refuse these modules: /var/lib/dkms/mok.pub is not \
                enrolled. Next: `mokutil --import /var/lib/dkms/mok.pub`";
    root.dkms(&["generate_mok"]).expect(0).says("Next: `mokutil --import /var/lib/dkms/mok.pub`");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).says(line);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).does_not_say(line);
    // In the middle of a transaction it would be lost.
    root.deb("trigger", "", "triggered").expect(0).does_not_say(line);
    firmware(&root, "MokListRT", SHIM, &signature_list(&root, CERTIFICATE));
    root.dkms(&["install", "hello/1.0", "-k", K2, "--force"]).expect(0).does_not_say("Secure Boot");
}

#[test]
fn an_unsigned_module_is_told_loudly_where_it_will_not_load() {
    let root = root();
    firmware(&root, "SecureBoot", GLOBAL, &[1]);
    root.write("/etc/dkms/framework.conf", "try_sign_modules=false\n");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).says("WILL NOT LOAD").says("Secure Boot is on");
    root.hook(&["status"]).expect(0).says(&format!("modules for {K} are not signed, and will not load"));
}
