//! Headers that a build read, and the types that are declared in them.
//!
//! Some types stand in headers only: nothing in the kernel that describes its types uses them. They are watched by
//! the text of the file that declares them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::fs::regular;
use crate::model::inputs::Hasher;

/// The headers that the objects of a build were compiled with, without those of its own directory. Kbuild leaves a
/// list beside each object (`.NAME.o.cmd`); names in there are relative to the headers. `seen` is where the build saw
/// its directory.
pub fn included(build: &Path, seen: &Path, headers: &Path) -> BTreeSet<PathBuf> {
    let own = seen.canonicalize().unwrap_or_else(|_| seen.to_path_buf());
    let lists = walkdir::WalkDir::new(build).into_iter().flatten().filter(|entry| {
        let name = entry.file_name().as_encoded_bytes();
        entry.file_type().is_file() && name.starts_with(b".") && name.ends_with(b".o.cmd")
    });
    let mut names = BTreeSet::new();
    for list in lists {
        let text = regular::read_itself(list.path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().map(|line| line.trim_end_matches('\\').trim());
        names.extend(lines.filter(|line| line.ends_with(".h") && !line.contains(' ')).map(str::to_owned));
    }
    let place = |name: String| headers.join(name).canonicalize().ok();
    names.into_iter().filter_map(place).filter(|path| !path.starts_with(&own)).collect()
}

/// Which of these names a C text gives to a struct, union, enumeration or typedef.
pub fn declared<'a>(text: &str, names: &'a BTreeSet<String>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    // The last words and marks: `struct NAME {`, `} NAME ;`, `typedef ... NAME ;`.
    let (mut before, mut last) = ("", "");
    let (mut in_typedef, mut closed) = (false, false);
    for token in tokens(text) {
        let name = match token {
            "{" if matches!(before, "struct" | "union" | "enum") => Some(last),
            ";" if in_typedef || closed => Some(last),
            _ => None,
        };
        found.extend(name.and_then(|name| names.get(name)).map(String::as_str));
        match token {
            "typedef" => in_typedef = true,
            "}" => closed = true,
            ";" | "{" => (in_typedef, closed) = (in_typedef && token == "{", false),
            _ => {}
        }
        (before, last) = (last, token);
    }
    found
}

/// Words, and single marks.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while bytes.get(at).is_some_and(|byte| byte.is_ascii_whitespace() || !byte.is_ascii()) {
            at += 1;
        }
        let begin = at;
        let first = *bytes.get(at)?;
        at += 1;
        while word(first) && bytes.get(at).is_some_and(|byte| word(*byte)) {
            at += 1;
        }
        text.get(begin..at)
    })
}

/// Digest of a file's content.
///
/// # Errors
/// When it cannot be read.
pub fn text_digest(path: &Path) -> io::Result<String> {
    let mut hash = Hasher::new();
    hash.part(regular::read(path)?);
    Ok(hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_found_where_they_are_declared() {
        let names = ["ring", "kind", "both_t", "number_t", "call_t", "used", "later"];
        let names: BTreeSet<String> = names.map(str::to_owned).into();
        let text = "/* \u{e4} */ struct ring { struct used *next; };\nenum kind\n{ A, B };\n\
                    typedef struct { int x; struct { int y; } z; } both_t;\ntypedef unsigned number_t;\n\
                    typedef int (*call_t)(int);\nstruct later;\nextern struct used used;\n";
        let found: Vec<&str> = declared(text, &names).into_iter().collect();
        assert_eq!(found, ["both_t", "kind", "number_t", "ring"], "not what is only named, nor functions");
        assert!(declared("", &names).is_empty() && declared("struct", &names).is_empty());
        assert!(declared("} ring", &names).is_empty());
    }

    #[test]
    fn a_build_says_what_it_read() {
        let dir = tempfile::tempdir().unwrap();
        let (build, headers) = (dir.path().join("build"), dir.path().join("headers"));
        for file in ["headers/include/a.h", "headers/include/b.h", "build/src/own.h"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let absolute = headers.join("include/b.h");
        let own = build.join("src/own.h");
        let text = format!(
            "savedcmd_x.o := gcc -include x.h\ndeps_x.o := \\\n    $(wildcard include/config/A) \\\n  ./include/a.h \\\n  \
             {} \\\n  {} \\\n  gone.h \\\n\nx.o: $(deps_x.o)\n",
            absolute.display(),
            own.display()
        );
        std::fs::write(build.join("src/.x.o.cmd"), text).unwrap();
        let found = included(&build, &build, &headers);
        let expected = [headers.join("include/a.h"), absolute];
        assert_eq!(found, expected.map(|path| path.canonicalize().unwrap()).into());
    }
}
