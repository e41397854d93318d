//! POST_ADD, PRE_INSTALL, POST_INSTALL and POST_REMOVE are words, not commands of a shell: DKMS 3.4.3 splits the
//! value at blanks and executes it (`exec $run` in its run_build_script).

use std::fs;

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};

const K: &str = "6.12.1-toy";

/// A root with `p/1`, whose script `show.sh` notes its arguments, one a line.
fn root(lines: &[&str]) -> FakeRoot {
    let root = FakeRoot::new();
    ToyKernel::new(K).install(&root);
    let said = root.path("/said");
    let show = format!("#!/bin/sh\nfor word; do echo \"$word\"; done >> {}\n", said.display());
    let module = ToyModule::new("p", "1").executable("show.sh", &show);
    lines.iter().fold(module, |module, line| module.line(line)).write_source(&root);
    root
}

fn said(root: &FakeRoot) -> String {
    let text = fs::read_to_string(root.path("/said")).unwrap_or_default();
    let _ = fs::remove_file(root.path("/said"));
    text.lines().collect::<Vec<_>>().join(" | ")
}

#[test]
fn no_character_of_a_shell_means_anything_in_them() {
    let root = root(&[
        "POST_ADD='show.sh add \\; (x) a&b'",
        "PRE_INSTALL='show.sh pre \\; && touch BAD1'",
        "POST_INSTALL='show.sh post > BAD2 | cat; touch BAD3'",
        "POST_REMOVE=\"show.sh remove 'two words' [x] ~root #c\"",
    ]);
    root.dkms(&["add", "p/1"]).expect(0);
    assert_eq!(said(&root), "add | \\; | (x) | a&b");
    root.dkms(&["install", "p/1", "-k", K]).expect(0);
    assert_eq!(said(&root), "pre | \\; | && | touch | BAD1 | post | > | BAD2 | | | cat; | touch | BAD3");
    root.dkms(&["uninstall", "p/1", "-k", K]).expect(0);
    assert_eq!(said(&root), "remove | 'two | words' | [x] | ~root | #c");
    for name in ["BAD1", "BAD2", "BAD3"] {
        assert!(!root.exists(format!("/usr/src/p-1/{name}")), "{name}");
    }
}

#[test]
fn a_parenthesis_is_no_syntax_error() {
    let root = root(&["POST_INSTALL=\"show.sh (internal) $kernelver\""]);
    root.dkms(&["install", "p/1", "-k", K]).expect(0).does_not_say("POST_INSTALL of");
    assert_eq!(said(&root), format!("(internal) | {K}"));
}

#[test]
fn names_of_files_are_expanded_in_the_directory_of_the_script() {
    let root = root(&["POST_INSTALL='show.sh *.sh no*such'"]);
    root.dkms(&["install", "p/1", "-k", K]).expect(0);
    assert_eq!(said(&root), "show.sh | no*such");
}

#[test]
fn those_of_a_build_are_for_a_shell() {
    let root =
        root(&["PRE_BUILD=\"show.sh 'two words' && touch made\"", "POST_BUILD='show.sh a; test -e made'"]);
    root.dkms(&["build", "p/1", "-k", K]).expect(0);
    assert_eq!(said(&root), "two words | a");
}
