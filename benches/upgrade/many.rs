//! Machines with many modules and kernels, where everything is up to date. The modules have no code.

use dkms_hook::fs::root::Root;
use dkms_hook::tree::layout::Layout;

use super::run::Contender;
use super::tree::{Tree, release};
use super::{Bench, sh};

impl Bench {
    /// Ours, and an earlier release of ours where one is named.
    fn ours(&self, words: &str) -> Vec<Contender> {
        let mut all = vec![Contender::new("ours", &format!("/opt/ours/{words}"))];
        if self.before {
            all.push(Contender::new("before", &format!("/opt/before/{words}")));
        }
        all
    }

    /// In the place of what was there: modules, kernels, and as many modules of each kernel's own.
    fn furnish(&self, modules: usize, kernels: usize, own: usize) {
        sh("rm -rf /var/lib/dkms/* /var/lib/dkms/.dkms-hook
            for k in /lib/modules/*; do umount $k 2>/dev/null || true; rm -rf $k; done
            mkdir -p /usr/src.own; mv /usr/src/*/ /usr/src.own/ 2>/dev/null || true");
        let layout = Layout::new(Root::at("/"));
        Tree { modules, kernels, files: 5, own }.make(&layout);
        for (program, there) in [("/opt/before", self.before), ("/opt/ours", true)] {
            if there {
                sh(&format!("for i in 1 2; do {program}/dkms-hook >/dev/null; done"));
            }
        }
    }

    /// Thirty modules, eight kernels of a cloud image's size.
    pub fn many(&mut self) {
        self.furnish(30, 8, 1138);
        let mut contenders = self.ours("dkms status");
        println!("peak memory of `dkms status`: {} KiB", contenders[0].peak());
        contenders.push(Contender::new("Debian's dkms", "/usr/sbin/dkms status").at_most(1));
        self.table.compare("status-many", "dkms status, 30 modules, 8 kernels", &contenders, 3);
        let kernel = release(0);
        for (part, words) in [
            ("idle-many", format!("dkms-hook --kernel {kernel}")),
            ("autoinstall-many", format!("dkms autoinstall -k {kernel}")),
        ] {
            let mut contenders = self.ours(&words);
            println!("peak memory of `{words}`: {} KiB", contenders[0].peak());
            contenders.push(Contender::new(
                "Debian's dkms autoinstall",
                &format!("/usr/sbin/dkms autoinstall -k {kernel}"),
            ));
            let title = format!("Nothing to do, 30 modules, 8 kernels: {words}");
            self.table.compare(part, &title, &contenders, 25);
        }
        println!("peak memory of `dkms-hook` for all kernels: {} KiB\n", self.ours("dkms-hook")[0].peak());
    }

    /// 2,000 modules and two kernels.
    pub fn large(&mut self) {
        self.furnish(2000, 2, 1138);
        let kernel = release(0);
        let contenders = self.ours("dkms-hook");
        self.table.compare(
            "idle-large",
            "Nothing to do, 2,000 modules, 2 kernels: dkms-hook",
            &contenders,
            5,
        );
        let contenders = self.ours("dkms status");
        self.table.compare("status-large", "dkms status, 2,000 modules, 2 kernels", &contenders, 5);
        // Each starts from the other's end.
        let first = |action: &str| format!("/opt/ours/dkms {action} module7/1.0 -k {kernel} >/dev/null");
        let install = self.ours(&format!("dkms install module7/1.0 -k {kernel}"));
        let install: Vec<Contender> = install.into_iter().map(|c| c.after(first("uninstall"))).collect();
        self.table.compare("install-large", "One install, 2,000 modules, 2 kernels", &install, 5);
        let remove = self.ours(&format!("dkms uninstall module7/1.0 -k {kernel}"));
        let remove: Vec<Contender> = remove.into_iter().map(|c| c.after(first("install"))).collect();
        self.table.compare("remove-large", "One uninstall, 2,000 modules, 2 kernels", &remove, 5);
    }
}
