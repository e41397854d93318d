//! Every rule by which words become an invocation.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::cli::dkms::args::{Action, Invocation, Remark};
use crate::cli::dkms::parse::{Look, Misuse, Parsed, parse};

/// A disk with these files; the folders of `dkms.conf` files exist, too.
struct Files(&'static [&'static str]);

impl Look for Files {
    fn is_file(&self, path: &Path) -> bool {
        self.0.iter().any(|file| Path::new(file) == path)
    }
    fn is_dir(&self, path: &Path) -> bool {
        self.0.iter().any(|file| Path::new(file).parent() == Some(path))
    }
    fn as_opened(&self, typed: &Path) -> PathBuf {
        typed.to_path_buf()
    }
}

const DISK: Files = Files(&["dkms.conf", "src/dkms.conf", "./src/dkms.conf", "docs/readme", "m.tar.gz"]);

fn words(line: &str) -> Vec<OsString> {
    line.split('|').filter(|word| !word.is_empty()).map(OsString::from).collect()
}

fn run(line: &str) -> Invocation {
    match parse(words(line), &DISK) {
        Ok(Parsed::Run(invocation)) => *invocation,
        other => panic!("{line}: {other:?}"),
    }
}

fn misuse(line: &str) -> Misuse {
    match parse(words(line), &DISK) {
        Err(misuse) => misuse,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn modules_kernels_and_architectures() {
    // Words are separated by | here, because some of them have blanks.
    type Row = (
        &'static str,
        Option<&'static str>,
        Option<&'static str>,
        &'static [&'static str],
        &'static [&'static str],
    );
    let table: &[Row] = &[
        ("status", None, None, &[], &[]),
        ("build|m/1", Some("m"), Some("1"), &[], &[]),
        ("m/1|build", Some("m"), Some("1"), &[], &[]),
        ("build|-m|m|-v|1", Some("m"), Some("1"), &[], &[]),
        ("build|-v|1|-m|m", Some("m"), Some("1"), &[], &[]),
        ("build|-m|m/1", Some("m"), Some("1"), &[], &[]),
        ("build|--module=m/1", Some("m"), Some("1"), &[], &[]),
        ("build|--module|m/1", Some("m"), Some("1"), &[], &[]),
        ("build|--modulexyz=m/1", Some("m"), Some("1"), &[], &[]),
        ("build|--module-version=1.0", Some("1.0"), None, &[], &[]),
        ("build|-m|a/1|-m|b", Some("b"), Some("1"), &[], &[]),
        ("build|m/1/2", Some("m"), Some("1/2"), &[], &[]),
        // A slash at the end is no part of the version.
        ("build|m/1/", Some("m"), Some("1"), &[], &[]),
        ("build|m/1//", Some("m"), Some("1"), &[], &[]),
        ("build|m/", Some("m"), None, &[], &[]),
        ("build|-m|m/1/", Some("m"), Some("1"), &[], &[]),
        ("build|m|-v|1/", Some("m"), Some("1"), &[], &[]),
        ("build|m|-v|/", Some("m"), None, &[], &[]),
        ("build|/nothing", None, Some("nothing"), &[], &[]),
        ("status|zfs*", Some("zfs*"), None, &[], &[]),
        ("build|m/1|-k|A", Some("m"), Some("1"), &["A"], &[]),
        ("build|m/1|-k|A|--kernelver=B|--kernelverx|C", Some("m"), Some("1"), &["A", "B", "C"], &[]),
        ("build|m/1|-k|A|-k|B/i386", Some("m"), Some("1"), &["A", "B"], &["i386"]),
        ("build|m/1|-k|A/x/y", Some("m"), Some("1"), &["A"], &["x/y"]),
        ("build|m/1|-k|A|-a|i386", Some("m"), Some("1"), &["A"], &["i386"]),
        ("build|m/1|--arch=i386", Some("m"), Some("1"), &[], &["i386"]),
        ("build|m/1|-k|A|-k|B|--architecture=x|-a|y", Some("m"), Some("1"), &["A", "B"], &["x", "y"]),
        // Only the first line of a value counts, without blanks around it.
        ("build|-m| \t m/1 \nsecond", Some("m"), Some("1"), &[], &[]),
        ("build|m/1|--kernelver= A ", Some("m"), Some("1"), &["A"], &[]),
        // A value that is missing at the end is empty.
        ("build|m/1|-m", None, Some("1"), &[], &[]),
        ("build|m/1|-v", Some("m"), None, &[], &[]),
        // An option takes the next word whatever it looks like.
        ("build|m/1|-k|--force", Some("m"), Some("1"), &["--force"], &[]),
        ("m/1|-k|build|install", Some("m"), Some("1"), &["build"], &[]),
    ];
    for (line, module, version, kernels, arches) in table {
        let got = run(line);
        assert_eq!(got.module.as_deref(), *module, "{line}");
        assert_eq!(got.version.as_deref(), *version, "{line}");
        assert_eq!(got.kernels, *kernels, "{line}");
        assert_eq!(got.arches, *arches, "{line}");
    }
}

