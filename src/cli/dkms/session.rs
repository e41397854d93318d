//! What the actions share: which kernels, which module, and how an outcome is told.

use super::args::Invocation;
use crate::cli::engine::{Engine, Need, Outcome, Target};
use crate::cli::screen::Screen;
use crate::model::blind::Blind;
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::{Arch, Cell, KernelRelease, ModuleId, ModuleName};
use crate::model::request::{Goal, Request};
use crate::model::system::Source;
use crate::plan::{Note, Subject, other_architecture};
use crate::tree::{notes, registry};

/// One command while it is carried out.
pub(super) struct Session<'s, 'w> {
    pub engine: &'s mut dyn Engine,
    pub asked: &'s Invocation,
    pub screen: &'s mut Screen<'w>,
}

impl Session<'_, '_> {
    /// The kernels asked for, or the default one; each once.
    pub fn targets(&mut self) -> Result<Vec<Target>> {
        let mut targets = Vec::new();
        let kernels = match self.named_kernels()? {
            named if named.is_empty() => vec![self.default_kernel()?],
            named => named,
        };
        for (i, kernel) in kernels.into_iter().enumerate() {
            let arch = match self.asked.arches.as_slice() {
                [] => self.engine.arch(&kernel)?,
                [one] => Arch::new(one.as_str())?,
                many => Arch::new(many.get(i).map_or("", String::as_str))?,
            };
            let target = Target { kernel, arch };
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        Ok(targets)
    }

    /// As [`Self::targets`] where any kernel will do, or none: a conf is read for it.
    pub fn some_target(&mut self) -> Result<Option<Target>> {
        if self.asked.kernels.is_empty() && self.quiet_default().is_none() {
            return Ok(None);
        }
        if !self.asked.kernels.is_empty() {
            return Ok(self.targets()?.into_iter().next());
        }
        let Some(kernel) = self.quiet_default() else { return Ok(None) };
        let arch = match self.asked.arches.first() {
            Some(arch) => Arch::new(arch.as_str())?,
            None => self.engine.arch(&kernel)?,
        };
        Ok(Some(Target { kernel, arch }))
    }

    /// An error where a target is of another architecture than what is built here.
    pub fn own_architecture(&self, target: &Target) -> Result<()> {
        let own = self.engine.arch(&target.kernel)?;
        if target.arch == own { Ok(()) } else { Err(other_architecture(&target.arch, Some(&own))) }
    }

    fn named_kernels(&self) -> Result<Vec<KernelRelease>> {
        let names = self.asked.kernels.iter();
        names.map(|name| KernelRelease::new(name.as_str()).map_err(Error::from)).collect()
    }

    /// The running kernel if it is one of this root.
    fn running_here(&self) -> Option<KernelRelease> {
        self.engine.running_kernel().filter(|k| self.engine.layout().kernel(k).is_dir())
    }

    fn quiet_default(&self) -> Option<KernelRelease> {
        self.running_here().or_else(|| self.engine.kernels_with_headers().pop())
    }

    fn default_kernel(&mut self) -> Result<KernelRelease> {
        if let Some(running) = self.running_here() {
            return Ok(running);
        }
        let Some(newest) = self.engine.kernels_with_headers().pop() else {
            let tree = self.engine.layout().install_tree.display();
            return Err(Error::new(
                Kind::HeadersMissing,
                format!("no kernel was given, and no kernel with headers is in {tree}"),
            )
            .hint("install the headers of a kernel, or name a kernel with -k; `dkms-hook status` tells what each \
                   kernel lacks"));
        };
        self.screen.line(format_args!(
            "Using kernel {newest}, the newest one with headers: the running kernel is not installed in \
             this system."
        ));
        Ok(newest)
    }

    /// The module version asked for.
    pub fn module(&self) -> Result<ModuleId> {
        let named = self.named_module();
        let Some(path) = &self.asked.useless_path else { return named };
        // What DKMS makes of such a word is a module whose source is nowhere, or half a name.
        let kind = named.err().map_or(Kind::SourceMissing, |error| error.kind);
        let shown = path.display();
        Err(match path.is_dir() {
            true => Error::new(kind, format!("the directory {shown} has no dkms.conf"))
                .hint("give the directory of a module source with its dkms.conf, or MODULE/VERSION"),
            false => Error::new(kind, format!("there is no {shown}"))
                .hint("give the directory of a module source, an archive of one, or MODULE/VERSION"),
        })
    }

    fn named_module(&self) -> Result<ModuleId> {
        let (module, version) = (self.asked.module.as_deref(), self.asked.version.as_deref());
        let word = self.asked.action.map_or("this", |action| action.word());
        match (module, version) {
            (Some(module), Some(version)) => {
                ModuleId::new(module, version).map_err(|bad| Error::new(Kind::Misuse(1), bad.to_string()))
            }
            (Some(module), None) => {
                let error = Error::new(Kind::Misuse(1), format!("{word} needs the version of {module}, too"));
                let known = ModuleName::new(module)
                    .map(|name| registry::versions(self.engine.layout(), &name))
                    .unwrap_or_default();
                Err(match known.as_slice() {
                    [] => error.hint(format!("write it as {module}/VERSION")),
                    known => {
                        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
                        error.hint(format!("known here: {}", known.join(", ")))
                    }
                })
            }
            // What is left of an absolute path that is no module source: before its first slash
            // there is no name.
            (None, Some(rest)) if rest.contains('/') => {
                Err(Error::new(Kind::Misuse(1), format!("/{rest} is not a directory with a dkms.conf"))
                    .hint("give the directory of a module source, or MODULE/VERSION"))
            }
            _ => Err(Error::new(Kind::Misuse(1), format!("{word} needs a module and its version"))
                .hint("write them as MODULE/VERSION; `dkms status` lists the known ones")),
        }
    }

    /// The module version asked for, which must be registered and usable.
    pub fn registered_module(&self) -> Result<ModuleId> {
        let id = self.module()?;
        match registry::source(self.engine.layout(), &id) {
            Some(Source::Added) => Ok(id),
            Some(Source::Dangling(_)) => Err(broken(self.engine, &id)),
            Some(Source::Blind(blind)) => Err(unseen(&id, blind)),
            None | Some(Source::BinariesOnly) => {
                Err(Error::new(Kind::NotRegistered, format!("{id} is not in the DKMS tree"))
                    .hint("`dkms status` lists the modules there; `dkms add` registers a source"))
            }
        }
    }

    /// As [`Self::registered_module`], for a command that takes it away. Where that was done by one which was cut off,
    /// what it left to be done is done.
    pub fn module_to_take_away(&mut self) -> Result<ModuleId> {
        let found = self.registered_module();
        if let Err(Error { kind: Kind::NotRegistered, .. }) = &found
            && let Ok(id) = self.module()
            && self.engine.permit(Need::Tree).is_ok()
        {
            self.finish_cut_off(&id, &[]);
        }
        found
    }

    /// Has index and initramfs made of kernels that a command left due which was cut off: the same command may find
    /// nothing to do for them. `but` are those that were asked about.
    pub fn finish_cut_off(&mut self, id: &ModuleId, but: &[Target]) {
        for kernel in notes::kernels_with_duties(self.engine.layout()) {
            let named = &self.asked.kernels;
            let meant = named.is_empty() || named.iter().any(|name| name == kernel.as_str());
            let Ok(arch) = self.engine.arch(&kernel) else { continue };
            if !meant || but.iter().any(|target| target.kernel == kernel) {
                continue;
            }
            // There is nothing of it to be uninstalled.
            let request =
                Request::Bring { module: id.clone(), kernel, arch, to: Goal::Uninstalled, force: false };
            let outcome = self.engine.run(&request, &self.asked.options);
            for failure in outcome.failures {
                if matches!(failure.error.kind, Kind::DepmodFailed | Kind::InitramfsFailed) {
                    self.screen.error(&failure.error);
                }
            }
        }
    }

    /// Runs one request and tells what went wrong.
    pub fn carry_out(&mut self, request: &Request) -> Outcome {
        let outcome = self.engine.run(request, &self.asked.options);
        for failure in &outcome.failures {
            self.screen.error(&failure.error);
        }
        for (cell, reason) in &outcome.excluded {
            self.screen.warning(format_args!(
                "{} is not built for kernel {} because {reason}.",
                cell.module, cell.kernel
            ));
        }
        outcome
    }
}

/// The error for an entry whose source is gone.
pub(super) fn broken(engine: &dyn Engine, id: &ModuleId) -> Error {
    let layout = engine.layout();
    let (link, source) = (layout.shown(&layout.source_link(id)), layout.source_inside(id));
    Error::new(
        Kind::ModuleBroken,
        format!("{id} is broken: {} does not point to a module source", link.display()),
    )
    .hint(format!(
        "install the source in {} again and run `dkms add {id}`, or delete {}",
        source.display(),
        layout.shown(&layout.version(id)).display()
    ))
}

/// The error for an entry that could not be looked at.
pub(super) fn unseen(id: &ModuleId, blind: Blind) -> Error {
    let note = Note::Blind { about: Subject::Module { module: id.clone() }, blind };
    note.error().unwrap_or_else(|| Error::new(Kind::Unseen, note.text()))
}

/// `kernel k (a)`.
pub(super) fn shown(cell: &Cell) -> String {
    format!("kernel {} ({})", cell.kernel, cell.arch)
}
