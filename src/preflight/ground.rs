//! Where an attempt is made: the machine as it will be, seen by nobody else.
//!
//! What is about to come lies in a private directory that stands for `/`. In a mount namespace of its own, its trees
//! are laid over those of the machine, and so is an empty directory over the module tree: builds see everything in its
//! final place, and what they leave is gone afterwards. So the fingerprint of a build is that of the build that will be
//! made later, and where the cache of builds is the real one, that build need not be made again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::statvfs::statvfs;

use super::place::Place;
use crate::apply::tree;
use crate::machine::Machine;
use crate::model::error::Error;
use crate::model::ids::{KernelRelease, ModuleId};
use crate::model::request::Wanted;
use crate::process::overlay::{self, Layer, Refused};
use crate::progress::{OnlyTasks, Report};
use crate::report::fits::Answer;
use crate::tree::lock::Lock;
use crate::tree::registry;

/// Why nothing can be tried.
#[derive(Debug, thiserror::Error)]
pub enum Hindrance {
    /// Another run is at work, or something of ours cannot be read or written.
    #[error("{0}")]
    Ours(#[from] Error),
    /// The private place cannot be made or filled.
    #[error("cannot prepare {}: {error}", .path.display())]
    Place {
        /// What could not be made.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is no view of the machine as it will be.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// Something else, in words that follow "because".
    #[error("{0}")]
    Other(String),
}

/// What an attempt is about.
#[derive(Debug, Clone, Default)]
pub(super) struct Attempt {
    /// The kernels.
    pub kernels: Vec<KernelRelease>,
    /// These modules; none means what a run would build.
    pub modules: Vec<Wanted>,
    /// Sources that come: directories of `/usr/src`.
    pub sources: Vec<PathBuf>,
    /// Good builds are kept in the cache of builds.
    pub keeps: bool,
}

/// The place of one attempt. While there is one, nobody else changes the module tree.
pub(super) struct Ground<'m> {
    machine: &'m Machine,
    place: Place,
    report: &'m dyn Report,
    _lock: Lock,
}

impl<'m> Ground<'m> {
    /// Gets ready for an attempt.
    ///
    /// # Errors
    /// What is in the way. Nothing is left then.
    pub(super) fn new(machine: &'m Machine, report: &'m dyn Report) -> Result<Self, Hindrance> {
        let lock = machine.lock(report)?;
        if lock.is_nested() {
            return Err(Hindrance::Other(
                "a run of dkms-hook is under way that this is a part of".to_owned(),
            ));
        }
        let mut first = None;
        for dir in machine.layout.preflight().into_iter().filter(|dir| dir.parent().is_some_and(Path::is_dir))
        {
            match Self::prepare(&dir) {
                Ok(place) => return Ok(Self { machine, place, report, _lock: lock }),
                Err(hindrance) => drop(first.get_or_insert(hindrance)),
            }
        }
        Err(first.unwrap_or_else(|| Hindrance::Other("there is no directory to work in".to_owned())))
    }

    /// A place that overlays can write to.
    fn prepare(dir: &Path) -> Result<Place, Hindrance> {
        let failed = |error| Hindrance::Place { path: dir.to_path_buf(), error };
        let place = Place::new(dir).map_err(failed)?;
        let trial = place.make("try").map_err(failed)?;
        overlay::can_lay(&trial)?;
        Ok(place)
    }

    /// The place cannot be made as it should be.
    pub(super) fn failed(&self, error: io::Error) -> Hindrance {
        Hindrance::Place { path: self.place.path().to_path_buf(), error }
    }

    /// Bytes that are free there.
    pub(super) fn free(&self) -> Option<u64> {
        let disk = statvfs(self.place.path()).ok()?;
        Some(disk.blocks_available().saturating_mul(disk.fragment_size()))
    }

    /// The directory that stands for `/`: what is to come goes there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn tree(&self) -> io::Result<PathBuf> {
        self.place.make("tree")
    }

