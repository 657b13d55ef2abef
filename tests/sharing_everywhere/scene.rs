//! A mounted drive, and what it says of its shares when it is asked past the mount.

use std::path::Path;
use std::process::Command;

use linkfs_emulator::{EmulatedDrive, ROOT_ID, Tree, dingtalk, koodrive, pds};
use linkfs_tests::{DriveKind, Mounted, Outcome, run, shell};
use serde_json::{Value, json};

/// Calls that make, change or revoke a share, or ask for shares, begin so.
const SHARE_CALLS: [&str; 2] = ["share", "permission"];
/// The scope that lets a whole organisation of DingTalk read.
const FOR_ALL: &str = "ORG_READ";

/// An emulator, as the drive that it is.
#[derive(Debug)]
pub(crate) enum Emulated {
    KooDrive(koodrive::Emulator),
    Pds(pds::Emulator),
    DingTalk(dingtalk::Emulator),
}

/// An open share, as the drive has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Open {
    /// The path of what is shared.
    pub(crate) path: String,
    /// What its address has in it and no other share's.
    pub(crate) address: String,
    /// Empty for none.
    pub(crate) code: String,
    /// What a change of the terms changes: the end; on DingTalk who has which role.
    pub(crate) terms: String,
}

/// A drive with `a.txt`, `c.txt` and `folder/b.txt`, mounted.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) drive: Emulated,
    pub(crate) mount: Mounted,
}

/// Terms of a new share that a drive can keep.
pub(crate) fn terms(kind: DriveKind) -> &'static str {
    match kind {
        DriveKind::KooDrive | DriveKind::Pds => "expires=3d password=Zx81kk02",
        DriveKind::DingTalk => "audience=members users=u-17,u-18 expires=never password=none",
    }
}

/// Terms that an open share can be given.
pub(crate) fn new_terms(kind: DriveKind) -> &'static str {
    match kind {
        DriveKind::KooDrive | DriveKind::Pds => "expires=20d",
        DriveKind::DingTalk => "allow=preview",
    }
}

impl Emulated {
    fn start(kind: DriveKind, tree: Tree) -> Emulated {
        let started = "the emulator starts";
        match kind {
            DriveKind::KooDrive => {
                let options = koodrive::Options::with_tree(tree);
                Emulated::KooDrive(koodrive::Emulator::start_blocking(options).expect(started))
            }
            DriveKind::Pds => {
                let options = pds::Options::with_tree(tree);
                Emulated::Pds(pds::Emulator::start_blocking(options).expect(started))
            }
            DriveKind::DingTalk => {
                let options = dingtalk::Options::with_tree(tree);
                Emulated::DingTalk(dingtalk::Emulator::start_blocking(options).expect(started))
            }
        }
    }

    fn emulator(&self) -> &dyn EmulatedDrive {
        match self {
            Emulated::KooDrive(emulator) => emulator,
            Emulated::Pds(emulator) => emulator,
            Emulated::DingTalk(emulator) => emulator,
        }
    }

    /// Every path with what the drive calls it.
    fn items(&self) -> Vec<(String, String)> {
        let tree = self.emulator().tree();
        let paths = ["a.txt", "c.txt", "folder", "folder/b.txt"];
        let id = |path: &str| tree.id_at(&format!("/{path}")).expect("it is there");
        paths.map(|path| (path.to_owned(), id(path))).into()
    }

    fn path_of(&self, id: &str) -> String {
        let items = self.items().into_iter();
        let mut paths = items.filter(|(_, known)| known == id).map(|(path, _)| path);
        paths.next().expect("what is shared is on the drive")
    }

    /// The open shares that the drive has, in the order of their paths. Each is of one item.
    pub(crate) fn open_shares(&self) -> Vec<Open> {
        let mut open: Vec<Open> = match self {
            Emulated::KooDrive(emulator) => {
                let shares = emulator.shares().into_iter();
                shares.map(|share| self.koodrive_share(&share)).collect()
            }
            Emulated::Pds(emulator) => {
                let shares = emulator.shares().into_iter();
                let open = shares.filter(|share| !share.is_cancelled);
                open.map(|share| self.pds_share(&share)).collect()
            }
            Emulated::DingTalk(emulator) => {
                let items = self.items().into_iter();
                items
                    .filter_map(|(path, id)| dingtalk_share(emulator, path, &id))
                    .collect()
            }
        };
        open.sort();
        open
    }

    fn koodrive_share(&self, share: &Value) -> Open {
        let text = |field: &str| share[field].as_str().expect("text").to_owned();
        let files = share["files"].as_array().expect("a list");
        assert_eq!(files.len(), 1, "{share}");
        Open {
            path: self.path_of(files[0]["id"].as_str().expect("an id")),
            address: text("linkUrl"),
            code: text("extractCode"),
            terms: share["expireTime"].to_string(),
        }
    }

    fn pds_share(&self, share: &pds::Share) -> Open {
        assert_eq!(share.files.len(), 1, "{share:?}");
        Open {
            path: self.path_of(&share.files[0]),
            address: share.id.clone(),
            code: share.password.clone(),
            terms: format!("{:?}", share.expires),
        }
    }

