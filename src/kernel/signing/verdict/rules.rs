//! The two questions that are about a kernel: does it enforce, and does it know a certificate?

use super::facts::{Boot, Config, Live, Standing, Words};
use super::{Answer, Enforcer, Missing, NotKnown};
use crate::trust::firmware::SecureBoot;

/// How a kernel knows a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knows {
    /// It was built with it.
    Builtin,
    /// By the machine owner's keys.
    Mok,
    /// By the firmware's `db`.
    Db,
    /// It is among the keys of the running kernel.
    Live,
}

/// Whether a kernel refuses modules without a signature of a key that it knows.
pub fn enforced(kernel: &Words, boot: &Boot, live: Option<&Live>) -> Answer<Enforcer, ()> {
    if let Some(answer) = live.and_then(Live::enforces) {
        return answer.map_or(Answer::No(()), Answer::Yes);
    }
    let Some(config) = &kernel.config else { return Answer::Unknown(Missing::Config) };
    if config.enforces {
        return Answer::Yes(Enforcer::Built);
    }
    let by_parameters = by_parameters(kernel, config);
    if let Answer::Yes(enforcer) = by_parameters {
        return Answer::Yes(enforcer);
    }
    if config.enforces_under_secure_boot {
        match boot.secure {
            SecureBoot::On => return Answer::Yes(Enforcer::SecureBoot),
            SecureBoot::Unknown => return Answer::Unknown(Missing::Firmware),
            SecureBoot::Off | SecureBoot::OffInShim | SecureBoot::NoEfi => {}
        }
    }
    by_parameters
}

fn by_parameters(kernel: &Words, config: &Config) -> Answer<Enforcer, ()> {
    match kernel.asked() {
        Err(missing) => Answer::Unknown(missing),
        Ok(asked) if asked.sig_enforce => Answer::Yes(Enforcer::SigEnforce),
        // Without its security module the parameter is none of the kernel's.
        Ok(asked) if asked.lockdown && config.lockdown => {
            match asked.lsm_without_lockdown && !config.lockdown_early {
                true => Answer::Unknown(Missing::Parameters),
                false => Answer::Yes(Enforcer::Lockdown),
            }
        }
        Ok(_) => Answer::No(()),
    }
}

impl Live {
    /// What enforces in the running kernel; `None` when that cannot be seen.
    fn enforces(&self) -> Option<Option<Enforcer>> {
        match (self.sig_enforce, self.lockdown) {
            (Some(true), _) => Some(Some(Enforcer::LiveSigEnforce)),
            (_, Some(true)) => Some(Some(Enforcer::LiveLockdown)),
            (Some(false), Some(false)) => Some(None),
            _ => None,
        }
    }
}

/// Whether a kernel takes modules signed with a certificate's key. `signer` is nothing for one of
/// which nothing is known at all.
pub fn known(
    kernel: &Words,
    boot: &Boot,
    live: Option<&Live>,
    signer: Option<&Standing>,
) -> Answer<Knows, NotKnown> {
    let Some(standing) = signer.copied() else { return Answer::Unknown(Missing::Signer) };
    if standing.kernels_own {
        return Answer::Yes(Knows::Builtin);
    }
    if let Some(known) = standing.live.filter(|_| live.is_some()) {
        return match known {
            true => among_live(kernel, boot, standing),
            false => Answer::No(NotKnown::NotLive),
        };
    }
    let Some(config) = &kernel.config else { return Answer::Unknown(Missing::Config) };
    by_lists(config, boot, standing)
}

/// Of a certificate that the running kernel has, in one keyring or another.
fn among_live(kernel: &Words, boot: &Boot, standing: Standing) -> Answer<Knows, NotKnown> {
    // In neither list: it was built in, or added to the trusted ones.
    let from_a_list = standing.mok || standing.db;
    let as_mok =
        |config: &Config| standing.mok && boot.takes_moks() && config.machine_keyring && boot.moks_trusted;
    match &kernel.config {
        _ if !from_a_list => Answer::Yes(Knows::Live),
        Some(config) if config.takes_platform_keys || as_mok(config) => Answer::Yes(Knows::Live),
        Some(_) => Answer::Unknown(Missing::PlatformPatch),
        None => Answer::Unknown(Missing::Config),
    }
}

fn by_lists(config: &Config, boot: &Boot, standing: Standing) -> Answer<Knows, NotKnown> {
    let in_a_list = standing.mok && boot.takes_moks() || standing.db && !boot.db_ignored;
    if in_a_list && config.reads_lists {
        if standing.mok && boot.takes_moks() {
            if config.takes_platform_keys || config.machine_keyring && boot.moks_trusted {
                return Answer::Yes(Knows::Mok);
            }
        } else if config.takes_platform_keys {
            return Answer::Yes(Knows::Db);
        }
        return Answer::Unknown(Missing::PlatformPatch);
    }
    match boot.secure {
        SecureBoot::Unknown => return Answer::Unknown(Missing::Firmware),
        SecureBoot::NoEfi => return Answer::Unknown(Missing::Efi),
        SecureBoot::On if !boot.shim => return Answer::Unknown(Missing::Shim),
        SecureBoot::On | SecureBoot::Off | SecureBoot::OffInShim => {}
    }
    if let Some(named) = &config.trusted_keys {
        return Answer::Unknown(Missing::BuiltinKeys(named.clone()));
    }
    Answer::No(match (in_a_list, standing.mok) {
        (true, _) => NotKnown::ListNotRead,
        (false, true) => NotKnown::MokWithoutSecureBoot,
        (false, false) => NotKnown::NotListed,
    })
}
