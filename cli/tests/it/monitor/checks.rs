//! `tnv monitor --check`: one line and an exit code for a monitoring system.

use super::*;

#[test]
fn exit_code_and_figures_follow_the_plugin_convention() {
    let state = Arc::new(Mutex::new(cluster()));
    let fake = tracker(&state);
    let trackers = [fake.address.as_str()];
    let report = |host: usize, change: &dyn Fn(&mut Report)| {
        let mut state = state.lock().unwrap();
        *state = cluster();
        change(state.groups[0].storages[host].report.as_mut().unwrap());
    };
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 0, "{line}");
    let figures = line.split(" | ").nth(1).unwrap();
    assert!(figures.starts_with("trackers=1;;;0;1 groups=1 storages=2 readable=2 writable=2 "));
    assert!(figures.contains(&format!("group001_available={}B;", 400u64 << 30)));

    report(0, &|report| report.space.available = 150 << 30);
    assert_eq!(check(&trackers).0, 1);
    report(0, &|report| report.space.available = 50 << 30);
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 2);
    assert!(line.starts_with("TNV CRITICAL - group001 has 5% of its disk available | "));
    report(0, &|report| report.paths[0].health = "read-only".to_owned());
    assert_eq!(check(&trackers).0, 1);
    report(0, &|report| report.drain = Drain::All);
    state.lock().unwrap().groups[0].storages[0].offered = false;
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 0);
    assert!(line.contains(" readable=1 writable=1"), "{line}");
    report(1, &|report| report.downloads = false);
    let (_, line) = check(&trackers);
    assert!(line.contains(" readable=1 writable=1"), "{line}");
    assert!(stdout(&monitor(&trackers, &[])).contains("none (no store path answers)"));
    for storage in &mut state.lock().unwrap().groups[0].storages {
        storage.report.as_mut().unwrap().uploads = false;
    }
    assert_eq!(check(&trackers).0, 2);
    let warning = "3 files are damaged\u{1b}[2J".to_owned();
    report(0, &|report| report.warnings = vec![warning.clone()]);
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 1, "{line}");
    assert!(
        line.contains("group001 10.0.0.1:23000: 3 files are damaged"),
        "{line}"
    );
    let page = monitor(&trackers, &[]);
    let told = "\t\twarning = 3 files are damaged\\u{1b}[2J";
    assert!(stdout(&page).lines().any(|line| line == told));

    let (exit, line) = check(&[dead_address().as_str()]);
    assert_eq!((exit, line.contains("no tracker answers")), (2, true));
    assert_eq!(code(&monitor(&[dead_address().as_str()], &[])), 5);
    assert_eq!(check(&["nonsense"]).0, 3);
    assert_eq!(
        code(&monitor(&trackers, &["--check", "--critical", "200"])),
        3
    );
    assert_eq!(code(&monitor(&trackers, &["--critical", "200"])), 2);
}

#[test]
fn a_closed_group_needs_no_uploads_and_an_unregistered_group_is_a_warning() {
    let state = Arc::new(Mutex::new(cluster()));
    let fake = tracker(&state);
    let trackers = [fake.address.as_str()];
    let change = |change: &dyn Fn(&mut Group)| change(&mut state.lock().unwrap().groups[0]);
    change(&|group| {
        group.open = false;
        for storage in &mut group.storages {
            let report = storage.report.as_mut().unwrap();
            report.uploads = false;
            report.space.available = 0;
        }
    });
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 0, "{line}");
    change(&|group| group.unregistered = true);
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 1, "{line}");
    assert!(
        line.contains("group group001 is not in the database"),
        "{line}"
    );
    let page = monitor(&trackers, &[]);
    let told = "takes new users = no (group is not in the database)";
    assert!(stdout(&page).lines().any(|line| line == told));
    change(&|group| group.open = true);
    assert_eq!(check(&trackers).0, 2);
    let output = monitor(&trackers, &["--check", "-w", "5", "-c", "20"]);
    assert_eq!(code(&output), 3);
    assert!(stdout(&output).starts_with("TNV UNKNOWN - --warning is below --critical"));
}

#[test]
fn a_check_waits_five_seconds_for_a_hanging_tracker_or_the_given_timeout() {
    let hung = Fake::start(
        |_, stream| {
            while read_request::<TrackerRequest>(stream).is_some() {}
        },
    );
    let trackers = [hung.address.as_str()];
    for (args, period) in [
        (&["--check"][..], "5s"),
        (&["--check", "--timeout", "1s"], "1s"),
    ] {
        let output = monitor(&trackers, args);
        assert_eq!(code(&output), 2);
        let told = format!("timed out after {period}");
        assert!(stdout(&output).contains(&told), "{}", stdout(&output));
    }
}

#[test]
fn the_reason_why_a_group_or_a_storage_takes_no_uploads_is_reported() {
    let state = Arc::new(Mutex::new(cluster()));
    let fake = tracker(&state);
    let trackers = [fake.address.as_str()];
    let change = |hosts: &[usize], change: &dyn Fn(&mut Report)| {
        let mut state = state.lock().unwrap();
        *state = cluster();
        for &host in hosts {
            change(state.groups[0].storages[host].report.as_mut().unwrap());
        }
    };
    let no_number = "no idserver gives a number: 10.0.0.3:22000: refused";
    let no_numbers = |report: &mut Report| {
        report.uploads = false;
        report.uploads_why = no_number.to_owned();
        report.idservers = vec![Idserver {
            address: "10.0.0.3:22000".to_owned(),
            why: "refused".to_owned(),
        }];
    };
    change(&[0, 1], &no_numbers);
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 2, "{line}");
    let told = format!("TNV CRITICAL - group001 takes no uploads: {no_number}; ");
    assert!(line.starts_with(&told), "{line}");
    assert!(
        line.contains("idserver 10.0.0.3:22000 gives no numbers: refused"),
        "{line}"
    );
    assert!(line.contains(" writable=0"), "{line}");
    change(&[1], &no_numbers);
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 1, "{line}");
    let told = format!("group001 10.0.0.2:23000 takes no uploads: {no_number}");
    assert!(line.contains(&told), "{line}");
    let page = monitor(&trackers, &[]);
    let told = format!("\t\tread write mode = read ({no_number})");
    assert!(stdout(&page).lines().any(|line| line == told));
    change(&[0, 1], &|report| {
        report.downloads = false;
        report.downloads_why = "database error: cannot read".to_owned();
    });
    let (exit, line) = check(&trackers);
    assert_eq!(exit, 2, "{line}");
    let told = "group001 has no storage that serves: database error: cannot read";
    assert!(line.contains(told), "{line}");
}
