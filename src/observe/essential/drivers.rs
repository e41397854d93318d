//! Which kernel modules a machine depends on, by what its kernel says.
//!
//! Sources: proc_pid_mountinfo(5), fstab(5), proc_pid_net(5) and the kernel's Documentation/ABI/testing/sysfs-class-net and
//! sysfs-bus-pci.

use std::collections::BTreeSet;
use std::path::Path;

use crate::fs::look::read_dir;
use crate::fs::regular;
use crate::fs::root::Root;
use crate::model::essential::Because;

/// Mount points without which there is no system to speak of.
const SYSTEM: [&str; 2] = ["/", "/usr"];

/// RTF_UP in the fourth field of `/proc/net/route`.
const UP: u32 = 1;

/// How many layers of bridges, bonds and VLANs are followed down to a card.
const LAYERS: usize = 8;

/// Each module by its name in the kernel, and what it is needed for.
pub(super) fn needed(root: &Root) -> BTreeSet<(String, Because)> {
    let mut needed: BTreeSet<(String, Because)> = file_systems(root).into_iter().collect();
    // In a chroot these would be the machine's that it is on.
    if !(root.is_slash() && root.is_foreign()) {
        for interface in default_routes(root) {
            let because = Because::Network { interface: interface.clone() };
            let drivers = drivers_of(root, &interface, LAYERS);
            needed.extend(drivers.into_iter().map(|driver| (driver, because.clone())));
        }
        needed.extend(displays(root));
    }
    needed
}

fn text(root: &Root, inside: &str) -> String {
    let bytes = regular::read_up_to(&root.path(inside), 1 << 24).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the system's own mount points are, mounted now or by fstab.
fn file_systems(root: &Root) -> Vec<(String, Because)> {
    let mounted =
        if root.is_slash() && root.is_foreign() { String::new() } else { text(root, "/proc/self/mountinfo") };
    let now = mounted.lines().filter_map(|line| {
        let (fields, rest) = line.split_once(" - ")?;
        Some((fields.split(' ').nth(4)?.to_owned(), rest.split(' ').next()?.to_owned()))
    });
    let table = text(root, "/etc/fstab");
    let at_boot = table.lines().filter(|line| !line.trim_start().starts_with('#')).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        Some((fields.next()?.to_owned(), fields.next()?.to_owned()))
    });
    let system = now.chain(at_boot).filter(|(at, _)| SYSTEM.contains(&at.as_str()));
    system.map(|(at, kind)| (kind, Because::FileSystem { at })).collect()
}

/// The interfaces of all default routes, of IPv4 and IPv6.
fn default_routes(root: &Root) -> BTreeSet<String> {
    let mut interfaces = BTreeSet::new();
    for line in text(root, "/proc/net/route").lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [interface, "00000000", _, flags, _, _, _, "00000000", ..] = fields[..] else { continue };
        if u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & UP != 0) {
            interfaces.insert(interface.to_owned());
        }
    }
    for line in text(root, "/proc/net/ipv6_route").lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [destination, "00", .., flags, interface] = fields[..] else { continue };
        let up = u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & UP != 0);
        if up && interface != "lo" && destination.bytes().all(|digit| digit == b'0') {
            interfaces.insert(interface.to_owned());
        }
    }
    interfaces
}

/// The modules of an interface's card, or of those below a bridge, bond or VLAN.
fn drivers_of(root: &Root, interface: &str, layers: usize) -> BTreeSet<String> {
    let dir = root.path("/sys/class/net").join(interface);
    let mut drivers: BTreeSet<String> = driver(&dir.join("device")).into_iter().collect();
    if layers == 0 {
        return drivers;
    }
    let below = read_dir(&dir).filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_prefix("lower_").map(str::to_owned)
    });
    for lower in below {
        drivers.extend(drivers_of(root, &lower, layers - 1));
    }
    drivers
}

/// The module of a device in sysfs. A driver may have another name than its module.
fn driver(device: &Path) -> Option<String> {
    let name = |link: &Path| Some(std::fs::read_link(link).ok()?.file_name()?.to_str()?.to_owned());
    name(&device.join("driver/module")).or_else(|| name(&device.join("driver")))
}

