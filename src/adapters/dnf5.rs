//! dnf5's actions plugin, as far as it concerns packages that are about to be installed
//! (libdnf5-actions(8), mode=json): we ask on standard output, a line each, and are answered on
//! standard input.
//!
//! It tells no paths of packages, so they are put together: a repository's packages are in the cache
//! below ID-CHECKSUM/packages, those of a repository on disk where that repository is, and those that
//! were named on the command line where they were.

use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::layout::Layout;
use crate::system::kernels::read_dir;

/// The longest answer, in bytes; a line about a package is some hundred.
const LONGEST: u64 = 64 << 20;

/// The files of the packages that the transaction under way brings; those that cannot be found are left
/// out.
pub fn packages(layout: &Layout, input: &mut dyn BufRead, output: &mut dyn Write) -> Vec<PathBuf> {
    let mut plugin = Plugin { input, output };
    let output = ["direction", "repo_id", "location"];
    let Some(listed) = plugin.get("trans_packages", &json!({ "output": output })) else { return Vec::new() };
    let cache = plugin.setting("cachedir").unwrap_or_else(|| "/var/cache/libdnf5".into());
    let cached: Vec<PathBuf> = read_dir(&layout.root.path(cache)).map(|entry| entry.path()).collect();
    let mut bases: Vec<(String, Option<PathBuf>)> = Vec::new();
    let mut out = Vec::new();
    for package in listed["trans_packages"].as_array().into_iter().flatten() {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let (repository, location) = (text("repo_id"), Path::new(text("location")));
        let Some(name) = location.file_name().filter(|_| text("direction") == "IN") else { continue };
        if !bases.iter().any(|(id, _)| id == repository) {
            let base = plugin.setting(&format!("{repository}.baseurl"));
            bases.push((repository.to_owned(), base.as_deref().and_then(on_disk)));
        }
        let base = bases.iter().find(|(id, _)| id == repository).and_then(|(_, base)| base.as_ref());
        let in_cache = cached.iter().filter(|dir| is_cache_of(dir, repository));
        let in_cache = in_cache.map(|dir| dir.join("packages").join(name));
        let there = base.map(|base| base.join(location));
        let as_named = location.is_absolute().then(|| location.to_owned());
        let on_disk = there.into_iter().chain(as_named).map(|path| layout.root.path(path));
        out.extend(in_cache.chain(on_disk).find(|path| path.is_file()));
    }
    out
}

/// Whether this directory of the cache is that of a repository: ID, a dash, and sixteen digits.
fn is_cache_of(dir: &Path, repository: &str) -> bool {
    let name = dir.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let sum = name.strip_prefix(repository).and_then(|rest| rest.strip_prefix('-'));
    sum.is_some_and(|sum| !sum.is_empty() && sum.chars().all(|c| c.is_ascii_hexdigit()))
}

/// The directory of a repository on this machine; settings with several addresses are comma-separated.
fn on_disk(url: &str) -> Option<PathBuf> {
    let url = url.split([',', ' ', '\n']).find(|word| !word.is_empty())?;
    url.strip_prefix("file://").or_else(|| url.starts_with('/').then_some(url)).map(PathBuf::from)
}

struct Plugin<'a> {
    input: &'a mut dyn BufRead,
    output: &'a mut dyn Write,
}

impl Plugin<'_> {
    /// What the plugin answers; `None` when it does not, or says that it cannot.
    fn get(&mut self, domain: &str, args: &Value) -> Option<Value> {
        let question = json!({ "op": "get", "domain": domain, "args": args });
        writeln!(self.output, "{question}").and_then(|()| self.output.flush()).ok()?;
        let mut line = Vec::new();
        Read::take(&mut *self.input, LONGEST).read_until(b'\n', &mut line).ok()?;
        let mut answer: Value = serde_json::from_slice(&line).ok()?;
        (answer["status"] == "OK").then(|| answer["return"].take())
    }

    fn setting(&mut self, key: &str) -> Option<String> {
        let answer = self.get("conf", &json!({ "key": key }))?;
        answer["keys_val"][0]["value"].as_str().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::Root;

    #[test]
    fn packages_are_found_in_the_cache_on_disk_and_as_named() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let place = |path: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            path
        };
        let cached = place("var/cache/libdnf5/fedora-0123456789abcdef/packages/kernel-core.rpm");
        place("var/cache/libdnf5/fedora-updates-0123456789abcdef/packages/kernel-core.rpm");
        let local = place("srv/repo/x86_64/kernel-devel.rpm");
        let named = place("root/mine.rpm");
        let answers = [
            json!({ "op": "reply", "status": "OK", "return": { "trans_packages": [
                { "direction": "IN", "repo_id": "fedora", "location": "Packages/k/kernel-core.rpm" },
                { "direction": "OUT", "repo_id": "fedora", "location": "Packages/k/kernel-core.rpm" },
                { "direction": "IN", "repo_id": "local", "location": "x86_64/kernel-devel.rpm" },
                { "direction": "IN", "repo_id": "@commandline", "location": "/root/mine.rpm" },
                { "direction": "IN", "repo_id": "fedora", "location": "gone.rpm" },
            ] } }),
            json!({ "status": "OK", "return": { "keys_val": [{ "value": "/var/cache/libdnf5" }] } }),
            json!({ "status": "ERROR", "message": "not set" }),
            json!({ "status": "OK", "return": { "keys_val": [{ "value": "file:///srv/repo" }] } }),
            json!({ "status": "ERROR" }),
        ];
        let input: String = answers.iter().map(|answer| format!("{answer}\n")).collect();
        let mut asked = Vec::new();
        assert_eq!(packages(&layout, &mut input.as_bytes(), &mut asked), [cached, local, named]);
        assert_eq!(String::from_utf8(asked).unwrap().lines().count(), 5);
    }

    #[test]
    fn a_plugin_that_says_nothing_or_nonsense_is_left_alone() {
        let layout = Layout::new(Root::at("/nonexistent"));
        for input in [
            &b""[..],
            b"\n",
            b"{}\n",
            b"{\"status\":\"OK\"}\n",
            b"\xff\xfe",
            b"{\"status\":\"OK\",\"return\":{\"trans_packages\":[1,null]}}\n",
        ] {
            assert_eq!(packages(&layout, &mut { input }, &mut Vec::new()), Vec::<PathBuf>::new());
        }
    }
}
