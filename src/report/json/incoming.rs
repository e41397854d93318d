//! `dkms-hook incoming --json`.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::report::incoming as look;

/// What a transaction means.
#[derive(Serialize)]
pub struct Incoming<'a> {
    kernels: Vec<Kernel<'a>>,
    sources: &'a BTreeSet<String>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    news: Option<&'a str>,
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

/// For each kernel what will be built, and the sources in the packages.
pub fn incoming<'a>(kernels: &'a [look::Kernel], sources: &'a BTreeSet<String>) -> Incoming<'a> {
    Incoming { kernels: kernels.iter().map(Into::into).collect(), sources }
}

impl<'a> From<&'a look::Kernel> for Kernel<'a> {
    fn from(kernel: &'a look::Kernel) -> Self {
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
            warning: kernel.warning.as_deref(),
            news: kernel.news.as_deref(),
        }
    }
}
