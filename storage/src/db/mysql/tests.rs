//! Clocks of servers, as the tests of all engines set them.

use std::time::Duration;

use db::ClockLead;

use super::*;

impl MysqlFiles {
    /// As after the server's clock was set: the next call has a wrong lead of it.
    pub(in crate::db) fn mislead_clock(&self, millis: i64) {
        let until = Duration::MAX;
        let mislead = |session: &mut Session| {
            session.set_clock_lead(Some(ClockLead { millis, until }));
            Ok(())
        };
        let misled = self.database.run("mislead", Effect::Read, mislead);
        misled.expect("the server serves");
    }

    /// For how long a statement lives that is sent on a connection whose server's clock is so far
    /// behind, in milliseconds, after one was sent on a connection to another server.
    pub(in crate::db) fn life_after_failover(&self, behind: Duration) -> i64 {
        let on_another = |session: &mut Session| {
            let sql = "SET timestamp = UNIX_TIMESTAMP() - ?";
            session.execute(sql, (behind.as_secs(),))?;
            let deadline = expiry::deadline(session)?;
            let now = "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000 AS SIGNED)";
            let now: Option<i64> = session.first(now, ())?;
            Ok(deadline - now.expect("a time"))
        };
        let on_one = |session: &mut Session| {
            expiry::deadline(session)?;
            Ok(self.database.run("ask another", Effect::Read, on_another)?)
        };
        let life = self.database.run("ask", Effect::Read, on_one);
        life.expect("the server serves")
    }
}
