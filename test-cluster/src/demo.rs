//! A demonstration: uploads videos with `tnv`, streams them with HTTP, and deletes one.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use test_support::http::{self, Answer};

use crate::binaries::Binaries;
use crate::plan::{APP, Plan, Role, USER};
use crate::terminal::{checked, tell};
use crate::tnv::Tnv;

/// Longest wait for an HTTP answer.
const ANSWER: Duration = Duration::from_secs(20);
/// Exit code of `tnv` if the file does not exist.
const NOT_FOUND: i32 = 3;

/// The cluster and the videos of all steps.
struct Demo<'a> {
    tnv: Tnv,
    httpds: Vec<SocketAddr>,
    media: &'a Path,
}

/// A video that was uploaded.
struct Video {
    name: &'static str,
    id: String,
    content: Vec<u8>,
}

/// A part of a file: the header that requests it, its first byte and its end (exclusive).
struct Range {
    header: String,
    first: usize,
    end: usize,
}

/// Runs the demonstration on a running cluster, with the videos in `media`.
///
/// # Errors
/// The first step with another result than expected.
pub fn run(plan: &Plan, binaries: &Binaries, media: &Path) -> anyhow::Result<()> {
    let demo = Demo {
        tnv: Tnv::new(plan, binaries),
        httpds: plan.addrs(Role::Httpd),
        media,
    };
    let mp4 = demo.upload("demo.mp4")?;
    let webm = demo.upload("demo.webm")?;
    for video in [&mp4, &webm] {
        demo.check_size(video)?;
        demo.check_streams(video)?;
    }
    demo.check_delete()?;
    demo.say_goodbye(&mp4, &webm)
}

impl Demo<'_> {
    fn upload(&self, name: &'static str) -> anyhow::Result<Video> {
        let path = self.media.join(name);
        let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let id = self.tnv.say(["upload".as_ref(), path.as_os_str()])?;
        checked(format_args!(
            "tnv upload {name}: {} bytes stored as {id}",
            content.len()
        ));
        Ok(Video { name, id, content })
    }

    fn check_size(&self, video: &Video) -> anyhow::Result<()> {
        let said = self.tnv.say(["stat", &video.id])?;
        let size = format!("size={}", video.content.len());
        ensure!(
            said.split_whitespace().any(|word| word == size),
            "tnv stat says {said:?}, expected {size}"
        );
        checked(format_args!("tnv stat: {size}"));
        Ok(())
    }

    /// Streams the whole video and ranges of it, through every server and with every form of the URL.
    fn check_streams(&self, video: &Video) -> anyhow::Result<()> {
        let Video { name, id, content } = video;
        let forms = [
            format!("/files/{id}"),
            format!("/files/{id}/{name}"),
            format!("/files/{APP}/{USER}/{id}"),
            format!("/files/{APP}/{USER}/{id}/{name}"),
        ];
        for httpd in &self.httpds {
            for form in &forms {
                let url = format!("http://{httpd}{form}");
                let page = http::get(&url, None, ANSWER)?;
                check_page(&url, &page, 200, content)?;
            }
            checked(format_args!(
                "http://{httpd}: {name} whole, {} bytes alike",
                content.len()
            ));
            let url = format!("http://{httpd}{}", forms[3]);
            for range in ranges(content.len()) {
                self.check_range(&url, &range, content)?;
                checked(format_args!(
                    "http://{httpd}: {name} {}, {} bytes alike",
                    range.header,
                    range.end - range.first
                ));
            }
        }
        Ok(())
    }

    fn check_range(&self, url: &str, range: &Range, content: &[u8]) -> anyhow::Result<()> {
        let page = http::get(url, Some(&range.header), ANSWER)?;
        let asked = format!("{url} with {}", range.header);
        check_page(&asked, &page, 206, &content[range.first..range.end])?;
        let (first, last, all) = (range.first, range.end - 1, content.len());
        let expected = format!("bytes {first}-{last}/{all}");
        let actual = page.field("content-range");
        ensure!(
            actual == Some(expected.as_str()),
            "{asked}: Content-Range is {actual:?}, expected {expected:?}"
        );
        Ok(())
    }

    /// Uploads and deletes a copy, which no server finds afterwards.
    fn check_delete(&self) -> anyhow::Result<()> {
        let copy = self.upload("demo.mp4")?;
        let urls = self
            .httpds
            .iter()
            .map(|httpd| format!("http://{httpd}/files/{}", copy.id));
        let urls: Vec<String> = urls.collect();
        for url in &urls {
            let page = http::get(url, None, ANSWER)?;
            check_page(url, &page, 200, &copy.content)?;
        }
        self.tnv.say(["delete", &copy.id])?;
        checked(format_args!("tnv delete {}", copy.id));
        for url in &urls {
            let page = http::get(url, None, ANSWER)?;
            ensure!(
                page.status == 404,
                "{url} after the delete: status {}, expected 404",
                page.status
            );
            checked(format_args!("{url}: 404"));
        }
        let exit = self.tnv.run(["stat", &copy.id])?.status;
        ensure!(
            exit.code() == Some(NOT_FOUND),
            "tnv stat of a deleted file ended with {exit}, expected exit code {NOT_FOUND}"
        );
        checked("tnv stat of the deleted copy: not found");
        Ok(())
    }

    fn say_goodbye(&self, mp4: &Video, webm: &Video) -> anyhow::Result<()> {
        let Some(httpd) = self.httpds.first() else {
            bail!("the cluster has no HTTP server");
        };
        let url = |video: &Video| {
            let Video { name, id, .. } = video;
            format!("http://{httpd}/files/{APP}/{USER}/{id}/{name}")
        };
        tell("the cluster is left running; watch the video in a browser or player:");
        tell(format_args!("  {}", url(mp4)));
        tell(format_args!("  {}", url(webm)));
        tell("stop the cluster with: make cluster-stop");
        Ok(())
    }
}

fn check_page(asked: &str, page: &Answer, status: u16, content: &[u8]) -> anyhow::Result<()> {
    ensure!(
        page.status == status,
        "{asked}: status {}, expected {status}",
        page.status
    );
    ensure!(
        page.body == content,
        "{asked}: got {} bytes that are not the {} expected",
        page.body.len(),
        content.len()
    );
    Ok(())
}

fn ranges(len: usize) -> [Range; 4] {
    let (middle, tail) = (len / 2, len - 4321);
    let range = |header: String, first, end| Range { header, first, end };
    [
        range("bytes=0-1023".to_owned(), 0, 1024),
        range(
            format!("bytes={middle}-{}", middle + 65535),
            middle,
            middle + 65536,
        ),
        range("bytes=-500".to_owned(), len - 500, len),
        range(format!("bytes={tail}-"), tail, len),
    ]
}
