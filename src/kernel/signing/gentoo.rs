//! Gentoo's signing keys: named in make.conf, else the kernel's own.

use std::path::{Path, PathBuf};

use super::KernelFiles;
use super::place::{Found, Maker, kernels_own};
use crate::conf::USUAL_LIMIT;
use crate::conf::evaluation::{self, Question};
use crate::fs::root::Root;
use crate::kernel::KernelConfig;
use crate::model::settings::Settings;

/// Variables of Portage's module eclasses; Portage itself exports them from make.conf.
const KEY: &str = "MODULES_SIGN_KEY";
const CERTIFICATE: &str = "MODULES_SIGN_CERT";

/// make.conf: one file, or a directory of them (portage(5)).
pub(super) fn make_conf(root: &Root) -> Vec<PathBuf> {
    let path = root.path("/etc/portage/make.conf");
    if !path.is_dir() {
        return if path.is_file() { vec![path] } else { Vec::new() };
    }
    let mut files: Vec<PathBuf> = walkdir::WalkDir::new(path)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect();
    files.sort();
    files
}

/// The pair: from the environment (Portage's), make.conf, or the kernel's configuration.
pub(super) fn pair(root: &Root, settings: &Settings, kernel: Option<&KernelFiles<'_>>) -> Option<Found> {
    let (mut key, mut certificate) =
        (settings.modules_sign_key.value.clone(), settings.modules_sign_cert.value.clone());
    if key.is_none() {
        (key, certificate) = from_make_conf(root);
    }
    if let Some(key) = key {
        // One file may have both.
        let certificate = certificate.unwrap_or_else(|| key.clone());
        return Some(((key, certificate), Maker::Openssl));
    }
    let kernel = kernel?;
    let config = KernelConfig::of(kernel.config, kernel.source).ok()?;
    let named = config.get("CONFIG_MODULE_SIG_KEY").filter(|text| !text.is_empty())?;
    Some(kernels_own(root, kernel, named))
}

fn from_make_conf(root: &Root) -> (Option<String>, Option<String>) {
    let files = make_conf(root);
    if files.is_empty() {
        return (None, None);
    }
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let question =
        Question { exported: &[KEY, CERTIFICATE], given: Vec::new(), limit: USUAL_LIMIT, foreign: false };
    let answer =
        evaluation::open(root, &paths).and_then(|sources| evaluation::evaluate(root, &question, &sources));
    match answer {
        Ok(answer) => {
            let value = |name: &str| {
                answer.values.get(name).and_then(|v| v.get(&0)).filter(|v| !v.is_empty()).cloned()
            };
            (value(KEY), value(CERTIFICATE))
        }
        Err(error) => {
            log::warn!("{error}");
            (None, None)
        }
    }
}
