//! The JSON that programs read is what docs/*.schema.json say: of every variant that there is, and of real
//! runs.

use std::fs;
use std::path::Path;

use crate::support::json_schema::{Schemas, lacks};
use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use dkms_hook::model::blind::{Blind, Cause};
use dkms_hook::model::directive::DirectiveChange;
use dkms_hook::model::error::Error;
use dkms_hook::model::fit::{Compared, Misfit, SymbolChange};
use dkms_hook::model::guard::Danger;
use dkms_hook::model::ids::{Arch, Cell, KernelRelease, ModuleId, Version};
use dkms_hook::model::inputs::{Change, Field, Headers, INPUTS, Input, Inputs};
use dkms_hook::model::record::FailureNote;
use dkms_hook::model::rival::{Labels, Rival};
use dkms_hook::model::system::{System, TreePlace};
use dkms_hook::model::uses::{ChangeOfType, TypeChange};
use dkms_hook::plan::{Action, Condition, Note, Plan, Reason, Step, Subject};
use dkms_hook::report::json as report_json;
use serde_json::{Value, json};

const K: &str = "6.12.1-toy";
const K2: &str = "6.13.0-toy";
const PLAN: &str = "plan.schema.json";
const STATUS: &str = "status.schema.json";

fn kernel() -> KernelRelease {
    KernelRelease::new(K).unwrap()
}

fn module() -> ModuleId {
    ModuleId::new("zfs", "2.3").unwrap()
}

fn cell() -> Cell {
    Cell { module: module(), kernel: kernel(), arch: Arch::new("x86_64").unwrap() }
}

/// One of each. A variant that is new breaks the match in its function: add it here and to the schema.
fn actions() -> Vec<Action> {
    let (cell, kernel, module, modules) = (cell(), kernel(), module(), vec!["zfs".to_owned()]);
    let all = vec![
        Action::Add { module: module.clone() },
        Action::Build { cell: cell.clone(), force: false, cached: true },
        Action::Adopt { cell: cell.clone() },
        Action::Keep { cell: cell.clone() },
        Action::Resign { cell: cell.clone(), reinstall: true },
        Action::Install {
            cell: cell.clone(),
            force: false,
            post_install: true,
            aside: vec!["/lib/modules/6.1/extra/m.ko".into()],
        },
        Action::Uninstall { cell: cell.clone() },
        Action::Unlink { cell: cell.clone(), other: kernel.clone(), replaced: true },
        Action::Share { kernel: kernel.clone() },
        Action::Unbuild { cell },
        Action::Forget { module },
        Action::Wait { kernel: kernel.clone(), package: "linux-headers".into() },
        Action::Depmod { kernel: kernel.clone() },
        Action::Initramfs { kernel: kernel.clone(), always: true, modules },
        Action::Modprobe { kernel: kernel.clone() },
        Action::Guard,
        Action::Sweep { kernel },
    ];
    for action in &all {
        match action {
            Action::Add { .. } | Action::Build { .. } | Action::Adopt { .. } | Action::Keep { .. } => {}
            Action::Resign { .. } | Action::Install { .. } | Action::Uninstall { .. } => {}
            Action::Unbuild { .. } | Action::Forget { .. } | Action::Wait { .. } => {}
            Action::Depmod { .. } | Action::Initramfs { .. } | Action::Modprobe { .. } => {}
            Action::Guard | Action::Sweep { .. } | Action::Share { .. } | Action::Unlink { .. } => {}
        }
    }
    all
}

fn danger() -> Danger {
    Danger { newest: kernel(), missing: vec![module().name], keep: None }
}

fn headers(version: Option<&str>) -> Headers {
    Headers { version: version.map(str::to_owned), content: "0123".to_owned() }
}

