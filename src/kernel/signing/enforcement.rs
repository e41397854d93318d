//! Whether a kernel refuses modules that are not signed.

use std::path::Path;

use crate::fs::regular;
use crate::kernel::KernelConfig;
use crate::tree::layout::Layout;
use crate::trust::firmware::{Firmware, SecureBoot};

/// Where the running kernel says how far it is locked down, inside the root
/// (kernel_lockdown(7)): `none [integrity] confidentiality`.
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// `module.sig_enforce` of the running kernel.
const SIG_ENFORCE: &str = "/sys/module/module/parameters/sig_enforce";

/// Why a kernel with this configuration and these headers loads signed modules only, in words that follow "because";
/// `None` when it does not, as far as can be told from here.
pub fn enforced(layout: &Layout, kernel_config: &Path, headers: &Path) -> Option<&'static str> {
    if KernelConfig::of(kernel_config, headers).is_ok_and(|config| config.is_set("CONFIG_MODULE_SIG_FORCE")) {
        return Some("it was built that way (CONFIG_MODULE_SIG_FORCE)");
    }
    let root = &layout.root;
    // Another system's image is started elsewhere.
    if root.is_foreign() && root.is_slash() {
        return None;
    }
    if Firmware::of(root).state() == SecureBoot::On {
        return Some("Secure Boot is on");
    }
    let says = |file: &str| regular::read_to_string(&root.path(file)).unwrap_or_default();
    let lockdown = says(LOCKDOWN);
    if lockdown.contains("[integrity]") || lockdown.contains("[confidentiality]") {
        return Some("the running kernel is locked down");
    }
    (says(SIG_ENFORCE).trim() == "Y").then_some("the running kernel was started with module.sig_enforce")
}
