//! Lists of a user's rows.

use proto::file_list::{FileList, ListRequest};

use super::*;
use crate::db::{Selection, table_of};

/// A request for the files of a user.
fn wanted(user: &str, prefix: &str) -> ListRequest {
    let FileKey { app, user, .. } = key(user, "x");
    ListRequest {
        app,
        user,
        prefix: (!prefix.is_empty()).then(|| prefix.parse().unwrap()),
        since: 0,
        after: String::new(),
    }
}

fn list(files: &dyn Files, wanted: &ListRequest, limit: u32) -> Result<Vec<String>, DbError> {
    let group = group("group001");
    let selection = Selection {
        wanted,
        group: &group,
        now: 1_700_000_000,
    };
    let (mut ids, mut after) = (Vec::new(), String::new());
    loop {
        let FileList { files: part, next } = files.list(selection, &after, limit)?;
        assert!(part.len() <= limit as usize, "{part:?}");
        ids.extend(part.iter().map(|file| file.id.to_string()));
        if next.is_empty() {
            return Ok(ids);
        }
        assert_ne!(after, next);
        after = next;
    }
}

/// Lists in pages of several sizes; all agree.
fn listed(files: &dyn Files, wanted: &ListRequest) -> Vec<String> {
    let whole = list(files, wanted, 1000).unwrap();
    for limit in [1, 2, 3] {
        assert_eq!(list(files, wanted, limit).unwrap(), whole, "{limit}");
    }
    whole
}

/// A user, and others in the same table that a collation might take for this one.
fn alike() -> [String; 4] {
    let users = |n: u32| {
        [
            format!("lister{n}"),
            format!("LISTER{n}"),
            format!("lister{n} "),
            format!("lister{n}x"),
        ]
    };
    let are_in_one_table = |users: &[String; 4]| {
        let tables = users
            .each_ref()
            .map(|user| table_of(&user.parse().unwrap()));
        tables.iter().all(|table| *table == tables[0])
    };
    (0..).map(users).find(are_in_one_table).unwrap()
}

/// Ids that a pattern might take for others.
pub(super) fn lists_have_the_files_of_one_user(files: &dyn Files) {
    let [user, others @ ..] = alike();
    let mut ids = [
        "a%1", "a1", "a\\1", "a_1", "film/1", "film/2", "film0", "用户",
    ];
    // A page has rows of other users, too, if the collation of the table takes them for this one.
    for (idx, other) in others.iter().enumerate() {
        insert(files, new_row(key(other, &format!("a1-{idx}")))).unwrap();
    }
    for id in ids {
        insert(files, new_row(key(&user, id))).unwrap();
    }
    let of_prefix = |prefix: &str| {
        let mut ids = listed(files, &wanted(&user, prefix));
        ids.sort_unstable();
        ids
    };
    ids.sort_unstable();
    assert_eq!(of_prefix(""), ids);
    assert_eq!(of_prefix("film/"), ["film/1", "film/2"]);
    assert_eq!(of_prefix("film/2"), ["film/2"]);
    for (prefix, only) in [
        ("a%", "a%1"),
        ("a_", "a_1"),
        ("a\\", "a\\1"),
        ("用", "用户"),
    ] {
        assert_eq!(of_prefix(prefix), [only]);
    }
    for nothing in ["film/3", "FILM/", "zz"] {
        assert!(of_prefix(nothing).is_empty(), "{nothing}");
    }
    assert!(listed(files, &wanted("nobody", "")).is_empty());
    let of_other_app = ListRequest {
        app: "other".parse().unwrap(),
        ..wanted(&user, "")
    };
    assert!(listed(files, &of_other_app).is_empty());
}

pub(super) fn lists_leave_out_old_deleted_and_foreign_files(files: &dyn Files) {
    let user = &alike()[0];
    let all = wanted(user, "film");
    let group = group("group001");
    let selected = |wanted: &ListRequest| listed(files, wanted);
    let selection = Selection {
        wanted: &all,
        group: &group,
        now: 1_700_000_000,
    };
    let file = files.list(selection, "", 1).unwrap().files.remove(0);
    assert_eq!(file.size, 56);
    assert!(file.modified > 1_700_000_000, "{}", file.modified);
    let since = |since: i64| ListRequest {
        since,
        ..all.clone()
    };
    assert_eq!(selected(&since(file.modified)).len(), 3);
    assert!(selected(&since(file.modified + 3600)).is_empty());
    begin_delete(files, &key(user, "film/1"));
    let foreign = NewRow {
        group: super::group("group002"),
        path: "elsewhere".to_owned(),
        ..new_row(key(user, "film/3"))
    };
    insert(files, foreign).unwrap();
    assert_eq!(selected(&all), ["film/2", "film0"]);
    end_delete(files, &key(user, "film/1"));
}

/// In a database of an earlier version, until its tables get the index.
pub(super) fn lists_need_the_index(config: &Config, drop_index: &dyn Fn()) {
    init(config).unwrap();
    drop_index();
    let files = open(config).unwrap();
    let found = insert(&*files, new_row(key("lister", "old")));
    assert_eq!(found.unwrap(), Change::Done);
    let refused = list(&*files, &wanted("lister", ""), 10).unwrap_err();
    assert!(matches!(refused, DbError::NoIndex { .. }), "{refused:?}");
    assert!(refused.to_string().contains("--init-database"), "{refused}");
    files.availability().full().unwrap();
    // It is added while the storage serves.
    assert_eq!(init(config).unwrap().len(), 4);
    assert_eq!(listed(&*files, &wanted("lister", "")), ["old"]);
    files.close();
}
