//! What is told of the two commands, in their manual pages, by `--help` and by the shells' completions,
//! is what they understand: no more, and no less.

use std::collections::BTreeSet;

use crate::support::program::{Answer, Face, finish};
use crate::support::toy_kernel::FakeRoot;

const DKMS_PAGE: &str = include_str!("../../man/dkms.8");
const HOOK_PAGE: &str = include_str!("../../man/dkms-hook.8");
const DKMS_BASH: &str = include_str!("../../completions/dkms.bash");
const HOOK_BASH: &str = include_str!("../../completions/dkms-hook.bash");
const ZSH: &str = include_str!("../../completions/_dkms");

/// Accepted for the sake of old scripts: nobody is to be led to them.
const DEPRECATED: [&str; 3] = ["--no-clean-kernel", "--no-initrd", "--no-prepare-kernel"];

/// Options of `dkms` that want a value.
const WITH_VALUE: [&str; 17] = [
    "--arch",
    "--archive",
    "--config",
    "--directive",
    "--dkmstree",
    "--installtree",
    "--kernelsourcedir",
    "--kernelver",
    "--module",
    "--sourcetree",
    "--templatekernel",
    "-a",
    "-c",
    "-j",
    "-k",
    "-m",
    "-v",
];

type Words = BTreeSet<String>;

/// The text of a page without its markup.
fn plain(page: &str) -> String {
    let mut text = page.replace("\\-", "-").replace("\\(dq", "\"");
    for font in ["\\fB", "\\fI", "\\fR"] {
        text = text.replace(font, "");
    }
    text
}

/// What a page describes in a section: the lines after `.TP` and `.TQ`.
fn tags(page: &str, section: &str) -> Vec<String> {
    let text = plain(page);
    let start = format!(".SH {section}\n");
    let (_, body) = text.split_once(&start).unwrap_or_else(|| panic!("no section {section}"));
    let body = body.split("\n.SH ").next().unwrap();
    let lines: Vec<&str> = body.lines().collect();
    let after = lines.windows(2).filter(|pair| matches!(pair[0], ".TP" | ".TQ")).map(|pair| pair[1]);
    after
        .map(|line| line.strip_prefix(".BR ").or(line.strip_prefix(".B ")).unwrap_or(line).to_owned())
        .collect()
}

/// The options among the words of a text.
fn options(text: &str) -> Words {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let words = text.split(|c: char| !part(c)).filter(|word| word.starts_with('-'));
    let real =
        words.filter(|word| word.trim_start_matches('-').starts_with(|c: char| c.is_ascii_alphabetic()));
    // `-j2` is none, nor is the option of another program in an example.
    real.filter(|word| word.starts_with("--") || word.len() == 2).map(str::to_owned).collect()
}

fn words(list: &[&str]) -> Words {
    list.iter().map(|word| (*word).to_owned()).collect()
}

/// The value of a variable in a completion for bash.
fn variable(text: &str, name: &str) -> Words {
    let (_, rest) = text.split_once(&format!("local {name}='")).unwrap();
    rest.split('\'').next().unwrap().split_whitespace().map(str::to_owned).collect()
}

/// The part of the completion for zsh that is about one of the commands.
fn zsh(hook: bool) -> &'static str {
    let (before, after) = ZSH.split_once("\nactions=(").unwrap();
    if hook { before } else { after }
}

/// The options in a completion for zsh: they stand before a description in brackets.
fn zsh_options(hook: bool) -> Words {
    let lines =
        zsh(hook).lines().filter(|line| line.contains('[') && line.trim_start().starts_with(['\'', '{']));
    lines.flat_map(|line| options(&line[..line.find('[').unwrap()])).collect()
}

#[test]
fn every_option_of_dkms_is_told_everywhere_and_understood() {
    let root = FakeRoot::new();
    let help = root.dkms(&["--help"]).expect(0).out;
    let page = options(&tags(DKMS_PAGE, "OPTIONS").join("\n"));
    for option in &page {
        let mut args = vec![option.as_str()];
        if WITH_VALUE.contains(&option.as_str()) {
            args.push("A=1");
        }
        args.push("--version");
        let args = if option == "-j" { vec!["-j", "1", "--version"] } else { args };
        root.dkms(&args).expect(0);
    }
    for option in DEPRECATED {
        assert!(plain(DKMS_PAGE).contains(option), "{option}");
        root.dkms(&[option, "--version"]).expect(0);
        assert!(!page.contains(option) && !help.contains(option), "{option}");
    }
    root.dkms(&["--no-such-option", "--version"]).expect(2);
    assert_eq!(variable(DKMS_BASH, "options"), page, "bash");
    assert_eq!(zsh_options(false), page, "zsh");
    let told = options(&help);
    assert!(told.is_subset(&page), "{:?}", told.difference(&page));
    // The short text leaves long forms of short options out, and nothing else.
    let left_out: Words = page.difference(&told).cloned().collect();
    assert_eq!(left_out, words(&["--arch", "--kernelver", "--module"]));
}

