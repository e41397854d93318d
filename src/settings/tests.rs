use super::*;
use crate::fs::root::Root;

/// Who may say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    CommandLine,
    DropIn,
    File,
    Environment,
}
use By::{CommandLine, DropIn, Environment as Variable, File};

const FILES: &[By] = &[DropIn, File];
const WITH_OPTION: &[By] = &[CommandLine, DropIn, File];
const WITH_VARIABLE: &[By] = &[DropIn, File, Variable];

/// What may set a setting, the strongest first, and what each of those says.
const SETTINGS: [(&str, &[By], [&str; 4]); 43] = [
    ("source_tree", WITH_OPTION, ["/c", "/d", "/f", "/e"]),
    ("dkms_tree", WITH_OPTION, ["/c", "/d", "/f", "/e"]),
    ("install_tree", WITH_OPTION, ["/c", "/d", "/f", "/e"]),
    ("tmp_location", FILES, ["/c", "/d", "/f", "/e"]),
    ("verbose", WITH_OPTION, ["yes"; 4]),
    ("symlink_modules", WITH_OPTION, ["yes"; 4]),
    ("autoinstall_all_kernels", FILES, ["yes"; 4]),
    ("modprobe_on_install", &EVERYBODY, ["yes"; 4]),
    ("always_depmod", FILES, ["yes"; 4]),
    ("parallel_jobs", &EVERYBODY, ["1", "2", "3", "4"]),
    ("sign_file", FILES, ["/c", "/d", "/f", "/e"]),
    ("mok_signing_key", FILES, ["/c", "/d", "/f", "/e"]),
    ("mok_certificate", FILES, ["/c", "/d", "/f", "/e"]),
    ("try_sign_modules", FILES, ["c", "false", "true", "e"]),
    ("compress_gzip_opts", FILES, ["c", "-1", "-2", "e"]),
    ("compress_xz_opts", FILES, ["c", "-1", "-2", "e"]),
    ("compress_zstd_opts", FILES, ["c", "-1", "-2", "e"]),
    ("build_environment", FILES, ["/c", "/d", "/f", "/e"]),
    ("post_transaction", WITH_VARIABLE, ["c", "echo d", "echo f", "echo e"]),
    ("rebuild", WITH_OPTION, ["abi", "inputs", "abi", "abi"]),
    ("preflight", FILES, ["c", "hold", "off", "e"]),
    ("older_versions", FILES, ["c", "yes", "no", "e"]),
    ("build_cache", FILES, ["c", "500M", "0", "e"]),
    ("essential", FILES, ["c", "d", "f g", "e"]),
    ("boot_guard", FILES, ["c", "no", "yes", "e"]),
    ("writable_sources", FILES, ["c", "d: why", "f: why", "e"]),
    ("unconfined", FILES, ["c", "a: d", "*: f", "e"]),
    ("build_processes", FILES, ["c", "100", "0", "e"]),
    ("build_memory", FILES, ["c", "1G", "0", "e"]),
    ("build_file_size", FILES, ["c", "2G", "0", "e"]),
    ("time_limit_conf", FILES, ["c", "30s", "2h", "e"]),
    ("time_limit_build", FILES, ["c", "30s", "2h", "e"]),
    ("time_limit_script", FILES, ["c", "30s", "2h", "e"]),
    ("time_limit_tool", FILES, ["c", "30s", "2h", "e"]),
    ("time_limit_depmod", FILES, ["c", "30s", "2h", "e"]),
    ("time_limit_initramfs", FILES, ["c", "30s", "2h", "e"]),
    ("time_limit_lock", FILES, ["c", "30s", "2h", "e"]),
    ("DKMS_HOOK_UNCONFINED", &[Variable], ["c", "d", "f", "a: e"]),
    ("NO_WEAK_MODULES", &[Variable], ["yes"; 4]),
    ("ADDON_MODULES_DIR", &[Variable], ["c", "d", "f", "e"]),
    ("DKMS_HOOK_STRICT", &[Variable], ["yes"; 4]),
    ("MODULES_SIGN_KEY", &[Variable], ["c", "d", "f", "e"]),
    ("MODULES_SIGN_CERT", &[Variable], ["c", "d", "f", "e"]),
];

const EVERYBODY: [By; 4] = [CommandLine, DropIn, File, Variable];

