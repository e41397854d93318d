//! Archives that no honest program makes, and some that it does.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use proptest::prelude::*;
use tar::{EntryType, Header};

use super::*;
use crate::archive::{Format, Packer, Writer};
use crate::process::Process;

/// A tar archive made member by member, whatever the names are.
#[derive(Default)]
struct Crafted(Vec<u8>);

impl Crafted {
    fn raw(mut self, name: &[u8], kind: EntryType, link: &[u8], mode: u32, data: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(data.len() as u64);
        header.set_mtime(1_000_000_000);
        header.set_uid(1234);
        header.set_gid(1234);
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name);
        old.linkname[..link.len()].copy_from_slice(link);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }
    fn file(self, name: &str, text: &str) -> Self {
        self.raw(name.as_bytes(), EntryType::Regular, b"", 0o644, text.as_bytes())
    }
    fn link(self, name: &str, target: &str) -> Self {
        self.raw(name.as_bytes(), EntryType::Symlink, target.as_bytes(), 0o777, b"")
    }
    fn hard(self, name: &str, target: &str) -> Self {
        self.raw(name.as_bytes(), EntryType::Link, target.as_bytes(), 0o644, b"")
    }
    fn long_name(self, name: &str) -> Self {
        let text = format!("{name}\0");
        self.raw(b"././@LongLink", EntryType::GNULongName, b"", 0o644, text.as_bytes())
    }
    fn pax(self, key: &str, value: &str) -> Self {
        // LENGTH KEY=VALUE\n, the length of its own digits included.
        let body = format!(" {key}={value}\n");
        let mut length = body.len() + 1;
        while length.to_string().len() + body.len() != length {
            length += 1;
        }
        self.raw(b"x", EntryType::XHeader, b"", 0o644, format!("{length}{body}").as_bytes())
    }
    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// A directory with a file beside the one that is filled, which nothing may touch.
struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("in")).unwrap();
        fs::write(dir.path().join("victim"), "untouched").unwrap();
        Self { dir }
    }
    fn place(&self) -> PathBuf {
        self.dir.path().join("in")
    }
    fn unpack(&self, bytes: &[u8]) -> Result<(), UnpackError> {
        let file = self.dir.path().join("archive");
        fs::write(&file, bytes).unwrap();
        let result = unpack(File::open(&file).unwrap(), &self.place(), SystemTime::now());
        fs::remove_file(&file).unwrap();
        assert_eq!(fs::read_to_string(self.dir.path().join("victim")).unwrap(), "untouched");
        let mut names: Vec<_> =
            fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["in", "victim"], "something was written outside");
        result
    }
}

#[test]
fn a_member_that_would_leave_its_directory_is_refused() {
    let absolute = Scene::new().dir.path().join("new");
    let cases = [
        (Crafted::default().file("../new", "x"), ".."),
        (Crafted::default().file("a/../../new", "x"), ".."),
        (Crafted::default().file(absolute.to_str().unwrap(), "x"), "absolute"),
        (Crafted::default().long_name(&format!("{}../../new", "a/".repeat(80))).file("short", "x"), ".."),
        (Crafted::default().pax("path", "../new").file("short", "x"), ".."),
        (Crafted::default().link("d", "..").file("d/victim", "x"), "behind a link"),
        (Crafted::default().link("d/e", "../..").file("d/e/f/victim", "x"), "behind a link"),
        (Crafted::default().link("d/victim", "x").link("d", ".."), "behind it"),
        (Crafted::default().link("a/b/c", "x").link("a-b", "x").link("a", "../.."), "behind it"),
        (Crafted::default().link("d", "..").raw(b"d/", EntryType::Directory, b"", 0o755, b""), "twice"),
        (Crafted::default().raw(b"d/", EntryType::Directory, b"", 0o755, b"").link("d", ".."), "twice"),
        (Crafted::default().hard("h", "../victim"), "hard link"),
        (Crafted::default().hard("h", absolute.to_str().unwrap()), "hard link"),
        (Crafted::default().link("l", "../victim").hard("h", "l"), "hard link"),
        (Crafted::default().hard("h", "h"), "hard link"),
        (Crafted::default().raw(b"dev", EntryType::Char, b"", 0o666, b""), "not a file"),
        (Crafted::default().raw(b"dev", EntryType::Block, b"", 0o666, b""), "not a file"),
        (Crafted::default().raw(b"pipe", EntryType::Fifo, b"", 0o666, b""), "not a file"),
        (Crafted::default().raw(b"s", EntryType::GNUSparse, b"", 0o644, b""), "sparse"),
        (Crafted::default().pax("GNU.sparse.major", "1").file("s", "x"), "sparse"),
        (Crafted::default().pax("size", "99999999999").file("s", "x"), "8 GiB"),
        (Crafted::default().link("l", ""), "link to nothing"),
    ];
    for (archive, why) in cases {
        let scene = Scene::new();
        let error = scene.unpack(&archive.end()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, UnpackError::Unsafe { .. }) && text.contains(why), "{why}: {text}");
    }
}