    /// Revokes every share of an item in another way than by this mount.
    pub(crate) fn revoke_elsewhere(&self, path: &str) {
        match self {
            Emulated::KooDrive(emulator) => {
                let shares = emulator.shares().into_iter();
                let of_path = shares.filter(|share| self.koodrive_share(share).path == path);
                let ids: Vec<Value> = of_path.map(|share| share["shareId"].clone()).collect();
                let bearer = format!("Authorization: Bearer {}", emulator.token());
                let body = json!({"shareIds": ids});
                self.post("koodrive/ose/v1/share/cancel", &bearer, &body);
            }
            Emulated::Pds(emulator) => {
                let bearer = format!("Authorization: Bearer {}", emulator.token());
                for share in self.open_shares() {
                    let body = json!({"share_id": share.address});
                    self.post("v2/share_link/cancel", &bearer, &body);
                }
            }
            Emulated::DingTalk(emulator) => {
                let id = emulator.tree().id_at(&format!("/{path}"));
                let id = id.expect("it is there");
                let token = format!("x-acs-dingtalk-access-token: {}", emulator.token());
                let uuid = emulator.uuid(&id);
                let user = &emulator.credentials().union_id;
                let call = format!(
                    "v2.0/storage/spaces/dentries/{uuid}/permissions/remove?unionId={user}"
                );
                for member in emulator.members(&id) {
                    let (member, role) = member.split_once('=').expect("a role");
                    let (kind, member) = member.split_once(':').expect("a kind");
                    let corp = &emulator.credentials().corp_id;
                    let member = json!({"type": kind, "id": member, "corpId": corp});
                    let body = json!({"roleId": role, "members": [member]});
                    self.post(&call, &token, &body);
                }
            }
        }
        let left = self.open_shares().into_iter();
        assert_eq!(left.filter(|share| share.path == path).count(), 0);
    }

    fn post(&self, call: &str, login: &str, body: &Value) {
        let address = format!("{}/{call}", self.emulator().endpoint());
        let (content, body) = ("Content-Type: application/json", body.to_string());
        let mut command = Command::new("curl");
        command.args(["-sS", "--fail-with-body", "-H", login, "-H", content, "-d"]);
        run(command.arg(body).arg(address)).success();
    }
}

fn dingtalk_share(emulator: &dingtalk::Emulator, path: String, id: &str) -> Option<Open> {
    let members = emulator.members(id);
    let is_for_all = emulator.scope(id).as_deref() == Some(FOR_ALL);
    (is_for_all || !members.is_empty()).then(|| Open {
        path,
        address: emulator.uuid(id),
        code: String::new(),
        terms: format!("{} {is_for_all}", members.join(" ")),
    })
}

impl Scene {
    pub(crate) fn new(kind: DriveKind) -> Scene {
        let tree = Tree::new();
        tree.add_file(ROOT_ID, "a.txt", "some text");
        tree.add_file(ROOT_ID, "c.txt", "text of c");
        let folder = tree.add_folder(ROOT_ID, "folder");
        tree.add_file(&folder, "b.txt", "more text");
        let drive = Emulated::start(kind, tree);
        let mount = Mounted::new(drive.emulator());
        let scene = Scene { drive, mount };
        // The names are known, so that what follows is about sharing.
        scene.shell("ls -lR .").success();
        scene.reset_counters();
        scene
    }

    /// A line of shell in the mount.
    pub(crate) fn shell(&self, line: &str) -> Outcome {
        shell(self.mount.folder(), line, Path::new(""))
    }

    #[track_caller]
    pub(crate) fn run(&self, line: &str) -> String {
        self.shell(line).success()
    }

    /// What fails says this.
    #[track_caller]
    pub(crate) fn refused(&self, line: &str, errno_text: &str) {
        let said = self.shell(line).failure();
        assert!(said.contains(errno_text), "{line}: {said}");
    }

    /// Runs `linkfs`.
    pub(crate) fn linkfs(&self, arguments: &[&str]) -> Outcome {
        self.mount.home().run_linkfs(arguments)
    }

    pub(crate) fn path(&self, below: &str) -> String {
        let path = self.mount.path(below);
        path.to_str().expect("text").to_owned()
    }

    /// Why the last request about a file failed.
    pub(crate) fn why(&self, path: &str) -> String {
        let value = xattr::get(self.mount.path(path), "user.linkfs.error").expect("it is read");
        String::from_utf8(value.expect("it failed")).expect("text")
    }

    pub(crate) fn reset_counters(&self) {
        self.drive.emulator().counters().reset();
    }

    /// All calls of the drive.
    pub(crate) fn calls(&self) -> u64 {
        self.drive
            .emulator()
            .counters()
            .snapshot()
            .calls
            .values()
            .sum()
    }

    /// All calls about shares.
    pub(crate) fn share_calls(&self) -> u64 {
        let counts = self.drive.emulator().counters().snapshot();
        let is_about_shares = |name: &str| {
            SHARE_CALLS
                .iter()
                .any(|beginning| name.starts_with(beginning))
        };
        let calls = counts.calls.iter();
        calls
            .filter(|(name, _)| is_about_shares(name))
            .map(|(_, count)| count)
            .sum()
    }
}
