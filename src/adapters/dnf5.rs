//! dnf5's plugin `actions` in its mode `json` (libdnf5-actions(8)): it starts us before each transaction and answers
//! what we ask, a line of JSON each way. Which files the packages are in is not among the answers. It follows from
//! where dnf5 keeps what it downloads, or from the directory that dnf5 was started in: paths that a person typed are
//! relative to that, and we are started in `/`. Which packages have something to do with kernels is read from the
//! headers of the files, whatever they are called; for one that sounds like a kernel more places are tried.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::adapters::incoming;
use crate::fs::root::Root;
use crate::machine::Machine;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::KernelRelease;
use crate::packages::{self, Brings, Transaction};
use crate::preflight::Decision;
use crate::process::{Process, QUERY_LIMIT, ancestors};
use crate::progress::Report;

/// Says what the transaction means for modules, and whether it may go on; dnf5 is told to stop where it may not.
/// `requests` and `replies` are the two ends of the plugin's dialogue; what a person is to read goes to `report`, which
/// must not be `requests`.
///
/// # Errors
/// When the dialogue cannot be understood.
pub fn announce(
    machine: &Machine,
    replies: &mut dyn BufRead,
    requests: &mut dyn Write,
    report: &dyn Report,
) -> Result<Decision> {
    let mut dialogue = Dialogue { replies, requests };
    let coming = look(&machine.layout.root, &mut dialogue, report)?;
    let transaction = Transaction { unseen: coming.unseen, ..Transaction::of(&coming.packages) };
    let transaction = transaction.without(images_of(&machine.layout.root, &coming.leaving));
    let decision = incoming::before(machine, &transaction, &coming.files, report);
    if decision == Decision::Hold {
        dialogue.stop("dkms-hook holds this transaction; see above")?;
    }
    Ok(decision)
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

    /// [`incoming::sounds_like_a_kernel`].
    fn sounds_like_a_kernel(&self) -> bool {
        incoming::sounds_like_a_kernel(&self.name)
    }
}

/// What comes and goes.
#[derive(Default)]
struct Coming {
    packages: Vec<packages::Package>,
    /// Files of packages that concern kernels.
    files: Vec<PathBuf>,
    /// Names of those that sound like kernels, and were not found or could not be read.
    unseen: BTreeSet<String>,
    /// Full names of packages that sound like kernels, and go.
    leaving: Vec<String>,
}

fn look(root: &Root, dialogue: &mut Dialogue<'_>, report: &dyn Report) -> Result<Coming> {
    let mut coming = Coming::default();
    let (come, leaving) = dialogue.packages()?;
    coming.leaving = leaving;
    let settings = if come.is_empty() { Vec::new() } else { dialogue.setting("cachedir")? };
    let caches = Caches::list(root, &settings);
    for package in come {
        let kernel = package.sounds_like_a_kernel();
        let Some(file) = find(root, &caches, &package, dialogue) else {
            if kernel {
                coming.unseen.insert(package.name);
            }
            continue;
        };
        match packages::Package::read(&file) {
            Ok(read) => {
                if incoming::concerns_kernels(&read) {
                    coming.files.push(file);
                }
                coming.packages.push(read);
            }
            Err(error) if kernel => {
                incoming::unread(&file, &error, report);
                coming.unseen.insert(package.name);
            }
            Err(error) => log::info!("{}: {error}", file.display()),
        }
    }
    Ok(coming)
}

/// Kernels whose image is in one of these installed packages, as rpm lists their files.
fn images_of(root: &Root, names: &[String]) -> BTreeSet<KernelRelease> {
    if names.is_empty() {
        return BTreeSet::new();
    }
    let mut process = Process::new("rpm").limit(QUERY_LIMIT);
    if !root.is_slash() {
        process = process.arg("--root").arg(root.path("/").display().to_string());
    }
    let listed = process.args(["-q", "--list", "--"]).args(names).capture();
    let listed = listed.map(|found| String::from_utf8_lossy(&found.stdout).into_owned());
    Brings::of_list(&listed.unwrap_or_default()).images
}

