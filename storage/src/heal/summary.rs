//! The summary that GlusterFS gives of what a volume has to heal.

use serde::Serialize;

/// One brick of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Brick {
    /// Host and folder.
    pub(super) brick: String,
    pub(super) connected: bool,
    /// Entries that it holds whole and another brick does not yet. Absent when it is not connected.
    pub(super) heal_pending: Option<u64>,
    /// Entries of which nobody knows the right copy.
    pub(super) split_brain: Option<u64>,
}

/// Reads what `gluster volume heal VOLUME info summary` prints. A brick that is not connected has
/// dashes for numbers.
pub(super) fn parse(text: &str) -> Vec<Brick> {
    let mut bricks: Vec<Brick> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("Brick ") {
            bricks.push(Brick {
                brick: name.trim().to_owned(),
                connected: false,
                heal_pending: None,
                split_brain: None,
            });
        } else if let Some((key, value)) = line.split_once(':')
            && let Some(brick) = bricks.last_mut()
        {
            let value = value.trim();
            match key {
                "Status" => brick.connected = value == "Connected",
                "Number of entries in heal pending" => brick.heal_pending = value.parse().ok(),
                "Number of entries in split-brain" => brick.split_brain = value.parse().ok(),
                _ => {}
            }
        }
    }
    bricks
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::heal) const SUMMARY: &str = "Brick node1:/bricks/a\nStatus: Transport endpoint is not connected\n\
        Total Number of entries: -\nNumber of entries in heal pending: -\n\
        Number of entries in split-brain: -\nNumber of entries possibly healing: -\n\n\
        Brick node2:/bricks/a\nStatus: Connected\nTotal Number of entries: 12\n\
        Number of entries in heal pending: 10\nNumber of entries in split-brain: 2\n\
        Number of entries possibly healing: 0\n";

    #[test]
    fn a_summary_tells_of_each_brick() {
        let brick = |brick: &str, counts: Option<(u64, u64)>| Brick {
            brick: brick.to_owned(),
            connected: counts.is_some(),
            heal_pending: counts.map(|(pending, _)| pending),
            split_brain: counts.map(|(_, split)| split),
        };
        let bricks = [
            brick("node1:/bricks/a", None),
            brick("node2:/bricks/a", Some((10, 2))),
        ];
        assert_eq!(parse(SUMMARY), bricks);
        assert_eq!(
            parse("Connection failed.\nNumber of entries in heal pending: 1\n"),
            []
        );
    }
}
