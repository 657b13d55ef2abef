use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::Response;

use crate::gate::header_value;

/// An error answer in the store's XML.
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
    /// Further elements of the body, in XML.
    details: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &'static str, message: &'static str) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
        Self {
            status,
            code,
            message,
            details: String::new(),
        }
    }

    /// Adds an element to the body.
    pub(crate) fn with(mut self, name: &str, text: &str) -> Self {
        self.details += &format!("<{name}>{text}</{name}>");
        self
    }

    pub(crate) fn response(&self) -> Response {
        let mut response = Response::new(Body::from(xml(self.code, self.message, &self.details)));
        *response.status_mut() = self.status;
        let kind = header_value("application/xml");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// The refusal of a range, which tells the size.
pub(crate) fn unsatisfiable(size: u64) -> Response {
    let refusal = Refusal::new(
        416,
        "InvalidRange",
        "The requested range cannot be satisfied",
    );
    let mut response = refusal.response();
    let text = header_value(&format!("bytes */{size}"));
    response.headers_mut().insert(header::CONTENT_RANGE, text);
    response
}

fn xml(code: &str, message: &str, details: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
         <RequestId>01</RequestId><HostId>h</HostId>{details}</Error>"
    )
}

/// The body of an error status that a fault asked for.
pub(crate) fn error_body(status: StatusCode) -> (&'static str, String) {
    let (code, message) = match status.as_u16() {
        401 | 403 => ("AccessDenied", "Access Denied"),
        404 => ("NoSuchKey", "The specified key does not exist"),
        429 | 503 => ("SlowDown", "Please reduce your request rate"),
        _ => ("InternalError", "We encountered an internal error"),
    };
    ("application/xml", xml(code, message, ""))
}
