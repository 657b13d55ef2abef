use linkfs_provider::{ItemId, Result, Secret};
use linkfs_provider_http::settings::{check_header, endpoint, invalid, missing, secret};
use reqwest::Url;
use serde::Deserialize;

use crate::app_signature::AppKey;
use crate::token::SchemeJoin;
use crate::visitor::Ticket;

const DEFAULT_ENDPOINT: &str = "https://intl.myhuaweicloud-koodrive.com";

/// The settings as written. Words from a closed list are read as text and checked here, because a
/// message about an unknown word must not repeat it: it could be a misplaced secret.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    endpoint: Option<String>,
    space: Option<String>,
    root: Option<String>,
    group: Option<String>,
    team_type: Option<u8>,
    auth_mode: Option<Secret<String>>,
    token: Option<Secret<String>>,
    session_id: Option<Secret<String>>,
    carrier: Option<String>,
    account: Option<Secret<String>>,
    password: Option<Secret<String>>,
    share: Option<String>,
    share_password: Option<Secret<String>>,
    app_id: Option<String>,
    app_secret: Option<Secret<String>>,
    user_id: Option<String>,
    scheme_join: Option<Secret<String>>,
    sign_time_line: Option<bool>,
    sign_include_host: Option<bool>,
    language: Option<String>,
    space_used_unit: Option<u64>,
}

/// The settings as checked: every combination that can be written here makes sense.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) login: Login,
    pub(crate) place: Place,
}

/// What is mounted.
#[derive(Debug)]
pub(crate) enum Place {
    /// A space of the account.
    Space(Space),
    /// What somebody else shared.
    Share(Ticket),
}

/// Where and as whom.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) endpoint: Url,
    pub(crate) auth: AuthMode,
    pub(crate) scheme_join: SchemeJoin,
    pub(crate) identity: Identity,
}

/// A space, or a folder in it.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) container: String,
    pub(crate) root: ItemId,
    pub(crate) team: Option<Team>,
    /// Bytes per unit of `spaceUsed`.
    pub(crate) used_unit: u64,
}

/// A team space is listed through its group.
#[derive(Debug)]
pub(crate) struct Team {
    pub(crate) group: String,
    /// 0 department, 2 group.
    pub(crate) kind: u8,
}

/// Who calls, beside the authorization: headers of every call.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    pub(crate) carrier: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) language: Option<String>,
}

/// How calls are authorized.
#[derive(Debug)]
pub(crate) enum AuthMode {
    /// A ready token that nobody here can renew.
    Token { token: Secret<String> },
    /// A browser's session.
    Session {
        token: Secret<String>,
        session_id: Secret<String>,
    },
    /// Account and password at a carrier.
    Carrier {
        account: Secret<String>,
        password: Secret<String>,
    },
    /// An application's key.
    App(AppKey),
}

impl Login {
    /// Whether the login lapses when it is not used: that of a browser does.
    pub(crate) fn is_session(&self) -> bool {
        let is_token = matches!(self.auth, AuthMode::Token { .. } | AuthMode::Session { .. });
        is_token && self.identity.carrier.is_none()
    }
}

