//! dnf5's plugin `actions` in its mode `json` (libdnf5-actions(8)): it starts us before a transaction with
//! kernel packages, and answers what we ask, a line of JSON each way. Which files the packages are in is
//! not among the answers. It follows from where dnf5 keeps what it downloads, or from the directory that
//! dnf5 was started in: paths that a person typed are relative to that, and we are started in `/`.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::adapters::incoming;
use crate::fs::root::Root;
use crate::machine::Machine;
use crate::model::error::{Error, Kind, Result};
use crate::preflight::Decision;
use crate::process::ancestors;
use crate::progress::Report;

/// Says what the kernel packages of the transaction mean for modules. `requests` and `replies` are the
/// two ends of the plugin's dialogue; what a person is to read goes to `report`, which must not be
/// `requests`.
///
/// # Errors
/// When the dialogue cannot be understood.
pub fn announce(
    machine: &Machine,
    replies: &mut dyn BufRead,
    requests: &mut dyn Write,
    report: &dyn Report,
) -> Result<Decision> {
    let coming = look(&machine.layout.root, &mut Dialogue { replies, requests })?;
    let mut transaction = incoming::transaction(&coming.files, report);
    transaction.unseen.extend(coming.unseen);
    Ok(incoming::before(machine, &transaction, &coming.files, report))
}

/// A package of the transaction, as dnf5 describes it.
struct Package {
    name: String,
    repository: String,
    /// Path or address, relative to the repository; of a package on the command line its path.
    location: String,
}

impl Package {
    /// True when it is none of a repository's: `@commandline`, `@stored_transaction(REPOSITORY)`.
    fn was_named(&self) -> bool {
        self.repository.starts_with('@')
    }
}

/// The packages that come.
#[derive(Default)]
struct Coming {
    files: Vec<PathBuf>,
    /// Names of those whose files were not found.
    unseen: BTreeSet<String>,
}

fn look(root: &Root, dialogue: &mut Dialogue<'_>) -> Result<Coming> {
    let mut coming = Coming::default();
    let packages = dialogue.packages()?;
    let caches = if packages.is_empty() { Vec::new() } else { dialogue.setting("cachedir")? };
    for package in packages {
        match find(root, &caches, &package, dialogue) {
            Some(file) => coming.files.push(file),
            None => drop(coming.unseen.insert(package.name)),
        }
    }
    Ok(coming)
}

fn find(root: &Root, caches: &[String], package: &Package, dialogue: &mut Dialogue<'_>) -> Option<PathBuf> {
    let location = Path::new(&package.location);
    let is_file = |path: &PathBuf| path.is_file();
    if location.is_absolute() {
        return Some(root.path(location)).filter(is_file);
    }
    if package.was_named() {
        return start_directory().map(|dir| dir.join(location)).filter(is_file);
    }
    // A setting that a repository does not have is refused, and the next place is asked.
    let mut setting =
        |key: &str| dialogue.setting(&format!("{}.{key}", package.repository)).unwrap_or_default();
    downloaded(root, caches, package)
        .or_else(|| downloaded(root, &setting("cachedir"), package))
        // Where packages of a repository on this machine are not copied.
        .or_else(|| {
            let bases = setting("baseurl");
            let local = bases.iter().filter_map(|base| base.strip_prefix("file://"));
            local.map(|base| root.path(Path::new(base).join(location))).find(is_file)
        })
}

/// The directory that dnf5 works in, as proc(5) has it: the plugin starts us from its process.
fn start_directory() -> Option<PathBuf> {
    Some(PathBuf::from(format!("/proc/{}/cwd", ancestors::own()?.parent)))
}

/// The file in a cache: `CACHE/REPOSITORY-HASH/packages/NAME`.
fn downloaded(root: &Root, caches: &[String], package: &Package) -> Option<PathBuf> {
    let name = Path::new(&package.location).file_name()?;
    let ours = |entry: &std::fs::DirEntry| {
        let text = entry.file_name();
        let rest = text.to_str().and_then(|t| t.strip_prefix(package.repository.as_str()));
        rest.is_some_and(|rest| rest.starts_with('-'))
    };
    let entries =
        caches.iter().filter_map(|cache| std::fs::read_dir(root.path(cache)).ok()).flatten().flatten();
    entries.filter(ours).map(|entry| entry.path().join("packages").join(name)).find(|file| file.is_file())
}

struct Dialogue<'a> {
    replies: &'a mut dyn BufRead,
    requests: &'a mut dyn Write,
}

impl Dialogue<'_> {
    /// What comes in with a name that kernels, their modules and headers have.
    fn packages(&mut self) -> Result<Vec<Package>> {
        let answer = self.ask(&json!({
            "op": "get", "domain": "trans_packages",
            "args": {
                "output": ["direction", "name", "repo_id", "location"],
                "filters": [{ "key": "name", "value": "kernel*", "operator": "GLOB" }],
            },
        }))?;
        let list = answer["trans_packages"].as_array().cloned().unwrap_or_default();
        let coming = list.iter().filter(|package| package["direction"] == "IN");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(coming
            .map(|p| Package {
                name: text(&p["name"]),
                repository: text(&p["repo_id"]),
                location: text(&p["location"]),
            })
            .collect())
    }

    /// The words of a setting.
    fn setting(&mut self, key: &str) -> Result<Vec<String>> {
        let answer = self.ask(&json!({ "op": "get", "domain": "conf", "args": { "key": key } }))?;
        let values = answer["keys_val"].as_array().cloned().unwrap_or_default();
        let words = values.iter().filter_map(|pair| pair["value"].as_str());
        Ok(words
            .flat_map(|text| text.split([' ', ',', '\n']))
            .filter(|w| !w.is_empty())
            .map(str::to_owned)
            .collect())
    }

    /// One request and the `return` of its reply.
    fn ask(&mut self, request: &Value) -> Result<Value> {
        let failed = |text: String| Error::new(Kind::PackageManager, format!("dnf5's plugin: {text}"));
        writeln!(self.requests, "{request}")
            .and_then(|()| self.requests.flush())
            .map_err(|e| failed(e.to_string()))?;
        let mut line = String::new();
        self.replies.read_line(&mut line).map_err(|e| failed(e.to_string()))?;
        let mut reply: Value = serde_json::from_str(&line).map_err(|e| failed(e.to_string()))?;
        if reply["status"] != "OK" {
            return Err(failed(reply["message"].as_str().unwrap_or("no answer").to_owned()));
        }
        Ok(reply["return"].take())
    }
}