#[test]
fn a_link_that_comes_before_a_file_of_its_name_is_not_written_through() {
    let scene = Scene::new();
    scene.unpack(&Crafted::default().link("l", "../victim").file("l", "a file").end()).unwrap();
    assert_eq!(fs::read_to_string(scene.place().join("l")).unwrap(), "a file");
    assert!(fs::symlink_metadata(scene.place().join("l")).unwrap().is_file());
    // The other way round the link is made, and written through by nobody.
    let scene = Scene::new();
    scene.unpack(&Crafted::default().file("l", "a file").link("l", "../victim").end()).unwrap();
    assert!(fs::symlink_metadata(scene.place().join("l")).unwrap().is_symlink());
    let error = check_links(&scene.place()).unwrap_err().to_string();
    assert!(error.contains("points out"), "{error}");
}

#[test]
fn links_are_checked_where_the_tree_goes() {
    for (dir, target, good) in [
        ("top", "inner", true),
        ("top/sub", "../inner", true),
        ("top/sub", "../../outer", false),
        ("top", "/etc/passwd", false),
        ("top", "sub/../../outer", false),
    ] {
        let scene = Scene::new();
        scene.unpack(&Crafted::default().link(&format!("{dir}/l"), target).end()).unwrap();
        assert_eq!(check_links(&scene.place().join("top")).is_ok(), good, "{dir} {target}");
    }
    let scene = Scene::new();
    scene.unpack(&Crafted::default().link("top", "inner").file("inner/f", "").end()).unwrap();
    assert!(check_links(&scene.place().join("top")).is_err(), "the top itself must be no link");
}

/// A few names, so that members meet: every pair of kinds, in every order, on and below one another.
fn member() -> impl Strategy<Value = (usize, usize, usize)> {
    (0..6usize, 0..6usize, 0..4usize)
}

const PLACES: [&str; 6] = ["a", "b", "a/b", "a/victim", "b/victim", "a/./b/"];
const TARGETS: [&str; 4] = ["..", "b", "../victim", "a/victim"];

proptest! {
    /// Whatever the order: nothing outside is touched (see [`Scene::unpack`]).
    #[test]
    fn no_order_of_members_leads_out(members in proptest::collection::vec(member(), 2..7)) {
        let mut archive = Crafted::default();
        for (kind, name, target) in members {
            let (name, target) = (PLACES[name], TARGETS[target]);
            archive = match kind {
                0 => archive.file(name, "x"),
                1 => archive.raw(name.as_bytes(), EntryType::Directory, b"", 0o777, b""),
                2 => archive.hard(name, target),
                _ => archive.link(name, target),
            };
        }
        let scene = Scene::new();
        let _ = scene.unpack(&archive.end());
    }

    /// Whatever the bytes: an answer, and nothing outside.
    #[test]
    fn damage_anywhere_is_an_answer(
        changes in proptest::collection::vec((0..6usize * 512, any::<u8>()), 1..6),
        fix in any::<bool>(),
    ) {
        let archive = Crafted::default().pax("path", "b/c").file("x", "content").long_name("d/e").link("x", "f");
        let mut bytes = archive.file("g", &"y".repeat(700)).end();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
            if fix {
                // With a check sum that is right again, the change is looked at.
                let start = at / 512 * 512;
                let mut header = Header::new_gnu();
                header.as_mut_bytes().copy_from_slice(&bytes[start..start + 512]);
                header.set_cksum();
                bytes[start..start + 512].copy_from_slice(header.as_bytes());
            }
        }
        let _ = Scene::new().unpack(&bytes);
    }
}