impl Config {
    /// The settings, when they make sense together.
    ///
    /// # Errors
    /// `Invalid`, naming the key and what to do.
    pub(crate) fn check(self) -> Result<Setup> {
        for (key, value) in [
            ("carrier", &self.carrier),
            ("user_id", &self.user_id),
            ("language", &self.language),
            ("app_id", &self.app_id),
        ] {
            check_header(key, value.as_deref())?;
        }
        let place = self.place()?;
        let login = Login {
            endpoint: endpoint(self.endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT))?,
            auth: self.auth()?,
            scheme_join: self.scheme_join()?,
            identity: Identity {
                carrier: self.carrier,
                user_id: self.user_id,
                language: self.language,
            },
        };
        Ok(Setup { login, place })
    }

    fn place(&self) -> Result<Place> {
        let Some(share) = &self.share else {
            if self.share_password.is_some() {
                return Err(invalid(
                    "`share_password` is for a `share`: add it or remove this",
                ));
            }
            return Ok(Place::Space(self.space()?));
        };
        let of_spaces = [
            ("space", self.space.is_some()),
            ("root", self.root.is_some()),
            ("group", self.group.is_some()),
            ("team_type", self.team_type.is_some()),
            ("space_used_unit", self.space_used_unit.is_some()),
        ];
        if let Some((key, _)) = of_spaces.into_iter().find(|(_, is_given)| *is_given) {
            return Err(invalid(format!(
                "`{key}` is not used with `share`: remove one of them"
            )));
        }
        let ticket = Ticket::new(share, self.share_code()?);
        Ok(Place::Share(
            ticket.map_err(|error| error.during("`share`"))?,
        ))
    }

    /// The access code of the share. A carrier has a password of its own, so there it has another name.
    fn share_code(&self) -> Result<Option<Secret<String>>> {
        let code = match (self.mode() == "carrier", &self.share_password) {
            (true, code) => code,
            (false, None) => &self.password,
            (false, Some(_)) => {
                return Err(invalid(
                    "`share_password` is for auth_mode = \"carrier\": write `password` instead",
                ));
            }
        };
        let trimmed = |code: &Secret<String>| Secret::new(code.expose().trim().to_owned());
        Ok(code.as_ref().map(trimmed))
    }

    fn space(&self) -> Result<Space> {
        let space = self.space.as_deref();
        let space = space.ok_or_else(|| invalid("missing field `space`"))?;
        if space.is_empty() {
            return Err(invalid(
                "`space` is empty: put the space's containerId there",
            ));
        }
        let unit = self.space_used_unit.unwrap_or(1024);
        if unit == 0 {
            return Err(invalid("`space_used_unit` must be 1 or more bytes"));
        }
        let root = self.root.as_deref().unwrap_or("root");
        if root.is_empty() {
            return Err(invalid("`root` is empty: leave it out or name a folder id"));
        }
        Ok(Space {
            container: space.to_owned(),
            root: root.into(),
            team: self.team()?,
            used_unit: unit,
        })
    }

    fn team(&self) -> Result<Option<Team>> {
        let Some(group) = self.group.clone() else {
            return match self.team_type {
                None => Ok(None),
                Some(_) => Err(invalid(
                    "`team_type` is for team spaces: add `group` or remove it",
                )),
            };
        };
        match self.team_type.unwrap_or(2) {
            kind @ (0 | 2) => Ok(Some(Team { group, kind })),
            _ => Err(invalid("`team_type` must be 0 (department) or 2 (group)")),
        }
    }

    fn scheme_join(&self) -> Result<SchemeJoin> {
        match self.scheme_join.as_ref().map(|word| word.expose().as_str()) {
            None | Some("space") => Ok(SchemeJoin::Space),
            Some("plus") => Ok(SchemeJoin::Plus),
            Some("raw") => Ok(SchemeJoin::Raw),
            Some(_) => Err(invalid(
                "`scheme_join` must be \"space\", \"plus\" or \"raw\"",
            )),
        }
    }

    fn mode(&self) -> &str {
        match &self.auth_mode {
            None => "token",
            Some(mode) => mode.expose().as_str(),
        }
    }

    fn auth(&self) -> Result<AuthMode> {
        match self.mode() {
            "token" => self.token_auth(),
            "session" => self.session_auth(),
            "carrier" => self.carrier_auth(),
            "app" => self.app_auth(),
            _ => Err(invalid(
                "`auth_mode` must be \"token\", \"session\", \"carrier\" or \"app\"",
            )),
        }
    }

    fn token_auth(&self) -> Result<AuthMode> {
        self.only("token", &["token"])?;
        Ok(AuthMode::Token {
            token: secret("token", "token", self.token.as_ref())?,
        })
    }

    fn session_auth(&self) -> Result<AuthMode> {
        self.only("session", &["token", "session_id"])?;
        Ok(AuthMode::Session {
            token: secret("session", "token", self.token.as_ref())?,
            session_id: secret("session", "session_id", self.session_id.as_ref())?,
        })
    }

    fn carrier_auth(&self) -> Result<AuthMode> {
        self.only("carrier", &["account", "password"])?;
        if self.carrier.as_deref().unwrap_or("").is_empty() {
            return Err(missing("carrier", "carrier"));
        }
        // Both travel in a JSON body and may hold anything, spaces at the ends included.
        let required = |key, value: &Option<Secret<String>>| match value {
            Some(value) if !value.expose().is_empty() => Ok(value.clone()),
            _ => Err(missing("carrier", key)),
        };
        Ok(AuthMode::Carrier {
            account: required("account", &self.account)?,
            password: required("password", &self.password)?,
        })
    }

    fn app_auth(&self) -> Result<AuthMode> {
        self.only("app", &["app_id", "app_secret"])?;
        let app_id = self.app_id.clone().filter(|id| !id.is_empty());
        let user_id = self.user_id.clone().filter(|id| !id.is_empty());
        Ok(AuthMode::App(AppKey {
            app_id: app_id.ok_or_else(|| missing("app", "app_id"))?,
            app_secret: secret("app", "app_secret", self.app_secret.as_ref())?,
            user_id: user_id.ok_or_else(|| missing("app", "user_id"))?,
            include_host: self.sign_include_host.unwrap_or(true),
            time_line: self.sign_time_line.unwrap_or(false),
        }))
    }

    /// Refuses credentials of another mode: one of the two is a mistake, and guessing which would
    /// log in as somebody else.
    fn only(&self, mode: &str, keys: &[&str]) -> Result<()> {
        let is_password_of_account =
            self.password.is_some() && (self.share.is_none() || mode == "carrier");
        let credentials = [
            ("token", self.token.is_some(), "token"),
            ("session_id", self.session_id.is_some(), "session"),
            ("account", self.account.is_some(), "carrier"),
            ("password", is_password_of_account, "carrier"),
            ("app_id", self.app_id.is_some(), "app"),
            ("app_secret", self.app_secret.is_some(), "app"),
        ];
        for (key, is_given, home) in credentials {
            if is_given && !keys.contains(&key) {
                return Err(invalid(format!(
                    "`{key}` is not used with auth_mode = \"{mode}\": remove it, or set auth_mode = \"{home}\""
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use linkfs_provider::ErrorKind;
    use serde_json::{Value, json};

    use super::*;

    fn setup(config: Value) -> Result<Setup> {
        let Value::Object(config) = config else {
            panic!("not an object")
        };
        let settings = linkfs_provider::Settings {
            config: Secret::new(config),
            state_dir: Default::default(),
        };
        settings.parse::<Config>()?.check()
    }

    fn space(config: Value) -> Space {
        match setup(config).unwrap().place {
            Place::Space(space) => space,
            Place::Share(_) => panic!("no space"),
        }
    }

    fn ticket(config: Value) -> Ticket {
        match setup(config).unwrap().place {
            Place::Share(ticket) => ticket,
            Place::Space(_) => panic!("no share"),
        }
    }

    fn refused(config: Value, message: &str) {
        let error = setup(config.clone()).expect_err(&config.to_string());
        assert_eq!(error.kind, ErrorKind::Invalid, "{config}");
        assert_eq!(error.message, message, "{config}");
    }

    #[test]
    fn the_least_configuration_is_a_space_and_a_token() {
        let setup = setup(json!({"space": "C1", "token": "not-a-real-token\n"})).unwrap();
        assert_eq!(
            setup.login.endpoint.as_str(),
            "https://intl.myhuaweicloud-koodrive.com/"
        );
        let space = space(json!({"space": "C1", "token": "not-a-real-token"}));
        assert_eq!(space.root.as_str(), "root");
        assert_eq!(space.used_unit, 1024);
        assert_eq!(setup.login.scheme_join, SchemeJoin::Space);
        let AuthMode::Token { token } = setup.login.auth else {
            panic!("not token mode")
        };
        assert_eq!(token.expose(), "not-a-real-token");
    }

    #[test]
    fn a_group_makes_it_a_team_space() {
        let team = |config| space(config).team.unwrap();
        let config = json!({"space": "C1", "token": "t", "group": "g-55", "team_type": 0});
        assert_eq!(team(config).kind, 0);
        assert_eq!(
            team(json!({"space": "C1", "token": "t", "group": "g-55"})).kind,
            2
        );
    }

    #[test]
    fn a_missing_key_is_named() {
        refused(
            json!({"space": "C1"}),
            "auth_mode = \"token\" needs `token`",
        );
        refused(
            json!({"space": "C1", "auth_mode": "session", "token": "t"}),
            "auth_mode = \"session\" needs `session_id`",
        );
        refused(
            json!({"space": "C1", "auth_mode": "carrier", "carrier": "a", "account": "lin"}),
            "auth_mode = \"carrier\" needs `password`",
        );
        refused(
            json!({"space": "C1", "auth_mode": "carrier", "account": "lin", "password": "x"}),
            "auth_mode = \"carrier\" needs `carrier`",
        );
        refused(
            json!({"space": "C1", "auth_mode": "app", "app_id": "a", "app_secret": "s"}),
            "auth_mode = \"app\" needs `user_id`",
        );
        refused(json!({"token": "t"}), "missing field `space`");
    }

    #[test]
    fn contradictions_are_refused() {
        refused(
            json!({"space": "C1", "token": "t", "password": "x"}),
            "`password` is not used with auth_mode = \"token\": remove it, or set auth_mode = \"carrier\"",
        );
        refused(
            json!({"space": "C1", "token": "t", "session_id": "s"}),
            "`session_id` is not used with auth_mode = \"token\": remove it, or set auth_mode = \"session\"",
        );
        refused(
            json!({"space": "C1", "token": "t", "team_type": 2}),
            "`team_type` is for team spaces: add `group` or remove it",
        );
        refused(
            json!({"space": "C1", "token": "t", "group": "g", "team_type": 1}),
            "`team_type` must be 0 (department) or 2 (group)",
        );
        refused(
            json!({"space": "C1", "token": "t", "space_used_unit": 0}),
            "`space_used_unit` must be 1 or more bytes",
        );
    }

    #[test]
    fn a_share_is_mounted_in_the_place_of_a_space() {
        let plain = ticket(json!({"share": "https://h/#/i/aB3dE5", "token": "t"}));
        assert_eq!((plain.short_url.as_str(), plain.code), ("aB3dE5", None));
        let code = |config| ticket(config).code.unwrap().into_exposed();
        let token = json!({"share": "aB3dE5", "password": "fake-code\n", "token": "t"});
        assert_eq!(code(token), "fake-code");
        let carrier = json!({"share": "aB3dE5", "share_password": "fake-code",
            "auth_mode": "carrier", "carrier": "a", "account": "lin", "password": "x"});
        assert_eq!(code(carrier), "fake-code");
    }

    #[test]
    fn a_share_contradicts_what_is_for_spaces() {
        refused(
            json!({"share": "aB3dE5", "space": "C1", "token": "t"}),
            "`space` is not used with `share`: remove one of them",
        );
        refused(
            json!({"share": "aB3dE5", "root": "F1", "token": "t"}),
            "`root` is not used with `share`: remove one of them",
        );
        refused(
            json!({"share": "aB3dE5", "share_password": "x", "token": "t"}),
            "`share_password` is for auth_mode = \"carrier\": write `password` instead",
        );
        refused(
            json!({"space": "C1", "share_password": "x", "token": "t"}),
            "`share_password` is for a `share`: add it or remove this",
        );
        refused(
            json!({"share": "s3cret!", "token": "t"}),
            "`share`: this is no address of a share: it must end in the share's short code",
        );
    }

    #[test]
    fn a_misplaced_secret_is_not_repeated() {
        refused(
            json!({"space": "C1", "token": "t", "auth_mode": "s3cret"}),
            "`auth_mode` must be \"token\", \"session\", \"carrier\" or \"app\"",
        );
        refused(
            json!({"space": "C1", "token": "t", "scheme_join": "s3cret"}),
            "`scheme_join` must be \"space\", \"plus\" or \"raw\"",
        );
        refused(
            json!({"space": "C1", "token": "t", "endpoint": "https://u:s3cret@h"}),
            "`endpoint` must be an address like https://host, without user, query or fragment",
        );
        refused(
            json!({"space": "C1", "token": "s3\ncret"}),
            "`token` holds characters that an HTTP header cannot carry",
        );
    }

    #[test]
    fn debug_text_of_the_settings_holds_no_secret() {
        let config = json!({"space": "C1", "auth_mode": "carrier", "carrier": "a",
            "account": "s3cret", "password": "s3cret"});
        let shown = format!("{:?}", setup(config).unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
