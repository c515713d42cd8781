//! The file tables in SQLite, version by version.

/// The tables of the first version: columns of the C++ system, further columns, and an index of unfinished
/// deletions. The file id alone is their key.
macro_rules! first_table {
    ($table:literal) => {
        concat!(
            "CREATE TABLE ",
            $table,
            " (
                id varchar(256) NOT NULL PRIMARY KEY,
                appid varchar(32) NOT NULL,
                userid varchar(128) NOT NULL,
                status tinyint NOT NULL DEFAULT 0,
                file_path varchar(512) NOT NULL,
                file_size bigint NOT NULL,
                create_time timestamp NOT NULL DEFAULT current_timestamp,
                update_time timestamp NOT NULL DEFAULT current_timestamp,
                group_name varchar(32),
                checksum blob
            );
            CREATE INDEX ",
            $table,
            "_deleting ON ",
            $table,
            " (group_name) WHERE status = 1;"
        )
    };
}

/// The tables of the second version: an id belongs to its user, and files may expire and have a name. The index of users
/// serves lists. SQLite cannot change the key of a table, so its rows are copied. The columns of this index are those that a
/// list selects by, then those that it shows.
macro_rules! second_table {
    ($table:literal) => {
        concat!(
            "ALTER TABLE ",
            $table,
            " RENAME TO tnv_old_files;
            CREATE TABLE ",
            $table,
            " (
                id varchar(256) NOT NULL,
                appid varchar(32) NOT NULL,
                userid varchar(128) NOT NULL,
                status tinyint NOT NULL DEFAULT 0,
                file_path varchar(512) NOT NULL,
                file_size bigint NOT NULL,
                create_time timestamp NOT NULL DEFAULT current_timestamp,
                update_time timestamp NOT NULL DEFAULT current_timestamp,
                group_name varchar(32),
                checksum blob,
                expires bigint,
                name varchar(255),
                PRIMARY KEY (id, appid, userid)
            );
            INSERT INTO ",
            $table,
            " SELECT id, appid, userid, status, file_path, file_size, create_time, update_time, \
                group_name, checksum, NULL, NULL FROM tnv_old_files ORDER BY id;
            DROP TABLE tnv_old_files;
            CREATE INDEX ",
            $table,
            "_deleting ON ",
            $table,
            " (group_name) WHERE status = 1;
            CREATE INDEX ",
            $table,
            "_users ON ",
            $table,
            " (userid, appid, id, file_size, create_time, status, group_name, expires);
            CREATE INDEX ",
            $table,
            "_expiring ON ",
            $table,
            " (group_name, expires) WHERE expires IS NOT NULL;"
        )
    };
}

/// The steps from each version to the next one.
pub(super) const MIGRATIONS: [&str; 2] = [
    concat!(
        first_table!("t_file_01"),
        first_table!("t_file_02"),
        first_table!("t_file_03")
    ),
    concat!(
        second_table!("t_file_01"),
        second_table!("t_file_02"),
        second_table!("t_file_03")
    ),
];
