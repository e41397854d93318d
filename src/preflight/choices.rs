//! What a person can do about a transaction that was held, in the words of the package manager.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::model::ids::{Cell, KernelRelease};
use crate::packages::{Kind, Package};

/// The package manager, with the packages that bring kernels.
pub(super) struct Manager {
    kind: Option<Kind>,
    packages: Vec<Package>,
}

/// Beginnings of the names of packages that stand for the newest kernel, and have no files.
const NEWEST: [&str; 5] =
    ["linux-image-", "linux-headers-", "linux-generic", "linux-virtual", "linux-lowlatency"];

impl Manager {
    /// That of these packages.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let packages: Vec<Package> = paths.iter().filter_map(|path| Package::read(path).ok()).collect();
        Self { kind: packages.first().map(|package| package.kind), packages }
    }

    /// The choices, a line each.
    pub(super) fn choices<'a>(
        &self,
        kernels: &[KernelRelease],
        cells: impl Iterator<Item = &'a Cell>,
    ) -> String {
        let modules: BTreeSet<String> = cells.map(|cell| cell.module.to_string()).collect();
        let remove: Vec<String> =
            modules.iter().map(|module| format!("`dkms remove {module} --all`")).collect();
        let mut text = "Choose one of:".to_owned();
        if let Some(command) = self.without(kernels) {
            text.push_str(&format!("\n  - keep the present kernel for now: {command}"));
        }
        text.push_str("\n  - go on once without the module: `dkms-hook go-on`, then the same command again");
        text.push_str(&format!(
            "\n  - do without the module for good: remove its package, or {}",
            remove.join(" and ")
        ));
        text
    }

    /// How the rest is installed without these kernels.
    fn without(&self, kernels: &[KernelRelease]) -> Option<String> {
        let of_kernels = |package: &&Package| {
            let brings = &package.brings;
            kernels.iter().any(|kernel| brings.kernels.contains(kernel) || brings.headers.contains(kernel))
        };
        let names = |packages: Vec<&Package>| {
            packages
                .into_iter()
                .map(|package| package.name.clone())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
        };
        let own = names(self.packages.iter().filter(of_kernels).collect());
        match self.kind? {
            Kind::Deb => {
                let newest = |package: &&Package| {
                    package.brings.is_empty() && NEWEST.iter().any(|start| package.name.starts_with(start))
                };
                let newest = names(self.packages.iter().filter(newest).collect());
                let names = if newest.is_empty() { own } else { newest };
                Some(format!("`apt-mark hold {}`, then the same command again", names.join(" ")))
            }
            Kind::Rpm => Some("the same command with `--exclude='kernel*'`".to_owned()),
            Kind::Pacman => Some(format!("the same command with `--ignore {}`", own.join(","))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{Arch, ModuleId};
    use crate::packages::Brings;

    fn package(name: &str, kind: Kind, kernel: bool, headers: bool) -> Package {
        let release = || KernelRelease::new("6.1").unwrap();
        let brings = Brings {
            kernels: kernel.then(release).into_iter().collect(),
            headers: headers.then(release).into_iter().collect(),
            ..Brings::default()
        };
        let text = str::to_owned;
        Package { name: text(name), version: text("1"), arch: text("all"), kind, brings }
    }

    fn choices(packages: Vec<Package>) -> String {
        let manager = Manager { kind: packages.first().map(|p| p.kind), packages };
        let kernel = KernelRelease::new("6.1").unwrap();
        let cell = Cell {
            module: ModuleId::new("zfs", "2").unwrap(),
            kernel: kernel.clone(),
            arch: Arch::new("x86_64").unwrap(),
        };
        manager.choices(&[kernel], std::iter::once(&cell))
    }

    #[test]
    fn apt_holds_what_stands_for_the_newest_kernel() {
        let image = package("linux-image-6.1", Kind::Deb, true, false);
        let headers = package("linux-headers-6.1", Kind::Deb, false, true);
        let told = choices(vec![image.clone(), headers.clone()]);
        assert!(told.contains("`apt-mark hold linux-headers-6.1 linux-image-6.1`"), "{told}");
        let newest = package("linux-image-amd64", Kind::Deb, false, false);
        let other = package("bash", Kind::Deb, false, false);
        let told = choices(vec![other, image, headers, newest]);
        assert!(told.contains("`apt-mark hold linux-image-amd64`"), "{told}");
        assert!(told.contains("dkms-hook go-on") && told.contains("dkms remove zfs/2 --all"), "{told}");
    }

    #[test]
    fn others_leave_the_kernel_out() {
        let told = choices(vec![
            package("linux", Kind::Pacman, true, false),
            package("linux-headers", Kind::Pacman, false, true),
            package("bash", Kind::Pacman, false, false),
        ]);
        assert!(told.contains("`--ignore linux,linux-headers`"), "{told}");
        assert!(
            choices(vec![package("kernel-core", Kind::Rpm, true, false)]).contains("--exclude='kernel*'")
        );
    }
}
