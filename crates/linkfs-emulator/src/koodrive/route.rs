use axum::http::Method;

/// Where a call goes, with what its path says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    List { group: Option<String>, kind: String },
    Detail { file: String },
    Path,
    Search,
    Download,
    SessionUrl,
    SessionCreate,
    SessionRefresh,
    SessionAuth,
    SessionLogoff,
    Login,
    LoginRefresh,
    Logout,
    Spaces { owner: String },
    Container { id: String },
    Usage,
    Quota,
    SharedFolders,
    ShareCreate,
    ShareList,
    ShareUpdate { id: String },
    ShareCancel,
    ShareReceived,
    ShareVisit,
    ShareUserInfo,
    ShareVerify,
    ShareFiles,
    ShareTasks,
    ShareTaskDetail,
}

impl Route {
    /// Literal segments win over `{type}` and `{id}`.
    pub(crate) fn of(method: &Method, segments: &[String]) -> Option<Route> {
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (version, rest) = segments.split_first()?;
        match (method.as_str(), *version, rest) {
            ("GET", "v2", ["space", owner]) => Some(Route::Spaces {
                owner: (*owner).into(),
            }),
            ("GET", "v1", rest) => Self::of_get(rest),
            ("POST", "v1", rest) => Self::of_post(rest),
            ("PUT", "v1", ["share", id]) => Some(Route::ShareUpdate { id: (*id).into() }),
            _ => None,
        }
    }

    fn of_get(rest: &[&str]) -> Option<Route> {
        Some(match rest {
            ["files", "path"] => Route::Path,
            ["session", "authCodeURL"] => Route::SessionUrl,
            ["session", "auth"] => Route::SessionAuth,
            ["session", "logoff"] => Route::SessionLogoff,
            ["space", "usage", "overview"] => Route::Usage,
            ["space", "container", id] => Route::Container { id: (*id).into() },
            ["space", owner] => Route::Spaces {
                owner: (*owner).into(),
            },
            ["service", "quotaUsed"] => Route::Quota,
            ["sharefolder", "list"] => Route::SharedFolders,
            ["share"] => Route::ShareList,
            ["share", "received"] => Route::ShareReceived,
            ["share", "visit"] | ["share", "public", "visit"] => Route::ShareVisit,
            ["share", "userInfo"] | ["share", "public", "userInfo"] => Route::ShareUserInfo,
            _ => return None,
        })
    }

    fn of_post(rest: &[&str]) -> Option<Route> {
        Some(match rest {
            ["files", "download"] => Route::Download,
            ["files", "search"] => Route::Search,
            ["files", "create" | "complete" | "batch" | "path"] => return None,
            ["files", "rename" | "multipart" | "batch", ..] => return None,
            ["files", id, "detail"] => Route::Detail { file: (*id).into() },
            ["files", kind] => Route::List {
                group: None,
                kind: (*kind).into(),
            },
            ["files", group, kind] => Route::List {
                group: Some((*group).into()),
                kind: (*kind).into(),
            },
            ["session"] => Route::SessionCreate,
            ["session", "refresh"] => Route::SessionRefresh,
            ["auth", "login"] => Route::Login,
            ["auth", "refreshToken"] => Route::LoginRefresh,
            ["auth", "logout"] => Route::Logout,
            ["share"] => Route::ShareCreate,
            ["share", "cancel"] => Route::ShareCancel,
            ["share", "verify"] | ["share", "public", "verify"] => Route::ShareVerify,
            ["share", "files"] => Route::ShareFiles,
            ["share", "tasks"] => Route::ShareTasks,
            ["share", "taskDetail"] => Route::ShareTaskDetail,
            _ => return None,
        })
    }

    /// The name that counters and fault scripts know.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Route::List { .. } => "list",
            Route::Detail { .. } => "detail",
            Route::Path => "path",
            Route::Search => "search",
            Route::Download => "download",
            Route::SessionUrl => "session.url",
            Route::SessionCreate => "session.create",
            Route::SessionRefresh => "session.refresh",
            Route::SessionAuth => "session.auth",
            Route::SessionLogoff => "session.logoff",
            Route::Login => "auth.login",
            Route::LoginRefresh => "auth.refresh",
            Route::Logout => "auth.logout",
            Route::Spaces { .. } => "space",
            Route::Container { .. } => "space.container",
            Route::Usage => "space.usage",
            Route::Quota => "space.quota",
            Route::SharedFolders => "share.folders",
            Route::ShareCreate => "share.create",
            Route::ShareList => "share.list",
            Route::ShareUpdate { .. } => "share.update",
            Route::ShareCancel => "share.cancel",
            Route::ShareReceived => "share.received",
            Route::ShareVisit => "share.visit",
            Route::ShareUserInfo => "share.user_info",
            Route::ShareVerify => "share.verify",
            Route::ShareFiles => "share.files",
            Route::ShareTasks => "share.tasks",
            Route::ShareTaskDetail => "share.task_detail",
        }
    }

    /// Session calls are for people: they refuse signed app calls.
    pub(crate) fn refuses_app_auth(&self) -> bool {
        self.name().starts_with("session.")
    }

    /// Calls that come before there is a token, or bring a dead one on purpose.
    pub(crate) fn needs_no_token(&self) -> bool {
        matches!(
            self,
            Route::SessionUrl
                | Route::SessionCreate
                | Route::SessionRefresh
                | Route::Login
                | Route::LoginRefresh
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str, expected: &str) {
        let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let name = Route::of(&method, &segments).map_or("none", |route| route.name());
        assert_eq!(name, expected, "{method} {path}");
    }

    #[test]
    fn literal_segments_win_over_types_and_ids() {
        check("POST", "v1/files/0", "list");
        check("POST", "v1/files/g-55/0", "list");
        check("POST", "v1/files/download", "download");
        check("POST", "v1/files/search", "search");
        check("POST", "v1/files/create", "none");
        check("POST", "v1/files/rename/F1", "none");
        check("POST", "v1/files/F1/detail", "detail");
        check("GET", "v1/space/usage/overview", "space.usage");
        check("GET", "v1/space/u-1", "space");
        check("GET", "v2/space/u-1", "space");
        check("PUT", "v1/share/1", "share.update");
        check("GET", "v1/share/received", "share.received");
        check("DELETE", "v1/share/1", "none");
    }
}
