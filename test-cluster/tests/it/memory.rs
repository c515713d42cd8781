//! Memory while many clients move files at once.

use test_cluster::limits::memory;

use crate::support::{Fixture, MIB};

#[test]
fn servers_stay_small_while_32_clients_move_files() {
    let mut fixture = Fixture::small(1);
    let report = memory::run(&mut fixture.cluster, 32, 64 * MIB).unwrap();
    println!("{report:#?}");
    report.check().unwrap();
}
