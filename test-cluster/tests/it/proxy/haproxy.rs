//! HAProxy with its recipe.

use std::fs;

use test_cluster::Role;
use test_support::process::OwnedProcess;

use super::{ALL_PROTECTED, Proxied, Recipe, check};
use crate::support::wait_for;

/// The recipe in a whole configuration.
fn config_text(recipe: &Recipe) -> String {
    let [web1, web2] = &recipe.httpds[..] else {
        panic!("the recipe has two httpds");
    };
    let status = |idx: usize| {
        let status = recipe.httpds[idx].status;
        format!("addr {} port {}", status.ip(), status.port())
    };
    let text = recipe.text(
        "security.md",
        "haproxy",
        &[
            ("bind :443", format!("bind {}", recipe.proxy)),
            (
                "/etc/haproxy/media.pem",
                recipe.folder.join("both.pem").display().to_string(),
            ),
            ("10.0.0.7:8080", web1.addr.to_string()),
            ("10.0.0.8:8080", web2.addr.to_string()),
            ("addr 10.0.0.7 port 8081", status(0)),
            ("addr 10.0.0.8 port 8081", status(1)),
        ],
    );
    format!("global\n    maxconn 100\n\n{text}")
}

fn start(recipe: &Recipe) -> OwnedProcess {
    let config = recipe.folder.join("haproxy.cfg");
    fs::write(&config, config_text(recipe)).unwrap();
    let parts = ["media.pem", "media.key"].map(|name| fs::read(recipe.folder.join(name)).unwrap());
    fs::write(recipe.folder.join("both.pem"), parts.concat()).unwrap();
    recipe.spawn("haproxy", &["-db", "-f", config.to_str().unwrap()])
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out HAProxy")]
fn the_haproxy_recipe_works() {
    let mut proxied = Proxied::start(2, &ALL_PROTECTED, start);
    let (path, bytes) = check(&proxied);
    let url = proxied.sign(&path, &["--for", "1h"]);
    let gone = proxied.fixture.nodes(Role::Httpd).remove(0);
    proxied.fixture.cluster.kill(&gone).unwrap();
    wait_for("the proxy to leave out the httpd that is gone", || {
        let served = |_| proxied.curl("127.0.0.5", &[&url]) == bytes;
        match (0..4).all(served) {
            true => Ok(()),
            false => Err("a request fails".to_owned()),
        }
    });
}
