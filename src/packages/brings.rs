//! What a list of files says about kernels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::model::ids::{KernelRelease, is_component};

/// What in a package concerns kernels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Brings {
    /// Releases of which it has modules (something in `/lib/modules/R/kernel`) or the image
    /// (`/lib/modules/R/vmlinuz`).
    pub kernels: BTreeSet<KernelRelease>,
    /// Releases whose headers it has. A link `/lib/modules/R/build` to what is not in the package is
    /// none: Fedora's packages of modules have it, too.
    pub headers: BTreeSet<KernelRelease>,
    /// Directories of `/usr/src` that come with a dkms.conf, by convention called NAME-VERSION.
    pub sources: BTreeSet<String>,
    /// Releases of which it has the image (`/lib/modules/R/vmlinuz`, `/boot/vmlinuz-R`, `/boot/vmlinux-R`): where that
    /// goes, the kernel goes. Ubuntu has a package with some more modules of a kernel, which goes alone.
    pub images: BTreeSet<KernelRelease>,
    /// Compilers, by the name that a kernel's configuration or a person calls them by: `gcc`, `gcc-16`, `clang-19`.
    pub compilers: BTreeSet<String>,
    /// It has something that headers refer to: what several kernels share, below `/usr/src`, or the programs of Debian's
    /// linux-kbuild.
    pub parts: bool,
}

impl Brings {
    /// True when the package has nothing to do with kernels.
    pub fn is_empty(&self) -> bool {
        self.kernels.is_empty() && self.headers.is_empty() && self.sources.is_empty()
    }
}

/// Takes the files of a package, one after the other, in any order.
#[derive(Debug, Default)]
pub(super) struct Files {
    brings: Brings,
    /// Directories that a module can be built in: what kbuild generates is there. The part of Debian's
    /// headers that all flavours share is none.
    built: BTreeSet<PathBuf>,
    /// Where `/lib/modules/R/build` leads.
    links: BTreeMap<KernelRelease, PathBuf>,
}

impl Files {
    /// A file, directory or link; `link` is where it leads.
    pub(super) fn add(&mut self, path: &str, link: Option<&str>) {
        let path = path.trim_start_matches("./").trim_start_matches('/');
        if let Some(inside) = path.strip_prefix("usr/").unwrap_or(path).strip_prefix("lib/modules/")
            && let Some((release, rest)) = inside.split_once('/')
        {
            self.of_a_kernel(release, rest, link);
        }
        let image = ["boot/vmlinuz-", "boot/vmlinux-"].iter().find_map(|before| path.strip_prefix(before));
        self.brings.images.extend(image.and_then(|release| KernelRelease::new(release).ok()));
        self.brings.compilers.extend(compiler(path));
        self.brings.parts |= path.starts_with("usr/src/") || path.starts_with("usr/lib/linux-kbuild-");
        if let Some(inside) = path.strip_prefix("usr/src/") {
            if let Some((dir, "dkms.conf")) = inside.split_once('/')
                && is_component(dir)
            {
                self.brings.sources.insert(dir.to_owned());
            }
            if let Some(dir) = generated_in(inside) {
                self.built.insert(Path::new("usr/src").join(dir));
            }
        }
    }

    fn of_a_kernel(&mut self, release: &str, rest: &str, link: Option<&str>) {
        let Ok(release) = KernelRelease::new(release) else { return };
        if rest == "vmlinuz" {
            self.brings.images.insert(release.clone());
        }
        if rest == "vmlinuz" || rest.strip_prefix("kernel/").is_some_and(|inside| !inside.is_empty()) {
            self.brings.kernels.insert(release);
        } else if let ("build", Some(link)) = (rest, link) {
            let from = Path::new("usr/lib/modules").join(&release);
            self.links.insert(release, led_to(&from, link));
        } else if rest.strip_prefix("build/").and_then(generated_in) == Some("") {
            self.brings.headers.insert(release);
        }
    }

