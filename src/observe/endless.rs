//! dkms.conf files with which bash did not come to an end.
//!
//! Each evaluation takes as long as its limit, and a run has many: one for each kernel, and more. So nobody asks such
//! a file twice in one run. And what a run learned is written down (`T/.dkms-hook/endless.json`), so that hooks do not
//! ask it again while stat(2) says that it and what overrides it are the same. A person's command does: what the file
//! waits for may have come.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::conf::model::{Conf, ConfError};
use crate::fs::{atomic, look};
use crate::model::error::{Error, Kind, Result};
use crate::model::settings::Limit;
use crate::tree::layout::Layout;

/// The number of the format on disk.
const FORMAT: u64 = 1;

/// What is known of such files.
#[derive(Debug, Default)]
pub struct Endless {
    /// What earlier runs wrote down: how many seconds bash was given.
    earlier: OnceLock<Earlier>,
    now: Mutex<Now>,
}

/// What was written down.
#[derive(Debug, Default)]
struct Earlier {
    files: BTreeMap<String, u64>,
    /// Nobody can read it any more: it is to be written anew.
    damaged: bool,
}

#[derive(Debug, Default)]
struct Now {
    endless: BTreeMap<String, Limit>,
    /// Files that were endless once, and were read by this run.
    read: BTreeSet<String>,
}

#[derive(Serialize, Deserialize)]
struct OnDisk {
    format: u64,
    files: BTreeMap<String, u64>,
}

impl Endless {
    /// What `load` makes of a dkms.conf (the first of `files`) and what overrides it, unless it is known that it would
    /// take too long. With `anew`, what earlier runs found does not count.
    ///
    /// # Errors
    /// Those of `load`, or [`ConfError::TookTooLong`] without calling it.
    pub fn ask(
        &self,
        layout: &Layout,
        files: &[PathBuf],
        (limit, anew): (Limit, bool),
        load: impl FnOnce() -> Result<Conf, ConfError>,
    ) -> Result<Conf, ConfError> {
        let earlier = self.earlier(layout);
        let key = (!earlier.is_empty() || !self.now().endless.is_empty()).then(|| key(layout, files));
        if let Some(key) = &key
            && let Some(limit) = self.known(earlier, key, limit, anew)
        {
            let path = files.first().map(|file| layout.shown(file)).unwrap_or_default();
            return Err(ConfError::TookTooLong { path, limit });
        }
        let asked = load();
        match (&asked, key) {
            (Err(ConfError::TookTooLong { limit, .. }), key) => {
                let key = key.unwrap_or_else(|| self::key(layout, files));
                self.now().endless.insert(key, *limit);
            }
            (_, Some(key)) if earlier.contains_key(&key) => {
                self.now().read.insert(key);
            }
            _ => {}
        }
        asked
    }

    fn known(&self, earlier: &BTreeMap<String, u64>, key: &str, limit: Limit, anew: bool) -> Option<Limit> {
        let now = self.now();
        if let Some(limit) = now.endless.get(key) {
            return Some(*limit);
        }
        let waited = Duration::from_secs(*earlier.get(key)?);
        // With more time it may come to its end.
        let as_long = limit.time.is_some_and(|time| time <= waited);
        (as_long && !anew && !now.read.contains(key)).then_some(limit)
    }

    /// Whether this run learned something that is not written down.
    pub fn is_news(&self) -> bool {
        let now = self.now();
        let known = |(key, limit): (&String, &Limit)| {
            self.earlier.get().is_some_and(|earlier| earlier.files.get(key) == Some(&seconds(limit)))
        };
        let damaged = self.earlier.get().is_some_and(|earlier| earlier.damaged);
        damaged || !now.read.is_empty() || !now.endless.iter().all(known)
    }

    /// Writes it down. Files that have changed since are forgotten.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, layout: &Layout) -> Result<()> {
        let mut files = self.earlier(layout).clone();
        let now = self.now();
        files.retain(|key, _| !now.read.contains(key) && is_as_it_was(layout, key));
        files.extend(now.endless.iter().map(|(key, limit)| (key.clone(), seconds(limit))));
        let path = layout.endless();
        if files.is_empty() {
            return atomic::delete(&path).map(drop);
        }
        let text = serde_json::to_vec(&OnDisk { format: FORMAT, files });
        atomic::write(&path, &text.map_err(|error| Error::new(Kind::Io, error.to_string()))?)
    }

    fn earlier(&self, layout: &Layout) -> &BTreeMap<String, u64> {
        let read = || {
            read(layout).unwrap_or_else(|(why, damaged)| {
                log::warn!(
                    "{why}: each dkms.conf with which bash does not come to an end is waited for once more"
                );
                Earlier { damaged, ..Earlier::default() }
            })
        };
        &self.earlier.get_or_init(read).files
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads what was written down.
///
/// # Errors
/// Why that cannot be done, and whether the file is damaged: then another takes its place.
fn read(layout: &Layout) -> Result<Earlier, (String, bool)> {
    let path = layout.endless();
    let shown = layout.shown(&path);
    let bytes = match look::read(&path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Earlier::default()),
        Err(blind) => return Err((format!("cannot read {}: {}", shown.display(), blind.cause), false)),
    };
    let known: OnDisk = serde_json::from_slice(&bytes)
        .map_err(|error| (format!("{} is damaged and is written anew: {error}", shown.display()), true))?;
    if known.format != FORMAT {
        let text = format!("{} was written by another version of dkms-hook", shown.display());
        return Err((text, false));
    }
    Ok(Earlier { files: known.files, damaged: false })
}

