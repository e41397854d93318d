use std::time::Duration;

use super::*;
use crate::fs::root::Root;
use crate::model::ids::{Arch, ModuleId};
use crate::model::record::Effort;
use crate::model::uses::UsedHeader;

/// Every file of a name in the fixtures of a format, with its text.
fn fixtures(name: impl Fn(&Path) -> bool) -> Vec<(PathBuf, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1");
    let files = walkdir::WalkDir::new(dir).into_iter().map(|entry| entry.unwrap().into_path());
    let found: Vec<_> =
        files.filter(|path| name(path)).map(|p| (p.clone(), std::fs::read_to_string(p).unwrap())).collect();
    assert!(found.len() > 3, "{found:?}");
    found
}

struct Place {
    _dir: tempfile::TempDir,
    layout: Layout,
    cell: Cell,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(Root::at(dir.path()));
    let cell = Cell {
        module: ModuleId::new("m", "1").unwrap(),
        kernel: KernelRelease::new("6.1").unwrap(),
        arch: Arch::new("x86_64").unwrap(),
    };
    Place { _dir: dir, layout, cell }
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// What is read of a fixture and written again is the fixture, but for the number where it had none.
fn comes_back(text: &str, new: &Path, path: &Path) {
    let new = std::fs::read_to_string(new).unwrap();
    let numbered = text.replacen("{\n", "{\n  \"format\": 1,\n", 1);
    assert!(new == text || new == numbered, "{}:\n{text}\n{new}", path.display());
}

#[test]
fn records_come_back_as_they_were() {
    let Place { layout, cell, .. } = &place();
    for (path, text) in fixtures(|path| path.ends_with(".dkms-hook.json")) {
        write(&layout.record(cell), &text);
        let read = record(layout, cell).unwrap().unwrap();
        save_record(layout, cell, &read).unwrap();
        comes_back(&text, &layout.record(cell), &path);
    }
}

#[test]
fn what_a_build_cost_comes_back() {
    let Place { layout, cell, .. } = &place();
    let (_, text) = fixtures(|path| path.ends_with(".dkms-hook.json")).swap_remove(0);
    write(&layout.record(cell), &text);
    let mut known = record(layout, cell).unwrap().unwrap();
    assert_eq!(known.effort, None);
    for files in [0, 312] {
        known.effort = Some(Effort { took: Duration::from_millis(190_001), files });
        save_record(layout, cell, &known).unwrap();
        assert_eq!(record(layout, cell).unwrap().unwrap(), known);
    }
}

#[test]
fn verdicts_come_back_as_they_were() {
    let Place { layout, cell, .. } = &place();
    let is_verdict = |path: &Path| {
        path.components().any(|c| c.as_os_str() == "verdicts")
            && path.extension().is_some_and(|e| e == "json")
    };
    for (path, text) in fixtures(is_verdict) {
        write(&layout.verdict(cell), &text);
        let read = verdict(layout, cell).unwrap().unwrap();
        save_verdict(layout, cell, &read).unwrap();
        comes_back(&text, &layout.verdict(cell), &path);
    }
}

#[test]
fn notes_come_back_as_they_were() {
    let Place { layout, cell, .. } = &place();
    for (path, text) in fixtures(|path| path.parent().is_some_and(|dir| dir.ends_with("kernels"))) {
        write(&layout.kernel_note(&cell.kernel), &text);
        let read = note(layout, &cell.kernel).unwrap();
        save_note(layout, &cell.kernel, &read).unwrap();
        comes_back(&text, &layout.kernel_note(&cell.kernel), &path);
    }
    save_note(layout, &cell.kernel, &KernelNote::default()).unwrap();
    assert!(!layout.kernel_note(&cell.kernel).exists());
}

#[test]
fn directives_are_read_with_a_number_and_without() {
    let Place { layout, cell, .. } = &place();
    for (_, text) in fixtures(|path| path.ends_with(".dkms-hook-conf.json")) {
        write(&layout.directives(cell), &text);
        let read = directives(layout, cell).unwrap().unwrap();
        assert_eq!(
            serde_json::to_value(&read).unwrap(),
            serde_json::from_str::<serde_json::Value>(&text).unwrap()
        );
        save_directives(layout, cell, &read).unwrap();
        assert_eq!(directives(layout, cell).unwrap().unwrap(), read);
    }
}

#[test]
fn additions_are_read_with_a_number_and_without() {
    let Place { layout, .. } = &place();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1/rpm-upgrades.json");
    write(&layout.upgrades(), &std::fs::read_to_string(path).unwrap());
    let read = upgrades(layout).unwrap();
    assert_eq!(read, [Upgrade { module: ModuleId::new("base", "1.0").unwrap(), ..read[0].clone() }]);
    save_upgrades(layout, &read).unwrap();
    assert_eq!(upgrades(layout).unwrap(), read);
    save_upgrades(layout, &[]).unwrap();
    assert!(!layout.upgrades().exists());
    write(
        &layout.upgrades(),
        r#"[{ "module": { "name": "..", "version": "1" }, "by": { "pid": 1, "started": 2 } }]"#,
    );
    assert!(matches!(upgrades(layout).unwrap_err().cause, Cause::Damaged(_)));
}

#[test]
fn missing_damaged_newer_and_unreadable_are_told_apart() {
    let Place { layout, cell, .. } = &place();
    let file = layout.record(cell);
    assert_eq!(record(layout, cell), Ok(None));
    let cause = |text: &str| {
        write(&file, text);
        let blind = record(layout, cell).unwrap_err();
        assert_eq!(blind.path, Path::new("/var/lib/dkms/m/1/6.1/x86_64/.dkms-hook.json"));
        blind.cause
    };
    for damaged in ["", "{", "[]", "{}", "{ \"format\": 1 }", "{ \"format\": \"x\" }", "\0\0\0"] {
        assert!(matches!(cause(damaged), Cause::Damaged(_)), "{damaged:?}");
    }
    assert_eq!(cause("{ \"format\": 2 }"), Cause::Format(2));
    assert_eq!(cause("{ \"format\": 7, \"inputs\": [] }"), Cause::Format(7));
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert!(matches!(record(layout, cell).unwrap_err().cause, Cause::NotAFile));
    std::fs::remove_dir(&file).unwrap();

    let note_file = layout.kernel_note(&cell.kernel);
    write(&note_file, "{ \"format\": 2 }");
    let error = Error::from(note(layout, &cell.kernel).unwrap_err());
    assert!(error.to_string().contains("6.1.json: it has format 2"), "{error}");
    assert!(error.hint.is_some());
}

#[test]
fn what_is_not_understood_is_kept_beside_its_place() {
    let Place { layout, cell, .. } = &place();
    let file = layout.verdict(cell);
    write(&file, "{");
    set_aside(&file).unwrap();
    set_aside(&file).unwrap();
    assert_eq!(verdict(layout, cell), Ok(None));
    assert_eq!(std::fs::read(file.with_extension("json.damaged")).unwrap(), b"{");
}

/// What a build uses of its kernel, as the first version wrote it.
#[test]
fn what_a_build_uses_comes_back_as_it_was() {
    let Place { layout, cell, .. } = &place();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1/uses.json.zst");
    std::fs::create_dir_all(layout.cell(cell)).unwrap();
    std::fs::copy(path, layout.uses(cell)).unwrap();
    let read = uses(layout, cell).unwrap().unwrap();
    assert_eq!((read.rules, read.modules.len()), (1, 1));
    let module = &read.modules[0];
    assert_eq!((module.types.len(), module.symbols.len()), (2, 2));
    assert_eq!(module.types[0].layout, ["8", "0 int id", "4 int state"]);
    assert_eq!(module.types[0].digest, 0xfedc_ba98_7654_3210);
    assert_eq!(module.symbols.iter().filter(|used| used.prototype.is_none()).count(), 1);
    // As it is today, with what was added since.
    let mut today = read;
    today.modules[0].headers.push(UsedHeader {
        file: "/usr/src/linux-headers/a.h".into(),
        digest: "0".into(),
        types: vec!["a".into()],
    });
    save_uses(layout, cell, &today).unwrap();
    assert_eq!(uses(layout, cell).unwrap().unwrap(), today);
    std::fs::write(layout.uses(cell), zstd::encode_all(&b"{ \"format\": 2 }"[..], 1).unwrap()).unwrap();
    assert_eq!(uses(layout, cell).unwrap_err().cause, Cause::Format(2));
    for damaged in [&b"{"[..], b"", &zstd::encode_all(&b"{}"[..], 1).unwrap()] {
        std::fs::write(layout.uses(cell), damaged).unwrap();
        assert!(matches!(uses(layout, cell).unwrap_err().cause, Cause::Damaged(_)));
    }
}

#[test]
fn what_the_boot_guard_did_is_read_as_it_was_written() {
    let place = place();
    let path = place.layout.boot_guard();
    assert_eq!(boot_guard(&place.layout), Ok(None));
    write(
        &path,
        r#"{"format": 1, "asked": {"6.1": {"modules": ["m"], "indexed": 5, "missing": ["m"]}},
            "active": {"newest": "6.1", "missing": ["m"], "keep": "6.0", "said": ["x"], "undo": "grub"}}"#,
    );
    let seen = boot_guard(&place.layout).unwrap().unwrap();
    let active = seen.active.clone().unwrap();
    assert_eq!(active.verdict.keep, Some(KernelRelease::new("6.0").unwrap()));
    assert_eq!((active.undo, active.unfinished), (Some(crate::model::guard::Undo::Grub), false));
    save_boot_guard(&place.layout, &seen).unwrap();
    assert_eq!(boot_guard(&place.layout), Ok(Some(seen)));
    write(&path, r#"{"format": 1, "active": {"newest": "a/b", "missing": [], "keep": null}}"#);
    assert!(boot_guard(&place.layout).is_err());
    save_boot_guard(&place.layout, &Remembered::default()).unwrap();
    assert!(!path.exists(), "nothing to remember is no file");
}
