use std::fs;
use std::time::Duration;

/// What a process has used since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Time on processors, in the program and in the kernel.
    pub(crate) cpu: Duration,
    /// The most memory it had at once, in bytes.
    pub(crate) peak: u64,
}

impl Usage {
    /// # Panics
    /// When there is no such process.
    pub(crate) fn of(pid: u32) -> Usage {
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
        };
        Usage {
            cpu: cpu(&read("stat")),
            peak: peak(&read("status")),
        }
    }
}

/// User and system time, fields 14 and 15. The name, field 2, may hold spaces and brackets.
fn cpu(stat: &str) -> Duration {
    let (_name, rest) = stat.rsplit_once(')').expect("a name in brackets");
    let ticks: u64 = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("a number of ticks"))
        .sum();
    // Linux shows user space a hundred ticks a second, whatever it uses itself.
    Duration::from_millis(ticks * 10)
}

fn peak(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes = kilobytes.expect("the status shows the peak");
    kilobytes.trim().parse::<u64>().expect("a number") << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_uses_something() {
        let usage = Usage::of(std::process::id());
        assert!(usage.peak > 100_000, "{usage:?}");
    }

    #[test]
    fn the_name_of_a_process_does_not_confuse() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4 1 0 0 0 150 25 9 9 20 0 3 0 1 2 3";
        assert_eq!(cpu(stat), Duration::from_millis(1750));
    }

    #[test]
    fn the_peak_is_in_bytes() {
        assert_eq!(
            peak("Name:\tx\nVmHWM:\t    1234 kB\nVmRSS:\t1 kB\n"),
            1234 * 1024
        );
    }
}
