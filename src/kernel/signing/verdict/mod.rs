//! Whether a kernel will load a module file: a function of plain facts, which touches nothing.
//!
//! Three questions are asked apart, as the kernel does (`module_sig_check()` in kernel/module/signing.c): does
//! this kernel enforce signatures, does it know the certificate, is the file well signed? Each may be without
//! an answer. The verdict is that of every way in which the open questions can be answered; where these
//! differ, it is that this cannot be told, with what is missing.

mod facts;
mod rules;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;

pub use facts::{Bears, Boot, Content, Live, Signature, Standing, Words};
pub(super) use words::digest_to_sign_with;

pub use rules::{enforced, known};

/// What will become of a module that a kernel is asked to load, as far as signatures go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel loads it.
    Loads,
    /// It does not.
    Refused(Refusal),
    /// That cannot be told, for want of these.
    CannotTell(Vec<Missing>),
}

/// Why a kernel refuses a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It has no signature, and the kernel loads signed modules only.
    Unsigned(Enforcer),
    /// It is signed, but not with a key that the kernel knows, and the kernel insists on one.
    UnknownKey(Enforcer, NotKnown),
    /// Its digest or algorithm is not built into the kernel, which insists on a signature.
    Digest(Enforcer, String),
    /// The kernel knows the key, and the file is not what was signed. Refused whether or not the kernel enforces.
    Changed(String),
    /// The signature makes no sense to the kernel. Refused whether or not the kernel enforces.
    Malformed(String),
}

/// What makes a kernel load signed modules only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enforcer {
    /// CONFIG_MODULE_SIG_FORCE, or a configuration that locks the kernel down.
    Built,
    /// `module.sig_enforce` among the kernel's parameters.
    SigEnforce,
    /// `lockdown=` among the kernel's parameters.
    Lockdown,
    /// Secure Boot, and a configuration that makes much of it.
    SecureBoot,
    /// The running kernel says so: `sig_enforce`.
    LiveSigEnforce,
    /// The running kernel says that it is locked down.
    LiveLockdown,
}

/// Why a kernel does not know a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotKnown {
    /// It is in no list that counts.
    NotListed,
    /// It is among the machine owner's keys, which count only while Secure Boot is on and shim validates.
    MokWithoutSecureBoot,
    /// It is in a list of the firmware or of shim, which a kernel of this configuration does not read.
    ListNotRead,
    /// It is among the running kernel's keys nowhere.
    NotLive,
}

/// What is missing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The kernel's configuration.
    Config,
    /// The parameters that the kernel is started with.
    Parameters,
    /// They differ from one boot entry to another.
    OneSetOfParameters,
    /// The firmware of the machine that the kernel is started on.
    Firmware,
    /// A start by way of shim, which hands over the machine owner's keys.
    Shim,
    /// A start by EFI.
    Efi,
    /// Whether the kernel takes keys that only the firmware or shim vouches for: a patch of some distributions.
    PlatformPatch,
    /// The keys that the kernel was built with.
    BuiltinKeys(String),
    /// The certificate of who signed.
    Signer,
    /// Whether the kernel can compute this digest or algorithm.
    Digest(String),
    /// Whether the content is what was signed: why that was not computed.
    Content(String),
    /// A form of signature that is understood here.
    Form(String),
    /// The certificate is on a list of what is not to be trusted; what a kernel makes of that differs.
    Unblocked,
    /// Which policy of IMA will be loaded.
    ImaPolicy,
    /// The file's content.
    File(String),
}

/// An answer that may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<Y, N> {
    /// Yes, and how so.
    Yes(Y),
    /// No, and why not.
    No(N),
    /// That is not known, for want of something.
    Unknown(Missing),
}

impl<Y: Clone, N: Clone> Answer<Y, N> {
    /// Each way in which the question can be answered, `true` for yes.
    fn ways(&self) -> &'static [bool] {
        match self {
            Self::Yes(_) => &[true],
            Self::No(_) => &[false],
            Self::Unknown(_) => &[true, false],
        }
    }
}

impl Verdict {
    /// True when the kernel loads it.
    pub fn loads(&self) -> bool {
        *self == Self::Loads
    }
}

