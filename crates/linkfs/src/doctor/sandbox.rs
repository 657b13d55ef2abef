//! What confines plugins.

use super::Line;

pub(super) fn look() -> Vec<Line> {
    let missing = missing_pieces();
    vec![match missing.is_empty() {
        true => Line::ok("sandbox", "plugins are confined"),
        false => Line::warning(
            "sandbox",
            format!("plugins are confined less: {}", missing.join(", ")),
            "use plugins that you trust, or a kernel with Landlock",
        ),
    }]
}

/// What of a plugin's confinement this machine lacks.
fn missing_pieces() -> Vec<String> {
    match landlock_version() {
        Some(_) => Vec::new(),
        None => vec!["this kernel has no Landlock".to_owned()],
    }
}

/// The version of Landlock's interface.
fn landlock_version() -> Option<i64> {
    const VERSION: libc::c_uint = 1;
    let (nothing, size): (*const libc::c_void, usize) = (std::ptr::null(), 0);
    // SAFETY: with this flag the call takes no attributes, makes nothing, and answers with a number.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, size, VERSION) };
    (version > 0).then_some(version)
}