/// Cards that the kernel draws on, and display controllers on the bus: a driver need not have a card.
fn displays(root: &Root) -> Vec<(String, Because)> {
    let of = |device: String, place: &Path| Some((driver(place)?, Because::Display { device }));
    let cards = read_dir(&root.path("/sys/class/drm")).filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let number = name.strip_prefix("card")?;
        // `card0-HDMI-A-1` is a plug of it.
        let card = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
        card.then(|| of(name.clone(), &entry.path().join("device"))).flatten()
    });
    let controllers = read_dir(&root.path("/sys/bus/pci/devices")).filter_map(|entry| {
        let class = regular::read_up_to(&entry.path().join("class"), 64).ok()?;
        class.starts_with(b"0x03").then(|| of(entry.file_name().into_string().ok()?, &entry.path())).flatten()
    });
    let mut found: Vec<(String, Because)> = Vec::new();
    for (driver, because) in cards.chain(controllers) {
        if !found.iter().any(|(known, _)| *known == driver) {
            found.push((driver, because));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(root: &Root, inside: &str, text: &str) {
        let path = root.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn link(root: &Root, inside: &str, to: &str) {
        let path = root.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(to, path).unwrap();
    }

    #[test]
    fn what_a_machine_depends_on_is_in_its_mounts_routes_and_devices() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        assert!(needed(&root).is_empty());
        write(
            &root,
            "/proc/self/mountinfo",
            "22 1 0:25 / / rw,relatime shared:1 - zfs rpool/ROOT rw\n30 22 8:1 / /boot rw - ext4 /dev/sda1 rw\n",
        );
        write(&root, "/etc/fstab", "# /x /usr xfs\nUUID=1 /usr bcachefs defaults 0 1\nUUID=2 /home f2fs x\n");
        write(
            &root,
            "/proc/net/route",
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
             br0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
             eth1\t00000000\t0100A8C0\t0002\t0\t0\t0\t00000000\t0\t0\t0\n\
             eth2\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
        );
        let zeros = "0".repeat(32);
        let route = |up, interface| {
            format!("{zeros} 00 {zeros} 00 fe80{} 00000400 1 0 {up} {interface}\n", "0".repeat(28))
        };
        let routes = route("00000003", "wlan0") + &route("00200200", "lo") + &route("00000000", "eth3");
        write(&root, "/proc/net/ipv6_route", &routes);
        std::fs::create_dir_all(root.path("/sys/class/net/br0")).unwrap();
        link(&root, "/sys/class/net/br0/lower_eth0", "../eth0");
        for (interface, driver) in [("eth0", "e1000e"), ("eth1", "one"), ("eth2", "two"), ("eth3", "three")] {
            link(&root, &format!("/sys/class/net/{interface}/device/driver"), &format!("/x/{driver}"));
        }
        std::fs::create_dir_all(root.path("/sys/class/net/wlan0/device/driver")).unwrap();
        link(&root, "/sys/class/net/wlan0/device/driver/module", "../../../../module/rtl88x2");
        link(&root, "/sys/class/drm/card0/device/driver", "/x/i915");
        link(&root, "/sys/class/drm/card0-DP-1/device/driver", "/x/plug");
        write(&root, "/sys/bus/pci/devices/0000:01:00.0/class", "0x030000\n");
        link(&root, "/sys/bus/pci/devices/0000:01:00.0/driver", "/x/nvidia");
        write(&root, "/sys/bus/pci/devices/0000:02:00.0/class", "0x020000\n");
        link(&root, "/sys/bus/pci/devices/0000:02:00.0/driver", "/x/e1000e");

        let found: Vec<String> =
            needed(&root).into_iter().map(|(driver, because)| format!("{driver}: {because}")).collect();
        assert_eq!(
            found,
            [
                "bcachefs: /usr is on such a file system",
                "e1000e: the network card br0 has the default route",
                "i915: the display card0 uses it",
                "nvidia: the display 0000:01:00.0 uses it",
                "rtl88x2: the network card wlan0 has the default route",
                "zfs: / is on such a file system",
            ]
        );
    }

    #[test]
    fn layers_that_lead_in_a_circle_come_to_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::at(dir.path());
        link(&root, "/sys/class/net/a/lower_b", "../b");
        link(&root, "/sys/class/net/b/lower_a", "../a");
        assert!(drivers_of(&root, "a", LAYERS).is_empty());
    }
}
