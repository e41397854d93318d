//! The matrix: every state of a machine that was tried in qemu with Debian's 6.12 and 7.2, every kind of module, and what
//! `insmod` did (docs/secure-boot.md has the table as it is measured by tests/lab/secure-boot). A running kernel
//! must get exactly that; for one that does not run, "cannot tell" stands where its lists cannot be seen.

use super::facts::Asked;
use super::words::digest_to_sign_with;
use super::*;
use crate::kernel::KernelConfig;
use crate::trust::firmware::SecureBoot;
use Cell::{E, L, P};

/// What the kernel did: loaded, EKEYREJECTED, EPERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    L,
    E,
    P,
}

/// What Debian's kernels have in their configuration.
const DEBIAN: &str = "CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_HASH=\"sha256\"\nCONFIG_IMA_ARCH_POLICY=y\n\
    CONFIG_LOCK_DOWN_IN_EFI_SECURE_BOOT=y\nCONFIG_SECURITY_LOCKDOWN_LSM=y\nCONFIG_SECURITY_LOCKDOWN_LSM_EARLY=y\n\
    CONFIG_LOAD_UEFI_KEYS=y\nCONFIG_INTEGRITY_PLATFORM_KEYRING=y\nCONFIG_INTEGRITY_MACHINE_KEYRING=y\n\
    CONFIG_SECONDARY_TRUSTED_KEYRING=y\nCONFIG_SYSTEM_TRUSTED_KEYS=\"\"\nCONFIG_CRYPTO_SHA1=y\n\
    CONFIG_CRYPTO_SHA256=y\nCONFIG_CRYPTO_SHA512=y\nCONFIG_CC_VERSION_TEXT=\"gcc-14 (Debian 14.2.0-19) 14.2.0\"\n\
    CONFIG_BUILD_SALT=\"6.12.117\"\n";

const RELEASE: &str = "6.12.117";

fn words(config: &str, line: &str) -> Words {
    Words::of(Some(&KernelConfig::parse(config)), RELEASE, &[line.to_owned()])
}

/// 6.12 has sha3 built in; without its module, 7.2 is as one that does not have it.
fn debian(sha3: &str) -> String {
    format!("{DEBIAN}CONFIG_CRYPTO_SHA3={sha3}\n")
}

/// One column.
struct State {
    name: &'static str,
    boot: Boot,
    line: &'static str,
    enforces: Option<Cell>,
    /// The keys that count here.
    mok: bool,
    db: bool,
}

const BOOT: Boot = Boot { secure: SecureBoot::On, shim: true, moks_trusted: true, db_ignored: false };

fn states() -> Vec<State> {
    let state = |name, boot, line, enforces, mok, db| State { name, boot, line, enforces, mok, db };
    let off = Boot { secure: SecureBoot::Off, ..BOOT };
    let no_shim = Boot { shim: false, moks_trusted: false, ..BOOT };
    let no_efi = Boot { secure: SecureBoot::NoEfi, ..no_shim };
    vec![
        state("SB on, shim", BOOT, "quiet", Some(E), true, true),
        state("SB on, shim, MOK not trusted", Boot { moks_trusted: false, ..BOOT }, "", Some(E), true, true),
        state("SB on, no shim", no_shim, "", Some(E), false, true),
        state("not validating", Boot { secure: SecureBoot::OffInShim, ..BOOT }, "", None, false, true),
        state("SB off", off, "ro quiet", None, false, true),
        state("SB off, sig_enforce", off, "ro module.sig_enforce=1", Some(E), false, true),
        state("SB off, integrity", off, "lockdown=integrity", Some(P), false, true),
        state("SB off, confidentiality", off, "lockdown=confidentiality", Some(P), false, true),
        state("no EFI", no_efi, "", None, false, false),
    ]
}

/// One row.
struct Row {
    name: &'static str,
    bears: Bears,
    in_mok: bool,
    in_db: bool,
    sha3: bool,
    changed: bool,
}

fn bears(standing: Standing, content: Content, digest: &str) -> Bears {
    Bears::Signed(Signature {
        digest: Some(digest.to_owned()),
        algorithm: None,
        signer: Some(standing),
        carries_certificates: false,
        content,
    })
}

