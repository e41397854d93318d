use super::*;
use crate::conf::model::ConfError;
use crate::conf::{load, peek};
use crate::fs::root::Root;
use crate::model::ids::{Arch, KernelRelease, ModuleId};

const MINIMAL: &str = "PACKAGE_NAME=x\nPACKAGE_VERSION=1\nDEST_MODULE_LOCATION=/updates\n";

struct Case {
    dir: tempfile::TempDir,
    ctx: Context,
}

impl Case {
    fn new(kernel: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ctx = Context {
            kernel: Some(KernelRelease::new(kernel).unwrap()),
            arch: Arch::new("x86_64").unwrap(),
            kernel_source_dir: "/lib/modules/K/build".into(),
            kernel_config: dir.path().join("auto.conf"),
            dkms_tree: "/var/lib/dkms".into(),
            source_tree: "/usr/src".into(),
            install_tree: "/lib/modules".into(),
            module: Some(ModuleId::new("x", "1").unwrap()),
            parallel_jobs: 2,
            directives: Vec::new(),
            limit: crate::conf::USUAL_LIMIT,
            unconfined: false,
        };
        Self { dir, ctx }
    }

    fn load(&self, text: &str, strictness: Strictness) -> Result<Conf, ConfError> {
        let path = self.dir.path().join("dkms.conf");
        std::fs::write(&path, text).unwrap();
        load(&Root::host(), &path, &[], &self.ctx, strictness)
    }

    /// A conf that is fine but for what `text` adds.
    fn conf(&self, text: &str) -> Conf {
        self.load(&format!("{MINIMAL}{text}"), Strictness::Build).unwrap()
    }

    fn excluded(&self, text: &str) -> Option<String> {
        self.conf(text).exclusion().map(str::to_owned)
    }

