//! What a person sees while a module is built: on terminals of several kinds, and in files.

use std::process::Command;
use std::time::Duration;

use dkms_hook::conf::model::Scripts;

use crate::support::program::{Face, finish};
use crate::support::terminal::Terminal;
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";

/// While this file is there, make waits after its fourth file.
const SLOW: &str = "/var/log/slow";

/// A module of four sources, whose make waits for [`SLOW`] to go.
fn root() -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    module(&root, "hello");
    root.write(SLOW, "");
    root
}

fn module(root: &FakeRoot, name: &str) {
    let mut module = ToyModule::new(name, "1.0");
    for part in ["a", "b", "c", "d"] {
        module = module.file(&format!("{part}.c"), &format!("int {name}_{part}(void) {{ return 1; }}\n"));
    }
    module.register(root);
    let slow = root.path(SLOW);
    let slow = slow.display();
    let makefile = format!(
        "obj-m := {name}.o\n{name}-objs := a.o b.o c.o d.o\n\
         $(M)/d.o: $(M)/gate\n$(M)/gate: $(M)/a.o $(M)/b.o $(M)/c.o $(M)/{name}.mod.o\n\
         \t@while [ -e {slow} ]; do sleep 0.02; done; touch $@\n"
    );
    root.write(format!("/usr/src/{name}-1.0/Makefile"), makefile);
    root.write(format!("/usr/src/{name}-1.0/a.c"), "#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n");
}

fn go_on(root: &FakeRoot) {
    std::fs::remove_file(root.path(SLOW)).unwrap();
}

fn with(mut command: Command, env: &[(&str, &str)]) -> Command {
    command.envs(env.iter().copied());
    command
}

/// Whether a program moved the cursor, or drew in colours.
fn has_escapes(text: &str) -> bool {
    text.contains('\u{1b}')
}

#[test]
fn a_line_moves_while_a_module_is_built() {
    let root = root();
    let command = with(root.program(Face::Hook), &[("TERM", "xterm"), ("LC_ALL", "C.UTF-8")]);
    let mut terminal = Terminal::start(&command, 24, 80);
    let line = format!("[1/1] hello 1.0 · {K} · 4 files · 0:0");
    let screen = terminal.wait_for("moving line", |screen| screen.contains(&line));
    assert!(screen.contains("Building hello/1.0 for kernel"), "{screen}");
    // It moves.
    terminal.wait_for("later time", |screen| screen.contains(&format!("{line}2")));
    assert_eq!(terminal.screen().matches("[1/1]").count(), 1);
    go_on(&root);
    let (code, screen, written) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    let ended: Vec<&str> = screen.lines().filter(|line| line.contains("[1/1]")).collect();
    assert_eq!(ended.len(), 1, "{screen}");
    assert!(ended[0].starts_with(&format!("[1/1] hello 1.0 · {K} · 6 files · built in ")), "{screen}");
    assert!(screen.contains("Building module(s)... done.\n"), "{screen}");
    assert!(!written.contains("\u{1b}[?25l"), "the cursor was hidden");
    // The next build knows how long the last one took.
    root.write(SLOW, "");
    root.write("/usr/src/hello-1.0/b.c", "int hello_b(void) { return 2; }\n");
    let mut terminal = Terminal::start(&command, 24, 80);
    terminal.wait_for("expected time", |screen| screen.contains(" of about 0:0"));
    go_on(&root);
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for (columns, line) in [
        (40, "[1/1] hello 1.0 - 6.12.1-toy - 0:0"),
        (200, "[1/1] hello 1.0 - 6.12.1-toy - 4 files - 0:0"),
        (20, "[1/1] hello - 0:0"),
    ] {
        let root = root();
        let command = with(root.program(Face::Hook), &[("TERM", "xterm")]);
        let mut terminal = Terminal::start(&command, 24, columns);
        let screen = terminal.wait_for("moving line", |screen| screen.lines().any(|l| l.starts_with(line)));
        assert_eq!(screen.matches("[1/1]").count(), 1, "{columns}:\n{screen}");
        if columns == 200 {
            terminal.resize(30);
            terminal.wait_for("narrow line", |screen| {
                screen.lines().any(|line| line.starts_with("[1/1] hello 1.0 - 0:"))
            });
        }
        go_on(&root);
        let (code, screen, _) = terminal.end();
        assert_eq!(code, 0, "{screen}");
    }
}