/// A change of every input that there is.
fn changes() -> Vec<Change> {
    let change = |input: &Input| {
        let mut old = Inputs { signing: Some("a".into()), ..Inputs::default() };
        let mut new = old.clone();
        match input.field {
            Field::Text(_, field) => (*field(&mut old), *field(&mut new)) = ("a".into(), "b 1".into()),
            Field::Maybe(_, field) => *field(&mut new) = Some("b 1".into()),
            Field::Headers(_, field) => {
                (*field(&mut old), *field(&mut new)) = (headers(Some("#1 SMP")), headers(None));
            }
            Field::Builds(_, field) => *field(&mut new) = [("spl".into(), "b".into())].into(),
        }
        match new.change_since(&old).unwrap() {
            // Of a tool, a change counts only where there is a version.
            Change::Value { input, old, .. } => Change::Value { input, old, new: "b".into() },
            other => other,
        }
    };
    INPUTS.iter().map(change).collect()
}

fn misfits() -> Vec<Misfit> {
    let symbol = |old, new| SymbolChange { symbol: "printk".into(), old, new };
    let first = vec![symbol(Some(1), Some(2)), symbol(None, Some(2)), symbol(Some(1), None)];
    let all = vec![
        Misfit::Vermagic { word: "preempt".into(), missing: true },
        Misfit::Unversioned { module: "zfs.ko".into() },
        Misfit::Symbols { first, more: 2 },
        Misfit::Uses { first: uses(), more: 1 },
        Misfit::Configuration,
        Misfit::SourceIsNewer { file: "a.c".into() },
    ];
    for misfit in &all {
        match misfit {
            Misfit::Vermagic { .. } | Misfit::Unversioned { .. } | Misfit::Symbols { .. } => {}
            Misfit::SourceIsNewer { .. } | Misfit::Uses { .. } | Misfit::Configuration => {}
        }
    }
    all
}

fn uses() -> Vec<TypeChange> {
    let changes = [
        ChangeOfType::Gone,
        ChangeOfType::Prototype,
        ChangeOfType::Export { old: "EXPORT_SYMBOL of vmlinux".into(), new: "EXPORT_SYMBOL_GPL of x".into() },
        ChangeOfType::Header { file: "/usr/src/a.h".into() },
        ChangeOfType::Layout { old: vec!["0 int a".into()], new: Vec::new(), more: 1 },
    ];
    changes.map(|change| TypeChange { name: "struct device".into(), change }).into()
}

