//! Where key, certificate and tool are: distributions that have their own, tokens, and tools that are
//! named for each kernel.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::program::{Face, finish};
use crate::support::signing::{CERTIFICATE, INSTALLED, K, K2, KEY, root};
use crate::support::toy_kernel::ToyKernel;
use dkms_hook::kernel::Checked;

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
    root.boots_securely("quiet");
    root.hook(&["status"]).expect(0).says("`update-secureboot-policy --enroll-key`");
    fs::remove_file(root.path(certificate)).unwrap();
    with_tool(&["generate_mok"]).expect(1).says(certificate);
}

#[test]
fn a_key_may_lie_where_there_are_blanks() {
    let root = root();
    let (key, certificate) = ("/etc/my keys/it's a.key", "/etc/my keys/mok cert.pem");
    root.write("/etc/dkms/framework.conf", "try_sign_modules=true\nmok_signing_key=\"/etc/my keys/it's a.key\"\nmok_certificate='/etc/my keys/mok cert.pem'\n");
    root.dkms(&["generate_mok"]).expect(0).says(&format!("Signing key: {key}\n"));
    assert_eq!(fs::metadata(root.path(key)).unwrap().permissions().mode() & 0o777, 0o600);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0);
    assert_eq!(root.checked(INSTALLED, certificate, "sha256"), Checked::Good);
    assert_eq!(root.names("/etc/my keys"), ["it's a.key", "mok cert.pem"]);
    root.boots_securely("quiet");
    root.hook(&["status"]).expect(0).says("`mokutil --import '/etc/my keys/mok cert.pem'`");
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
    assert_eq!(root.take_sign_calls().len(), 4);
    assert_eq!(root.checked(INSTALLED, CERTIFICATE, "sha256"), Checked::Good);
    assert_eq!(root.hook(&[]).expect(0).out, "nothing to do\n");
}
