//! What the engine does with archives and packages.

use std::path::Path;

use super::Worker;
use crate::apply::run::Flags;
use crate::apply::tarball::{self, Loaded, Pack, Unpacked};
use crate::cli::engine::{Engine, Need, Options, Target};
use crate::machine::not_of_itself;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{Cell, ModuleId};
use crate::model::request::{Goal, Request};
use crate::model::system::Signature;
use crate::plan::{Action, InitramfsDuty};
use crate::process::{Output, Process};
use crate::tree::state;

impl Worker {
    /// See [`Engine::load`].
    pub(super) fn load_archive(
        &self,
        unpacked: Unpacked,
        id: &ModuleId,
        target: Option<&Target>,
        options: &Options,
    ) -> Result<Loaded> {
        if unpacked.is_nested() {
            not_of_itself(id)?;
        }
        let mut loaded = tarball::load(&self.machine.layout, unpacked, id, options.force)?;
        let source = self.machine.layout.source_link(id);
        let conf = self.conf(&source, Some(id), target, options)?;
        self.adopt(&loaded, options);
        let overrides = self.overrides(options);
        let observer = self.machine.observer(&overrides);
        loaded.signed_by_others =
            loaded.cells.iter().any(|cell| matches!(observer.signature(cell), Signature::Other));
        if !loaded.without_source {
            self.post_add(&conf, id, target, options)?;
        }
        Ok(loaded)
    }

    /// See [`Engine::pack`].
    pub(super) fn make_archive(&self, order: &Pack) -> Result<()> {
        // Whoever may only read the tree may make an archive, too; others see no build half exchanged.
        let _lock = match self.permit(Need::Tree) {
            Ok(()) => Some(self.machine.lock(&self.report)?),
            Err(_) => None,
        };
        tarball::pack(&self.machine.layout, order, &self.report)
    }

    /// See [`Engine::install_package`].
    pub(super) fn install_rpm(&self, file: &Path) -> Result<()> {
        let root = &self.machine.layout.root;
        let mut rpm = Process::new("rpm");
        if !root.is_slash() {
            rpm = rpm.arg("--root").arg(root.dir());
        }
        let shown = file.display();
        let failed = |what: String| Error::new(Kind::RpmFailed, what);
        match rpm.arg("-Uvh").arg(file).run(Output::Inherit) {
            Ok(0) => Ok(()),
            Ok(status) => Err(failed(format!("rpm could not install {shown} (exit status {status})"))
                .hint("its messages are above")),
            Err(error) => Err(failed(format!("{shown} cannot be installed: {error}"))
                .hint("rpm packages are for distributions that use rpm")),
        }
    }

    /// Takes builds out of an archive over, as those that DKMS made are: from now on they are what the
    /// inputs of today give. Where nothing can be said of the inputs (no headers) that is left to
    /// whoever can. Nothing is built.
    fn adopt(&self, loaded: &Loaded, options: &Options) {
        let plan_options = crate::plan::Options {
            depmod: false,
            initramfs: InitramfsDuty::Later,
            heed_failures: true,
            ..crate::plan::Options::default()
        };
        let overrides = self.overrides(options);
        for cell in &loaded.cells {
            let request = Request::Bring {
                module: cell.module.clone(),
                kernel: cell.kernel.clone(),
                arch: cell.arch.clone(),
                to: Goal::Built,
                force: false,
            };
            let (_, plan) = self.machine.plan(&request, &plan_options, &overrides);
            if plan.is_empty() || plan.steps.iter().any(|s| !matches!(s.action, Action::Adopt { .. })) {
                continue;
            }
            let flags = Flags::default();
            let ran = self.machine.run(&request, &plan_options, &overrides, &flags, &self.report);
            let noted = ran.and_then(|_| self.keep_installed(cell, loaded));
            if let Err(error) = noted {
                log::warn!("{error}");
            }
        }
    }

    /// A build that an earlier one made room for may have files of that one installed.
    fn keep_installed(&self, cell: &Cell, loaded: &Loaded) -> Result<()> {
        let Some((_, installed)) = loaded.installed.iter().find(|(known, _)| known == cell) else {
            return Ok(());
        };
        let layout = &self.machine.layout;
        let _lock = self.machine.lock(&self.report)?;
        let Some(mut record) = state::record(layout, cell)? else { return Ok(()) };
        record.installed.clone_from(installed);
        state::save_record(layout, cell, &record)
    }
}
