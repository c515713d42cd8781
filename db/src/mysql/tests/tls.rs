//! Connections that are encrypted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::*;

/// A server's certificate that is its own authority, for one `subject` alone, as in `IP:127.0.0.1`.
fn certificate(folder: &Path, subject: &str) -> [String; 2] {
    let [certificate, key] =
        ["cert.pem", "key.pem"].map(|name| folder.join(name).display().to_string());
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
        .args(["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=test"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-addext", &format!("subjectAltName={subject}")])
        .args(["-out", &certificate, "-keyout", &key])
        .output()
        .expect("openssl, of the Debian package openssl");
    assert!(made.status.success(), "{made:?}");
    for path in [folder.as_os_str(), certificate.as_ref(), key.as_ref()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    [certificate, key]
}

/// A server that encrypts, with its database, and the settings that trust its certificate.
fn encrypting(folder: &Path, subject: &str) -> (Mariadb, MysqlUrl, MysqlConfig) {
    let [certificate, key] = certificate(folder, subject);
    let args = [
        format!("--ssl-cert={certificate}"),
        format!("--ssl-key={key}"),
    ];
    let server = Mariadb::start_with(&[&args[0], &args[1]]);
    let url = prepared(&server, "tls");
    let required = MysqlConfig {
        tls: Tls::Required,
        tls_ca: Some(certificate.into()),
        ..config(&server)
    };
    (server, url, required)
}

/// The same server under another name.
fn under(name: &str, url: &MysqlUrl) -> MysqlUrl {
    let mut url = url.clone();
    url.hosts[0].host = name.to_owned();
    url
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn encryption_is_had_when_required_and_the_certificate_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, url, required) = encrypting(folder.path(), "IP:127.0.0.1");
    let mysql = Mysql::open(&url, &required, &SCHEMA).unwrap();
    wait_for(&mysql);
    let cipher = mysql.run("ask", Effect::Read, |session| {
        session.shown("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
    });
    assert!(cipher.unwrap().is_some_and(|cipher| !cipher.is_empty()));
    // It is valid for the address, and for no name of it.
    let named = Mysql::init(&under("localhost", &url), &required, &SCHEMA).unwrap_err();
    assert!(named.is_unavailable(), "{named:?}");
    // Without its authority the certificate is worth nothing.
    let unknown = MysqlConfig {
        tls_ca: None,
        ..required
    };
    let refused = Mysql::init(&url, &unknown, &SCHEMA).unwrap_err();
    assert!(refused.is_unavailable(), "{refused:?}");
}

#[test]
#[cfg_attr(not(engines), ignore = "TNV_TEST_ENGINES=embedded leaves out MariaDB")]
fn a_certificate_for_a_name_is_good_for_that_name_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, url, required) = encrypting(folder.path(), "DNS:localhost");
    let named = Mysql::open(&under("localhost", &url), &required, &SCHEMA).unwrap();
    wait_for(&named);
    assert_eq!(count(&named).unwrap(), Some(0));
    let by_address = Mysql::init(&url, &required, &SCHEMA).unwrap_err();
    assert!(by_address.is_unavailable(), "{by_address:?}");
}
