use axum::http::Method;

/// Where a call goes, with what its path says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    AppToken,
    CorpToken { corp: String },
    UserToken,
    WhoAmI,
    OrgSpaces,
    MySpace,
    Space { space: String },
    Org { corp: String },
    List { space: String },
    ListAll { space: String },
    Dentry { space: String, id: String },
    Dentries { space: String },
    Versions { space: String, id: String },
    Download { space: String, id: String },
    DriveDownload { space: String, id: String },
    Thumbnails { space: String },
    OpenInfo { space: String, id: String },
    Permissions { target: Target, verb: Verb },
    Scopes { uuid: String, sets: bool },
    Workspaces,
    MyWorkspace,
    WikiNodes,
    WikiNodeByUrl,
    DentryId { uuid: String },
    DentryUuid { id: String },
    Search,
}

/// The two ways to name what permissions are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Uuid(String),
    Id { space: String, id: String },
}

/// What a call does to permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Update,
    Remove,
    Query,
}

/// Which parameter says who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    Nobody,
    UnionId,
    OperatorId,
}

impl Route {
    pub(crate) fn of(method: &Method, segments: &[String]) -> Option<Route> {
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["v1.0", "storage", rest @ ..] => Self::of_storage(method.as_str(), rest),
            ["v2.0", "storage", rest @ ..] => Self::of_storage_2(method.as_str(), rest),
            [version, rest @ ..] => Self::of_others(method.as_str(), version, rest),
            [] => None,
        }
    }

    fn of_storage(method: &str, rest: &[&str]) -> Option<Route> {
        let (space, below) = match rest {
            ["orgs", corp] if method == "GET" => {
                let corp = (*corp).into();
                return Some(Route::Org { corp });
            }
            ["spaces", space, below @ ..] => ((*space).to_owned(), below),
            _ => return None,
        };
        Some(match (method, below) {
            ("GET", []) => Route::Space { space },
            ("GET", ["dentries"]) => Route::List { space },
            ("POST", ["dentries", "listAll"]) => Route::ListAll { space },
            ("POST", ["dentries", "query"]) => Route::Dentries { space },
            ("POST", ["thumbnails", "query"]) => Route::Thumbnails { space },
            (_, ["dentries", id, below @ ..]) => {
                return Self::of_dentry(method, space, (*id).into(), below);
            }
            _ => return None,
        })
    }

    fn of_dentry(method: &str, space: String, id: String, below: &[&str]) -> Option<Route> {
        Some(match (method, below) {
            ("POST", ["query"]) => Route::Dentry { space, id },
            ("POST", ["downloadInfos", "query"]) => Route::Download { space, id },
            ("POST", ["openInfos", "query"]) => Route::OpenInfo { space, id },
            ("GET", ["versions"]) => Route::Versions { space, id },
            (_, ["permissions", below @ ..]) => Route::Permissions {
                target: Target::Id { space, id },
                verb: Verb::of(method, below)?,
            },
            _ => return None,
        })
    }

    fn of_storage_2(method: &str, rest: &[&str]) -> Option<Route> {
        Some(match (method, rest) {
            ("POST", ["dentries", "search"]) => Route::Search,
            (_, ["spaces", "dentries", uuid, "permissions", "scopes"]) => Route::Scopes {
                uuid: (*uuid).into(),
                sets: match method {
                    "GET" => false,
                    "PUT" => true,
                    _ => return None,
                },
            },
            (_, ["spaces", "dentries", uuid, "permissions", below @ ..]) => Route::Permissions {
                target: Target::Uuid((*uuid).into()),
                verb: Verb::of(method, below)?,
            },
            _ => return None,
        })
    }

    fn of_others(method: &str, version: &str, rest: &[&str]) -> Option<Route> {
        Some(match (method, version, rest) {
            ("POST", "v1.0", ["oauth2", "accessToken"]) => Route::AppToken,
            ("POST", "v1.0", ["oauth2", "userAccessToken"]) => Route::UserToken,
            ("POST", "v1.0", ["oauth2", corp, "token"]) => Route::CorpToken {
                corp: (*corp).into(),
            },
            ("GET", "v1.0", ["contact", "users", "me"]) => Route::WhoAmI,
            ("GET", "v1.0", ["drive", "spaces"]) => Route::OrgSpaces,
            ("GET", "v1.0", ["drive", "mySpaces"]) => Route::MySpace,
            ("GET", "v1.0", ["drive", "spaces", space, "files", id, "downloadInfos"]) => {
                Route::DriveDownload {
                    space: (*space).into(),
                    id: (*id).into(),
                }
            }
            ("GET", "v2.0", ["wiki", "workspaces"]) => Route::Workspaces,
            ("GET", "v2.0", ["wiki", "mineWorkspaces"]) => Route::MyWorkspace,
            ("GET", "v2.0", ["wiki", "nodes"]) => Route::WikiNodes,
            ("POST", "v2.0", ["wiki", "nodes", "queryByUrl"]) => Route::WikiNodeByUrl,
            ("GET", "v2.0", ["doc", "dentries", uuid, "queryDentryId"]) => Route::DentryId {
                uuid: (*uuid).into(),
            },
            ("GET", "v2.0", ["doc", "dentries", id, "queryDentryUuid"]) => {
                Route::DentryUuid { id: (*id).into() }
            }
            _ => return None,
        })
    }

    /// The name that counters and fault scripts know.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Route::AppToken => "token.app",
            Route::CorpToken { .. } => "token.corp",
            Route::UserToken => "token.user",
            Route::WhoAmI => "user.me",
            Route::OrgSpaces => "space.list",
            Route::MySpace => "space.mine",
            Route::Space { .. } => "space.get",
            Route::Org { .. } => "space.org",
            Route::List { .. } => "list",
            Route::ListAll { .. } => "list.all",
            Route::Dentry { .. } => "dentry.get",
            Route::Dentries { .. } => "dentry.batch",
            Route::Versions { .. } => "dentry.versions",
            Route::Download { .. } => "download",
            Route::DriveDownload { .. } => "download.drive",
            Route::Thumbnails { .. } => "thumbnails",
            Route::OpenInfo { .. } => "open_info",
            Route::Permissions { verb, .. } => match verb {
                Verb::Add => "permission.add",
                Verb::Update => "permission.update",
                Verb::Remove => "permission.remove",
                Verb::Query => "permission.query",
            },
            Route::Scopes { sets: false, .. } => "permission.scope",
            Route::Scopes { sets: true, .. } => "permission.set_scope",
            Route::Workspaces => "wiki.workspaces",
            Route::MyWorkspace => "wiki.mine",
            Route::WikiNodes => "wiki.nodes",
            Route::WikiNodeByUrl => "wiki.by_url",
            Route::DentryId { .. } => "doc.dentry_id",
            Route::DentryUuid { .. } => "doc.dentry_uuid",
            Route::Search => "search",
        }
    }

    /// Calls that come before there is a token.
    pub(crate) fn needs_no_token(&self) -> bool {
        self.name().starts_with("token.")
    }

    pub(crate) fn actor(&self) -> Actor {
        match self {
            Route::WhoAmI => Actor::Nobody,
            route if route.needs_no_token() => Actor::Nobody,
            Route::Workspaces
            | Route::MyWorkspace
            | Route::WikiNodes
            | Route::WikiNodeByUrl
            | Route::DentryId { .. }
            | Route::DentryUuid { .. }
            | Route::Search => Actor::OperatorId,
            _ => Actor::UnionId,
        }
    }

    /// What the app must have been granted.
    pub(crate) fn scope(&self) -> Option<&'static str> {
        Some(match self {
            Route::List { .. }
            | Route::ListAll { .. }
            | Route::Dentry { .. }
            | Route::Dentries { .. }
            | Route::Versions { .. }
            | Route::Thumbnails { .. }
            | Route::Search => "Storage.File.Read",
            Route::Download { .. } | Route::DriveDownload { .. } => "Storage.DownloadInfo.Read",
            Route::Permissions { .. } | Route::Scopes { .. } => "Storage.Permission.Write",
            Route::Space { .. } | Route::Org { .. } => "Storage.Space.Read",
            Route::OrgSpaces | Route::MySpace => "Drive.Space.Read",
            Route::Workspaces
            | Route::MyWorkspace
            | Route::WikiNodes
            | Route::WikiNodeByUrl
            | Route::DentryId { .. }
            | Route::DentryUuid { .. } => "Wiki.Node.Read",
            _ => return None,
        })
    }

    /// The id of the file or folder that the path names.
    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            Route::Dentry { id, .. }
            | Route::Versions { id, .. }
            | Route::Download { id, .. }
            | Route::DriveDownload { id, .. }
            | Route::OpenInfo { id, .. }
            | Route::DentryUuid { id }
            | Route::Permissions {
                target: Target::Id { id, .. },
                ..
            } => Some(id),
            _ => None,
        }
    }
}

