//! The filter of system calls (seccomp(2)): the layer that needs no namespace, no mount and no right.
//!
//! A build compiles. It opens no socket, so it needs none: neither TCP nor UDP, nor the pipes to the machine's
//! services that lie in directories (where Landlock knows no rule for them). It traces nobody, mounts nothing, and
//! makes no user namespace, in which it would be root of its own and could reach parts of the kernel that others
//! cannot. What is refused fails with EPERM, as it does for any unprivileged program that may not do it.

use nix::libc::{self, c_long, sock_filter};

/// seccomp(2), "struct seccomp_data": where the number of the call is, the architecture, the first argument.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// The lower half of the first argument, on a machine whose lower half comes first.
const FIRST_ARGUMENT: u32 = 16;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

/// The call numbers of one architecture.
struct Table {
    /// AUDIT_ARCH_… of linux/audit.h.
    architecture: u32,
    /// Refused.
    refused: &'static [c_long],
    /// Their flags say whether they make a user namespace.
    clone: c_long,
    /// The same with its flags in memory, where a filter cannot look: said not to exist, as old kernels have it.
    clone3: c_long,
    /// Numbers from here on are another architecture's ways to the same calls.
    end: Option<u32>,
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
const REFUSED: &[c_long] = &[
    libc::SYS_socket,
    libc::SYS_io_uring_setup,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_mount_setattr,
];

#[cfg(target_arch = "x86_64")]
const TABLES: &[Table] = &[
    Table {
        architecture: 0xc000_003e,
        refused: REFUSED,
        clone: libc::SYS_clone,
        clone3: libc::SYS_clone3,
        // x32.
        end: Some(0x4000_0000),
    },
    // Programs of 32 bits, and those that call the kernel as these do: the numbers of
    // arch/x86/entry/syscalls/syscall_32.tbl, in the order of the list above. socketcall does what socket does.
    Table {
        architecture: 0x4000_0003,
        refused: &[
            359, 102, 425, 26, 347, 348, 286, 287, 288, 357, 336, 374, 310, 346, 21, 52, 217, 428, 429, 430,
            442,
        ],
        clone: 120,
        clone3: 435,
        end: None,
    },
];

#[cfg(target_arch = "aarch64")]
const TABLES: &[Table] = &[Table {
    architecture: 0xc000_00b7,
    refused: REFUSED,
    clone: libc::SYS_clone,
    clone3: libc::SYS_clone3,
    end: None,
}];

#[cfg(target_arch = "riscv64")]
const TABLES: &[Table] = &[Table {
    architecture: 0xc000_00f3,
    refused: REFUSED,
    clone: libc::SYS_clone,
    clone3: libc::SYS_clone3,
    end: None,
}];

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
const TABLES: &[Table] = &[];

/// The filter for this processor; none for one whose numbers are not known here.
pub(super) fn program() -> Option<Vec<sock_filter>> {
    if TABLES.is_empty() {
        return None;
    }
    let mut program = Vec::new();
    for table in TABLES {
        let body = body(table);
        // Over the body, if it is another architecture.
        program.push(load(ARCHITECTURE));
        program.push(equal(table.architecture, 1, 0));
        program.push(jump(u32::try_from(body.len()).unwrap_or(u32::MAX)));
        program.extend(body);
    }
    // An architecture that this processor can do and the tables do not have.
    program.push(refuse(ENOSYS));
    Some(program)
}

/// What is said of the calls of one architecture. It ends with an answer.
fn body(table: &Table) -> Vec<sock_filter> {
    let number = |call: c_long| u32::try_from(call).unwrap_or(u32::MAX);
    let mut body = vec![load(NUMBER)];
    if let Some(end) = table.end {
        body.extend([at_least(end, 0, 1), refuse(ENOSYS)]);
    }
    for call in table.refused {
        body.extend([equal(number(*call), 0, 1), refuse(EPERM)]);
    }
    body.extend([equal(number(table.clone3), 0, 1), refuse(ENOSYS)]);
    let new_user = u32::try_from(libc::CLONE_NEWUSER).unwrap_or(u32::MAX);
    body.extend([
        equal(number(table.clone), 0, 3),
        load(FIRST_ARGUMENT),
        any_bit(new_user, 0, 1),
        refuse(EPERM),
        answer(libc::SECCOMP_RET_ALLOW),
    ]);
    body
}

fn instruction(code: u32, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code: u16::try_from(code).unwrap_or(u16::MAX), jt: yes, jf: no, k }
}

fn load(offset: u32) -> sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

fn equal(value: u32, yes: u8, no: u8) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, yes, no)
}

fn at_least(value: u32, yes: u8, no: u8) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, value, yes, no)
}

fn any_bit(bits: u32, yes: u8, no: u8) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, bits, yes, no)
}

fn jump(over: u32) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JA, over, 0, 0)
}

fn answer(value: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, value, 0, 0)
}

fn refuse(errno: u32) -> sock_filter {
    answer(libc::SECCOMP_RET_ERRNO | errno)
}
