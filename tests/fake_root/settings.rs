//! `dkms-hook settings`: what counts, and who said so.

use crate::support::json_schema::Schemas;
use crate::support::program::{Face, finish};
use crate::support::toy_kernel::FakeRoot;
use serde_json::json;

#[test]
fn each_setting_is_shown_with_its_value_and_where_that_comes_from() {
    let root = FakeRoot::new();
    root.write(
        "/etc/dkms/framework.conf",
        "# ours\npost_transaction=\"echo 1\"\nrebuild=inputs\nparallel_jobs=2\n",
    );
    root.write("/etc/dkms/framework.conf.d/site.conf", "if true; then\n  parallel_jobs=3\nfi\n");
    let show = |words: &[&str]| {
        let variables = [
            ("NO_WEAK_MODULES", "yes"),
            ("parallel_jobs", "4"),
            ("build_environment", "/etc/env"),
            ("DKMS_DIRECTIVE_1", "STRIP=no"),
        ];
        finish(root.program(Face::Hook).envs(variables).args([&["settings"], words].concat()))
    };
    let before = root.snapshot();
    let answer = show(&["--rebuild", "abi"]);
    let told = answer.expect(0).out;
    let lines: Vec<String> =
        told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "dkms_tree /var/lib/dkms (default)",
        "post_transaction \"echo 1\" (/etc/dkms/framework.conf, line 2)",
        "parallel_jobs 3 (/etc/dkms/framework.conf.d/site.conf, line 2)",
        "rebuild abi (option --rebuild)",
        "NO_WEAK_MODULES yes (NO_WEAK_MODULES in the environment)",
        "build_environment not set (default)",
        "build_environment /etc/env (build_environment in the environment)",
        "DKMS_DIRECTIVE STRIP=no (DKMS_DIRECTIVE_1 in the environment)",
        "sign_file not set (default)",
    ] {
        assert!(lines.iter().any(|told| told == line), "{line}\n{told}");
    }
    let json = Schemas::read().assert("settings.schema.json", &show(&["--json"]).expect(0).out);
    let named = |name: &str| {
        let all = json["settings"].as_array().unwrap();
        all.iter().find(|setting| setting["name"] == name).unwrap().clone()
    };
    let (conf, site) = ("/etc/dkms/framework.conf", "/etc/dkms/framework.conf.d/site.conf");
    assert_eq!(named("rebuild")["from"], json!({ "origin": "file", "path": conf, "line": 3 }));
    let jobs = json!({ "origin": "file", "path": site, "line": 2 });
    assert_eq!(named("parallel_jobs"), json!({ "name": "parallel_jobs", "value": "3", "from": jobs }));
    assert_eq!(named("sign_file")["value"], json!(null));
    root.assert_untouched(&before);
}

#[test]
fn a_value_that_is_not_understood_is_reported_with_its_line() {
    let root = FakeRoot::new();
    root.write("/etc/dkms/framework.conf.d/a.conf", "\nrebuild=often\nparallel_jobs=many\n");
    let told = root.hook(&["settings"]).expect(0).err;
    let place = "/etc/dkms/framework.conf.d/a.conf, line";
    assert!(
        told.contains(&format!("{place} 2: rebuild is `often`, which is neither inputs nor abi")),
        "{told}"
    );
    assert!(told.contains(&format!("{place} 3: parallel_jobs is `many`, which is not a number")), "{told}");
    root.write("/etc/dkms/framework.conf", "if");
    let answer = root.hook(&["settings"]);
    assert!(answer.expect(0).err.contains("the default settings are used"));
}
