use std::time::Instant;

use super::*;
use crate::conf::DKMS_CONF;
use crate::model::settings::Limit;

fn question(given: &[(&str, &str)]) -> Question<'static> {
    let given = given.iter().map(|(name, value)| ((*name).to_owned(), Some(value.as_bytes().to_vec())));
    Question { exported: DKMS_CONF, given: given.collect(), limit: crate::conf::USUAL_LIMIT, foreign: false }
}

fn ask(texts: &[&str]) -> Result<(Bytes, Vec<String>), ConfError> {
    let dir = tempfile::tempdir().unwrap();
    let files: Vec<Source> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| {
            let path = dir.path().join(format!("{number} \"$x.conf"));
            std::fs::write(&path, text).unwrap();
            Source { path, text: text.as_bytes().to_vec() }
        })
        .collect();
    let said = read(&Root::host(), &question(&[("kernelver", "6.1"), ("arch", "x86_64")]), &files)?;
    Ok((said.values, said.complaints))
}

fn value(texts: &[&str], name: &str, index: usize) -> String {
    let (values, _) = ask(texts).unwrap();
    let bytes = values.get(name).and_then(|v| v.get(&index)).cloned();
    bytes.map_or("(unset)".to_owned(), |b| String::from_utf8(b).unwrap())
}

fn why(texts: &[&str]) -> String {
    match ask(texts) {
        Err(ConfError::Shell { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn code_runs_and_its_output_is_thrown_away() {
    let text = "echo noise\nfor i in 0 1; do BUILT_MODULE_NAME[$i]=m$((i+1)); done\n\
                case $kernelver in 6.*) STRIP=no;; esac\nlocal=1\nMAKE=$(printf 'a\\n  b')";
    assert_eq!(value(&[text], "BUILT_MODULE_NAME", 1), "m2");
    assert_eq!(value(&[text], "STRIP", 0), "no");
    assert_eq!(value(&[text], "MAKE", 0), "a b");
}

#[test]
fn the_environment_and_the_directory_are_fixed() {
    assert_eq!(value(&["MAKE=\"$(env | cut -d= -f1 | sort | tr '\\n' ' ')\""], "MAKE", 0), {
        "LANG LC_ALL PATH PWD SHLVL _ arch kernelver "
    });
    assert_eq!(value(&["MAKE=$PWD PRE_BUILD=$#"], "MAKE", 0), "/");
    assert_eq!(value(&["MAKE=$#\nshopt -q extglob && STRIP=extglob"], "STRIP", 0), "extglob");
}

#[test]
fn options_and_functions_of_a_conf_do_not_reach_us() {
    let text = "set -euf; IFS=x; shopt -s nullglob\nprintf() { :; }\nreadonly i=3\nMAKE='a  b'\n";
    assert_eq!(value(&[text], "MAKE", 0), "a  b", "IFS without blanks: nothing to collapse");
    assert_eq!(value(&["alias x=y; MAKE=*", "STRIP=no"], "MAKE", 0), "*");
}

#[test]
fn a_value_that_holds_code_runs_in_the_second_evaluation() {
    assert_eq!(value(&["MAKE='$(printf $arch)'"], "MAKE", 0), "x86_64");
    assert_eq!(value(&["declare -A STRIP=([no]=yes [3]=no)"], "STRIP", 3), "no");
}

#[test]
fn an_external_command_may_come_last() {
    assert_eq!(value(&["MAKE=make; /bin/true"], "MAKE", 0), "make");
    assert_eq!(value(&["MAKE=make; no_such_command"], "MAKE", 0), "make");
}

#[test]
fn exit_in_the_conf_is_an_error_and_in_an_override_nothing() {
    assert!(why(&["PACKAGE_NAME=x\nexit 3"]).contains("status 3"));
    assert!(why(&["MAKE[0]=(a b)"]).contains("cannot assign list to array member"));
    assert_eq!(value(&["PACKAGE_NAME=x", "PACKAGE_NAME=y\nexit 0"], "PACKAGE_NAME", 0), "x");
    assert_eq!(value(&["PACKAGE_NAME=x\nreturn\nPACKAGE_NAME=y"], "PACKAGE_NAME", 0), "x");
}

#[test]
fn what_bash_cannot_parse_is_named_with_its_line() {
    assert!(
        why(&["A=1\nif true; then\n"]).starts_with("line 3: syntax error"),
        "{}",
        why(&["A=1\nif true; then\n"])
    );
    assert!(why(&["A=1\nMAKE=\"x\n"]).contains("unexpected EOF"));
    assert!(why(&["A=1", "MAKE=)"]).starts_with("line 1: syntax error"));
    assert!(why(&["MAKE='a \"b'"]).contains("unbalanced quote"));
    assert!(why(&["MAKE='\" ; exit; \"'"]).contains("did not reach its end"));
}

#[test]
fn complaints_that_stop_nothing_are_kept() {
    let (values, complaints) = ask(&["no_such_command\nMAKE=make"]).unwrap();
    assert_eq!(values["MAKE"][&0], b"make");
    assert!(complaints.iter().any(|line| line.contains("no_such_command")), "{complaints:?}");
}

#[test]
fn a_conf_that_does_not_end_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dkms.conf");
    std::fs::write(&path, "cat\nsleep 100").unwrap();
    let file = Source { path, text: Vec::new() };
    let start = Instant::now();
    let limit = Limit { time: Some(Duration::from_millis(300)), setting: "time_limit_conf" };
    let err = read(&Root::host(), &Question { limit, ..question(&[]) }, &[file]).unwrap_err();
    assert!(err.to_string().starts_with("bash took longer than 0.3s (time_limit_conf)"), "{err}");
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_process_left_in_the_background_keeps_nobody_waiting() {
    let start = Instant::now();
    assert_eq!(value(&["sleep 50 &\nMAKE=make"], "MAKE", 0), "make");
    // Not a measure of speed: waiting would take until the process ends.
    assert!(start.elapsed() < Duration::from_secs(40));
}
