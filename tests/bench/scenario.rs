use std::time::{Duration, Instant};

use linkfs_emulator::Pacing;

use crate::figures::Target;
use crate::listing::Tool;
use crate::load::Load;
use crate::mount::{self, Attempt, Mount};
use crate::rig::Rig;
use crate::stock::{Check, Stock};
use crate::warm::warm_memory;
use crate::{cached, carriage, curl, first_byte, listing, peer, share};

/// Something to be measured, and what is expected of it.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What exactly the two sides do.
    pub(crate) about: &'static str,
    pub(crate) stock: Stock,
    pub(crate) work: Work,
    pub(crate) pacing: Pacing,
    /// How slow the drive is for the limit's side.
    pub(crate) limit_pacing: Pacing,
    pub(crate) target: Target,
    /// The most bytes that the drive may serve for each that was asked for.
    pub(crate) bytes_at_most: Option<f64>,
    /// The most memory that the mount's process may have, in bytes.
    pub(crate) memory_at_most: Option<u64>,
    /// Done once, and not at all in a quick run unless it is named.
    pub(crate) is_long: bool,
}

/// What is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    /// In a fresh mount whose folder was listed; the limit is curl with signed links.
    Read(Load),
    /// As [`Work::Read`], of a file that was read before; the limit is the local disk.
    ReadAgain(Load),
    /// The head of the first file of a fresh mount.
    FirstByte,
    /// The heads of the files behind it.
    NextByte,
    /// A tool in a fresh mount; the limit is the list calls of the first folder, if that is all.
    Look { tool: Tool, has_limit: bool },
    /// A tool in a mount where it was used before; there is no limit.
    LookAgain(Tool),
    /// A link for other people to each of some files.
    Share,
    /// A question to a plugin in a process of its own; the limit is the same plugin in this process.
    Ask(carriage::Question),
}

/// What a scenario came to, round by round.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) scenario: Scenario,
    pub(crate) limits: Vec<Duration>,
    pub(crate) attempts: Vec<Attempt>,
    /// What rclone takes, if it takes part.
    pub(crate) peers: Vec<Duration>,
}

impl Scenario {
    /// Measures both sides in turns.
    ///
    /// # Panics
    /// When something fails, or wrong bytes come.
    pub(crate) fn measure(self, rig: &Rig, rounds: usize) -> Measured {
        let rounds = if self.is_long { 1 } else { rounds };
        let (mut limits, mut attempts, mut peers) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds as u64 {
            // Whatever is prepared is prepared at full speed.
            self.work.prepare(rig);
            let (limit, attempt) = self.sides(rig, round);
            limits.extend(limit);
            attempts.push(attempt);
            // Checking what linkfs gave was not slowed down.
            rig.cloud.pace(&self.pacing);
            peers.extend(self.work.peer(rig, round));
            rig.cloud.pace(&Pacing::default());
        }
        Measured {
            scenario: self,
            limits,
            attempts,
            peers,
        }
    }

    /// One round: what the limit takes, if there is one, and what linkfs takes.
    fn sides(&self, rig: &Rig, round: u64) -> (Option<Duration>, Attempt) {
        let apart = |limit: &dyn Fn() -> Option<Duration>, linkfs: &dyn Fn() -> Attempt| {
            rig.cloud.pace(&self.limit_pacing);
            let limit = limit();
            rig.cloud.pace(&self.pacing);
            (limit, linkfs())
        };
        match &self.work {
            Work::Read(load) => apart(&|| Some(read_with_curl(rig, load, round)), &|| {
                read_mounted(rig, load, round)
            }),
            Work::ReadAgain(load) => cached::in_turns(rig, load, round),
            Work::FirstByte => apart(&|| Some(first_byte::limit_of_cold(rig)), &|| {
                first_byte::cold(rig)
            }),
            Work::NextByte => apart(&|| Some(first_byte::limit_of_next(rig)), &|| {
                first_byte::next(rig)
            }),
            Work::Look { tool, has_limit } => {
                apart(&|| has_limit.then(|| listing::limit(rig)), &|| {
                    listing::cold(rig, *tool)
                })
            }
            Work::LookAgain(tool) => apart(&|| None, &|| listing::again(rig, *tool)),
            Work::Share => apart(&|| Some(share::limit(rig, round)), &|| {
                share::linkfs(rig, round)
            }),
            Work::Ask(question) => apart(&|| Some(carriage::limit(*question)), &|| {
                carriage::linkfs(*question)
            }),
        }
    }
}

impl Work {
    fn prepare(&self, rig: &Rig) {
        match self {
            Work::Read(_) | Work::FirstByte | Work::NextByte => drop(rig.urls()),
            Work::Look {
                has_limit: true, ..
            } => drop(rig.list_requests()),
            Work::ReadAgain(_) | Work::Look { .. } | Work::LookAgain(_) | Work::Ask(_) => {}
            Work::Share => drop(rig.id(0)),
        }
    }

    fn peer(&self, rig: &Rig, round: u64) -> Option<Duration> {
        match self {
            Work::Read(load) if peer::is_installed() => Some(peer::read(rig, load, round)),
            _ => None,
        }
    }

    /// Bytes that are asked for, if it is bytes that the work is about.
    pub(crate) fn bytes(&self, stock: &Stock) -> Option<u64> {
        match self {
            Work::Read(load) | Work::ReadAgain(load) => Some(load.bytes(stock)),
            _ => None,
        }
    }
}

fn read_with_curl(rig: &Rig, load: &Load, round: u64) -> Duration {
    let (transfers, at_once) = load.transfers(rig, round);
    warm_memory(load.bytes(&rig.stock));
    let transferred = curl::transfer(&transfers, at_once, rig.curl_start);
    assert_eq!(transferred.bytes, load.bytes(&rig.stock), "curl got all");
    // A limit that connects anew would be too low.
    let connections = transferred.connections;
    assert!(connections <= at_once as u64, "{connections} connections");
    transferred.took
}

fn read_mounted(rig: &Rig, load: &Load, round: u64) -> Attempt {
    let mount = Mount::new(&rig.cloud, None);
    let (top, stock) = (mount.folder(), &rig.stock);
    mount::list(&top.join(stock.first_folder())).expect("the folder is read");
    warm_memory(load.bytes(stock));
    let attempt = mount.attempt(&rig.cloud, || {
        timed(|| load.read(top, stock, round, Check::Pages))
    });
    // The kernel still has the pages that were read: these very bytes are checked, all of them.
    rig.cloud.pace(&Pacing::default());
    load.read(top, stock, round, Check::Bytes);
    attempt
}

/// How long `work` takes.
pub(crate) fn timed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}
