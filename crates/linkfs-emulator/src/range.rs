/// What a `Range` header asks of an object of a known size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ByteRange {
    /// No range, or one of a kind that servers may ignore.
    Whole,
    /// `first..=last`, inside the object.
    Part {
        first: u64,
        last: u64,
    },
    Unsatisfiable,
}

impl ByteRange {
    pub(crate) fn parse(header: Option<&str>, size: u64) -> Self {
        let spec = header.and_then(|header| header.trim().strip_prefix("bytes="));
        let Some((first, last)) = spec.and_then(|spec| spec.split_once('-')) else {
            return Self::Whole;
        };
        match (first.trim(), last.trim()) {
            ("", suffix) => suffix
                .parse()
                .map_or(Self::Whole, |length| Self::suffix(length, size)),
            (first, "") => first
                .parse()
                .map_or(Self::Whole, |first| Self::part(first, u64::MAX, size)),
            (first, last) => match (first.parse(), last.parse()) {
                (Ok(first), Ok(last)) if first <= last => Self::part(first, last, size),
                _ => Self::Whole,
            },
        }
    }

    /// Position and length of the bytes to send.
    pub(crate) fn span(self, size: u64) -> (u64, u64) {
        match self {
            Self::Whole => (0, size),
            Self::Part { first, last } => (first, last - first + 1),
            Self::Unsatisfiable => (0, 0),
        }
    }

    fn part(first: u64, last: u64, size: u64) -> Self {
        if first >= size {
            return Self::Unsatisfiable;
        }
        Self::Part {
            first,
            last: last.min(size - 1),
        }
    }

    fn suffix(length: u64, size: u64) -> Self {
        if length == 0 || size == 0 {
            return Self::Unsatisfiable;
        }
        Self::Part {
            first: size.saturating_sub(length),
            last: size - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, size: u64, expected: ByteRange) {
        assert_eq!(
            ByteRange::parse(Some(header), size),
            expected,
            "{header} of {size}"
        );
    }

    #[test]
    fn ranges_are_cut_to_the_object() {
        let part = |first, last| ByteRange::Part { first, last };
        check("bytes=0-0", 10, part(0, 0));
        check("bytes=3-99", 10, part(3, 9));
        check("bytes=9-", 10, part(9, 9));
        check("bytes=-4", 10, part(6, 9));
        check("bytes=-40", 10, part(0, 9));
        check("bytes=10-", 10, ByteRange::Unsatisfiable);
        check("bytes=0-0", 0, ByteRange::Unsatisfiable);
        check("bytes=-0", 10, ByteRange::Unsatisfiable);
    }

    #[test]
    fn what_is_no_single_range_is_the_whole() {
        for header in [
            "bytes=4-3",
            "bytes=1-2,4-5",
            "lines=1-2",
            "bytes=a-b",
            "bytes=7",
        ] {
            check(header, 10, ByteRange::Whole);
        }
        assert_eq!(ByteRange::parse(None, 10), ByteRange::Whole);
    }
}
