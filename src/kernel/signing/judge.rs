//! Puts the facts together that a verdict is made from: one reading of the firmware, then kernel by kernel, then file by
//! file.

use std::path::Path;
use std::sync::Arc;

use super::KernelFiles;
use super::bears::{Certificates, bears};
use super::parameters;
use super::verdict::{Answer, Bears, Boot, Enforcer, Live, Verdict, Words, enforced, verdict};
use crate::fs::regular;
use crate::kernel::{self, KernelConfig};
use crate::model::ids::KernelRelease;
use crate::tree::layout::Layout;
use crate::trust::firmware::Firmware;
use crate::trust::pki::Certificate;

/// Where a policy of IMA is that is loaded at each start (systemd(1); dracut's and initramfs-tools' scripts use the same).
const IMA_POLICY: &str = "/etc/ima/ima-policy";

/// What kernels of a machine have in common.
#[derive(Debug, Clone)]
pub struct Judge {
    layout: Layout,
    firmware: Firmware,
    boot: Boot,
    /// The kernel that runs, where it is one of this root's, and what it says.
    running: Option<(KernelRelease, Live)>,
}

/// One kernel, ready to be asked about its modules.
#[derive(Debug, Clone)]
pub struct KernelJudge {
    words: Words,
    boot: Boot,
    live: Option<Live>,
    certificates: Certificates,
}

impl Boot {
    fn of(firmware: &Firmware) -> Self {
        Self {
            secure: firmware.state(),
            shim: firmware.has_shim(),
            moks_trusted: firmware.trusts_moks(),
            db_ignored: firmware.ignores_db(),
        }
    }
}

impl Judge {
    /// For the machine that a root is of.
    pub fn of(layout: &Layout) -> Self {
        let firmware = Firmware::of(&layout.root);
        let boot = Boot::of(&firmware);
        let running = kernel::running(&layout.root).map(|release| (release, Live::of(&layout.root)));
        Self { layout: layout.clone(), firmware, boot, running }
    }

    /// How the machine was started.
    pub fn boot(&self) -> &Boot {
        &self.boot
    }

    /// The firmware.
    pub fn firmware(&self) -> &Firmware {
        &self.firmware
    }

    /// True for the kernel that runs.
    pub fn is_running(&self, kernel: &KernelRelease) -> bool {
        self.running.as_ref().is_some_and(|(running, _)| running == kernel)
    }

    /// A kernel, with our certificates, each with whether the kernel was built with it.
    pub fn kernel(&self, files: &KernelFiles<'_>, own: &[(Certificate, bool)]) -> KernelJudge {
        let kernel = files.release;
        let live =
            self.running.as_ref().filter(|(running, _)| running == kernel).map(|(_, live)| live.clone());
        let config = self.config(files);
        let mut lines = parameters::lines(&self.layout.root, kernel);
        if live.is_some()
            && let Ok(line) = regular::read_to_string(&self.layout.root.path("/proc/cmdline"))
        {
            lines = vec![line];
        }
        let mut words = Words::of(config.as_deref(), kernel.as_str(), &lines);
        words.ima_policy |= self.layout.root.path(IMA_POLICY).exists();
        let keys = live.as_ref().and_then(|live| live.keys.as_ref());
        let certificates =
            Certificates::of(&self.firmware, own, self.layout.kernel(kernel).join("kernel")).with_live(keys);
        KernelJudge { words, boot: self.boot, live, certificates }
    }

    /// The configuration: the headers' own, or what was left beside the kernel.
    fn config(&self, files: &KernelFiles<'_>) -> Option<Arc<KernelConfig>> {
        if let Ok(found) = KernelConfig::of(files.config, files.source) {
            return Some(found);
        }
        let kernel = files.release;
        let beside = [
            self.layout.kernel(kernel).join("config"),
            self.layout.root.path(format!("/boot/config-{kernel}")),
        ];
        beside.iter().find_map(|path| KernelConfig::read(path).ok())
    }
}

impl KernelJudge {
    /// Whether the kernel loads a module file.
    pub fn file(&self, path: &Path) -> Verdict {
        self.module(bears(path, &self.certificates))
    }

    /// Whether the kernel loads a module that bears no signature.
    pub fn unsigned(&self) -> Verdict {
        self.module(Bears::Unsigned)
    }

    /// Whether the kernel loads a module that is well signed with one of the certificates at hand.
    pub fn signed_with(&self, certificate: &Certificate, digest: &str) -> Verdict {
        self.module(self.certificates.well_signed(certificate, digest))
    }

    /// Whether the kernel insists on signatures.
    pub fn enforced(&self) -> Answer<Enforcer, ()> {
        enforced(&self.words, &self.boot, self.live.as_ref())
    }

    fn module(&self, bears: Bears) -> Verdict {
        verdict(&self.words, &self.boot, self.live.as_ref(), &bears)
    }
}
