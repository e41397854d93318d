//! The hook files of pacman as `make install` places them: what they start exists and ends with status 0,
//! and their names sort where they have to.

use std::path::Path;
use std::process::Command;

use crate::support::toy_kernel::FakeRoot;

/// `make install` of the family of Arch into an empty directory.
fn installed() -> tempfile::TempDir {
    installed_with(&[])
}

fn installed_with(settings: &[&str]) -> tempfile::TempDir {
    let top = tempfile::tempdir().unwrap();
    let built = top.path().join("built");
    std::fs::create_dir_all(built.join("release")).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_dkms-hook"), built.join("release/dkms-hook")).unwrap();
    let made = Command::new("make")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["-s", "install", "HOOKS=pacman"])
        .args(settings)
        .arg(format!("DESTDIR={}", top.path().join("root").display()))
        .arg(format!("BUILDDIR={}", built.display()))
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    top
}

/// Name and text of each hook file, in the order in which pacman runs them.
fn hooks(root: &Path) -> Vec<(String, String)> {
    let mut hooks: Vec<_> = std::fs::read_dir(root.join("usr/share/libalpm/hooks"))
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    hooks.sort();
    hooks
}

/// The value of a key in a hook file.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('=')).map(str::trim)
}

#[test]
fn they_come_around_the_hooks_of_others() {
    let top = installed();
    let mut names: Vec<String> = hooks(&top.path().join("root")).into_iter().map(|(name, _)| name).collect();
    let others = ["60-depmod", "60-mkinitcpio-remove", "90-dracut-install", "90-mkinitcpio-install"];
    names.extend(others.map(|name| format!("{name}.hook")));
    names.sort();
    let names: Vec<&str> = names.iter().map(|name| name.strip_suffix(".hook").unwrap()).collect();
    assert_eq!(
        names,
        [
            "01-dkms-incoming",
            "01-dkms-leaving",
            "60-depmod",
            "60-mkinitcpio-remove",
            "70-dkms-install",
            "71-dkms-remove",
            "90-dracut-install",
            "90-mkinitcpio-install",
            "91-dkms-initramfs",
        ]
    );
}

#[test]
fn nothing_is_changed_before_the_transaction_and_one_hook_may_stop_it() {
    for (name, text) in hooks(&installed().path().join("root")) {
        let before = name.starts_with("01-");
        assert_eq!(value(&text, "When"), Some(if before { "PreTransaction" } else { "PostTransaction" }));
        let stops = text.lines().any(|line| line == "AbortOnFail");
        assert_eq!(stops, name == "01-dkms-incoming.hook", "{name}");
    }
}

/// The words of a command line: some are in quotes, as alpm-hooks(5) has it.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

#[test]
fn only_status_3_stops_a_transaction() {
    let top = installed();
    let (_, text) = hooks(&top.path().join("root")).remove(0);
    let words = words(value(&text, "Exec").unwrap());
    let root = FakeRoot::new();
    for (script, status) in [("exit 0", 0), ("exit 1", 0), ("exit 3", 1), ("kill -9 $$", 0), ("exit 127", 0)]
    {
        let program = root.write_script("/usr/bin/stand-in", &format!("#!/bin/sh\n{script}\n"));
        let replaced = words[2].replace("/usr/bin/dkms-hook", program.to_str().unwrap());
        let ended = Command::new(&words[0]).args([&words[1], &replaced]).status().unwrap();
        assert_eq!(ended.code(), Some(status), "{script}");
    }
}

#[test]
fn what_they_start_is_there_and_ends_well() {
    let top = installed();
    let installed = top.path().join("root");
    for (name, text) in hooks(&installed) {
        let exec = value(&text, "Exec").unwrap();
        let exec = exec.strip_prefix("/bin/sh -c '").unwrap_or(exec).trim_end_matches("; [ $? -ne 3 ]'");
        let (program, event) = exec.split_once(' ').unwrap();
        assert_eq!(program, "/usr/bin/dkms-hook", "{name}");
        assert!(installed.join(&program[1..]).is_file());
        let needs_targets = text.lines().any(|line| line == "NeedsTargets");
        let target = "usr/lib/modules/6.12.1-arch1-1/vmlinuz".to_owned();
        let targets = if needs_targets { vec![target] } else { Vec::new() };
        FakeRoot::new().event(event, &targets).expect(0).does_not_say("does not know");
    }
}

#[test]
fn sbin_is_left_a_link() {
    let top = installed();
    let root = top.path().join("root");
    assert!(!root.join("usr/sbin").exists());
    assert_eq!(std::fs::read_link(root.join("usr/bin/dkms")).unwrap(), Path::new("dkms-hook"));
    let postinst = std::fs::read_to_string(root.join("usr/lib/dkms/common.postinst")).unwrap();
    assert!(postinst.contains("exec /usr/bin/dkms-hook "));
}

#[test]
fn hooks_are_where_they_are_looked_for_wherever_the_program_is() {
    let top = installed_with(&["PREFIX=/usr/local"]);
    let root = top.path().join("root");
    let plugin = root.join("usr/lib/kernel/install.d/40-dkms.install");
    let mut texts = hooks(&root);
    texts.push(("the plugin".to_owned(), std::fs::read_to_string(plugin).unwrap()));
    assert_eq!(texts.len(), 6);
    assert!(root.join("usr/local/bin/dkms-hook").exists());
    for (name, text) in texts {
        let calls = text.lines().filter(|line| line.contains("bin/dkms-hook ") && !line.starts_with('#'));
        assert!(calls.clone().count() > 0, "{name}");
        assert!(calls.clone().all(|line| line.contains("/usr/local/bin/dkms-hook ")), "{name}: {text}");
    }
}
