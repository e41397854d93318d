use std::time::Duration;

use super::*;
use crate::fs::root::Root;
use crate::model::ids::{Arch, KernelRelease, ModuleId};
use crate::model::inputs::Inputs;
use crate::model::record::Effort;

fn cell(version: &str) -> Cell {
    Cell {
        module: ModuleId::new("m", version).unwrap(),
        kernel: KernelRelease::new("6.1").unwrap(),
        arch: Arch::new("x86_64").unwrap(),
    }
}

fn key(cell: &Cell, inputs: &Inputs) -> Key {
    Key::of(cell, inputs, &Surroundings::named("here"))
}

struct Stage {
    dir: tempfile::TempDir,
    cache: Cache,
    entry: Entry,
}

impl Stage {
    fn new(most: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let built = dir.path().join("built");
        fs::create_dir_all(built.join("module")).unwrap();
        fs::write(built.join("module/m.ko"), vec![7; 1000]).unwrap();
        fs::write(built.join("record"), "ours").unwrap();
        std::os::unix::fs::symlink("module/m.ko", built.join("link")).unwrap();
        let effort = Effort { took: Duration::from_millis(1500), files: 3 };
        let entry = Entry { signed: Ok("0123".to_owned()), effort };
        Self { cache: Cache::of(&layout, most).unwrap(), dir, entry }
    }

    fn store(&self, cell: &Cell) -> io::Result<()> {
        let key = key(cell, &Inputs::default());
        self.cache.store(cell, &key, &self.dir.path().join("built"), &["record"], &self.entry)
    }

    fn take(&self, cell: &Cell) -> Option<(Entry, Vec<String>)> {
        let to = tempfile::tempdir_in(self.dir.path()).unwrap();
        let entry = self.cache.take(cell, &key(cell, &Inputs::default()), to.path())?;
        let names = WalkDir::new(to.path()).min_depth(1).sort_by_file_name().into_iter().flatten();
        let name =
            |found: walkdir::DirEntry| found.path().strip_prefix(to.path()).unwrap().display().to_string();
        Some((entry, names.map(name).collect()))
    }

    fn file(&self, cell: &Cell, name: &str) -> PathBuf {
        self.cache.entry(cell, &key(cell, &Inputs::default())).join(name)
    }
}

#[test]
fn what_was_stored_comes_back() {
    let stage = Stage::new(1 << 20);
    let cell = cell("1");
    assert!(!stage.cache.may_have(&cell) && stage.take(&cell).is_none());
    stage.store(&cell).unwrap();
    assert!(stage.cache.may_have(&cell));
    let expected = ["link", "module", "module/m.ko"].map(str::to_owned).to_vec();
    assert_eq!(stage.take(&cell), Some((stage.entry.clone(), expected)));
    stage.store(&cell).unwrap();
    assert!(stage.take(&cell).is_some(), "the same again");
}

#[test]
fn every_part_of_a_key_counts() {
    let inputs = Inputs::default();
    let same = key(&cell("1"), &inputs);
    assert_eq!(same.as_str().len(), 64);
    assert_eq!(same, key(&cell("1"), &inputs));
    let signed = Inputs { signing: Some("cert".to_owned()), ..Inputs::default() };
    let moved = Inputs { source: "a".to_owned(), ..Inputs::default() };
    let other = Inputs { conf: "a".to_owned(), ..Inputs::default() };
    let dependent = Inputs { depends: [("a".to_owned(), "b".to_owned())].into(), ..Inputs::default() };
    let mut keys = vec![same, key(&cell("2"), &inputs)];
    keys.extend([signed, moved, other, dependent].iter().map(|inputs| key(&cell("1"), inputs)));
    keys.push(Key::of(&cell("1"), &inputs, &Surroundings::named("there")));
    for (index, one) in keys.iter().enumerate() {
        assert!(keys[index + 1..].iter().all(|other| other != one), "{index}");
    }
}

#[test]
fn what_is_damaged_is_removed_and_not_believed() {
    for (name, damage) in [
        ("files/module/m.ko", Some(vec![8; 1000])),
        ("files/module/m.ko", Some(vec![7; 999])),
        ("files/module/m.ko", None),
        ("entry", Some(Vec::new())),
        ("entry", Some(b"0\n{}\n".to_vec())),
    ] {
        let stage = Stage::new(1 << 20);
        let cell = cell("1");
        stage.store(&cell).unwrap();
        let file = stage.file(&cell, name);
        match &damage {
            Some(bytes) => fs::write(&file, bytes).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        assert!(stage.take(&cell).is_none(), "{name} {damage:?}");
        assert!(!stage.cache.may_have(&cell));
    }
    // A description that somebody wrote for files elsewhere.
    let stage = Stage::new(1 << 20);
    let cell = cell("1");
    stage.store(&cell).unwrap();
    let text = fs::read_to_string(stage.file(&cell, "entry")).unwrap();
    let text = text.lines().nth(1).unwrap().replace("module/m.ko\",\"file", "../../m.ko\",\"file");
    fs::write(stage.file(&cell, "entry"), format!("{}\n{text}\n", entry::hex(text.as_bytes()))).unwrap();
    assert!(stage.take(&cell).is_none());
}

#[test]
fn what_was_used_longest_ago_goes_first() {
    // Room for two.
    let stage = Stage::new(3000);
    let age = |cell: &Cell, seconds: u64| {
        let file = fs::File::options().append(true).open(stage.file(cell, "entry")).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
    };
    let [one, two, three] = ["1", "2", "3"].map(cell);
    stage.store(&one).unwrap();
    stage.store(&two).unwrap();
    age(&one, 500);
    age(&two, 400);
    assert!(stage.take(&one).is_some(), "that is a use");
    stage.store(&three).unwrap();
    assert_eq!([&one, &two, &three].map(|cell| stage.cache.may_have(cell)), [true, false, true]);
    assert!(!stage.cache.dir.join("m/2").exists());
    // Not for one that is too large, and not at all without room.
    assert!(Stage::new(500).store(&one).is_err());
    assert!(Cache::of(&Layout::new(Root::at(stage.dir.path())), 0).is_none());
}
