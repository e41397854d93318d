//! `dkms-hook kernels`: which installed kernel every module supports.

use crate::support::json_schema::Schemas;
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use serde_json::{Value, json};

const OLD: &str = "6.9.9-toy";
const K: &str = "6.12.1-toy";
const NEW: &str = "6.13.0-toy";

/// Three kernels; the newest has no headers, and `zfs/2` does not compile.
fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(NEW).install_image(&root);
    ToyKernel::new(OLD).install(&root);
    ToyKernel::new(K).install(&root);
    ToyModule::new("good", "1").register(&root);
    ToyModule::new("zfs", "2").failing().register(&root);
    ToyModule::new("old", "1").line("BUILD_EXCLUSIVE_KERNEL=\"^6[.]9\"").register(&root);
    ToyModule::new("manual", "1").line("AUTOINSTALL=no").register(&root);
    root
}

#[track_caller]
fn told(root: &FakeRoot, code: i32) -> (String, Value) {
    let before = root.snapshot();
    let text = root.hook(&["kernels"]).expect(code).out;
    let json: Value = serde_json::from_str(&root.hook(&["kernels", "--json"]).expect(code).out).unwrap();
    root.assert_untouched(&before);
    let faults = Schemas::read().faults("kernels.schema.json", &json);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    (text, json)
}

#[test]
fn each_kernel_says_what_it_lacks_and_why() {
    let root = root();
    let (text, _) = told(&root, 1);
    assert!(
        text.contains(&format!(
            "{OLD}: lacks good old zfs\n  good/1: not built yet; `dkms-hook` does that\n"
        )),
        "{text}"
    );
    root.hook(&[]).expect(11);
    let log = |k: &str| format!("/var/lib/dkms/.dkms-hook/verdicts/zfs/2/{k}-x86_64.log");
    let (text, json) = told(&root, 1);
    let failed = |k: &str| format!("  zfs/2: failed: make failed with exit status 2\n    log: {}\n", log(k));
    let (first, rest) = text.split_once(&format!("{K}: ")).unwrap();
    assert_eq!(first, format!("{OLD}: lacks zfs\n  installed: good/1 old/1\n{}", failed(OLD)));
    let (second, last) = rest.split_once(&format!("{NEW} (newest): ")).unwrap();
    assert!(
        second.starts_with("lacks old zfs\n  installed: good/1\n  old/1: does not support this kernel: "),
        "{second}"
    );
    assert!(second.ends_with(&failed(K)), "{second}");
    let waits = format!("waits for the headers: install linux-headers-{NEW}\n");
    assert_eq!(
        last,
        format!(
            "lacks good old zfs\n  good/1: {waits}  old/1: {waits}  zfs/2: {waits}\
             There is no kernel that every module supports.\n"
        )
    );
    assert_eq!((&json["newest"], &json["supported"]), (&json!(NEW), &Value::Null));
    assert_eq!(
        json["kernels"][0]["modules"][2],
        json!({
            "name": "zfs", "version": "2", "there": false, "state": "failed",
            "what": "make failed with exit status 2", "log": log(OLD)
        })
    );

    // An older version is as good; the kernel that everything supports is not the newest.
    ToyModule::new("zfs", "1").register(&root);
    root.hook(&[]).expect(11);
    let (text, json) = told(&root, 1);
    assert!(text.contains("  zfs/1: installed instead of 2, which does not compile\n"), "{text}");
    assert!(text.ends_with(&format!("The newest kernel that every module supports is {OLD}.\n")), "{text}");
    assert_eq!(json["supported"], OLD);

    // Without the modules that exclude or wait, it is.
    root.dkms(&["remove", "old/1", "--all"]).expect(0);
    ToyKernel::new(NEW).install_headers(&root);
    root.hook(&[]).expect(11);
    let (text, json) = told(&root, 0);
    assert!(text.ends_with(&format!("Every module supports the newest kernel, {NEW}.\n")), "{text}");
    assert_eq!(json["supported"], NEW);
    assert!(!text.contains("manual"), "nobody misses what a person installs by hand: {text}");
}

#[test]
fn a_kernel_that_leaves_is_none_that_counts() {
    let root = FakeRoot::new();
    for kernel in [K, NEW] {
        ToyKernel::new(kernel).install(&root);
    }
    ToyModule::new("good", "1").register(&root);
    root.hook(&[]).expect(0);
    root.deb("kernel-postrm", NEW, "remove").expect(0);
    let (text, json) = told(&root, 0);
    assert!(text.contains(&format!("{NEW}: is being removed; nothing is built for it\n")), "{text}");
    assert_eq!((&json["newest"], &json["supported"]), (&json!(K), &json!(K)));
    let none = FakeRoot::new();
    let (text, _) = told(&none, 1);
    assert_eq!(text, "No kernel is installed.\n");
}
