use super::*;

fn inputs() -> Inputs {
    Inputs {
        source: "s".into(),
        conf: "c".into(),
        overrides: "o".into(),
        headers: Headers { version: Some("1-1".into()), content: "h".into() },
        compiler: "gcc-14 14.2.0".into(),
        rustc: Some("rustc 1.85.0".into()),
        compression: "ko.xz".into(),
        signing: None,
        depends: BTreeMap::from([("spl".into(), "f1".into())]),
    }
}

#[test]
fn each_input_gives_its_own_change_and_moves_the_fingerprint() {
    type Case = (fn(&mut Inputs), &'static str);
    let cases: [Case; 9] = [
        (|i| i.source = "x".into(), "its source changed (from s to x)"),
        (|i| i.conf = "x".into(), "its dkms.conf or an override of it changed (from c to x)"),
        (|i| i.overrides = String::new(), "patches or scripts in /etc/dkms changed (from o to none)"),
        (|i| i.headers.version = Some("1-2".into()), "the kernel headers changed from 1-1 to 1-2"),
        (|i| i.headers.content = "x".into(), "the kernel headers changed (from h to x)"),
        (|i| i.compiler = "gcc-15 15.1.0".into(), "the compiler changed from gcc-14 14.2.0 to gcc-15 15.1.0"),
        (|i| i.compression = "ko".into(), "module compression changed from xz to none"),
        (|i| i.rustc = Some("rustc 1.86.0".into()), "the compiler changed from rustc 1.85.0 to rustc 1.86.0"),
        (
            |i| {
                i.depends.insert("spl".into(), "f2".into());
            },
            "spl, which it depends on, was rebuilt",
        ),
    ];
    let old = inputs();
    for (edit, text) in cases {
        let mut new = inputs();
        edit(&mut new);
        assert_eq!(new.change_since(&old).map(|c| c.to_string()).as_deref(), Some(text));
        assert_ne!(new.fingerprint(), old.fingerprint(), "{text}");
    }
    assert_eq!(inputs().change_since(&old), None);
}

#[test]
fn a_dependency_counts_when_it_arrives_and_not_when_it_goes() {
    let with = inputs();
    let without = Inputs { depends: BTreeMap::new(), ..inputs() };
    assert_eq!(with.change_since(&without), Some(Change::Dependency { name: "spl".into() }));
    assert_eq!(without.change_since(&with), None);
}

#[test]
fn a_compiler_that_is_not_installed_now_changes_nothing() {
    let old = inputs();
    let without = Inputs { rustc: None, ..inputs() };
    assert_eq!(without.change_since(&old), None, "its last Rust file may have gone: then the source did");
    let missing = Inputs { rustc: Some("rustc".into()), compiler: "gcc-14".into(), ..inputs() };
    assert_eq!(missing.change_since(&old), None);
    assert!(old.change_since(&without).is_some());
}

#[test]
fn headers_alone_are_told_from_headers_and_more() {
    let old = inputs();
    let mut new = inputs();
    assert!(!new.only_headers_changed(&old));
    new.headers.content = "x".into();
    assert!(new.only_headers_changed(&old));
    assert_eq!(new.change_beside_headers(&old), None);
    new.depends.insert("spl".into(), "f2".into());
    assert!(new.only_headers_changed(&old), "what it depends on is looked at by itself");
    new.compiler = "gcc-15 15.1.0".into();
    assert!(!new.only_headers_changed(&old));
}

#[test]
fn a_module_built_unsigned_is_not_stale_for_that_alone() {
    let old = inputs();
    let mut signed = inputs();
    signed.signing = Some("k1".into());
    assert_eq!(signed.change_since(&old), None);
    let mut other = inputs();
    other.signing = Some("k2".into());
    let change = other.change_since(&signed).unwrap();
    assert!(change.is_signature() && change.keeps_code(), "{change:?}");
    assert_eq!(change.to_string(), "the signing key changed (from k1 to k2)");
    // What calls for another build comes first.
    other.source = "x".into();
    assert_eq!(other.change_since(&signed).unwrap().to_string(), "its source changed (from s to x)");
    assert!(other.signing_change(&signed).is_some() && other.fingerprint() != signed.fingerprint());
    other.source.clone_from(&signed.source);
    assert_eq!(other.fingerprint(), signed.fingerprint(), "to dependents it is the same build");
}

/// Another value of an input than these have, by its row alone.
fn other_value(input: &Input, inputs: &mut Inputs) {
    match input.field {
        Field::Text(_, field) => *field(inputs) = "another 2.0".into(),
        Field::Maybe(_, field) => *field(inputs) = Some("another 2.0".into()),
        Field::Headers(_, field) => field(inputs).content = "another".into(),
        Field::Builds(_, field) => *field(inputs) = BTreeMap::from([("another".into(), "f".into())]),
    }
}

/// All that a new row has to do: its value decides, moves the fingerprint, is listed and stored.
#[test]
fn every_row_is_compared_hashed_and_listed() {
    let old = Inputs { signing: Some("k1".into()), ..inputs() };
    for input in &INPUTS {
        let mut new = old.clone();
        other_value(input, &mut new);
        let change = new.change_since(&old);
        assert!(change.is_some_and(|change| !change.to_string().is_empty()), "{}", input.name);
        let signature = input.counts == Counts::Signature;
        assert_eq!(new.fingerprint() == old.fingerprint(), signature, "{}", input.name);
        assert_ne!(new.to_string(), old.to_string(), "{}", input.name);
    }
}

/// Records on disk keep fingerprints of what they depend on: the same inputs have the same one for ever.
#[test]
fn the_fingerprint_is_that_of_the_first_versions() {
    assert_eq!(inputs().fingerprint(), "23c8ac98b092dc94ad48bdaeb5d37cd3");
    let least = Inputs { rustc: None, depends: BTreeMap::new(), ..inputs() };
    assert_eq!(least.fingerprint(), "3d1681ea788dc99da45d55a095caf829");
}

#[test]
fn the_list_names_what_there_is() {
    let text = "source s, dkms.conf c, files of /etc/dkms o, headers 1-1 (h), compiler gcc-14 14.2.0, rustc 1.85.0, \
                compression xz, signed by 01234567, spl f1";
    let signed = Inputs { signing: Some("0123456789".into()), ..inputs() };
    assert_eq!(signed.to_string(), text);
    assert_eq!(Inputs::default().to_string(), "headers none");
}
