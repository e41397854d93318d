//! The settings as a list, for people.

use std::path::PathBuf;

use super::{Bytes, Exceptions, Limit, Names, Origin, Preflight, Settings, Value};
use crate::model::fit::Rebuild;

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    /// Its name, as in framework.conf or in the environment.
    pub name: &'static str,
    /// Its value as text; `None` where it is not set.
    pub value: Option<String>,
    /// Where that came from.
    pub origin: &'a Origin,
}

impl Settings {
    /// Every setting, in the order of the framework.conf that we install; then those that only the
    /// environment has.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = vec![
            row("source_tree", &self.source_tree),
            row("dkms_tree", &self.dkms_tree),
            row("install_tree", &self.install_tree),
            row("tmp_location", &self.tmp_location),
            row("verbose", &self.verbose),
            row("symlink_modules", &self.symlink_modules),
            row("autoinstall_all_kernels", &self.autoinstall_all_kernels),
            row("modprobe_on_install", &self.modprobe_on_install),
            row("always_depmod", &self.always_depmod),
            row("parallel_jobs", &self.parallel_jobs),
            row("sign_file", &self.sign_file),
            row("mok_signing_key", &self.mok_signing_key),
            row("mok_certificate", &self.mok_certificate),
            row("try_sign_modules", &self.try_sign_modules),
            row("compress_gzip_opts", &self.compress_gzip_opts),
            row("compress_xz_opts", &self.compress_xz_opts),
            row("compress_zstd_opts", &self.compress_zstd_opts),
            row("build_environment", &self.build_environment),
            row("post_transaction", &self.post_transaction),
            row("rebuild", &self.rebuild),
            row("preflight", &self.preflight),
            row("older_versions", &self.older_versions),
            row("build_cache", &self.build_cache),
            row("essential", &self.essential),
            row("boot_guard", &self.boot_guard),
            row("writable_sources", &self.writable_sources),
            row("unconfined", &self.unconfined),
            row("build_processes", &self.build_processes),
            row("build_memory", &self.build_memory),
            row("build_file_size", &self.build_file_size),
        ];
        rows.extend(self.limits.all().into_iter().map(|(name, limit)| row(name, limit)));
        rows.extend([
            row("DKMS_HOOK_UNCONFINED", &self.unconfined_now),
            row("NO_WEAK_MODULES", &self.no_weak_modules),
            row("ADDON_MODULES_DIR", &self.addon_modules_dir),
            row("DKMS_HOOK_STRICT", &self.strict),
            row("MODULES_SIGN_KEY", &self.modules_sign_key),
            row("MODULES_SIGN_CERT", &self.modules_sign_cert),
        ]);
        if self.named.build_environment.is_some() {
            rows.push(row("build_environment", &self.named.build_environment));
        }
        for directive in &self.named.directives {
            let (name, value) = &directive.value;
            let value = Some(format!("{name}={value}"));
            rows.push(Row { name: "DKMS_DIRECTIVE", value, origin: &directive.origin });
        }
        rows
    }
}

fn row<'a, T: Text>(name: &'static str, value: &'a Value<T>) -> Row<'a> {
    Row { name, value: value.text(), origin: &value.origin }
}

/// A value as a person would write it.
trait Text {
    /// `None` where nothing is set.
    fn text(&self) -> Option<String>;
}

impl Text for PathBuf {
    fn text(&self) -> Option<String> {
        Some(self.display().to_string())
    }
}

impl Text for bool {
    fn text(&self) -> Option<String> {
        Some(if *self { "yes" } else { "no" }.to_owned())
    }
}

impl Text for String {
    fn text(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl Text for usize {
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Text for Bytes {
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Text for Limit {
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Text for Exceptions {
    fn text(&self) -> Option<String> {
        (!self.is_empty()).then(|| self.to_string())
    }
}

impl Text for Names {
    fn text(&self) -> Option<String> {
        (!self.is_empty()).then(|| self.to_string())
    }
}

impl Text for Rebuild {
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Text for Preflight {
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl<T: Text> Text for Option<T> {
    fn text(&self) -> Option<String> {
        self.as_ref().and_then(Text::text)
    }
}
