use proptest::prelude::*;

use super::super::evaluation::{Source, Values, with_bash, with_own_reader};
use super::super::{CONTEXT, DKMS_CONF};
use super::*;
use crate::fs::root::Root;

fn question() -> Question<'static> {
    let value = |name: &str| match name {
        "kernelver" => Some("6.12.107+deb13-amd64"),
        "arch" => Some("x86_64"),
        "kernel_source_dir" => Some("/lib/modules/6.12.107+deb13-amd64/build"),
        "dkms_tree" => Some("/var/lib/dkms"),
        "parallel_jobs" => Some("4"),
        _ => None,
    };
    let given = CONTEXT.iter().map(|name| ((*name).to_owned(), value(name).map(|v| v.as_bytes().to_vec())));
    Question { exported: DKMS_CONF, given: given.collect(), limit: crate::conf::USUAL_LIMIT, foreign: true }
}

fn sources(texts: &[&str]) -> (tempfile::TempDir, Vec<Source>) {
    let dir = tempfile::tempdir().unwrap();
    let files = texts.iter().enumerate().map(|(number, text)| {
        let path = dir.path().join(format!("{number}.conf"));
        std::fs::write(&path, text).unwrap();
        Source { path, text: text.as_bytes().to_vec() }
    });
    let files = files.collect();
    (dir, files)
}

/// Both readers on the same files; what they agree on.
fn both(texts: &[&str]) -> Values {
    let (_dir, files) = sources(texts);
    let own = with_own_reader(&question(), &files).expect("declarative");
    let (bash, _) = with_bash(&Root::host(), &question(), &files).expect("bash");
    assert_eq!(own, bash, "{texts:?}");
    own
}

fn one(text: &str, name: &str) -> String {
    both(&[text]).get(name).and_then(|v| v.get(&0)).cloned().unwrap_or_else(|| "(unset)".to_owned())
}

fn refused(text: &str) -> NeedsShell {
    with_own_reader(&question(), &sources(&[text]).1).expect_err(text)
}

#[test]
fn quotes_and_variables() {
    assert_eq!(one("MAKE=make", "MAKE"), "make");
    assert_eq!(one("MAKE=\"make KVER=$kernelver\"", "MAKE"), "make KVER=6.12.107+deb13-amd64");
    assert_eq!(one("MAKE='make KVER=${kernelver}'", "MAKE"), "make KVER=6.12.107+deb13-amd64");
    assert_eq!(one("MAKE=a\\ b'c d'\"e f\"", "MAKE"), "a bc de f");
    assert_eq!(one("MAKE=\"cost$ 5$\"", "MAKE"), "cost$ 5$");
    assert_eq!(one("MAKE=", "MAKE"), "");
    assert_eq!(one("# MAKE=no\n", "MAKE"), "(unset)");
    assert_eq!(one("PACKAGE_VERSION=0~20230205+git # comment", "PACKAGE_VERSION"), "0~20230205+git");
    assert_eq!(one("PACKAGE_VERSION=\"#MODULES_VERSION#\"", "PACKAGE_VERSION"), "#MODULES_VERSION#");
    assert_eq!(one("A=1; B=2 MAKE=$A$B", "MAKE"), "12");
}

#[test]
fn alternatives() {
    let jobs = "MAKE=\"make ${parallel_jobs+-j$parallel_jobs} all\"";
    assert_eq!(one(jobs, "MAKE"), "make -j4 all");
    assert_eq!(one("MAKE=${module-none}${module+some}", "MAKE"), "none");
    assert_eq!(one("STRIP=\nMAKE=${STRIP-a}${STRIP:-b}${STRIP+c}${STRIP:+d}", "MAKE"), "bc");
    assert_eq!(one("STRIP[2]=no\nMAKE=${STRIP[2]:-yes}${STRIP[1]:-yes}", "MAKE"), "noyes");
    assert_eq!(one("kernelver=${kernelver:-$(uname -r)}\nMAKE=$kernelver", "MAKE"), "6.12.107+deb13-amd64");
}