#[test]
fn a_terminal_that_can_only_print_gets_lines() {
    for env in [[("TERM", "dumb"), ("LC_ALL", "C")], [("LC_ALL", "C.UTF-8"), ("LANG", "C")]] {
        let root = root();
        go_on(&root);
        let (code, screen, written) = Terminal::start(&with(root.program(Face::Hook), &env), 24, 100).end();
        assert_eq!(code, 0, "{screen}");
        assert!(!has_escapes(&written), "{written:?}");
        assert!(screen.contains(&format!("hello/1.0 for {K}: built in ")), "{screen}");
    }
}

#[test]
fn nothing_is_coloured() {
    let root = root();
    let command = with(root.program(Face::Hook), &[("TERM", "xterm-256color"), ("NO_COLOR", "1")]);
    let mut terminal = Terminal::start(&command, 24, 80);
    terminal.wait_for("moving line", |screen| screen.contains("4 files - 0:0"));
    go_on(&root);
    let (code, _, written) = terminal.end();
    assert_eq!(code, 0);
    // Select Graphic Rendition: the escape sequences that end with `m`.
    let coloured = written.split('\u{1b}').skip(1).any(|rest| {
        rest.starts_with('[')
            && rest
                .trim_start_matches(['[', ';'])
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
                .starts_with('m')
    });
    assert!(!coloured, "{written:?}");
}

#[test]
fn a_package_managers_terminal_gets_lines_for_its_log() {
    let root = root();
    go_on(&root);
    let mut command = root.program(Face::Hook);
    command.args(["deb", "header-postinst", K]).env("TERM", "xterm");
    command.env("DEB_MAINT_PARAMS", "configure").env("DPKG_MAINTSCRIPT_NAME", "postinst");
    let (code, screen, written) = Terminal::start(&command, 24, 100).end();
    assert_eq!(code, 0, "{screen}");
    assert!(!has_escapes(&written), "{written:?}");
    assert!(screen.contains(&format!("hello/1.0 for {K}: built in ")), "{screen}");
}

#[test]
fn a_file_gets_plain_lines() {
    let root = root();
    go_on(&root);
    let said = root.hook(&[]).expect(0).out;
    assert!(!has_escapes(&said), "{said:?}");
    let begin = format!("Building hello/1.0 for kernel {K} (x86_64): ");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with(&begin), "{said}");
    assert_eq!(lines[1], "Building module(s)... done.", "{said}");
    assert!(said.contains(&format!("\nhello/1.0 for {K}: built in ")), "{said}");
    assert!(said.contains(", 6 files\n"), "{said}");
}

#[test]
fn the_words_of_dkms_in_a_file_are_what_they_were() {
    let root = root();
    go_on(&root);
    let said = finish(root.program(Face::Dkms).args(["build", "hello/1.0", "-k", K]).env("TERM", "xterm"));
    let said = said.expect(0).out;
    let mut lines = said.lines();
    assert!(lines.next().unwrap().starts_with("Building hello/1.0 for kernel"), "{said}");
    assert_eq!(lines.collect::<Vec<_>>(), ["Building module(s)... done."], "{said}");
}

#[test]
fn a_short_build_does_not_flicker() {
    let root = root();
    go_on(&root);
    let command = with(root.program(Face::Hook), &[("TERM", "xterm")]);
    let (code, screen, written) = Terminal::start(&command, 24, 80).end();
    assert_eq!(code, 0, "{screen}");
    // A build that took longer than expected may have had its line.
    assert!(!written.contains(" - 0:00"), "{written:?}");
    assert!(screen.contains("built in 0.") || screen.contains("built in "), "{screen}");
}

