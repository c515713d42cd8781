//! Files that expire, from the command line to HTTP.

use std::time::{SystemTime, UNIX_EPOCH};

use bench::Content;
use test_support::http::Answer;

use crate::support::{Fixture, MIB};

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs()
}

fn max_age(page: &Answer) -> u64 {
    let value = page
        .field("cache-control")
        .unwrap_or_else(|| panic!("{:?}", page.fields));
    let seconds = value
        .split("max-age=")
        .nth(1)
        .and_then(|rest| rest.split(',').next());
    seconds.unwrap().parse().unwrap()
}

#[test]
fn a_file_is_gone_from_the_second_on_in_which_it_expires() {
    let fixture = Fixture::small(2);
    let path = fixture.local_file("Der Film.mp4", &Content::new(1, MIB));
    let upload = |args: &[&str]| {
        let args = ["upload"].iter().chain(args).map(|arg| (*arg).into());
        let args = args.chain([path.as_os_str().to_owned()]);
        fixture.tnv().say(args).unwrap().trim().to_owned()
    };
    let earliest = now() + 4;
    let id = upload(&["--expires", "4s"]);
    let latest = now() + 4;
    let stat = fixture.tnv().say(["--json", "stat", &id]).unwrap();
    assert!(stat.contains("\"expires\":\"20"), "{stat}");
    assert!(stat.contains("\"name\":\"Der Film.mp4\""), "{stat}");
    let url = fixture.url(&id);
    // At first httpd asks over TCP, then it gets the open file.
    let mut n_served = 0;
    loop {
        let before = now();
        let page = fixture.get(&url, None);
        if page.status != 200 {
            assert_eq!(page.status, 404);
            assert!(now() >= earliest, "it is gone too early");
            break;
        }
        assert!(before < latest, "it is served after its end");
        assert!(max_age(&page) <= latest - before, "{page:?}");
        n_served += 1;
    }
    assert!(n_served > 1);
    assert!(fixture.tnv().say(["download", &id, "-o", "-"]).is_err());
    let id = upload(&[]);
    let page = fixture.get(&format!("{}?download=1", fixture.url(&id)), None);
    let disposition = page.field("content-disposition").unwrap();
    assert!(
        disposition.starts_with("attachment; filename=\"Der Film.mp4\""),
        "{disposition}"
    );
}