fn reasons() -> Vec<Reason> {
    let (why, version) = ("because".to_owned(), Version::new("1").unwrap());
    let headers = Change::Headers { old: headers(None), new: headers(None) };
    let mut all = vec![
        Reason::NotBuilt,
        Reason::NotInstalled,
        Reason::AbiKept { change: headers.clone(), compared: Compared { symbols: 5, types: None } },
        Reason::AbiKept { change: headers.clone(), compared: Compared { symbols: 5, types: Some(3) } },
        Reason::DependencyBuilt { name: "spl".into() },
        Reason::WrongKernel,
        Reason::Newer { than: version.clone() },
        Reason::NewestExcluded { newest: version.clone(), why: why.clone() },
        Reason::NewestFailed { newest: version },
        Reason::FilesMissing,
        Reason::Displaced { by: "/lib/modules/6.1/m.ko".into() },
        Reason::MadeByDkms { symbols: None },
        Reason::FromArchive { symbols: Some(3) },
        Reason::RetryToolchain,
        Reason::RetryAsked,
        Reason::Asked,
        Reason::OtherSignature,
        Reason::KernelGone,
        Reason::KernelRemoved,
        Reason::BootEntryRemoved,
        Reason::ExcludedNow { why },
        Reason::ModulesChanged,
        Reason::DepmodDue,
        Reason::IndexMissing,
        Reason::IndexOld { file: "/lib/modules/6.1/updates/m.ko".into() },
        Reason::InitramfsOld,
        Reason::HeadersMissing,
        Reason::LinkMisfit { of: kernel() },
        Reason::EssentialChanges,
        Reason::EssentialMissing { danger: danger() },
        Reason::EssentialThere,
        Reason::EssentialLooked,
    ];
    let directive =
        DirectiveChange { directive: "MAKE[0]".into(), old: None, new: Some("make".into()), more: 0 };
    all.push(Reason::Directive { change: directive });
    all.extend(changes().into_iter().map(|change| Reason::Stale { change }));
    all.extend(misfits().into_iter().map(|misfit| Reason::NotAdopted { misfit }));
    all.extend(misfits().into_iter().map(|misfit| Reason::Misfit { change: headers.clone(), misfit }));
    for reason in &all {
        match reason {
            Reason::NotBuilt | Reason::NotInstalled | Reason::AbiKept { .. } => {}
            Reason::DependencyBuilt { .. } | Reason::WrongKernel | Reason::Newer { .. } => {}
            Reason::NewestExcluded { .. } | Reason::NewestFailed { .. } => {}
            Reason::FilesMissing | Reason::MadeByDkms { .. } => {}
            Reason::FromArchive { .. } | Reason::RetryToolchain | Reason::RetryAsked => {}
            Reason::Asked | Reason::OtherSignature | Reason::KernelGone | Reason::KernelRemoved => {}
            Reason::ExcludedNow { .. } | Reason::ModulesChanged | Reason::DepmodDue => {}
            Reason::Displaced { .. } | Reason::IndexOld { .. } => {}
            Reason::IndexMissing | Reason::InitramfsOld | Reason::HeadersMissing => {}
            Reason::BootEntryRemoved | Reason::LinkMisfit { .. } => {}
            Reason::Stale { .. } | Reason::NotAdopted { .. } | Reason::Misfit { .. } => {}
            Reason::Directive { .. } => {}
            Reason::EssentialChanges | Reason::EssentialMissing { .. } => {}
            Reason::EssentialThere | Reason::EssentialLooked => {}
        }
    }
    all
}