    /// What they come to.
    pub(super) fn finish(mut self) -> Brings {
        for dir in &self.built {
            let Ok(inside) = dir.strip_prefix("usr/src") else { continue };
            let inside = inside.to_string_lossy();
            let release = inside.strip_prefix("kernels/").or_else(|| inside.strip_prefix("linux-headers-"));
            if let Some(release) = release.and_then(|release| KernelRelease::new(release).ok()) {
                self.brings.headers.insert(release);
            }
        }
        // SUSE's have a directory per flavour, which only the link connects with the release.
        let led = self.links.into_iter().filter(|(_, dir)| self.built.contains(dir));
        self.brings.headers.extend(led.map(|(release, _)| release));
        self.brings
    }
}

/// The name of a compiler whose program this is: `usr/bin/x86_64-linux-gnu-gcc-16`, `usr/lib/llvm-19/bin/clang`.
fn compiler(path: &str) -> Option<String> {
    let inside = path.strip_prefix("usr/")?;
    if let Some(version) = inside.strip_prefix("lib/llvm-").and_then(|rest| rest.strip_suffix("/bin/clang")) {
        return version.bytes().all(|b| b.is_ascii_digit()).then(|| format!("clang-{version}"));
    }
    let name = inside.strip_prefix("bin/")?;
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let version = name.rsplit_once('-').map(|(_, end)| end).filter(|end| number(end));
    let stem = version.map_or(name, |version| &name[..name.len() - version.len() - 1]);
    let (before, what) = stem.rsplit_once('-').unwrap_or(("", stem));
    let ours = matches!(what, "gcc" | "clang") && (before.is_empty() || before.contains("linux"));
    ours.then(|| version.map_or_else(|| what.to_owned(), |version| format!("{what}-{version}")))
}

/// The directory, `""` at the top, whose `include/generated` or `include/config` this path is in.
fn generated_in(path: &str) -> Option<&str> {
    ["include/generated/", "include/config/"].iter().find_map(|part| {
        let at = path.find(part)?;
        let dir = &path[..at];
        if dir.is_empty() { Some(dir) } else { dir.strip_suffix('/') }
    })
}