/// Whole seconds, at least one.
fn seconds(limit: &Limit) -> u64 {
    limit.time.map_or(0, |time| time.as_secs().max(1))
}

/// Files, and what stat(2) says of them: a line each.
fn key(layout: &Layout, files: &[PathBuf]) -> String {
    let lines: Vec<String> = files.iter().map(|file| line(&layout.shown(file), file)).collect();
    lines.join("\n")
}

fn line(shown: &Path, file: &Path) -> String {
    let stat = std::fs::metadata(file).map_or_else(
        |_| "-".to_owned(),
        |meta| {
            let times =
                [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()].map(|t| t.to_string());
            format!("{} {} {} {}", meta.dev(), meta.ino(), meta.len(), times.join(" "))
        },
    );
    format!("{stat} {}", shown.display())
}

/// Whether the files of a key are what they were. Its paths are those from inside the root.
fn is_as_it_was(layout: &Layout, key: &str) -> bool {
    key.lines().all(|known| {
        known.find('/').is_some_and(|at| {
            let shown = Path::new(&known[at..]);
            line(shown, &layout.root.path(shown)) == known
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;

    const LIMIT: Limit = Limit::seconds("time_limit_conf", 10);

    #[test]
    fn an_endless_file_is_asked_once_by_hooks_and_once_by_each_command_of_a_person() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        let files = [layout.root.path("/usr/src/m-1/dkms.conf"), layout.root.path("/etc/dkms/m.conf")];
        std::fs::create_dir_all(layout.state()).unwrap();
        for file in &files {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "x").unwrap();
        }
        let asked = std::cell::Cell::new(0);
        let ask = |known: &Endless, limit: Limit, anew: bool, ends: bool| {
            let answer = known.ask(&layout, &files, (limit, anew), || {
                asked.set(asked.get() + 1);
                let path = PathBuf::from("/usr/src/m-1/dkms.conf");
                Err(if ends {
                    ConfError::Unreadable { path, why: String::new() }
                } else {
                    ConfError::TookTooLong { path, limit }
                })
            });
            (asked.take(), matches!(answer, Err(ConfError::TookTooLong { .. })))
        };
        let first = Endless::default();
        assert_eq!(ask(&first, LIMIT, false, false), (1, true));
        assert_eq!(ask(&first, LIMIT, true, false), (0, true), "not twice in a run, whoever started it");
        assert!(first.is_news());
        first.save(&layout).unwrap();

        let hook = Endless::default();
        assert_eq!(ask(&hook, LIMIT, false, false), (0, true));
        assert!(!hook.is_news());
        let patient = Limit::seconds("time_limit_conf", 60);
        assert_eq!(ask(&Endless::default(), patient, false, false), (1, true));
        let person = Endless::default();
        assert_eq!(ask(&person, LIMIT, true, false), (1, true));
        assert!(!person.is_news(), "that was known");

        // It ends now: nobody else has to find out.
        let person = Endless::default();
        assert_eq!(ask(&person, LIMIT, true, true), (1, false));
        assert!(person.is_news());
        person.save(&layout).unwrap();
        assert!(!layout.endless().exists());

        // What nobody can read is said, and written anew.
        std::fs::write(layout.endless(), "{").unwrap();
        let (why, damaged) = read(&layout).unwrap_err();
        assert!(damaged && why.contains("endless.json is damaged"), "{why}");
        let hook = Endless::default();
        assert_eq!(ask(&hook, LIMIT, false, true), (1, false));
        assert!(hook.is_news());
        hook.save(&layout).unwrap();
        assert!(!layout.endless().exists());
        std::fs::write(layout.endless(), "{\"format\": 2, \"files\": {}}").unwrap();
        assert!(matches!(read(&layout), Err((_, false))), "another version of the program may know it");
        std::fs::remove_file(layout.endless()).unwrap();

        // Another file that overrides it.
        first.save(&layout).unwrap();
        std::fs::write(&files[1], "another").unwrap();
        let hook = Endless::default();
        assert_eq!(ask(&hook, LIMIT, false, true), (1, false));
    }
}