#[test]
fn the_second_evaluation() {
    // Blanks collapse, also at the ends, and several lines become one.
    assert_eq!(one("MAKE=\"  a \t b\n\n c  \"", "MAKE"), " a b c ");
    // What was escaped once is expanded after all; what was escaped twice is not.
    assert_eq!(one("MAKE=\"\\$arch \\\\\\$arch\"", "MAKE"), "x86_64 $arch");
    // A name of the file's own is not there the second time; a directive that went before is.
    assert_eq!(one("FOO=bar\nMAKE='[$FOO]'", "MAKE"), "[]");
    assert_eq!(one("PACKAGE_NAME=zfs\nMAKE='[$PACKAGE_NAME]'", "MAKE"), "[zfs]");
    // Quotes inside a value disappear.
    assert_eq!(one("MAKE=\"make V=\\\"$arch\\\"\"", "MAKE"), "make V=x86_64");
    assert_eq!(one("MAKE=\"make 'a b' \\\\n\"", "MAKE"), "make 'a b' \\n");
    // Patterns stay patterns.
    assert_eq!(one("MAKE='cp /et[c] /usr/* .'", "MAKE"), "cp /et[c] /usr/* .");
}

#[test]
fn carriage_returns() {
    let crlf = "PACKAGE_NAME=\"x\"\r\n\r\n# c\r\nMAKE=make\r\nPATCH[1]='a'\r\n";
    let values = both(&[crlf]);
    assert_eq!(values["PACKAGE_NAME"][&0], "x");
    assert_eq!(values["MAKE"][&0], "make");
    assert_eq!(values["PATCH"][&1], "a");
    assert_eq!(one("V=1\r\nMAKE=\"a$V\"b\r\n", "MAKE"), "a1\rb");
}

#[test]
fn arrays() {
    let values = both(&["PATCH=(a \"b c\" 'd' # e\n $arch)\nPATCH[7]=x\nPATCH+=(y)\nPATCH+=z\nPATCH[7]+=w"]);
    let expected = [(0, "az"), (1, "b c"), (2, "d"), (3, "x86_64"), (7, "xw"), (8, "y")];
    assert_eq!(values["PATCH"], expected.map(|(i, t)| (i, t.to_owned())).into());
    assert!(!both(&["PATCH=()"]).contains_key("PATCH"));
    assert_eq!(both(&["PATCH=a\nPATCH+=(b)"])["PATCH"].len(), 2);
}

#[test]
fn overrides_win_per_element_and_see_what_was_there() {
    let values = both(&["PATCH=(a b c)\nMAKE=make", "PATCH=(z)\nMAKE=\"$MAKE V=1\"", "MAKE+=' W=2'"]);
    assert_eq!(values["PATCH"].values().collect::<Vec<_>>(), ["z", "b", "c"]);
    assert_eq!(values["MAKE"][&0], "make V=1 W=2");
    // Each file evaluates once more what it does not touch, as with DKMS.
    assert_eq!(both(&["MAKE='\\$arch'", "STRIP=no"])["MAKE"][&0], "x86_64");
}

#[test]
fn whatever_needs_a_shell_is_refused_with_its_line() {
    for (text, line, why) in [
        ("A=1\nif true; then\nfi", 2, "the command `if`"),
        ("\n\nMAKE=$(nproc -x)", 3, "a command substitution"),
        ("MAKE=`nproc`", 1, "a command substitution"),
        ("MAKE=\\`nproc\\`", 1, "a command substitution"),
        ("MAKE=make all", 1, "the command `all`"),
        ("i=0\nPATCH[$i]=a", 2, "an array index that is not a plain number"),
        ("PATCH[08]=a", 1, "an array index that is not a plain number"),
        ("MAKE=$HOME", 1, "the variable HOME"),
        ("MAKE='$HOME'", 1, "the variable HOME"),
        ("MAKE=${arch%_64}", 1, "the operator in `${arch…}`"),
        ("MAKE=${arch,,}", 1, "the operator in `${arch…}`"),
        ("MAKE=~/x", 1, "a `~`"),
        ("PATCH=(*.patch)", 1, "a pattern"),
        ("PATCH=({a,b})", 1, "a pattern"),
        ("X='a b'\nPATCH=($X)", 2, "an unquoted variable that may be split into words"),
        ("MAKE=a|b", 1, "an unquoted `|`"),
        ("IFS=:", 1, "an assignment to IFS, which bash itself uses"),
        ("MAKE='a \"b c\" d'", 1, "a quote inside a value"),
        ("MAKE=\"a", 1, "a quote that is not closed"),
        ("MAKE=a\u{1}", 1, "a control character"),
        ("PATCH=(x)\\\nMAKE=a", 1, "text after `)`"),
        ("export MAKE=a", 1, "the command `export`"),
    ] {
        assert_eq!(refused(text), NeedsShell { line, why: why.to_owned() }, "{text:?}");
    }
}

