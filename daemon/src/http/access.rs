//! The access log of HTTP: the combined format and the seconds the request took.

use std::time::Instant;

use log::{Level, info, log_enabled};

use super::request::Request;
use crate::logging::ACCESS_TARGET;
use crate::net::Sent;

/// Makes the line of a request, to be written when its answer is out.
pub(super) fn report(
    request: &Request,
    status: u16,
    head_len: u64,
) -> Option<Box<dyn FnOnce(Sent) + Send>> {
    if !log_enabled!(target: ACCESS_TARGET, Level::Info) {
        return None;
    }
    let began = Instant::now();
    let peer = request.peer.ip();
    let line = format!(
        "{} {} HTTP/1.{}",
        request.method, request.target, request.minor_version
    );
    let quoted = |name: &str| request.header(name).unwrap_or("-").replace('"', "%22");
    let (referer, agent) = (quoted("referer"), quoted("user-agent"));
    let time = chrono::Local::now().format("%d/%b/%Y:%H:%M:%S %z");
    let begin = format!(
        "{peer} - - [{time}] \"{}\" {status}",
        line.replace('"', "%22")
    );
    Some(Box::new(move |sent: Sent| {
        let body = sent.bytes.saturating_sub(head_len);
        let secs = began.elapsed().as_secs_f64();
        info!(target: ACCESS_TARGET, "{begin} {body} \"{referer}\" \"{agent}\" {secs:.3}");
    }))
}
