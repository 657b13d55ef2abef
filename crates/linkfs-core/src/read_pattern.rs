//! What a reader is likely to want next, from what it asked so far: plain arithmetic.

use linkfs_provider::{ByteCount, Offset};

/// A read this near to the end of the furthest one goes on sequentially. The kernel's own read-ahead
/// sends a few requests of up to 1 MiB each at once, and they arrive in any order.
const NEAR: u64 = 4 << 20;
/// The same for a reader that jumped and has not yet gone on: two jumps to one neighbourhood are no stream.
const NEAR_AFTER_JUMP: u64 = 1 << 20;
/// Where a window starts: a small file is fetched whole by its first read.
const FIRST_WINDOW: u64 = 1 << 20;
/// Where it stops growing: measured with 20 ms to the server, 32 MiB reached 0.4 of a plain download
/// and 64 MiB 0.5; twice the memory for the last tenth is not worth it per reader.
const LARGEST_WINDOW: u64 = 32 << 20;
/// A reader that jumped goes on when it has read more than this from there: the kernel cuts one read of
/// 1 MiB into several, and those are no sign of another.
const GOES_ON_AFTER: u64 = 1 << 20;
/// Places at which one open file is read in turns: the tracks of a film, the threads of a program.
const MOST_STREAMS: usize = 8;

/// The reading habit of one open file.
#[derive(Debug, Default)]
pub(crate) struct ReadPattern {
    /// The one used last comes first.
    streams: Vec<Stream>,
}

/// Reads that follow one another.
#[derive(Clone, Copy, Debug)]
struct Stream {
    /// End of the furthest read.
    end: u64,
    /// How much was read since the stream began.
    length: u64,
    /// How far ahead of `end` to fetch once it is clear that it goes on.
    window: u64,
    goes_on: bool,
}

/// What to do about a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    /// How many bytes behind it are worth fetching.
    pub(crate) ahead: ByteCount,
    /// Whether it belongs to a reader that goes on, and so will not come back.
    pub(crate) goes_on: bool,
}

impl ReadPattern {
    /// Takes note of a read and says what is worth doing beside it.
    pub(crate) fn observe(&mut self, offset: Offset, length: ByteCount) -> Advice {
        let (start, end) = (offset.0, (offset + length).0);
        let known = self
            .streams
            .iter()
            .position(|stream| stream.is_near(start, end));
        let mut stream = match known {
            Some(at) => self.streams.remove(at),
            None => Stream::new(start, self.streams.is_empty()),
        };
        stream.go_on(end, length.0);
        self.streams.insert(0, stream);
        self.streams.truncate(MOST_STREAMS);
        let beyond = stream.end - end.min(stream.end);
        let ahead = if stream.goes_on {
            beyond.saturating_add(stream.window)
        } else {
            0
        };
        Advice {
            ahead: ByteCount(ahead),
            goes_on: stream.goes_on,
        }
    }

    /// A read of bytes from `offset` on had to wait: fetch further ahead of its stream from now on.
    pub(crate) fn had_to_wait(&mut self, offset: Offset) {
        let start = offset.0;
        let mut streams = self.streams.iter_mut();
        let waited = streams.find(|stream| stream.is_near(start, start));
        if let Some(stream) = waited.filter(|stream| stream.goes_on) {
            stream.window = (stream.window * 2).min(LARGEST_WINDOW);
        }
    }
}

impl Stream {
    /// Only a first read at the very start of a file tells at once that the rest is wanted too.
    fn new(start: u64, is_first: bool) -> Stream {
        Stream {
            end: start,
            length: 0,
            window: FIRST_WINDOW,
            goes_on: is_first && start == 0,
        }
    }

    /// A step back of up to `NEAR` and a skip within the window are still the same stream.
    fn is_near(&self, start: u64, end: u64) -> bool {
        let (back, forth) = match self.goes_on {
            true => (NEAR, self.window.max(NEAR)),
            false => (NEAR_AFTER_JUMP, NEAR_AFTER_JUMP),
        };
        start <= self.end.saturating_add(forth) && end.saturating_add(back) >= self.end
    }

    fn go_on(&mut self, end: u64, length: u64) {
        self.length = self.length.saturating_add(length);
        self.goes_on |= self.length > GOES_ON_AFTER;
        self.end = self.end.max(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;

    fn read(pattern: &mut ReadPattern, offset: u64, length: u64) -> u64 {
        pattern.observe(Offset(offset), ByteCount(length)).ahead.0
    }

    fn end_of(pattern: &ReadPattern) -> u64 {
        pattern.streams[0].end
    }

    #[test]
    fn a_reader_from_the_start_gets_a_window_that_grows_while_it_waits() {
        let mut pattern = ReadPattern::default();
        assert_eq!(read(&mut pattern, 0, 128 * KIB), MIB);
        for expected in [2, 4, 8, 16, 32, 32] {
            let end = end_of(&pattern);
            pattern.had_to_wait(Offset(end - 1));
            assert_eq!(read(&mut pattern, end, 128 * KIB), expected * MIB);
        }
    }

    #[test]
    fn requests_out_of_order_are_still_sequential() {
        let mut pattern = ReadPattern::default();
        read(&mut pattern, 0, MIB);
        assert_eq!(read(&mut pattern, 2 * MIB, MIB), MIB);
        assert_eq!(
            read(&mut pattern, MIB, MIB),
            2 * MIB,
            "the window starts at the furthest read"
        );
        assert_eq!(end_of(&pattern), 3 * MIB);
    }

    #[test]
    fn a_jump_fetches_nothing_ahead_until_reading_goes_on_from_there() {
        let mut pattern = ReadPattern::default();
        for offset in [500, 100, 900] {
            assert_eq!(read(&mut pattern, offset * MIB, 512 * KIB), 0);
            assert_eq!(read(&mut pattern, offset * MIB + 512 * KIB, 512 * KIB), 0);
            pattern.had_to_wait(Offset(offset * MIB));
        }
        assert_eq!(read(&mut pattern, 901 * MIB, 4 * KIB), MIB);
    }

    #[test]
    fn a_first_read_elsewhere_than_at_the_start_says_nothing() {
        let mut pattern = ReadPattern::default();
        assert_eq!(read(&mut pattern, 500 * MIB, 4 * KIB), 0);
        assert_eq!(read(&mut pattern, 0, 4 * KIB), 0, "a jump to the start");
    }

    #[test]
    fn a_skip_within_the_window_and_a_step_back_go_on() {
        let mut pattern = ReadPattern::default();
        read(&mut pattern, 0, MIB);
        for _ in 0..5 {
            pattern.had_to_wait(Offset(0));
        }
        assert_eq!(read(&mut pattern, 20 * MIB, MIB), 32 * MIB);
        assert_eq!(read(&mut pattern, 19 * MIB, MIB), 33 * MIB, "a step back");
        assert_eq!(read(&mut pattern, 54 * MIB, MIB), 0, "a jump");
    }

    #[test]
    fn several_places_are_read_on_in_turns() {
        let mut pattern = ReadPattern::default();
        for round in 0..3 {
            for track in [0, 100, 200] {
                let ahead = read(&mut pattern, track * MIB + round * MIB, MIB);
                let goes_on = track == 0 || round > 0;
                assert_eq!(ahead, if goes_on { MIB } else { 0 }, "{track} {round}");
            }
        }
    }
}
