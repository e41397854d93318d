//! What is told of Secure Boot, on crafted variables of a firmware: by status, after an installation,
//! and where a module will not load.

use std::fs;

use crate::support::json_schema::Schemas;
use crate::support::signing::{CERTIFICATE, DATABASE, GLOBAL, K, K2, KEY, SHIM};
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
    // Nobody is sent to a screen that only shim shows.
    assert!(
        told.contains(
            "Secure Boot: on\n  signed with /var/lib/dkms/mok.pub: its enrolment is unknown\n  next: start by way of \
             shim"
        ),
        "{told}"
    );
    root.boots_securely("quiet");
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
    assert!(status().contains("enrolled, which counts while Secure Boot is on"), "{}", status());
    assert_eq!(root.dkms(&["status", "-k", K]).expect(0).out, format!("hello/1.0, {K}, x86_64: installed\n"));
}

// mokutil 0.7.2 answers an import of such a key with "SKIP: … is blocked in MokListX" and status 0.
#[test]
fn a_blocked_key_is_to_be_replaced_and_never_imported() {
    let root = installed();
    root.boots_securely("quiet");
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
            .says(&format!("kernel {K} may refuse these modules (signed with /var/lib/dkms/mok.pub)"))
            .says("dbx or MokListX")
            .does_not_say("mokutil");
        root.dkms(&["generate_mok"]).expect(0).says("make a new key").does_not_say("mokutil");
    }
}

#[test]
fn status_for_programs() {
    let root = installed();
    root.boots_securely("quiet");
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
    root.boots_securely("quiet");
    let line = &format!(
        "kernel {K} will refuse these modules (signed with /var/lib/dkms/mok.pub): its certificate is not enrolled, and \
         the kernel loads only modules signed with a key it knows, because Secure Boot is on. Next: `mokutil --import \
         /var/lib/dkms/mok.pub`"
    );
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
    root.boots_securely("quiet");
    root.write("/etc/dkms/framework.conf", "try_sign_modules=false\n");
    root.dkms(&["install", "hello/1.0", "-k", K]).expect(0).says("WILL NOT LOAD").says("Secure Boot is on");
    root.hook(&["status"]).expect(0).says(&format!("modules for {K} are not signed, and will not load"));
}

/// The rows of `dkms-hook secure-boot`: verdict by file of a kernel.
fn verdicts(root: &FakeRoot, kernel: &str, status: i32) -> Vec<(String, String)> {
    let shown = root.hook(&["secure-boot", "--json", "-k", kernel]).expect(status).out;
    let told = Schemas::read().assert("secure-boot.schema.json", &shown);
    let modules = told["kernels"][0]["modules"].as_array().unwrap().iter();
    modules
        .map(|module| {
            let file = module["file"].as_str().unwrap();
            let because = module["because"].as_str().or(module["missing"][0].as_str()).unwrap_or_default();
            let verdict = format!("{} {because}", module["verdict"].as_str().unwrap());
            (file.rsplit('/').next().unwrap().to_owned(), verdict.trim().to_owned())
        })
        .collect()
}

fn row(file: &str, verdict: &str) -> (String, String) {
    (file.to_owned(), verdict.to_owned())
}