fn rows() -> Vec<Row> {
    let row = |name, standing: Standing, digest: &str, changed: bool| {
        let content = if changed { Content::Changed("no match".to_owned()) } else { Content::Good };
        let bears = bears(standing, content, digest);
        let sha3 = digest.starts_with("sha3-");
        Row { name, bears, in_mok: standing.mok, in_db: standing.db, sha3, changed }
    };
    let mok = Standing { mok: true, ..Standing::default() };
    let db = Standing { db: true, ..Standing::default() };
    let nowhere = Standing::default();
    let mut rows = vec![
        row("key in MokList", mok, "sha256", false),
        row("key in db", db, "sha256", false),
        row("unknown key", nowhere, "sha256", false),
        row("its CA is in MokList", nowhere, "sha256", false),
        row("MOK, changed", mok, "sha256", true),
        row("db, changed", db, "sha256", true),
        row("unknown key, changed", nowhere, "sha256", true),
        row("MOK, sha1", mok, "sha1", false),
        row("MOK, sha384", mok, "sha384", false),
        row("MOK, sha512", mok, "sha512", false),
        row("MOK, sha3-256", mok, "sha3-256", false),
        row("db, sha3-256", db, "sha3-256", false),
    ];
    let unsigned = ["unsigned", "signed outside of the compression", "stripped after it was signed"];
    rows.extend(unsigned.map(|name| Row {
        name,
        bears: Bears::Unsigned,
        in_mok: false,
        in_db: false,
        sha3: false,
        changed: false,
    }));
    rows
}

/// What was measured: a signature counts when it is good, of a key that counts in this state, and of a digest that is
/// built in; without one that counts, the state decides; a changed file of a key that counts never loads.
fn measured(state: &State, row: &Row, sha3_built_in: bool) -> Cell {
    let key_counts = row.in_mok && state.mok || row.in_db && state.db;
    let able = !row.sha3 || sha3_built_in;
    let signed = matches!(row.bears, Bears::Signed(_));
    match (signed && able && key_counts, row.changed) {
        (true, true) => E,
        (true, false) => L,
        (false, _) => state.enforces.unwrap_or(L),
    }
}

#[test]
fn a_running_kernel_does_what_was_measured() {
    for sha3 in ["y", "n"] {
        for state in states() {
            let kernel = words(&debian(sha3), state.line);
            let live = Live {
                sig_enforce: Some(state.enforces == Some(E)),
                lockdown: Some(state.enforces == Some(P) || state.boot.secure == SecureBoot::On),
                keys: None,
            };
            for row in rows() {
                let mut bears = row.bears.clone();
                if let Bears::Signed(Signature { signer: Some(standing), .. }) = &mut bears {
                    standing.live = Some(row.in_mok && state.mok || row.in_db && state.db);
                    // What cannot be seen is not known to be in a list.
                    standing.mok &= state.boot.shim;
                    standing.db &= state.boot.secure != SecureBoot::NoEfi;
                }
                let told = verdict(&kernel, &state.boot, Some(&live), &bears);
                let told_of = format!("{} / {} / sha3={sha3}: {told:?}", state.name, row.name);
                match measured(&state, &row, sha3 == "y") {
                    L => assert_eq!(told, Verdict::Loads, "{told_of}"),
                    E | P => assert!(matches!(told, Verdict::Refused(_)), "{told_of}"),
                }
            }
        }
    }
}

#[test]
fn one_that_does_not_run_gets_the_same_or_no_answer() {
    for sha3 in ["y", "n"] {
        for state in states() {
            let kernel = words(&debian(sha3), state.line);
            for row in rows() {
                let mut bears = row.bears.clone();
                if let Bears::Signed(Signature { signer: Some(standing), .. }) = &mut bears {
                    standing.mok &= state.boot.shim;
                    standing.db &= state.boot.secure != SecureBoot::NoEfi;
                }
                let told = verdict(&kernel, &state.boot, None, &bears);
                let expected = measured(&state, &row, sha3 == "y");
                let told_of = format!("{} / {} / sha3={sha3}: {told:?}", state.name, row.name);
                match &told {
                    Verdict::Loads => assert_eq!(expected, L, "{told_of}"),
                    Verdict::Refused(_) => assert_ne!(expected, L, "{told_of}"),
                    Verdict::CannotTell(missing) => {
                        // Where the owner's keys are not seen, and nowhere else.
                        let unseen = state.boot.secure == SecureBoot::NoEfi || !state.boot.shim;
                        let reasons = [Missing::Shim, Missing::Efi];
                        assert!(unseen && missing.iter().all(|one| reasons.contains(one)), "{told_of}");
                    }
                }
            }
        }
    }
}

