//! Random histories of kernel packages. Whatever order dpkg chooses: every module is built exactly
//! once for each kernel that has new headers, and after each transaction everything is in line.

use crate::support::toy_kernel::{FakeRoot, ToyKernel, ToyModule};
use proptest::prelude::*;

const KERNELS: [&str; 2] = ["6.12.1-toy", "6.13.0-toy"];
const MODULES: [&str; 2] = ["hello", "other"];

/// What one run of apt does to one kernel.
#[derive(Debug, Clone, Copy)]
enum Transaction {
    /// Image, headers or both are installed, upgraded or installed again.
    Install {
        image: bool,
        headers: bool,
        /// The headers are those of another revision.
        new_revision: bool,
        /// Headers are configured before the image.
        headers_first: bool,
        /// Everything is unpacked before anything is configured.
        unpack_all: bool,
    },
    /// An upgrade of the image fails while it is unpacked.
    AbortUpgrade,
    RemoveImage {
        purge: bool,
    },
    RemoveHeaders,
    RemoveBoth {
        headers_first: bool,
    },
    /// Our own trigger, for no reason.
    Nothing,
}

fn transaction() -> impl Strategy<Value = Transaction> {
    let install = (
        any::<(bool, bool, bool)>(),
        prop_oneof![Just((true, true)), Just((true, false)), Just((false, true))],
    );
    prop_oneof![
        5 => install.prop_map(|((new_revision, headers_first, unpack_all), (image, headers))| {
            Transaction::Install { image, headers, new_revision, headers_first, unpack_all }
        }),
        1 => Just(Transaction::AbortUpgrade),
        1 => any::<bool>().prop_map(|purge| Transaction::RemoveImage { purge }),
        1 => Just(Transaction::RemoveHeaders),
        1 => any::<bool>().prop_map(|headers_first| Transaction::RemoveBoth { headers_first }),
        1 => Just(Transaction::Nothing),
    ]
}

/// One kernel as it should be.
#[derive(Debug, Clone, Copy, Default)]
struct Expected {
    image: bool,
    /// Revision of the headers that are there.
    headers: Option<u32>,
    /// Revision of the headers that the modules there were built with.
    built: Option<u32>,
    revision: u32,
}

impl Expected {
    /// Applies what every run should do; returns how many builds that takes.
    fn settle(&mut self) -> usize {
        if !self.image {
            self.built = None;
        } else if self.headers.is_some() && self.headers != self.built {
            self.built = self.headers;
            return MODULES.len();
        }
        0
    }
}

fn unpack_headers(root: &FakeRoot, k: &str, revision: u32) {
    ToyKernel::new(k).install_headers(root);
    root.write(
        format!("/usr/src/linux-headers-{k}/include/generated/utsversion.h"),
        format!("#define UTS_VERSION \"#1 SMP Toy {revision}\"\n"),
    );
}

/// What configures a package, and how it is unpacked.
type Part<'a> = (&'a str, Box<dyn Fn() + 'a>);

