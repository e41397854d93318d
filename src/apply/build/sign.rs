//! Signing of built modules by the kernel's own tool, with the machine's key.
//!
//! Whether and how is decided by [`crate::kbuild::recipe`].

use std::path::Path;
use std::sync::Mutex;

use crate::digest::file_digest;
use crate::kbuild::{Recipe, Unsigned};
use crate::layout::Layout;
use crate::process::Process;

/// Where keys are made: one at a time, or two builds would each make a pair.
static KEY_MAKING: Mutex<()> = Mutex::new(());

/// What became of the signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    /// Every module is signed with the key of this certificate.
    With {
        /// SHA-256 of the certificate file, in hex.
        certificate: String,
    },
    /// Not (all) signed, because of this.
    Not(String),
}

impl Recipe {
    /// Makes the key pair if there is none.
    ///
    /// # Errors
    /// Why there is still none.
    pub fn prepare(&self) -> Result<(), Unsigned> {
        self.make_missing_pair().map_err(Unsigned::fault)
    }

    fn make_missing_pair(&self) -> Result<(), String> {
        let _one_at_a_time = KEY_MAKING.lock().unwrap_or_else(|e| e.into_inner());
        if !self.make_pair || (Path::new(&self.key).is_file() && self.certificate.is_file()) {
            return Ok(());
        }
        if self.by_shim {
            // Enrolling asks questions at a terminal; the person does that.
            run(&Process::new("update-secureboot-policy").arg("--new-key").env("SHIM_NOTRIGGER", "y"))?;
            if Path::new(&self.key).is_file() && self.certificate.is_file() {
                return Ok(());
            }
            return Err(format!("update-secureboot-policy made no key {}", self.shown.0));
        }
        self.make_pair_by_openssl()
    }

    /// RSA-2048, self-signed, no passphrase, for code signing: what DKMS makes. Both files appear
    /// complete or not at all.
    fn make_pair_by_openssl(&self) -> Result<(), String> {
        let dir = self.certificate.parent().unwrap_or(Path::new("/"));
        let failed = |what: &str, e: std::io::Error| format!("cannot {what} {}: {e}", dir.display());
        std::fs::create_dir_all(dir).map_err(|e| failed("create", e))?;
        if let Some(dir) = Path::new(&self.key).parent() {
            std::fs::create_dir_all(dir).map_err(|e| failed("create", e))?;
        }
        // mktemp(3) names in the same directory, closed to others while the key is in it.
        let made = tempfile::Builder::new()
            .prefix(".mok-")
            .tempdir_in(dir)
            .map_err(|e| failed("make a directory in", e))?;
        let (key, certificate) = (made.path().join("key"), made.path().join("certificate"));
        let openssl = Process::new("openssl")
            .args(["req", "-new", "-x509", "-nodes", "-days", "36500", "-newkey", "rsa:2048"])
            .args(["-subj", "/CN=DKMS module signing key", "-addext", "extendedKeyUsage=codeSigning"])
            .args(["-outform", "DER", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate);
        run(&openssl)?;
        place(&key, Path::new(&self.key))?;
        place(&certificate, &self.certificate).inspect_err(|_| {
            // A key that nobody can have enrolled is no loss; half a pair would block signing.
            let _ = std::fs::remove_file(&self.key);
        })
    }

    /// The lines that DKMS prints before a build.
    pub fn prologue(&self, layout: &Layout) -> [String; 3] {
        [
            format!("Sign command: {}", layout.shown(&self.tool).display()),
            format!("Signing key: {}", self.shown.0),
            format!("Public certificate (MOK): {}", self.shown.1),
        ]
    }

    /// Signs one uncompressed module file in place. `environment` is that of the build: sign
    /// wrappers look at it.
    ///
    /// # Errors
    /// What the tool said.
    pub fn sign(
        &self,
        module: &Path,
        environment: &[(std::ffi::OsString, Option<std::ffi::OsString>)],
    ) -> Result<(), String> {
        let tool = Process::new(&self.tool).arg(&self.hash).arg(&self.key).arg(&self.certificate).arg(module);
        run(&tool.envs(environment))
    }

    /// SHA-256 of the certificate, in hex.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn certificate_digest(&self) -> std::io::Result<String> {
        file_digest(&self.certificate)
    }
}

/// Gives a finished file its name, which must be free.
fn place(from: &Path, to: &Path) -> Result<(), String> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let linked = std::fs::File::open(from)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::hard_link(from, to))
        .or_else(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => Err(e),
            // Key and certificate may be kept on different file systems.
            _ => {
                let mode = std::fs::metadata(from)?.permissions().mode();
                let mut file = std::fs::File::options().write(true).create_new(true).mode(mode).open(to)?;
                std::io::copy(&mut std::fs::File::open(from)?, &mut file)?;
                file.sync_all()
            }
        });
    linked.map_err(|e| format!("cannot create {}: {e}", to.display()))
}

fn run(process: &Process) -> Result<(), String> {
    let got = process.capture().map_err(|e| e.to_string())?;
    if got.status == 0 {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&got.stderr).trim().to_owned();
    let program = process.text().split(' ').next().unwrap_or_default().to_owned();
    Err(format!("{program} failed with exit status {}: {said}", got.status))
}