fn given(name: &str, text: &str) -> Given {
    let mut given = Given::default();
    match name {
        "source_tree" => given.source_tree = Some(text.into()),
        "dkms_tree" => given.dkms_tree = Some(text.into()),
        "install_tree" => given.install_tree = Some(text.into()),
        "verbose" => given.verbose = true,
        "symlink_modules" => given.symlink_modules = true,
        "modprobe_on_install" => given.modprobe_on_install = true,
        "parallel_jobs" => given.jobs = text.parse().ok(),
        "rebuild" => given.rebuild = Rebuild::parse(text),
        _ => {}
    }
    given
}

fn of(variables: &[(&str, &str)]) -> Environment {
    Environment::of(variables.iter().map(|(name, value)| (name.into(), value.into())))
}

/// A root with these files below `/etc/dkms`.
fn layout(files: &[(&str, &str)]) -> (tempfile::TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(Root::at(dir.path()));
    std::fs::create_dir_all(layout.etc().join("framework.conf.d")).unwrap();
    for (name, text) in files {
        std::fs::write(layout.etc().join(name), text).unwrap();
    }
    (dir, layout)
}

/// The settings when each of `who` sets `name`.
fn settings(name: &str, texts: &[&str; 4], who: &[By]) -> Settings {
    let text = |by: By| texts[by as usize];
    let line = |by: By| if who.contains(&by) { format!("{name}='{}'\n", text(by)) } else { String::new() };
    let (_dir, layout) =
        layout(&[("framework.conf", &line(File)), ("framework.conf.d/a.conf", &line(DropIn))]);
    let environment = if who.contains(&Variable) { of(&[(name, text(Variable))]) } else { of(&[]) };
    let given = if who.contains(&CommandLine) { given(name, text(CommandLine)) } else { Given::default() };
    let (settings, problem) = load(&layout, &environment, &given);
    assert_eq!(problem, None);
    settings
}

/// Who set the value, as far as its origin tells.
fn by(origin: &Origin) -> Option<By> {
    match origin {
        Origin::Default => None,
        Origin::File { path, line } => {
            assert_eq!(*line, Some(1));
            Some(if path.ends_with("a.conf") { DropIn } else { File })
        }
        Origin::Environment(_) => Some(Variable),
        Origin::CommandLine(_) => Some(CommandLine),
    }
}

#[test]
fn for_every_setting_and_every_two_that_set_it_the_stronger_wins() {
    let names: Vec<&str> = Settings::default().rows().iter().map(|row| row.name).collect();
    assert_eq!(names, SETTINGS.map(|(name, ..)| name), "a setting is missing here");
    for (name, strongest_first, texts) in SETTINGS {
        for one in EVERYBODY {
            for other in EVERYBODY {
                let settings = settings(name, &texts, &[one, other]);
                let wins = strongest_first.iter().copied().find(|by| [one, other].contains(by));
                let row = settings.rows().into_iter().find(|row| row.name == name).unwrap();
                assert_eq!(by(row.origin), wins, "{name} set by {one:?} and {other:?}");
                let default = Settings::default();
                let default = default.rows().into_iter().find(|row| row.name == name).unwrap().value;
                let value = wins.map_or(default, |by| Some(texts[by as usize].to_owned()));
                assert_eq!(row.value, value, "{name} set by {one:?} and {other:?}");
            }
        }
    }
}

#[test]
fn empty_texts_set_nothing_but_options_of_compressors() {
    for (name, _, texts) in SETTINGS {
        let texts = ["", "", texts[2], texts[3]];
        let settings = settings(name, &texts, &[DropIn, File, Variable]);
        let row = settings.rows().into_iter().find(|row| row.name == name).unwrap();
        match name {
            // An empty text takes back what an earlier file said; then the environment's turn comes.
            "modprobe_on_install" | "parallel_jobs" | "post_transaction" => {
                assert_eq!(by(row.origin), Some(Variable), "{name}");
            }
            _ if name == name.to_uppercase() => assert_eq!(by(row.origin), Some(Variable), "{name}"),
            _ if name.starts_with("compress_") => {
                assert_eq!((by(row.origin), row.value.as_deref()), (Some(DropIn), Some("")), "{name}");
            }
            _ => assert_eq!(by(row.origin), None, "{name}"),
        }
    }
}

#[test]
fn what_is_not_understood_counts_as_not_said() {
    let (_dir, layout) = layout(&[("framework.conf", "parallel_jobs=many\nrebuild=often\n")]);
    let environment = of(&[("parallel_jobs", "several"), ("NO_WEAK_MODULES", "no")]);
    let (settings, _) = load(&layout, &environment, &Given::default());
    let no = Value::new(false, Origin::Environment("NO_WEAK_MODULES".to_owned()));
    assert_eq!(settings, Settings { no_weak_modules: no, ..Settings::default() });
}

