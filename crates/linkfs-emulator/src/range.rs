use axum::http::HeaderMap;

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

/// How an object store takes ranges that do not fit the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RangeHabit {
    /// A range is cut to the object, and refused when nothing is left.
    Standard,
    /// A range that reaches past the object in any way counts for nothing: the whole is sent.
    Oss,
    /// As OSS, asked to keep to the standard: several ranges are refused too.
    OssStandard,
}

impl RangeHabit {
    /// The habit for one request, which may ask for the standard one.
    pub(crate) fn of(self, headers: &HeaderMap) -> Self {
        let asked = headers.get("x-oss-range-behavior");
        match self {
            Self::Oss if asked.is_some_and(|value| value == "standard") => Self::OssStandard,
            habit => habit,
        }
    }
}

impl ByteRange {
    pub(crate) fn parse_with(habit: RangeHabit, header: Option<&str>, size: u64) -> Self {
        let range = Self::parse(header, size);
        let is_list = header.is_some_and(|header| header.contains(','));
        match habit {
            RangeHabit::Oss if !header.is_some_and(|header| fits(header, size)) => Self::Whole,
            RangeHabit::OssStandard if is_list => Self::Unsatisfiable,
            _ => range,
        }
    }

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

/// Whether the object has every byte that a range names.
fn fits(header: &str, size: u64) -> bool {
    let spec = header.trim().strip_prefix("bytes=");
    let Some((first, last)) = spec.and_then(|spec| spec.split_once('-')) else {
        return false;
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (number(first), number(last)) {
        (None, Some(suffix)) => first.trim().is_empty() && (1..=size).contains(&suffix),
        (Some(first), None) => last.trim().is_empty() && first < size,
        (Some(_), Some(last)) => last < size,
        (None, None) => false,
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

    #[test]
    fn oss_sends_the_whole_for_a_range_that_does_not_fit() {
        let part = |first, last| ByteRange::Part { first, last };
        let (whole, refused) = (ByteRange::Whole, ByteRange::Unsatisfiable);
        let rows = [
            ("bytes=0-9", part(0, 9), part(0, 9)),
            ("bytes=3-", part(3, 9), part(3, 9)),
            ("bytes=-4", part(6, 9), part(6, 9)),
            ("bytes=0-10", whole, part(0, 9)),
            ("bytes=10-", whole, refused),
            ("bytes=10-12", whole, refused),
            ("bytes=-11", whole, part(0, 9)),
            ("bytes=4-3", whole, whole),
            ("bytes=0-1,3-4", whole, refused),
            ("bytes=x", whole, whole),
        ];
        for (header, by_default, standard) in rows {
            let parse = |habit| ByteRange::parse_with(habit, Some(header), 10);
            assert_eq!(parse(RangeHabit::Oss), by_default, "{header}");
            assert_eq!(parse(RangeHabit::OssStandard), standard, "{header}");
        }
    }
}