    fn problems(&self, text: &str, strictness: Strictness) -> Vec<String> {
        match self.load(text, strictness) {
            Err(ConfError::Invalid { problems, .. }) => problems,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn defaults_of_a_single_module() {
    let conf = Case::new("6.12").conf("");
    assert_eq!(conf.package_name, "x");
    let record = Record {
        built_name: "x".into(),
        built_location: String::new(),
        dest_name: "x".into(),
        dest_location: "/updates".into(),
        strip: true,
        excluded: None,
    };
    assert_eq!(conf.records, [record]);
    assert_eq!(conf.make, "make -C /lib/modules/K/build M=/var/lib/dkms/x/1/build");
    assert_eq!(conf.reader, Reader::Own);
    assert!(!conf.autoinstall && !conf.build_depends_rebuild && !conf.no_weak_modules);
    assert_eq!(conf.scripts, Scripts::default());
    assert_eq!(conf.warnings, [""; 0]);
    assert_eq!(
        conf.values.keys().collect::<Vec<_>>(),
        ["DEST_MODULE_LOCATION", "PACKAGE_NAME", "PACKAGE_VERSION"]
    );
}

#[test]
fn records_pair_by_index() {
    let conf = Case::new("6.12").conf(
        "BUILT_MODULE_NAME=(a b c)\nBUILT_MODULE_LOCATION[1]=drv\nDEST_MODULE_NAME[2]=z\n\
         DEST_MODULE_LOCATION[1]=/extra\nDEST_MODULE_LOCATION[2]=/kernel/../misc/\nSTRIP=no\nSTRIP[1]=Yes\n",
    );
    let seen: Vec<_> = conf
        .records
        .iter()
        .map(|r| (r.built_location.as_str(), r.built_name.as_str(), r.dest_name.as_str(), r.strip))
        .collect();
    assert_eq!(seen, [("", "a", "a", false), ("drv/", "b", "b", true), ("", "c", "z", false)]);
    assert!(Case::new("6.12").conf("STRIP=maybe").records[0].strip);
}

#[test]
fn every_problem_is_listed() {
    let case = Case::new("6.12");
    let text = "DEST_MODULE_LOCATION[1]=/lib\nBUILT_MODULE_NAME[1]=b.ko\nDEST_MODULE_NAME[1]=c.o\n\
                AUTOINSTALL=y\nNO_WEAK_MODULES=nope\n";
    let expected = [
        "PACKAGE_NAME is missing",
        "PACKAGE_VERSION is missing",
        "BUILT_MODULE_NAME[0] is missing",
        "DEST_MODULE_LOCATION[0] is missing",
        "BUILT_MODULE_NAME[1] is `b.ko`; omit the .o or .ko",
        "DEST_MODULE_NAME[1] is `c.o`; omit the .o or .ko",
        "DEST_MODULE_LOCATION[1] is `/lib`; it must start with /kernel, /updates or /extra",
        "AUTOINSTALL is `y`; only yes and no are allowed",
        "NO_WEAK_MODULES is `nope`; only yes and no are allowed",
    ];
    assert_eq!(case.problems(text, Strictness::Other), expected);
    assert_eq!(case.problems("", Strictness::Other).len(), 2);
    let far = format!("{MINIMAL}BUILT_MODULE_NAME[100000]=a\n");
    assert_eq!(case.problems(&far, Strictness::Other), ["BUILT_MODULE_NAME[100000] has an index above 9999"]);
}

#[test]
fn modules_of_the_same_name_only_keep_from_building() {
    let case = Case::new("6.12");
    let text = format!("{MINIMAL}BUILT_MODULE_NAME=(a a)\nDEST_MODULE_LOCATION[1]=/updates\n");
    let expected = [
        "BUILT_MODULE_NAME[1] names `a`, as an earlier module does",
        "DEST_MODULE_NAME[1] is `a`, as that of an earlier module",
    ];
    assert_eq!(case.problems(&text, Strictness::Build), expected);
    assert_eq!(case.load(&text, Strictness::Other).unwrap().records.len(), 2);
}

#[test]
fn the_last_make_that_matches_wins() {
    let text = "MAKE=(one two three)\nMAKE_MATCH[1]='^6\\.'\nMAKE_MATCH[2]='amd64$'\n";
    assert_eq!(Case::new("5.10").conf(text).make, "one");
    assert_eq!(Case::new("6.12").conf(text).make, "two");
    assert_eq!(Case::new("6.12-amd64").conf(text).make, "three");
    // MAKE[0] with a match is a candidate like the others, no default.
    assert!(Case::new("6.12").conf("MAKE=one\nMAKE_MATCH='^5'\n").make.starts_with("make -C /lib/modules/K"));
    // As many indexes are looked at as elements are set: DKMS counts them, for MAKE as for PATCH.
    let sparse = Case::new("6.12").conf("MAKE[0]=one\nMAKE[2]=three\nMAKE_MATCH[2]=6\n");
    assert_eq!(sparse.make, "one");
    assert_eq!(sparse.warnings, ["MAKE[2] is not used, because an index before it is left out"]);
    // A later MAKE without a match is never used.
    assert_eq!(Case::new("6.12").conf("MAKE=(one two)").make, "one");
}

#[test]
fn patches_for_this_kernel_in_order() {
    let case = Case::new("6.12");
    assert_eq!(case.conf("PATCH=(a b c)\nPATCH_MATCH[1]='^5\\.'\nPATCH_MATCH[2]=12").patches, ["a", "c"]);
    let sparse = case.conf("PATCH[0]=a\nPATCH[2]=c\n");
    assert_eq!(sparse.patches, ["a"]);
    assert_eq!(sparse.warnings, ["PATCH[2] is not used, because an index before it is left out"]);
}

#[test]
fn kernel_and_architecture_constraints() {
    let case = Case::new("6.12.107+deb13-amd64");
    for fits in [
        "BUILD_EXCLUSIVE_KERNEL='^(5\\.[0-9]+|[6-9])\\.'",
        "BUILD_EXCLUSIVE_KERNEL_MIN=6.9",
        "BUILD_EXCLUSIVE_KERNEL_MAX=6.100",
        "BUILD_EXCLUSIVE_ARCH=x86",
        "OBSOLETE_BY=6.13",
        "OBSOLETE_BY=6.10\nBUILD_EXCLUSIVE_KERNEL_MAX=7",
    ] {
        assert_eq!(case.excluded(fits), None, "{fits}");
    }
    for (text, reason) in [
        (
            "BUILD_EXCLUSIVE_KERNEL='^5\\.'",
            "BUILD_EXCLUSIVE_KERNEL requires a kernel that matches `^5\\.`; 6.12.107+deb13-amd64 does not",
        ),
        (
            "BUILD_EXCLUSIVE_KERNEL_MIN=6.13",
            "BUILD_EXCLUSIVE_KERNEL_MIN requires kernel 6.13 or newer; this is 6.12.107+deb13-amd64",
        ),
        (
            "BUILD_EXCLUSIVE_KERNEL_MAX=6.12",
            "BUILD_EXCLUSIVE_KERNEL_MAX requires a kernel no newer than 6.12; this is 6.12.107+deb13-amd64",
        ),
        (
            "BUILD_EXCLUSIVE_ARCH='^arm'",
            "BUILD_EXCLUSIVE_ARCH requires an architecture that matches `^arm`; x86_64 does not",
        ),
        (
            "OBSOLETE_BY=6.10",
            "OBSOLETE_BY requires a kernel no newer than 6.10; this is 6.12.107+deb13-amd64",
        ),
        (
            "BUILD_EXCLUSIVE_KERNEL='('",
            "BUILD_EXCLUSIVE_KERNEL requires a kernel that matches `(`; 6.12.107+deb13-amd64 does not",
        ),
    ] {
        assert_eq!(case.excluded(text).as_deref(), Some(reason));
    }
}

#[test]
fn configuration_constraints() {
    let case = Case::new("6.12");
    let text = "BUILD_EXCLUSIVE_CONFIG='CONFIG_A !CONFIG_B'";
    assert_eq!(case.excluded(text), None, "no configuration, no check");
    let with = |options: &str| {
        std::fs::write(&case.ctx.kernel_config, options).unwrap();
        case.excluded(text)
    };
    assert_eq!(with("CONFIG_A=m\n# CONFIG_B is not set\nCONFIG_B=\"text\"\n"), None);
    let missing = "BUILD_EXCLUSIVE_CONFIG requires CONFIG_A; this kernel's configuration does not set it";
    assert_eq!(with("CONFIG_AA=y\nCONFIG_A=n\n").as_deref(), Some(missing));
    let there =
        "BUILD_EXCLUSIVE_CONFIG requires that CONFIG_B is not set; this kernel's configuration sets it";
    assert_eq!(with("CONFIG_A=y\nCONFIG_B=y\n").as_deref(), Some(there));

    // What a given configuration does not mention is as in the headers' own.
    let own = case.ctx.kernel_source_dir.join(".config");
    std::fs::create_dir_all(&case.ctx.kernel_source_dir).unwrap();
    std::fs::write(&own, "CONFIG_A=y\n# CONFIG_B is not set\n").unwrap();
    assert_eq!(with("CONFIG_MODULE_SIG_HASH=\"sha512\"\n"), None);
    assert_eq!(with("CONFIG_B=m\n").as_deref(), Some(there));
    assert_eq!(with("# CONFIG_A is not set\n").as_deref(), Some(missing));
    std::fs::write(&own, "CONFIG_A=y\nCONFIG_B=y\n").unwrap();
    assert_eq!(with("# CONFIG_B is not set\n"), None);
    assert_eq!(with("").as_deref(), Some(there));
}

#[test]
fn element_0_constrains_every_module_and_the_others_their_own() {
    let case = Case::new("6.12");
    let two = "BUILT_MODULE_NAME=(a b)\nDEST_MODULE_LOCATION[1]=/updates\n";
    let conf = case.conf(&format!("{two}BUILD_EXCLUSIVE_KERNEL_MIN[1]=7\n"));
    assert_eq!(conf.exclusion(), None);
    assert_eq!(conf.wanted().map(|r| r.built_name.as_str()).collect::<Vec<_>>(), ["a"]);
    let reason = "BUILD_EXCLUSIVE_KERNEL_MIN[1] requires kernel 7 or newer; this is 6.12";
    assert_eq!(conf.records[1].excluded.as_deref(), Some(reason));
    let conf = case.conf(&format!("{two}BUILD_EXCLUSIVE_KERNEL_MIN=7\n"));
    assert!(conf.exclusion().is_some() && conf.wanted().next().is_none());
    // OBSOLETE_BY steps back when any module has a maximum of its own.
    let conf = case.conf(&format!("{two}OBSOLETE_BY=6.1\nBUILD_EXCLUSIVE_KERNEL_MAX[1]=6.2\n"));
    assert_eq!(conf.wanted().count(), 1);
}

#[test]
fn booleans_dependencies_and_scripts() {
    let conf = Case::new("6.12").conf(
        "AUTOINSTALL=YES\nBUILD_DEPENDS_REBUILD=No\nNO_WEAK_MODULES=yes\nBUILD_DEPENDS=(a 'b c')\n\
         PRE_BUILD='configure --with  $kernelver'\nPOST_ADD=\n",
    );
    assert!(conf.autoinstall && !conf.build_depends_rebuild && conf.no_weak_modules);
    assert_eq!(conf.build_depends, ["a", "b", "c"]);
    assert_eq!(conf.scripts.pre_build.as_deref(), Some("configure --with 6.12"));
    assert_eq!(conf.scripts.post_add, None);
}

#[test]
fn warnings_are_for_those_who_build() {
    let case = Case::new("6.12");
    let text = "PACKAGE_NAME=x\nPACKAGE_VERSION=1\nCLEAN='make clean'\nREMAKE_INITRD=yes\nOBSOLETE_BY=9\n\
                PATCH=a\nPATCH_MATCH='['\n";
    let warnings = case.load(text, Strictness::Build).unwrap().warnings;
    let starts =
        ["no BUILT_MODULE_NAME", "CLEAN has", "REMAKE_INITRD has", "OBSOLETE_BY is", "PATCH_MATCH is `[`"];
    assert_eq!(warnings.len(), starts.len(), "{warnings:?}");
    for (warning, start) in warnings.iter().zip(starts) {
        assert!(warning.starts_with(start), "{warning}");
    }
    assert_eq!(case.load(text, Strictness::Other).unwrap().warnings, [""; 0]);
    assert_eq!(case.conf("CLEAN=/bin/true").warnings, [""; 0]);
}

#[test]
fn forced_directives_come_last() {
    let mut case = Case::new("6.12");
    case.ctx.directives = vec![("MAKE".into(), "b  c".into()), ("OTHER".into(), "1".into())];
    let conf = case.conf("MAKE=a");
    assert_eq!(conf.make, "b  c");
    assert_eq!(conf.warnings.len(), 1, "{:?}", conf.warnings);
}

#[test]
fn a_name_can_be_read_before_anything_else_is_known() {
    let case = Case::new("6.12");
    let path = case.dir.path().join("dkms.conf");
    std::fs::write(&path, "PACKAGE_NAME=x\nPACKAGE_VERSION=$(printf 1.$kernelver)2\nAUTOINSTALL=wrong")
        .unwrap();
    assert_eq!(peek(&Root::host(), &path).unwrap(), (Some("x".into()), Some("1.2".into())));
    std::fs::write(&path, "PACKAGE_NAME=\nPACKAGE_VERSION=${module-1}").unwrap();
    assert_eq!(peek(&Root::host(), &path).unwrap(), (None, Some("1".into())));
}

#[test]
fn what_cannot_be_read_is_named_from_inside_the_root() {
    let case = Case::new("6.12");
    let root = Root::at(case.dir.path());
    let none = load(&root, &root.path("/usr/src/x-1/dkms.conf"), &[], &case.ctx, Strictness::Other);
    let Err(ConfError::Unreadable { path, why }) = none else { panic!("{none:?}") };
    assert_eq!(path, std::path::Path::new("/usr/src/x-1/dkms.conf"));
    assert!(why.contains("No such file"), "{why}");
    let directory = load(&root, case.dir.path(), &[], &case.ctx, Strictness::Other);
    assert!(matches!(directory, Err(ConfError::Unreadable { .. })), "{directory:?}");
}