#[test]
fn what_make_prints_is_shown_when_asked_for() {
    let root = root();
    let mut command = with(root.program(Face::Hook), &[("TERM", "xterm")]);
    command.arg("--verbose");
    let mut terminal = Terminal::start(&command, 40, 200);
    terminal.wait_for("moving line", |screen| screen.contains("4 files - 0:0"));
    let above = terminal.screen();
    assert!(above.contains("  CC [M]  ") && above.contains("/a.o\n"), "{above}");
    go_on(&root);
    let (code, screen, _) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("  LD [M]  ") && screen.contains("# exit code: 0"), "{screen}");

    root.write("/usr/src/hello-1.0/b.c", "int hello_b(void) { return 2; }\n");
    let said = root.hook(&["--verbose"]).expect(0).out;
    assert!(said.contains("  LD [M]  ") && said.contains("# exit code: 0"), "{said}");
    assert!(!has_escapes(&said), "{said:?}");
}

#[test]
fn ctrl_c_leaves_the_terminal_as_it_was() {
    let root = root();
    let command = with(root.program(Face::Hook), &[("TERM", "xterm")]);
    let mut terminal = Terminal::start(&command, 24, 80);
    terminal.wait_for("moving line", |screen| screen.contains("4 files - 0:0"));
    terminal.press("\u{3}");
    let (code, screen, written) = terminal.end();
    assert_eq!(code, 130, "{screen}");
    assert!(screen.contains("[1/1] hello 1.0 - 6.12.1-toy - 4 files - stopped after "), "{screen}");
    assert_eq!(screen.matches("[1/1]").count(), 1, "{screen}");
    assert!(screen.contains("stopped by Ctrl-C: hello/1.0 for 6.12.1-toy was not built"), "{screen}");
    assert!(written.ends_with('\n') && !written.contains("\u{1b}[?25l"), "{written:?}");
    go_on(&root);
    root.hook(&[]).expect(0).says("Building hello/1.0");
}

/// [`root`], with a second module.
fn two() -> FakeRoot {
    let root = root();
    module(&root, "other");
    root
}

#[test]
fn two_builds_have_two_lines_and_each_speaks_in_one_piece() {
    let root = two();
    let mut command = with(root.program(Face::Hook), &[("TERM", "xterm")]);
    command.arg("--verbose");
    let mut terminal = Terminal::start(&command, 50, 200);
    let screen = terminal.wait_for("two lines", |screen| screen.matches(" files - 0:0").count() == 2);
    // They are the last two.
    let last: Vec<&str> = screen.lines().rev().take(2).map(|line| &line[..11]).collect();
    assert!(last.contains(&"[1/2] hello") && last.contains(&"[2/2] other"), "{screen}");
    assert!(
        screen.contains("\nhello/1.0:   CC [M]  ") && screen.contains("\nother/1.0:   CC [M]  "),
        "{screen}"
    );
    go_on(&root);
    let (code, screen, _) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert_eq!(screen.matches(" - built in ").count(), 2, "{screen}");

    root.write(SLOW, "");
    for name in ["hello", "other"] {
        root.write(format!("/usr/src/{name}-1.0/b.c"), format!("int {name}_b(void) {{ return 2; }}\n"));
    }
    go_on(&root);
    let said = root.hook(&[]).expect(0).out;
    assert_eq!(said.matches(": building (1 of 2), about 0:0").count(), 1, "{said}");
    assert_eq!(said.matches(": building (2 of 2), about 0:0").count(), 1, "{said}");
    for name in ["hello", "other"] {
        let begin = format!("{name}/1.0 for {K}: building (");
        assert!(said.lines().any(|line| line.starts_with(&begin)), "{said}");
        let piece = format!("Building {name}/1.0 for kernel {K} (x86_64): ");
        let mut lines = said.lines().skip_while(|line| !line.starts_with(&piece)).skip(1);
        assert_eq!(lines.next(), Some("Building module(s)... done."), "{said}");
    }
}

