use crate::Action;
use crate::faults::Strike;

/// What a response says or sends that is not so.
#[derive(Default)]
pub(crate) struct Lies {
    header_shift: i64,
    byte_shift: i64,
    total_by: i64,
    pub(crate) etag: Option<String>,
    pub(crate) short_at: Option<u64>,
}

impl Lies {
    pub(crate) fn from_strikes(strikes: &[Strike]) -> Self {
        let mut lies = Self::default();
        for strike in strikes {
            match &strike.action {
                Action::WrongContentRange { shift } => lies.header_shift = *shift,
                Action::ShiftedBytes { shift } => lies.byte_shift = *shift,
                Action::WrongTotal { by } => lies.total_by = *by,
                Action::WrongEtag { etag } => lies.etag = Some(etag.clone()),
                Action::ShortBody { at } => lies.short_at = Some(*at),
                _ => {}
            }
        }
        lies
    }

    /// Shifted bytes stay inside the object, or there would be nothing to send.
    pub(crate) fn first_sent(&self, first: u64, length: u64, size: u64) -> u64 {
        first
            .saturating_add_signed(self.byte_shift)
            .min(size - length)
    }

    pub(crate) fn content_range(&self, first: u64, last: u64, size: u64) -> String {
        let first = first.saturating_add_signed(self.header_shift);
        let last = last.saturating_add_signed(self.header_shift);
        format!(
            "bytes {first}-{last}/{}",
            size.saturating_add_signed(self.total_by)
        )
    }
}
