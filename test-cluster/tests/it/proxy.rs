//! The proxies of docs/security.md and docs/web.md in front of httpd: TLS, caches, ranges, keep-alive, signed URLs and the address of the
//! client.

mod cache;
mod haproxy;
mod nginx;

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bench::Content;
use test_cluster::{APP, Layout, Node, Role, USER, write_secret};
use test_support::process::{OwnedProcess, run};

use crate::support::{Fixture, MIB, wait_for};

const HOST: &str = "media.example.org";
/// A cluster behind a proxy that httpd trusts.
struct Proxied {
    fixture: Fixture,
    proxy: SocketAddr,
    certificate: PathBuf,
    url_key: PathBuf,
    _process: OwnedProcess,
}

/// Settings of httpd besides those of its keys and its proxy.
struct HttpdSettings<'a> {
    protect: &'a str,
    sections: &'a str,
}

/// The files and addresses of a proxy that is to be started.
struct Recipe {
    folder: PathBuf,
    proxy: SocketAddr,
    httpds: Vec<Node>,
    url_key: PathBuf,
}

impl Proxied {
    /// `start` writes the configuration of the proxy and starts it.
    fn start(
        httpds: u16,
        settings: &HttpdSettings<'_>,
        start: impl FnOnce(&Recipe) -> OwnedProcess,
    ) -> Proxied {
        let mut fixture = Fixture::start(&Layout {
            httpds,
            ..Layout::small(1)
        });
        let url_key = fixture.folder_path("url-key");
        write_secret(&url_key, "0123456789abcdef0123456789abcdef\n").unwrap();
        let httpds = fixture.nodes(Role::Httpd);
        for httpd in &httpds {
            configure(&mut fixture, httpd, &url_key, settings);
        }
        let folder = fixture.folder_path("proxy");
        fs::create_dir(&folder).unwrap();
        let recipe = Recipe {
            proxy: free_address(),
            folder,
            httpds,
            url_key,
        };
        let certificate = make_certificate(&recipe.folder);
        let process = start(&recipe);
        wait_for("the proxy", || {
            TcpStream::connect(recipe.proxy).map_err(|e| format!("{e}; {}", recipe.log()))
        });
        Proxied {
            fixture,
            proxy: recipe.proxy,
            certificate,
            url_key: recipe.url_key,
            _process: process,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.proxy.port())
    }

    /// Output of curl from one address of this machine.
    fn curl(&self, from: &str, args: &[&str]) -> Vec<u8> {
        let output = self.try_curl(from, args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {error}");
        output.stdout
    }

    /// The same, also if curl fails.
    fn try_curl(&self, from: &str, args: &[&str]) -> Output {
        let mut command = Command::new("curl");
        let resolve = format!("{HOST}:{}:{}", self.proxy.port(), self.proxy.ip());
        command
            .args(["-sS", "--max-time", "30", "--interface", from])
            .args(["--resolve", &resolve, "--cacert"])
            .arg(&self.certificate)
            .args(args);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// The words of the body, and the status.
    fn ask(&self, from: &str, args: &[&str]) -> String {
        let args = [args, &["-w", " %{http_code}"]].concat();
        let text = String::from_utf8(self.curl(from, &args)).unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        words.join(" ")
    }

    /// `tnv sign`.
    fn sign(&self, path: &str, args: &[&str]) -> String {
        let key = self.url_key.to_str().unwrap();
        let args = [&["sign", "--url-key-file", key, path], args].concat();
        self.url(&self.fixture.tnv().say(args).unwrap())
    }
}

/// The recipe of docs/security.md for httpd.
const ALL_PROTECTED: HttpdSettings<'_> = HttpdSettings {
    protect: "*",
    sections: "",
};

fn configure(fixture: &mut Fixture, httpd: &Node, url_key: &Path, settings: &HttpdSettings<'_>) {
    let HttpdSettings { protect, sections } = settings;
    let added = format!(
        "trusted_proxies = [\"127.0.0.1\"]\nurl_key_file = {url_key:?}\nprotect = [{protect:?}]\n"
    );
    fixture.change_config(httpd, |text| added + &text + sections);
}

fn make_certificate(folder: &Path) -> PathBuf {
    let certificate = folder.join("media.pem");
    let name = format!("/CN={HOST}");
    let names = format!("subjectAltName=DNS:{HOST}");
    let mut openssl = Command::new("openssl");
    openssl
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", &name, "-addext", &names, "-keyout"])
        .arg(folder.join("media.key"))
        .arg("-out")
        .arg(&certificate);
    run(&mut openssl).unwrap();
    certificate
}

/// A free port. A proxy cannot tell which port the system chose for it.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

impl Recipe {
    /// The recipe of a page of `docs/` in this language, with the addresses and files of this test.
    fn text(&self, page: &str, language: &str, changes: &[(&str, String)]) -> String {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let page = fs::read_to_string(docs.join(page)).unwrap();
        let (_, recipe) = page.split_once(&format!("```{language}\n")).unwrap();
        let (recipe, _) = recipe.split_once("```").unwrap();
        let mut recipe = recipe.to_owned();
        for (documented, here) in changes {
            assert!(recipe.contains(documented), "{documented}: {recipe}");
            recipe = recipe.replace(documented, here);
        }
        recipe
    }

