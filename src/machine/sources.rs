//! Module sources that packages bring.

use std::path::Path;

use super::Machine;
use crate::apply::script;
use crate::apply::tree;
use crate::conf::model::Conf;
use crate::conf::{self, Strictness};
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{KernelRelease, ModuleId};
use crate::model::record::Overrides;
use crate::process::{more_time, took_longer};
use crate::progress::Report;
use crate::tree::registry;

impl Machine {
    /// Registers the source in `dir` (a path inside the root) under the name that its dkms.conf has, and
    /// runs POST_ADD. One that is registered stays as it is: that its content changed is seen by whoever
    /// looks at its builds.
    ///
    /// # Errors
    /// When there is no readable dkms.conf, or the directory is not where a module of that name belongs.
    pub fn register(&self, dir: &Path, report: &dyn Report) -> Result<()> {
        let overrides = Overrides::default();
        let (conf, id) = self.read_source(dir)?;
        let _lock = self.lock(report)?;
        if registry::is_added(&self.layout, &id) {
            return Ok(());
        }
        report.line(&format!("Adding {id}"));
        tree::add(&self.layout, &id)?;
        self.post_add(&conf, &id, None, &overrides, report)
    }

    /// The module whose source is in `dir` (a path inside the root).
    ///
    /// # Errors
    /// As [`Self::register`].
    pub fn module_in(&self, dir: &Path) -> Result<ModuleId> {
        self.read_source(dir).map(|(_, id)| id)
    }

    fn read_source(&self, dir: &Path) -> Result<(Conf, ModuleId)> {
        let overrides = Overrides::default();
        let context = self.observer(&overrides).context_for(None, None, &self.arch);
        let file = self.layout.root.path(dir.join("dkms.conf"));
        let conf = conf::load(&self.layout.root, &file, &[], &context, Strictness::Build)?;
        let id = ModuleId::new(conf.package_name.as_str(), conf.package_version.as_str())?;
        if self.layout.source_inside(&id) != dir {
            let text = format!("{}/dkms.conf is for {id}: not registered", dir.display());
            let place = self.layout.source_inside(&id);
            return Err(Error::new(Kind::ConfInvalid, text)
                .hint(format!("its package should install it in {}", place.display())));
        }
        Ok((conf, id))
    }

    /// Runs POST_ADD of a source that was just registered.
    ///
    /// # Errors
    /// Its exit status.
    pub fn post_add(
        &self,
        conf: &Conf,
        id: &ModuleId,
        kernel: Option<&KernelRelease>,
        overrides: &Overrides,
        report: &dyn Report,
    ) -> Result<()> {
        let Some(text) = &conf.scripts.post_add else { return Ok(()) };
        let context = self.observer(overrides).context_for(Some(id), kernel, &self.arch);
        let source = self.layout.source(id);
        match script::run(&self.layout, &self.settings, id, ("POST_ADD", text), &source, &context, report) {
            Ok(0) => Ok(()),
            Err(limit) => {
                let text = format!("{id} is added, but its POST_ADD script {}", took_longer(&limit));
                Err(Error::new(Kind::Script(1), text).hint(more_time(&limit)))
            }
            Ok(status) => {
                let kind = u8::try_from(status).map_or(Kind::Io, Kind::Script);
                let text = format!("{id} is added, but its POST_ADD script ended with status {status}");
                Err(Error::new(kind, text))
            }
        }
    }
}
