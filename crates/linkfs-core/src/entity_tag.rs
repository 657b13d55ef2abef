use twox_hash::XxHash3_64;

/// What a data host calls the bytes that it gives, as a digest: the tag itself may be of any length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntityTag(pub(crate) u64);

impl EntityTag {
    pub(crate) fn of(text: &str) -> EntityTag {
        EntityTag(XxHash3_64::oneshot(text.as_bytes()))
    }
}
