//! `dkms-hook incoming --json`.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::ids::KernelRelease;
use crate::packages::Transaction;
use crate::report::incoming as look;

/// What a transaction means.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Incoming<'a> {
    format: u32,
    kernels: Vec<Kernel<'a>>,
    leaving: Vec<Leaving<'a>>,
    sources: &'a BTreeSet<String>,
    new_sources: Vec<Source<'a>>,
    compilers: &'a BTreeSet<String>,
    unseen: &'a BTreeSet<String>,
}

/// [`look::Kernel`].
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Kernel<'a> {
    release: &'a str,
    comes: bool,
    here: bool,
    headers: Headers,
    headers_package: &'a str,
    modules: &'a [String],
    earlier: Vec<Earlier<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    news: Option<&'a str>,
}

/// An earlier build.
#[derive(Serialize)]
struct Earlier<'a> {
    module: &'a str,
    milliseconds: u64,
}

/// [`look::Headers`].
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Headers {
    Coming,
    Here,
    Missing,
    Unknown,
}

/// [`look::Leaving`].
#[derive(Serialize)]
struct Leaving<'a> {
    release: &'a str,
    modules: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    news: Option<String>,
}

/// [`look::Source`].
#[derive(Serialize)]
struct Source<'a> {
    directory: &'a str,
    kernels: Vec<&'a str>,
    waiting: Vec<Waiting<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    news: Option<String>,
}

/// A kernel without headers.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Waiting<'a> {
    release: &'a str,
    headers_package: &'a str,
}

/// What comes and goes, what will be built and said, and what of the packages could not be looked into.
pub fn incoming<'a>(look: &'a look::Look, transaction: &'a Transaction) -> Incoming<'a> {
    Incoming {
        format: super::FORMAT,
        kernels: look.kernels.iter().map(Into::into).collect(),
        leaving: look.leaving.iter().map(Into::into).collect(),
        sources: &transaction.sources,
        new_sources: look.sources.iter().map(Into::into).collect(),
        compilers: &transaction.compilers,
        unseen: &transaction.unseen,
    }
}

impl<'a> From<&'a look::Kernel> for Kernel<'a> {
    fn from(kernel: &'a look::Kernel) -> Self {
        let earlier = kernel.took.iter().map(|(module, took)| Earlier {
            module,
            milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
        Self {
            release: kernel.release.as_str(),
            comes: kernel.comes,
            here: kernel.here,
            headers: match kernel.headers {
                look::Headers::Coming => Headers::Coming,
                look::Headers::Here => Headers::Here,
                look::Headers::Missing => Headers::Missing,
                look::Headers::Unknown => Headers::Unknown,
            },
            headers_package: &kernel.headers_package,
            modules: &kernel.modules,
            earlier: earlier.collect(),
            warning: kernel.warning.as_deref(),
            news: kernel.news.as_deref(),
        }
    }
}

impl<'a> From<&'a look::Leaving> for Leaving<'a> {
    fn from(leaving: &'a look::Leaving) -> Self {
        Self { release: leaving.release.as_str(), modules: &leaving.modules, news: leaving.news() }
    }
}

impl<'a> From<&'a look::Source> for Source<'a> {
    fn from(source: &'a look::Source) -> Self {
        let waiting = source
            .waiting
            .iter()
            .map(|(release, package)| Waiting { release: release.as_str(), headers_package: package });
        Self {
            directory: &source.directory,
            kernels: source.kernels.iter().map(KernelRelease::as_str).collect(),
            waiting: waiting.collect(),
            warning: source.warning(),
            news: source.news(),
        }
    }
}