/// With GNU tar (1.35) as the other side, in both of its formats.
#[test]
fn times_before_1970_are_kept() {
    let old = SystemTime::UNIX_EPOCH - Duration::from_secs(315_619_200);
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    fs::create_dir_all(at("from/top")).unwrap();
    fs::write(at("from/top/f"), "x").unwrap();
    for name in ["from/top/f", "from/top"] {
        File::open(at(name)).unwrap().set_modified(old).unwrap();
    }
    let tar = |args: &[&str]| {
        let ran = Process::new("tar").arg("-C").arg(place.path()).args(args).capture().unwrap();
        assert_eq!(ran.status, 0, "{args:?}");
    };
    let dated = |dir: &str| {
        for name in ["top/f", "top"] {
            assert_eq!(fs::metadata(at(dir).join(name)).unwrap().mtime(), -315_619_200, "{dir} {name}");
        }
    };
    for format in ["gnu", "pax"] {
        let file = at(format).display().to_string();
        tar(&["-c", &format!("--format={format}"), "-f", &file, "-C", "from", "top"]);
        let into = format!("{format}.d");
        fs::create_dir(at(&into)).unwrap();
        unpack(File::open(at(format)).unwrap(), &at(&into), SystemTime::now()).unwrap();
        dated(&into);
    }
    let packer =
        Packer::new(File::create(at("ours.tar")).unwrap(), Format::of_name(Path::new("ours.tar"))).unwrap();
    let mut writer = Writer::new(packer);
    writer.tree(Path::new("top"), &at("from/top"), &|_| false).unwrap();
    writer.finish().unwrap().finish().unwrap();
    fs::create_dir(at("theirs.d")).unwrap();
    tar(&["-x", "-f", &at("ours.tar").display().to_string(), "-C", "theirs.d"]);
    dated("theirs.d");
    fs::create_dir(at("ours.d")).unwrap();
    unpack(File::open(at("ours.tar")).unwrap(), &at("ours.d"), SystemTime::now()).unwrap();
    dated("ours.d");
}

#[test]
fn modes_owners_and_times_are_ours() {
    let scene = Scene::new();
    let setuid = Crafted::default()
        .raw(b"d/", EntryType::Directory, b"", 0o1777, b"")
        .raw(b"d/run", EntryType::Regular, b"", 0o6777, b"x")
        .raw(b"d/locked", EntryType::Regular, b"", 0o000, b"x")
        .hard("d/same", "d/run");
    scene.unpack(&setuid.end()).unwrap();
    let meta = |name: &str| fs::metadata(scene.place().join(name)).unwrap();
    assert_eq!(meta("d").mode() & 0o7777, 0o755);
    assert_eq!(meta("d/run").mode() & 0o7777, 0o755);
    assert_eq!(meta("d/locked").mode() & 0o7777, 0o600);
    assert_eq!(meta("d/run").ino(), meta("d/same").ino());
    assert_eq!((meta("d/run").uid(), meta("d").uid()), (meta(".").uid(), meta(".").uid()));
    assert_eq!((meta("d/run").mtime(), meta("d").mtime()), (1_000_000_000, 1_000_000_000));

    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("archive");
    fs::write(&file, Crafted::default().file("f", "x").end()).unwrap();
    unpack(File::open(&file).unwrap(), place.path(), long_ago).unwrap();
    assert_eq!(fs::metadata(place.path().join("f")).unwrap().mtime(), 5, "nothing is from the future");
}