#[test]
fn the_table_is_of_what_the_installed_files_bear() {
    let root = installed();
    root.boots_securely("quiet");
    let both = |verdict: &str| [row("hello.ko", verdict), row("world.ko", verdict)];
    assert_eq!(verdicts(&root, K2, 1), both("refused unknown-key"));
    root.firmware("MokListRT", SHIM, &root.signature_list(CERTIFICATE));
    assert_eq!(verdicts(&root, K2, 0), both("loads"));
    // One byte of a file, and of one that is compressed.
    let installed = format!("/lib/modules/{K2}/updates/dkms/world.ko");
    let mut bytes = fs::read(root.path(&installed)).unwrap();
    let whole = bytes.clone();
    bytes[100] ^= 1;
    root.write(&installed, &bytes);
    assert_eq!(verdicts(&root, K2, 1), [row("hello.ko", "loads"), row("world.ko", "refused changed")]);
    // Without Secure Boot the owner's keys do not count, nor does a changed file of one.
    root.firmware("SecureBoot", GLOBAL, &[0]);
    assert_eq!(verdicts(&root, K2, 0), both("loads"));
    root.write("/etc/kernel/cmdline", "module.sig_enforce=1");
    assert_eq!(verdicts(&root, K2, 1), both("refused unknown-key"));
    // A signature behind the end of one is none; and the last one counts.
    root.firmware("SecureBoot", GLOBAL, &[1]);
    root.write(&installed, [&whole[..], b"\n"].concat());
    assert_eq!(verdicts(&root, K2, 1)[1], row("world.ko", "refused unsigned"));
    let told = root.hook(&["secure-boot"]).expect(1).out;
    assert!(told.contains("world.ko (hello/1.0): refused: it is not signed"), "{told}");
    assert!(told.contains(&format!("{K}: loads signed modules only, because module.sig_enforce")), "{told}");
}

#[test]
fn a_db_key_and_parameters_that_are_not_there_cannot_be_told() {
    let root = installed();
    root.boots_securely("quiet");
    root.firmware("db", DATABASE, &root.signature_list(CERTIFICATE));
    // The toy is no kernel of Debian's.
    assert_eq!(verdicts(&root, K2, 4)[0], row("hello.ko", "cannot-tell platform-keys"));
    root.firmware("SecureBoot", GLOBAL, &[0]);
    fs::remove_file(root.path("/etc/kernel/cmdline")).unwrap();
    assert_eq!(verdicts(&root, K2, 4)[0], row("hello.ko", "cannot-tell parameters"));
    root.hook(&["secure-boot", "-k", "1.2.3"]).expect(21);
    let file = root.path(format!("/lib/modules/{K2}/updates/dkms/hello.ko"));
    let asked = root.hook(&["secure-boot", "-k", K2, file.to_str().unwrap()]).expect(4).out;
    assert!(asked.contains("hello.ko: cannot tell, for want of the parameters"), "{asked}");
}

// Every copy of the image would have the key that is made in it: so none is made, and it is said what that means.
#[test]
fn what_is_built_unsigned_in_an_image_gets_no_all_clear() {
    let root = crate::support::signing::root();
    root.write("/etc/dkms/framework.conf", "");
    root.hook(&[]).expect(0).says("A machine with Secure Boot refuses them until they are");
    let told = root.hook(&["status"]).expect(0).out;
    assert!(told.contains(&format!("modules for {K2} are not signed: a root other than")), "{told}");
    assert_eq!(verdicts(&root, K2, 4)[0], row("hello.ko", "cannot-tell firmware"));
    // Where it is started: once it can be signed, that it was not is told until it is.
    root.boots_securely("quiet");
    root.write("/etc/dkms/framework.conf", "try_sign_modules=true\n");
    let told = root.hook(&["status"]).expect(0).out;
    assert!(told.contains("hello/1.0 had no signature when built; `dkms-hook resign` signs"), "{told}");
    // What dkms.service calls: it signs what the image was made with, once.
    root.hook(&["resign", "--unsigned"]).expect(0).says("Signing module hello.ko");
    assert_eq!(root.take_sign_calls().len(), 4, "two files for each kernel");
    assert!(!root.hook(&["status"]).expect(0).out.contains("had no signature"));
    assert_eq!(verdicts(&root, K2, 1)[0], row("hello.ko", "refused unknown-key"));
    let before = root.snapshot();
    root.hook(&["resign", "--unsigned"]).expect(0).says("nothing to do");
    root.assert_untouched(&before);
    // Another key is nothing for it.
    root.write_pair(KEY, CERTIFICATE, None);
    root.hook(&["resign", "--unsigned"]).expect(0).says("nothing to do");
    assert_eq!(root.take_sign_calls(), [""; 0]);
    root.hook(&["secure-boot", "enrol"]).expect(1).says("run it on the machine itself");
}
