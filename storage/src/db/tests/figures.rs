//! How many rows a second each engine takes from a storage. Figures are printed, not judged:
//! machines differ.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// Of each measurement.
const TIME: Duration = Duration::from_secs(2);

#[test]
fn rows_per_second() {
    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::Sqlite(folder.path().join("storage.db"));
    measure("SQLite", &config(url, Durability::Full));
    if test_mariadb::is_wanted() {
        let server = test_mariadb::shared();
        measure("MariaDB", &mysql::fresh(server, "figures"));
        let cluster = test_mariadb::shared_galera();
        measure("Galera", &mysql::fresh(&cluster.nodes[0], "figures"));
    }
}

fn measure(engine: &str, config: &Config) {
    init(config).unwrap();
    let files = open(config).unwrap();
    let mut text = format!("{engine}: rows a second, each committed to the disk:");
    for n_threads in [1, 8, 64] {
        let rate = rate(&*files, n_threads);
        assert!(rate > 0.0, "{engine} takes rows");
        text += &format!(" {rate:.0} from {n_threads} threads,");
    }
    println!("{}", text.trim_end_matches(','));
    files.close();
}

fn rate(files: &dyn Files, n_threads: usize) -> f64 {
    let n_rows = AtomicU64::new(0);
    let began = Instant::now();
    thread::scope(|scope| {
        for thread in 0..n_threads {
            let n_rows = &n_rows;
            scope.spawn(move || {
                let mut n = 0;
                while began.elapsed() < TIME {
                    let file = format!("of{n_threads}t{thread}n{n}");
                    insert(files, new_row(key("tnv001", &file))).unwrap();
                    n += 1;
                }
                n_rows.fetch_add(n, Ordering::Relaxed);
            });
        }
    });
    n_rows.into_inner() as f64 / began.elapsed().as_secs_f64()
}
