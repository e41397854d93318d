//! The index made by ourselves, in milliseconds where few modules changed ([`crate::depmod`]).

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::depmod::{self, Config, Kmod, Odd, Place};
use crate::fs::{atomic, look};
use crate::model::error::Error;
use crate::model::ids::KernelRelease;
use crate::process::{Process, find_program};
use crate::tree::layout::Layout;

/// How long depmod may take to say which one it is.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of it.
pub(super) enum Came {
    /// The index is in place.
    Made,
    /// Something is not as usual: depmod(8) has to make it.
    Left,
    /// Modules that need each other in a circle, the first one at both ends. depmod(8) makes no index of such, and for
    /// some of them does not come to an end (seen with kmod 30 and 34.2).
    Circle(Vec<String>),
    /// It could not be written.
    Failed(Error),
}

/// Makes the index of a kernel. `base` is what depmod would be told to take for `/`.
pub(super) fn make(layout: &Layout, kernel: &KernelRelease, base: Option<&Path>) -> Came {
    let Some(kmod) = installed(layout) else {
        log::debug!("index of {kernel}: no depmod that we can stand in for");
        return Came::Left;
    };
    let dir = layout.kernel(kernel);
    let computed = || -> Result<_, Odd> {
        let config = Config::read(&depmod::directories(base.unwrap_or(Path::new("/")))?, kernel.as_str())?;
        let known = Some(layout.known_modules(kernel));
        depmod::compute(&Place { dir: dir.clone(), config, kmod, known })
    };
    match computed() {
        Ok((files, effort)) => {
            log::debug!("index of {kernel}: {} modules, {} files read", effort.modules, effort.read);
            depmod::write(&dir, &files).map_or_else(Came::Failed, |()| Came::Made)
        }
        Err(odd) if !odd.circle.is_empty() => Came::Circle(odd.circle),
        Err(odd) => {
            log::debug!("index of {kernel} is left to depmod because {odd}");
            Came::Left
        }
    }
}

/// What depmod said of itself, and of which file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    /// What stat(2) says of it.
    program: String,
    /// What `depmod --version` printed.
    says: String,
}

/// Which kmod is installed; `None` for one that we were not compared with. It is asked once.
fn installed(layout: &Layout) -> Option<Kmod> {
    let path = find_program("depmod")?;
    let meta = std::fs::metadata(&path).ok()?;
    let times = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
    let program = format!("{} {} {} {times:?}", path.display(), meta.ino(), meta.size());
    let file = layout.depmod_file();
    let asked: Option<Asked> =
        look::read(&file).ok().flatten().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(asked) = asked.filter(|asked| asked.program == program) {
        return Kmod::of(&asked.says);
    }
    let answer = Process::new("depmod").arg("--version").limit(PATIENCE).capture().ok()?;
    if answer.status != 0 {
        // It may be better next time.
        return None;
    }
    let says = String::from_utf8_lossy(&answer.stdout).into_owned();
    let asked = Asked { program, says };
    if let Ok(bytes) = serde_json::to_vec(&asked) {
        let kept =
            std::fs::create_dir_all(layout.state()).is_ok() && atomic::write_unsynced(&file, &bytes).is_ok();
        log::debug!("depmod is {:?}, {}", asked.says, if kept { "noted" } else { "not noted" });
    }
    Kmod::of(&asked.says)
}
