use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Mutex;

use tokio::net::TcpSocket;

use super::accounts::Accounts;
use super::api;
use super::data::{self, DataPorts, Line};
use super::drive::{Drive, Shared};
use super::ids::file_id;
use super::knobs::Knobs;
use super::oss_link::OssKey;
use super::share_book::{Share, ShareBook};
use crate::checksums::Checksums;
use crate::control::{self, Controlled};
use crate::object_store::ObjectStore;
use crate::server::{Server, closed_port};
use crate::{
    CallNames, Clock, Cloud, Counters, EmulatedDrive, Faults, LinkPolicy, Pacing, Setting, Tree,
};

/// How to start an emulated PDS.
#[derive(Clone, Debug)]
pub struct Options {
    pub tree: Tree,
    pub knobs: Knobs,
    /// `life_s` is the longest life of a link, whatever its call asks.
    pub links: LinkPolicy,
    pub credentials: Credentials,
    pub domain: String,
    /// The id of the drive that holds the tree, in digits.
    pub drive: String,
    pub api_address: SocketAddr,
    /// Where `url` leads.
    pub data_address: SocketAddr,
    /// Where `cdn_url` leads.
    pub cdn_address: SocketAddr,
    /// Where `internal_url` leads.
    pub internal_address: SocketAddr,
    pub control_address: SocketAddr,
    /// Threads that serve; the emulator has its own, so that a busy test cannot starve it.
    pub threads: usize,
}

/// Everything secret. The defaults are obviously fake; tests may put marks into them to look for.
/// Tokens and codes that are given out later begin with these.
#[derive(Clone)]
pub struct Credentials {
    /// An access token that is valid from the start.
    pub token: String,
    /// A refresh token that is valid from the start.
    pub refresh_token: String,
    pub client_id: String,
    pub client_secret: String,
    /// The public key, as DER, that assertions of the app must be signed for; without one their
    /// signature is not checked.
    pub app_public_key: Option<Vec<u8>>,
    /// What the browser step would bring back, for [`Credentials::redirect_uri`].
    pub auth_code: String,
    pub redirect_uri: String,
    pub user_id: String,
    pub user_name: String,
    /// Goes into every link, as the name of the key it was signed with.
    pub access_key: String,
    /// Signs the links.
    pub signing_secret: String,
}

/// A running PDS with its object store. Dropping it closes every connection.
pub struct Emulator {
    drive: Drive,
    api_address: SocketAddr,
    control_address: SocketAddr,
    server: Server,
    /// Bound and never listening: whoever connects there is refused, for as long as this lives.
    _nobody: TcpSocket,
}

impl Default for Options {
    fn default() -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let links = LinkPolicy {
            life_s: 115_200,
            ..LinkPolicy::default()
        };
        Self {
            tree: Tree::new(),
            knobs: Knobs::default(),
            links,
            credentials: Credentials::default(),
            domain: "bj9".into(),
            drive: "1".into(),
            api_address: any_port,
            data_address: any_port,
            cdn_address: any_port,
            internal_address: any_port,
            control_address: any_port,
            threads: 2,
        }
    }
}

impl Options {
    /// The defaults with this content.
    pub fn with_tree(tree: Tree) -> Self {
        Self {
            tree,
            ..Self::default()
        }
    }
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            token: "fake-access-41c7".into(),
            refresh_token: "fake-refresh-9b02".into(),
            client_id: "fake-app".into(),
            client_secret: "fake-app-secret".into(),
            app_public_key: None,
            auth_code: "fake-code".into(),
            redirect_uri: "http://127.0.0.1/callback".into(),
            user_id: "u100".into(),
            user_name: "lin".into(),
            access_key: "AKFAKE".into(),
            signing_secret: "fake-signing-secret".into(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Credentials(user {}, ..)", self.user_id)
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "pds::Emulator({})", self.api_address)
    }
}

