use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::thread;

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::oneshot;

/// A plugin's process, and the pipes to it. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct PluginChild {
    pub(crate) pid: u32,
    pidfd: OwnedFd,
}

/// What is to be done with a new process.
#[derive(Debug)]
pub(crate) struct Pipes {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) stderr: ChildStderr,
    /// How it ended.
    pub(crate) ended: oneshot::Receiver<ExitStatus>,
}

impl PluginChild {
    /// Starts a process with `spawn`, on a thread of its own, which ends with it: the kernel kills the
    /// process when the thread that started it is gone, and so it never outlives us.
    pub(crate) async fn start(
        spawn: impl FnOnce() -> io::Result<Child> + Send + 'static,
    ) -> io::Result<(PluginChild, Pipes)> {
        let (started, starting) = oneshot::channel();
        let (tell_end, ended) = oneshot::channel();
        thread::Builder::new()
            .name("plugin".to_owned())
            .spawn(move || {
                let child = spawn().and_then(|child| Ok((pidfd(&child)?, child)));
                match child {
                    Err(error) => {
                        let _nobody_asks = started.send(Err(error));
                    }
                    Ok((pidfd, mut child)) => {
                        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
                        if let Err(Ok(unwanted)) = started.send(Ok((child.id(), pidfd, pipes))) {
                            kill(&unwanted.1);
                        }
                        end_group_after(&child);
                        if let Ok(status) = child.wait() {
                            let _nobody_asks = tell_end.send(status);
                        }
                    }
                }
            })?;
        let (pid, pidfd, pipes) = starting
            .await
            .map_err(|_| io::Error::other("the thread that starts it died"))??;
        let child = PluginChild { pid, pidfd };
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::Error::other("it has no pipes"));
        };
        let pipes = Pipes {
            stdin: ChildStdin::from_std(stdin)?,
            stdout: ChildStdout::from_std(stdout)?,
            stderr: ChildStderr::from_std(stderr)?,
            ended,
        };
        Ok((child, pipes))
    }

    /// Ends the process at once, if it is there still.
    pub(crate) fn kill(&self) {
        kill(&self.pidfd);
    }
}

impl Drop for PluginChild {
    fn drop(&mut self) {
        self.kill();
    }
}

fn kill(pidfd: &OwnedFd) {
    // It fails when the process has ended, which is what is wanted.
    let _gone = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
}

/// Waits for the end of a process that leads a group, and ends what is left of the group: it could hold our
/// pipes. The process is not collected yet, so the group's number is nobody else's.
fn end_group_after(leader: &Child) {
    let pid = Pid::from_child(leader);
    let end = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    // One that is collected already has no group that could be told from another.
    let ended = rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(pid), end));
    if ended.is_err() {
        return;
    }
    // It fails when it leads none.
    let _gone = rustix::process::kill_process_group(pid, Signal::KILL);
}

/// A pidfd names this very process also when its number has been given to another.
fn pidfd(child: &Child) -> io::Result<OwnedFd> {
    let pid = Pid::from_child(child);
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}