fn notes() -> Vec<Note> {
    let (cell, module, kernel, why) = (cell(), module(), kernel(), "because".to_owned());
    let failure = Box::new(FailureNote {
        kind: dkms_hook::model::error::Kind::Make,
        what: "make failed".into(),
        first_errors: vec!["a.c:1: error".into()],
        log: None,
        hint: Some("install gcc".into()),
        when: 1,
        provisional: false,
        by_source: true,
        reported: true,
    });
    let mut all = vec![
        Note::Excluded { cell: cell.clone(), why: why.clone() },
        Note::FailedBefore { cell: cell.clone(), failure },
        Note::OlderInstead {
            cell: cell.clone(),
            older: cell.module.version.clone(),
            log: Some("/var/lib/dkms/make.log".into()),
        },
        Note::Refused { cell: cell.clone(), why: why.clone() },
        Note::Unreadable {
            cell: cell.clone(),
            error: Error::new(dkms_hook::model::error::Kind::ConfInvalid, "line 3"),
        },
        Note::OtherArchitecture { cell: cell.clone(), own: Some(cell.arch.clone()) },
        Note::OtherArchitecture { cell: cell.clone(), own: None },
        Note::Broken { module: module.clone(), target: "/usr/src/zfs-2.3".into() },
        Note::NotAdded { module: module.clone() },
        Note::Waiting { kernel: kernel.clone(), package: "linux-headers".into() },
        Note::UnknownKernel { kernel: kernel.clone() },
        Note::Removed { kernel: kernel.clone() },
        Note::NoBootEntry { kernel: kernel.clone() },
        Note::Unversioned { kernel: kernel.clone() },
        Note::MissingDepends { cell: cell.clone(), names: vec!["spl".into()], known: true },
        Note::NothingBuilt { name: "zfs".into() },
        Note::CannotSign { cell: cell.clone(), why },
        Note::NoIndex { kernel: self::kernel(), tree: "/srv/odd".into() },
        Note::Displaced { cell: cell.clone(), by: "/lib/modules/6.1/m.ko".into(), why: "it is newer".into() },
        Note::Held { cell: cell.clone(), by: cell.clone() },
        Note::NotIndexed { cell: cell.clone(), file: "/lib/modules/6.1/updates/m.ko".into() },
        Note::AutoinstallDisabled,
        Note::Guarded { danger: danger() },
        Note::AlreadyBuilt { cell: cell.clone() },
        Note::AlreadyInstalled { cell: cell.clone() },
        Note::NotInstalled { cell: cell.clone() },
        Note::NotBuilt { cell: cell.clone() },
        Note::AlreadyAdded { module: module.clone() },
        Note::NoKernel { dir: "/lib/modules".into(), kernels: vec![kernel.clone()] },
        Note::OtherTree {
            was: tree("/usr", None),
            is: tree("/", Some("0123")),
            kernels: vec![kernel.clone()],
        },
    ];
    let blind = Blind::new("/lib/modules", Cause::Os(5));
    let subjects = [
        Subject::Kernels { kernels: vec![kernel.clone()] },
        Subject::Kernel { kernel: kernel.clone() },
        Subject::KernelNote { kernel: kernel.clone() },
        Subject::Initramfs { kernel },
        Subject::Modules,
        Subject::Module { module },
        Subject::Build { cell: cell.clone() },
        Subject::Verdict { cell },
    ];
    for subject in &subjects {
        match subject {
            Subject::Kernels { .. } | Subject::Kernel { .. } | Subject::KernelNote { .. } => {}
            Subject::Initramfs { .. } => {}
            Subject::Modules | Subject::Module { .. } | Subject::Build { .. } | Subject::Verdict { .. } => {}
        }
    }
    all.extend(subjects.into_iter().map(|about| Note::Blind { about, blind: blind.clone() }));
    for note in &all {
        match note {
            Note::Excluded { .. } | Note::FailedBefore { .. } | Note::Refused { .. } => {}
            Note::Unreadable { .. } | Note::Broken { .. } | Note::NotAdded { .. } => {}
            Note::NoBootEntry { .. } | Note::OtherArchitecture { .. } => {}
            Note::Waiting { .. } | Note::UnknownKernel { .. } | Note::Removed { .. } => {}
            Note::MissingDepends { .. } | Note::NothingBuilt { .. } | Note::CannotSign { .. } => {}
            Note::Held { .. } | Note::Unversioned { .. } | Note::OlderInstead { .. } => {}
            Note::NoIndex { .. } | Note::Displaced { .. } | Note::NotIndexed { .. } => {}
            Note::AutoinstallDisabled | Note::Guarded { .. } => {}
            Note::AlreadyBuilt { .. } | Note::AlreadyInstalled { .. } => {}
            Note::NotInstalled { .. } | Note::NotBuilt { .. } | Note::AlreadyAdded { .. } => {}
            Note::Blind { .. } | Note::NoKernel { .. } | Note::OtherTree { .. } => {}
        }
    }
    all
}

fn tree(mounted: &str, id: Option<&str>) -> TreePlace {
    let kind = "ext4".to_owned();
    TreePlace { path: "/usr/lib/modules".into(), mounted: mounted.into(), kind, id: id.map(str::to_owned) }
}

fn conditions() -> Vec<Condition> {
    let rival = |version: &str, srcversion: Option<&str>| Rival {
        unread: None,
        of: None,
        module: "zfs".into(),
        path: "/lib/modules/6.1/kernel/zfs.ko".into(),
        labels: Labels {
            version: version.into(),
            srcversion: srcversion.map(str::to_owned),
            content: String::new(),
        },
    };
    let all = vec![
        Condition::Always,
        Condition::NotOlder { than: vec![rival("2", None), rival("", Some("0123"))] },
        Condition::NotOlder { than: vec![Rival { of: Some(cell()), ..rival("", None) }] },
        Condition::Changed { modules: Vec::new() },
        Condition::LinkMisfit,
        Condition::InInitramfs { modules: vec!["zfs".into(), "spl".into()] },
    ];
    for condition in &all {
        match condition {
            Condition::Always | Condition::NotOlder { .. } => {}
            Condition::Changed { .. } | Condition::InInitramfs { .. } | Condition::LinkMisfit => {}
        }
    }
    all
}