/// The verdict on a module of a kernel. `live` is what the kernel itself says, where it is the one that runs: it wins over
/// configuration, parameters and variables.
pub fn verdict(kernel: &Words, boot: &Boot, live: Option<&Live>, bears: &Bears) -> Verdict {
    if kernel.ignores_signatures() {
        return Verdict::Loads;
    }
    let enforced = enforced(kernel, boot, live);
    let told = match bears {
        Bears::Unread(why) => return Verdict::CannotTell(vec![Missing::File(why.clone())]),
        Bears::Malformed(why) => return Verdict::Refused(Refusal::Malformed(why.clone())),
        Bears::Unfamiliar(why) => return Verdict::CannotTell(vec![Missing::Form(why.clone())]),
        Bears::Unsigned => unsigned(&enforced),
        Bears::Signed(signature) => signed(kernel, boot, live, &enforced, signature),
    };
    match told {
        Verdict::Loads if kernel.ima_policy => Verdict::CannotTell(vec![Missing::ImaPolicy]),
        told => told,
    }
}

fn unsigned(enforced: &Answer<Enforcer, ()>) -> Verdict {
    match enforced {
        Answer::Yes(enforcer) => Verdict::Refused(Refusal::Unsigned(*enforcer)),
        Answer::No(()) => Verdict::Loads,
        Answer::Unknown(missing) => Verdict::CannotTell(vec![missing.clone()]),
    }
}

/// Of a signed module: every way to answer the four questions.
fn signed(
    kernel: &Words,
    boot: &Boot,
    live: Option<&Live>,
    enforced: &Answer<Enforcer, ()>,
    signature: &Signature,
) -> Verdict {
    if signature.signer.is_some_and(|standing| standing.blocked) {
        return Verdict::CannotTell(vec![Missing::Unblocked]);
    }
    let able = able(kernel, signature);
    let known = known(kernel, boot, live, signature.signer.as_ref());
    if signature.carries_certificates && !matches!(known, Answer::Yes(_)) {
        // They may be a chain to a key that the kernel knows.
        return Verdict::CannotTell(vec![Missing::Form("it carries certificates of its own".to_owned())]);
    }
    let whole = whole(&signature.content);
    let sets = [enforced.ways(), able.ways(), known.ways(), whole.ways()];
    let ways = || {
        sets[0].iter().flat_map(|&e| {
            sets[1].iter().flat_map(move |&a| {
                sets[2].iter().flat_map(move |&k| sets[3].iter().map(move |&w| [e, a, k, w]))
            })
        })
    };
    let open = [missing(enforced), missing(&able), missing(&known), missing(&whole)];
    let mut wanting: Vec<Missing> = Vec::new();
    for (at, missing) in open.into_iter().enumerate() {
        let missing =
            missing.filter(|missing| !wanting.contains(missing) && ways().any(|way| decides(way, at)));
        wanting.extend(missing);
    }
    if !wanting.is_empty() {
        return Verdict::CannotTell(wanting);
    }
    match ways().next().map_or(Fate::Loads, fate) {
        Fate::Loads => Verdict::Loads,
        Fate::Changed => Verdict::Refused(Refusal::Changed(match whole {
            Answer::No(why) => why,
            _ => String::new(),
        })),
        Fate::NotAble => match (enforced, able) {
            (Answer::Yes(enforcer), Answer::No(digest)) => {
                Verdict::Refused(Refusal::Digest(*enforcer, digest))
            }
            _ => Verdict::Loads,
        },
        Fate::NotKnown => match (enforced, known) {
            (Answer::Yes(enforcer), Answer::No(why)) => Verdict::Refused(Refusal::UnknownKey(*enforcer, why)),
            // Known or not, it is refused: only what was computed is certain.
            (Answer::Yes(enforcer), _) => {
                Verdict::Refused(Refusal::UnknownKey(*enforcer, NotKnown::NotListed))
            }
            _ => Verdict::Loads,
        },
    }
}

fn missing<Y, N>(answer: &Answer<Y, N>) -> Option<Missing> {
    match answer {
        Answer::Unknown(missing) => Some(missing.clone()),
        _ => None,
    }
}

/// What a kernel does whose questions are all answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Loads,
    NotAble,
    NotKnown,
    Changed,
}

/// The order of the kernel: a digest that it does not have is found before the key is looked for, and the
/// content is checked with a key that was found. The first two are no obstacle unless signatures are enforced.
fn fate([enforced, able, known, whole]: [bool; 4]) -> Fate {
    match (able, known, whole) {
        (false, _, _) if enforced => Fate::NotAble,
        (true, false, _) if enforced => Fate::NotKnown,
        (true, true, false) => Fate::Changed,
        _ => Fate::Loads,
    }
}

