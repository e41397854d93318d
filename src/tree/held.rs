//! A transaction that was held because a module cannot be built for a kernel in it, and the word to let it go on.

use std::fs;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::fs::{atomic, look};
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::KernelRelease;
use crate::tree::layout::Layout;

/// How long the word to go on counts.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// A transaction that was held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The kernels that were to come.
    pub kernels: Vec<KernelRelease>,
    /// What fails, and what can be done: what was told.
    pub text: String,
    /// Somebody was there to read it.
    pub told: bool,
}

#[derive(Serialize, Deserialize)]
struct OnDisk {
    format: u32,
    kernels: Vec<String>,
    text: String,
    told: bool,
}

const FORMAT: u32 = 1;

/// The transaction that was held last, as long as none of its kernels is there. One that cannot be read is none.
pub fn held(layout: &Layout) -> Option<Held> {
    let bytes = look::read(&layout.held()).ok().flatten()?;
    let read: OnDisk = serde_json::from_slice(&bytes).ok().filter(|read: &OnDisk| read.format == FORMAT)?;
    let kernels: Vec<_> = read.kernels.into_iter().filter_map(|name| KernelRelease::new(name).ok()).collect();
    let there = kernels.iter().any(|kernel| layout.kernel(kernel).join("kernel").is_dir());
    (!there).then_some(Held { kernels, text: read.text, told: read.told })
}

/// Writes down that one was held.
///
/// # Errors
/// When it cannot be written.
pub fn save(layout: &Layout, held: &Held) -> Result<()> {
    let Held { kernels, text, told } = held;
    let kernels = kernels.iter().map(|kernel| kernel.as_str().to_owned()).collect();
    let held = OnDisk { format: FORMAT, kernels, text: text.clone(), told: *told };
    let text = serde_json::to_string_pretty(&held).map_err(|e| Error::new(Kind::Io, e.to_string()))?;
    atomic::write(&layout.held(), text.as_bytes())?;
    if held.told { Ok(()) } else { atomic::write(&layout.unreported(), b"") }
}

/// Forgets it.
///
/// # Errors
/// When it cannot be removed.
pub fn forget(layout: &Layout) -> Result<()> {
    if look::exists(&layout.held()) == Ok(false) { Ok(()) } else { atomic::delete(&layout.held()).map(drop) }
}

/// Lets the next transaction that would be held go on. The word counts once, and for a day.
///
/// # Errors
/// When it cannot be written down.
pub fn let_go_on(layout: &Layout) -> Result<()> {
    atomic::write(&layout.go_on(), b"")
}

/// Whether somebody gave that word. It is used up by that; one that is too old goes, too.
pub fn take_word(layout: &Layout) -> bool {
    let file = layout.go_on();
    let Ok(meta) = fs::symlink_metadata(&file) else { return false };
    let age = meta.modified().ok().and_then(|then| SystemTime::now().duration_since(then).ok());
    // One that cannot be taken away would count for ever.
    let gone = fs::remove_file(&file).inspect_err(|error| log::warn!("{}: {error}", file.display())).is_ok();
    gone && meta.is_file() && age.is_some_and(|age| age <= A_DAY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::root::Root;

    fn layout() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(Root::at(dir.path()));
        fs::create_dir_all(layout.state()).unwrap();
        (dir, layout)
    }

    #[test]
    fn the_word_counts_once_and_for_a_day() {
        let (_dir, layout) = layout();
        assert!(!take_word(&layout));
        let_go_on(&layout).unwrap();
        assert!(take_word(&layout) && !take_word(&layout));
        let aged = |seconds: u64| {
            let_go_on(&layout).unwrap();
            let file = fs::File::options().write(true).open(layout.go_on()).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
            take_word(&layout)
        };
        assert!(aged(3600) && !aged(25 * 3600));
        assert!(!layout.go_on().exists());
    }

    #[test]
    fn it_is_remembered_until_one_of_its_kernels_is_there() {
        let (_dir, layout) = layout();
        let kernel = KernelRelease::new("6.1").unwrap();
        let one = Held { kernels: vec![kernel.clone()], text: "m fails".into(), told: true };
        save(&layout, &one).unwrap();
        assert_eq!(held(&layout).as_ref(), Some(&one));
        assert!(!layout.unreported().exists());
        save(&layout, &Held { told: false, ..one.clone() }).unwrap();
        assert!(layout.unreported().exists());
        fs::create_dir_all(layout.kernel(&kernel).join("kernel")).unwrap();
        assert_eq!(held(&layout), None);
        forget(&layout).unwrap();
        assert!(!layout.held().exists());
        forget(&layout).unwrap();
        fs::write(layout.held(), "{").unwrap();
        assert_eq!(held(&layout), None);
    }
}