#[test]
fn words_are_told_apart_by_what_is_on_disk() {
    let source = |line: &str| run(line).source.map(|word| word.path);
    assert_eq!(source("add|src").as_deref(), Some(Path::new("src")));
    assert_eq!(source("src|add").as_deref(), Some(Path::new("src")));
    assert_eq!(source("add|src/dkms.conf").as_deref(), Some(Path::new("src")));
    assert_eq!(source("add|dkms.conf").as_deref(), Some(Path::new(".")));
    assert_eq!(source("add|docs"), None, "a directory without a dkms.conf is a module name");
    assert_eq!(run("add|docs").module.as_deref(), Some("docs"));
    assert_eq!(run("add|m.tar.gz").archive.unwrap().path, Path::new("m.tar.gz"));
    // An action's name is the action, even if there is a file of that name.
    let disk = Files(&["status/dkms.conf"]);
    assert!(matches!(parse(words("status"), &disk), Ok(Parsed::Run(i)) if i.action == Some(Action::Status)));
    // Actions that take no path take the word for what it says.
    assert_eq!(run("status|src").module.as_deref(), Some("src"));
    assert_eq!(run("remove|m.tar.gz|-v|1").module.as_deref(), Some("m.tar.gz"));
    assert_eq!(run("status|./src").module, None);
    assert_eq!(run("remove|m/1|src").module.as_deref(), Some("m"));
    assert_eq!(run("build|m/1|other|more").remarks, ["other", "more"].map(|w| Remark::Unused(w.into())));
}

#[test]
fn options_with_and_without_values() {
    let got = run("install|m/1|--force|--force-version-override|-j|4|-c|my.conf|--config=.config|\
         --kernelsourcedir|/usr/src/linux|--directive=MAKE=make A=B|--directive|STRIP=no|--symlink-modules|\
         --no-depmod|--modprobe-on-install|--rpm_safe_upgrade|--verbose|--debug|--templatekernel=K0|\
         --dkmstree=/t|--sourcetree|/s|--installtree=/i|--archive=a.tar|--binaries-only|--quiet");
    let o = &got.options;
    assert!(o.force && o.force_version_override && o.no_depmod && o.rpm_safe_upgrade && o.debug);
    let s = &got.settings;
    assert!(s.symlink_modules && s.modprobe_on_install && s.verbose);
    assert!(got.quiet && got.binaries_only && !got.source_only);
    assert_eq!(got.settings.jobs, Some(4));
    assert_eq!(o.conf.as_deref(), Some(Path::new("my.conf")));
    assert_eq!(o.kernel_config.as_deref(), Some(Path::new(".config")));
    assert_eq!(o.kernel_source_dir.as_deref(), Some(Path::new("/usr/src/linux")));
    let directives: Vec<_> = o.directives.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(directives, [("MAKE", "make A=B"), ("STRIP", "no")]);
    assert_eq!(got.template.as_deref(), Some("K0"));
    assert_eq!(got.archive_option.as_deref(), Some(Path::new("a.tar")), "--archive is not --arch");
    assert!(got.arches.is_empty());
    let trees = [&got.settings.dkms_tree, &got.settings.source_tree, &got.settings.install_tree]
        .map(|t| t.as_deref());
    assert_eq!(trees, ["/t", "/s", "/i"].map(|t| Some(Path::new(t))));
    assert_eq!(run("build|m/1|-j|0").settings.jobs, Some(0));
    assert_eq!(run("build|m/1|-j").settings.jobs, None);
    let old = ["--no-initrd", "--no-clean-kernel", "--no-prepare-kernel"];
    assert_eq!(run(&format!("build|m/1|{}", old.join("|"))).remarks, old.map(Remark::Deprecated));
    assert!(run(&format!("-q|build|m/1|{}", old.join("|"))).remarks.is_empty(), "quiet from -q on");
}

