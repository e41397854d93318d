//! Whether and how modules for a kernel are signed, and whether a signature is right. Changes
//! nothing.
//!
//! The order is that of DKMS's checks; the first "no" is the reason that people see. Half a key
//! pair is an error, never completed by overwriting the other half as DKMS does: the half that is
//! there may be enrolled in the firmware.

mod bears;
mod gentoo;
mod judge;
mod live;
mod pair;
mod parameters;
mod place;
mod tool;
mod verdict;
mod verify;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

pub use judge::{Judge, KernelJudge};
pub use pair::{Pair, PairState};
pub use verdict::{Answer, Boot, Enforcer, Missing, NotKnown, Refusal, Verdict};
pub use verify::{Checked, check, check_file};

use verdict::digest_to_sign_with;

use super::kernel_config::KernelConfig;
use crate::conf::model::Context;
use crate::fs::digest::file_digest;
use crate::model::ids::KernelRelease;
use crate::model::settings::Settings;
use crate::process::chroot;
use crate::process::{find_program, not_found};
use crate::settings;
use crate::tree::layout::Layout;

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

/// A kernel, as far as signing asks for it.
#[derive(Debug, Clone, Copy)]
pub struct KernelFiles<'a> {
    /// Its release.
    pub release: &'a KernelRelease,
    /// Its headers.
    pub source: &'a Path,
    /// Its configuration.
    pub config: &'a Path,
}

impl<'a> KernelFiles<'a> {
    /// Those of a kernel that a conf is read for.
    pub fn of(release: &'a KernelRelease, context: &'a Context) -> Self {
        Self { release, source: &context.kernel_source_dir, config: &context.kernel_config }
    }
}

impl KernelFiles<'_> {
    /// `$kernelver` in a setting, for those who wrote it in single quotes.
    fn expand(&self, text: &str) -> String {
        let release = self.release.as_str();
        text.replace("${kernelver}", release).replace("$kernelver", release)
    }
}

/// How modules for one kernel would be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// sign-file, kmodsign, or what framework.conf names.
    pub tool: PathBuf,
    /// framework.conf names it: it may be anything, and get at a locked key in ways of its own.
    pub tool_is_named: bool,
    /// The digest to sign with (`sha256`): the kernel's own, unless it is not built in.
    pub hash: String,
    /// Key and certificate.
    pub pair: Pair,
    /// Whether they are to be made first.
    pub(crate) make_pair: bool,
}

/// Decides whether and how modules are signed. Changes nothing.
///
/// # Errors
/// The reason why not, in words that follow "not signed:".
pub fn recipe(
    layout: &Layout,
    settings: &Settings,
    kernel: &KernelFiles<'_>,
    distro: &str,
) -> Result<Recipe, Unsigned> {
    let settings = settings_for(layout, settings, kernel.release)?;
    let wish = settings.try_sign_modules.as_deref().unwrap_or_default();
    if wish == "false" {
        return Err(Unsigned::meant("switched off by try_sign_modules in framework.conf"));
    }
    if wish != "true"
        && let Some(why) = chroot::inside(&layout.root)
    {
        return Err(Unsigned::meant(why));
    }
    let config = KernelConfig::of(kernel.config, kernel.source).map_err(|e| {
        let path = layout.shown(kernel.config);
        Unsigned::meant(format!("cannot read the kernel's configuration {}: {e}", path.display()))
    })?;
    let hash = digest_to_sign_with(&config)
        .ok_or_else(|| Unsigned::meant("the kernel was built without support for signed modules"))?;
    let tool = tool::find(layout, &settings, kernel, distro).map_err(Unsigned::meant)?;
    let pair = Pair::of(layout, &settings, Some(kernel), distro);
    let make_pair = match pair.state(layout) {
        PairState::There => false,
        PairState::Broken(why) => return Err(Unsigned::fault(why)),
        PairState::Missing => {
            let maker = pair.maker.program();
            if find_program(maker).is_none() {
                let why = format!("there is no key, and no program to create one: {}", not_found(maker));
                return Err(Unsigned::meant(why));
            }
            true
        }
    };
    let tool_is_named = settings.sign_file.as_ref().is_some_and(|text| !text.is_empty());
    Ok(Recipe { tool, tool_is_named, hash, pair, make_pair })
}

/// The settings for one kernel.
fn settings_for<'a>(
    layout: &Layout,
    settings: &'a Settings,
    kernel: &KernelRelease,
) -> Result<Cow<'a, Settings>, Unsigned> {
    settings::for_kernel(layout, settings, kernel).map_err(|e| Unsigned::fault(e.to_string()))
}

/// Key and certificate for a kernel, or for any when none is named, whether or not anything is
/// signed with them.
///
/// # Errors
/// When framework.conf cannot be read for this kernel.
pub fn pair(
    layout: &Layout,
    settings: &Settings,
    kernel: Option<&KernelFiles<'_>>,
    distro: &str,
) -> Result<Pair, Unsigned> {
    match kernel {
        Some(files) => {
            let settings = settings_for(layout, settings, files.release)?;
            Ok(Pair::of(layout, &settings, kernel, distro))
        }
        None => Ok(Pair::of(layout, settings, None, distro)),
    }
}

/// What a build would be signed with: the digest of the certificate. `None` when it would not be
/// signed, or when the key pair is yet to be made. An input of the fingerprint; take it again after
/// a build, which may have made the pair.
pub fn signing_identity(
    layout: &Layout,
    settings: &Settings,
    kernel: &KernelFiles<'_>,
    distro: &str,
) -> Option<String> {
    let recipe = recipe(layout, settings, kernel, distro).ok()?;
    if recipe.make_pair {
        return None;
    }
    file_digest(&recipe.pair.certificate).ok()
}

/// The files that [`signing_identity`] hangs on, beside framework.conf and the kernel's
/// configuration; some may be missing.
pub fn signing_files(
    layout: &Layout,
    settings: &Settings,
    kernel: &KernelFiles<'_>,
    distro: &str,
) -> Vec<PathBuf> {
    let mut files = Vec::new();
    if distro.starts_with("gentoo") {
        files.extend(gentoo::make_conf(&layout.root));
    }
    if let Ok(pair) = pair(layout, settings, Some(kernel), distro) {
        files.extend(pair.key_file());
        files.push(pair.certificate);
    }
    files
}
