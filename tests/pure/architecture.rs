//! The picture in docs/architecture.md is what the code's imports are; no file depends on itself by way of
//! others; rooms that compute touch nothing.
//!
//! Imports are all paths that begin with `crate`, `super` or `self`, in `use` and elsewhere, in macros too.
//! Test modules do not count. A file that names something of its own room's `mod.rs` is no circle: the parent
//! is the face of its children. `UPDATE_DOCS=1` writes the measured imports into the table.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::Visit;

const TABLE: &str = "docs/architecture.md";

/// A module path below the crate, as `["plan", "note"]`.
pub(crate) type Module = Vec<String>;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every module of the library that is a file of its own.
pub(crate) fn files() -> BTreeMap<Module, PathBuf> {
    let src = repository().join("src");
    // Not in the program: the maker of our own package.
    let outside = [src.join("bin"), src.join("packaging")];
    let mut out = BTreeMap::new();
    for entry in walkdir::WalkDir::new(&src) {
        let path = entry.expect("src can be listed").into_path();
        if path.extension().is_none_or(|suffix| suffix != "rs")
            || outside.iter().any(|dir| path.starts_with(dir))
        {
            continue;
        }
        let inside = path.strip_prefix(&src).expect("it is below src").with_extension("");
        let mut module: Module = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module.last().is_some_and(|name| name == "mod") {
            module.pop();
        }
        if module != ["lib"] && module != ["main"] {
            out.insert(module, path);
        }
    }
    assert!(out.len() > 100, "only {} files were found", out.len());
    out
}

/// Collects the paths that a file names.
struct Paths<'a> {
    module: &'a Module,
    found: BTreeSet<Module>,
}

impl Paths<'_> {
    /// Notes a path below the crate, if it is one.
    fn note(&mut self, segments: &[String]) {
        let mut rest = segments;
        let mut base: Module = match rest.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.module.clone(),
            _ => return,
        };
        while let Some(first) = rest.first() {
            match first.as_str() {
                "super" => drop(base.pop()),
                "crate" | "self" => {}
                _ => break,
            }
            rest = &rest[1..];
        }
        base.extend(rest.iter().cloned());
        self.found.insert(base);
    }

    fn note_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.note_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) if name.ident == "self" => self.note(before),
            syn::UseTree::Name(name) => self.note(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.note(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.note(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.note_tree(before, tree)),
        }
    }

    /// The paths in the text of a macro.
    fn note_tokens(&mut self, tokens: proc_macro2::TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Ident(name) if path.is_empty() || colons == 2 => {
                    path.push(name.to_string());
                    colons = 0;
                    continue;
                }
                proc_macro2::TokenTree::Punct(mark) if mark.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                proc_macro2::TokenTree::Group(group) => self.note_tokens(group.stream()),
                proc_macro2::TokenTree::Ident(name) => {
                    self.note(&path);
                    path = vec![name.to_string()];
                    colons = 0;
                    continue;
                }
                _ => {}
            }
            self.note(&path);
            path.clear();
            colons = 0;
        }
        self.note(&path);
    }
}

pub(crate) fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|what| what == "test")
    })
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.note_tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        self.note(&segments);
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.note_tokens(item.tokens.clone());
        syn::visit::visit_macro(self, item);
    }
}

/// Modules that only tests have: `mod tests;` under `#[cfg(test)]`, and all below them.
pub(crate) fn test_modules(files: &BTreeMap<Module, PathBuf>) -> BTreeSet<Module> {
    let mut out = BTreeSet::new();
    for (module, path) in files {
        for item in parse(path).items {
            if let syn::Item::Mod(item) = item
                && item.content.is_none()
                && is_for_tests(&item.attrs)
            {
                out.insert([module.as_slice(), &[item.ident.to_string()]].concat());
            }
        }
    }
    out
}

pub(crate) fn parse(path: &Path) -> syn::File {
    let text = std::fs::read_to_string(path).expect("a source file can be read");
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Which file names something of which other.
fn imports() -> BTreeMap<Module, BTreeSet<Module>> {
    let files = files();
    let tests = test_modules(&files);
    let for_tests = |module: &Module| tests.iter().any(|test| module.starts_with(test));
    let mut out = BTreeMap::new();
    for (module, path) in files.iter().filter(|(module, _)| !for_tests(module)) {
        let mut paths = Paths { module, found: BTreeSet::new() };
        paths.visit_file(&parse(path));
        let known = |found: &Module| {
            (1..=found.len()).rev().map(|n| found[..n].to_vec()).find(|part| files.contains_key(part))
        };
        let named: BTreeSet<Module> = paths.found.iter().filter_map(known).collect();
        out.insert(module.clone(), named.into_iter().filter(|other| other != module).collect());
    }
    out
}

fn room_imports() -> BTreeMap<String, BTreeSet<String>> {
    let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, named) in imports() {
        let rooms = out.entry(module[0].clone()).or_default();
        rooms.extend(named.iter().map(|other| other[0].clone()).filter(|room| *room != module[0]));
    }
    out
}

/// A row of the table: room, subject, imports, what it touches.
struct Row {
    room: String,
    imports: BTreeSet<String>,
    touches: String,
}

fn words(cell: &str) -> BTreeSet<String> {
    cell.split(',').map(|word| word.trim().trim_matches('`').to_owned()).filter(|w| w != "–").collect()
}

