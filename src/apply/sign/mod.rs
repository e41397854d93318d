//! Signing of built modules by the kernel's own tool, with the machine's key, and checking what it
//! did before anybody sees it.
//!
//! Whether and how is decided by [`crate::kernel::recipe`].

pub mod enrol;
pub mod pair;
mod passphrase;

use std::ffi::OsString;
use std::path::Path;

use crate::elf::check_same_load;
use crate::fs::digest::file_digest;
use crate::fs::regular;
use crate::fs::workbench::Workbench;
use crate::kernel::{Checked, Recipe, Unsigned, check};
use crate::model::settings::Limit;
use crate::process::Process;
use crate::tree::layout::Layout;
use crate::trust::pki::Certificate;

/// Variables: a value, or `None` for one that is removed.
pub type Environment = Vec<(OsString, Option<OsString>)>;

/// What became of the signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    /// Every module is signed with the key of this certificate.
    With {
        /// SHA-256 of the certificate file, in hex.
        certificate: String,
    },
    /// Not signed, because of this, as it is meant to be.
    Not(String),
    /// Not (all) signed although they should be, because of this.
    Failed(String),
}

/// All that signing needs, ready.
#[derive(Debug)]
pub struct Signer {
    recipe: Recipe,
    certificate: Certificate,
    digest: String,
    environment: Environment,
    may_ask: bool,
    /// How long signing one module may take.
    limit: Limit,
    /// What a failure may be due to.
    doubt: Option<String>,
}

/// Why a module bears no new signature. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum NotSigned {
    /// It cannot be read or written.
    #[error("it cannot be read or written: {0}")]
    Disk(std::io::Error),
    /// What the tool said, or what is wrong with what it did.
    #[error("{0}")]
    Tool(String),
}

impl Signer {
    /// Makes the key pair if there is none, and finds the passphrase if the key has one.
    ///
    /// `environment` is that of a build: sign wrappers look at it. With `may_ask` somebody at the
    /// terminal can be asked; without it nothing ever waits for an answer.
    ///
    /// # Errors
    /// Why nothing can be signed.
    pub fn new(
        recipe: Recipe,
        mut environment: Environment,
        may_ask: bool,
        limit: Limit,
    ) -> Result<Self, Unsigned> {
        if recipe.make_pair {
            pair::make(&recipe.pair, may_ask, limit).map_err(Unsigned::fault)?;
        }
        let shown = &recipe.pair.shown.1;
        let path = &recipe.pair.certificate;
        let certificate = Certificate::read(path)
            .map_err(|e| Unsigned::fault(format!("the certificate {shown} cannot be used: {e}")))?;
        let digest = file_digest(path)
            .map_err(|e| Unsigned::fault(format!("the certificate {shown} cannot be read: {e}")))?;
        let mut doubt = None;
        if passphrase::is_missing(&recipe.pair, &environment) {
            match passphrase::ask(&recipe.pair, may_ask && !recipe.tool_is_named) {
                Ok(typed) => environment.push((passphrase::VARIABLE.into(), Some(typed))),
                // It may ask by itself, or somebody else.
                Err(why) if recipe.tool_is_named => doubt = Some(why),
                Err(why) => return Err(Unsigned::fault(why)),
            }
        }
        Ok(Self { recipe, certificate, digest, environment, may_ask, limit, doubt })
    }

    /// SHA-256 of the certificate file, in hex.
    pub fn certificate(&self) -> &str {
        &self.digest
    }

    /// The lines that DKMS prints before a build.
    pub fn prologue(&self, layout: &Layout) -> [String; 3] {
        let [key, certificate] = self.recipe.pair.lines();
        [format!("Sign command: {}", layout.shown(&self.recipe.tool).display()), key, certificate]
    }

    /// Whether signing may ask somebody at the terminal: a token that holds the key, for its PIN.
    pub fn asks(&self) -> bool {
        self.may_ask && self.recipe.pair.is_on_a_token()
    }

    /// Signs one uncompressed module file, and checks the result. When it is not right the file is what it was: the tool
    /// works on a copy.
    ///
    /// # Errors
    /// What the tool said, or what is wrong with what it did.
    pub fn sign(&self, module: &Path) -> Result<(), NotSigned> {
        let cannot = NotSigned::Disk;
        let bad = |why: String| NotSigned::Tool(format!("{} did not sign it: {why}", self.tool()));
        let before = regular::read_module(module).map_err(cannot)?;
        let bench = Workbench::beside(module).map_err(cannot)?;
        let copy = bench.fill().map_err(cannot)?;
        self.run_tool(&copy).map_err(NotSigned::Tool)?;
        let after = regular::read_module(&copy).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => bad("its file is gone".to_owned()),
            _ => cannot(error),
        })?;
        match self.check(&after) {
            Checked::Good => {}
            Checked::Believed(why) | Checked::Unclear(why) => {
                log::debug!("the signature of {} was not checked: {why}", module.display());
            }
            Checked::Bad(why) => return Err(bad(why)),
        }
        check_same_load(&before, &after)
            .map_err(|why| bad(format!("what it left is no whole module: {why}")))?;
        bench.take(&copy, module).map_err(cannot)
    }

    /// How (uncompressed) module bytes are signed now.
    pub fn check(&self, module: &[u8]) -> Checked {
        check(module, &self.certificate, &self.recipe.hash)
    }

    fn run_tool(&self, module: &Path) -> Result<(), String> {
        let recipe = &self.recipe;
        let tool = Process::new(&recipe.tool)
            .arg(&recipe.hash)
            .arg(&recipe.pair.key)
            .arg(&recipe.pair.certificate)
            .arg(module)
            .envs(&self.environment)
            .within(self.limit);
        // A token may ask for its PIN by itself.
        let result = run(&if self.may_ask { tool } else { tool.without_terminal() });
        result.map_err(|said| match &self.doubt {
            Some(doubt) => format!("{said} ({doubt})"),
            None => said,
        })
    }

    fn tool(&self) -> String {
        self.recipe.tool.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// Runs a program for its effect.
///
/// # Errors
/// What it said.
fn run(process: &Process) -> Result<(), String> {
    let got = process.capture().map_err(|e| e.to_string())?;
    if got.status == 0 {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&got.stderr).trim().to_owned();
    let program = process.text().split(' ').next().unwrap_or_default().to_owned();
    Err(format!("{program} failed with exit status {}: {said}", got.status))
}
