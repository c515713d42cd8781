//! nginx with the recipe of docs/security.md in front of httpd: TLS, ranges, keep-alive, signed URLs and the
//! address of the client. nginx also signs URLs with the example of docs/signed-urls/.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bench::Content;
use test_cluster::{APP, Node, Role, USER};
use test_support::process::{OwnedProcess, run};

use crate::signing::{examples, vectors};
use crate::support::{Fixture, MIB, wait_for};

const HOST: &str = "media.example.org";
/// Where the tests' nginx signs the vectors.
const VECTORS: &str = "import tnv from 'sign.js';
function sign(r) {
    const a = r.args;
    const segments = JSON.parse(a.segments);
    r.return(200, tnv.sign(a.key, a.expires, a.limits || '', a.client || '', segments));
}
export default { sign };
";

/// A cluster whose httpd demands signatures, behind nginx.
struct Proxied {
    fixture: Fixture,
    proxy: SocketAddr,
    certificate: PathBuf,
    url_key: PathBuf,
    _nginx: OwnedProcess,
}

impl Proxied {
    fn start() -> Proxied {
        let mut fixture = Fixture::small(1);
        let url_key = fixture.folder_path("url-key");
        write_secret(&url_key, "0123456789abcdef0123456789abcdef\n");
        let httpd = fixture.nodes(Role::Httpd).remove(0);
        protect(&mut fixture, &httpd, &url_key);
        let folder = fixture.folder_path("nginx");
        fs::create_dir(&folder).unwrap();
        let certificate = make_certificate(&folder);
        let proxy = free_address();
        let config = folder.join("nginx.conf");
        fs::write(&config, config_text(&folder, proxy, httpd.addr, &url_key)).unwrap();
        fs::write(folder.join("vectors.js"), VECTORS).unwrap();
        let nginx = start_nginx(&config, &folder);
        let listens = || TcpStream::connect(proxy).map_err(|e| format!("{e}; {}", log(&folder)));
        wait_for("nginx", listens);
        Proxied {
            fixture,
            proxy,
            certificate,
            url_key,
            _nginx: nginx,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{HOST}:{}{path}", self.proxy.port())
    }

    /// Output of curl from one address of this machine.
    fn curl(&self, from: &str, args: &[&str]) -> Vec<u8> {
        let mut command = Command::new("curl");
        let resolve = format!("{HOST}:{}:{}", self.proxy.port(), self.proxy.ip());
        command
            .args(["-sS", "--max-time", "30", "--interface", from])
            .args(["--resolve", &resolve, "--cacert"])
            .arg(&self.certificate)
            .args(args);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {error}");
        output.stdout
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
fn protect(fixture: &mut Fixture, httpd: &Node, url_key: &Path) {
    let config = fixture.cluster.plan().config(httpd);
    let text = fs::read_to_string(&config).unwrap();
    let added = format!(
        "trusted_proxies = [\"127.0.0.1\"]\nurl_key_file = {url_key:?}\nprotect = [\"*\"]\n"
    );
    fs::write(&config, added + &text).unwrap();
    fixture.cluster.kill(httpd).unwrap();
    fixture.cluster.start_node(httpd).unwrap();
    fixture.cluster.wait_ready().unwrap();
}

fn write_secret(path: &Path, text: &str) {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .create(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
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

/// A free port. nginx cannot tell which port the system chose for it.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// The recipe of docs/security.md, with the addresses and files of this test.
fn recipe(folder: &Path, proxy: SocketAddr, httpd: SocketAddr) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/security.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, recipe) = page.split_once("```nginx\n").unwrap();
    let (recipe, _) = recipe.split_once("```").unwrap();
    let mut recipe = recipe.to_owned();
    for (documented, here) in [
        ("127.0.0.1:8080", httpd.to_string()),
        ("listen 443", format!("listen {proxy}")),
        ("/etc/ssl/media", format!("{}/media", folder.display())),
    ] {
        assert!(recipe.contains(documented), "{documented}: {recipe}");
        recipe = recipe.replace(documented, &here);
    }
    recipe
}

/// The recipe in a whole configuration, with an example that signs URLs on another port.
fn config_text(folder: &Path, proxy: SocketAddr, httpd: SocketAddr, url_key: &Path) -> String {
    let (recipe, at) = (recipe(folder, proxy, httpd), folder.display());
    let (examples, url_key) = (examples(), url_key.display());
    let signing = "location /play/ { js_content tnv.redirect; }
        location = /vectors { js_content vectors.sign; }
        location / {";
    let recipe = recipe.replacen("location / {", signing, 1);
    let user = match rustix::process::geteuid().is_root() {
        // By default the workers of root run under another account, which may not read the folder.
        true => "user root;",
        false => "",
    };
    format!(
        "load_module /usr/lib/nginx/modules/ngx_http_js_module.so;
{user}
daemon off;
master_process off;
pid {at}/nginx.pid;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {at}/body;
    proxy_temp_path {at}/proxy;
    fastcgi_temp_path {at}/fastcgi;
    uwsgi_temp_path {at}/uwsgi;
    scgi_temp_path {at}/scgi;
    js_path {examples:?};
    js_import tnv from sign.js;
    js_import vectors from {at}/vectors.js;
    map $uri $tnv_url_key_file {{ default {url_key}; }}
{recipe}
}}
"
    )
}

fn start_nginx(config: &Path, folder: &Path) -> OwnedProcess {
    let log = fs::File::create(folder.join("nginx.log")).unwrap();
    // Debian has it where only root looks for programs.
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx"];
    let program = program.into_iter().find(|path| Path::new(path).exists());
    let program = program.expect("nginx is missing: run test-cluster/engines.sh");
    let mut command = Command::new(program);
    command
        .args(["-e", "stderr", "-p"])
        .arg(folder)
        .arg("-c")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    OwnedProcess::spawn(&mut command).unwrap()
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("nginx.log")).unwrap_or_default()
}

/// The number of connections that httpd has accepted.
fn n_accepted(fixture: &Fixture, httpd: &Node) -> u64 {
    let page = fixture.get(&format!("http://{}/metrics", httpd.status), None);
    let page = String::from_utf8(page.body).unwrap();
    let mut lines = page.lines();
    let value = lines.find_map(|line| line.strip_prefix("tnv_connections_accepted_total "));
    value.unwrap().parse().unwrap()
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out nginx")]
fn the_nginx_recipe_works() {
    let proxied = Proxied::start();
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

    check_keep_alive(&proxied, &url);
    check_client_address(&proxied, &path);
    check_signing(&proxied, &path, &bytes);
}

/// Both sides of nginx keep their connections.
fn check_keep_alive(proxied: &Proxied, url: &str) {
    let httpd = proxied.fixture.nodes(Role::Httpd).remove(0);
    let before = n_accepted(&proxied.fixture, &httpd);
    let args = ["-w", "%{num_connects} %{http_code};", "-r", "0-9"];
    let twice = [&args[..], &["-o", "/dev/null", url, "-o", "/dev/null", url]].concat();
    let text = String::from_utf8(proxied.curl("127.0.0.5", &twice)).unwrap();
    assert_eq!(text, "1 206;0 206;");
    assert_eq!(n_accepted(&proxied.fixture, &httpd), before);
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
    let access = plan.folder.join("log/httpd-1.access");
    wait_for("lines of the access log", || {
        let text = fs::read_to_string(&access).unwrap_or_default();
        let names = |ip: &str| text.lines().any(|line| line.contains(ip));
        match names("127.0.0.7") && names("127.0.0.8") {
            true => Ok(()),
            false => Err(text),
        }
    });
}

/// nginx signs as documented, and sends a user to the signed URL.
fn check_signing(proxied: &Proxied, path: &str, bytes: &[u8]) {
    for vector in vectors() {
        let segments = serde_json::to_string(&vector.segments()).unwrap();
        let signed = proxied.ask(
            "127.0.0.5",
            &[
                "-G",
                "--data-urlencode",
                &format!("key={}", vector.key),
                "--data-urlencode",
                &format!("expires={}", vector.expires),
                "--data-urlencode",
                &format!("limits={}", vector.limits),
                "--data-urlencode",
                &format!("client={}", vector.client),
                "--data-urlencode",
                &format!("segments={segments}"),
                &proxied.url("/vectors"),
            ],
        );
        assert_eq!(signed, format!("{} 200", vector.url()));
    }
    let play = proxied.url(&path.replacen("/files/", "/play/", 1));
    assert!(
        proxied.curl("127.0.0.5", &["-L", &play]) == bytes,
        "the redirected stream differs"
    );
}