fn tags(values: &[Value], tag: &str) -> Vec<String> {
    let mut names: Vec<String> = values.iter().map(|v| v[tag].as_str().unwrap().to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn every_variant_is_in_the_schema_and_the_schema_has_no_others() {
    let schemas = Schemas::read();
    let steps =
        |action: Action, reason: Reason| Step { action, reason, needs: vec![0], when: Condition::Always };
    let with_reasons = reasons().into_iter().map(|reason| steps(Action::Sweep { kernel: kernel() }, reason));
    let with_conditions = conditions().into_iter().map(|when| {
        let step = steps(
            Action::Install { cell: cell(), force: false, post_install: false, aside: Vec::new() },
            Reason::Asked,
        );
        Step { when, ..step }
    });
    let all = actions().into_iter().map(|action| steps(action, Reason::Asked));
    let all = all.chain(with_reasons).chain(with_conditions);
    let plan = Plan { steps: all.collect(), notes: notes(), ..Plan::default() };
    let whole = report_json::plan(&System::default(), &plan);
    let faults = schemas.faults(PLAN, &whole);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // A variant that has another name in the program has the old one here.
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1/variants.json");
    let old = serde_json::from_slice(&fs::read(fixture).unwrap()).unwrap();
    assert_eq!(lacks(&whole, &old), [""; 0]);

    let values = |list: &str, part: &str| -> Vec<Value> {
        whole[list].as_array().unwrap().iter().map(|v| v.pointer(part).unwrap().clone()).collect()
    };
    let (actions, reasons) = (values("steps", "/action"), values("steps", "/reason"));
    assert_eq!(tags(&actions, "do"), schemas.variants(PLAN, "action", "do"));
    assert_eq!(tags(&reasons, "because"), schemas.variants(PLAN, "reason", "because"));
    let conditions: Vec<Value> =
        whole["steps"].as_array().unwrap().iter().filter_map(|step| step.get("when").cloned()).collect();
    assert_eq!(tags(&conditions, "if"), schemas.variants(PLAN, "condition", "if"));
    assert_eq!(tags(&values("notes", ""), "note"), schemas.variants(PLAN, "note", "note"));
    let inner = |name: &str| {
        let named = reasons.iter().filter(|r| r["because"] != "directive");
        named.filter_map(|r| r.get(name).cloned()).collect::<Vec<_>>()
    };
    assert_eq!(tags(&inner("change"), "input"), schemas.variants(PLAN, "change", "input"));
    assert_eq!(tags(&inner("misfit"), "what"), schemas.variants(PLAN, "misfit", "what"));
}

#[test]
fn what_does_not_fit_a_schema_is_found() {
    let schemas = Schemas::read();
    let good = json!({ "format": 1, "steps": [], "notes": [] });
    assert!(schemas.faults(PLAN, &good).is_empty());
    let step = json!({
        "action": { "do": "depmod", "kernel": "6.1" }, "reason": { "because": "asked" },
        "needs": [], "text": "depmod 6.1", "why": "it was requested",
    });
    assert!(schemas.faults("plan.schema.json#/$defs/step", &step).is_empty());
    let wrong = [
        ("/format", json!(2)),
        ("/steps", json!({})),
        ("/more", json!(1)),
        ("/steps/0/action/do", json!("dance")),
        ("/steps/0/action/kernel", json!(6)),
        ("/steps/0/action/also", json!("x")),
        ("/steps/0/needs", json!(["0"])),
        ("/steps/0/reason", json!({})),
    ];
    for (at, value) in wrong {
        let mut bad = good.clone();
        bad["steps"] = json!([step]);
        let (parent, name) = at.rsplit_once('/').unwrap();
        bad.pointer_mut(parent).unwrap()[name] = value;
        assert!(!schemas.faults(PLAN, &bad).is_empty(), "{at}");
    }
    let mut bad = good;
    bad.as_object_mut().unwrap().remove("notes");
    assert_eq!(schemas.faults(PLAN, &bad).len(), 1);
}

/// Both outputs fit; gives the plan.
#[track_caller]
fn fits(root: &FakeRoot) -> Value {
    let schemas = Schemas::read();
    let before = root.snapshot();
    let status = root.hook(&["status", "--json"]);
    let plan = root.hook(&["--json"]).expect(0).out;
    assert_eq!(plan, root.hook(&["--json"]).expect(0).out, "the same machine, the same plan");
    root.assert_untouched(&before);
    let told = schemas.assert(STATUS, &status.out);
    assert_eq!(told["failed"], json!(status.code == 1), "{told}");
    schemas.assert(PLAN, &plan)
}

#[test]
fn what_real_runs_print_fits_the_schemas() {
    let root = FakeRoot::new();
    assert_eq!(fits(&root)["steps"], json!([]));
    let kernel = ToyKernel::new(K).symbol_versions();
    kernel.install(&root);
    ToyKernel::new(K2).install_image(&root);
    ToyModule::new("hello", "1.0").register(&root);
    ToyModule::new("user", "1.0").depends("hello").register(&root);
    ToyModule::new("stranger", "1.0").depends("nobody").register(&root);
    ToyModule::new("never", "1.0").line("BUILD_EXCLUSIVE_KERNEL=\"^9[.]\"").register(&root);
    ToyModule::new("bad", "1.0").line("AUTOINSTALL=yes; if").register(&root);
    let plan = fits(&root);
    let told: Vec<&str> =
        plan["steps"].as_array().unwrap().iter().map(|step| step["text"].as_str().unwrap()).collect();
    assert!(told.contains(&format!("build hello/1.0 for {K}").as_str()), "{told:?}");

    fs::remove_dir_all(root.path("/usr/src/bad-1.0")).unwrap();
    ToyModule::new("failing", "1.0").failing().register(&root);
    root.hook(&[]).expect(11);
    fits(&root);
    root.dkms(&["remove", "failing/1.0", "--all"]);

    // Headers that fit, headers that do not, a damaged file, a build of DKMS.
    root.write("/etc/dkms/framework.conf", "rebuild=abi\n");
    let symvers = format!("/usr/src/linux-headers-{K}/Module.symvers");
    root.write(
        &symvers,
        "0x12345678\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n0x1\tnew\tvmlinux\tEXPORT_SYMBOL\t\n",
    );
    let plan = fits(&root);
    assert_eq!(plan["steps"][0]["action"]["do"], "keep", "{plan}");
    root.hook(&[]);
    fits(&root);
    root.write(format!("/usr/src/linux-headers-{K}/include/config/auto.conf"), "CONFIG_MODVERSIONS=y\n");
    assert_eq!(fits(&root)["steps"][0]["reason"]["because"], "misfit");
    fs::remove_file(root.path(format!("/var/lib/dkms/hello/1.0/{K}/x86_64/.dkms-hook.json"))).unwrap();
    assert_eq!(fits(&root)["steps"][0]["reason"]["because"], "not-adopted");

    // A kernel that goes, and one that is not there.
    kernel.remove_image(&root);
    kernel.remove_headers(&root);
    let plan = fits(&root);
    assert!(plan.to_string().contains("\"sweep\""), "{plan}");
    let unknown = root.hook(&["--json", "-k", "1.2.3"]).expect(21).out;
    Schemas::read().assert(PLAN, &unknown);
}