#[test]
fn what_is_no_archive_or_a_damaged_one_is_told_apart() {
    let scene = Scene::new();
    assert!(matches!(scene.unpack(b"hello, this is text\n"), Err(UnpackError::NotAnArchive)));
    assert!(matches!(scene.unpack(&[b'x'; 2000]), Err(UnpackError::NotAnArchive)));
    scene.unpack(b"").unwrap();
    scene.unpack(&[0; 1024]).unwrap();
    let mut cut = Crafted::default().file("a", &"x".repeat(5000)).end();
    cut.truncate(3000);
    assert!(matches!(scene.unpack(&cut), Err(UnpackError::Damaged(_))));
    let mut bad = Crafted::default().file("a", "x").file("b", "x").end();
    bad[1024] ^= 1;
    assert!(matches!(scene.unpack(&bad), Err(UnpackError::Damaged(_))));
    // A name of a gigabyte that packs into a megabyte is not read.
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 30);
    header.set_cksum();
    let mut huge = header.as_bytes().to_vec();
    huge.resize(1 << 20, b'a');
    let error = scene.unpack(&huge).unwrap_err().to_string();
    assert!(error.contains("too long"), "{error}");
}

#[test]
fn an_archive_without_end_has_one_here() {
    let scene = Scene::new();
    let path = scene.dir.path().join("archive");
    fs::write(&path, Crafted::default().file("a", "x").file("a", "x").file("b", "x").end()).unwrap();
    let within =
        |limits| unpack_within(File::open(&path).unwrap(), &scene.place(), SystemTime::now(), limits);
    within((1 << 20, 3)).unwrap();
    assert!(within((1 << 20, 2)).unwrap_err().to_string().contains("too many members"));
    assert!(within((2000, 3)).unwrap_err().to_string().contains("more than"));
}

#[test]
fn a_tree_comes_back_as_it_was_and_the_same_tree_gives_the_same_bytes() {
    let from = tempfile::tempdir().unwrap();
    let long = format!("{}/{}", "d".repeat(90), "n".repeat(120));
    fs::create_dir_all(from.path().join("d".repeat(90))).unwrap();
    for (name, mode) in [("a.c", 0o644), ("run.sh", 0o755), (".hidden", 0o600), (long.as_str(), 0o644)] {
        fs::write(from.path().join(name), name).unwrap();
        fs::set_permissions(from.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::create_dir(from.path().join("empty")).unwrap();
    std::os::unix::fs::symlink("a.c", from.path().join("inner")).unwrap();
    std::os::unix::fs::symlink(format!("../{long}"), from.path().join("empty/far")).unwrap();
    std::os::unix::fs::symlink("/nonexistent/x", from.path().join("gone")).unwrap();
    let outside = tempfile::NamedTempFile::new().unwrap();
    outside.as_file().write_all(b"from outside").unwrap();
    std::os::unix::fs::symlink(outside.path(), from.path().join("outer")).unwrap();

    let pack = |to: &Path| {
        let mut writer = Writer::new(Packer::new(File::create(to).unwrap(), Format::Zstd).unwrap());
        writer.directory(Path::new("top"), 0o755, 7).unwrap();
        writer.text(Path::new("top-text"), "text", 7).unwrap();
        let told = writer.tree(Path::new("top"), from.path(), &|name| name == "skipped").unwrap();
        writer.finish().unwrap().finish().unwrap();
        told
    };
    fs::write(from.path().join("skipped"), "").unwrap();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a");
    let told: Vec<String> = pack(&file).iter().map(|m| format!("{m:?}")).collect();
    assert_eq!(told, ["LeftOut(\"gone\")", "Followed(\"outer\")"]);
    let first = fs::read(&file).unwrap();
    pack(&file);
    assert_eq!(fs::read(&file).unwrap(), first);

    let into = place.path().join("in");
    fs::create_dir(&into).unwrap();
    unpack(File::open(&file).unwrap(), &into, SystemTime::now()).unwrap();
    check_links(&into.join("top")).unwrap();
    for (name, mode) in [("a.c", 0o644), ("run.sh", 0o755), (".hidden", 0o600), (long.as_str(), 0o644)] {
        let path = into.join("top").join(name);
        assert_eq!(fs::read_to_string(&path).unwrap(), name);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, mode, "{name}");
    }
    assert_eq!(fs::read_to_string(into.join("top/outer")).unwrap(), "from outside");
    assert_eq!(fs::read_link(into.join("top/inner")).unwrap(), Path::new("a.c"));
    assert_eq!(fs::read_to_string(into.join("top/empty/far")).unwrap(), long);
    assert_eq!(fs::read_to_string(into.join("top-text")).unwrap(), "text");
    assert!(!into.join("top/skipped").exists() && !into.join("top/gone").exists());
}