#[test]
fn ctrl_c_ends_all_that_is_built() {
    let root = two();
    let command = with(root.program(Face::Hook), &[("TERM", "xterm")]);
    let mut terminal = Terminal::start(&command, 30, 120);
    terminal.wait_for("two lines", |screen| screen.matches(" files - 0:0").count() == 2);
    terminal.press("\u{3}");
    let (code, screen, written) = terminal.end();
    assert_eq!(code, 130, "{screen}");
    assert_eq!(screen.matches("- stopped after ").count(), 2, "{screen}");
    assert_eq!(screen.matches("[1/2]").count() + screen.matches("[2/2]").count(), 2, "{screen}");
    assert!(
        screen.contains(
            "stopped by Ctrl-C:\n  hello/1.0 for 6.12.1-toy was not built, and no hello is installed"
        ),
        "{screen}"
    );
    assert!(
        screen.contains("\n  other/1.0 for 6.12.1-toy was not built, and no other is installed"),
        "{screen}"
    );
    assert!(written.ends_with('\n'), "{written:?}");
    for name in ["hello", "other"] {
        let left = root.names(format!("/var/lib/dkms/{name}/1.0"));
        assert_eq!(left, ["source"], "{screen}");
    }
    go_on(&root);
    root.hook(&[]).expect(0);
    assert_eq!(root.hook(&["--dry-run"]).expect(0).out, "nothing to do\n");
}

#[test]
fn in_the_background_nothing_moves() {
    let root = root();
    let program = with(root.program(Face::Hook), &[("TERM", "xterm")]);
    let mut shell = Command::new("bash");
    shell.args(["-mc", "\"$@\" & wait $!", "bash"]).arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        value.map(|value| shell.env(name, value));
    }
    let mut terminal = Terminal::start(&shell, 24, 80);
    let log = root.path("/var/lib/dkms/hello/1.0/build/hello.mod.o");
    terminal.wait_for("build", |_| log.exists());
    // Longer than it takes for a line to appear.
    std::thread::sleep(Duration::from_millis(1500));
    go_on(&root);
    let (code, screen, written) = terminal.end();
    assert_eq!(code, 0, "{screen}");
    assert!(!written.contains("files - 0:0"), "{written:?}");
    assert!(screen.contains(" - built in "), "{screen}");
}

#[test]
fn nothing_moves_while_a_script_uses_the_terminal() {
    let root = root();
    let (hold, shown) = (root.write("/var/log/hold", ""), root.path("/var/log/shown"));
    let ask = format!(
        "#!/bin/sh\nuntil [ -e {} ]; do sleep 0.02; done\necho 'who are you?'\n\
         while [ -e {} ]; do sleep 0.02; done\n",
        shown.display(),
        hold.display()
    );
    let scripts = Scripts { pre_install: Some("ask.sh".into()), ..Scripts::default() };
    ToyModule::new("asking", "1.0").scripts(scripts).executable("ask.sh", &ask).register(&root);
    let command = with(root.program(Face::Hook), &[("TERM", "xterm")]);
    let mut terminal = Terminal::start(&command, 24, 80);
    let moves = |screen: &str| screen.contains("4 files - 0:0");
    let line_or_script = |screen: &str| moves(screen) || screen.contains("Running the PRE_INSTALL script");
    terminal.wait_for("line or script", line_or_script);
    std::fs::write(&shown, "").unwrap();
    terminal.wait_for("question", |screen| screen.ends_with("\nwho are you?\n"));
    // As long as it takes for a line to come back.
    std::thread::sleep(Duration::from_millis(1500));
    assert!(terminal.screen().ends_with("\nwho are you?\n"), "{}", terminal.screen());
    std::fs::remove_file(hold).unwrap();
    terminal.wait_for("moving line", |screen| moves(screen) && !screen.ends_with("?\n"));
    go_on(&root);
    let (code, screen, _) = terminal.end();
    assert_eq!(code, 0, "{screen}");
}
