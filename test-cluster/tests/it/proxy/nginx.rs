//! nginx with its recipe. It also signs URLs with the example of docs/signed-urls/.

use std::fs;

use test_support::process::OwnedProcess;

use super::{ALL_PROTECTED, Proxied, Recipe, check};
use crate::signing::{examples, vectors};

/// Where the tests' nginx signs the vectors.
const VECTORS: &str = "import tnv from 'sign.js';
function sign(r) {
    const a = r.args;
    const segments = JSON.parse(a.segments);
    r.return(200, tnv.sign(a.key, a.expires, a.limits || '', a.client || '', segments));
}
export default { sign };
";

/// The recipe, with an example that signs URLs.
fn sites(recipe: &Recipe) -> String {
    let text = recipe.text("security.md", "nginx", &changes(recipe));
    let (examples, url_key) = (examples(), recipe.url_key.display());
    let at = recipe.folder.display();
    let signing = "location /play/ { js_content tnv.redirect; }
        location = /vectors { js_content vectors.sign; }
        location / {";
    let text = text.replacen("location / {", signing, 1);
    format!(
        "js_path {examples:?};
    js_import tnv from sign.js;
    js_import vectors from {at}/vectors.js;
    map $uri $tnv_url_key_file {{ default {url_key}; }}
{text}"
    )
}

/// The addresses and files of this test in a recipe.
pub fn changes(recipe: &Recipe) -> [(&'static str, String); 3] {
    let at = recipe.folder.display();
    [
        ("127.0.0.1:8080", recipe.httpds[0].addr.to_string()),
        ("listen 443", format!("listen {}", recipe.proxy)),
        ("/etc/ssl/media", format!("{at}/media")),
    ]
}

/// Starts nginx with these lines in the section `http`.
pub fn start(recipe: &Recipe, http: &str) -> OwnedProcess {
    let at = recipe.folder.display();
    let user = match rustix::process::geteuid().is_root() {
        // By default the workers of root run under another account, which may not read the folder.
        true => "user root;",
        false => "",
    };
    let text = format!(
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
    {http}
}}
"
    );
    let config = recipe.folder.join("nginx.conf");
    fs::write(&config, text).unwrap();
    let [folder, config] = [&recipe.folder, &config].map(|path| path.to_str().unwrap());
    recipe.spawn("nginx", &["-e", "stderr", "-p", folder, "-c", config])
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out nginx")]
fn the_nginx_recipe_works() {
    let proxied = Proxied::start(1, &ALL_PROTECTED, |recipe| {
        fs::write(recipe.folder.join("vectors.js"), VECTORS).unwrap();
        start(recipe, &sites(recipe))
    });
    let (path, bytes) = check(&proxied);
    check_signing(&proxied, &path, &bytes);
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
