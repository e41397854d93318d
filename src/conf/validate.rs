//! What makes a dkms.conf unacceptable, and what is worth a warning.

use std::collections::BTreeSet;
use std::path::Path;

use super::Strictness;
use super::directives::WITHOUT_EFFECT;
use super::ere::Ere;
use super::model::Record;
use super::values::{Directives, LARGEST_INDEX, written};
use crate::model::ids::is_component;
use crate::model::inside::plain;

/// Where a module may go, by the start of its DEST_MODULE_LOCATION.
const DESTINATIONS: [&str; 3] = ["/kernel", "/updates", "/extra"];
const RECORD: [&str; 4] =
    ["BUILT_MODULE_NAME", "BUILT_MODULE_LOCATION", "DEST_MODULE_NAME", "DEST_MODULE_LOCATION"];
const YES_OR_NO: [&str; 3] = ["AUTOINSTALL", "BUILD_DEPENDS_REBUILD", "NO_WEAK_MODULES"];

/// How many modules the directives describe: the highest index in use decides.
///
/// # Errors
/// A problem, when an index is beyond reason.
pub(super) fn record_count(directives: Directives<'_>) -> Result<usize, String> {
    let (end, name) = RECORD.iter().map(|name| (directives.end(name), *name)).max().unwrap_or_default();
    if end > LARGEST_INDEX + 1 {
        return Err(format!("{} has an index above {LARGEST_INDEX}", written(name, end - 1)));
    }
    Ok(end)
}

/// Every problem, one line each, in the order of the file's usual layout.
pub(super) fn problems(
    directives: Directives<'_>,
    records: &[Record],
    strictness: Strictness,
) -> Vec<String> {
    let mut found = Vec::new();
    for name in ["PACKAGE_NAME", "PACKAGE_VERSION"] {
        if directives.plain(name).is_empty() {
            found.push(format!("{name} is missing"));
        }
    }
    for (index, record) in records.iter().enumerate() {
        record_problems(directives, index, record, &mut found);
    }
    for name in YES_OR_NO {
        let value = directives.plain(name);
        if !["", "yes", "no"].iter().any(|allowed| value.eq_ignore_ascii_case(allowed)) {
            found.push(format!("{name} is `{value}`; only yes and no are allowed"));
        }
    }
    if strictness == Strictness::Build {
        duplicates(records, &mut found);
    }
    found
}

fn record_problems(directives: Directives<'_>, index: usize, record: &Record, found: &mut Vec<String>) {
    if record.built_name.is_empty() {
        found.push(format!("BUILT_MODULE_NAME[{index}] is missing"));
    }
    for (name, value) in [("BUILT_MODULE_NAME", &record.built_name), ("DEST_MODULE_NAME", &record.dest_name)]
    {
        // A name that was taken over from the other directive is blamed once, where it stands.
        let own = name == "BUILT_MODULE_NAME" || !directives.at(name, index).is_empty();
        if own && (value.ends_with(".o") || value.ends_with(".ko")) {
            found.push(format!("{name}[{index}] is `{value}`; omit the .o or .ko"));
        }
    }
    if !record.built_name.is_empty() && !is_in_build_directory(&built_path(record)) {
        found.push(format!(
            "BUILT_MODULE_LOCATION[{index}] and BUILT_MODULE_NAME[{index}] name `{}`, which is not in the build \
             directory",
            built_path(record)
        ));
    }
    if !record.dest_name.is_empty() && !is_component(&record.dest_name) {
        found.push(format!(
            "DEST_MODULE_NAME[{index}] is `{}`, which is not the name of a file",
            record.dest_name
        ));
    }
    let location = &record.dest_location;
    if location.is_empty() {
        found.push(format!("DEST_MODULE_LOCATION[{index}] is missing"));
    } else if !DESTINATIONS.iter().any(|start| location.starts_with(start)) {
        found.push(format!(
            "DEST_MODULE_LOCATION[{index}] is `{location}`; it must start with /kernel, /updates or /extra"
        ));
    } else if plain(Path::new(location.trim_start_matches('/'))).is_none() {
        found.push(format!(
            "DEST_MODULE_LOCATION[{index}] is `{location}`, which is no directory below that of the kernel"
        ));
    }
}

/// Where a module is built, without `.ko`, below the build directory.
fn built_path(record: &Record) -> String {
    format!("{}{}", record.built_location, record.built_name)
}

/// DKMS puts the two behind each other, so a location may begin with a slash; and it may lead out of the directory and
/// back, by its name (`../build/`).
fn is_in_build_directory(path: &str) -> bool {
    let build = Path::new("build");
    plain(&build.join(path.trim_start_matches('/'))).is_some_and(|path| path.starts_with(build))
}

fn duplicates(records: &[Record], found: &mut Vec<String>) {
    let (mut built, mut dest) = (BTreeSet::new(), BTreeSet::new());
    for (index, record) in records.iter().enumerate() {
        let file = built_path(record);
        if !record.built_name.is_empty() && !built.insert(file.clone()) {
            found.push(format!("BUILT_MODULE_NAME[{index}] names `{file}`, as an earlier module does"));
        }
        if !record.dest_name.is_empty() && !dest.insert(&record.dest_name) {
            found.push(format!(
                "DEST_MODULE_NAME[{index}] is `{}`, as that of an earlier module",
                record.dest_name
            ));
        }
    }
}

/// What a person who builds should know, although it stops nothing.
pub(super) fn warnings(directives: Directives<'_>, records: &[Record]) -> Vec<String> {
    let mut found = Vec::new();
    if records.is_empty() {
        found.push("no BUILT_MODULE_NAME is given, so no module is built".to_owned());
    }
    if directives.is_set("CLEAN")
        && !["true", "/bin/true", "/usr/bin/true"].contains(&directives.plain("CLEAN"))
    {
        found.push("CLEAN has no effect any more; builds happen in a fresh copy of the source".to_owned());
    }
    for name in WITHOUT_EFFECT.iter().filter(|name| directives.is_set(name)) {
        found.push(format!("{name} has no effect any more"));
    }
    if directives.is_set("OBSOLETE_BY") {
        found.push("OBSOLETE_BY is deprecated; use BUILD_EXCLUSIVE_KERNEL_MAX".to_owned());
    }
    for name in ["MAKE", "PATCH"] {
        let scanned = directives.count(name);
        for (index, _) in
            directives.elements(name).filter(|(index, text)| *index >= scanned && !text.is_empty())
        {
            found.push(format!("{name}[{index}] is not used, because an index before it is left out"));
        }
    }
    for name in ["MAKE_MATCH", "PATCH_MATCH", "BUILD_EXCLUSIVE_KERNEL", "BUILD_EXCLUSIVE_ARCH"] {
        for (index, pattern) in directives.elements(name) {
            if let Err(why) = Ere::new(pattern) {
                found.push(format!(
                    "{} is `{pattern}`, which matches nothing because it is not a regular expression: {why}",
                    written(name, index)
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_may_leave_the_build_directory_and_come_back() {
        for inside in ["m", "/m", "src/m", "//src/./m", "../build/m", "../build/src/../m", "src/../m"] {
            assert!(is_in_build_directory(inside), "{inside}");
        }
        for outside in ["../m", "../buildings/m", "../../1.0/build/m", "src/../../m", "/../etc/m"] {
            assert!(!is_in_build_directory(outside), "{outside}");
        }
    }
}
