//! Whether and how modules for a kernel are signed. Changes nothing.
//!
//! The order is that of DKMS's checks; the first "no" is the reason that people see. Half a key
//! pair is an error, never completed by overwriting the other half as DKMS does: the half that is
//! there may be enrolled in the firmware.

use std::path::{Path, PathBuf};

use super::kernel_config::KernelConfig;
use crate::chroot;
use crate::conf::model::{Context, Framework};
use crate::digest::file_digest;
use crate::layout::Layout;
use crate::process::find_program;

/// Why modules are not signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    /// The reason, in words that follow "not signed:".
    pub why: String,
    /// True when somebody has to put something right; false when it is meant to be so.
    pub fault: bool,
}

impl Unsigned {
    fn meant(why: impl Into<String>) -> Self {
        Self { why: why.into(), fault: false }
    }

    pub(crate) fn fault(why: impl Into<String>) -> Self {
        Self { why: why.into(), fault: true }
    }
}

/// How modules for one kernel would be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// sign-file or kmodsign.
    pub tool: PathBuf,
    /// The digest that the kernel wants (`sha256`).
    pub hash: String,
    /// The private key: a path, or a `pkcs11:` URI.
    pub key: String,
    /// The certificate (DER).
    pub certificate: PathBuf,
    /// Whether key and certificate are to be made first.
    pub(crate) make_pair: bool,
    pub(crate) by_shim: bool,
    /// Key and certificate as seen from inside the root.
    pub(crate) shown: (String, String),
}

/// Decides whether and how modules are signed. Changes nothing.
///
/// # Errors
/// The reason why not, in words that follow "not signed:".
pub fn recipe(
    layout: &Layout,
    framework: &Framework,
    context: &Context,
    distro: &str,
) -> Result<Recipe, Unsigned> {
    let wish = framework.try_sign_modules.as_deref().unwrap_or_default();
    if wish == "false" {
        return Err(Unsigned::meant("switched off by try_sign_modules in framework.conf"));
    }
    if wish != "true"
        && let Some(why) = chroot::inside(&layout.root)
    {
        return Err(Unsigned::meant(why));
    }
    let config = KernelConfig::read(&context.kernel_config).map_err(|e| {
        let path = layout.shown(&context.kernel_config);
        Unsigned::meant(format!("cannot read the kernel's configuration {}: {e}", path.display()))
    })?;
    let hash = config
        .get("CONFIG_MODULE_SIG_HASH")
        .ok_or_else(|| Unsigned::meant("the kernel was built without support for signed modules"))?
        .to_owned();
    let tool = tool(layout, framework, context, distro).map_err(Unsigned::meant)?;
    let (key, certificate, by_shim) = pair_paths(layout, framework, context, distro);
    let make_pair = match (key.starts_with("pkcs11:"), Path::new(&key).is_file(), certificate.is_file()) {
        (true, _, true) | (false, true, true) => false,
        (true, _, false) => {
            return Err(Unsigned::fault(missing_half(layout, "certificate", &certificate, &key)));
        }
        (false, true, false) => {
            return Err(Unsigned::fault(missing_half(layout, "certificate", &certificate, &key)));
        }
        (false, false, true) => {
            return Err(Unsigned::fault(missing_half(
                layout,
                "key",
                Path::new(&key),
                &certificate.to_string_lossy(),
            )));
        }
        (false, false, false) => true,
    };
    let maker = if by_shim { "update-secureboot-policy" } else { "openssl" };
    if make_pair && find_program(maker).is_none() {
        let why = format!("there is no key, and {maker}, which would make one, is not installed");
        return Err(Unsigned::meant(why));
    }
    let shown = (
        layout.shown(Path::new(&key)).to_string_lossy().into_owned(),
        layout.shown(&certificate).to_string_lossy().into_owned(),
    );
    Ok(Recipe { tool, hash, key, certificate, make_pair, by_shim, shown })
}

/// What a build would be signed with: the digest of the certificate. `None` when it would not be
/// signed, or when the key pair is yet to be made. An input of the fingerprint; take it again after
/// a build, which may have made the pair.
pub fn signing_identity(
    layout: &Layout,
    framework: &Framework,
    context: &Context,
    distro: &str,
) -> Option<String> {
    let recipe = recipe(layout, framework, context, distro).ok()?;
    if recipe.make_pair {
        return None;
    }
    file_digest(&recipe.certificate).ok()
}

fn missing_half(layout: &Layout, half: &str, missing: &Path, other: &str) -> String {
    format!(
        "the {half} {} is missing although {} exists; put it back, or move the other away to get a new pair",
        layout.shown(missing).display(),
        layout.shown(Path::new(other)).display()
    )
}

/// `$kernelver` in a setting, for those who wrote it in single quotes.
fn expand(text: &str, context: &Context) -> String {
    text.replace("${kernelver}", context.kernel.as_str()).replace("$kernelver", context.kernel.as_str())
}

fn tool(layout: &Layout, framework: &Framework, context: &Context, distro: &str) -> Result<PathBuf, String> {
    let kernel = context.kernel.as_str();
    let series = kernel.rsplit_once('.').map_or(kernel, |(series, _)| series);
    let mut candidates: Vec<PathBuf> = Vec::new();
    if let Some(named) = framework.sign_file.as_deref().filter(|text| !text.is_empty()) {
        candidates.push(expand(named, context).into());
    } else {
        if distro.starts_with("debian") {
            candidates.push(format!("/usr/lib/linux-kbuild-{series}/scripts/sign-file").into());
        } else if distro.starts_with("ubuntu") {
            if let Some(path) = find_program("kmodsign").filter(|_| layout.root.is_slash()) {
                return Ok(path);
            }
            candidates.push(format!("/usr/src/linux-headers-{kernel}/scripts/sign-file").into());
        } else if distro.starts_with("gentoo") {
            candidates.push(format!("/usr/src/linux-{kernel}/scripts/sign-file").into());
        }
        candidates.push(layout.install_tree.join(kernel).join("build/scripts/sign-file"));
    }
    let found = candidates.iter().filter_map(|path| layout.root.resolve(path).ok());
    found.map(|path| path.to_string_lossy().into_owned()).find_map(|path| find_program(&path)).ok_or_else(
        || {
            let last = candidates.last().cloned().unwrap_or_default();
            format!("there is no executable {}", last.display())
        },
    )
}

/// Key, certificate, and whether Ubuntu's tool makes them.
fn pair_paths(
    layout: &Layout,
    framework: &Framework,
    context: &Context,
    distro: &str,
) -> (String, PathBuf, bool) {
    let own_key = framework.mok_signing_key.as_deref().filter(|text| !text.is_empty());
    let by_shim = own_key.is_none() && distro.starts_with("ubuntu");
    let (key, certificate) = if by_shim {
        ("/var/lib/shim-signed/mok/MOK.priv", "/var/lib/shim-signed/mok/MOK.der")
    } else {
        ("/var/lib/dkms/mok.key", "/var/lib/dkms/mok.pub")
    };
    let key = own_key.map_or_else(|| key.to_owned(), |text| expand(text, context));
    let key =
        if key.starts_with("pkcs11:") { key } else { layout.root.path(&key).to_string_lossy().into_owned() };
    let certificate = match framework.mok_certificate.as_deref().filter(|text| !text.is_empty()) {
        Some(text) if !by_shim => expand(text, context),
        _ => certificate.to_owned(),
    };
    (key, layout.root.path(certificate), by_shim)
}