/// Carries a transaction out as dpkg does, and calls the hooks on the way. Returns the builds that
/// are due in the middle of it, before the state that it ends in.
fn perform(root: &FakeRoot, k: &str, transaction: Transaction, state: &mut Expected) -> usize {
    let kernel = ToyKernel::new(k);
    let mut on_the_way = 0;
    let hook = |event: &str, params: &str| {
        root.deb(event, k, params).expect(0);
    };
    match transaction {
        Transaction::Install { image, headers, new_revision, headers_first, unpack_all } => {
            if headers && new_revision {
                state.revision += 1;
            }
            let (revision, upgrade) = (state.revision, state.image);
            // An image that is configured while older headers of its release are all there is gets
            // its modules from those: nobody can know that others are to follow.
            let older = state.headers.is_some_and(|there| there != revision);
            if image && headers && !upgrade && older && !headers_first && !unpack_all {
                on_the_way = MODULES.len();
            }
            let unpack_image = || {
                if upgrade {
                    hook("kernel-prerm", "upgrade 1");
                }
                kernel.install_image(root);
                if upgrade {
                    hook("kernel-postrm", "upgrade 1");
                }
            };
            let mut parts: Vec<Part<'_>> = Vec::new();
            if image {
                parts.push(("kernel-postinst", Box::new(unpack_image)));
            }
            if headers {
                parts.push(("header-postinst", Box::new(|| unpack_headers(root, k, revision))));
            }
            if headers_first {
                parts.reverse();
            }
            if unpack_all {
                parts.iter().for_each(|(_, unpack)| unpack());
            }
            for (event, unpack) in &parts {
                if !unpack_all {
                    unpack();
                }
                hook(event, "configure");
            }
            state.image |= image;
            if headers {
                state.headers = Some(revision);
            }
        }
        Transaction::AbortUpgrade if state.image => {
            hook("kernel-prerm", "upgrade 1");
            hook("kernel-postrm", "abort-upgrade 1");
            hook("kernel-postinst", "abort-upgrade 1");
        }
        Transaction::RemoveImage { .. } | Transaction::RemoveHeaders | Transaction::RemoveBoth { .. } => {
            let (image, headers, headers_first, purge) = match transaction {
                Transaction::RemoveImage { purge } => (true, false, false, purge),
                Transaction::RemoveHeaders => (false, true, false, false),
                Transaction::RemoveBoth { headers_first } => (true, true, headers_first, true),
                _ => unreachable!(),
            };
            let drop_headers = |state: &mut Expected| {
                if headers && state.headers.take().is_some() {
                    kernel.remove_headers(root);
                }
            };
            if headers_first {
                drop_headers(state);
            }
            if image && state.image {
                hook("kernel-prerm", "remove");
                kernel.remove_image(root);
                hook("kernel-postrm", "remove");
                if purge {
                    hook("kernel-postrm", "purge");
                }
                state.image = false;
            }
            drop_headers(state);
        }
        Transaction::AbortUpgrade | Transaction::Nothing => {}
    }
    root.deb("trigger", "", "triggered").expect(0);
    on_the_way
}

/// The lines of `dkms status`.
fn status(states: &[Expected]) -> String {
    let mut lines = String::new();
    for module in MODULES {
        let built: Vec<_> = KERNELS.iter().zip(states).filter(|(_, s)| s.built.is_some()).collect();
        if built.is_empty() {
            lines.push_str(&format!("{module}/1.0: added\n"));
        }
        for (k, _) in built {
            lines.push_str(&format!("{module}/1.0, {k}, x86_64: installed\n"));
        }
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_build_each_and_always_in_line(history in proptest::collection::vec((0..2usize, transaction()), 3..8)) {
        let root = FakeRoot::new().without_cache();
        for module in MODULES {
            ToyModule::new(module, "1.0").register(&root);
        }
        let mut states = [Expected::default(); 2];
        for (which, transaction) in history {
            let k = KERNELS[which];
            let builds = perform(&root, k, transaction, &mut states[which]);
            let builds = builds + states[which].settle();
            prop_assert_eq!(root.take_make_calls().len(), builds, "{} {:?}", k, transaction);
            prop_assert_eq!(root.dkms(&["status"]).expect(0).out, status(&states));
            for (k, state) in KERNELS.iter().zip(&states) {
                let there = root.exists(format!("/lib/modules/{k}"));
                prop_assert_eq!(there, state.image || state.headers.is_some(), "/lib/modules/{}", k);
                let ours = root.exists(format!("/lib/modules/{k}/updates"));
                prop_assert_eq!(ours, state.built.is_some(), "modules of {}", k);
            }
            let before = root.snapshot();
            let dry = root.hook(&["--dry-run"]).expect(0).out;
            prop_assert!(dry.ends_with("nothing to do\n"), "{}", dry);
            root.hook(&[]).expect(0);
            prop_assert_eq!(before.changes(&root.snapshot()), Vec::<String>::new());
        }
    }
}