#[test]
fn every_action_of_dkms_is_told_everywhere_and_understood() {
    let root = FakeRoot::new();
    let page: Words = tags(DKMS_PAGE, "ACTIONS")
        .iter()
        .map(|tag| tag.split_whitespace().next().unwrap().to_owned())
        .collect();
    let help = root.dkms(&["--help"]).expect(0).out;
    for action in &page {
        // Two at once are a mistake of their own.
        root.dkms(&["status", action]).expect(4).says("two actions");
        assert!(help.contains(action.as_str()), "{action}");
    }
    root.dkms(&["status", "no_such_action"]).expect(0);
    assert_eq!(variable(DKMS_BASH, "actions"), page, "bash");
    let listed = zsh(false).split("\n)").next().unwrap().lines();
    let listed: Words = listed
        .filter_map(|line| Some(line.trim().strip_prefix('\'')?.split(':').next()?.to_owned()))
        .collect();
    assert_eq!(listed, page, "zsh");
}

#[test]
fn every_option_and_command_of_dkms_hook_is_told_everywhere() {
    let root = FakeRoot::new();
    let help = |args: &[&str]| root.hook(&[args, &["--help"]].concat()).expect(0).out;
    let page = plain(HOOK_PAGE);
    let top = help(&[]);
    let described = options(&tags(HOOK_PAGE, "OPTIONS").join("\n"));
    assert_eq!(options(top.split("\nOptions:").nth(1).unwrap()), described);
    assert_eq!(zsh_options(true), described, "zsh");
    let listed = top.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands: Words =
        listed.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    let commands: Words = commands.into_iter().filter(|command| command != "help").collect();
    let entries = tags(HOOK_PAGE, "COMMANDS");
    let told: Words = entries.iter().map(|tag| tag.split_whitespace().next().unwrap().to_owned()).collect();
    assert_eq!(told, commands);
    for command in &commands {
        let own = options(help(&[command]).split("\nOptions:").nth(1).unwrap());
        // One that no other command has is described with it.
        let entry = entries.iter().find(|tag| tag.split_whitespace().next() == Some(command)).unwrap();
        let known: Words = described.union(&options(entry)).cloned().collect();
        assert!(own.is_subset(&known), "{command}: {own:?}");
        let synopsis = page.lines().find(|line| line.starts_with(&format!("dkms-hook {command}"))).unwrap();
        // As for dkms-hook itself: those that every command has are not repeated.
        let everywhere = words(&["--root", "-v"]);
        let named: Words = options(synopsis).difference(&everywhere).cloned().collect();
        assert!(named.is_subset(&own), "{synopsis}: {own:?}");
        assert!(zsh(true).contains(command.as_str()) && HOOK_BASH.contains(command.as_str()), "{command}");
    }
    // What package managers call: each first word of those is a command.
    for tag in tags(HOOK_PAGE, "\"CALLED BY PACKAGE MANAGERS\"") {
        help(&[tag.split_whitespace().next().unwrap()]);
    }
}