impl Emulator {
    /// Starts the drive's ports and serves until [`Emulator::stop`] or drop.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        Self::start_blocking(options)
    }

    /// As [`Emulator::start`], for callers without a runtime. It blocks for no longer than it
    /// takes to bind the ports.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub fn start_blocking(options: Options) -> io::Result<Self> {
        let api = TcpListener::bind(options.api_address)?;
        let control = TcpListener::bind(options.control_address)?;
        let lines = [
            (Line::Url, TcpListener::bind(options.data_address)?),
            (Line::Cdn, TcpListener::bind(options.cdn_address)?),
            (Line::Internal, TcpListener::bind(options.internal_address)?),
        ];
        let nobody = closed_port()?;
        let mut hosts = [const { String::new() }; 4];
        for (line, listener) in &lines {
            hosts[*line as usize] = listener.local_addr()?.to_string();
        }
        hosts[Line::Dead as usize] = nobody.local_addr()?.to_string();
        let server = Server::new(options.threads, "pds-emulator")?;
        let drive = build(options, hosts);
        for (line, listener) in lines {
            server.serve(listener, data::router(drive.clone(), line))?;
        }
        let emulator = Self {
            api_address: api.local_addr()?,
            control_address: control.local_addr()?,
            drive: drive.clone(),
            server,
            _nobody: nobody,
        };
        let server = &emulator.server;
        server.serve(control, control::router(controlled(&drive)))?;
        server.serve(api, api::router(drive))?;
        Ok(emulator)
    }

    /// Closes the ports and every connection, at once.
    pub fn stop(self) {
        drop(self);
    }

    /// The API's address, `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.api_address)
    }

    /// Where `url` leads.
    pub fn data_endpoint(&self) -> String {
        self.line(Line::Url)
    }

    /// Where `cdn_url` leads.
    pub fn cdn_endpoint(&self) -> String {
        self.line(Line::Cdn)
    }

    /// Where `internal_url` leads.
    pub fn internal_endpoint(&self) -> String {
        self.line(Line::Internal)
    }

    /// The control port's address; see [`crate::control`].
    pub fn control_endpoint(&self) -> String {
        format!("http://{}", self.control_address)
    }

    /// The id of the drive that holds the tree.
    pub fn drive_id(&self) -> &str {
        &self.drive.drive_id
    }

    /// The access token that is valid from the start.
    pub fn token(&self) -> &str {
        &self.credentials().token
    }

    pub fn credentials(&self) -> &Credentials {
        &self.drive.accounts.credentials
    }

    pub fn tree(&self) -> &Tree {
        &self.drive.cloud.tree
    }

    pub fn faults(&self) -> &Faults {
        &self.drive.cloud.faults
    }

    pub fn counters(&self) -> &Counters {
        &self.drive.cloud.counters
    }

    pub fn clock(&self) -> &Clock {
        &self.drive.cloud.clock
    }

    pub fn pacing(&self) -> &Setting<Pacing> {
        &self.drive.cloud.pacing
    }

    pub fn links(&self) -> &Setting<LinkPolicy> {
        &self.drive.cloud.links
    }

    pub fn knobs(&self) -> &Setting<Knobs> {
        &self.drive.knobs
    }

    /// The object store refuses all links signed so far.
    pub fn revoke_links(&self) {
        self.drive.cloud.revoke_links();
    }

    /// All access tokens end, as if their time were over; refreshing works.
    pub fn expire_tokens(&self) {
        self.drive.accounts.expire_all();
    }

    /// All tokens end for good; refreshing fails, signing in again works.
    pub fn revoke_tokens(&self) {
        self.drive.accounts.revoke_all();
    }

    /// Whether somebody is still uploading a file of the tree: then it is there for nobody else.
    pub fn set_uploading(&self, id: &str, is_uploading: bool) {
        let mut uploading = self.drive.uploading.lock().expect("upload lock");
        if is_uploading {
            uploading.insert(id.into());
        } else {
            uploading.remove(id);
        }
    }

    /// Every share link ever made, oldest first.
    pub fn shares(&self) -> Vec<Share> {
        self.drive.shares.pages().shares.clone()
    }

    /// Shares files, by the tree's ids, as another program of the user would; `change` sets the
    /// terms. Gives the share's id.
    pub fn share(&self, files: &[String], change: impl FnOnce(&mut Share)) -> String {
        let now = self.drive.cloud.clock.now();
        let mut pages = self.drive.shares.pages();
        let mut share = pages.draft(files.to_vec(), "shared".into(), now);
        change(&mut share);
        let id = share.id.clone();
        pages.shares.push(share);
        id
    }

    /// All tokens of visitors end, as if their time were over; new ones are to be had.
    pub fn expire_share_tokens(&self) {
        self.drive.shares.pages().expire_tokens();
    }

    /// The keys of a linkfs drive that uses this emulator. Each call brings a refresh token of
    /// its own, since one that two use dies for the second.
    pub fn mount_config(&self) -> serde_json::Value {
        let now = self.drive.cloud.clock.now();
        serde_json::json!({
            "plugin": "pds",
            "endpoint": self.endpoint(),
            "domain": self.drive.domain,
            "drive": self.drive_id(),
            "client_id": self.credentials().client_id,
            "refresh_token": self.drive.accounts.hand_out(now),
            "allow_private_hosts": true,
        })
    }

    fn line(&self, line: Line) -> String {
        format!("http://{}", self.drive.ports.host(line))
    }
}

impl EmulatedDrive for Emulator {
    fn plugin(&self) -> &'static str {
        "pds"
    }

    fn endpoint(&self) -> String {
        self.endpoint()
    }

    fn data_endpoints(&self) -> Vec<String> {
        [Line::Url, Line::Cdn, Line::Internal]
            .map(|line| self.line(line))
            .into()
    }

    fn control_endpoint(&self) -> String {
        self.control_endpoint()
    }

    fn mount_config(&self) -> serde_json::Value {
        self.mount_config()
    }

    fn calls(&self) -> CallNames {
        CallNames {
            list: "list",
            stat: "get",
            sign: "download",
            token: "token",
            usage: "drive",
            page_max: self.drive.knobs.get().page_size_max,
            sign_max: 1,
        }
    }

    fn cloud(&self) -> &Cloud {
        &self.drive.cloud
    }

    fn expire_tokens(&self) {
        self.expire_tokens();
    }

    fn wire_id(&self, id: &str) -> String {
        file_id(id)
    }
}

fn build(options: Options, hosts: [String; 4]) -> Drive {
    let mut cloud = Cloud::default();
    cloud.tree = options.tree;
    cloud.links.set(options.links);
    let key = OssKey {
        access_key: options.credentials.access_key.clone(),
        secret: options.credentials.signing_secret.clone(),
    };
    let now = cloud.clock.now();
    Drive::new(Shared {
        store: ObjectStore::oss(cloud.clone()),
        ports: DataPorts { key, hosts },
        knobs: Setting::new(options.knobs),
        accounts: Accounts::new(options.credentials, now),
        checksums: Checksums::default(),
        domain: options.domain,
        drive_id: options.drive,
        uploading: Mutex::new(HashSet::new()),
        shares: ShareBook::default(),
        cloud,
    })
}

fn controlled(drive: &Drive) -> Controlled {
    let (knobs, accounts) = (drive.clone(), drive.clone());
    Controlled {
        cloud: drive.cloud.clone(),
        merge_knobs: Box::new(move |changes| knobs.knobs.merge(changes)),
        expire_tokens: Box::new(move || accounts.accounts.expire_all()),
    }
}