/// A kernel of another distribution, or of mainline: the same settings, but for Debian's patches.
#[test]
fn on_other_kernels_db_and_untrusted_owners_keys_depend() {
    let fedora = DEBIAN.replace("(Debian 14.2.0-19)", "(GCC) 15.2.1");
    let judge = |kernel: &Words, boot: Boot, standing: Standing| {
        verdict(kernel, &boot, None, &bears(standing, Content::Good, "sha256"))
    };
    let kernel = words(&fedora, "");
    let mok = Standing { mok: true, ..Standing::default() };
    let db = Standing { db: true, ..Standing::default() };
    let depends = Verdict::CannotTell(vec![Missing::PlatformPatch]);
    assert_eq!(judge(&kernel, BOOT, mok), Verdict::Loads);
    assert_eq!(judge(&kernel, BOOT, db), depends);
    assert_eq!(judge(&kernel, Boot { moks_trusted: false, ..BOOT }, mok), depends);
    let ca_only = words(&format!("{fedora}CONFIG_INTEGRITY_CA_MACHINE_KEYRING=y\n"), "");
    assert_eq!(judge(&ca_only, BOOT, mok), depends);
    // It matters to nobody where nothing is enforced.
    assert_eq!(judge(&kernel, Boot { secure: SecureBoot::Off, ..BOOT }, db), Verdict::Loads);
    let live = |known| Standing { live: Some(known), ..db };
    let said = Live { sig_enforce: Some(true), lockdown: Some(true), keys: None };
    let asked = |standing| verdict(&kernel, &BOOT, Some(&said), &bears(standing, Content::Good, "sha256"));
    assert_eq!(asked(live(true)), depends);
    assert!(matches!(asked(live(false)), Verdict::Refused(Refusal::UnknownKey(_, NotKnown::NotLive))));
    assert_eq!(asked(Standing { db: false, ..live(true) }), Verdict::Loads);
    // A salt of another's build, and keys that were built in.
    for other in
        [DEBIAN.replace("SALT=\"6.12.117\"", "SALT=\"\""), DEBIAN.replace("SALT=\"6.12.117\"", "SALT=\"x\"")]
    {
        assert_eq!(judge(&words(&other, ""), BOOT, db), depends);
    }
    let built_in = fedora.replace("TRUSTED_KEYS=\"\"", "TRUSTED_KEYS=\"certs/rhel.pem\"");
    let told = judge(&words(&built_in, ""), BOOT, Standing::default());
    assert_eq!(told, Verdict::CannotTell(vec![Missing::BuiltinKeys("certs/rhel.pem".to_owned())]));
}

// On 7.2 a module signed with sha3-256 loads where sha3.ko is installed, and does not where it is not.
#[test]
fn a_digest_that_is_a_module_may_be_there_or_not() {
    let signed = bears(Standing { mok: true, ..Standing::default() }, Content::Good, "sha3-256");
    let of = |boot| verdict(&words(&debian("m"), ""), &boot, None, &signed);
    assert_eq!(of(BOOT), Verdict::CannotTell(vec![Missing::Digest("sha3-256".to_owned())]));
    assert_eq!(of(Boot { secure: SecureBoot::Off, ..BOOT }), Verdict::Loads);
    let mok = Standing { mok: true, ..Standing::default() };
    let Bears::Signed(signature) = bears(mok, Content::Good, "sha256") else { panic!() };
    let ecdsa = Bears::Signed(Signature { algorithm: Some("ecdsa".to_owned()), ..signature });
    let of = |config: &str| {
        verdict(&words(&format!("{DEBIAN}CONFIG_CRYPTO_ECDSA={config}\n"), ""), &BOOT, None, &ecdsa)
    };
    assert_eq!(of("y"), Verdict::Loads);
    assert!(matches!(of("m"), Verdict::CannotTell(_)) && matches!(of("n"), Verdict::Refused(_)));
}

#[test]
fn what_enforces_under_secure_boot_is_in_the_configuration() {
    let judge = |config: &str, boot: Boot| verdict(&words(config, ""), &boot, None, &Bears::Unsigned);
    let neither = DEBIAN.replace("CONFIG_IMA_ARCH_POLICY=y\nCONFIG_LOCK_DOWN_IN_EFI_SECURE_BOOT=y\n", "");
    assert_eq!(judge(&neither, BOOT), Verdict::Loads);
    for one in ["CONFIG_IMA_ARCH_POLICY=y\n", "CONFIG_LOCK_DOWN_IN_EFI_SECURE_BOOT=y\n"] {
        let told = judge(&format!("{neither}{one}"), BOOT);
        assert_eq!(told, Verdict::Refused(Refusal::Unsigned(Enforcer::SecureBoot)), "{one}");
    }
    let off = Boot { secure: SecureBoot::Off, ..BOOT };
    let forced = format!("{neither}CONFIG_MODULE_SIG_FORCE=y\n");
    assert_eq!(judge(&forced, off), Verdict::Refused(Refusal::Unsigned(Enforcer::Built)));
    assert_eq!(judge("CONFIG_SMP=y\n", BOOT), Verdict::Loads, "nobody looks at signatures");
}

