use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::digest::hmac_sha1;

/// The key that links' headers are signed with, in the way of OSS: HMAC-SHA1 over method, content
/// type, date, the `x-oss-` headers and the resource.
pub(crate) struct HeaderKey {
    pub(crate) access_key: String,
    pub(crate) secret: String,
}

/// What a signature covers.
#[derive(Clone, Debug)]
pub(crate) struct Covered<'a> {
    pub(crate) method: &'a str,
    pub(crate) content_md5: &'a str,
    pub(crate) content_type: &'a str,
    /// The value of `x-oss-date`, which takes the place of `Date`.
    pub(crate) date: &'a str,
    /// All headers whose names begin with `x-oss-`: name in lower case, value.
    pub(crate) oss_headers: Vec<(String, String)>,
    /// `/bucket/key`.
    pub(crate) resource: &'a str,
    /// Links of another epoch have been revoked.
    pub(crate) epoch: u64,
}

impl HeaderKey {
    /// The value of `Authorization`.
    pub(crate) fn authorization(&self, covered: &Covered<'_>) -> String {
        format!("OSS {}:{}", self.access_key, self.signature(covered))
    }

    /// The signature alone, in base64.
    pub(crate) fn signature(&self, covered: &Covered<'_>) -> String {
        let key = format!("{}{}", self.secret, covered.epoch);
        STANDARD.encode(hmac_sha1(key.as_bytes(), text_to_sign(covered).as_bytes()))
    }
}

impl std::fmt::Debug for HeaderKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "HeaderKey({}, ..)", self.access_key)
    }
}

fn text_to_sign(covered: &Covered<'_>) -> String {
    let mut lines: Vec<String> = covered
        .oss_headers
        .iter()
        .map(|(name, value)| format!("{name}:{}\n", value.trim()))
        .collect();
    lines.sort();
    let Covered {
        method,
        content_md5,
        content_type,
        date,
        resource,
        ..
    } = covered;
    format!(
        "{method}\n{content_md5}\n{content_type}\n{date}\n{}{resource}",
        lines.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered() -> Covered<'static> {
        Covered {
            method: "GET",
            content_md5: "",
            content_type: "",
            date: "Mon, 05 Jan 2026 08:09:10 GMT",
            oss_headers: vec![
                ("x-oss-token".into(), "t".into()),
                ("x-oss-date".into(), "Mon, 05 Jan 2026 08:09:10 GMT".into()),
            ],
            resource: "/bucket/key",
            epoch: 0,
        }
    }

    #[test]
    fn the_signed_text_has_the_lines_of_oss() {
        let expected = "GET\n\n\nMon, 05 Jan 2026 08:09:10 GMT\n\
                        x-oss-date:Mon, 05 Jan 2026 08:09:10 GMT\nx-oss-token:t\n/bucket/key";
        assert_eq!(text_to_sign(&covered()), expected);
    }

    #[test]
    fn every_part_changes_the_signature() {
        let key = HeaderKey {
            access_key: "AKFAKE".into(),
            secret: "fake".into(),
        };
        let good = key.authorization(&covered());
        assert!(good.starts_with("OSS AKFAKE:") && good.len() == 11 + 28);
        let mut changed = vec![covered(); 5];
        changed[0].method = "HEAD";
        changed[1].content_type = "text/plain";
        changed[2].resource = "/bucket/other";
        changed[3].epoch = 1;
        changed[4].oss_headers.pop();
        for changed in changed {
            assert_ne!(key.authorization(&changed), good, "{changed:?}");
        }
    }
}
