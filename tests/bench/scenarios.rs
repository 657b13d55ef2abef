//! The scenarios and what is expected of them.

use std::time::Duration;

use linkfs_emulator::Pacing;

use crate::carriage::Question;
use crate::figures::Target;
use crate::listing::Tool;
use crate::load::Load;
use crate::mount::MEMORY_MIB;
use crate::scenario::{Scenario, Work};
use crate::stock::Stock;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What a distant drive does to a client: a round trip, and a line that others use too.
const LATENCY_MS: u64 = 20;
const LINE: u64 = 125_000_000;
const STREAM: u64 = 10_000_000;

/// All scenarios; those that need the same drive stand together.
pub(crate) fn all(is_quick: bool) -> Vec<Scenario> {
    let sizes = Sizes::new(is_quick);
    [
        large(&sizes),
        several(&sizes),
        small(&sizes),
        heads(),
        folders(&sizes),
        vec![Scenario {
            stock: files(1000, 100),
            ..scenario(
                "share",
                SHARE,
                Work::Share,
                Target::Beyond(Duration::from_millis(1)),
            )
        }],
        plugin_calls(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// How much of everything.
struct Sizes {
    /// Of the large file, and of the four together.
    large: u64,
    /// Of what a scenario reads in pieces or over a slow line.
    part: u64,
    reads: usize,
    small_files: usize,
    names: usize,
}

impl Sizes {
    fn new(is_quick: bool) -> Sizes {
        match is_quick {
            true => Sizes {
                large: 512 * MIB,
                part: 128 * MIB,
                reads: 500,
                small_files: 500,
                names: 5000,
            },
            false => Sizes {
                large: 2048 * MIB,
                part: 512 * MIB,
                reads: 2000,
                small_files: 2000,
                names: 20_000,
            },
        }
    }
}

fn large(sizes: &Sizes) -> Vec<Scenario> {
    let whole = Load::Files { at_once: 1 };
    let ranges = |at_once, block| Load::Ranges {
        at_once,
        block,
        count: match at_once {
            1 => sizes.reads,
            // Enough to last, and little enough that few places are read twice.
            _ => sizes.reads.min((sizes.part / block) as usize),
        },
    };
    let stock = files(1, sizes.large);
    let base = |name, about, work, target| Scenario {
        stock,
        ..scenario(name, about, work, target)
    };
    vec![
        Scenario {
            bytes_at_most: Some(1.01),
            memory_at_most: Some((MEMORY_MIB + 64) * MIB),
            ..base("seq-cold", SEQ_COLD, Work::Read(whole), Target::Speed(0.5))
        },
        Scenario {
            bytes_at_most: Some(4.0),
            ..base(
                "rand4k",
                RAND,
                Work::Read(ranges(1, 4 * KIB)),
                Target::Speed(0.5),
            )
        },
        Scenario {
            bytes_at_most: Some(1.5),
            ..base(
                "rand64k",
                RAND_8,
                Work::Read(ranges(8, 64 * KIB)),
                Target::Speed(0.6),
            )
        },
        Scenario {
            bytes_at_most: Some(1.1),
            ..base(
                "rand1m",
                RAND_8,
                Work::Read(ranges(8, MIB)),
                Target::Speed(0.6),
            )
        },
        Scenario {
            pacing: delayed(),
            limit_pacing: delayed(),
            ..base(
                "rand1m-delayed",
                RAND_8,
                Work::Read(ranges(8, MIB)),
                Target::Speed(0.85),
            )
        },
        base(
            "second-read",
            AGAIN,
            Work::ReadAgain(whole),
            Target::Speed(0.8),
        ),
        base(
            "rand4k-cached",
            AGAIN,
            Work::ReadAgain(ranges(1, 4 * KIB)),
            Target::Speed(0.9),
        ),
    ]
}

fn several(sizes: &Sizes) -> Vec<Scenario> {
    vec![
        Scenario {
            stock: files(4, sizes.large / 4),
            memory_at_most: Some((MEMORY_MIB + 64) * MIB),
            ..scenario(
                "seq-4",
                SEQ_4,
                Work::Read(Load::Files { at_once: 4 }),
                Target::Speed(0.45),
            )
        },
        Scenario {
            stock: files(1, sizes.part),
            pacing: Pacing {
                rate_per_stream: STREAM,
                ..delayed()
            },
            limit_pacing: delayed(),
            ..scenario(
                "seq-capped",
                CAPPED,
                Work::Read(Load::Files { at_once: 1 }),
                Target::Speed(0.9),
            )
        },
    ]
}

fn small(sizes: &Sizes) -> Vec<Scenario> {
    let stock = files(sizes.small_files, 4 * KIB);
    let small = |at_once| Work::Read(Load::Files { at_once });
    vec![
        Scenario {
            stock,
            ..scenario("small", SMALL, small(1), Target::Speed(0.5))
        },
        Scenario {
            stock,
            pacing: delayed(),
            limit_pacing: delayed(),
            ..scenario("small-delayed", SMALL_16, small(16), Target::Speed(0.95))
        },
    ]
}

fn plugin_calls() -> Vec<Scenario> {
    let us = Duration::from_micros;
    [
        ("plugin-call", CALL, Question::Usage, us(150)),
        ("plugin-list", PLUGIN_LIST, Question::List, us(10_000)),
    ]
    .map(|(name, about, question, most)| {
        scenario(name, about, Work::Ask(question), Target::Beyond(most))
    })
    .into()
}

fn heads() -> Vec<Scenario> {
    let at_top = Stock {
        folders: 0,
        ..files(51, 16 * MIB)
    };
    [
        ("first-byte", FIRST, Work::FirstByte, Target::Time(1.5)),
        ("next-byte", NEXT, Work::NextByte, Target::Time(1.15)),
    ]
    .map(|(name, about, work, target)| Scenario {
        stock: at_top,
        pacing: delayed(),
        limit_pacing: delayed(),
        ..scenario(name, about, work, target)
    })
    .into()
}

fn folders(sizes: &Sizes) -> Vec<Scenario> {
    let ms = Duration::from_millis;
    let wide = files(sizes.names, 1000);
    let ls = Work::Look {
        tool: Tool::Ls,
        has_limit: true,
    };
    let walk = Work::Look {
        tool: Tool::Find,
        has_limit: false,
    };
    vec![
        Scenario {
            stock: wide,
            ..scenario("ls-l", LS, ls, Target::Beyond(ms(500)))
        },
        Scenario {
            stock: wide,
            ..scenario(
                "ls-l-warm",
                LS_WARM,
                Work::LookAgain(Tool::Ls),
                Target::Within(ms(200)),
            )
        },
        Scenario {
            stock: files(5000, 1000),
            ..scenario(
                "find-again",
                FIND,
                Work::LookAgain(Tool::Find),
                Target::Within(ms(50)),
            )
        },
        Scenario {
            stock: Stock {
                folders: 1000,
                files: 1000,
                size: 100,
            },
            memory_at_most: Some(1024 * MIB),
            is_long: true,
            ..scenario("walk", WALK, walk, Target::Any)
        },
    ]
}

fn scenario(name: &'static str, about: &'static str, work: Work, target: Target) -> Scenario {
    Scenario {
        name,
        about,
        stock: files(1, 0),
        work,
        pacing: Pacing::default(),
        limit_pacing: Pacing::default(),
        target,
        bytes_at_most: None,
        memory_at_most: None,
        is_long: false,
    }
}

/// A folder of so many files.
fn files(files: usize, size: u64) -> Stock {
    Stock {
        folders: 1,
        files,
        size,
    }
}

fn delayed() -> Pacing {
    Pacing {
        api_latency_ms: LATENCY_MS,
        data_latency_ms: LATENCY_MS,
        link_rate: LINE,
        ..Pacing::default()
    }
}

const SEQ_COLD: &str = "one large file from begin to end in reads of 1 MiB; curl: one GET";
const SEQ_4: &str = "four large files at once in reads of 1 MiB; curl: four GETs at once";
const RAND: &str = "reads at random offsets (multiples of 4 KiB) of one large file, one after another; \
    curl: the same ranges on one connection";
const RAND_8: &str = "reads at random offsets (multiples of 4 KiB) of one large file, eight threads, each \
    with its own open file; curl: the same ranges, eight at once";
const AGAIN: &str = "a file that the mount has read before, no page of it in memory; limit: the same file \
    on the local disk, no page of it in memory";
const CAPPED: &str = "one file over a line of 125 MB/s whose connections get 10 MB/s each; curl: one GET \
    without that cap, that is, what the line gives";
const SMALL: &str = "files of 4 KiB one by one in a listed folder, signing included; curl: one GET each on \
    one connection, signed before";
const SMALL_16: &str = "files of 4 KiB, sixteen at once, in a listed folder, signing included; curl: one \
    GET each, sixteen at once, signed before";
const FIRST: &str = "open a file and read 4 KiB, the first in a fresh mount; curl: list, sign, GET 4 KiB, \
    one after another, without curl's own start";
const NEXT: &str = "open and read 4 KiB of each of 50 further files of a listed folder, the median of them; \
    curl: GET 4 KiB of each on a warm connection, signed before, the median";
const LS: &str = "`ls -l` of a folder in a fresh mount; curl: its list calls one after another on one \
    connection";
const LS_WARM: &str = "`ls -l` of a folder for the second time";
const FIND: &str = "`find -size` over a folder of 5,000 files for the second time";
const SHARE: &str = "set `user.linkfs.share` of files one by one, the median; curl: the drive's own call for \
    other files on a warm connection, the median";
const CALL: &str = "the smallest question to a plugin in a process of its own, the median; the same in this process";
const PLUGIN_LIST: &str = "a listing of 1,000 items from a plugin in a process of its own, the median; the same in \
    this process";
const WALK: &str = "`find -size` over 1,000 folders of 1,000 files in a fresh mount";