fn is_row(line: &str) -> bool {
    line.starts_with("| `")
}

fn table() -> Vec<Row> {
    let text = std::fs::read_to_string(repository().join(TABLE)).expect("the page can be read");
    let (_, text) = text.split_once("## The rooms").expect("it has the section");
    let (text, _) = text.split_once("\n## ").expect("it is not the last");
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows: Vec<Row> = text
        .lines()
        .filter(|line| is_row(line))
        .map(|line| match cells(line).as_slice() {
            [_, room, _, imports, touches, _] => Row {
                room: room.trim_matches('`').to_owned(),
                imports: words(imports),
                touches: touches.clone(),
            },
            other => panic!("{TABLE}: a row of the rooms has not four cells: {other:?}"),
        })
        .collect();
    assert!(rows.len() > 10, "{TABLE} has {} rows", rows.len());
    rows
}

/// Writes the measured imports into the table, in the order of its rows.
fn update() {
    let path = repository().join(TABLE);
    let text = std::fs::read_to_string(&path).expect("the page can be read");
    let measured = room_imports();
    let order: Vec<String> = table().into_iter().map(|row| row.room).collect();
    let line = |line: &str| {
        let cells: Vec<&str> = line.split('|').collect();
        let room = cells.get(1).map(|cell| cell.trim().trim_matches('`'));
        let named = room.filter(|_| is_row(line)).and_then(|room| measured.get(room));
        let (Some(named), 6) = (named, cells.len()) else { return line.to_owned() };
        let sorted: Vec<String> = order.iter().filter(|r| named.contains(*r)).cloned().collect();
        let sorted = if sorted.is_empty() { "–".to_owned() } else { sorted.join(", ") };
        [cells[0], cells[1], cells[2], &format!(" {sorted} "), cells[4], cells[5]].join("|")
    };
    let new: Vec<String> = text.lines().map(line).collect();
    std::fs::write(&path, new.join("\n") + "\n").expect("the page can be written");
}

#[test]
fn the_picture_is_what_the_imports_are() {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        update();
    }
    let measured = room_imports();
    let drawn: BTreeMap<String, BTreeSet<String>> =
        table().into_iter().map(|row| (row.room, row.imports)).collect();
    let rooms = |map: &BTreeMap<String, BTreeSet<String>>| map.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(rooms(&drawn), rooms(&measured), "the rooms of {TABLE} are not those of src");
    for (room, imports) in &measured {
        assert_eq!(
            &drawn[room], imports,
            "{TABLE} (left) says what `{room}` imports, and the code (right) disagrees. An arrow that is \
             meant to be there: UPDATE_DOCS=1 cargo test --test pure the_picture"
        );
    }
}

#[test]
fn arrows_point_down() {
    let rows = table();
    for (number, row) in rows.iter().enumerate() {
        let below: BTreeSet<&str> = rows[..number].iter().map(|row| row.room.as_str()).collect();
        for import in &row.imports {
            assert!(below.contains(import.as_str()), "{} imports {import}, which stands above it", row.room);
        }
    }
    let model = rows.iter().find(|row| row.room == "model").expect("there is a room of plain data");
    assert!(model.imports.is_empty(), "plain data imports {:?}", model.imports);
}

#[test]
fn no_file_depends_on_itself_by_way_of_others() {
    let imports = imports();
    let arrows = |module: &Module| -> Vec<Module> {
        let named = imports.get(module).into_iter().flatten();
        named.filter(|other| !module.starts_with(other)).cloned().collect()
    };
    for start in imports.keys() {
        let mut from: BTreeMap<Module, Module> = BTreeMap::new();
        let mut next = vec![start.clone()];
        while let Some(module) = next.pop() {
            for other in arrows(&module) {
                if other == *start {
                    let mut circle = vec![other.join("::"), module.join("::")];
                    let mut at = &module;
                    while at != start {
                        at = &from[at];
                        circle.push(at.join("::"));
                    }
                    circle.reverse();
                    panic!("a circle: {}", circle.join(" -> "));
                }
                if !from.contains_key(&other) {
                    from.insert(other.clone(), module.clone());
                    next.push(other);
                }
            }
        }
    }
}

#[test]
fn rooms_touch_what_the_table_says() {
    let lib = parse(&repository().join("src/lib.rs"));
    let mut allowed: BTreeMap<String, String> = BTreeMap::new();
    for item in lib.items {
        let syn::Item::Mod(item) = item else { continue };
        let lints = item.attrs.iter().filter(|a| a.path().is_ident("expect"));
        let lints = lints.filter_map(|a| a.meta.require_list().ok().map(|list| list.tokens.to_string()));
        allowed.insert(item.ident.to_string(), lints.collect());
    }
    for row in table() {
        let lints = &allowed[&row.room];
        let (methods, types) = (lints.contains("disallowed_methods"), lints.contains("disallowed_types"));
        assert_eq!(row.touches == "nothing", !methods, "{}: {} / {lints}", row.room, row.touches);
        assert_eq!(row.touches.contains("starts programs"), types, "{}: {}", row.room, row.touches);
    }
    assert_eq!(allowed.values().filter(|lints| lints.contains("disallowed_types")).count(), 1);
}
