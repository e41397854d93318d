//! Files are opened where it is known how: in the room `fs`, which waits for no pipe and reads no device.
//!
//! Calls that open a file by its path are looked for in all of src but that room. The few that are meant to be there
//! stand in a list with their reasons, and the list has nothing that is not there.

use std::collections::BTreeSet;
use std::path::Path;

use syn::visit::Visit;

/// What opens a file by a path, as its last two words. `File::create_new` opens nothing that is there already.
const OPENERS: [&str; 8] = [
    "File::open",
    "File::create",
    "File::options",
    "OpenOptions::new",
    "fs::read",
    "fs::read_to_string",
    "fs::write",
    "fs::copy",
];

/// Where a file is opened in another way: the file of src, what is called there, and why.
const EXCEPTIONS: [(&str, &str, &str); 18] = [
    (
        "apply/build/workspace.rs",
        "File::options",
        "makes the log, which must not be there, and reads it again",
    ),
    ("adapters/pacman_files.rs", "fs::read", "/proc: what pacman was called with"),
    ("apply/sign/enrol.rs", "File::open", "/dev/urandom"),
    ("apply/sign/pair.rs", "File::options", "makes a file that must not be there, with the mode of a key"),
    ("apply/tarball/unpack.rs", "File::open", "a directory of our own, for its time"),
    ("archive/read/place.rs", "File::open", "a directory of our own, for its time"),
    ("process/ancestors.rs", "fs::read", "/proc"),
    ("process/ancestors.rs", "fs::read_to_string", "/proc"),
    ("process/chroot.rs", "fs::read_to_string", "/proc"),
    ("process/family.rs", "fs::read", "/proc"),
    ("process/interrupt.rs", "fs::read_to_string", "/proc"),
    ("process/jobserver/mod.rs", "OpenOptions::new", "make's own pipe"),
    ("process/jobserver/pool.rs", "OpenOptions::new", "make's own pipe, looked at after it is opened"),
    ("process/sandbox/user.rs", "fs::read_to_string", "/etc/passwd, /etc/group and /proc, which are root's"),
    ("process/shortage.rs", "fs::read_to_string", "/proc, and control groups"),
    ("tree/lock.rs", "File::options", "looks at what it opens, and has an advice of its own"),
    ("tree/waiting.rs", "fs::read", "/proc"),
    ("tree/recover.rs", "fs::read", "/proc"),
];

/// Collects the openers of one file.
#[derive(Default)]
struct Openers(BTreeSet<String>);

impl<'ast> Visit<'ast> for Openers {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !crate::architecture::is_for_tests(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        let words: Vec<String> = path.path.segments.iter().map(|s| s.ident.to_string()).collect();
        if let [.., owner, name] = &words[..] {
            let called = format!("{owner}::{name}");
            if OPENERS.contains(&called.as_str()) {
                self.0.insert(called);
            }
        }
        syn::visit::visit_expr_path(self, path);
    }
}

#[test]
fn files_are_opened_as_if_a_stranger_had_made_them() {
    let mut found: BTreeSet<(String, String)> = BTreeSet::new();
    let files = crate::architecture::files();
    let tests = crate::architecture::test_modules(&files);
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (module, path) in &files {
        if module[0] == "fs" || tests.iter().any(|test| module.starts_with(test)) {
            continue;
        }
        let mut openers = Openers::default();
        openers.visit_file(&crate::architecture::parse(path));
        let name = path.strip_prefix(&src).expect("it is below src").display().to_string();
        found.extend(openers.0.into_iter().map(|called| (name.clone(), called)));
    }
    let meant = EXCEPTIONS.iter().map(|(file, called, _)| ((*file).to_owned(), (*called).to_owned()));
    assert_eq!(
        found,
        meant.collect(),
        "what src opens by itself (left) is not what may (right): use crate::fs::regular, or give a reason"
    );
}

#[test]
fn an_opener_is_found_wherever_it_stands() {
    let text = "fn f(p: &Path) { std::fs::read(p); p.map(File::open); use_it(|| fs::write(p, b\"\")); File::create_new(p); }
                #[cfg(test)] mod tests { fn g() { std::fs::read(p); } }";
    let mut openers = Openers::default();
    openers.visit_file(&syn::parse_file(text).expect("it is Rust"));
    let names: Vec<&str> = openers.0.iter().map(String::as_str).collect();
    assert_eq!(names, ["File::open", "fs::read", "fs::write"]);
}
