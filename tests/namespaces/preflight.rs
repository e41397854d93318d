//! Builds for a kernel that is still to come, where nobody else sees them.

use crate::support::json_schema::Schemas;
use crate::support::program::{Answer, Face, finish};
use crate::support::snapshot::Snapshot;
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";
const SCHEMA: &str = "fits.schema.json";

pub const SCENARIOS: [(&str, fn()); 4] = [
    ("each_module_has_its_answer_and_nothing_changes", each_module_has_its_answer_and_nothing_changes),
    ("a_module_sees_what_it_depends_on", a_module_sees_what_it_depends_on),
    ("what_cannot_be_tried_says_why", what_cannot_be_tried_says_why),
    ("a_file_is_held_against_a_kernel", a_file_is_held_against_a_kernel),
];

/// What an overlay needs.
pub const PROBE: &str = "mount -t tmpfs probe /mnt && mkdir /mnt/a /mnt/b /mnt/c && \
    mount -t overlay -o lowerdir=/mnt/a,upperdir=/mnt/b,workdir=/mnt/c probe /mnt/a";

/// A machine with a kernel and a module for it, and the headers of another kernel in `/opt`.
fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K2).install_headers(&root);
    std::fs::create_dir_all(root.path("/opt")).unwrap();
    std::fs::rename(root.path(format!("/usr/src/linux-headers-{K2}")), headers(&root)).unwrap();
    std::fs::remove_dir_all(root.path(format!("/usr/lib/modules/{K2}"))).unwrap();
    ToyKernel::new(K).install(&root);
    ToyModule::new("good", "1").register(&root);
    root.hook(&[]).expect(0);
    assert_eq!(root.take_make_calls().len(), 1);
    root
}

fn headers(root: &FakeRoot) -> std::path::PathBuf {
    root.path(format!("/opt/headers-{K2}"))
}

fn fits(root: &FakeRoot, more: &[&str]) -> Answer {
    let dir = headers(root);
    let before = Snapshot::of(root.layout.root.dir());
    let answer = root.hook(&[&["fits", "--headers", dir.to_str().unwrap()], more].concat());
    let changes = before.changes(&Snapshot::of(root.layout.root.dir()));
    let lock = ["t var/lib/dkms/.dkms-hook/lock"];
    assert!(changes.iter().all(|change| lock.contains(&change.as_str())), "{changes:?}");
    assert!(!root.exists("/var/lib/.dkms-hook-preflight"));
    answer
}

fn each_module_has_its_answer_and_nothing_changes() {
    let root = root();
    fits(&root, &[]).expect(0).says(&format!("good/1 for kernel {K2}: builds"));
    assert_eq!(root.take_make_calls(), ["/var/lib/dkms/good/1/build"]);
    ToyModule::new("old", "1").line("BUILD_EXCLUSIVE_KERNEL=\"^6\\.12\"").register(&root);
    ToyModule::new("manual", "1").line("AUTOINSTALL=").register(&root);
    fits(&root, &["--module", "good"]).expect(0).does_not_say("old/1");
    fits(&root, &[])
        .expect(2)
        .says(&format!("good/1 for kernel {K2}: builds"))
        .says(&format!("old/1 for kernel {K2}: excluded"))
        .says(&format!("manual/1 for kernel {K2}: not tried"));
    fits(&root, &["--module", "manual/1"]).expect(0).says(&format!("manual/1 for kernel {K2}: builds"));
    ToyModule::new("bad", "1").failing().register(&root);
    fits(&root, &[])
        .expect(1)
        .says(&format!("bad/1 for kernel {K2}: fails: make failed"))
        .says("error: implicit declaration")
        .says(&format!("good/1 for kernel {K2}: builds"));
    let answer = fits(&root, &["--json"]).expect(1);
    let told = Schemas::read().assert(SCHEMA, &answer.out);
    let words: Vec<_> = told["answers"].as_array().unwrap().iter().map(|a| &a["answer"]).collect();
    assert_eq!(words, ["fails", "builds", "untried", "excluded"]);
    assert_eq!(told["outcome"], "fails");
}

fn a_module_sees_what_it_depends_on() {
    let root = root();
    let needs = "test -f $dkms_tree/kernel-$kernelver-x86_64 || ls $dkms_tree/base/kernel-$kernelver-x86_64/module \
                 && make -C $kernel_source_dir M=$dkms_tree/upper/1/build";
    ToyModule::new("base", "1").register(&root);
    ToyModule::new("upper", "1").depends("base").make(needs).register(&root);
    fits(&root, &["--module", "upper"]).expect(0).says("upper/1");
    fits(&root, &[]).expect(0).says(&format!("upper/1 for kernel {K2}: builds"));
    ToyModule::new("base", "1").failing().write_source(&root);
    fits(&root, &[])
        .expect(1)
        .says(&format!("base/1 for kernel {K2}: fails"))
        .says(&format!("upper/1 for kernel {K2}: not tried (it needs base/1"));
}

fn what_cannot_be_tried_says_why() {
    let root = root();
    fits(&root, &["--module", "nobody"]).expect(2).says("no module nobody is registered here");
    root.hook(&["fits", "--headers", "/nonexistent"]).expect(2).says("/nonexistent");
    let src = root.path("/usr/src");
    root.hook(&["fits", "--headers", src.to_str().unwrap()]).expect(2).says("utsrelease.h");
    let answer = root.hook(&["fits", "--json", "--headers", src.to_str().unwrap()]).expect(2);
    assert_eq!(Schemas::read().assert(SCHEMA, &answer.out)["outcome"], "untried");
    root.hook(&["fits"]).expect(2).says("--headers");
    // What a killed attempt left goes with the next one.
    std::fs::create_dir_all(root.path("/var/lib/.dkms-hook-preflight/dkms")).unwrap();
    let dir = headers(&root);
    root.hook(&["fits", "--headers", dir.to_str().unwrap()]).expect(0);
    assert!(!root.exists("/var/lib/.dkms-hook-preflight"));
    root.write("/etc/dkms/framework.conf", "unconfined=\"good: it downloads\"\n");
    let mut program = root.program(Face::Hook);
    program.env_remove("DKMS_HOOK_UNCONFINED").args(["fits", "--headers"]).arg(&dir);
    finish(&mut program).expect(2).says("good/1").says("root's power");
}

fn a_file_is_held_against_a_kernel() {
    let root = root();
    let file = root.path("/var/lib/dkms/good/1").join(K).join("x86_64/module/good.ko");
    let against = |kernel: &str| root.hook(&["fits", file.to_str().unwrap(), kernel]);
    let told = |kernel: &str| {
        let answer = root.hook(&["fits", "--json", file.to_str().unwrap(), kernel]);
        Schemas::read().assert(SCHEMA, &answer.out)
    };
    let dir = headers(&root);
    against(dir.to_str().unwrap()).expect(1).says(&format!("it was built for kernel {K}"));
    assert_eq!(told(dir.to_str().unwrap())["outcome"], "fails");
    // Without symbol versions nothing says whether the types are the same.
    against(K).expect(2).says("cannot tell whether it fits");
    against("6.99").expect(2).says("there are no headers of kernel 6.99 here");
    root.hook(&["fits", "/nonexistent.ko", K]).expect(2);
}