fn find(root: &Root, caches: &Caches, package: &Package, dialogue: &mut Dialogue<'_>) -> Option<PathBuf> {
    let location = Path::new(&package.location);
    let is_file = |path: &PathBuf| path.is_file();
    if location.is_absolute() {
        return Some(root.path(location)).filter(is_file);
    }
    if package.was_named() {
        return start_directory().map(|dir| dir.join(location)).filter(is_file);
    }
    let found = caches.downloaded(package);
    if found.is_some() || !package.sounds_like_a_kernel() {
        return found;
    }
    // A setting that a repository does not have is refused, and the next place is asked.
    let mut setting =
        |key: &str| dialogue.setting(&format!("{}.{key}", package.repository)).unwrap_or_default();
    // A repository may have a cache of its own.
    Caches::list(root, &setting("cachedir")).downloaded(package).or_else(|| {
        // Where packages of a repository on this machine are not copied.
        let bases = setting("baseurl");
        let local = bases.iter().filter_map(|base| base.strip_prefix("file://"));
        local.map(|base| root.path(Path::new(base).join(location))).find(is_file)
    })
}

/// The directory that dnf5 works in, as proc(5) has it: the plugin starts us from its process.
fn start_directory() -> Option<PathBuf> {
    Some(PathBuf::from(format!("/proc/{}/cwd", ancestors::own()?.parent)))
}

/// Directories of packages that were downloaded, `CACHE/REPOSITORY-HASH/packages`, by their `REPOSITORY-HASH`.
struct Caches(Vec<(String, PathBuf)>);

impl Caches {
    fn list(root: &Root, caches: &[String]) -> Self {
        let entries = caches.iter().filter_map(|cache| std::fs::read_dir(root.path(cache)).ok());
        let named = entries
            .flatten()
            .flatten()
            .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path().join("packages"))));
        Self(named.collect())
    }

    fn downloaded(&self, package: &Package) -> Option<PathBuf> {
        let name = Path::new(&package.location).file_name()?;
        let ours =
            |dir: &str| dir.strip_prefix(&package.repository).is_some_and(|rest| rest.starts_with('-'));
        let mut files = self.0.iter().filter(|(dir, _)| ours(dir)).map(|(_, packages)| packages.join(name));
        files.find(|file| file.is_file())
    }
}

struct Dialogue<'a> {
    replies: &'a mut dyn BufRead,
    requests: &'a mut dyn Write,
}

impl Dialogue<'_> {
    /// What comes, and the full names of what goes and sounds like a kernel.
    fn packages(&mut self) -> Result<(Vec<Package>, Vec<String>)> {
        let answer = self.ask(&json!({
            "op": "get", "domain": "trans_packages",
            "args": { "output": ["direction", "name", "repo_id", "location", "full_nevra"] },
        }))?;
        let list = answer["trans_packages"].as_array().map_or(&[][..], Vec::as_slice);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let named = |p: &Value| Package {
            name: text(&p["name"]),
            repository: text(&p["repo_id"]),
            location: text(&p["location"]),
        };
        let (come, go): (Vec<&Value>, Vec<&Value>) = list.iter().partition(|p| p["direction"] == "IN");
        let leaving = go.into_iter().filter(|p| named(p).sounds_like_a_kernel());
        let leaving = leaving.map(|p| text(&p["full_nevra"])).filter(|name| !name.is_empty()).collect();
        Ok((come.into_iter().map(named).collect(), leaving))
    }

    /// Has dnf5 end before anything is changed, with status 1. There is no reply.
    fn stop(&mut self, message: &str) -> Result<()> {
        let request = json!({ "op": "stop", "args": { "message": message } });
        writeln!(self.requests, "{request}")
            .and_then(|()| self.requests.flush())
            .map_err(|e| Error::new(Kind::PackageManager, format!("dnf5's plugin: {e}")))
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
