//! `dkms-hook why`: what decided where a module stands, for each kernel, before and after the hook ran.

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";

/// Asks, and checks that asking changes nothing.
#[track_caller]
fn why(root: &FakeRoot, words: &[&str]) -> String {
    let before = root.snapshot();
    let answer = root.hook(&[&["why"], words].concat()).expect(0).out;
    root.assert_untouched(&before);
    answer
}

#[test]
fn each_kernel_has_its_answer_before_and_after() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyKernel::new(K2).install_image(&root);
    ToyModule::new("hello", "1.0").register(&root);
    ToyModule::new("other", "1.0").register(&root);
    assert_eq!(
        why(&root, &["hello"]),
        format!(
            "hello/1.0 for {K}: not built\n  \
             would build hello/1.0 for {K}: it is not built for this kernel yet\n  \
             would install hello/1.0 for {K}: it is not built for this kernel yet\n\
             hello/1.0 for {K2}: not built\n  \
             it waits for the headers: install linux-headers-{K2}\n"
        )
    );
    root.hook(&[]).expect(0);
    let text = why(&root, &["hello/1.0", "--kernel", K]);
    let head =
        format!("hello/1.0 for {K}: installed\n  nothing to do: no input changed since it was built\n");
    assert!(text.starts_with(&head) && text.contains("\n  built from source "), "{text}");

    root.write("/usr/src/hello-1.0/hello.c.orig", "changed");
    let text = why(&root, &["hello", "-k", K]);
    assert!(text.contains(&format!("would build hello/1.0 for {K}: its source changed (from ")), "{text}");
    // What it was made from and what is there now differ in one place.
    let lines: Vec<&str> = text
        .lines()
        .filter_map(|line| Some(line.split_once(" source ")?.1))
        .filter(|l| l.contains(", compiler "))
        .collect();
    assert_eq!(lines.len(), 2, "{text}");
    let differs = lines[0].split(' ').zip(lines[1].split(' ')).filter(|(then, now)| then != now).count();
    assert_eq!((differs, lines[0].len()), (1, lines[1].len()), "{text}");
    assert!(!why(&root, &["other", "-k", K]).contains("would"), "the other module is not affected");
}

#[test]
fn what_is_left_alone_has_its_reason() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("failing", "1.0").failing().register(&root);
    ToyModule::new("never", "1.0").line("BUILD_EXCLUSIVE_KERNEL=\"^9[.]\"").register(&root);
    ToyModule::new("two", "1.0").register(&root);
    ToyModule::new("two", "2.0").register(&root);
    root.hook(&[]).expect(11);
    let text = why(&root, &["failing"]);
    assert!(text.contains("failed before, and no input changed since"), "{text}");
    let text = why(&root, &["never"]);
    assert!(text.contains("is not built for") && text.contains("because"), "{text}");
    let text = why(&root, &["two"]);
    let old = format!("two/1.0 for {K}: not built\n  nothing to do: version 2.0 is used for this kernel\n");
    assert!(text.starts_with(&old) && text.contains(&format!("two/2.0 for {K}: installed\n")), "{text}");
    let manual = ToyModule::new("manual", "1.0");
    let conf = manual.conf_text().replace("AUTOINSTALL=\"yes\"", "AUTOINSTALL=\"no\"");
    manual.register(&root);
    root.write("/usr/src/manual-1.0/dkms.conf", conf);
    let text = why(&root, &["manual"]);
    assert!(text.contains(&format!("`dkms install manual/1.0 -k {K}` installs it")), "{text}");
}

#[test]
fn unknown_modules_and_kernels_are_errors() {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    ToyModule::new("hello", "1.0").register(&root);
    root.hook(&["why", "nobody"]).expect(3).says("`dkms status` lists");
    root.hook(&["why", "hello/9"]).expect(3);
    root.hook(&["why", "hello", "--kernel", "1.2.3"]).expect(21).says("1.2.3");
    root.hook(&["why"]).expect(2);
    root.hook(&["why", "../x"]).expect(16);
}