#[test]
fn what_is_missing_is_named() {
    let unsigned = Bears::Unsigned;
    let unknown = Boot { secure: SecureBoot::Unknown, shim: false, moks_trusted: false, db_ignored: false };
    let told = |kernel: &Words, boot: &Boot| verdict(kernel, boot, None, &unsigned);
    let missing = |what| Verdict::CannotTell(vec![what]);
    assert_eq!(told(&words(DEBIAN, ""), &unknown), missing(Missing::Firmware), "an image in a chroot");
    assert_eq!(told(&Words::default(), &BOOT), missing(Missing::Config));
    let config = KernelConfig::parse(DEBIAN);
    let off = Boot { secure: SecureBoot::Off, ..BOOT };
    assert_eq!(told(&Words::of(Some(&config), RELEASE, &[]), &off), missing(Missing::Parameters));
    let entries = ["quiet".to_owned(), "quiet module.sig_enforce".to_owned()];
    assert_eq!(
        told(&Words::of(Some(&config), RELEASE, &entries), &off),
        missing(Missing::OneSetOfParameters)
    );
    assert_eq!(told(&words(DEBIAN, "ima_policy=tcb|secure_boot"), &off), missing(Missing::ImaPolicy));
    let of = |bears| verdict(&words(DEBIAN, ""), &BOOT, None, &bears);
    let mok = Standing { mok: true, ..Standing::default() };
    let unchecked = Content::Unchecked("no openssl".to_owned());
    assert_eq!(
        of(bears(mok, unchecked.clone(), "sha256")),
        missing(Missing::Content("no openssl".to_owned()))
    );
    // Good or not, the key is unknown.
    assert!(matches!(of(bears(Standing::default(), unchecked, "sha256")), Verdict::Refused(_)));
    assert_eq!(
        of(bears(Standing { blocked: true, ..mok }, Content::Good, "sha256")),
        missing(Missing::Unblocked)
    );
    assert!(matches!(of(Bears::Malformed("is cut off".to_owned())), Verdict::Refused(Refusal::Malformed(_))));
    // What the running kernel says wins over variables.
    let live = Live { sig_enforce: Some(false), lockdown: Some(false), keys: None };
    assert_eq!(verdict(&words(DEBIAN, ""), &unknown, Some(&live), &unsigned), Verdict::Loads);
}

#[test]
fn parameters_are_read_as_the_kernel_reads_them() {
    let asked = Asked::of;
    assert!(asked("module.sig_enforce").sig_enforce && asked("module.sig-enforce=on").sig_enforce);
    assert!(!asked("module.sig_enforce=0").sig_enforce && !asked("xmodule.sig_enforce=1").sig_enforce);
    assert!(asked("ro lockdown=integrity").lockdown && !asked("lockdown=none").lockdown);
    let lsm = |lsm: &str| {
        let config = DEBIAN.replace("CONFIG_SECURITY_LOCKDOWN_LSM_EARLY=y\n", "");
        let off = Boot { secure: SecureBoot::Off, ..BOOT };
        let line = format!("lockdown=integrity {lsm}");
        verdict(&words(&config, &line), &off, None, &Bears::Unsigned)
    };
    assert_eq!(lsm("lsm=lockdown,yama"), Verdict::Refused(Refusal::Unsigned(Enforcer::Lockdown)));
    assert_eq!(lsm("lsm=yama"), Verdict::CannotTell(vec![Missing::Parameters]));
    let built_in = format!("{DEBIAN}CONFIG_CMDLINE=\"lockdown=integrity\"\n");
    assert!(words(&built_in, "quiet").asked().unwrap().lockdown);
}

#[test]
fn what_signs_is_built_in() {
    let hash = |text: &str| digest_to_sign_with(&KernelConfig::parse(text));
    let own = |name: &str| format!("CONFIG_MODULE_SIG_HASH=\"{name}\"\n");
    assert_eq!(hash(&own("sha256")).as_deref(), Some("sha256"));
    assert_eq!(hash(&format!("{}CONFIG_CRYPTO_SHA3=y\n", own("sha3-256"))).as_deref(), Some("sha3-256"));
    let module = format!("{}CONFIG_CRYPTO_SHA3=m\nCONFIG_CRYPTO_SHA256=y\n", own("sha3-256"));
    assert_eq!(hash(&module).as_deref(), Some("sha256"));
    assert_eq!(hash(&format!("{module}CONFIG_CRYPTO_SHA512=y\n")).as_deref(), Some("sha512"));
    assert_eq!(hash("CONFIG_SMP=y\n"), None);
}