    /// A directory that is to come, by its path from inside the root.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn make(&self, inside: &Path) -> io::Result<PathBuf> {
        self.place.make(Path::new("tree").join(relative(inside)))
    }

    /// Makes the attempt.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn attempt(&self, attempt: &Attempt) -> Result<Vec<Answer>, Hindrance> {
        let layout = &self.machine.layout;
        let layers = self.layers().map_err(|error| self.failed(error))?;
        let mut kept = Vec::new();
        if attempt.keeps && self.machine.settings.build_cache.0 > 0 {
            let cache = layout.build_cache();
            fs::create_dir_all(&cache).map_err(|error| Hindrance::Place { path: cache.clone(), error })?;
            kept.push(cache);
        }
        let answers = overlay::within(&layers, &kept, || self.inside(attempt))?;
        Ok(answers?)
    }

    /// What is done where everything is in its final place.
    fn inside(&self, attempt: &Attempt) -> Result<Vec<Answer>, Error> {
        // Nothing that was remembered of the machine as it is counts here.
        let machine =
            Machine { memory: Arc::default(), endless: Arc::default(), anew: true, ..self.machine.clone() };
        let layout = &machine.layout;
        // That of the machine is ours already, and says so.
        let lock = layout.state().join("lock");
        let _ = fs::remove_file(&lock);
        let tasks = OnlyTasks::to(self.report);
        let _lock = machine.lock(&tasks)?;
        for dir in &attempt.sources {
            if let Some(id) = module_in(&machine, dir).filter(|id| !registry::is_added(layout, id)) {
                tree::add(layout, &id)?;
            }
        }
        for kernel in &attempt.kernels {
            let dir = layout.kernel(kernel).join("kernel");
            fs::create_dir_all(&dir).map_err(|e| Error::io("create", &dir, &e))?;
        }
        let answers = machine.try_builds(&attempt.kernels, &attempt.modules, &tasks);
        tasks.said().iter().for_each(|line| log::info!("{line}"));
        Ok(answers)
    }

    /// What is laid over what.
    fn layers(&self) -> io::Result<Vec<Layer>> {
        let layout = &self.machine.layout;
        let tree = self.tree()?;
        self.follow_links(&tree)?;
        let mut layers: Vec<Layer> = Vec::new();
        let mut wanted = vec![layout.source_tree.clone(), layout.install_tree.clone()];
        // Programs that headers come with, such as Debian's linux-kbuild.
        let programs = Path::new("/usr/lib");
        if entries(&tree.join("usr/lib")).any(|name| name != "modules") {
            wanted.push(programs.to_path_buf());
        }
        let mut places: Vec<PathBuf> = Vec::new();
        for inside in wanted {
            // Where nothing was installed yet, it is a part of what is there.
            let mut there = inside.ancestors().filter(|dir| layout.root.is_dir(dir));
            let there = there.next().unwrap_or(Path::new("/"));
            places.push(layout.root.resolve(there)?);
        }
        places.sort();
        places.dedup();
        // One that is within another is a part of that one.
        let outer: Vec<PathBuf> = places
            .iter()
            .filter(|place| !places.iter().any(|other| other != *place && place.starts_with(other)))
            .cloned()
            .collect();
        for (number, at) in outer.into_iter().enumerate() {
            let over = self.place.make(Path::new("tree").join(relative(&layout.root.inside(&at))))?;
            layers.push(Layer { over, work: self.place.make(format!("work/{number}"))?, at });
        }
        let at = layout.tree();
        layers.push(Layer { over: self.place.make("dkms")?, work: self.place.make("work/dkms")?, at });
        Ok(layers)
    }

    /// Packages name `/lib/modules` on machines where `/lib` is a link.
    fn follow_links(&self, tree: &Path) -> io::Result<()> {
        let lib = tree.join("lib");
        let is_dir = |path: &Path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
        if !is_dir(&lib) || is_dir(&self.machine.layout.root.path("/lib")) {
            return Ok(());
        }
        self.place.make("tree/usr/lib")?;
        merge(&lib, &tree.join("usr/lib"))
    }
}

/// Moves what is in a directory into another one. What is there already stays.
fn merge(from: &Path, into: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = into.join(entry.file_name());
        match fs::symlink_metadata(&to) {
            Ok(meta) if meta.is_dir() && entry.file_type()?.is_dir() => merge(&entry.path(), &to)?,
            Ok(_) => {}
            Err(_) => fs::rename(entry.path(), &to)?,
        }
    }
    Ok(())
}

fn entries(dir: &Path) -> impl Iterator<Item = std::ffi::OsString> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name())
}

fn relative(inside: &Path) -> &Path {
    inside.strip_prefix("/").unwrap_or(inside)
}

/// The module whose source is in a directory, if it is where it belongs.
fn module_in(machine: &Machine, dir: &Path) -> Option<ModuleId> {
    machine.module_in(dir).inspect_err(|error| log::info!("{error}")).ok()
}
