//! What is told of Secure Boot, on crafted variables of a firmware: by status, after an installation,
//! and where a module will not load.

use std::fs;

use crate::support::signing::{CERTIFICATE, DATABASE, GLOBAL, K, K2, SHIM};
use crate::support::toy_kernel::FakeRoot;

fn installed() -> FakeRoot {
    let root = crate::support::signing::root();
    root.hook(&[]).expect(0);
    root
}

#[test]
fn status_tells_how_far_the_key_is() {
    let root = installed();
    let status = || root.hook(&["status"]).expect(0).out;
    assert!(!status().contains("Secure Boot"), "this root knows nothing of a machine");
    fs::create_dir_all(root.path("/sys/firmware")).unwrap();
    assert!(status().contains("Secure Boot: not in use: this machine was not booted by EFI\n"));
    root.firmware("SecureBoot", GLOBAL, &[0]);
    assert!(status().contains("Secure Boot: off\n  signed with /var/lib/dkms/mok.pub: not enrolled\n"));
    assert!(!status().contains("next:"));

    root.firmware("SecureBoot", GLOBAL, &[1]);
    let told = status();
    assert!(
        told.contains(
            "Secure Boot: on\n  signed with /var/lib/dkms/mok.pub: not enrolled\n  next: \
                           `mokutil --import /var/lib/dkms/mok.pub`, then restart"
        ),
        "{told}"
    );
    root.write_pair("/opt/k", "/opt/c", None);
    root.firmware("MokListRT", SHIM, &root.signature_list("/opt/c"));
    assert!(status().contains("not enrolled"));
    root.firmware("MokNew", SHIM, &root.signature_list(CERTIFICATE));
    let told = status();
    assert!(told.contains("waits for a restart\n  next: restart"), "{told}");
    root.firmware("db", DATABASE, &root.signature_list(CERTIFICATE));
    assert!(status().contains("in the firmware's database\n"));
    let both = [root.signature_list("/opt/c"), root.signature_list(CERTIFICATE)].concat();
    root.firmware("MokListRT", SHIM, &both);
    let told = status();
    assert!(told.contains("mok.pub: enrolled\n") && !told.contains("next:"), "{told}");
    root.firmware("MokSBStateRT", SHIM, &[1]);
    assert!(status().contains("shim does not validate"));
    assert_eq!(root.dkms(&["status", "-k", K]).expect(0).out, format!("hello/1.0, {K}, x86_64: installed\n"));
}

// mokutil 0.7.2 answers an import of such a key with "SKIP: … is blocked in MokListX" and status 0.
#[test]
fn a_blocked_key_is_to_be_replaced_and_never_imported() {
    let root = installed();
    root.firmware("SecureBoot", GLOBAL, &[1]);
    let list = root.signature_list(CERTIFICATE);
    for (name, vendor) in [("MokListXRT", SHIM), ("dbx", DATABASE)] {
        root.firmware("MokListXRT", SHIM, &[]);
        root.firmware("MokListRT", SHIM, &[]);
        root.firmware(name, vendor, &list);
        for enrolled in [&list[..], &[]] {
            root.firmware("MokListRT", SHIM, enrolled);
            let told = root.hook(&["status"]).expect(0).out;
            let lines = "mok.pub: blocked by the firmware (dbx) or by shim (MokListX)\n  next: make a new key: move \
                         /var/lib/dkms/mok.key and /var/lib/dkms/mok.pub away, run `dkms generate_mok`";
            assert!(told.contains(lines) && !told.contains("mokutil"), "{told}");
        }
        let json = root.hook(&["status", "--json"]).expect(0).out;
        assert!(json.contains(r#""enrolment": "blocked""#), "{json}");
        root.dkms(&["install", "hello/1.0", "-k", K, "--force"])
            .expect(0)
            .says("the kernel may refuse these modules: /var/lib/dkms/mok.pub is blocked")
            .does_not_say("mokutil");
        root.dkms(&["generate_mok"]).expect(0).says("make a new key").does_not_say("mokutil");
    }
}

#[test]
fn status_for_programs() {
    let root = installed();
    root.firmware("SecureBoot", GLOBAL, &[1]);
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
    let root = crate::support::signing::root();
    root.firmware("SecureBoot", GLOBAL, &[1]);
    let line = "Secure Boot is on, and the kernel will refuse these modules: /var/lib/dkms/mok.pub is not \
                enrolled. Next: `mokutil --import /var/lib/dkms/mok.pub`";
    root.dkms(&["generate_mok"]).expect(0).says("Next: `mokutil --import /var/lib/dkms/mok.pub`");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).says(line);
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).does_not_say(line);
    // In the middle of a transaction it would be lost.
    root.deb("trigger", "", "triggered").expect(0).does_not_say(line);
    root.firmware("MokListRT", SHIM, &root.signature_list(CERTIFICATE));
    root.dkms(&["install", "hello/1.0", "-k", K2, "--force"]).expect(0).does_not_say("Secure Boot");
}

#[test]
fn an_unsigned_module_is_told_loudly_where_it_will_not_load() {
    let root = crate::support::signing::root();
    root.firmware("SecureBoot", GLOBAL, &[1]);
    root.write("/etc/dkms/framework.conf", "try_sign_modules=false\n");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).says("WILL NOT LOAD").says("Secure Boot is on");
    root.hook(&["status"]).expect(0).says(&format!("modules for {K} are not signed, and will not load"));
}