#[test]
fn the_environment_says_more_of_builds_that_are_asked_for_by_name() {
    let environment = of(&[
        ("DKMS_DIRECTIVE_B", "AUTOINSTALL=yes"),
        ("DKMS_DIRECTIVE", "MAKE=make a=b"),
        ("DKMS_DIRECTIVE_C", "no equals sign"),
        ("build_environment", "/e"),
        ("PATH", "/bin"),
    ]);
    let (_dir, layout) = layout(&[("framework.conf", "build_environment=/f\n")]);
    let (settings, _) = load(&layout, &environment, &Given::default());
    assert_eq!(settings.build_environment.as_deref(), Some("/f".as_ref()));
    assert_eq!(settings.named.build_environment.as_deref(), Some("/e".as_ref()));
    let directives: Vec<String> =
        settings.named.directives.iter().map(|d| format!("{}={} {}", d.0, d.1, d.origin)).collect();
    let expected = ["MAKE=make a=b DKMS_DIRECTIVE", "AUTOINSTALL=yes DKMS_DIRECTIVE_B"];
    assert_eq!(directives, expected.map(|text| format!("{text} in the environment")));
}

#[test]
fn files_that_cannot_be_read_leave_the_rest() {
    let (_dir, layout) = layout(&[("framework.conf", "if"), ("framework.conf.d/a.conf", "dkms_tree=/d\n")]);
    let given = Given { source_tree: Some("/c".into()), ..Given::default() };
    let (settings, problem) = load(&layout, &of(&[("parallel_jobs", "4")]), &given);
    assert!(matches!(problem, Some(ConfError::Shell { .. })));
    assert_eq!((settings.source_tree.to_str(), *settings.parallel_jobs), (Some("/c"), Some(4)));
    assert_eq!(settings.dkms_tree, Settings::default().dkms_tree);
}

#[test]
fn signing_is_read_again_for_a_kernel_where_the_files_name_one() {
    let text = "sign_file='/s/$kernelver'\npost_transaction=echo\n";
    let (_dir, layout) = layout(&[("framework.conf", text)]);
    let (settings, _) = load(&layout, &of(&[]), &Given::default());
    assert_eq!(settings.sign_file.as_deref(), Some("/s/"));
    let kernel = KernelRelease::new("6.1").unwrap();
    let own = for_kernel(&layout, &settings, &kernel).unwrap();
    assert_eq!(own.sign_file.as_deref(), Some("/s/6.1"));
    let other = Settings { sign_file: settings.sign_file.clone(), ..own.into_owned() };
    assert_eq!(other, settings);
}

#[test]
fn the_environment_comes_before_files_that_have_one_setting() {
    let (_dir, layout) = layout(&[("dkms-hook-strict", "")]);
    let sysconfig = layout.root.path("/etc/sysconfig");
    std::fs::create_dir_all(&sysconfig).unwrap();
    std::fs::write(sysconfig.join("module-init-tools"), "# where\nADDON_MODULES_DIR=\"addon/\"\n").unwrap();
    let with = |variables: &[(&str, &str)]| {
        let (settings, _) = load(&layout, &of(variables), &Given::default());
        let (dir, strict) = (&settings.addon_modules_dir, &settings.strict);
        (dir.value.clone().unwrap(), dir.origin.to_string(), strict.value, strict.origin.to_string())
    };
    let files = ("addon/", "/etc/sysconfig/module-init-tools, line 2", true, "/etc/dkms/dkms-hook-strict");
    let files = (files.0.to_owned(), files.1.to_owned(), files.2, files.3.to_owned());
    assert_eq!(with(&[]), files);
    assert_eq!(with(&[("ADDON_MODULES_DIR", ""), ("DKMS_HOOK_STRICT", "")]), files);
    let (dir, by, strict, who) = with(&[("ADDON_MODULES_DIR", "mine"), ("DKMS_HOOK_STRICT", "0")]);
    assert_eq!((dir.as_str(), by.as_str()), ("mine", "ADDON_MODULES_DIR in the environment"));
    assert_eq!((strict, who.as_str()), (false, "DKMS_HOOK_STRICT in the environment"));
}

#[test]
fn signing_in_the_environment_is_noticed_and_counts_for_nothing() {
    let (_dir, layout) = layout(&[]);
    let (settings, _) =
        load(&layout, &of(&[("sign_file", ""), ("mok_certificate", "/e")]), &Given::default());
    assert_eq!(settings.ignored, ["sign_file", "mok_certificate"]);
    assert_eq!(*settings.mok_certificate, None);
}