#[test]
fn values_that_grow_without_end_are_refused_before_memory_ends() {
    let doubling = format!("MAKE=x\n{}", "MAKE=$MAKE$MAKE\n".repeat(60));
    let adding = format!("MAKE={}\n{}", "x".repeat(9000), "MAKE+=x\n".repeat(200_000));
    for text in [doubling, adding] {
        assert_eq!(refused(&text).why, "values that grow without end");
    }
    let many = "PATCH+=(x)\n".repeat(100_000);
    assert_eq!(with_own_reader(&question(), &sources(&[&many]).1).unwrap()["PATCH"].len(), 100_000);
}

/// Text in which declarative confs, and things close to them, are likely. Nothing in it can form the
/// name of a program or a redirection: bash really runs it.
fn conf_text() -> impl Strategy<Value = String> {
    let piece = || {
        prop::sample::select(vec![
            "a",
            "-b",
            "1.2",
            "$kernelver",
            "${arch}",
            "${arch-q}",
            "${arch:+q $arch}",
            "${XX:-y}",
            "$XX",
            "${PATCH[2]}",
            "${PATCH[2]+p}",
            "${module:-m}",
            "$MAKE",
            "$nope",
            "\"",
            "\"",
            "'",
            "'",
            " ",
            "  ",
            "\t",
            "\\",
            "\\\\",
            "\\$",
            "\\\"",
            "\\\n",
            "\n",
            "\r",
            "~",
            ":~",
            "=",
            "#",
            " #",
            "*",
            "[0]",
            "{q,r}",
            "$",
            ";",
            "(",
            ")",
            "%",
            "é",
            "\\$arch",
            "\\\\\\$arch",
            "${kernelver:-$(XX -r)}",
            "!",
        ])
    };
    let word = prop::collection::vec(piece(), 0..6).prop_map(|p| p.concat());
    let plain = "[a-z./ -]{0,5}";
    let value = prop_oneof![
        2 => word.clone(),
        2 => word.clone().prop_map(|w| format!("\"{w}\"")),
        1 => word.clone().prop_map(|w| format!("'{w}'")),
        1 => plain.prop_map(|w| format!("'{w}'$arch\"{w}$XX\"")),
        1 => prop::collection::vec(word, 0..4).prop_map(|w| format!("({})", w.join(" "))),
        1 => prop::collection::vec(plain, 0..4).prop_map(|w| format!("({}\n'x'\"$arch\")", w.join(" #"))),
    ];
    let name = prop::sample::select(vec![
        "MAKE",
        "PATCH",
        "PACKAGE_NAME",
        "STRIP",
        "PRE_BUILD",
        "XX",
        "arch",
        "CLEAN",
    ]);
    let index = prop::sample::select(vec!["", "", "", "[0]", "[2]", "[10]"]);
    let operator = prop::sample::select(vec!["=", "=", "=", "+="]);
    let end =
        prop::sample::select(vec!["\n", "\n", "\r\n", "; ", " ", " # c\n", "\n\n", "\r\n\r\n", " \\\n"]);
    let line = (name, index, operator, value, end).prop_map(|(n, i, o, v, e)| format!("{n}{i}{o}{v}{e}"));
    prop::collection::vec(line, 0..5).prop_map(|lines| lines.concat())
}

fn same_or_refused(texts: &[&str]) -> Result<(), TestCaseError> {
    let (_dir, files) = sources(texts);
    let Ok(own) = with_own_reader(&question(), &files) else { return Ok(()) };
    match with_bash(&Root::host(), &question(), &files) {
        Ok((bash, _)) => prop_assert_eq!(own, bash),
        Err(err) => prop_assert!(false, "bash fails where we read {:?}: {}", own, err),
    }
    Ok(())
}

proptest! {
    #[test]
    fn bash_gives_the_same_values_or_is_asked(text in conf_text()) {
        same_or_refused(&[&text])?;
    }

    #[test]
    fn also_with_overrides(a in conf_text(), b in conf_text()) {
        same_or_refused(&[&a, &b])?;
    }

    #[test]
    fn also_for_any_text(text in "(MAKE|XX)=[xA \"'$\\\\{}()\\[\\]01+:~#;\n\r=-]{0,14}") {
        same_or_refused(&[&text])?;
    }
}
