//! A player's side of HTTP: whole files and ranges.

use std::io::Read;
use std::time::Duration;

use anyhow::Context;
use ureq::http::Response;
use ureq::{Agent, Body};

/// Gets things from HTTP servers. A status is no error.
#[derive(Debug, Clone)]
pub struct Browser {
    agent: Agent,
}

/// A whole reply.
#[derive(Debug)]
pub struct Page {
    /// Such as 206.
    pub status: u16,
    /// The header of that name, if there is one.
    pub content_range: Option<String>,
    /// The content.
    pub body: Vec<u8>,
}

impl Browser {
    /// A browser that gives a server so long to answer and to go on.
    pub fn new(patience: Duration) -> Browser {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .max_redirects(0)
            .build();
        Browser {
            agent: config.into(),
        }
    }

    /// Asks for `url`, or for the `range` (`bytes=0-99`) of it, and reads the reply to its end.
    ///
    /// # Errors
    /// No answer, or one that breaks off.
    pub fn get(&self, url: &str, range: Option<&str>) -> anyhow::Result<Page> {
        let mut response = self.open(url, range)?;
        let mut body = Vec::new();
        let mut reader = response.body_mut().as_reader();
        reader
            .read_to_end(&mut body)
            .with_context(|| format!("{url} breaks off after {} bytes", body.len()))?;
        let header = response.headers().get("content-range");
        Ok(Page {
            status: response.status().as_u16(),
            content_range: header.and_then(|value| Some(value.to_str().ok()?.to_owned())),
            body,
        })
    }

    /// The same, for whoever reads the content piece by piece.
    ///
    /// # Errors
    /// No answer.
    pub fn open(&self, url: &str, range: Option<&str>) -> anyhow::Result<Response<Body>> {
        let mut request = self.agent.get(url);
        if let Some(range) = range {
            request = request.header("Range", range);
        }
        request.call().with_context(|| format!("GET {url}"))
    }
}
