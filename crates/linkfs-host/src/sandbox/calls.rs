//! Which calls of the kernel a confined process is refused, as a seccomp filter.
//!
//! Plugins are written in any language, whose runtimes make calls that nobody foresees. So this is a
//! list of what is refused, with EPERM; and whatever is newer than the list is answered as by a
//! kernel that does not know it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, sock_filter,
};

/// Of the calls that are numbered alike on all architectures, the first that the list does not know
/// (`setxattrat`, and what came after it). The numbers of x32 calls are beyond it as well.
const FIRST_UNKNOWN: u32 = 463;

/// Stands for the process's own number until it has one; larger than any.
const OWN_PID: u64 = 0x7fff_ffee;

const FCHMODAT2: i64 = 452;
const STATMOUNT: i64 = 457;
const LISTMOUNT: i64 = 458;

/// Data that goes with the request for a connection: the kernel's other checks look at `connect`.
const MSG_FASTOPEN: u64 = 0x2000_0000;
const TYPE_OF_SOCKET: u64 = 0xf;

/// Refused whatever the arguments.
const REFUSED: &[i64] = &[
    // Another program.
    libc::SYS_execve,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_kcmp,
    libc::SYS_tkill,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setattr,
    libc::SYS_sched_setaffinity,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // What its user's processes share.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semctl,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_msgget,
    libc::SYS_msgctl,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Memory that no limit counts.
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    // Incoming connections.
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // What Landlock leaves open to everyone who knows a path. Our own attributes share files.
    libc::SYS_truncate,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchownat,
    libc::SYS_fchown,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_getxattr,
    libc::SYS_lgetxattr,
    libc::SYS_fgetxattr,
    libc::SYS_listxattr,
    libc::SYS_llistxattr,
    libc::SYS_flistxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    STATMOUNT,
    LISTMOUNT,
    libc::SYS_setns,
    libc::SYS_unshare,
    // Parts of the kernel that are large, and that no plugin has business with.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_personality,
    // The machine.
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// Older ways to what is refused above.
#[cfg(target_arch = "x86_64")]
const REFUSED_OLD: &[i64] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_inotify_init,
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_OLD: &[i64] = &[];

/// A filter that is ready to be applied after a fork.
pub(super) struct Filter(BpfProgram);

impl Filter {
    /// The filter for a process that executes the descriptor `executable` and nothing else; `None`
    /// where there are no filters.
    pub(super) fn new(executable: RawFd) -> io::Result<Option<Filter>> {
        if !is_available() {
            return Ok(None);
        }
        let filter = program(executable as u64).map_err(io::Error::other)?;
        Ok(Some(Filter(filter)))
    }

    /// Holds this process to the filter for good. Makes system calls only.
    pub(super) fn apply(&mut self) -> io::Result<()> {
        let own_pid = rustix::process::getpid().as_raw_pid() as u32;
        for instruction in &mut self.0 {
            if u64::from(instruction.k) == OWN_PID {
                instruction.k = own_pid;
            }
        }
        match seccompiler::apply_filter(&self.0) {
            Ok(()) => Ok(()),
            Err(seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error)) => {
                Err(error)
            }
            Err(_) => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        }
    }
}

/// Whether this kernel takes filters, and we know the numbers of its calls.
pub(super) fn is_available() -> bool {
    let action = libc::SECCOMP_RET_ERRNO;
    let is_known = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
    // SAFETY: the call reads the one number it is given.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_ACTION_AVAIL,
            0,
            &raw const action,
        )
    };
    is_known && answer == 0
}

fn program(executable: u64) -> Result<BpfProgram, BackendError> {
    let filter = SeccompFilter::new(
        rules(executable)?,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        TargetArch::try_from(std::env::consts::ARCH)?,
    )?;
    let mut program = unknown_calls();
    program.extend(BpfProgram::try_from(filter)?);
    Ok(program)
}

/// Answers ENOSYS to calls newer than the list, and to `clone3`, whose flags a filter cannot see:
/// every library goes on with `clone` then. The others fall through.
fn unknown_calls() -> BpfProgram {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const IF_AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let instruction = |code: u32, jt, jf, k| sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let not_implemented = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    vec![
        // The call's number is the first thing that a filter is given.
        instruction(LOAD, 0, 0, 0),
        instruction(IF_AT_LEAST, 1, 0, FIRST_UNKNOWN),
        instruction(IF_EQUAL, 0, 1, libc::SYS_clone3 as u32),
        instruction(RETURN, 0, 0, not_implemented),
    ]
}