    /// Starts a program that Debian has where only root looks for programs.
    fn spawn(&self, name: &str, args: &[&str]) -> OwnedProcess {
        let log = fs::File::create(self.folder.join("log")).unwrap();
        let paths = ["/usr/sbin", "/usr/bin"].map(|folder| Path::new(folder).join(name));
        let program = paths.iter().find(|path| path.exists());
        let program = program.expect("a proxy is missing: run test-cluster/engines.sh");
        let mut command = Command::new(program);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        OwnedProcess::spawn(&mut command).unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

/// The number of connections that the httpds have accepted.
fn n_accepted(fixture: &Fixture) -> u64 {
    let of = |httpd: Node| -> u64 {
        let page = fixture.get(&format!("http://{}/metrics", httpd.status), None);
        let page = String::from_utf8(page.body).unwrap();
        let mut lines = page.lines();
        let value = lines.find_map(|line| line.strip_prefix("tnv_connections_accepted_total "));
        value.unwrap().parse().unwrap()
    };
    fixture.nodes(Role::Httpd).into_iter().map(of).sum()
}

/// A file is served with a signed URL only, whole and in ranges, on kept connections, to the right client. Returns the
/// path of the file and its bytes.
fn check(proxied: &Proxied) -> (String, Vec<u8>) {
    let film = Content::new(40, MIB);
    let file = proxied.fixture.local_file("film.mp4", &film);
    let bytes = fs::read(&file).unwrap();
    let id = proxied.fixture.tnv_upload(&file);
    let path = format!("/files/{APP}/{USER}/{id}");

    let unsigned = proxied.ask("127.0.0.5", &[&proxied.url(&path)]);
    assert!(unsigned.ends_with("missing 403"), "{unsigned}");
    let url = proxied.sign(&path, &["--for", "1h"]);
    assert!(
        proxied.curl("127.0.0.5", &[&url]) == bytes,
        "the stream differs"
    );
    assert!(proxied.curl("127.0.0.5", &["-r", "100-299", &url]) == bytes[100..300]);
    assert!(proxied.curl("127.0.0.5", &["-r", "-100", &url]) == bytes[bytes.len() - 100..]);

    check_keep_alive(proxied, &url);
    check_client_address(proxied, &path);
    (path, bytes)
}

/// Both sides of the proxy keep their connections.
fn check_keep_alive(proxied: &Proxied, url: &str) {
    let before = n_accepted(&proxied.fixture);
    let args = ["-w", "%{num_connects} %{http_code};", "-r", "0-9"];
    let twice = [&args[..], &["-o", "/dev/null", url, "-o", "/dev/null", url]].concat();
    let text = String::from_utf8(proxied.curl("127.0.0.5", &twice)).unwrap();
    assert_eq!(text, "1 206;0 206;");
    assert_eq!(n_accepted(&proxied.fixture), before);
}

/// A URL for one client serves no other one, whatever its head says. The access log names the client.
fn check_client_address(proxied: &Proxied, path: &str) {
    let url = proxied.sign(path, &["--ip", "127.0.0.7"]);
    let served = proxied.curl("127.0.0.7", &["-r", "0-9", "-w", "%{http_code}", &url]);
    assert!(served.ends_with(b"206"), "{served:?}");
    for forged in [
        "Accept: */*",
        "X-Forwarded-For: 127.0.0.7",
        "Forwarded: for=127.0.0.7",
    ] {
        let refused = proxied.ask("127.0.0.8", &["-H", forged, &url]);
        assert!(refused.ends_with("wrong 403"), "{refused}");
    }
    let plan = proxied.fixture.cluster.plan();
    let access = plan.of(Role::Httpd).map(|httpd| plan.access_log(httpd));
    let access: Vec<_> = access.collect();
    wait_for("lines of the access log", || {
        let texts = access
            .iter()
            .map(|log| fs::read_to_string(log).unwrap_or_default());
        let text: String = texts.collect();
        let names = |ip: &str| text.lines().any(|line| line.contains(ip));
        match names("127.0.0.7") && names("127.0.0.8") {
            true => Ok(()),
            false => Err(text),
        }
    });
}