#[test]
fn every_misuse_has_its_status() {
    for (line, code, usage) in [
        ("", 2, true),
        ("m/1", 2, true),
        ("instal|m/1", 2, true),
        ("build|m/1|--unknown", 2, true),
        ("build|-", 2, true),
        ("build|--", 2, true),
        ("build|-mm/1", 2, true),
        ("build|-m=m/1", 2, true),
        ("build|m/1|-k=A", 2, true),
        ("build|m/1|-qV", 2, true),
        ("build|m/1|--al", 2, true),
        ("build|install|m/1", 4, false),
        ("build|build", 4, false),
        ("build|m/1|--binaries-only|--source-only", 8, false),
        ("build|m/1|-k|A|-a|x|-a|y", 1, false),
        ("build|m/1|-a|x|-a|y", 1, false),
        ("uninstall|m/1|--all|-k|A", 2, false),
        ("uninstall|m/1|--all|-a|x", 3, false),
        ("build|m/1|-k|A/x|--all", 2, false),
        ("kernel_postinst", 4, false),
        ("kernel_prerm|-k|A|-k|B", 4, false),
        ("kernel_preinst|--all", 5, false),
        ("autoinstall|-k|A|-k|B", 4, false),
        ("match|-k|A|-k|B", 4, false),
        ("autoinstall|--all", 5, false),
        ("add|m/1|--all", 5, false),
        ("build|m/1|--all", 5, false),
        ("install|m/1|--all", 5, false),
        ("match|--all", 5, false),
        ("build|m/1|-k", 16, false),
        ("build|m/1|-k|A/", 16, false),
        ("status|-k| ", 16, false),
        ("build|m/1|-j|many", 2, false),
        ("build|m/1|--directive|MAKE", 2, false),
        ("build|m/1|--directive==x", 2, false),
        // The first of several mistakes counts.
        ("build|m/1|--all|-k|A|--binaries-only|--source-only", 8, false),
        ("build|m/1|--unknown|--version", 2, true),
    ] {
        let got = misuse(line);
        assert_eq!((got.error.kind.exit_status(), got.usage), (code, usage), "{line}: {}", got.error);
    }
    assert!(misuse("-q|build|build").quiet && !misuse("build|build|-q").quiet);
}

#[test]
fn help_and_version_act_where_they_stand() {
    for (line, expected) in [
        ("--version", Parsed::Version { quiet: false }),
        ("-V|--help", Parsed::Version { quiet: false }),
        ("build|install-not|--help|--unknown", Parsed::Help { quiet: false }),
        ("-q|-h", Parsed::Help { quiet: true }),
    ] {
        assert_eq!(parse(words(line), &DISK), Ok(expected), "{line}");
    }
}

/// Words as they come, with those that mean something among them.
fn any_word() -> impl Strategy<Value = OsString> {
    let known = prop::sample::select(vec![
        "add",
        "build",
        "install",
        "status",
        "remove",
        "match",
        "autoinstall",
        "kernel_prerm",
        "uninstall",
        "-m",
        "-v",
        "-k",
        "-a",
        "-c",
        "-j",
        "-q",
        "--all",
        "--force",
        "--module",
        "--module=",
        "--kernelver=A/b",
        "--arch=",
        "--archive",
        "--directive=",
        "--directive=A=",
        "--help",
        "--",
        "-",
        "=",
        "/",
        "m/1",
        "K",
        "*",
        "src",
        "dkms.conf",
        "..",
        "../x",
        "--templatekernel=K",
        "mktarball",
        "-k/",
        "--kernelver=/",
    ]);
    prop_oneof![
        3 => known.prop_map(OsString::from),
        1 => "\\PC{0,8}".prop_map(OsString::from),
        1 => prop::collection::vec(any::<u8>(), 0..6).prop_map(OsString::from_vec),
    ]
}

proptest! {
    #[test]
    fn no_words_panic(words in prop::collection::vec(any_word(), 0..10)) {
        if let Ok(Parsed::Run(got)) = parse(words.clone(), &DISK) {
            prop_assert!(got.action.is_some());
            prop_assert!(got.kernels.iter().chain(&got.arches).all(|name| !name.is_empty()));
            prop_assert!(got.arches.len() <= 1 || got.arches.len() == got.kernels.len());
            prop_assert!(!got.all || got.kernels.is_empty() && got.arches.is_empty());
            let mut fake = crate::cli::dkms::fake::Fake::new();
            fake.register("m", "1");
            fake.kernel("6.1");
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let quiet = got.quiet;
            crate::cli::dkms::run(&got, &mut fake, &mut crate::cli::screen::Screen::new(&mut out, &mut err));
            prop_assert!(!quiet || out.is_empty() && err.is_empty());
        }
    }

    #[test]
    fn the_order_of_options_and_words_does_not_matter(
        parts in Just(vec!["build", "m/1", "--kernelver=A", "--arch=x", "--force", "--no-depmod", "--verbose"])
            .prop_shuffle()
    ) {
        let shuffled = parse(parts.iter().map(OsString::from), &DISK);
        let sorted = parse(words("build|m/1|--kernelver=A|--arch=x|--force|--no-depmod|--verbose"), &DISK);
        prop_assert_eq!(shuffled, sorted);
    }
}