/// Where a link in the directory `from` leads, as a path without a leading `/`.
fn led_to(from: &Path, link: &str) -> PathBuf {
    let mut out = if link.starts_with('/') { PathBuf::new() } else { from.to_path_buf() };
    for part in Path::new(link).components() {
        match part {
            Component::Normal(part) => out.push(part),
            Component::ParentDir => {
                out.pop();
            }
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brings(files: &[(&str, Option<&str>)]) -> (Vec<String>, Vec<String>, Vec<String>) {
        let mut seen = Files::default();
        files.iter().for_each(|(path, link)| seen.add(path, *link));
        let brings = seen.finish();
        let texts = |set: BTreeSet<KernelRelease>| set.into_iter().map(String::from).collect();
        (texts(brings.kernels), texts(brings.headers), brings.sources.into_iter().collect())
    }

    fn only(what: usize, files: &[(&str, Option<&str>)], names: &[&str]) {
        let (kernels, headers, sources) = brings(files);
        for (index, found) in [kernels, headers, sources].into_iter().enumerate() {
            let wanted: Vec<&str> = if index == what { names.to_vec() } else { Vec::new() };
            assert_eq!(found, wanted, "{files:?}");
        }
    }

    #[test]
    fn kernels_are_modules_or_an_image() {
        only(0, &[("./usr/lib/modules/6.1/kernel/fs/ext4.ko", None)], &["6.1"]);
        only(0, &[("/lib/modules/6.1/vmlinuz", None)], &["6.1"]);
        // Directories, modules of others, what depmod makes, debug information: none of these.
        for path in [
            "lib/modules/6.1/kernel/",
            "lib/modules/6.1/kernel",
            "lib/modules/6.1/extra/nvidia.ko",
            "lib/modules/6.1/modules.dep",
            "usr/lib/debug/lib/modules/6.1/vmlinuz",
            "boot/vmlinuz-6.1",
        ] {
            only(0, &[(path, None)], &[]);
        }
    }

    #[test]
    fn headers_are_where_kbuild_generated_something() {
        for path in [
            "usr/src/kernels/6.1-2.fc43.x86_64+debug/include/generated/utsrelease.h",
            "usr/src/linux-headers-6.1-2.fc43.x86_64+debug/include/config/auto.conf",
            "usr/lib/modules/6.1-2.fc43.x86_64+debug/build/include/generated/utsrelease.h",
        ] {
            only(1, &[(path, None)], &["6.1-2.fc43.x86_64+debug"]);
        }
        // The part that flavours share; the link that comes with modules; somebody's include directory.
        for file in [
            ("usr/src/linux-headers-6.1-common/include/linux/module.h", None),
            ("lib/modules/6.1/build", Some("/usr/src/kernels/6.1")),
            ("usr/src/kernels/6.1/tools/include/generated/x.h", None),
            ("usr/src/hello-1.0/include/generated/x.h", None),
        ] {
            only(1, &[file], &[]);
        }
    }

    #[test]
    fn an_image_is_what_makes_a_kernel_go() {
        let images = |path: &str| {
            let mut seen = Files::default();
            seen.add(path, None);
            seen.finish().images.into_iter().map(String::from).collect::<Vec<_>>()
        };
        for path in ["/boot/vmlinuz-6.1", "./boot/vmlinux-6.1", "/lib/modules/6.1/vmlinuz"] {
            assert_eq!(images(path), ["6.1"], "{path}");
        }
        for path in ["usr/lib/modules/6.1/kernel/fs/ext4.ko", "boot/vmlinuz", "boot/initrd.img-6.1"] {
            assert!(images(path).is_empty(), "{path}");
        }
    }

    #[test]
    fn compilers_are_known_by_their_programs() {
        for (path, name) in [
            ("./usr/bin/x86_64-linux-gnu-gcc-16", Some("gcc-16")),
            ("usr/bin/gcc", Some("gcc")),
            ("usr/bin/clang", Some("clang")),
            ("usr/lib/llvm-19/bin/clang", Some("clang-19")),
            ("usr/bin/x86_64-linux-gnu-gcc-ar-16", None),
            ("usr/bin/c89-gcc", None),
            ("usr/share/doc/gcc", None),
            ("usr/lib/llvm-x/bin/clang", None),
        ] {
            let mut seen = Files::default();
            seen.add(path, None);
            let found = seen.finish();
            assert_eq!(found.compilers.iter().map(String::as_str).next(), name, "{path}");
            assert!(found.is_empty(), "{path}");
        }
    }

    #[test]
    fn a_link_counts_with_what_it_leads_to() {
        let obj = "usr/src/linux-6.4.0-1-obj/x86_64/default/include/generated/utsrelease.h";
        let link = "../../../src/linux-6.4.0-1-obj/x86_64/default";
        only(1, &[(obj, None), ("usr/lib/modules/6.4.0-1-default/build", Some(link))], &["6.4.0-1-default"]);
        let link = "/usr/src/linux-6.4.0-1-obj/x86_64/default";
        only(1, &[("lib/modules/6.4.0-1-default/build", Some(link)), (obj, None)], &["6.4.0-1-default"]);
    }

    #[test]
    fn sources_have_a_dkms_conf_at_their_top() {
        only(2, &[("usr/src/hello-1.0/dkms.conf", None)], &["hello-1.0"]);
        only(2, &[("usr/src/hello-1.0/sub/dkms.conf", None), ("usr/src//dkms.conf", None)], &[]);
        // Names that lead elsewhere, or that a terminal would obey.
        only(2, &[("usr/src/../dkms.conf", None), ("usr/src/a\x1b[2J-1/dkms.conf", None)], &[]);
    }
}
