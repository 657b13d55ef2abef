use hyper::Uri;
use linkfs_provider::Settings;
use serde_json::Value;

use crate::proxy::AllowedHosts;

/// The hosts that a drive's configuration names: whoever writes an address there wants it to be used.
pub(crate) fn configured(settings: &Settings) -> AllowedHosts {
    let hosts = AllowedHosts::new();
    for value in settings.config.expose().values() {
        allow(value, &hosts);
    }
    hosts
}

fn allow(value: &Value, hosts: &AllowedHosts) {
    match value {
        Value::String(text) => {
            if let Some((host, port)) = host_of(text) {
                hosts.allow_configured(&host, port);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| allow(value, hosts)),
        Value::Object(fields) => fields.values().for_each(|value| allow(value, hosts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Where a web address leads.
fn host_of(text: &str) -> Option<(String, u16)> {
    let address: Uri = text.parse().ok()?;
    let usual = match address.scheme_str()? {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let host = address.host()?.to_owned();
    Some((host, address.port_u16().unwrap_or(usual)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, u16)>) {
        let found = host_of(text);
        let found = found.as_ref().map(|(host, port)| (host.as_str(), *port));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_web_address_names_a_host_and_a_port() {
        check("https://api.example.com", Some(("api.example.com", 443)));
        check("http://127.0.0.1:9001/x?y=1", Some(("127.0.0.1", 9001)));
        check("http://[::1]/", Some(("[::1]", 80)));
        for text in [
            "",
            "IAABfsBFCO6W",
            "api.example.com",
            "ftp://a.example",
            "/etc/passwd",
            "https://",
        ] {
            check(text, None);
        }
    }
}