impl Verb {
    fn of(method: &str, below: &[&str]) -> Option<Verb> {
        match (method, below) {
            ("POST", []) => Some(Verb::Add),
            ("PUT", []) => Some(Verb::Update),
            ("POST", ["remove"]) => Some(Verb::Remove),
            ("POST", ["query"]) => Some(Verb::Query),
            _ => None,
        }
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
    fn paths_lead_where_the_documents_say() {
        check("POST", "v1.0/oauth2/accessToken", "token.app");
        check("POST", "v1.0/oauth2/accessToke", "none");
        check("POST", "v1.0/oauth2/dingc0ffee/token", "token.corp");
        check("GET", "v1.0/storage/spaces/1", "space.get");
        check("GET", "v1.0/storage/spaces/1/dentries", "list");
        check("POST", "v1.0/storage/spaces/1/dentries/listAll", "list.all");
        check(
            "POST",
            "v1.0/storage/spaces/1/dentries/query",
            "dentry.batch",
        );
        check(
            "POST",
            "v1.0/storage/spaces/1/dentries/5/query",
            "dentry.get",
        );
        check(
            "POST",
            "v1.0/storage/spaces/1/dentries/5/downloadInfos/query",
            "download",
        );
        check(
            "POST",
            "v2.0/storage/spaces/dentries/u/permissions/remove",
            "permission.remove",
        );
        check(
            "PUT",
            "v2.0/storage/spaces/dentries/u/permissions/scopes",
            "permission.set_scope",
        );
        check("DELETE", "v1.0/storage/spaces/1/dentries/5", "none");
    }
}
