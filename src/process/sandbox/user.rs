//! The user that confined programs run as.
//!
//! The package installs one of its own (`_dkms-build`, by sysusers.d(5)). Where there is none, or another build of this
//! run has it, it is a number that nobody has: no line of passwd(5) or group(5), and no process. Two builds of a run
//! never share one, so that neither can reach the other's files, and all that a build started can be ended by it. They
//! are in one group, which may use what belongs to the run: its job server.

use std::collections::BTreeSet;
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// The user that the package brings (`packaging/sysusers.d/dkms-hook.conf`).
pub const NAME: &str = "_dkms-build";

/// Numbers that no distribution gives away: between systemd's ranges for home directories and for services without a
/// user of their own (systemd.io/UIDS-GIDS). Below 65,536, so that containers have them, too.
const UNUSED: std::ops::RangeInclusive<u32> = 60_706..=61_183;

/// A user, for as long as this is kept.
#[derive(Debug)]
pub(super) struct User {
    pub uid: u32,
    pub gid: u32,
    /// Whether it has a name.
    pub named: bool,
    /// Keeps other runs on this machine from it, which may work in other roots under locks of their own.
    _reserved: Option<UnixListener>,
}

/// The numbers that this process uses just now.
static TAKEN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Those that somebody else has: looked up once.
static FOREIGN: LazyLock<Foreign> = LazyLock::new(Foreign::look);

struct Foreign {
    /// Number and group of the package's user.
    own: Option<(u32, u32)>,
    others: BTreeSet<u32>,
}

impl Foreign {
    fn look() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let (users, groups) = (text("/etc/passwd"), text("/etc/group"));
        let mut others: BTreeSet<u32> = numbers(&users).chain(numbers(&groups)).collect();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        others.extend(processes.filter_map(|entry| {
            entry.file_name().to_str()?.parse::<u32>().ok()?;
            entry.metadata().ok().map(|process| process.uid())
        }));
        Self { own: own(&users), others }
    }
}

/// The third field of each line: the number, in passwd(5) and in group(5).
fn numbers(table: &str) -> impl Iterator<Item = u32> {
    table.lines().filter_map(|line| line.split(':').nth(2)?.parse().ok())
}

/// The package's user. One that somebody gave root's number is none.
fn own(users: &str) -> Option<(u32, u32)> {
    let line = users.lines().find(|line| line.split(':').next() == Some(NAME))?;
    let mut fields = line.split(':').skip(2);
    let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (uid != 0 && gid != 0).then_some((uid, gid))
}

impl User {
    /// One with this number, for tests of words.
    #[cfg(test)]
    pub(super) fn fixture(uid: u32) -> Self {
        Self { uid, gid: uid, named: false, _reserved: None }
    }

    /// One that nobody else has. `None` where all are taken, or this user namespace has none of them.
    pub(super) fn choose() -> Option<Self> {
        let mut taken = taken();
        let free = |uid: u32| is_mapped(uid).then_some(uid);
        let own = FOREIGN.own.filter(|(uid, _)| !taken.contains(uid) && free(*uid).is_some());
        let own = own.and_then(|(uid, gid)| Some((uid, gid, reserve(uid).ok()?)));
        let user = match own {
            Some((uid, gid, _reserved)) => Self { uid, gid, named: true, _reserved },
            None => {
                let group = group();
                let unused =
                    |uid: &u32| *uid != group && !taken.contains(uid) && !FOREIGN.others.contains(uid);
                let reserved = |uid: u32| Some((free(uid)?, reserve(uid).ok()?));
                let (uid, _reserved) = UNUSED.filter(unused).find_map(reserved)?;
                Self { uid, gid: group, named: false, _reserved }
            }
        };
        taken.insert(user.uid);
        Some(user)
    }
}

/// Reserves a number for this process, by a name that only one can have (unix(7), abstract names) and that goes away
/// with it. `Err`: another has it. Where there are no such names, nothing is reserved.
fn reserve(uid: u32) -> Result<Option<UnixListener>, ()> {
    let address = SocketAddr::from_abstract_name(format!("dkms-hook-build-user-{uid}"));
    match address.and_then(|address| UnixListener::bind_addr(&address)) {
        Ok(reserved) => Ok(Some(reserved)),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Err(()),
        Err(_) => Ok(None),
    }
}

/// The group of all of them: that of the package's user, else the last free number of the range, which no user gets.
fn group() -> u32 {
    let unused = || UNUSED.rev().find(|gid| !FOREIGN.others.contains(gid)).unwrap_or(*UNUSED.end());
    FOREIGN.own.map_or_else(unused, |(_, gid)| gid)
}

impl Drop for User {
    fn drop(&mut self) {
        taken().remove(&self.uid);
    }
}

fn taken() -> MutexGuard<'static, BTreeSet<u32>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether this user namespace knows a number, as a user and as a group (user_namespaces(7)).
fn is_mapped(id: u32) -> bool {
    ["/proc/self/uid_map", "/proc/self/gid_map"].iter().all(|file| {
        // Without /proc, whoever becomes that user finds out.
        fs::read_to_string(file).map_or(true, |map| map.lines().any(|line| holds(line, id)))
    })
}

fn holds(line: &str, id: u32) -> bool {
    let mut fields = line.split_whitespace().map(|field| field.parse::<u64>().ok());
    match (fields.next().flatten(), fields.nth(1).flatten()) {
        (Some(first), Some(count)) => (first..first.saturating_add(count)).contains(&u64::from(id)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\n_dkms-build:x:987:986:::/usr/sbin/nologin\nbroken\n";

    #[test]
    fn the_packages_user_is_known_by_its_name() {
        assert_eq!(own(USERS), Some((987, 986)));
        assert_eq!(own("root:x:0:0\n_dkms-build-2:x:5:5::\n"), None);
        assert_eq!(own("_dkms-build:x:0:986::\n"), None, "root by another name");
        assert_eq!(numbers(USERS).collect::<Vec<_>>(), [0, 987]);
    }

    #[test]
    fn no_two_have_the_same_number() {
        // A user namespace may have nobody else.
        let (Some(one), Some(two)) = (User::choose(), User::choose()) else { return };
        assert_ne!(one.uid, two.uid);
        assert!(one.uid != 0 && one.gid != 0);
    }

    #[test]
    fn a_namespace_has_the_numbers_of_its_map() {
        assert!(holds("         0          0 4294967295", 61_000));
        assert!(holds("0 100000 65536", 61_000) && !holds("0 1000 1", 61_000) && !holds("", 0));
    }
}