/// What bash offers for the last of `typed` on a machine with the trees of a root.
fn offered(root: &FakeRoot, face: Face, typed: &[&str]) -> Vec<String> {
    let (name, text) = match face {
        Face::Dkms => ("dkms", DKMS_BASH),
        Face::Hook => ("dkms-hook", HOOK_BASH),
    };
    let mut text = text.to_owned();
    for tree in ["/lib/modules", "/var/lib/dkms", "/usr/src"] {
        text = text.replace(&format!(" {tree}/"), &format!(" {}/", root.path(tree).display()));
        text = text.replace(&format!("#{tree}/"), &format!("#{}/", root.path(tree).display()));
    }
    let script = format!(
        "{text}\nset -u\nCOMP_WORDS=({name} \"$@\")\nCOMP_CWORD=$#\n\
         call=$(complete -p {name})\ncall=${{call#*-F }}\n${{call%% *}} {name} \"${{COMP_WORDS[COMP_CWORD]}}\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let mut command = std::process::Command::new("bash");
    command.args(["--norc", "-c", &script, "bash"]).args(typed).env_clear().env("PATH", "/usr/bin:/bin");
    command.current_dir(root.layout.root.dir());
    let Answer { out, err, code } = finish(&mut command);
    assert_eq!((code, err.as_str()), (0, ""), "{typed:?}");
    let mut offered: Vec<String> = out.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    offered.sort();
    offered
}

#[test]
fn bash_completes_what_is_there() {
    let root = FakeRoot::new();
    for kernel in ["6.1-a", "6.2-b"] {
        std::fs::create_dir_all(root.path(format!("/lib/modules/{kernel}/kernel"))).unwrap();
    }
    std::fs::create_dir_all(root.path("/lib/modules/0-headers")).unwrap();
    // Registered, with a link that leads to its source from outside of the root, too.
    let source = crate::support::toy_kernel::ToyModule::new("hello", "1.0").write_source(&root);
    std::fs::create_dir_all(root.path("/var/lib/dkms/hello/1.0")).unwrap();
    std::os::unix::fs::symlink(source, root.path("/var/lib/dkms/hello/1.0/source")).unwrap();
    crate::support::toy_kernel::ToyModule::new("to-add", "2-rc1").write_source(&root);
    root.write("/work/x.tar.gz", "");
    let dkms = |typed: &[&str]| offered(&root, Face::Dkms, typed);
    let hook = |typed: &[&str]| offered(&root, Face::Hook, typed);

    assert_eq!(dkms(&["au"]), ["autoinstall"]);
    assert_eq!(dkms(&[""]).len(), 15);
    assert_eq!(dkms(&["--f"]), ["--force", "--force-version-override"]);
    assert_eq!(dkms(&["build", "hello/1.0", "-k", "6"]), ["6.1-a", "6.2-b"]);
    assert_eq!(dkms(&["match", "--templatekernel", "="]), ["0-headers", "6.1-a", "6.2-b"]);
    assert_eq!(dkms(&["match", "--templatekernel", "=", "6.2"]), ["6.2-b"]);
    for action in ["install", "build"] {
        let mut offered = dkms(&[action, ""]);
        offered.dedup();
        assert_eq!(offered, ["hello/1.0", "to-add/2-rc1"]);
    }
    assert_eq!(dkms(&["add", "t"]), ["to-add/2-rc1"]);
    assert_eq!(dkms(&["add", "./wo"]), ["./work"]);
    assert_eq!(dkms(&["add", "./work/"]), ["./work/x.tar.gz"]);
    assert_eq!(dkms(&["ldtarball", "work/"]), ["work/x.tar.gz"]);
    for action in ["remove", "status", "uninstall", "unbuild", "mktarball", "match"] {
        assert_eq!(dkms(&[action, ""]), ["hello/1.0"], "{action}");
    }
    for nothing in
        [&["autoinstall", ""][..], &["generate_mok", ""], &["build", "-j", ""], &["status", "-v", ""]]
    {
        assert_eq!(dkms(nothing), [""; 0], "{nothing:?}");
    }
    assert_eq!(dkms(&["status", "--dkmstree", "var/li"]), ["var/lib"]);

    assert_eq!(hook(&["st"]), ["status"]);
    assert_eq!(hook(&["settings", "--j"]), ["--json"]);
    assert_eq!(hook(&["--kernel", ""]), ["6.1-a", "6.2-b"]);
    assert_eq!(hook(&["--rebuild", "=", "a"]), ["abi"]);
    assert_eq!(hook(&["why", ""]), ["hello/1.0"]);
    assert_eq!(hook(&["resign", "--d"]), ["--dry-run"]);
    assert_eq!(hook(&["why", "--d"]), [""; 0]);
    assert_eq!(hook(&["incoming", "work/"]), ["work/x.tar.gz"]);
    assert_eq!(hook(&["secure-boot", "en"]), ["enrol"]);
    assert_eq!(hook(&["secure-boot", "work/"]), ["work/x.tar.gz"]);
    assert_eq!(hook(&["secure-boot", "--j"]), ["--json"]);
    assert_eq!(hook(&["--root", "wo"]), ["work"]);
}