/// True when the answer to one of the questions decides whether the module loads.
fn decides(way: [bool; 4], at: usize) -> bool {
    let mut other = way;
    if let Some(answer) = other.get_mut(at) {
        *answer = !*answer;
    }
    (fate(way) == Fate::Loads) != (fate(other) == Fate::Loads)
}

/// Whether the kernel can compute the digest and the algorithm.
fn able(kernel: &Words, signature: &Signature) -> Answer<(), String> {
    let digest = signature.digest.as_deref();
    match kernel.has(digest, signature.algorithm.as_deref()) {
        Some(true) => Answer::Yes(()),
        Some(false) => Answer::No(digest.unwrap_or("its digest").to_owned()),
        None => Answer::Unknown(Missing::Digest(digest.unwrap_or("an unknown digest").to_owned())),
    }
}

fn whole(content: &Content) -> Answer<(), String> {
    match content {
        Content::Good => Answer::Yes(()),
        Content::Changed(why) => Answer::No(why.clone()),
        Content::Unchecked(why) => Answer::Unknown(Missing::Content(why.clone())),
    }
}

impl Refusal {
    /// What is so of the kernel and not of the file, where there is something.
    pub fn of_a_kernel(&self) -> String {
        match self {
            Self::Unsigned(enforcer) | Self::UnknownKey(enforcer, _) | Self::Digest(enforcer, _) => {
                format!("it loads only signed modules, because {enforcer}")
            }
            Self::Changed(_) | Self::Malformed(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Enforcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Built => "it was built that way (CONFIG_MODULE_SIG_FORCE)",
            Self::SigEnforce => "module.sig_enforce is among its parameters",
            Self::Lockdown => "lockdown= is among its parameters",
            Self::SecureBoot => "Secure Boot is on",
            Self::LiveSigEnforce => "the running kernel enforces signatures (sig_enforce)",
            Self::LiveLockdown => "the running kernel is locked down",
        })
    }
}

impl fmt::Display for NotKnown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotListed => "its certificate is not enrolled",
            Self::MokWithoutSecureBoot => {
                "its certificate is among the machine owner's keys, which count only while Secure Boot is on"
            }
            Self::ListNotRead => "its certificate is enrolled, but this kernel does not read that list",
            Self::NotLive => "its certificate is not among the keys of the running kernel",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(enforcer) => {
                write!(f, "it is not signed, and the kernel loads only signed modules, because {enforcer}")
            }
            Self::UnknownKey(enforcer, why) => {
                write!(
                    f,
                    "{why}, and the kernel loads only modules signed with a key it knows, because {enforcer}"
                )
            }
            Self::Digest(enforcer, digest) => write!(
                f,
                "it is signed with {digest}, which is not built into the kernel, and the kernel checks \
                 signatures, because {enforcer}"
            ),
            Self::Changed(_) => f.write_str(
                "the file was changed after it was signed, and the kernel knows the key: it is refused even \
                 without Secure Boot, and without a word in the kernel's log",
            ),
            Self::Malformed(why) => write!(f, "the signature at its end {why}"),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config => f.write_str("the kernel's configuration"),
            Self::Parameters => f.write_str("the parameters that it is started with"),
            Self::OneSetOfParameters => {
                f.write_str("one set of parameters (its boot entries differ in what they enforce)")
            }
            Self::Firmware => f.write_str("the firmware of the machine that starts it"),
            Self::Shim => {
                f.write_str("a start by way of shim (this one was not, and so the owner's keys are not seen)")
            }
            Self::Efi => f.write_str("a start by EFI (this one was not)"),
            Self::PlatformPatch => f.write_str(
                "whether this kernel takes the firmware's keys for modules (a patch that Debian's kernels have)",
            ),
            Self::BuiltinKeys(named) => {
                write!(f, "the keys that it was built with (CONFIG_SYSTEM_TRUSTED_KEYS={named})")
            }
            Self::Signer => f.write_str("the certificate of who signed it"),
            Self::Digest(name) => write!(f, "whether {name} is at hand when the module is loaded (it is not built into the kernel)"),
            Self::Content(why) => write!(f, "whether the file is what was signed ({why})"),
            Self::Form(why) => write!(f, "how the kernel reads this signature ({why})"),
            Self::Unblocked => f.write_str(
                "a certificate that is not blocked (it is listed in dbx or MokListX, of which kernels make \
                 different things)",
            ),
            Self::ImaPolicy => f.write_str("the policy of IMA that is to be loaded"),
            Self::File(why) => write!(f, "the file's content ({why})"),
        }
    }
}
