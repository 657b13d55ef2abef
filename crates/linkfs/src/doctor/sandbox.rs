//! What confines plugins.

use linkfs_host::sandbox::missing_pieces;

use super::Line;

pub(super) fn look() -> Vec<Line> {
    let missing = missing_pieces();
    if missing.is_empty() {
        return vec![Line::ok("sandbox", "plugins are confined")];
    }
    let advice = "use plugins that you trust, or a newer kernel, and mount as root";
    let warning = |piece: String| Line::warning("sandbox", piece, advice);
    missing.into_iter().map(warning).collect()
}
