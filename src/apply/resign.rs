//! A build whose modules get a new signature, without being made again.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use crate::apply::build::compress::pack_file;
use crate::apply::build::last_look;
use crate::apply::build::publish::{Staging, remove_leftovers};
use crate::apply::environment::environment;
use crate::apply::sign::Signer;
use crate::conf::model::Context;
use crate::elf::{Compression, without_signature};
use crate::fs::look::read_dir;
use crate::fs::regular;
use crate::kernel::{KernelFiles, recipe};
use crate::model::error::{Error, Kind, Result};
use crate::model::ids::Cell;
use crate::model::settings::Settings;
use crate::progress::{Aside, Report};
use crate::tree::layout::Layout;
use crate::tree::state;

/// Everything that it depends on.
#[derive(Clone, Copy)]
pub struct Resigning<'a> {
    /// Where the trees are.
    pub layout: &'a Layout,
    /// The build.
    pub cell: &'a Cell,
    /// The kernel's files.
    pub context: &'a Context,
    /// framework.conf.
    pub settings: &'a Settings,
    /// The distribution as DKMS names it.
    pub distro: &'a str,
    /// Somebody is at the terminal and may be asked for a passphrase.
    pub may_ask: bool,
    /// Where progress goes.
    pub report: &'a dyn Report,
}

/// A build with new signatures that nobody sees yet.
#[derive(Debug)]
pub struct Resigned {
    staging: Staging,
    /// How many modules got a new one.
    signed: usize,
    /// SHA-256 of the certificate file, in hex.
    certificate: String,
}

impl Resigning<'_> {
    /// Gets ready to sign, and removes what killed runs left of this cell.
    ///
    /// # Errors
    /// When nothing can be signed.
    pub fn prepare(&self) -> Result<Signer> {
        let signer = self.signer()?;
        remove_leftovers(self.layout, self.cell).map_err(|e| self.io("clean up", &e))?;
        Ok(signer)
    }

    /// Signs what does not bear the present key's signature, in a copy of the build.
    ///
    /// # Errors
    /// When a module cannot be signed.
    pub fn work(&self, signer: &Signer) -> Result<Resigned> {
        let mut staging = Staging::copy_of(self.layout, self.cell).map_err(|e| self.io("copy", &e))?;
        let certificate = signer.certificate().to_owned();
        let mut signed = 0;
        for entry in read_dir(&staging.modules()) {
            if let Some(kind) = Compression::of(&entry.path()) {
                signed += usize::from(self.sign(signer, &entry.path(), kind)?);
            }
        }
        if signed > 0 {
            let record = self.layout.record(self.cell);
            let copy = staging.dir().join(record.file_name().unwrap_or_default());
            self.write_down(&copy, &certificate)?;
            staging.sync().map_err(|e| self.io("replace", &e))?;
        }
        Ok(Resigned { staging, signed, certificate })
    }

    /// Puts the build with the new signatures in the place of the old one, in a single step.
    ///
    /// # Errors
    /// When that cannot be done; the build is then as it was.
    pub fn commit(&self, resigned: Resigned) -> Result<()> {
        let Resigned { staging, signed, certificate } = resigned;
        if signed == 0 {
            return self.write_down(&self.layout.record(self.cell), &certificate);
        }
        let published = staging.publish(self.layout, self.cell).map_err(|e| self.io("replace", &e))?;
        if let Err(error) = published.keep() {
            log::warn!("a part of the earlier build could not be removed: {error}");
        }
        Ok(())
    }

    /// Writes down in a record, if there is one, which key it was.
    fn write_down(&self, path: &Path, certificate: &str) -> Result<()> {
        let Some(mut record) = state::record_at(self.layout, path)? else { return Ok(()) };
        Arc::make_mut(&mut record.inputs).signing = Some(certificate.to_owned());
        // The key may be younger than the stamp.
        record.stamp.clear();
        state::save_record_at(path, &record)
    }

    fn io(&self, doing: &str, error: &std::io::Error) -> Error {
        Error::io(doing, &self.layout.shown(&self.layout.cell(self.cell)), error)
    }

    fn signer(&self) -> Result<Signer> {
        let kernel = KernelFiles::of(&self.cell.kernel, self.context);
        let recipe = recipe(self.layout, self.settings, &kernel, self.distro);
        let environment =
            environment(self.layout, self.settings.build_environment.as_deref(), self.cell, Vec::new())?;
        // For a passphrase.
        let _asking = self.may_ask.then(|| Aside::begin(self.report));
        let limit = *self.settings.limits.tool;
        let signer = recipe.and_then(|recipe| Signer::new(recipe, environment, self.may_ask, limit));
        signer.map_err(|unsigned| self.failed(&unsigned.why))
    }

    /// Signs one module file; false when it need not be.
    fn sign(&self, signer: &Signer, path: &Path, kind: Compression) -> Result<bool> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let io = |e: std::io::Error| self.failed(&format!("{name}: {e}"));
        let bytes = regular::read_module(path).and_then(|bytes| kind.unpack(bytes)).map_err(io)?;
        if signer.check(&bytes).is_ours() {
            return Ok(false);
        }
        let stem = name.strip_suffix(kind.suffix()).unwrap_or(&name);
        let plain = path.with_file_name(format!("{stem}.ko"));
        let unsigned = without_signature(&bytes);
        regular::write(&plain, unsigned).map_err(io)?;
        std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o644)).map_err(io)?;
        self.report.line(&format!("Signing module {stem}.ko"));
        let _asking = signer.asks().then(|| Aside::begin(self.report));
        signer.sign(&plain).map_err(|why| self.failed(&format!("{stem}.ko: {why}")))?;
        let mut warnings = Vec::new();
        let packed = pack_file(&plain, kind, self.settings, &mut warnings).map_err(io)?;
        last_look::finished(&packed, kind, unsigned, true)
            .map_err(|why| self.failed(&format!("{name}: it is no whole module: {why}")))?;
        for warning in warnings {
            self.report.warning(&warning);
        }
        Ok(true)
    }

    fn failed(&self, why: &str) -> Error {
        let Cell { module, kernel, .. } = self.cell;
        let text = format!("{module} for {kernel} could not be signed with the current key: {why}");
        Error::new(Kind::NotSigned, text).hint("the previous signature was kept")
    }
}