/// The calls that are refused, each always or when one of its rules holds.
fn rules(executable: u64) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let always = REFUSED.iter().chain(REFUSED_OLD);
    let mut rules: BTreeMap<_, _> = always.map(|&call| (call, Vec::new())).collect();
    for (call, when) in conditions(executable) {
        let when = when.into_iter().map(|all| {
            let all: Result<_, _> = all.into_iter().map(Condition::compile).collect();
            SeccompRule::new(all?)
        });
        rules.insert(call, when.collect::<Result<_, _>>()?);
    }
    Ok(rules)
}

/// What an argument has to be like, by its place.
struct Condition(u8, SeccompCmpOp, u64);

impl Condition {
    fn compile(self) -> Result<SeccompCondition, BackendError> {
        // All of these are `int`s and flags, of which the kernel takes the lower half.
        SeccompCondition::new(self.0, SeccompCmpArgLen::Dword, self.1, self.2)
    }
}

/// Any of the inner lists, all of whose conditions hold, makes the call a refused one.
fn conditions(executable: u64) -> Vec<(i64, Vec<Vec<Condition>>)> {
    use SeccompCmpOp::{Eq, MaskedEq, Ne};
    let is = |place, value| vec![Condition(place, Eq, value)];
    let is_not = |place, value| vec![Condition(place, Ne, value)];
    let has = |place, flags| vec![Condition(place, MaskedEq(flags), flags)];
    let other_process = || vec![is_not(0, OWN_PID)];
    vec![
        // The one start: no descriptor of a running program has that number.
        (
            libc::SYS_execveat,
            vec![is_not(0, executable), is_not(4, libc::AT_EMPTY_PATH as u64)],
        ),
        // Threads, yes; processes, no.
        (
            libc::SYS_clone,
            vec![vec![Condition(0, MaskedEq(libc::CLONE_THREAD as u64), 0)]],
        ),
        (libc::SYS_kill, other_process()),
        (libc::SYS_tgkill, other_process()),
        (libc::SYS_rt_sigqueueinfo, other_process()),
        (libc::SYS_rt_tgsigqueueinfo, other_process()),
        (libc::SYS_prlimit64, vec![is_not(0, 0)]),
        // Ways to have the kernel send a signal.
        (
            libc::SYS_fcntl,
            [libc::F_SETOWN, F_SETSIG, F_SETOWN_EX]
                .map(|what| is(1, what as u64))
                .into(),
        ),
        (
            libc::SYS_ioctl,
            [FIOSETOWN, SIOCSPGRP, TIOCSTI]
                .map(|what| is(1, what))
                .into(),
        ),
        // Otherwise it would outlive its host.
        (libc::SYS_prctl, vec![is(0, libc::PR_SET_PDEATHSIG as u64)]),
        (libc::SYS_socket, other_sockets()),
        (libc::SYS_socketpair, other_pairs()),
        (libc::SYS_sendto, vec![has(3, MSG_FASTOPEN)]),
        (libc::SYS_sendmsg, vec![has(2, MSG_FASTOPEN)]),
        (libc::SYS_sendmmsg, vec![has(3, MSG_FASTOPEN)]),
    ]
}

const F_SETSIG: i32 = 10;
const F_SETOWN_EX: i32 = 15;
const FIOSETOWN: u64 = 0x8901;
const SIOCSPGRP: u64 = 0x8902;
const TIOCSTI: u64 = 0x5412;

/// All but TCP. Other protocols over streams are not seen by Landlock's check of connections.
fn other_sockets() -> Vec<Vec<Condition>> {
    use SeccompCmpOp::Ne;
    let mut refused = other_types(&[libc::SOCK_STREAM]);
    refused.push(vec![
        Condition(0, Ne, libc::AF_INET as u64),
        Condition(0, Ne, libc::AF_INET6 as u64),
    ]);
    refused.push(vec![
        Condition(2, Ne, 0),
        Condition(2, Ne, libc::IPPROTO_TCP as u64),
    ]);
    refused
}

/// Runtimes wake themselves with pairs. One end of a pair of datagram sockets can be sent elsewhere.
fn other_pairs() -> Vec<Vec<Condition>> {
    let mut refused = other_types(&[libc::SOCK_STREAM, libc::SOCK_SEQPACKET]);
    refused.push(vec![Condition(0, SeccompCmpOp::Ne, libc::AF_UNIX as u64)]);
    refused
}

fn other_types(allowed: &[i32]) -> Vec<Vec<Condition>> {
    let types = (0..=TYPE_OF_SOCKET).filter(|&kind| !allowed.contains(&(kind as i32)));
    let refused =
        types.map(|kind| vec![Condition(1, SeccompCmpOp::MaskedEq(TYPE_OF_SOCKET), kind)]);
    refused.collect()
}
