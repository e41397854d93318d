//! Recordings of what a person sees, for docs/progress.md. They take minutes, as what they show does:
//! `scripts/record-progress` makes them. What is recorded is looked at by the tests in `progress`.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::program::Face;
use crate::support::terminal::Terminal;
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const PAGE: &str = "docs/progress.md";
const OLD: &str = "6.12.107+deb13-amd64";
const NEW: &str = "6.12.117+deb13-amd64";

/// What is built: names, versions, and how many files each has.
const MODULES: [(&str, &str, usize); 3] =
    [("zfs", "2.3.9", 280), ("v4l2loopback", "0.15.1", 1), ("wireguard", "1.0.2", 30)];

/// How long a compiler takes for a file, in seconds.
const A_FILE_TAKES: &str = "0.8";

fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(OLD).install(&root);
    // What was built before is built again.
    root.write("/etc/dkms/framework.conf", "build_cache=\"0\"\n");
    for (name, version, files) in MODULES {
        let mut module = ToyModule::new(name, version);
        let mut objects = String::new();
        for file in 0..files {
            module = module
                .file(&format!("part{file}.c"), &format!("int {name}_{file}(void) {{ return {file}; }}\n"));
            objects.push_str(&format!(" part{file}.o"));
        }
        module.register(&root);
        let dir = format!("/usr/src/{name}-{version}");
        root.write(format!("{dir}/Makefile"), format!("obj-m := {name}.o\n{name}-objs :={objects}\n"));
        root.write(format!("{dir}/part0.c"), "#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n");
        // The rule for the module's own data needs a source of its name.
        root.write(format!("{dir}/{name}.c"), "");
    }
    // Slow compilers make a long build of a small source.
    root.write_script(
        "/var/log/stand-ins/gcc",
        &format!("#!/bin/sh\nsleep {A_FILE_TAKES}\nexec /usr/bin/gcc \"$@\"\n"),
    );
    root
}

fn program(root: &FakeRoot, words: &[&str]) -> Command {
    let mut command = root.program(Face::Hook);
    command.args(words).env("TERM", "xterm").env("LC_ALL", "C.UTF-8");
    command
}

/// A block of text for the page.
fn block(heading: &str, text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("{heading}\n\n```text\n{}\n```\n", lines.join("\n").trim_end())
}

fn on_a_terminal(root: &FakeRoot) -> String {
    let begin = Instant::now();
    let mut terminal = Terminal::start(&program(root, &["--kernel", NEW]), 24, 80);
    let mut out = String::new();
    let at = |seconds, terminal: &Terminal| {
        while begin.elapsed() < Duration::from_secs(seconds) {
            std::thread::sleep(Duration::from_millis(100));
        }
        block(&format!("After {seconds} seconds:"), &terminal.screen()) + "\n"
    };
    for seconds in [3, 30, 90] {
        out += &at(seconds, &terminal);
    }
    // The rest is shown at the end.
    at(120, &terminal);
    terminal.wait_for("the last step", |screen| screen.contains("Running depmod"));
    let (code, screen, _) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    out + &block("At the end:", &screen)
}

fn in_a_log(root: &FakeRoot) -> String {
    let mut command = program(root, &["deb", "header-postinst", NEW]);
    command.env("DEB_MAINT_PARAMS", "configure").env("DPKG_MAINTSCRIPT_NAME", "postinst");
    let output = command.output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    block("", &text).trim_start().to_owned()
}

fn after_ctrl_c(root: &FakeRoot) -> String {
    // A change of the source: the build that is there is out of date.
    root.write("/usr/src/zfs-2.3.9/part1.c", "int zfs_1(void) { return -1; }\n");
    let mut terminal = Terminal::start(&program(root, &[]), 24, 80);
    terminal.wait_for("moving line", |screen| screen.contains("0:05"));
    terminal.press("\u{3}");
    let (code, screen, _) = terminal.end();
    assert_eq!(code, 130, "{screen}");
    block("", &screen).trim_start().to_owned()
}

/// Puts a text between the marks of its name.
fn put(page: &mut String, name: &str, text: &str) {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let at = page.find(&begin).unwrap_or_else(|| panic!("{PAGE} has no {begin}")) + begin.len();
    let to = page.find(&end).unwrap_or_else(|| panic!("{PAGE} has no {end}"));
    page.replace_range(at..to, text);
}

#[test]
fn the_page_shows_what_a_person_sees() {
    let root = root();
    // So that something is known of earlier builds.
    assert!(program(&root, &[]).status().unwrap().success());
    ToyKernel::new(NEW).install(&root);
    let terminal = on_a_terminal(&root);
    let stopped = after_ctrl_c(&root);
    root.hook(&[]).expect(0);
    for (name, version, _) in MODULES {
        root.dkms(&["unbuild", &format!("{name}/{version}"), "-k", NEW]).expect(0);
    }
    let log = in_a_log(&root);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let mut page = std::fs::read_to_string(&path).unwrap();
    put(&mut page, "On a terminal", &terminal);
    put(&mut page, "In a log", &log);
    put(&mut page, "After Ctrl-C", &stopped);
    std::fs::write(&path, page).unwrap();
}
