//! Statements on a server that another program has started.

use std::net::SocketAddr;
use std::time::Duration;

use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder, Row};

const PATIENCE: Duration = Duration::from_secs(5);

/// The first row of the result of a statement, as text.
///
/// # Errors
/// The server does not answer in time, or the statement fails.
pub fn first_row(
    server: SocketAddr,
    user: &str,
    password: &str,
    sql: &str,
) -> mysql::Result<Option<Vec<String>>> {
    let opts = OptsBuilder::new()
        .ip_or_hostname(Some(server.ip().to_string()))
        .tcp_port(server.port())
        .prefer_socket(false)
        .user(Some(user))
        .pass(Some(password))
        .tcp_connect_timeout(Some(PATIENCE))
        .read_timeout(Some(PATIENCE))
        .write_timeout(Some(PATIENCE));
    let row: Option<Row> = Conn::new(opts)?.query_first(sql)?;
    let text = |value| mysql::from_value::<Option<String>>(value).unwrap_or_default();
    Ok(row.map(|row| row.unwrap().into_iter().map(text).collect()))
}
