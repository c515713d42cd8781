//! Web pages of another origin that play media of httpd, in Chromium.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use test_cluster::{APP, Role, USER};
use test_support::process::OwnedProcess;
use tiny_http::{Request, Response, Server};

use crate::support::{Fixture, PATIENCE};

const MEDIA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/media");
const PAGE: &str = include_str!("../../players/page.html");
const CAPTIONS: &str = "WEBVTT\n\n00:00.000 --> 00:01.000\none\n\n00:01.000 --> 00:02.000\ntwo\n";
const MISSING: &str = "a player or Chromium is missing: run test-cluster/engines.sh";

/// The checks of a page, each with `ok` or an error.
type Results = BTreeMap<String, String>;

/// A site with the page of `players/`. Its results come through the channel.
struct Site {
    server: Arc<Server>,
    results: Receiver<Results>,
}

impl Site {
    fn start() -> Site {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        let (sender, results) = bounded(1);
        let serving = Arc::clone(&server);
        thread::spawn(move || {
            for mut request in serving.incoming_requests() {
                if request.url() == "/result" {
                    let _ = sender.send(serde_json::from_reader(request.as_reader()).unwrap());
                }
                answer(request);
            }
        });
        Site { server, results }
    }

    fn origin(&self) -> String {
        format!("http://{}", self.server.server_addr())
    }

    /// The results of the page with this query in Chromium.
    fn browse(&self, query: &str) -> Results {
        let profile = tempfile::tempdir().unwrap();
        let log = fs::File::create(profile.path().join("log")).unwrap();
        let mut chromium = Command::new("chromium");
        chromium
            // A sandbox needs another user than root.
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args([
                "--no-first-run",
                "--disable-component-update",
                "--disable-extensions",
            ])
            .args(["--disable-background-networking", "--mute-audio"])
            .arg("--autoplay-policy=no-user-gesture-required")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("{}/?{query}", self.origin()))
            .env("HOME", profile.path())
            .env("TMPDIR", profile.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let _process = OwnedProcess::spawn(&mut chromium).expect(MISSING);
        self.results.recv_timeout(8 * PATIENCE).unwrap_or_else(|_| {
            let log = fs::read_to_string(profile.path().join("log"));
            panic!("the page has no results; {}", log.unwrap_or_default())
        })
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

fn answer(request: Request) {
    let path = request.url().split('?').next().unwrap_or_default();
    let (content_type, body) = match path {
        "/" => ("text/html", PAGE.as_bytes().to_vec()),
        "/hls.js" => ("text/javascript", player("hls.js/dist/hls.min.js")),
        "/dash.js" => (
            "text/javascript",
            player("dashjs/dist/modern/umd/dash.all.min.js"),
        ),
        _ => ("text/plain", Vec::new()),
    };
    let field = tiny_http::Header::from_bytes("Content-Type", content_type).unwrap();
    // The browser may have ended.
    let _ = request.respond(Response::from_data(body).with_header(field));
}

/// A file of a package that `test-cluster/engines.sh` installs.
fn player(path: &str) -> Vec<u8> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    fs::read(target.join("tools/players/node_modules").join(path)).expect(MISSING)
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out Chromium")]
fn pages_of_listed_origins_play_and_read_media_and_others_only_play() {
    let (listed, other) = (Site::start(), Site::start());
    let mut fixture = Fixture::small(1);
    let httpd = fixture.nodes(Role::Httpd).remove(0);
    let cors = format!(
        "\n[cors]\norigins = [\"https://a.example\", {:?}]\n",
        listed.origin()
    );
    fixture.change_config(&httpd, |text| text + &cors);
    let captions = fixture.folder_path("captions.vtt");
    fs::write(&captions, CAPTIONS).unwrap();
    let set = Path::new(MEDIA).join("segments");
    let args = ["upload", "--as", "film"].map(OsStr::new).into_iter();
    let args = args.chain([captions.as_os_str(), set.as_os_str()]);
    fixture.tnv().say(args).unwrap();
    let film = fixture.tnv_upload(&PathBuf::from(MEDIA).join("demo.mp4"));

    let media = format!("http://{}/media/{APP}/{USER}", httpd.addr);
    let query = format!("base={media}/film&film={media}/{film}");
    for (site, checks, names) in [
        (
            &listed,
            "allowed",
            &[
                "dash",
                "errors",
                "hls",
                "pixels",
                "preflight",
                "range",
                "subtitles",
                "transport_stream",
            ][..],
        ),
        (
            &other,
            "refused",
            &["fetch", "pixels", "subtitles", "video"],
        ),
    ] {
        let results = site.browse(&format!("{query}&checks={checks}"));
        let all_ok = names.iter().map(|name| (*name).to_owned());
        let all_ok: Results = all_ok.map(|name| (name, "ok".to_owned())).collect();
        assert_eq!(results, all_ok);
    }
}
